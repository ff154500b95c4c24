//! The columns a condition can name, and where a row holds each.
//!
//! Checking a configuration and running it build the same schema by the same function, so that a
//! column's place in a row is decided once: [`Schema::of_window`] and [`Schema::of_readings`].

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::definition::WindowDefinition;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// A number that is always whole; the store keeps it as an integer.
    Whole,
    /// A text.
    Text,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name, as conditions spell it.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: Kind,
    /// Its place among a row's numbers ([`Kind::Number`], [`Kind::Whole`]) or its texts.
    pub index: usize,
}

/// The columns of one kind of row: numbers and texts, each numbered in the order they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    columns: Vec<Column>,
}

impl Schema {
    /// A schema without columns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, name: impl Into<Arc<str>>) -> Self {
        self.with(name.into(), Kind::Number)
    }

    /// Adds a number that is always whole.
    #[must_use]
    pub fn whole(self, name: impl Into<Arc<str>>) -> Self {
        self.with(name.into(), Kind::Whole)
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, name: impl Into<Arc<str>>) -> Self {
        self.with(name.into(), Kind::Text)
    }

    /// What a rule on a window sees. Numbers: its fields in the order of their names, then
    /// `count`, then `capture`. Texts: its `by`, in order, and `period` where it has periods.
    #[must_use]
    pub fn of_window(window: &WindowDefinition) -> Self {
        let numbers = window.fields.keys().fold(Self::new(), |schema, name| schema.number(name.as_str()));
        let numbers = numbers.whole("count").number("capture");
        window.key_names().fold(numbers, |schema, name| schema.text(name))
    }

    /// What a rule on readings, or `exclude`, sees. Numbers: the quantities in the order of their
    /// names, each once. Texts: `sensor`, then the tags in the order of their names, each once.
    #[must_use]
    pub fn of_readings<'a>(
        quantities: impl IntoIterator<Item = &'a str>,
        tags: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let quantities: BTreeSet<&str> = quantities.into_iter().collect();
        let mut tags: BTreeSet<&str> = tags.into_iter().collect();
        tags.remove(SENSOR);
        let schema = quantities.into_iter().fold(Self::new(), Self::number);
        tags.into_iter().fold(schema.text(SENSOR), Self::text)
    }

    /// The column of that name; the first, where two share it.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    /// Every column, in the order they were added.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Names of the numbers, in the order a row holds them.
    pub fn numbers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.columns.iter().filter(|column| column.kind != Kind::Text).map(|column| &column.name)
    }

    /// Names of the texts, in the order a row holds them.
    pub fn texts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.columns.iter().filter(|column| column.kind == Kind::Text).map(|column| &column.name)
    }

    fn with(mut self, name: Arc<str>, kind: Kind) -> Self {
        let text = kind == Kind::Text;
        let index = self.columns.iter().filter(|column| (column.kind == Kind::Text) == text).count();
        self.columns.push(Column { name, kind, index });
        self
    }
}

/// The text column that names the device.
pub const SENSOR: &str = "sensor";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_counted_apart() {
        let schema = Schema::of_readings(["pm25", "pm10", "pm25"], ["zone", "sensor", "barrio"]);
        assert_eq!(schema.numbers().map(|n| &**n).collect::<Vec<_>>(), ["pm10", "pm25"]);
        assert_eq!(schema.texts().map(|n| &**n).collect::<Vec<_>>(), ["sensor", "barrio", "zone"]);
        assert_eq!(schema.column("zone").unwrap().index, 2);
    }
}
