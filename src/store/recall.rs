//! What a journal whose beginning was removed no longer tells: the last readings of sensors that
//! have been silent since, and the accounts of past hours.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, UInt64Type};
use datafusion::common::TableReference;
use datafusion::error::Result as PlanResult;
use datafusion::functions_aggregate::first_last::last_value;
use datafusion::logical_expr::{Expr, ExprFunctionExt as _};
use datafusion::prelude::{ident, lit};

use super::column::{Column, Role};
use super::error::StoreError;
use super::options::QueryLimits;
use super::query::run;
use super::readings::{time_range, times};
use super::session::Session;
use super::table::{Subject, Table};
use crate::model::{Accounts, Timestamp};

/// Whose last readings.
#[derive(Clone, Debug)]
pub struct LastFilter {
    /// The feed.
    pub feed: Arc<str>,
    /// Sensors of it.
    pub sensors: Vec<Arc<str>>,
    /// From this event time on; all of it is gone through.
    pub from: Option<Timestamp>,
}

/// The last that is stored of a sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct LastRow {
    /// Sensor.
    pub sensor: String,
    /// Tags of its last event, by name.
    pub tags: Vec<(Arc<str>, String)>,
    /// Its last event time.
    pub event_at: Timestamp,
    /// The arrival time of that event.
    pub arrived_at: Timestamp,
    /// The latest reading of each quantity.
    pub readings: Vec<LastReading>,
}

/// The latest reading of one quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct LastReading {
    /// Quantity.
    pub quantity: Arc<str>,
    /// Unit.
    pub unit: Arc<str>,
    /// Value.
    pub value: f64,
    /// Event time.
    pub event_at: Timestamp,
}

/// The accounts of one feed in one hour of arrival.
pub type FeedHour = (Timestamp, String, Accounts);

/// The last rows of those sensors that have any.
pub(super) async fn last_rows(
    session: &Session,
    filter: &LastFilter,
    limits: &QueryLimits,
) -> Result<Vec<LastRow>, StoreError> {
    let of_feed = |table: &Table| matches!(&table.subject, Subject::Raw { feed } if **feed == *filter.feed);
    let Some(view) = session.views.iter().find(|view| of_feed(&view.table)) else { return Ok(Vec::new()) };
    let fault = |error| StoreError::of_query(error, limits.memory_bytes);
    let names = filter.sensors.iter().map(|sensor| lit(&**sensor)).collect();
    let mut wanted = ident("sensor").in_list(names, false);
    for condition in time_range(filter.from, None) {
        wanted = wanted.and(condition);
    }
    let table = session.context.table(TableReference::bare(view.table.name.as_str())).await.map_err(fault)?;
    let frame = table
        .filter(wanted)
        .and_then(|rows| rows.aggregate(vec![ident("sensor")], last_values(&view.table)?))
        .map_err(fault)?;
    let limits = QueryLimits { rows_max: filter.sensors.len(), ..*limits };
    let result = run(session, frame, &limits).await?;
    Ok(result.batches().iter().flat_map(|batch| rows_of(batch, &view.table)).collect())
}

/// Event and arrival time, then tags, then each quantity with its event time: in this order.
fn last_values(table: &Table) -> PlanResult<Vec<Expr>> {
    let order = || vec![ident("time").sort(true, false), ident("sequence").sort(true, false)];
    let last = |name: &str| last_value(ident(name), order());
    let mut values = vec![last("time"), last("arrived_at")];
    values.extend(table.columns_of(Role::Tag).map(|column| last(&column.name)));
    for column in table.columns_of(Role::Quantity) {
        for name in [column.name.as_str(), "time"] {
            values.push(last(name).filter(ident(column.name.as_str()).is_not_null()).build()?);
        }
    }
    // Their own names would be the same for several.
    Ok(values.into_iter().enumerate().map(|(number, value)| value.alias(format!("last_{number}"))).collect())
}

fn rows_of(batch: &RecordBatch, table: &Table) -> Vec<LastRow> {
    let (tags, quantities): (Vec<_>, Vec<_>) =
        (table.columns_of(Role::Tag).collect(), table.columns_of(Role::Quantity).collect());
    let Some(sensors) = batch.columns().first().and_then(|column| column.as_string_opt::<i32>()) else {
        return Vec::new();
    };
    let (event_at, arrived_at) = (times(batch, 1), times(batch, 2));
    let mut rows: Vec<LastRow> = Vec::new();
    for (number, (event_at, arrived_at)) in event_at.into_iter().zip(arrived_at).enumerate() {
        let (Some(event_at), Some(arrived_at)) = (event_at, arrived_at) else { continue };
        let text = |(at, column): (usize, &&Column)| {
            let values = batch.columns().get(3 + at)?.as_string_opt::<i32>()?;
            (!values.is_null(number)).then(|| (column.source.clone(), values.value(number).to_owned()))
        };
        let reading = |(at, column): (usize, &&Column)| {
            let first = 3 + tags.len() + 2 * at;
            let values = batch.columns().get(first)?.as_primitive_opt::<Float64Type>()?;
            let event_at = times(batch, first + 1).get(number).copied().flatten()?;
            let value = (!values.is_null(number)).then(|| values.value(number))?;
            Some(LastReading { quantity: column.source.clone(), unit: column.unit.clone(), value, event_at })
        };
        rows.push(LastRow {
            sensor: sensors.value(number).to_owned(),
            tags: tags.iter().enumerate().filter_map(text).collect(),
            event_at,
            arrived_at,
            readings: quantities.iter().enumerate().filter_map(reading).collect(),
        });
    }
    rows
}

/// The accounts of the feeds for each hour from `from` up to and with the one that begins at `to`.
pub(super) async fn feed_hours(
    session: &Session,
    (from, to): (Timestamp, Timestamp),
    limits: &QueryLimits,
) -> Result<Vec<FeedHour>, StoreError> {
    let fault = |error| StoreError::of_query(error, limits.memory_bytes);
    if !session.views.iter().any(|view| view.table.subject == Subject::Accounts) {
        return Ok(Vec::new());
    }
    let mut frame = session.context.table(TableReference::bare("accounts")).await.map_err(fault)?;
    for condition in time_range(Some(from), Some(Timestamp(to.0.saturating_add(1)))) {
        frame = frame.filter(condition).map_err(fault)?;
    }
    let columns = ["time", "feed"].into_iter().chain(Accounts::NAMES.iter().copied());
    let frame = frame.select(columns.map(ident).collect::<Vec<_>>()).map_err(fault)?;
    let result = run(session, frame, limits).await?;
    Ok(result.batches().iter().flat_map(hours_of).collect())
}

fn hours_of(batch: &RecordBatch) -> Vec<FeedHour> {
    let Some(feeds) = batch.columns().get(1).and_then(|column| column.as_string_opt::<i32>()) else {
        return Vec::new();
    };
    let row_of = |(row, hour): (usize, Option<Timestamp>)| {
        let mut counters = [0_u64; Accounts::NAMES.len()];
        for (slot, column) in counters.iter_mut().zip(batch.columns().iter().skip(2)) {
            *slot = column.as_primitive_opt::<UInt64Type>()?.value(row);
        }
        Some((hour?, feeds.value(row).to_owned(), Accounts::from_array(counters)))
    };
    times(batch, 0).into_iter().enumerate().filter_map(row_of).collect()
}
