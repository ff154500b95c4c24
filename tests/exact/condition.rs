//! Conditions in a form that can be evaluated without reading SQL; the SQL is written from it.

use std::fmt;

/// A condition over the numbers of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `column > constant`.
    Above(&'static str, i64),
    /// `column < constant`.
    Below(&'static str, i64),
    /// Both.
    Both(Box<Condition>, Box<Condition>),
    /// Either.
    Either(Box<Condition>, Box<Condition>),
}

impl Condition {
    /// Both of two.
    pub fn both(one: Self, other: Self) -> Self {
        Self::Both(Box::new(one), Box::new(other))
    }

    /// Either of two.
    pub fn either(one: Self, other: Self) -> Self {
        Self::Either(Box::new(one), Box::new(other))
    }

    /// SQL's three values: `None` is unknown.
    pub fn of(&self, column: &dyn Fn(&str) -> Option<f64>) -> Option<bool> {
        match self {
            Self::Above(name, constant) => Some(column(name)? > *constant as f64),
            Self::Below(name, constant) => Some(column(name)? < *constant as f64),
            Self::Both(one, other) => match (one.of(column), other.of(column)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Either(one, other) => match (one.of(column), other.of(column)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }

    /// The columns it names.
    pub fn columns(&self) -> Vec<&'static str> {
        match self {
            Self::Above(name, _) | Self::Below(name, _) => vec![name],
            Self::Both(one, other) | Self::Either(one, other) => {
                one.columns().into_iter().chain(other.columns()).collect()
            }
        }
    }
}

impl fmt::Display for Condition {
    /// As SQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(name, constant) => write!(f, "{name} > {constant}"),
            Self::Below(name, constant) => write!(f, "{name} < {constant}"),
            Self::Both(one, other) => write!(f, "({one}) AND ({other})"),
            Self::Either(one, other) => write!(f, "({one}) OR ({other})"),
        }
    }
}
