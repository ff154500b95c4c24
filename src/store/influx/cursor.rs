//! The sink's own small SQLite file: its cursors, and what a restart has to know of what was
//! written. All of it can be derived from the journal, but not cheaply: commits are synced.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::model::Timestamp;
use crate::model::crash::Point;
use crate::store::Cursors;

/// The open file.
#[derive(Debug)]
pub(super) struct CursorFile {
    connection: Connection,
    cursors: Cursors,
}

impl CursorFile {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path) -> Result<Self, rusqlite::Error> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS cursors(one INTEGER PRIMARY KEY CHECK(one = 1), journal INTEGER NOT NULL, results INTEGER NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS latest(measurement TEXT PRIMARY KEY, start INTEGER NOT NULL) STRICT;",
        )?;
        let cursors = connection
            .query_row("SELECT journal, results FROM cursors", [], |row| {
                let (journal, results): (i64, i64) = (row.get(0)?, row.get(1)?);
                Ok(Cursors { journal: journal.cast_unsigned(), results: results.cast_unsigned() })
            })
            .optional()?
            .unwrap_or_default();
        Ok(Self { connection, cursors })
    }

    /// What is committed.
    pub(super) fn cursors(&self) -> Cursors {
        self.cursors
    }

    /// The latest window start written, by measurement.
    pub(super) fn latest(&self) -> Result<HashMap<String, Timestamp>, rusqlite::Error> {
        let mut statement = self.connection.prepare("SELECT measurement, start FROM latest")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?;
        rows.collect()
    }

    /// Commits both in one transaction.
    pub(super) fn commit(
        &mut self,
        cursors: Cursors,
        latest: &HashMap<String, Timestamp>,
    ) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT OR REPLACE INTO cursors VALUES (1, ?1, ?2)",
            params![cursors.journal.cast_signed(), cursors.results.cast_signed()],
        )?;
        for (measurement, start) in latest {
            transaction
                .execute("INSERT OR REPLACE INTO latest VALUES (?1, ?2)", params![measurement, start.0])?;
        }
        Point::InfluxWritten.pass();
        transaction.commit()?;
        Point::InfluxCommitted.pass();
        self.cursors = cursors;
        Ok(())
    }
}
