//! The memory tail of one table: rows that no file holds yet.
//!
//! Rows come in one by one and are made into columns when somebody wants to read them: a query's
//! snapshot costs what came in since the last one.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;

use super::accounts::AccountRows;
use super::aggregate::WindowRows;
use super::raw::RawRows;
use super::table::Table;
use super::transition::TransitionRows;

/// Batches of columns beyond which they are made one.
const BATCHES_MAX: usize = 64;

/// The rows that are not yet columns.
#[derive(Debug, Default)]
pub(super) struct OpenRows {
    /// Events, in a table of a feed.
    pub(super) raw: RawRows,
    /// Revisions, in a table of a window.
    pub(super) windows: WindowRows,
    /// Steps, in the table of transitions.
    pub(super) transitions: TransitionRows,
    /// Counts, in the table of accounts.
    pub(super) accounts: AccountRows,
}

/// The tail of one table.
#[derive(Debug, Default)]
pub(super) struct Tail {
    sealed: Vec<RecordBatch>,
    /// Rows that are not yet columns; of four kinds, only the table's own is used.
    pub(super) open: OpenRows,
}

impl Tail {
    /// All rows as columns.
    pub(super) fn batches(&mut self, table: &Table) -> Result<&[RecordBatch], ArrowError> {
        let OpenRows { raw, windows, transitions, accounts } = std::mem::take(&mut self.open);
        if raw.len() > 0 {
            self.sealed.push(raw.batch(table)?);
        }
        if windows.len() > 0 {
            self.sealed.push(windows.batch(table)?);
        }
        if transitions.len() > 0 {
            self.sealed.push(transitions.batch(table)?);
        }
        if !accounts.is_empty() {
            self.sealed.push(accounts.batch(table)?);
        }
        if self.sealed.len() > BATCHES_MAX {
            self.sealed = vec![super::parquet::sorted(table, self.sealed.clone())?];
        }
        Ok(&self.sealed)
    }

    /// Puts rows back that could not be written.
    pub(super) fn put_back(&mut self, batches: Vec<RecordBatch>) {
        self.sealed.splice(0..0, batches);
    }
}
