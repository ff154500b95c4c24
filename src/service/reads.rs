//! The embedded store as the API reads it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::api::accounts::Account;
use crate::api::reads::{
    AccountsQuery, AggregateRow, AggregatesQuery, QUERY_BYTES_MAX, QueryFormat, QueryResult, ReadError,
    ReadingRow, ReadingsQuery, Reads, Rows, SqlQuery,
};
use crate::config::sereno::Limits;
use crate::store::{AccountsFilter, AggregatesFilter, QueryLimits, ReadingsFilter, Store, StoreError};

/// See the module.
pub struct StoreReads {
    store: Arc<Store>,
    limits: QueryLimits,
}

impl StoreReads {
    /// Reads of `store`, bounded as configured.
    #[must_use]
    pub fn new(store: Arc<Store>, limits: &Limits) -> Self {
        Self { store, limits: query_limits(limits) }
    }
}

/// The configured bounds of a query.
#[must_use]
pub fn query_limits(limits: &Limits) -> QueryLimits {
    QueryLimits {
        rows_max: limits.query_rows_max as usize,
        time_max: Duration::from_nanos(u64::try_from(limits.query_time_max.0).unwrap_or(0)),
        memory_bytes: usize::try_from(limits.query_bytes_max.0).unwrap_or(usize::MAX),
    }
}

impl Reads for StoreReads {
    fn readings(&self, wanted: ReadingsQuery) -> BoxFuture<'_, Result<Rows<ReadingRow>, ReadError>> {
        async move {
            let filter = ReadingsFilter {
                sensor: wanted.sensor,
                feed: None,
                quantity: wanted.quantity,
                from: Some(wanted.from),
                to: Some(wanted.to),
                limit: wanted.limit,
            };
            let limits = QueryLimits { rows_max: wanted.limit, ..self.limits };
            let (rows, truncated) = self.store.readings(&filter, limits).await.map_err(read_error)?;
            let row = |row: crate::store::ReadingRow| ReadingRow {
                time: row.time.to_string(),
                sensor: row.sensor,
                feed: row.feed.to_string(),
                quantity: row.quantity.to_string(),
                value: row.value,
            };
            Ok(Rows { rows: rows.into_iter().map(row).collect(), truncated })
        }
        .boxed()
    }

    fn aggregates(&self, wanted: AggregatesQuery) -> BoxFuture<'_, Result<Rows<AggregateRow>, ReadError>> {
        async move {
            let filter = AggregatesFilter {
                pipeline: wanted.pipeline.clone(),
                window: wanted.window.clone(),
                key: wanted.key.into_iter().collect(),
                from: Some(wanted.from),
                to: Some(wanted.to),
                limit: wanted.limit,
            };
            let limits = QueryLimits { rows_max: wanted.limit, ..self.limits };
            let (rows, truncated) = self.store.aggregates(&filter, limits).await.map_err(read_error)?;
            let row = |row: crate::store::AggregateRow| AggregateRow {
                time: row.time.to_string(),
                end: row.end.to_string(),
                pipeline: wanted.pipeline.clone(),
                window: wanted.window.clone(),
                key: row.key.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
                revision: row.revision,
                count: row.count,
                capture: row.capture,
                fields: row.fields.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
            };
            Ok(Rows { rows: rows.into_iter().map(row).collect(), truncated })
        }
        .boxed()
    }

    fn sensor_accounts(&self, wanted: AccountsQuery) -> BoxFuture<'_, Result<Vec<Account>, ReadError>> {
        async move {
            let filter = AccountsFilter {
                sensor: wanted.sensor.clone(),
                feed: wanted.feed,
                hour: wanted.hour,
                limit: wanted.limit,
            };
            let limits = QueryLimits { rows_max: wanted.limit, ..self.limits };
            let (rows, _) = self.store.sensor_accounts(&filter, limits).await.map_err(read_error)?;
            let account = |row: &crate::store::AccountRow| {
                let sensor = Some(wanted.sensor.clone());
                Account { sensor, ..Account::of(&row.feed, row.hour, &row.counters) }
            };
            Ok(rows.iter().map(account).collect())
        }
        .boxed()
    }

    fn query(&self, wanted: SqlQuery) -> BoxFuture<'_, Result<QueryResult, ReadError>> {
        async move {
            let result = self.store.query(&wanted.sql, self.limits).await.map_err(read_error)?;
            let text = match wanted.format {
                QueryFormat::Json => result.to_json_array(),
                QueryFormat::Csv => result.to_csv(),
            };
            let text = text.map_err(read_error)?;
            if text.len() > QUERY_BYTES_MAX {
                let message = format!("the result is {} bytes, the most is {QUERY_BYTES_MAX}", text.len());
                return Err(ReadError::BadQuery { message, remedy: "ask for fewer rows or columns".into() });
            }
            Ok(QueryResult { body: Bytes::from(text), truncated: result.truncated() })
        }
        .boxed()
    }
}

/// What the API says of a store error.
fn read_error(error: StoreError) -> ReadError {
    match error {
        StoreError::NotAllowed(_) | StoreError::Query(_) | StoreError::Unknown(_) => {
            let remedy = "check the statement; `SHOW TABLES` lists what there is".into();
            ReadError::BadQuery { message: error.to_string(), remedy }
        }
        StoreError::TimeUp { .. } | StoreError::MemoryUp { .. } => {
            let remedy = "ask for a shorter range or fewer columns".into();
            ReadError::BadQuery { message: error.to_string(), remedy }
        }
        _ => ReadError::Failed { message: error.to_string() },
    }
}
