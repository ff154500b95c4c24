//! What can go wrong with the embedded store, and what to do about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use datafusion::error::DataFusionError;
use rusqlite::ErrorCode;
use thiserror::Error;

use super::file::Damage;

/// A fault of the store. None of them loses anything: what is not committed is read again from
/// the journal.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk refused. Mend it; a failed flush is tried again with the next.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process writes this store.
    #[error("{} is held by another process; stop it, or open the store for reading", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// SQLite refused. After a commit that failed, for another reason than a full disk, the store
    /// takes nothing more: restart.
    #[error("the manifest {}: {source}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// There are Parquet files and no manifest that names them.
    #[error(
        "{} has Parquet files and no manifest; restore manifest.db from a backup, or move the folders raw, aggregates and transitions away",
        path.display()
    )]
    ManifestMissing {
        /// The store's directory.
        path: PathBuf,
    },
    /// The manifest was written by another version of the format.
    #[error("{} has format version {found}, this program reads version {known}; use the program that wrote it", path.display())]
    ManifestVersion {
        /// The manifest.
        path: PathBuf,
        /// What it says.
        found: i64,
        /// What this program reads.
        known: i64,
    },
    /// A file is not what the manifest says. Restore it from a backup; the rest of the store goes
    /// on, queries that need the file do not.
    #[error("{0}")]
    Damaged(Damage),
    /// Rows could not be made into a file: a mistake in the program.
    #[error("{}: the rows cannot be written: {reason}", path.display())]
    Encode {
        /// The file that would have been.
        path: PathBuf,
        /// What the encoder said.
        reason: String,
    },
    /// The memory tail is at its bound, because flushing fails or is too slow. Nothing was taken;
    /// flush, then hand the same over again.
    #[error("the store's memory tail holds {bytes} bytes, its bound; it takes more after a flush")]
    TailFull {
        /// Bytes held.
        bytes: u64,
    },
    /// An earlier commit ended in doubt. Restart: the manifest says what holds.
    #[error("an earlier commit to the manifest failed; restart to go on from what it holds")]
    Poisoned,
    /// The store was opened for reading.
    #[error("this store was opened for reading")]
    ReadOnly,
    /// An event names an id that the dictionary does not know: a mistake in the program.
    #[error("journal sequence {sequence}: the dictionary does not know the event's {what}")]
    Dictionary {
        /// The event.
        sequence: u64,
        /// Feed, device, tags or quantity.
        what: &'static str,
    },
    /// The statement would change something, or is more than one.
    #[error("{0}; queries only read: SELECT, WITH, EXPLAIN, DESCRIBE, SHOW TABLES, SHOW COLUMNS")]
    NotAllowed(String),
    /// The query is wrong; the message says where.
    #[error("{0}")]
    Query(String),
    /// The query took longer than it may.
    #[error("the query was stopped after {} s; ask for a shorter time range, or aggregate", after.as_secs_f64())]
    TimeUp {
        /// Its time.
        after: Duration,
    },
    /// The query needs more memory than it may have.
    #[error(
        "the query needs more than {bytes} bytes of memory; ask for fewer columns or a shorter time range"
    )]
    MemoryUp {
        /// Its memory.
        bytes: usize,
    },
    /// The query engine failed on this query: a mistake in it. Nothing else is touched.
    #[error(
        "the query engine failed on this query ({0}); word it otherwise, for example without a cross join"
    )]
    Engine(String),
    /// There is no such window, sensor tag or feed.
    #[error("there is no {0}")]
    Unknown(String),
}

impl StoreError {
    /// Whether it is a full disk and nothing else: nothing was changed, and the same may be tried
    /// again once there is room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            Self::Manifest { source, .. } => source.sqlite_error_code() == Some(ErrorCode::DiskFull),
            _ => false,
        }
    }

    /// An IO fault of `path`.
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// A mistake of the encoder in `path`.
    pub(super) fn encode<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |error| Self::Encode { path, reason: error.to_string() }
    }

    /// DataFusion's fault in plain words; a damaged file met on the way keeps its name.
    pub(super) fn of_query(error: DataFusionError, memory_bytes: usize) -> Self {
        match error {
            DataFusionError::External(inner) if inner.is::<Self>() => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Query(other.to_string()),
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                Self::of_query(*inner, memory_bytes)
            }
            DataFusionError::Shared(inner) => match inner.find_root() {
                DataFusionError::External(own) => match own.downcast_ref::<Self>() {
                    Some(Self::Damaged(damage)) => Self::Damaged(damage.clone()),
                    _ => Self::Query(inner.strip_backtrace()),
                },
                DataFusionError::ResourcesExhausted(_) => Self::MemoryUp { bytes: memory_bytes },
                _ => Self::Query(inner.strip_backtrace()),
            },
            other if matches!(other.find_root(), DataFusionError::ResourcesExhausted(_)) => {
                Self::MemoryUp { bytes: memory_bytes }
            }
            other => Self::Query(other.strip_backtrace()),
        }
    }
}
