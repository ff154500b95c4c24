//! Function calls of the language, and the words for what is not in it.

use sqlparser::ast::{
    CeilFloorKind, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned,
    UnaryOperator, Value,
};

use super::lower::Lower;
use super::near;
use super::operand::{Operand, Type};
use super::parse::{Within, fault, join, range};
use super::program::{Binary, Instruction, Unary};
use crate::model::Fault;
use crate::model::decimal::DECIMALS_MAX;

/// Functions and how many arguments each takes, at least and at most.
const FUNCTIONS: [(&str, usize, usize); 11] = [
    ("abs", 1, 1),
    ("ceil", 1, 1),
    ("coalesce", 1, usize::MAX),
    ("exp", 1, 1),
    ("floor", 1, 1),
    ("greatest", 1, usize::MAX),
    ("least", 1, usize::MAX),
    ("ln", 1, 1),
    ("power", 2, 2),
    ("round", 1, 2),
    ("sqrt", 1, 1),
];

/// Aggregates, which people look for in conditions.
const AGGREGATES: [&str; 23] = [
    "avg",
    "mean",
    "sum",
    "count",
    "min",
    "max",
    "range",
    "first",
    "last",
    "delta",
    "variance",
    "stddev",
    "median",
    "quantile",
    "p50",
    "p95",
    "distinct",
    "increase",
    "rate",
    "time_mean",
    "energy_mean",
    "circular_mean",
    "capture_percent",
];

impl Lower<'_> {
    /// Compiles a call: of a function, or of `ceil` and `floor`, which `sqlparser` keeps apart.
    pub(super) fn call(&mut self, expression: &Expr) -> Result<Operand, Fault> {
        match expression {
            Expr::Ceil { expr, field } => self.floor_or_ceil(expr, field, Unary::Ceil, "ceil"),
            Expr::Floor { expr, field } => self.floor_or_ceil(expr, field, Unary::Floor, "floor"),
            Expr::Function(function) => {
                let (name, within) = self.function_name(function)?;
                let arguments = self.arguments(function, &name, within)?;
                self.function(&name, within, &arguments)
            }
            other => Err(unsupported(other)),
        }
    }

    fn floor_or_ceil(
        &mut self,
        inner: &Expr,
        field: &CeilFloorKind,
        function: Unary,
        name: &str,
    ) -> Result<Operand, Fault> {
        let operand = self.expression(inner)?;
        if !matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime)) {
            let message = format!("`{name}` takes one number and nothing else");
            return Err(fault(operand.within, message, "use round(x, decimals) for decimals"));
        }
        operand.want_number(&format!("`{name}`"))?;
        self.emit(Instruction::Unary(function));
        Ok(Operand::new(Type::Number, operand.within))
    }

    /// The function's name in lower case, and where it stands.
    fn function_name(&self, function: &Function) -> Result<(String, Within), Fault> {
        let within = range(self.sql, function.name.span());
        let name = function.name.to_string().to_lowercase();
        if AGGREGATES.contains(&name.as_str()) {
            let message = format!("`{name}` is an aggregate, and a condition looks at one row");
            let remedy = format!(
                "make it a field of a window, as in fields = {{ x = \"{name}(pm25)\" }}, and name that"
            );
            return Err(fault(within, message, remedy));
        }
        if !FUNCTIONS.iter().any(|(known, ..)| *known == name) {
            let remedy = near::suggest(&name, FUNCTIONS.iter().map(|(known, ..)| *known), "");
            return Err(fault(within, format!("there is no function `{name}`"), remedy));
        }
        Ok((name, within))
    }

    /// The arguments of a plain call `f(a, b)`, as many as the function takes.
    fn arguments<'e>(
        &self,
        function: &'e Function,
        name: &str,
        within: Within,
    ) -> Result<Vec<&'e Expr>, Fault> {
        let arguments = plain_arguments(function).ok_or_else(|| {
            let message = format!("`{name}` is called with more than its arguments");
            fault(
                within,
                message,
                format!("write {name}(...) with expressions between commas, and nothing else"),
            )
        })?;
        let found = arguments.len();
        let (least, most) = FUNCTIONS
            .iter()
            .find(|(known, ..)| *known == name)
            .map_or((1, 1), |(_, least, most)| (*least, *most));
        if (least..=most).contains(&found) {
            return Ok(arguments);
        }
        let wanted = match (least, most) {
            (1, 1) => "one argument".to_owned(),
            (_, usize::MAX) => format!("{least} arguments or more"),
            (least, most) if least == most => format!("{least} arguments"),
            (least, most) => format!("{least} or {most} arguments"),
        };
        Err(fault(within, format!("`{name}` takes {wanted}, and has {found}"), "add or remove arguments"))
    }

    fn function(&mut self, name: &str, start: Within, arguments: &[&Expr]) -> Result<Operand, Fault> {
        let quoted = format!("`{name}`");
        let fold = match name {
            "least" => Some(Binary::Least),
            "greatest" => Some(Binary::Greatest),
            "coalesce" => Some(Binary::Coalesce),
            "power" => Some(Binary::Power),
            _ => None,
        };
        if let Some(fold) = fold {
            return self.folded(fold, &quoted, start, arguments);
        }
        let (argument, decimals) = match arguments {
            [argument] => (*argument, 0),
            [argument, decimals] => (*argument, self.decimals(decimals)?),
            _ => return Err(fault(start, format!("{quoted} has no argument"), "add one")),
        };
        let operand = self.expression(argument)?;
        operand.want_number(&quoted)?;
        let keeps_whole = matches!(name, "abs" | "round") && operand.kind == Type::Whole;
        self.emit(Instruction::Unary(match name {
            "abs" => Unary::Absolute,
            "sqrt" => Unary::Sqrt,
            "ln" => Unary::Ln,
            "exp" => Unary::Exp,
            _ => Unary::Round(decimals),
        }));
        let kind = if keeps_whole { Type::Whole } else { Type::Number };
        Ok(Operand::new(kind, join(start, operand.within)))
    }

    /// A function of two numbers, over its arguments from the left.
    fn folded(
        &mut self,
        function: Binary,
        name: &str,
        start: Within,
        arguments: &[&Expr],
    ) -> Result<Operand, Fault> {
        let mut kind = Type::Null;
        let mut within = start;
        for (index, argument) in arguments.iter().enumerate() {
            let operand = self.expression(argument)?;
            within = join(within, operand.within);
            kind = Operand::new(kind, start).or(&operand, name)?;
            if !matches!(function, Binary::Coalesce) {
                operand.want_number(name)?;
            }
            if index > 0 {
                self.emit(Instruction::Binary(function));
            }
        }
        let kind = if function == Binary::Power { Type::Number } else { kind };
        Ok(Operand::new(kind, within))
    }

    /// The decimals of `round`: a literal.
    fn decimals(&self, expression: &Expr) -> Result<i32, Fault> {
        let (negative, inner) = match expression {
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => (true, &**expr),
            other => (false, other),
        };
        let most = i32::from(DECIMALS_MAX);
        let (digits, within) = match inner {
            Expr::Value(value) => (
                if let Value::Number(digits, false) = &value.value {
                    digits.parse::<i32>().ok()
                } else {
                    None
                },
                range(self.sql, value.span),
            ),
            _ => (None, None),
        };
        digits
            .filter(|digits| *digits <= most)
            .map(|digits| if negative { -digits } else { digits })
            .ok_or_else(|| {
                let remedy = format!("write a whole number from -{most} to {most}, as in round(pm25, 1)");
                fault(within, "`round` takes its decimals as a whole number", remedy)
            })
    }
}

/// Arguments of `f(a, b)`; `None` if there is anything else, such as DISTINCT, OVER or a `*`.
pub(super) fn plain_arguments(function: &Function) -> Option<Vec<&Expr>> {
    if has_clauses(function) {
        return None;
    }
    match &function.args {
        FunctionArguments::List(list) if list.duplicate_treatment.is_none() && list.clauses.is_empty() => {
            list.args.iter().map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
                _ => None,
            })
        }
        _ => return None,
    }
    .collect()
}

/// Whether a call carries FILTER, OVER and the like.
pub(super) fn has_clauses(function: &Function) -> bool {
    function.uses_odbc_syntax
        || function.filter.is_some()
        || function.over.is_some()
        || function.null_treatment.is_some()
        || !function.within_group.is_empty()
        || !matches!(function.parameters, FunctionArguments::None)
}

/// A fault for an expression that is no part of the language.
///
/// It names no place: finding one would walk a tree of any depth.
pub(super) fn unsupported(expression: &Expr) -> Fault {
    let (what, remedy) = match expression {
        Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } | Expr::RLike { .. } => {
            ("patterns of texts are", "compare texts by =, <> or IN")
        }
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
            ("subqueries are", "a condition looks at the columns of one row")
        }
        Expr::Cast { .. } | Expr::Convert { .. } => ("CAST is", "columns already have their type"),
        Expr::CompoundIdentifier(_) => ("a table's name before a column is", "write the column alone"),
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => {
            ("IS DISTINCT FROM is", "combine =, <> and IS NULL")
        }
        Expr::IsUnknown(_) | Expr::IsNotUnknown(_) => ("IS UNKNOWN is", "write IS NULL after the condition"),
        Expr::TypedString(_) | Expr::Interval(_) | Expr::Extract { .. } | Expr::AtTimeZone { .. } => {
            ("times are", "durations belong to `for`, `size` and `slide` of rules and windows")
        }
        _ => ("this kind of expression is", "see the language of conditions in the reference"),
    };
    Fault::new(format!("{what} not part of the language"), remedy)
}
