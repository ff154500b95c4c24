//! Raw events in memory: one wide row each.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanBufferBuilder, Float64Array, RecordBatch, UInt64Array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::error::ArrowError;
use hashbrown::HashMap;

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
    cells: Vec<(u32, u32, f64)>,
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
        let columns = table.columns.list();
        // By column; those of tags stay empty.
        let rows_of = |role: Role| if role == Role::Quantity { rows } else { 0 };
        let mut values: Vec<Floats> =
            columns.iter().map(|column| Floats::new(rows_of(column.role))).collect();
        for (row, column, value) in self.cells {
            values.get_mut(column as usize).map(|floats| floats.put(row as usize, value));
        }
        let more = columns.iter().zip(values).enumerate().map(|(number, (column, floats))| -> ArrayRef {
            if column.role == Role::Quantity {
                return floats.finish();
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

/// A column of floats whose values come in any order.
struct Floats {
    values: Vec<f64>,
    present: BooleanBufferBuilder,
}

impl Floats {
    fn new(rows: usize) -> Self {
        let mut present = BooleanBufferBuilder::new(rows);
        present.append_n(rows, false);
        Self { values: vec![0.0; rows], present }
    }

    fn put(&mut self, row: usize, value: f64) {
        if let Some(slot) = self.values.get_mut(row) {
            *slot = value;
            self.present.set_bit(row, true);
        }
    }

    fn finish(mut self) -> ArrayRef {
        let present = NullBuffer::new(self.present.finish());
        Arc::new(Float64Array::new(self.values.into(), Some(present).filter(|rows| rows.null_count() > 0)))
    }
}

/// Finds table and columns of an event without looking names up again.
#[derive(Debug, Default)]
pub(super) struct RawIndex {
    /// By feed id.
    feeds: Vec<Option<FeedIndex>>,
}

/// What is known of one feed's events.
#[derive(Debug)]
struct FeedIndex {
    table: usize,
    /// Column and decimals, by quantity id.
    quantities: Vec<Option<(usize, u8)>>,
    tag_sets: HashMap<TagSetId, TagCells>,
}

impl RawIndex {
    /// The number of a feed's table.
    pub(super) fn table(
        &mut self,
        feed: FeedId,
        tables: &mut Tables,
        dictionary: &Dictionary,
    ) -> Option<usize> {
        if let Some(Some(known)) = self.feeds.get(feed.index()) {
            return Some(known.table);
        }
        let table = tables.find_or_add(Subject::Raw { feed: dictionary.feed(feed)?.clone() });
        if self.feeds.len() <= feed.index() {
            self.feeds.resize_with(feed.index() + 1, || None);
        }
        if let Some(place) = self.feeds.get_mut(feed.index()) {
            *place = Some(FeedIndex { table, quantities: Vec::new(), tag_sets: HashMap::new() });
        }
        Some(table)
    }

    /// Adds an event's row; returns its bytes, by estimate.
    pub(super) fn push(
        &mut self,
        (sequence, event): (u64, &Event),
        (batch, dictionary): (&Batch, &Dictionary),
        tables: &mut Tables,
        rows: &mut RawRows,
    ) -> Result<u64, StoreError> {
        let unknown = |what| move || StoreError::Dictionary { sequence, what };
        let index = self.feeds.get_mut(event.feed.index()).and_then(Option::as_mut);
        let index = index.ok_or_else(unknown("feed"))?;
        let (_, sensor) = dictionary.device(event.device).ok_or_else(unknown("device"))?;
        // Quantities first: in a clash of names the quantity keeps its own.
        // The tail's bound keeps both far below.
        let row = rows.time.len() as u32;
        let cells_before = rows.cells.len();
        for reading in batch.readings_of(event) {
            let (column, decimals) =
                index.quantity(reading.quantity, tables, dictionary).ok_or_else(unknown("quantity"))?;
            rows.cells.push((row, column as u32, reading.value.to_f64(decimals)));
        }
        let tags = index.tag_set(event.tags, tables, dictionary).ok_or_else(unknown("tags"))?;
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
}

impl FeedIndex {
    fn quantity(
        &mut self,
        id: QuantityId,
        tables: &mut Tables,
        dictionary: &Dictionary,
    ) -> Option<(usize, u8)> {
        if let Some(Some(known)) = self.quantities.get(id.index()) {
            return Some(*known);
        }
        let quantity = dictionary.quantity(id)?;
        let (name, unit) = (Arc::from(&*quantity.name), Arc::from(&*quantity.unit));
        let column = tables.column(self.table, Role::Quantity, &name, &unit, quantity.decimals)?;
        if self.quantities.len() <= id.index() {
            self.quantities.resize(id.index() + 1, None);
        }
        if let Some(place) = self.quantities.get_mut(id.index()) {
            *place = Some((column, quantity.decimals));
        }
        Some((column, quantity.decimals))
    }

    fn tag_set(&mut self, id: TagSetId, tables: &mut Tables, dictionary: &Dictionary) -> Option<TagCells> {
        if let Some(known) = self.tag_sets.get(&id) {
            return Some(known.clone());
        }
        let no_unit = Arc::from("");
        let cells: Option<Vec<_>> = dictionary
            .tags(id)?
            .iter()
            .map(|(name, value)| {
                Some((tables.column(self.table, Role::Tag, name, &no_unit, 0)?, value.clone()))
            })
            .collect();
        let cells: TagCells = cells?.into();
        self.tag_sets.insert(id, cells.clone());
        Some(cells)
    }
}
