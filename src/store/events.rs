//! Events as they were taken in, handed over again: for a recompute that reaches back further than the
//! journal is kept.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, UInt64Type};
use datafusion::common::TableReference;
use datafusion::prelude::{DataFrame, ident, lit};
use futures::StreamExt as _;
use tokio::sync::mpsc::Sender;

use super::column::Role;
use super::error::StoreError;
use super::options::QueryLimits;
use super::readings::{time_range, times};
use super::session::Session;
use super::table::{Subject, Table};
use crate::model::Timestamp;

/// Events handed over at once, at most.
pub(super) const PIECE: usize = 1_000;
/// The fixed columns of a feed's table, which stand before those of tags and quantities.
const FIXED: usize = 5;

/// Which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsFilter {
    /// From this event time on.
    pub from: Timestamp,
    /// Before this event time.
    pub to: Timestamp,
    /// That came before this journal sequence.
    pub before: u64,
}

/// One event, by names.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Feed.
    pub feed: Arc<str>,
    /// Sensor.
    pub sensor: String,
    /// When the device measured.
    pub event_at: Timestamp,
    /// When the message came in.
    pub arrived_at: Timestamp,
    /// Journal sequence that it came under.
    pub sequence: u64,
    /// Frame counter or the device's own sequence number.
    pub counter: Option<u64>,
    /// Its tags, in the order of their names.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// Its readings: quantity, unit, value.
    pub readings: Vec<(Arc<str>, Arc<str>, f64)>,
}

/// How many events a range of event time holds.
pub(super) async fn count(
    session: &Session,
    (from, to): (Timestamp, Timestamp),
    limits: &QueryLimits,
) -> Result<u64, StoreError> {
    let fault = |error| StoreError::of_query(error, limits.memory_bytes);
    let mut sum = 0;
    for view in &session.views {
        if matches!(view.table.subject, Subject::Raw { .. }) {
            let frame = of_range(session, &view.table, (from, to), limits).await?;
            sum += frame.count().await.map_err(fault)? as u64;
        }
    }
    Ok(sum)
}

/// Hands the events over, a piece after the other; their number. Ends early when nobody takes them.
pub(super) async fn read(
    session: &Session,
    wanted: EventsFilter,
    pieces: &Sender<Vec<EventRow>>,
    limits: &QueryLimits,
) -> Result<u64, StoreError> {
    let fault = |error| StoreError::of_query(error, limits.memory_bytes);
    let mut handed = 0;
    for view in &session.views {
        let Subject::Raw { feed } = &view.table.subject else { continue };
        let frame = of_range(session, &view.table, (wanted.from, wanted.to), limits).await?;
        let frame = frame.filter(ident("sequence").lt(lit(wanted.before))).map_err(fault)?;
        let mut stream = frame.execute_stream().await.map_err(fault)?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(fault)?;
            for from in (0..batch.num_rows()).step_by(PIECE) {
                let piece = batch.slice(from, PIECE.min(batch.num_rows() - from));
                let rows = rows_of(&piece, feed, &view.table).ok_or_else(|| {
                    StoreError::Engine(format!("the rows of {} have other columns", view.table.name))
                })?;
                handed += rows.len() as u64;
                if pieces.send(rows).await.is_err() {
                    return Ok(handed);
                }
            }
        }
    }
    Ok(handed)
}

/// All columns of a feed's table, in the order of its schema, over a range of event time.
async fn of_range(
    session: &Session,
    table: &Table,
    (from, to): (Timestamp, Timestamp),
    limits: &QueryLimits,
) -> Result<DataFrame, StoreError> {
    let fault = |error| StoreError::of_query(error, limits.memory_bytes);
    let mut frame = session.context.table(TableReference::bare(table.name.as_str())).await.map_err(fault)?;
    for condition in time_range(Some(from), Some(to)) {
        frame = frame.filter(condition).map_err(fault)?;
    }
    Ok(frame)
}

/// `None` when a column is not what the table says.
fn rows_of(batch: &RecordBatch, feed: &Arc<str>, table: &Table) -> Option<Vec<EventRow>> {
    let (event_at, arrived_at) = (times(batch, 0), times(batch, 1));
    let sequences = batch.columns().get(2)?.as_primitive_opt::<UInt64Type>()?;
    let sensors = batch.columns().get(3)?.as_string_opt::<i32>()?;
    let counters = batch.columns().get(4)?.as_primitive_opt::<UInt64Type>()?;
    let mut rows = Vec::with_capacity(batch.num_rows());
    for (row, (event_at, arrived_at)) in event_at.into_iter().zip(arrived_at).enumerate() {
        rows.push(EventRow {
            feed: feed.clone(),
            sensor: sensors.value(row).to_owned(),
            event_at: event_at?,
            arrived_at: arrived_at?,
            sequence: sequences.value(row),
            counter: (!counters.is_null(row)).then(|| counters.value(row)),
            tags: Vec::new(),
            readings: Vec::new(),
        });
    }
    for (place, column) in table.columns.list().iter().enumerate() {
        let values = batch.columns().get(FIXED + place)?;
        if column.role == Role::Quantity {
            let values = values.as_primitive_opt::<Float64Type>()?;
            for (row, value) in rows.iter_mut().zip(values) {
                let reading = value.map(|value| (column.source.clone(), column.unit.clone(), value));
                row.readings.extend(reading);
            }
        } else {
            let values = values.as_string_opt::<i32>()?;
            for (row, value) in rows.iter_mut().zip(values) {
                row.tags.extend(value.map(|value| (column.source.clone(), Arc::from(value))));
            }
        }
    }
    rows.iter_mut().for_each(|row| row.tags.sort());
    Some(rows)
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
