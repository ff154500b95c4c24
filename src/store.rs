//! Where results lie: the embedded store (feature `store`) and InfluxDB 2 (feature `influx`).
//!
//! Both are readers of the journal (raw events) and of the results log (aggregates, retractions,
//! transitions). Each commits what it wrote together with its two [`Cursors`], and is fed again
//! from them after a restart: nothing is lost, nothing is written twice. Neither names the journal;
//! `service` joins them.
//!
//! The embedded store keeps Parquet files that pandas, DuckDB and QGIS open as they are, and a
//! SQLite manifest that says which of them count. DataFusion reads them; it is named in this
//! module and in `api` only. Layout of a store's directory:
//!
//! ```text
//! manifest.db                                     files, columns, cursors
//! store.lock                                      held by the one process that writes
//! raw/<feed>/day=2026-03-01/00000042.parquet      one wide row an event
//! aggregates/<pipeline>.<window>/day=.../...      one row a revision
//! transitions/day=.../...                         one row a step of an alert
//! accounts/day=.../...                            counts by feed, sensor and hour, in parts
//! ```

pub mod cursors;
#[cfg(feature = "influx")]
pub mod influx;
pub mod name;

#[cfg(feature = "store")]
mod accounts;
#[cfg(feature = "store")]
mod aggregate;
#[cfg(feature = "store")]
mod column;
#[cfg(feature = "store")]
mod compaction;
#[cfg(feature = "store")]
mod database;
#[cfg(feature = "store")]
mod directory;
#[cfg(feature = "store")]
mod error;
#[cfg(feature = "store")]
mod events;
#[cfg(feature = "store")]
mod file;
#[cfg(feature = "store")]
mod flush;
#[cfg(feature = "store")]
mod live;
#[cfg(feature = "store")]
mod manifest;
#[cfg(feature = "store")]
mod options;
#[cfg(feature = "store")]
mod order;
#[cfg(feature = "store")]
mod output;
#[cfg(feature = "store")]
mod parquet;
#[cfg(feature = "store")]
mod query;
#[cfg(feature = "store")]
mod raw;
#[cfg(feature = "store")]
mod readings;
#[cfg(feature = "store")]
mod recall;
#[cfg(feature = "store")]
mod runner;
#[cfg(feature = "store")]
mod scan;
#[cfg(feature = "store")]
mod session;
#[cfg(feature = "store")]
mod table;
#[cfg(feature = "store")]
mod tail;
#[cfg(all(test, feature = "store"))]
mod testing;
#[cfg(all(test, feature = "store"))]
mod thirty_days_tests;
#[cfg(feature = "store")]
mod transition;
#[cfg(feature = "store")]
mod windows;

pub use cursors::{Cursors, Whole};
#[cfg(feature = "store")]
pub use {
    accounts::{AccountRow, AccountsFilter},
    compaction::Compacted,
    database::Store,
    error::StoreError,
    events::{EventRow, EventsFilter},
    file::Damage,
    flush::Flushed,
    options::{QueryLimits, StoreOptions},
    output::QueryResult,
    readings::{ReadingRow, ReadingsFilter},
    recall::{FeedHour, LastFilter, LastReading, LastRow},
    runner::QUERY_THREAD,
    windows::{AggregateRow, AggregatesFilter},
};
