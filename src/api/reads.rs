//! What the API asks of stored data. The embedded store answers; without it, [`NoStore`] says
//! what to do.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::accounts::Account;
use super::error::ApiError;
use crate::model::Timestamp;

/// Bytes of the result of one SQL query; an implementation stops there and says `truncated`.
pub const QUERY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rows of the result of one SQL query.
pub const QUERY_ROWS_MAX: usize = 100_000;

/// Stored data, read only. Implementations answer from the durable part and what is in memory.
pub trait Reads: Send + Sync {
    /// The newest `limit` readings of the range, the newest last.
    fn readings(&self, wanted: ReadingsQuery) -> BoxFuture<'_, Result<Rows<ReadingRow>, ReadError>>;

    /// The newest `limit` windows that begin in the range, the newest last; of each window only
    /// the last revision.
    fn aggregates(&self, wanted: AggregatesQuery) -> BoxFuture<'_, Result<Rows<AggregateRow>, ReadError>>;

    /// A sensor's accounts by hour of arrival, the newest first.
    fn sensor_accounts(&self, wanted: AccountsQuery) -> BoxFuture<'_, Result<Vec<Account>, ReadError>>;

    /// Runs one SQL query that only reads, held to [`QUERY_ROWS_MAX`] and [`QUERY_BYTES_MAX`].
    fn query(&self, wanted: SqlQuery) -> BoxFuture<'_, Result<QueryResult, ReadError>>;
}

/// Which readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingsQuery {
    /// Only this device.
    pub sensor: Option<String>,
    /// Only this quantity.
    pub quantity: Option<String>,
    /// Event time from, inclusive.
    pub from: Timestamp,
    /// Event time to, exclusive.
    pub to: Timestamp,
    /// Rows at most.
    pub limit: usize,
}

/// Which aggregates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregatesQuery {
    /// Pipeline.
    pub pipeline: String,
    /// Window.
    pub window: String,
    /// Values that parts of the key must have; `sensor` for the device.
    pub key: BTreeMap<String, String>,
    /// Start of the window from, inclusive.
    pub from: Timestamp,
    /// Start of the window to, exclusive.
    pub to: Timestamp,
    /// Rows at most.
    pub limit: usize,
}

/// Which accounts of a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountsQuery {
    /// The device.
    pub sensor: String,
    /// Only of this feed.
    pub feed: Option<String>,
    /// Only of the hour that begins here.
    pub hour: Option<Timestamp>,
    /// Rows at most.
    pub limit: usize,
}

/// Rows, and whether there were more.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rows<T> {
    /// The rows, the newest last.
    pub rows: Vec<T>,
    /// Whether the range holds more, older rows than the limit let through.
    pub truncated: bool,
}

/// One reading.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ReadingRow {
    /// Event time, RFC 3339 in UTC.
    pub time: String,
    /// Device.
    pub sensor: String,
    /// Feed.
    pub feed: String,
    /// Quantity.
    pub quantity: String,
    /// Value in the quantity's unit.
    pub value: f64,
}

/// One window's last revision.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AggregateRow {
    /// Start, inclusive, RFC 3339 in UTC.
    pub time: String,
    /// End, exclusive.
    pub end: String,
    /// Pipeline.
    pub pipeline: String,
    /// Window.
    pub window: String,
    /// Tag names to values; `sensor` for the device.
    pub key: BTreeMap<String, String>,
    /// Journal sequence of the last record that changed it.
    pub revision: u64,
    /// Events counted.
    pub count: u64,
    /// Counted share of the expected events; null if no interval is expected.
    pub capture: Option<f64>,
    /// Values by name; null where there was no data.
    pub fields: BTreeMap<String, Option<f64>>,
}

/// A form of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueryFormat {
    /// An array of objects.
    #[default]
    Json,
    /// RFC 4180 with a line of names.
    Csv,
}

/// One SQL query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlQuery {
    /// The text.
    pub sql: String,
    /// The form of its result.
    pub format: QueryFormat,
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryResult {
    /// A JSON array of row objects, or CSV.
    pub body: Bytes,
    /// Whether a bound cut it.
    pub truncated: bool,
}

/// Why stored data cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// There is no store.
    #[error("there is no store: {remedy}")]
    NoStore {
        /// How to get one.
        remedy: &'static str,
    },
    /// The query itself is wrong.
    #[error("{message}; {remedy}")]
    BadQuery {
        /// What is wrong.
        message: String,
        /// What to do about it.
        remedy: String,
    },
    /// Too much at once.
    #[error("{message}")]
    Busy {
        /// What is scarce.
        message: String,
    },
    /// The store failed.
    #[error("{message}")]
    Failed {
        /// What happened, for the log.
        message: String,
    },
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoStore { remedy } => Self::not_available("stored data cannot be read here", remedy),
            ReadError::BadQuery { message, remedy } => Self::bad_request(message, remedy),
            ReadError::Busy { message } => Self::busy("busy", message, "ask again in a moment"),
            ReadError::Failed { message } => {
                tracing::error!(error = %message, "store cannot answer");
                Self::internal("the store cannot be read")
            }
        }
    }
}

/// Stands in where there is no store.
#[derive(Clone, Copy, Debug)]
pub struct NoStore {
    /// What the operator does to get one.
    pub remedy: &'static str,
}

impl Default for NoStore {
    fn default() -> Self {
        Self { remedy: "this binary was built without the store: build it with the feature `store`" }
    }
}

impl NoStore {
    fn refuse<T: Send + 'static>(self) -> BoxFuture<'static, Result<T, ReadError>> {
        futures::future::ready(Err(ReadError::NoStore { remedy: self.remedy })).boxed()
    }
}

impl Reads for NoStore {
    fn readings(&self, _: ReadingsQuery) -> BoxFuture<'_, Result<Rows<ReadingRow>, ReadError>> {
        self.refuse()
    }

    fn aggregates(&self, _: AggregatesQuery) -> BoxFuture<'_, Result<Rows<AggregateRow>, ReadError>> {
        self.refuse()
    }

    fn sensor_accounts(&self, _: AccountsQuery) -> BoxFuture<'_, Result<Vec<Account>, ReadError>> {
        self.refuse()
    }

    fn query(&self, _: SqlQuery) -> BoxFuture<'_, Result<QueryResult, ReadError>> {
        self.refuse()
    }
}
