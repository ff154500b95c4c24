//! Accounts: what became of messages, events and readings, by feed, sensor and hour of arrival.
//!
//! The files hold parts that add up, one a flush: of each feed all its counters, of a sensor what
//! it sent and was not stored. The view `accounts` adds the feeds' parts; `sensor_accounts` adds
//! to the sensors' parts the rows that the tables of the feeds hold, so that what is stored is
//! counted where it lies.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, TableReference};
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, cast};
use datafusion::prelude::{DataFrame, SessionContext, date_trunc, ident, lit};

use super::column::Role;
use super::error::StoreError;
use super::options::QueryLimits;
use super::parquet::{instants, texts};
use super::query::run;
use super::readings::times;
use super::session::Session;
use super::table::{Subject, Table};
use crate::model::time::SECOND;
use crate::model::{Accounts, Batch, Dictionary, Timestamp};

/// The view of sensors.
const SENSOR_VIEW: &str = "sensor_accounts";
const HOUR: i64 = 3_600 * SECOND;
/// Bytes of a row, by estimate.
const ROW_BYTES: u64 = 250;
/// The counters of a sensor: messages are the feed's.
const OF_SENSORS: std::ops::Range<usize> = 7..Accounts::NAMES.len();

/// Counts by hour, feed and sensor, not yet columns.
#[derive(Debug, Default)]
pub(super) struct AccountRows(BTreeMap<(i64, Arc<str>, Option<Arc<str>>), Accounts>);

impl AccountRows {
    /// Whether nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a batch's accounts; returns the bytes of new rows, by estimate.
    pub(super) fn push(&mut self, batch: &Batch, dictionary: &Dictionary) -> u64 {
        let before = self.0.len();
        let hour = batch.arrived_at.0 - batch.arrived_at.0.rem_euclid(HOUR);
        for part in &batch.accounts {
            let Some(feed) = dictionary.feed(part.feed) else { continue };
            self.0.entry((hour, feed.clone(), None)).or_default().add(&part.delta);
        }
        for part in &batch.devices {
            let Some((feed, sensor)) = dictionary.device(part.device) else { continue };
            let Some(feed) = dictionary.feed(*feed) else { continue };
            self.0.entry((hour, feed.clone(), Some(sensor.clone()))).or_default().add(&part.delta);
        }
        (self.0.len() - before) as u64 * ROW_BYTES
    }

    /// The rows as columns of the table.
    pub(super) fn batch(self, table: &Table) -> std::result::Result<RecordBatch, ArrowError> {
        let keys = || self.0.keys();
        let counts: Vec<_> = self.0.values().map(Accounts::to_array).collect();
        let counter = |number: usize| -> ArrayRef {
            let counts = counts.iter().map(|row| row.get(number).copied().unwrap_or_default());
            Arc::new(UInt64Array::from_iter_values(counts))
        };
        let mut columns: Vec<ArrayRef> = vec![
            instants(keys().map(|(hour, ..)| *hour).collect()),
            texts(keys().map(|(_, feed, _)| Some(&**feed))),
            texts(keys().map(|(.., sensor)| sensor.as_deref())),
        ];
        columns.extend((0..Accounts::NAMES.len()).map(counter));
        RecordBatch::try_new(table.schema().clone(), columns)
    }
}

/// Which accounts of a sensor.
#[derive(Clone, Debug, Default)]
pub struct AccountsFilter {
    /// The sensor.
    pub sensor: String,
    /// Only of this feed.
    pub feed: Option<String>,
    /// Only of the hour that begins here.
    pub hour: Option<Timestamp>,
    /// At most so many rows, the newest.
    pub limit: usize,
}

/// One sensor of one feed in one hour of arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountRow {
    /// Start of the hour.
    pub hour: Timestamp,
    /// The feed.
    pub feed: String,
    /// Counters of events and readings.
    pub counters: Accounts,
}

/// The accounts that match, the newest hour first, and whether older ones were cut off.
pub(super) async fn read(
    session: &Session,
    filter: &AccountsFilter,
    limits: &QueryLimits,
) -> std::result::Result<(Vec<AccountRow>, bool), StoreError> {
    let fault = |error| StoreError::of_query(error, limits.memory_bytes);
    if !session.views.iter().any(|view| view.table.subject == Subject::Accounts) {
        return Ok((Vec::new(), false));
    }
    let instant = |at: Timestamp| lit(ScalarValue::TimestampNanosecond(Some(at.0), Some("UTC".into())));
    let mut wanted = ident("sensor").eq(lit(filter.sensor.as_str()));
    if let Some(feed) = &filter.feed {
        wanted = wanted.and(ident("feed").eq(lit(feed.as_str())));
    }
    if let Some(hour) = filter.hour {
        wanted = wanted.and(ident("time").eq(instant(hour)));
    }
    let frame = session.context.table(TableReference::bare(SENSOR_VIEW)).await.map_err(fault)?;
    let frame = frame
        .filter(wanted)
        .and_then(|frame| frame.sort(vec![ident("time").sort(false, false), ident("feed").sort(true, false)]))
        .and_then(|frame| frame.limit(0, Some(filter.limit.saturating_add(1))))
        .map_err(fault)?;
    let limits = QueryLimits { rows_max: filter.limit, ..*limits };
    let result = run(session, frame, &limits).await?;
    Ok((result.batches().iter().flat_map(rows_of).collect(), result.truncated()))
}

fn rows_of(batch: &RecordBatch) -> Vec<AccountRow> {
    let Some(feeds) = batch.column_by_name("feed") else { return Vec::new() };
    let counter = |name: &str, row: usize| {
        let counts = batch.column_by_name(name)?.as_primitive_opt::<UInt64Type>()?;
        Some(counts.value(row))
    };
    let row_of = |(row, hour): (usize, Option<Timestamp>)| {
        let counts = Accounts::NAMES.iter().map(|name| counter(name, row).unwrap_or_default());
        let mut counters = [0_u64; Accounts::NAMES.len()];
        counters.iter_mut().zip(counts).for_each(|(slot, count)| *slot = count);
        let feed = feeds.as_string::<i32>().value(row).to_owned();
        Some(AccountRow { hour: hour?, feed, counters: Accounts::from_array(counters) })
    };
    times(batch, 0).into_iter().enumerate().filter_map(row_of).collect()
}

/// Makes the views `accounts` and `sensor_accounts` over the parts and the tables of the feeds.
pub(super) async fn register(context: &SessionContext, tables: &[&Table]) -> Result<()> {
    let Some(parts) = tables.iter().find(|table| table.subject == Subject::Accounts) else { return Ok(()) };
    let parts = context.table(TableReference::bare(parts.name.as_str())).await?;
    let feeds = parts.clone().filter(ident("sensor").is_null())?;
    let feeds = added(feeds, &["time", "feed"], Accounts::NAMES)?;
    context.register_table("accounts", feeds.into_view())?;

    let counters = Accounts::NAMES.get(OF_SENSORS).unwrap_or_default();
    let shown = ["time", "feed", "sensor"].into_iter().chain(counters.iter().copied());
    let mut sensors =
        parts.filter(ident("sensor").is_not_null())?.select(shown.map(ident).collect::<Vec<_>>())?;
    for table in tables {
        if let Subject::Raw { feed } = &table.subject {
            let rows = context.table(TableReference::bare(table.name.as_str())).await?;
            sensors = sensors.union(stored(rows, feed, table, counters)?)?;
        }
    }
    let sensors = added(sensors, &["time", "feed", "sensor"], counters)?;
    context.register_table(SENSOR_VIEW, sensors.into_view())?;
    Ok(())
}

/// The sums of the counters, by key.
fn added(parts: DataFrame, key: &[&str], counters: &[&str]) -> Result<DataFrame> {
    let sums: Vec<Expr> = counters.iter().map(|counter| sum(ident(*counter)).alias(*counter)).collect();
    parts.aggregate(key.iter().map(|name| ident(*name)).collect(), sums)
}

/// What a feed's table holds, as the counters of its sensors by hour of arrival.
fn stored(rows: DataFrame, feed: &str, table: &Table, counters: &[&str]) -> Result<DataFrame> {
    let unsigned = |counted: Expr| cast(counted, DataType::UInt64);
    let readings = table
        .columns_of(Role::Quantity)
        .map(|column| count(ident(column.name.as_str())))
        .reduce(|sum, next| sum + next)
        .unwrap_or_else(|| lit(0_i64));
    let hour = date_trunc(lit("hour"), ident("arrived_at")).alias("time");
    let counted = rows.aggregate(
        vec![hour, ident("sensor")],
        vec![unsigned(count(lit(1))).alias("events"), unsigned(readings).alias("readings")],
    )?;
    let counter = |name: &&str| match *name {
        "events_found" | "events_stored" => ident("events").alias(*name),
        "readings_found" | "readings_stored" => ident("readings").alias(*name),
        other => lit(0_u64).alias(other),
    };
    let key = [ident("time"), lit(feed).alias("feed"), ident("sensor")];
    counted.select(key.into_iter().chain(counters.iter().map(counter)).collect::<Vec<_>>())
}
