//! A field's text as its words: `max(mean(pm))` is `max` over sensors of `mean` of `pm`.

use sereno::model::definition::FoldOf;

/// A function by its name; of a quantile also which, in millionths.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// `mean`, `quantile`.
    pub name: String,
    /// Share of a quantile.
    pub millionths: u128,
}

impl Function {
    fn of(name: &str, share: &str) -> Self {
        let percent = name.strip_prefix('p').and_then(|digits| digits.parse::<u128>().ok());
        let decimals = share.trim().trim_start_matches("0.");
        let millionths = match (name, percent) {
            ("median", _) => 500_000,
            (_, Some(percent)) => percent * 10_000,
            ("quantile", _) => format!("{decimals:0<6}").parse().expect("decimals"),
            _ => return Self { name: name.to_owned(), millionths: 0 },
        };
        Self { name: "quantile".to_owned(), millionths }
    }

    /// Whether it follows one sensor's readings from one to the next.
    pub fn follows(&self) -> bool {
        ["increase", "rate", "time_mean"].contains(&self.name.as_str())
    }

    /// Unit of what it makes of a quantity.
    fn unit(&self, unit: &str) -> String {
        match self.name.as_str() {
            "count" | "distinct" => "1".to_owned(),
            "capture_percent" => "%".to_owned(),
            "rate" if unit.is_empty() => "1/s".to_owned(),
            "rate" => format!("{unit}/s"),
            "variance" if ["", "1"].contains(&unit) => unit.to_owned(),
            "variance" if unit.contains(|c: char| "/.(^".contains(c) || c.is_ascii_digit()) => {
                format!("({unit})2")
            }
            "variance" => format!("{unit}2"),
            _ => unit.to_owned(),
        }
    }
}

/// A field.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function; of a nested one the outer.
    pub outer: Function,
    /// Of a nested one the inner, of each sensor.
    pub inner: Option<Function>,
    /// The quantity, or `*`.
    pub quantity: String,
}

impl Call {
    /// Reads a field of a window whose keys are single sensors or not.
    pub fn read(sql: &str, by_sensor: bool, of: Option<FoldOf>) -> Self {
        let (outer, argument) = split(sql);
        if argument.contains('(') {
            let (inner, quantity) = split(&argument);
            return Self { outer, inner: Some(inner), quantity };
        }
        let sensors = of == Some(FoldOf::Sensors) && !by_sensor && argument != "*";
        Self { inner: sensors.then(|| outer.clone()), outer, quantity: argument }
    }

    /// What is computed of one sensor's readings, if sensors are told apart.
    pub fn of_sensor(&self) -> Option<&Function> {
        let alone = self.outer.follows() || self.outer.name == "delta";
        self.inner.as_ref().or(alone.then_some(&self.outer))
    }

    /// Unit of its value.
    pub fn unit(&self, unit: &str) -> String {
        let unit = self.inner.as_ref().map_or_else(|| unit.to_owned(), |inner| inner.unit(unit));
        self.outer.unit(&unit)
    }

    /// What a run counts it as.
    pub fn words(&self) -> String {
        match &self.inner {
            Some(inner) => format!("{} of sensors' {}", self.outer.name, inner.name),
            None if self.quantity == "*" => format!("{}(*)", self.outer.name),
            None => self.outer.name.clone(),
        }
    }
}

fn split(sql: &str) -> (Function, String) {
    let (name, rest) = sql.split_once('(').expect("a call");
    let inside = rest.strip_suffix(')').expect("a call");
    match inside.rsplit_once(',').filter(|_| name == "quantile") {
        Some((argument, share)) => (Function::of(name, share), argument.trim().to_owned()),
        None => (Function::of(name, ""), inside.to_owned()),
    }
}

#[test]
fn calls_are_read_by_hand() {
    let call = Call::read("max(quantile(pm, 0.999))", false, None);
    assert_eq!((call.outer.name.as_str(), call.quantity.as_str()), ("max", "pm"));
    assert_eq!(call.inner.map(|inner| inner.millionths), Some(999_000));
    assert_eq!(Call::read("p05(pm)", true, Some(FoldOf::Sensors)).outer.millionths, 50_000);
    assert_eq!(Call::read("variance(mean(pm))", false, None).unit("ug/m3"), "(ug/m3)2");
}
