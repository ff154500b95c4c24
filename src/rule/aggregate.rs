//! The fields of a window: one aggregate of one quantity each, as in `mean(pm25)`, or of each
//! sensor's aggregate, as in `max(mean(pm25))`.

use std::fmt;

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function as Call, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    Spanned, Value as Literal,
};

use super::call::has_clauses;
use super::near;
use super::parse::{Within, fault, parse, range};
use crate::model::definition::FoldOf;
use crate::model::{Fault, Value};
use crate::window::Function;

const NAMES: [(&str, Function); 18] = [
    ("count", Function::Count),
    ("sum", Function::Sum),
    ("mean", Function::Mean),
    ("min", Function::Min),
    ("max", Function::Max),
    ("range", Function::Range),
    ("first", Function::First),
    ("last", Function::Last),
    ("delta", Function::Delta),
    ("variance", Function::Variance),
    ("stddev", Function::Stddev),
    ("distinct", Function::Distinct),
    ("increase", Function::Increase),
    ("rate", Function::Rate),
    ("time_mean", Function::TimeMean),
    ("energy_mean", Function::EnergyMean),
    ("circular_mean", Function::CircularMean),
    ("capture_percent", Function::CapturePercent),
];
/// Names of quantiles, beside `p01` to `p99`; the last takes which as a second argument.
const MEDIAN: &str = "median";
const QUANTILE: &str = "quantile";

/// What the same is called elsewhere.
const ELSEWHERE: [(&str, &str); 21] = [
    ("avg", "mean"),
    ("average", "mean"),
    ("std", "stddev"),
    ("stddev_samp", "stddev"),
    ("stdev", "stddev"),
    ("var", "variance"),
    ("var_samp", "variance"),
    ("minimum", "min"),
    ("maximum", "max"),
    ("total", "sum"),
    ("spread", "range"),
    ("difference", "delta"),
    ("percentile", "quantile"),
    ("percentile_cont", "quantile"),
    ("approx_distinct", "distinct"),
    ("count_distinct", "distinct"),
    ("irate", "rate"),
    ("avg_over_time", "time_mean"),
    ("twa", "time_mean"),
    ("leq", "energy_mean"),
    ("laeq", "energy_mean"),
];

const EXAMPLE: &str = "write one aggregate of one quantity, as in mean(pm25)";
/// A rate inside another function is rounded to the quantity's decimals: at least so many.
const RATE_DECIMALS_MIN: u8 = 6;

fn names() -> impl Iterator<Item = &'static str> + Clone {
    NAMES.into_iter().map(|(name, _)| name).chain([MEDIAN, QUANTILE])
}

fn of_name(name: &str) -> Option<Function> {
    if let Some((_, function)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*function);
    }
    if name == MEDIAN {
        return Some(Function::percentile(50));
    }
    let digits = name.strip_prefix('p').filter(|digits| digits.len() == 2)?;
    digits.parse().ok().filter(|hundredths| (1..=99).contains(hundredths)).map(Function::percentile)
}

/// One aggregate of one quantity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregateCall {
    /// What is computed; of a nested call, over the sensors' values.
    pub function: Function,
    /// Of a nested call: what is computed of each sensor.
    pub inner: Option<Function>,
    /// Of which quantity; `None` is `*`, the events.
    pub quantity: Option<String>,
}

impl AggregateCall {
    /// Reads `mean(pm25)`, `quantile(pm25, 0.999)`, `count(*)`, `max(mean(pm25))`.
    ///
    /// # Errors
    /// A fault that points at the word that is wrong and says what there is.
    pub fn parse(sql: &str) -> Result<Self, Fault> {
        let tree = parse(sql)?;
        let Expr::Function(call) = &tree else {
            return Err(Fault::new("a window's field is an aggregate, and this is none", EXAMPLE));
        };
        let (function, argument) = read(sql, call)?;
        let within = range(sql, call.name.span());
        let of_events = matches!(function, Function::Count | Function::CapturePercent);
        match argument {
            Argument::Quantity(_) if function == Function::CapturePercent => {
                let message = "the capture is that of the window, not of a quantity";
                Err(fault(within, message, "write capture_percent(*)"))
            }
            Argument::Quantity(name) => Ok(Self { function, inner: None, quantity: Some(name) }),
            Argument::Events if of_events => Ok(Self { function, inner: None, quantity: None }),
            Argument::Events => {
                let message = format!("`{}` of `*`", written(call));
                Err(fault(within, message, "only count and capture_percent take `*`; name a quantity"))
            }
            Argument::Call(nested) => Self::nested(sql, (function, within), nested),
            Argument::Distinct(quantity) => {
                check_folds((function, within))?;
                Ok(Self { function, inner: Some(Function::Distinct), quantity: Some(quantity) })
            }
        }
    }

    fn nested(sql: &str, outer: (Function, Within), call: &Call) -> Result<Self, Fault> {
        let (inner, argument) = read(sql, call)?;
        let within = range(sql, call.name.span());
        check_folds(outer)?;
        match argument {
            Argument::Quantity(name) if inner != Function::CapturePercent => {
                Ok(Self { function: outer.0, inner: Some(inner), quantity: Some(name) })
            }
            Argument::Call(_) | Argument::Distinct(_) => {
                let remedy = "nest two at most: the inner one of each sensor, the outer one over sensors";
                Err(fault(within, "three aggregates stand in one another", remedy))
            }
            Argument::Quantity(_) | Argument::Events => {
                let message = format!("`{}` of each sensor is not of a quantity", written(call));
                Err(fault(within, message, "name one inside, as in count(mean(pm25))"))
            }
        }
    }

    /// What the call means in a window whose key is a single sensor or not, and whose plain calls
    /// fold readings or sensors.
    ///
    /// # Errors
    /// It has no meaning there.
    pub fn in_window(mut self, single_sensor: bool, of: Option<FoldOf>) -> Result<Self, Fault> {
        if single_sensor && let Some(inner) = self.inner {
            let quantity = self.quantity.as_deref().unwrap_or("*");
            let plain = Self { function: inner, inner: None, quantity: Some(quantity.to_owned()) };
            let message = "the window's key is a single sensor: there is nothing to fold over sensors";
            return Err(Fault::new(message, format!("write {plain}, or take `sensor` out of `by`")));
        }
        let plain = self.inner.is_none() && self.quantity.is_some();
        if plain && !single_sensor && of == Some(FoldOf::Sensors) {
            if !self.function.folds_sensors() {
                let message = format!("`{self}` over sensors: which of them comes when says nothing");
                return Err(Fault::new(message, format!("say how to fold them, as in sum({self})")));
            }
            self.inner = Some(self.function);
        }
        Ok(self)
    }

    /// Whether the functions make sense of a quantity.
    ///
    /// # Errors
    /// They do not, for its unit or its decimals.
    pub fn fits(&self, unit: &str, decimals: u8) -> Result<(), Fault> {
        for function in [self.inner, Some(self.function)].into_iter().flatten() {
            let (asked, example) = match function {
                Function::EnergyMean if !unit.starts_with("dB") => ("decibels", "unit = \"dB[A]\""),
                Function::CircularMean if !matches!(unit, "deg" | "°") => ("degrees", "unit = \"deg\""),
                _ => continue,
            };
            let message = format!("`{function}` is of {asked}, and the quantity's unit is `{unit}`");
            return Err(Fault::new(message, format!("use mean, or say {example} in the quantity")));
        }
        if self.inner == Some(Function::Rate) && decimals < RATE_DECIMALS_MIN {
            let message = format!(
                "a rate by second of each sensor is rounded to the quantity's decimals, and that are {decimals}"
            );
            let remedy = format!("give the quantity decimals = {RATE_DECIMALS_MIN}, or fold increases");
            return Err(Fault::new(message, remedy));
        }
        Ok(())
    }

    /// The unit of the result, the quantity's being `unit`, in UCUM's spelling.
    #[must_use]
    pub fn unit(&self, unit: &str) -> String {
        let inner = self.inner.map_or_else(|| unit.to_owned(), |inner| unit_of(inner, unit));
        unit_of(self.function, &inner)
    }
}

fn unit_of(function: Function, unit: &str) -> String {
    let plain = |c: char| !matches!(c, '/' | '.' | '(' | '^') && !c.is_ascii_digit();
    match function {
        Function::Count | Function::Distinct => "1".to_owned(),
        Function::CapturePercent => "%".to_owned(),
        Function::Rate if unit.is_empty() => "1/s".to_owned(),
        Function::Rate => format!("{unit}/s"),
        Function::Variance if matches!(unit, "" | "1") => unit.to_owned(),
        Function::Variance if unit.chars().all(plain) => format!("{unit}2"),
        Function::Variance => format!("({unit})2"),
        _ => unit.to_owned(),
    }
}

impl fmt::Display for Function {
    /// The name of a call; quantiles of other than whole hundredths are `quantile`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HUNDREDTH: u32 = Function::QUANTILE_PARTS / 100;
        match (self, NAMES.iter().find(|(_, function)| function == self)) {
            (Self::Quantile(parts), _) if parts % HUNDREDTH == 0 => write!(f, "p{:02}", parts / HUNDREDTH),
            (Self::Quantile(_), _) => f.write_str(QUANTILE),
            (_, Some((name, _))) => f.write_str(name),
            (_, None) => Ok(()),
        }
    }
}

impl fmt::Display for AggregateCall {
    /// The form that [`AggregateCall::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantity = self.quantity.as_deref().unwrap_or("*");
        let plain = |function: Function, of: &str| match function {
            Function::Quantile(parts) if function.to_string() == QUANTILE => {
                let digits = format!("{parts:06}");
                format!("{function}({of}, 0.{})", digits.trim_end_matches('0'))
            }
            _ => format!("{function}({of})"),
        };
        match self.inner {
            Some(inner) => f.write_str(&plain(self.function, &plain(inner, quantity))),
            None => f.write_str(&plain(self.function, quantity)),
        }
    }
}

enum Argument<'a> {
    Quantity(String),
    Events,
    Call(&'a Call),
    /// `distinct(quantity)`, which SQL reads as its word DISTINCT ahead of a quantity.
    Distinct(String),
}

fn check_folds((outer, within): (Function, Within)) -> Result<(), Fault> {
    if outer.folds_sensors() {
        return Ok(());
    }
    let message = format!("`{outer}` of sensors' values: sensors have no order in time");
    Err(fault(within, message, "fold them with count, sum, mean, min, max or a quantile"))
}

/// The name of a call, as written.
fn written(call: &Call) -> String {
    call.name.to_string().to_lowercase()
}

/// A call's function and what it is of.
fn read<'a>(sql: &str, call: &'a Call) -> Result<(Function, Argument<'a>), Fault> {
    let within = range(sql, call.name.span());
    let name = written(call);
    let (arguments, distinct) = arguments(call).unwrap_or_default();
    let (function, of) = if name == QUANTILE {
        let [of, which] = arguments else {
            let message = "`quantile` takes a quantity and which quantile";
            return Err(fault(within, message, "write for example quantile(pm25, 0.999)"));
        };
        (quantile(within, which)?, of)
    } else {
        let function = of_name(&name).ok_or_else(|| unknown(within, &name))?;
        let [of] = arguments else { return Err(wrong_argument(within, &name)) };
        (function, of)
    };
    let quantity = |name: &Ident| {
        if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
    };
    match of {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Nested(inside))) if distinct => match &**inside {
            Expr::Identifier(name) => Ok((function, Argument::Distinct(quantity(name)))),
            _ => Err(wrong_argument(within, &name)),
        },
        _ if distinct => Err(wrong_argument(within, &name)),
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok((function, Argument::Events)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name))) => {
            Ok((function, Argument::Quantity(quantity(name))))
        }
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(nested))) => {
            Ok((function, Argument::Call(nested)))
        }
        _ => Err(wrong_argument(within, &name)),
    }
}

/// The arguments, and whether DISTINCT stands before them.
fn arguments(call: &Call) -> Option<(&[FunctionArg], bool)> {
    let FunctionArguments::List(list) = &call.args else { return None };
    let distinct = match list.duplicate_treatment {
        None => false,
        Some(DuplicateTreatment::Distinct) => true,
        Some(DuplicateTreatment::All) => return None,
    };
    let bare = !has_clauses(call) && list.clauses.is_empty();
    bare.then_some((list.args.as_slice(), distinct))
}

fn wrong_argument(within: Within, name: &str) -> Fault {
    fault(within, format!("`{name}` takes the name of one quantity"), EXAMPLE)
}

fn unknown(within: Within, name: &str) -> Fault {
    let remedy = match ELSEWHERE.iter().find(|(other, _)| *other == name) {
        Some((_, ours)) => format!("it is called `{ours}` here"),
        None if near::nearest(name, names()).is_none() => {
            let all: Vec<&str> = names().collect();
            format!("there are {} and p01 to p99", all.join(", "))
        }
        None => near::suggest(name, names(), ""),
    };
    fault(within, format!("there is no aggregate `{name}`"), remedy)
}

/// Which quantile a number says.
fn quantile(within: Within, which: &FunctionArg) -> Result<Function, Fault> {
    let refuse = |message: &str, remedy: &str| Err(fault(within, message, remedy));
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) = which else {
        return refuse("which quantile is a number", "write for example quantile(pm25, 0.999)");
    };
    let Literal::Number(digits, _) = &value.value else {
        return refuse("which quantile is a number", "write for example quantile(pm25, 0.999)");
    };
    let parts = Value::parse(digits.as_bytes(), 6).map_or(0, |value| value.0);
    // A digit more than six decimals keep would be lost.
    let exact = Value::parse(digits.as_bytes(), 12).is_ok_and(|fine| fine.0 == parts * 1_000_000);
    match u32::try_from(parts) {
        Ok(parts) if exact && (1..Function::QUANTILE_PARTS).contains(&parts) => Ok(Function::Quantile(parts)),
        _ => refuse(
            "a quantile lies between 0 and 1, with six decimals at most",
            "write for example 0.999; 0 is min and 1 is max",
        ),
    }
}

#[cfg(test)]
mod tests;
