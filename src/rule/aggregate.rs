//! The fields of a window: one aggregate of one quantity each, as in `mean(pm25)`.

use std::fmt;

use sqlparser::ast::{Expr, Function as Call, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};

use super::call::has_clauses;
use super::near;
use super::parse::{fault, parse, range};
use crate::model::Fault;
use crate::window::Function;

const NAMES: [(&str, Function); 10] = [
    ("count", Function::Count),
    ("sum", Function::Sum),
    ("mean", Function::Mean),
    ("min", Function::Min),
    ("max", Function::Max),
    ("first", Function::First),
    ("last", Function::Last),
    ("stddev", Function::Stddev),
    ("p50", Function::Quantile(50)),
    ("p95", Function::Quantile(95)),
];

/// What the same is called elsewhere.
const ELSEWHERE: [(&str, &str); 9] = [
    ("avg", "mean"),
    ("average", "mean"),
    ("median", "p50"),
    ("std", "stddev"),
    ("stddev_samp", "stddev"),
    ("stdev", "stddev"),
    ("minimum", "min"),
    ("maximum", "max"),
    ("total", "sum"),
];

fn of_name(name: &str) -> Option<Function> {
    if let Some((_, function)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*function);
    }
    let digits = name.strip_prefix('p').filter(|digits| digits.len() == 2)?;
    digits.parse().ok().filter(|hundredths| (1..=99).contains(hundredths)).map(Function::Quantile)
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMES.iter().find(|(_, function)| function == self)) {
            (Self::Quantile(hundredths), _) => write!(f, "p{hundredths:02}"),
            (_, Some((name, _))) => f.write_str(name),
            (_, None) => Ok(()),
        }
    }
}

/// One aggregate of one quantity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggregateCall {
    /// What is computed.
    pub function: Function,
    /// Of which quantity; `None` is `count(*)`, the events.
    pub quantity: Option<String>,
}

impl AggregateCall {
    /// Reads `mean(pm25)`, `p95(pm25)`, `count(*)`.
    ///
    /// # Errors
    /// A fault that points at the word that is wrong and says what there is.
    pub fn parse(sql: &str) -> Result<Self, Fault> {
        let example = "write one aggregate of one quantity, as in mean(pm25)";
        let tree = parse(sql)?;
        let Expr::Function(call) = &tree else {
            return Err(Fault::new("a window's field is an aggregate, and this is none", example));
        };
        let within = range(sql, call.name.span());
        let name = call.name.to_string().to_lowercase();
        let function = of_name(&name).ok_or_else(|| {
            let remedy = match ELSEWHERE.iter().find(|(other, _)| *other == name) {
                Some((_, ours)) => format!("it is called `{ours}` here"),
                None if near::nearest(&name, NAMES.map(|(known, _)| known)).is_none() => {
                    "there are count, sum, mean, min, max, first, last, stddev and p01 to p99".to_owned()
                }
                None => near::suggest(&name, NAMES.map(|(known, _)| known), ""),
            };
            fault(within, format!("there is no aggregate `{name}`"), remedy)
        })?;
        let quantity = match argument(call) {
            Some(Argument::Quantity(name)) => Some(name),
            Some(Argument::Events) if function == Function::Count => None,
            Some(Argument::Events) => {
                return Err(fault(
                    within,
                    format!("`{name}` of `*`"),
                    "only count takes `*`; name a quantity",
                ));
            }
            None => {
                let message = format!("`{name}` takes the name of one quantity");
                return Err(fault(within, message, example));
            }
        };
        Ok(Self { function, quantity })
    }

    /// The unit of the result, the quantity's being `unit`: a count has UCUM's `1`.
    #[must_use]
    pub fn unit<'a>(&self, unit: &'a str) -> &'a str {
        if self.function == Function::Count { "1" } else { unit }
    }
}

impl fmt::Display for AggregateCall {
    /// The form that [`AggregateCall::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.function, self.quantity.as_deref().unwrap_or("*"))
    }
}

enum Argument {
    Quantity(String),
    Events,
}

fn argument(call: &Call) -> Option<Argument> {
    let FunctionArguments::List(list) = &call.args else { return None };
    if has_clauses(call) || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return None;
    }
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => Some(Argument::Events),
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name)))] => {
            let quoted = name.quote_style.is_some();
            Some(Argument::Quantity(if quoted { name.value.clone() } else { name.value.to_lowercase() }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for text in ["mean(pm25)", "count(*)", "count(pm25)", "p05(a_b)", "p99(x)", "stddev(x)", "last(x)"] {
            assert_eq!(AggregateCall::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(AggregateCall::parse(" MEAN ( PM25 ) ").unwrap().to_string(), "mean(pm25)");
    }

    #[test]
    fn says_what_there_is() {
        for (text, message, remedy) in [
            ("meen(pm25)", "there is no aggregate `meen`", "did you mean `mean`?"),
            ("avg(pm25)", "there is no aggregate `avg`", "it is called `mean` here"),
            (
                "p100(pm25)",
                "there is no aggregate `p100`",
                "there are count, sum, mean, min, max, first, last, stddev and p01 to p99",
            ),
            ("sum(*)", "`sum` of `*`", "only count takes `*`; name a quantity"),
            (
                "mean(a + b)",
                "`mean` takes the name of one quantity",
                "write one aggregate of one quantity, as in mean(pm25)",
            ),
            (
                "mean(distinct a)",
                "`mean` takes the name of one quantity",
                "write one aggregate of one quantity, as in mean(pm25)",
            ),
            (
                "pm25",
                "a window's field is an aggregate, and this is none",
                "write one aggregate of one quantity, as in mean(pm25)",
            ),
        ] {
            let fault = AggregateCall::parse(text).unwrap_err();
            assert_eq!((fault.message.as_str(), fault.remedy.as_str()), (message, remedy), "{text}");
        }
    }
}
