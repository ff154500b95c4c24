//! The readings of one event before the dictionary knows its quantities.
//!
//! A feed's own quantities are one table that all its events share, and a reading of one of them is
//! its place there: no count is kept for it, which many connections would have to share. Quantities
//! that a message brings along stand beside it.

use std::sync::Arc;

use super::arrival::{DecodedReading, Quantity};
use super::decimal::Value;

/// The quantities that a feed's decoder knows beforehand.
pub type QuantityTable = Arc<[Arc<Quantity>]>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    table: Option<QuantityTable>,
    list: Vec<(Of, Value)>,
}

/// Where a reading's quantity stands.
#[derive(Clone, Debug)]
enum Of {
    /// At this place of the table.
    Table(u32),
    /// Beside it.
    Own(Arc<Quantity>),
}

/// One value of one quantity, as it stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundReading<'a> {
    /// Which quantity.
    pub quantity: &'a Arc<Quantity>,
    /// Its exact value, at the quantity's decimals.
    pub value: Value,
}

impl Readings {
    /// None yet; there is room for one of each quantity of the table.
    #[must_use]
    pub fn of(table: &QuantityTable) -> Self {
        Self { table: Some(table.clone()), list: Vec::with_capacity(table.len()) }
    }

    /// Adds a value of the quantity at this place of the table; where there is none, nothing.
    pub fn add(&mut self, place: u32, value: Value) {
        let known = self.table.as_ref().is_some_and(|table| (place as usize) < table.len());
        debug_assert!(known, "quantity {place} is not of the table");
        if known {
            self.list.push((Of::Table(place), value));
        }
    }

    /// Adds a reading of another quantity.
    pub fn push(&mut self, reading: DecodedReading) {
        self.list.push((Of::Own(reading.quantity), reading.value));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them in their order.
    pub fn iter(&self) -> impl Iterator<Item = FoundReading<'_>> {
        let table = self.table.as_deref().unwrap_or_default();
        self.list.iter().filter_map(|(of, value)| {
            let quantity = match of {
                Of::Table(place) => table.get(*place as usize)?,
                Of::Own(quantity) => quantity,
            };
            Some(FoundReading { quantity, value: *value })
        })
    }
}

impl PartialEq for Readings {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl FromIterator<DecodedReading> for Readings {
    fn from_iter<I: IntoIterator<Item = DecodedReading>>(readings: I) -> Self {
        let list = readings.into_iter().map(|reading| (Of::Own(reading.quantity), reading.value)).collect();
        Self { table: None, list }
    }
}

impl From<Vec<DecodedReading>> for Readings {
    fn from(readings: Vec<DecodedReading>) -> Self {
        readings.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(name: &str) -> Arc<Quantity> {
        Arc::new(Quantity { name: name.into(), unit: "".into(), decimals: 0 })
    }

    #[test]
    fn readings_of_the_table_and_others_keep_their_order() {
        let table: QuantityTable = ["a", "b", "c"].map(quantity).into();
        let mut readings = Readings::of(&table);
        assert!(readings.is_empty());
        readings.push(DecodedReading { quantity: quantity("x"), value: Value(1) });
        readings.add(2, Value(2));
        readings.add(0, Value(3));
        let found: Vec<(&str, i64)> = readings.iter().map(|one| (&*one.quantity.name, one.value.0)).collect();
        assert_eq!((readings.len(), found), (3, vec![("x", 1), ("c", 2), ("a", 3)]));
    }

    #[test]
    fn equal_readings_are_equal_wherever_their_quantities_stand() {
        let mut placed = Readings::of(&["a", "b"].map(quantity).into());
        placed.add(1, Value(7));
        let pushed = |value| Readings::from(vec![DecodedReading { quantity: quantity("b"), value }]);
        assert_eq!(placed, pushed(Value(7)));
        assert_ne!(placed, pushed(Value(8)));
    }
}
