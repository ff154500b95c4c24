//! The SQLite file of ledger and outbox: one connection that writes, two that read.
//!
//! WAL and `synchronous=NORMAL`: a commit need not reach the disk at once, because everything in
//! the file follows from the results log and the cursor commits with it. A loss of power may undo
//! the latest commits. What must not be undone, because the log behind it may go or because no log
//! holds it, is followed by [`Database::secure`]: one commit with `synchronous=FULL` syncs the
//! write-ahead log and with it every commit before.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use thiserror::Error;

/// Format of the file; a newer one is refused.
const SCHEMA_VERSION: i64 = 1;
/// Counts the commits that were synced.
const SECURED: &str = "secured";
/// How long one connection waits for the other's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alert (
    id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, rule TEXT NOT NULL, severity TEXT NOT NULL,
    state TEXT NOT NULL, key TEXT NOT NULL, labels TEXT NOT NULL,
    title_es TEXT NOT NULL, title_en TEXT NOT NULL, message_es TEXT NOT NULL, message_en TEXT NOT NULL,
    began_at INTEGER NOT NULL, raised_at INTEGER, resolved_at INTEGER, decided_at INTEGER NOT NULL,
    value TEXT NOT NULL, steps INTEGER NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS alert_changed ON alert (changed);
CREATE INDEX IF NOT EXISTS alert_state ON alert (state, changed);
CREATE TABLE IF NOT EXISTS step (
    alert TEXT NOT NULL REFERENCES alert (id) ON DELETE CASCADE, number INTEGER NOT NULL,
    cause INTEGER NOT NULL, from_state TEXT NOT NULL, to_state TEXT NOT NULL,
    at INTEGER NOT NULL, decided_at INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (alert, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS step_once ON step (alert, cause, from_state, to_state, at);
CREATE TABLE IF NOT EXISTS outbox (
    id TEXT PRIMARY KEY, receiver TEXT NOT NULL, lane TEXT NOT NULL, change INTEGER NOT NULL,
    state TEXT NOT NULL, body TEXT NOT NULL, given_up INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER, last_error TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outbox_lane ON outbox (receiver, given_up, lane, change);
CREATE INDEX IF NOT EXISTS outbox_order ON outbox (receiver, given_up, change);
CREATE TABLE IF NOT EXISTS receiver (
    name TEXT PRIMARY KEY, delivered INTEGER NOT NULL DEFAULT 0,
    given_up INTEGER NOT NULL DEFAULT 0, shed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
";

/// What can go wrong with the ledger's file.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// SQLite failed: unless the disk is full, the caller stops the service; after a start the
    /// ledger catches up.
    #[error(
        "the alert ledger cannot be used: {0}; check the disk, or stop Sereno and move the file away: it is rebuilt from the results log"
    )]
    Sqlite(#[from] rusqlite::Error),
    /// The file was written by a newer version: the operator installs that one.
    #[error(
        "{path} has format {found}, newer than this version's {SCHEMA_VERSION}; install the newer Sereno, or move the file away: it is rebuilt from the results log"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// A stored value cannot be read: as for `Sqlite`.
    #[error(
        "the alert ledger holds {what} that cannot be read; stop Sereno and move the file away: it is rebuilt from the results log"
    )]
    Damaged {
        /// Which value.
        what: &'static str,
    },
    /// The task was ended while it asked: the service is stopping.
    #[error("the alert ledger was asked while the service stopped")]
    Stopping,
}

impl LedgerError {
    /// Whether it is a full disk and nothing else: nothing was changed, and the same may be tried
    /// again once there is room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }
}

/// The connections. The dispatcher has its own, so that a long list for somebody's browser does
/// not hold back an alert.
#[derive(Debug)]
pub(super) struct Database {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    dispatcher: Mutex<Connection>,
}

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, LedgerError> {
        let writer = connect(path)?;
        check_format(&writer, path)?;
        writer.execute_batch(SCHEMA)?;
        writer.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        Ok(Self { writer: Mutex::new(writer), reader: reading(path)?, dispatcher: reading(path)? })
    }

    /// The connection that writes. Held for one short transaction, never across an `.await`.
    pub(super) fn writer(&self) -> MutexGuard<'_, Connection> {
        // A panic while it was held rolled its transaction back: the connection is as good as new.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every commit so far survive a loss of power. One sync.
    pub(super) fn secure(&self) -> Result<(), LedgerError> {
        let mut writer = self.writer();
        writer.pragma_update(None, "synchronous", "FULL")?;
        let secured = write_secured(&mut writer);
        writer.pragma_update(None, "synchronous", "NORMAL")?;
        secured
    }

    /// The connection that reads; it sees the last commit and never waits for the writer.
    pub(super) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The dispatcher's connection that reads.
    pub(super) fn dispatcher(&self) -> MutexGuard<'_, Connection> {
        self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A commit must write something: one that is empty syncs nothing.
fn write_secured(writer: &mut Connection) -> Result<(), LedgerError> {
    let transaction = writer.transaction()?;
    let times = number(&transaction, SECURED)?;
    set_number(&transaction, SECURED, times.wrapping_add(1))?;
    Ok(transaction.commit()?)
}

/// Refuses a file of a newer version.
pub(super) fn check_format(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Err(LedgerError::NewerFormat { path: path.to_owned(), found });
    }
    Ok(())
}

fn reading(path: &Path) -> Result<Mutex<Connection>, LedgerError> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(Mutex::new(connection))
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A named number of the file; 0 if never set.
pub(super) fn number(connection: &Connection, name: &str) -> Result<u64, LedgerError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    let value: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
    Ok(unsigned(value.unwrap_or_default()))
}

/// Sets a named number.
pub(super) fn set_number(transaction: &Transaction<'_>, name: &str, value: u64) -> Result<(), LedgerError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?;
    statement.execute(params![name, signed(value)])?;
    Ok(())
}

/// SQLite's integers are signed; positions never come near the difference.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The way back of [`signed`].
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}
