//! A mistake in something a person wrote: where, what, and how to mend it.

use std::fmt;

/// One step from the root of a definition to the place of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// An element of an array.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A fault of a definition. `config` finds line and column from the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// From the root of the file to the value at fault, as TOML spells it
    /// (`rule`, 0, `when`).
    pub path: Vec<Step>,
    /// Byte range inside that value's text, where the fault is a part of it.
    pub within: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    /// A fault of the value itself; the caller adds the path above it with [`Fault::under`].
    #[must_use]
    pub fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: Vec::new(), within: None, message: message.into(), remedy: remedy.into() }
    }

    /// The same fault one step further from the root.
    #[must_use]
    pub fn under(mut self, step: impl Into<Step>) -> Self {
        self.path.insert(0, step.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.path {
            match step {
                Step::Key(key) => write!(f, "{key}.")?,
                Step::Index(index) => write!(f, "{index}.")?,
            }
        }
        write!(f, " {}; {}", self.message, self.remedy)
    }
}
