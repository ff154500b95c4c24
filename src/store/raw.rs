//! Raw events in memory: one wide row each.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, RecordBatch, UInt64Array};
use datafusion::arrow::error::ArrowError;

use super::column::Role;
use super::error::StoreError;
use super::parquet::{instants, texts};
use super::table::{Subject, Table, Tables};
use crate::model::dictionary::{FeedId, QuantityId, TagSetId};
use crate::model::{Batch, Dictionary, Event};

/// Bytes of a row beside its texts and values, by estimate.
const ROW_BYTES: u64 = 56;
/// Bytes of one value.
const CELL_BYTES: u64 = 16;

/// The columns and values of a tag set.
type TagCells = Arc<[(usize, Arc<str>)]>;

/// Rows of one feed, not yet columns.
#[derive(Debug, Default)]
pub(super) struct RawRows {
    time: Vec<i64>,
    arrived_at: Vec<i64>,
    sequence: Vec<u64>,
    sensor: Vec<Arc<str>>,
    counter: Vec<Option<u64>>,
    tags: Vec<TagCells>,
    /// Row, column, value.
    cells: Vec<(usize, usize, f64)>,
}

impl RawRows {
    /// Rows held.
    pub(super) fn len(&self) -> usize {
        self.time.len()
    }

    /// The rows as columns of the table.
    pub(super) fn batch(self, table: &Table) -> Result<RecordBatch, ArrowError> {
        let rows = self.time.len();
        let fixed: [ArrayRef; 5] = [
            instants(self.time),
            instants(self.arrived_at),
            Arc::new(UInt64Array::from(self.sequence)),
            texts(self.sensor.iter().map(|sensor| Some(&**sensor))),
            Arc::new(UInt64Array::from(self.counter)),
        ];
        let mut values: HashMap<usize, Vec<Option<f64>>> = HashMap::new();
        for (row, column, value) in self.cells {
            let slot = values.entry(column).or_insert_with(|| vec![None; rows]).get_mut(row);
            slot.map(|slot| *slot = Some(value));
        }
        let more = table.columns.list().iter().enumerate().map(|(number, column)| -> ArrayRef {
            if column.role == Role::Quantity {
                let values = values.remove(&number).unwrap_or_else(|| vec![None; rows]);
                return Arc::new(Float64Array::from(values));
            }
            texts(
                self.tags
                    .iter()
                    .map(|tags| tags.iter().find(|(column, _)| *column == number).map(|(_, value)| &**value)),
            )
        });
        let more: Vec<ArrayRef> = more.collect();
        RecordBatch::try_new(table.schema().clone(), fixed.into_iter().chain(more).collect())
    }
}

/// Finds table and columns of an event without looking names up again.
#[derive(Debug, Default)]
pub(super) struct RawIndex {
    tables: HashMap<FeedId, usize>,
    quantities: HashMap<(FeedId, QuantityId), (usize, u8)>,
    tag_sets: HashMap<(FeedId, TagSetId), TagCells>,
}

impl RawIndex {
    /// The number of a feed's table.
    pub(super) fn table(
        &mut self,
        feed: FeedId,
        tables: &mut Tables,
        dictionary: &Dictionary,
    ) -> Option<usize> {
        if let Some(table) = self.tables.get(&feed) {
            return Some(*table);
        }
        let table = tables.find_or_add(Subject::Raw { feed: dictionary.feed(feed)?.clone() });
        self.tables.insert(feed, table);
        Some(table)
    }

    /// Adds an event's row; returns its bytes, by estimate.
    pub(super) fn push(
        &mut self,
        (sequence, event): (u64, &Event),
        (batch, dictionary): (&Batch, &Dictionary),
        (number, tables): (usize, &mut Tables),
        rows: &mut RawRows,
    ) -> Result<u64, StoreError> {
        let unknown = |what| move || StoreError::Dictionary { sequence, what };
        let (_, sensor) = dictionary.device(event.device).ok_or_else(unknown("device"))?;
        // Quantities first: in a clash of names the quantity keeps its own.
        let row = rows.time.len();
        let cells_before = rows.cells.len();
        for reading in batch.readings_of(event) {
            let (column, decimals) = self
                .quantity(event.feed, reading.quantity, number, tables, dictionary)
                .ok_or_else(unknown("quantity"))?;
            rows.cells.push((row, column, reading.value.to_f64(decimals)));
        }
        let tags =
            self.tag_set(event.feed, event.tags, number, tables, dictionary).ok_or_else(unknown("tags"))?;
        let tag_bytes: usize = tags.iter().map(|(_, value)| value.len() + 4).sum();
        rows.time.push(event.event_at.0);
        rows.arrived_at.push(event.arrived_at.0);
        rows.sequence.push(sequence);
        rows.sensor.push(sensor.clone());
        rows.counter.push(event.counter);
        rows.tags.push(tags);
        let cells = (rows.cells.len() - cells_before) as u64;
        Ok(ROW_BYTES + CELL_BYTES * cells + (sensor.len() + tag_bytes) as u64)
    }

    fn quantity(
        &mut self,
        feed: FeedId,
        id: QuantityId,
        table: usize,
        tables: &mut Tables,
        dictionary: &Dictionary,
    ) -> Option<(usize, u8)> {
        if let Some(known) = self.quantities.get(&(feed, id)) {
            return Some(*known);
        }
        let quantity = dictionary.quantity(id)?;
        let (name, unit) = (Arc::from(&*quantity.name), Arc::from(&*quantity.unit));
        let column = tables.column(table, Role::Quantity, &name, &unit, quantity.decimals)?;
        self.quantities.insert((feed, id), (column, quantity.decimals));
        Some((column, quantity.decimals))
    }

    fn tag_set(
        &mut self,
        feed: FeedId,
        id: TagSetId,
        table: usize,
        tables: &mut Tables,
        dictionary: &Dictionary,
    ) -> Option<TagCells> {
        if let Some(known) = self.tag_sets.get(&(feed, id)) {
            return Some(known.clone());
        }
        let no_unit = Arc::from("");
        let cells: Option<Vec<_>> = dictionary
            .tags(id)?
            .iter()
            .map(|(name, value)| Some((tables.column(table, Role::Tag, name, &no_unit, 0)?, value.clone())))
            .collect();
        let cells: TagCells = cells?.into();
        self.tag_sets.insert((feed, id), cells.clone());
        Some(cells)
    }
}
