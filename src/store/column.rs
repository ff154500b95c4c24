//! Columns of a table beyond its fixed ones: tags, quantities, keys, fields.
//!
//! A column is given once and stays: its name never passes to something else, and a quantity that
//! comes in another unit gets a column of its own, so that no column mixes units.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};

use super::name;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// A tag of an event.
    Tag,
    /// A quantity of an event.
    Quantity,
    /// A part of a window's or alert's key.
    Key,
    /// A field of a window.
    Field,
}

impl Role {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Tag, "tag"), (Self::Quantity, "quantity"), (Self::Key, "key"), (Self::Field, "field")];

    /// The word in the manifest.
    pub(super) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(role, _)| *role == self).map_or("", |(_, word)| word)
    }

    /// The role a word stands for.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(role, _)| *role)
    }

    /// Whether the column holds text; otherwise floats.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Tag | Self::Key)
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name in SQL and in files.
    pub(super) name: String,
    /// What it holds.
    pub(super) role: Role,
    /// What the tag, quantity, key part or field is called.
    pub(super) source: Arc<str>,
    /// Its unit; empty for text.
    pub(super) unit: Arc<str>,
    /// Decimals a quantity keeps.
    pub(super) decimals: u8,
}

impl Column {
    /// As files and queries see it: nullable, the unit in its metadata.
    pub(super) fn field(&self) -> Field {
        let kind = if self.role.is_text() { DataType::Utf8 } else { DataType::Float64 };
        let field = Field::new(&self.name, kind, true);
        if self.role.is_text() {
            return field;
        }
        let mut metadata = HashMap::from([("unit".to_owned(), self.unit.to_string())]);
        if self.role == Role::Quantity {
            metadata.insert("decimals".to_owned(), self.decimals.to_string());
        }
        field.with_metadata(metadata)
    }
}

/// The columns of one table, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    list: Vec<Column>,
    by_source: HashMap<(Role, Arc<str>, Arc<str>), usize>,
}

impl Columns {
    /// All of them.
    pub(super) fn list(&self) -> &[Column] {
        &self.list
    }

    /// The number of a column, if it was given.
    pub(super) fn find(&self, role: Role, source: &Arc<str>, unit: &Arc<str>) -> Option<usize> {
        self.by_source.get(&(role, source.clone(), unit.clone())).copied()
    }

    /// Gives a new column a name that neither `fixed` nor another column has.
    pub(super) fn add(
        &mut self,
        role: Role,
        source: &Arc<str>,
        unit: &Arc<str>,
        decimals: u8,
        fixed: &[&str],
    ) -> usize {
        let prefix = match role {
            Role::Tag | Role::Key => "tag",
            Role::Quantity => "quantity",
            Role::Field => "field",
        };
        let other_unit = self.list.iter().any(|column| column.role == role && column.source == *source);
        let second =
            if other_unit { format!("{source}_{}", name::plain(unit)) } else { format!("{prefix}_{source}") };
        let mut candidates =
            [source.to_string(), second.clone()].into_iter().chain((2..).map(|n| format!("{second}_{n}")));
        // Compared without case: other programs that read the files do not tell `PM25` from `pm25`.
        let taken = |name: &str| {
            name.is_empty()
                || fixed.iter().any(|fixed| fixed.eq_ignore_ascii_case(name))
                || self.list.iter().any(|column| column.name.eq_ignore_ascii_case(name))
        };
        let name = candidates.find(|name| !taken(name)).unwrap_or(second);
        self.restore(Column { name, role, source: source.clone(), unit: unit.clone(), decimals })
    }

    /// Takes in a column that the manifest holds.
    pub(super) fn restore(&mut self, column: Column) -> usize {
        let number = self.list.len();
        self.by_source.insert((column.role, column.source.clone(), column.unit.clone()), number);
        self.list.push(column);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(columns: &Columns) -> Vec<&str> {
        columns.list().iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn names_never_clash_and_never_pass_on() {
        let mut columns = Columns::default();
        for (role, source, unit) in [
            (Role::Quantity, "zone", "1"),
            (Role::Tag, "zone", ""),
            (Role::Tag, "time", ""),
            (Role::Quantity, "temp", "Cel"),
            (Role::Quantity, "temp", "K"),
            (Role::Quantity, "temp", "deg F/2"),
            (Role::Quantity, "TEMP", "Cel"),
            (Role::Tag, "zone_1", ""),
            (Role::Field, "", ""),
        ] {
            columns.add(role, &source.into(), &unit.into(), 0, &["time"]);
        }
        let want = [
            "zone",
            "tag_zone",
            "tag_time",
            "temp",
            "temp_k",
            "temp_deg_f_2",
            "quantity_TEMP",
            "zone_1",
            "field_",
        ];
        assert_eq!(names(&columns), want);
        assert_eq!(columns.find(Role::Tag, &"zone".into(), &"".into()), Some(1));
    }
}
