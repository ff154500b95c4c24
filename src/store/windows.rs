//! Aggregates for the API: the last revision of each window, as plain rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, UInt64Type};
use datafusion::common::TableReference;
use datafusion::prelude::{ident, lit};

use super::column::Role;
use super::error::StoreError;
use super::options::QueryLimits;
use super::query::run;
use super::readings::{time_range, times};
use super::session::Session;
use super::table::{Subject, Table};
use crate::model::Timestamp;

/// Which windows.
#[derive(Clone, Debug, Default)]
pub struct AggregatesFilter {
    /// Of this pipeline.
    pub pipeline: String,
    /// Of this window.
    pub window: String,
    /// Only with these key parts.
    pub key: Vec<(String, String)>,
    /// Starting here or later.
    pub from: Option<Timestamp>,
    /// Starting before.
    pub to: Option<Timestamp>,
    /// At most so many rows, the newest.
    pub limit: usize,
}

/// One window's last revision.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateRow {
    /// Start.
    pub time: Timestamp,
    /// End.
    pub end: Timestamp,
    /// The key's parts, by name.
    pub key: Vec<(Arc<str>, String)>,
    /// Journal sequence of the last record that changed the window.
    pub revision: u64,
    /// Events counted.
    pub count: u64,
    /// Counted share of the expected events.
    pub capture: Option<f64>,
    /// Whether the capture reaches the window's `capture_min`.
    pub sufficient: bool,
    /// Values by field; null where there is no data.
    pub fields: Vec<(Arc<str>, Option<f64>)>,
}

/// The windows that match, oldest first, and whether older ones were cut off. A window that
/// published nothing yet has no rows.
pub(super) async fn read(
    session: &Session,
    filter: &AggregatesFilter,
    limits: &QueryLimits,
) -> Result<(Vec<AggregateRow>, bool), StoreError> {
    let fault = |error| StoreError::of_query(error, limits.memory_bytes);
    let subject =
        Subject::Window { pipeline: filter.pipeline.as_str().into(), window: filter.window.as_str().into() };
    let Some(view) = session.views.iter().find(|view| view.table.subject == subject) else {
        return Ok((Vec::new(), false));
    };
    let table = &view.table;
    let mut wanted: Vec<_> = time_range(filter.from, filter.to).collect();
    for (name, value) in &filter.key {
        let column = table
            .columns_of(Role::Key)
            .find(|column| *column.source == **name)
            .ok_or_else(|| StoreError::Unknown(format!("key part `{name}` in window `{}`", filter.window)))?;
        wanted.push(ident(column.name.as_str()).eq(lit(value.as_str())));
    }
    let mut frame = session.context.table(TableReference::bare(table.name.as_str())).await.map_err(fault)?;
    for condition in wanted {
        frame = frame.filter(condition).map_err(fault)?;
    }
    let keys = table.key_columns().into_iter().map(|key| ident(key).sort(false, false));
    let newest_first = [ident("time").sort(false, false)].into_iter().chain(keys).collect();
    let frame = frame
        .sort(newest_first)
        .and_then(|frame| frame.limit(0, Some(filter.limit.saturating_add(1))))
        .map_err(fault)?;
    let limits = QueryLimits { rows_max: filter.limit, ..*limits };
    let result = run(session, frame, &limits).await?;
    let mut rows: Vec<_> = result.batches().iter().flat_map(|batch| rows_of(table, batch)).collect();
    rows.reverse();
    Ok((rows, result.truncated()))
}

fn rows_of(table: &Table, batch: &RecordBatch) -> Vec<AggregateRow> {
    let column = |name: &str| batch.column_by_name(name).cloned();
    let (Some(count), Some(revision), Some(sufficient), Some(capture)) =
        (column("count"), column("revision"), column("sufficient"), column("capture"))
    else {
        return Vec::new();
    };
    let named = |role| -> Vec<(Arc<str>, ArrayRef)> {
        table.columns_of(role).filter_map(|own| Some((own.source.clone(), column(&own.name)?))).collect()
    };
    let (keys, fields) = (named(Role::Key), named(Role::Field));
    let (starts, ends) = (times(batch, 0), times(batch, 1));
    let row_of = |(row, (time, end)): (usize, (&Option<Timestamp>, &Option<Timestamp>))| {
        let part = |(name, values): &(Arc<str>, ArrayRef)| {
            values.is_valid(row).then(|| (name.clone(), values.as_string::<i32>().value(row).to_owned()))
        };
        Some(AggregateRow {
            time: (*time)?,
            end: (*end)?,
            key: keys.iter().filter_map(part).collect(),
            revision: revision.as_primitive::<UInt64Type>().value(row),
            count: count.as_primitive::<UInt64Type>().value(row),
            capture: float(&capture, row),
            sufficient: sufficient.as_boolean().value(row),
            fields: fields.iter().map(|(name, values)| (name.clone(), float(values, row))).collect(),
        })
    };
    starts.iter().zip(&ends).enumerate().filter_map(row_of).collect()
}

fn float(values: &ArrayRef, row: usize) -> Option<f64> {
    values.is_valid(row).then(|| values.as_primitive::<Float64Type>().value(row))
}
