//! A condition or a number in SQL, checked against a schema and compiled once, evaluated for ever.
//!
//! # The language
//! Columns (a name without quotes is the same in capitals), numbers, `'texts'`, `TRUE`, `FALSE`,
//! `NULL`; `+ - * / %`; `= <> < <= > >=`; `AND`, `OR`, `NOT`; `IS [NOT] NULL`, `IS [NOT] TRUE`,
//! `IS [NOT] FALSE`; `[NOT] BETWEEN`; `[NOT] IN (list)`; both forms of `CASE`; `abs`, `ceil`,
//! `coalesce`, `exp`, `floor`, `greatest`, `least`, `ln`, `power`, `round(x [, n])`, `sqrt`.
//! Texts can be compared by `=`, `<>`, `IN` and tested by `IS NULL`, no more.
//!
//! # What it means
//! SQL's three-valued logic, NULL being *no data*. Numbers are IEEE 754 doubles. `least` and
//! `greatest` pass over NULLs, `round` rounds halves away from zero, `%` has the sign of its left.
//!
//! # Where it differs from DataFusion, on purpose
//! - A result that is not finite (division by zero, `ln(0)`, `sqrt(-1)`, overflow) is NULL; there
//!   it is an infinity or NaN, or an error between integers.
//! - A negative zero is zero; there `-0.0 = 0.0` is false.
//! - `ln`, `exp` and `power` come from the `libm` crate, the same bits on every platform; there
//!   from the system's library, which may differ in the last bit.
//! - Refused, because it would mean something else there or never what was meant: a whole number
//!   divided by a whole number, a comparison with the literal NULL, `=` between conditions.

use sqlparser::ast::Expr;

use super::lower::Lower;
use super::operand::{Operand, Type};
use super::parse::parse;
use super::program::{Instruction, Row, run};
use super::schema::{Column, Schema};
use crate::model::Fault;

/// A compiled expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    sql: Box<str>,
    code: Box<[Instruction]>,
    columns: Box<[Column]>,
}

impl Expression {
    /// Compiles a condition.
    ///
    /// ```
    /// use sereno::rule::{Expression, Row, Schema};
    /// let schema = Schema::new().number("pm25").text("zone");
    /// let high = Expression::compile("pm25 > 55 AND zone <> 'comuna-10'", &schema).unwrap();
    /// let row = Row { numbers: &[Some(60.0)], texts: &[Some("comuna-07")] };
    /// assert_eq!(high.eval(&row), Some(true));
    /// assert_eq!(high.eval(&Row { numbers: &[None], ..row }), None);
    /// ```
    ///
    /// # Errors
    /// A fault that says what was found, where in the text, and what to write instead.
    pub fn compile(sql: &str, schema: &Schema) -> Result<Self, Fault> {
        Self::compiled(sql, schema, |result| result.want_condition("a condition"))
    }

    /// Compiles an expression whose result is a number.
    ///
    /// # Errors
    /// As for [`Expression::compile`].
    pub fn compile_number(sql: &str, schema: &Schema) -> Result<Self, Fault> {
        Self::compiled(sql, schema, |result| result.want_number("the expression"))
    }

    fn compiled(
        sql: &str,
        schema: &Schema,
        check: impl FnOnce(&Operand) -> Result<(), Fault>,
    ) -> Result<Self, Fault> {
        let tree = parse(sql)?;
        let mut lower = Lower::new(sql, schema);
        let result = lower.root(&tree)?;
        Self::refuse_bare(&tree, &result)?;
        check(&result)?;
        Ok(Self { sql: sql.into(), code: lower.code.into(), columns: lower.columns.into() })
    }

    /// `pm25` or `NULL` alone is a slip, and deserves better words than a type error.
    fn refuse_bare(tree: &Expr, result: &Operand) -> Result<(), Fault> {
        if result.kind == Type::Null && matches!(tree, Expr::Value(_)) {
            return Err(Fault::new("NULL alone is always no data", "write a condition, as in pm25 > 55"));
        }
        Ok(())
    }

    /// Whether the condition is met; `None` is no data. Allocates nothing.
    #[must_use]
    pub fn eval(&self, row: &Row<'_>) -> Option<bool> {
        run(&self.code, row).map(|truth| truth != 0.0)
    }

    /// The number; `None` is no data. Allocates nothing.
    #[must_use]
    pub fn eval_number(&self, row: &Row<'_>) -> Option<f64> {
        run(&self.code, row)
    }

    /// What is run.
    pub(super) fn code(&self) -> &[Instruction] {
        &self.code
    }

    /// The columns it names, each once, in the order of their first mention.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The text it was compiled from.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }
}

#[cfg(test)]
mod tests;
