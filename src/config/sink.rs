//! `[store]` and `[influx]`: where raw events and results are kept.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::byte_size::ByteSize;
use crate::model::Span;

/// The embedded time-series store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Whether it runs; queries and the console's history need it.
    pub embedded: bool,
    /// Rows in memory are written to Parquet when they take this much.
    pub flush_bytes: ByteSize,
    /// Rows in memory are written to Parquet when the oldest has waited this long.
    pub flush_every: Span,
}

impl Default for Store {
    fn default() -> Self {
        Self { embedded: true, flush_bytes: ByteSize::mib(8), flush_every: Span::seconds(30) }
    }
}

/// Results and raw events to InfluxDB 2, or what speaks its write API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Influx {
    /// `http://host:8086`.
    pub url: String,
    /// Organization.
    pub org: String,
    /// Bucket.
    pub bucket: String,
    /// File that holds the API token; absent: none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Points of one request.
    #[serde(default = "default_batch_points")]
    pub batch_points: u32,
}

fn default_batch_points() -> u32 {
    5_000
}
