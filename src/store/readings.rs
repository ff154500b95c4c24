//! Readings for the API: plain rows, out of the tables of the feeds.
//!
//! What a caller asks for becomes expressions, never text of a statement.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, TimestampNanosecondType};
use datafusion::common::{ScalarValue, TableReference};
use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};

use super::column::{Column, Role};
use super::error::StoreError;
use super::options::QueryLimits;
use super::query::run;
use super::session::Session;
use super::table::{Subject, Table};
use crate::model::Timestamp;

/// Which readings.
#[derive(Clone, Debug, Default)]
pub struct ReadingsFilter {
    /// Only this sensor's.
    pub sensor: Option<String>,
    /// Only this feed's.
    pub feed: Option<String>,
    /// Only of this quantity.
    pub quantity: Option<String>,
    /// From this event time on.
    pub from: Option<Timestamp>,
    /// Before this event time.
    pub to: Option<Timestamp>,
    /// At most so many rows, the newest.
    pub limit: usize,
}

/// One reading.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadingRow {
    /// Event time.
    pub time: Timestamp,
    /// Sensor.
    pub sensor: String,
    /// Feed.
    pub feed: Arc<str>,
    /// Quantity.
    pub quantity: Arc<str>,
    /// Unit.
    pub unit: Arc<str>,
    /// Value.
    pub value: f64,
}

/// The readings that match, oldest first, and whether older ones were cut off.
pub(super) async fn read(
    session: &Session,
    filter: &ReadingsFilter,
    limits: &QueryLimits,
) -> Result<(Vec<ReadingRow>, bool), StoreError> {
    let mut rows = Vec::new();
    let mut truncated = false;
    for view in &session.views {
        let Subject::Raw { feed } = &view.table.subject else { continue };
        if filter.feed.as_ref().is_some_and(|wanted| **wanted != **feed) {
            continue;
        }
        for column in view.table.columns_of(Role::Quantity) {
            if filter.quantity.as_ref().is_none_or(|wanted| **wanted == *column.source) {
                truncated |=
                    read_column(session, filter, limits, (feed, &view.table, column), &mut rows).await?;
            }
        }
    }
    rows.sort_by(|a, b| {
        (a.time, &a.sensor, &a.feed, &a.quantity).cmp(&(b.time, &b.sensor, &b.feed, &b.quantity))
    });
    let older = rows.len().saturating_sub(filter.limit);
    rows.drain(..older);
    Ok((rows, truncated || older > 0))
}

async fn read_column(
    session: &Session,
    filter: &ReadingsFilter,
    limits: &QueryLimits,
    (feed, table, column): (&Arc<str>, &Table, &Column),
    rows: &mut Vec<ReadingRow>,
) -> Result<bool, StoreError> {
    let fault = |error| StoreError::of_query(error, limits.memory_bytes);
    let mut wanted = vec![ident(column.name.as_str()).is_not_null()];
    wanted.extend(time_range(filter.from, filter.to));
    wanted.extend(filter.sensor.as_ref().map(|sensor| ident("sensor").eq(lit(sensor.as_str()))));
    let mut frame = session.context.table(TableReference::bare(table.name.as_str())).await.map_err(fault)?;
    for condition in wanted {
        frame = frame.filter(condition).map_err(fault)?;
    }
    let newest_first = ["time", "sensor", "sequence"].map(|column| ident(column).sort(false, false)).to_vec();
    let frame = frame
        .sort(newest_first)
        .and_then(|frame| frame.limit(0, Some(filter.limit.saturating_add(1))))
        .and_then(|frame| frame.select(vec![ident("time"), ident("sensor"), ident(column.name.as_str())]))
        .map_err(fault)?;
    let limits = QueryLimits { rows_max: filter.limit, ..*limits };
    let result = run(session, frame, &limits).await?;
    for batch in result.batches() {
        for (row, time) in times(batch, 0).into_iter().enumerate() {
            let (sensor, value) =
                (batch.column(1).as_string::<i32>(), batch.column(2).as_primitive::<Float64Type>());
            let (Some(time), quantity, unit) = (time, column.source.clone(), column.unit.clone()) else {
                continue;
            };
            let (sensor, value) = (sensor.value(row).to_owned(), value.value(row));
            rows.push(ReadingRow { time, sensor, feed: feed.clone(), quantity, unit, value });
        }
    }
    Ok(result.truncated())
}

/// Conditions for `from <= time < to`.
pub(super) fn time_range(from: Option<Timestamp>, to: Option<Timestamp>) -> impl Iterator<Item = Expr> {
    let instant = |at: Timestamp| lit(ScalarValue::TimestampNanosecond(Some(at.0), Some("UTC".into())));
    let from = from.map(|from| ident("time").gt_eq(instant(from)));
    from.into_iter().chain(to.map(|to| ident("time").lt(instant(to))))
}

/// The instants of a column.
pub(super) fn times(batch: &RecordBatch, column: usize) -> Vec<Option<Timestamp>> {
    let Some(column) = batch.columns().get(column) else { return Vec::new() };
    let column = column.as_primitive::<TimestampNanosecondType>();
    column.iter().map(|time| time.map(Timestamp)).collect()
}
