//! What a part of an expression is while it is compiled: its type, and where it stands.

use super::parse::Within;
use super::program::Text;
use crate::model::Fault;

/// The type of a compiled part. Numbers, conditions and NULL stand on the program's stack; a text
/// is named by the instruction that uses it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// A number.
    Number,
    /// A number that is always whole.
    Whole,
    /// TRUE, FALSE or NULL.
    Condition,
    /// NULL itself.
    Null,
    /// A text column or literal.
    Text(Text),
}

/// A compiled part.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) kind: Type,
    pub(super) within: Within,
}

impl Operand {
    pub(super) fn new(kind: Type, within: Within) -> Self {
        Self { kind, within }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self.kind, Type::Number | Type::Whole)
    }

    /// What it is, for a person.
    pub(super) fn describe(&self) -> &'static str {
        match self.kind {
            Type::Number => "a number",
            Type::Whole => "a whole number",
            Type::Condition => "a condition",
            Type::Null => "NULL",
            Type::Text(_) => "a text",
        }
    }

    /// Refuses what is no number; NULL passes.
    pub(super) fn want_number(&self, by: &str) -> Result<(), Fault> {
        if self.is_number() || self.kind == Type::Null {
            return Ok(());
        }
        let remedy = match self.kind {
            Type::Text(_) => "texts can only be compared by =, <> and IN, or tested by IS NULL",
            _ => "put the conditions together with AND and OR, and choose numbers by CASE WHEN",
        };
        let message = format!("{by} takes numbers, and this is {}", self.describe());
        Err(super::parse::fault(self.within, message, remedy))
    }

    /// Refuses what is no condition; NULL passes.
    pub(super) fn want_condition(&self, by: &str) -> Result<(), Fault> {
        if matches!(self.kind, Type::Condition | Type::Null) {
            return Ok(());
        }
        let remedy = match self.kind {
            Type::Text(_) => "compare it, as in zone = 'comuna-07'",
            _ => "compare it, as in pm25 > 55",
        };
        let message = format!("{by} takes conditions, and this is {}", self.describe());
        Err(super::parse::fault(self.within, message, remedy))
    }

    /// The type of the choice between this and another (CASE, coalesce, least, greatest).
    pub(super) fn or(&self, other: &Self, by: &str) -> Result<Type, Fault> {
        let message = match (&self.kind, &other.kind) {
            (Type::Text(_), _) | (_, Type::Text(_)) => {
                let text = if matches!(self.kind, Type::Text(_)) { self } else { other };
                let remedy = "texts can only be compared by =, <> and IN, or tested by IS NULL";
                return Err(super::parse::fault(text.within, format!("{by} cannot choose a text"), remedy));
            }
            (Type::Null, kind) | (kind, Type::Null) => return Ok(kind.clone()),
            (Type::Condition, Type::Condition) => return Ok(Type::Condition),
            (Type::Whole, Type::Whole) => return Ok(Type::Whole),
            _ if self.is_number() && other.is_number() => return Ok(Type::Number),
            _ => format!("{by} chooses between {} and {}", self.describe(), other.describe()),
        };
        Err(super::parse::fault(other.within, message, "all its results are numbers, or all conditions"))
    }
}
