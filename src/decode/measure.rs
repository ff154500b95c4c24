//! One quantity of a feed: how a found value becomes a reading.

use std::sync::Arc;

use super::labels::is_identifier;
use super::number;
use super::token::{Token, shown};
use crate::model::decimal::{DECIMALS, DECIMALS_MAX, MANTISSA_MAX};
use crate::model::definition::QuantityDefinition;
use crate::model::{DecimalError, DecodedReading, Fault, Quantity, Reason, Rejected, Value};

/// A quantity with its limits.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    quantity: Arc<Quantity>,
    min: f64,
    max: f64,
    /// The first and the last value from `min` to `max`.
    within: [Value; 2],
}

impl Measure {
    /// Checks one entry of a feed's quantity table.
    pub(super) fn compile(name: &str, definition: &QuantityDefinition, faults: &mut Vec<Fault>) -> Self {
        let mut fault = |key: Option<&str>, fault: Fault| {
            let fault = match key {
                Some(key) => fault.under(key),
                None => fault,
            };
            faults.push(fault.under(name).under("quantity"));
        };
        if !is_identifier(name) {
            let remedy = "use letters, digits and `_`, a letter first: conditions and columns spell it so";
            fault(None, Fault::new(format!("`{name}` is no name of a quantity"), remedy));
        }
        if definition.decimals > DECIMALS_MAX {
            let message = format!("{} decimals are more than a value keeps", definition.decimals);
            fault(Some("decimals"), Fault::new(message, format!("keep at most {DECIMALS_MAX}")));
        }
        for (key, limit) in [("min", definition.min), ("max", definition.max)] {
            if limit.is_some_and(|limit| !limit.is_finite()) {
                fault(
                    Some(key),
                    Fault::new("the limit is no finite number", "write a number, or leave it out"),
                );
            }
        }
        let (min, max) =
            (definition.min.unwrap_or(f64::NEG_INFINITY), definition.max.unwrap_or(f64::INFINITY));
        if min > max {
            fault(Some("min"), Fault::new(format!("min {min} is above max {max}"), "exchange them"));
        }
        let quantity = Quantity {
            name: name.into(),
            unit: definition.unit.as_str().into(),
            decimals: definition.decimals,
        };
        let within = within(quantity.decimals, min, max);
        Self { quantity: Arc::new(quantity), min, max, within }
    }

    /// A quantity that a format brings along, without limits.
    pub(super) fn own(name: &str, unit: &str) -> Self {
        let quantity = Quantity { name: name.into(), unit: unit.into(), decimals: DECIMALS };
        let within = [Value(-MANTISSA_MAX), Value(MANTISSA_MAX)];
        Self { quantity: Arc::new(quantity), min: f64::NEG_INFINITY, max: f64::INFINITY, within }
    }

    /// A quantity named after what a message calls it: characters that no name has become `_`;
    /// `lat` and `lon` are degrees. `None` when nothing is left of the name.
    pub(super) fn called(name: &str, unit: &str) -> Option<Self> {
        let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String =
            name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).chars().map(clean).collect();
        let name = if name.starts_with(|c: char| c.is_ascii_digit()) { format!("n{name}") } else { name };
        let unit = if matches!(name.as_str(), "lat" | "lon") { "deg" } else { unit };
        is_identifier(&name).then(|| Self::own(&name, unit))
    }

    /// The quantity.
    pub(super) fn quantity(&self) -> &Arc<Quantity> {
        &self.quantity
    }

    /// The quantity's name.
    pub(super) fn name(&self) -> &str {
        &self.quantity.name
    }

    /// The quantity's unit.
    pub(super) fn unit(&self) -> &str {
        &self.quantity.unit
    }

    /// Reads the JSON text of a value other than `null`.
    ///
    /// # Errors
    /// The refusal of this one reading.
    pub(super) fn read(&self, raw: &str) -> Result<DecodedReading, Rejected> {
        self.value(raw).map(|value| self.reading(value))
    }

    /// The value in the JSON text of one other than `null`.
    ///
    /// # Errors
    /// The refusal of this one reading.
    #[inline]
    pub(super) fn value(&self, raw: &str) -> Result<Value, Rejected> {
        // A text that begins with a digit or a minus is a number, and most numbers are short.
        match number::short(raw, self.quantity.decimals) {
            Some(value) => self.accept(value, raw),
            None => self.read_token(raw),
        }
    }

    fn read_token(&self, raw: &str) -> Result<Value, Rejected> {
        match Token::of(raw).map_err(|rejected| Rejected { reading: true, ..rejected })? {
            Token::Number(text) => self.accept(number::value(text, self.quantity.decimals), text),
            Token::Text(text) => self.text_value(&text),
            Token::Bool(true) => self.accept(number::value("1", self.quantity.decimals), raw),
            Token::Bool(false) => self.accept(Ok(Value(0)), raw),
            Token::Other(what) => {
                let detail = format!("{}: {what} where a number is due", self.name());
                Err(Rejected::reading(Reason::WrongType, detail))
            }
        }
    }

    /// Reads text that should spell a plain decimal.
    ///
    /// # Errors
    /// The refusal of this one reading.
    pub(super) fn read_text(&self, text: &str) -> Result<DecodedReading, Rejected> {
        self.text_value(text).map(|value| self.reading(value))
    }

    fn text_value(&self, text: &str) -> Result<Value, Rejected> {
        let text = text.trim_ascii();
        if number::is_plain(text) {
            self.accept(number::value(text, self.quantity.decimals), text)
        } else {
            self.accept(Err(DecimalError::NotANumber), text)
        }
    }

    /// Reads an exact decimal.
    ///
    /// # Errors
    /// The refusal of this one reading.
    pub(super) fn read_decimal(&self, decimal: number::Decimal) -> Result<DecodedReading, Rejected> {
        self.accept(decimal.value(self.quantity.decimals), "the value").map(|value| self.reading(value))
    }

    #[inline]
    fn accept(&self, value: Result<Value, DecimalError>, text: &str) -> Result<Value, Rejected> {
        let value = value.map_err(|error| self.no_value(error, text))?;
        let [first, last] = self.within;
        if value < first || value > last {
            return Err(self.outside(value));
        }
        Ok(value)
    }

    fn reading(&self, value: Value) -> DecodedReading {
        DecodedReading { quantity: self.quantity.clone(), value }
    }

    #[cold]
    fn no_value(&self, error: DecimalError, text: &str) -> Rejected {
        let reason = match error {
            DecimalError::NotANumber => Reason::NotANumber,
            DecimalError::OutOfRange => Reason::OutOfRange,
        };
        Rejected::reading(reason, format!("{}: {} is {error}", self.name(), shown(text)))
    }

    #[cold]
    fn outside(&self, value: Value) -> Rejected {
        let float = value.to_f64(self.quantity.decimals);
        let detail = format!("{}: {float} is outside {} to {}", self.name(), self.min, self.max);
        Rejected::reading(Reason::OutOfRange, detail)
    }
}

/// The first and the last value whose nearest floats are from `min` to `max`: nearest floats keep the order of the
/// decimals they come from, limits included.
fn within(decimals: u8, min: f64, max: f64) -> [Value; 2] {
    let float = |value: i64| Value(value).to_f64(decimals);
    let first = |is: &dyn Fn(i64) -> bool| {
        let (mut from, mut to) = (-MANTISSA_MAX, MANTISSA_MAX + 1);
        while from < to {
            let middle = from + (to - from) / 2;
            if is(middle) { to = middle } else { from = middle + 1 }
        }
        from
    };
    [Value(first(&|value| float(value) >= min)), Value(first(&|value| float(value) > max) - 1)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measure(min: Option<f64>, max: Option<f64>) -> Measure {
        let definition = QuantityDefinition {
            path: None,
            unit: "Cel".into(),
            decimals: 2,
            min,
            max,
            counter_max: None,
            label: None,
        };
        let mut faults = Vec::new();
        let measure = Measure::compile("temp", &definition, &mut faults);
        assert_eq!(faults, []);
        measure
    }

    fn read(raw: &str) -> Result<i64, Reason> {
        measure(Some(-40.0), Some(85.5)).read(raw).map(|reading| reading.value.0).map_err(|rejected| {
            assert!(rejected.reading);
            rejected.reason
        })
    }

    #[test]
    fn numbers_booleans_and_numeric_strings_are_values() {
        for (raw, want) in [
            ("23.4", 2340),
            ("\"23.4\"", 2340),
            ("\" 7 \"", 700),
            ("true", 100),
            ("false", 0),
            ("-0", 0),
            ("85.5", 8550),
            ("-40", -4000),
        ] {
            assert_eq!(read(raw), Ok(want), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn limits_are_those_of_the_nearest_floats(
            decimals in 0..=DECIMALS_MAX,
            limits in (any::<f64>(), any::<f64>()),
            near in (-1_000_000_i64..1_000_000, -2_i64..=2),
        ) {
            let at = Value(near.0).to_f64(decimals);
            for (min, max) in [limits, (at, f64::INFINITY), (f64::NEG_INFINITY, at), (at, at)] {
                let [first, last] = within(decimals, min, max);
                for value in [near.0 + near.1, near.0, -MANTISSA_MAX, MANTISSA_MAX].map(Value) {
                    let float = value.to_f64(decimals);
                    let wanted = !(float < min || float > max);
                    prop_assert_eq!(first <= value && value <= last, wanted, "{} from {} to {}", float, min, max);
                }
            }
        }
    }

    #[test]
    fn everything_else_is_refused_alone() {
        for (raw, want) in [
            ("\"No Sensor\"", Reason::NotANumber),
            ("\"NaN\"", Reason::NotANumber),
            ("\"\"", Reason::NotANumber),
            ("\"1e-\"", Reason::NotANumber),
            ("{}", Reason::WrongType),
            ("[1]", Reason::WrongType),
            ("1e300", Reason::OutOfRange),
            ("85.51", Reason::OutOfRange),
            ("-40.01", Reason::OutOfRange),
            ("\"\\ud800\"", Reason::BadText),
        ] {
            assert_eq!(read(raw), Err(want), "{raw}");
        }
    }

    #[test]
    fn names_from_messages_are_made_identifiers() {
        let called =
            |name: &str| Measure::called(name, "x").map(|m| (m.name().to_owned(), m.unit().to_owned()));
        assert_eq!(called("%RH"), Some(("RH".into(), "x".into())));
        assert_eq!(called("pm2.5-mass"), Some(("pm2_5_mass".into(), "x".into())));
        assert_eq!(called("2f"), Some(("n2f".into(), "x".into())));
        assert_eq!(called("lat"), Some(("lat".into(), "deg".into())));
        assert_eq!(called("%"), None);
        assert_eq!(called(&"x".repeat(1000)), None);
    }

    #[test]
    fn faults_name_their_place() {
        let definition = QuantityDefinition {
            path: None,
            unit: String::new(),
            decimals: 13,
            min: Some(2.0),
            max: Some(1.0),
            counter_max: None,
            label: None,
        };
        let mut faults = Vec::new();
        Measure::compile("a b", &definition, &mut faults);
        let places: Vec<String> = faults
            .iter()
            .map(ToString::to_string)
            .map(|f| f.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(faults.len(), 3, "{places:?}");
        assert_eq!(faults[1].path, ["quantity".into(), "a b".into(), "decimals".into()]);
    }
}
