//! The store's bounds.

use std::time::Duration;

/// Bounds of the store, with their units.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// The memory tail is written out when it holds this many bytes, by estimate.
    pub flush_bytes: u64,
    /// The memory tail is written out when its oldest row has waited this long.
    pub flush_age: Duration,
    /// Beyond this the tail takes nothing more.
    pub tail_bytes_max: u64,
    /// Small files of a table's newest day are merged when there are more than this many.
    pub small_files_max: usize,
    /// Small files of an earlier day are merged when there are more than this many: every file
    /// costs a query about a millisecond.
    pub past_files_max: usize,
    /// A file of fewer rows is small.
    pub small_rows: u64,
    /// Most rows one merge reads: it holds them in memory.
    pub merge_rows_max: u64,
    /// Memory kept for Parquet footers between queries.
    pub footers_bytes_max: usize,
    /// Most disk that the sorts of all queries may use for what does not fit into memory.
    pub spill_bytes_max: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            flush_bytes: 8 << 20,
            flush_age: Duration::from_secs(30),
            tail_bytes_max: 64 << 20,
            small_files_max: 16,
            past_files_max: 3,
            small_rows: 250_000,
            merge_rows_max: 1_000_000,
            footers_bytes_max: 32 << 20,
            spill_bytes_max: 1 << 30,
        }
    }
}

/// Bounds of one query.
#[derive(Clone, Copy, Debug)]
pub struct QueryLimits {
    /// Rows of the result; further ones are cut off and the result says so.
    pub rows_max: usize,
    /// Time from start to the last row.
    pub time_max: Duration,
    /// Memory for sorting, joining, grouping and the result.
    pub memory_bytes: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { rows_max: 10_000, time_max: Duration::from_secs(30), memory_bytes: 256 << 20 }
    }
}
