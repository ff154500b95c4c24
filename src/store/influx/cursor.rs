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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_disk_does_not_take_is_not_committed_and_taken_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("influx.db");
        let mut file = CursorFile::open(&path).unwrap();
        let (before, after) = (Cursors { journal: 1, results: 1 }, Cursors { journal: 9, results: 7 });
        file.commit(before, &HashMap::new()).unwrap();
        // SQLite says the same as for a full disk when it may have no more pages.
        let pages: i64 = file.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let pages_max = |file: &CursorFile, pages: i64| {
            file.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        };
        pages_max(&file, pages);
        let latest: HashMap<_, _> = (0..2_000).map(|n| (format!("measurement-{n}"), Timestamp(n))).collect();
        for _ in 0..2 {
            let full = file.commit(after, &latest).unwrap_err();
            assert_eq!(full.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
            assert_eq!(file.cursors(), before, "what is not in the file is not said to be");
            assert_eq!(CursorFile::open(&path).unwrap().cursors(), before);
        }
        pages_max(&file, 1 << 30);
        file.commit(after, &latest).unwrap();
        let again = CursorFile::open(&path).unwrap();
        assert_eq!((again.cursors(), again.latest().unwrap().len()), (after, latest.len()));
    }
}
