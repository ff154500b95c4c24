//! The manifest: which files count, what their tables and columns are, and how far they reach.
//!
//! One SQLite transaction makes new files and the cursors behind them count together. Commits are
//! synced: there is one in half a minute, and files that a merge replaced may only go once the
//! manifest that no longer names them is on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, params};

use super::column::{Column, Columns, Role};
use super::cursors::{Cursors, Whole};
use super::directory;
use super::error::StoreError;
use super::file::FileEntry;
use super::table::{Subject, Tables};
use crate::model::Timestamp;
use crate::model::crash::Point;

/// The format this program reads and writes, SQLite's `user_version`.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE progress(one INTEGER PRIMARY KEY CHECK(one = 1), journal INTEGER NOT NULL, results INTEGER NOT NULL, ordinal INTEGER NOT NULL, next_file INTEGER NOT NULL) STRICT;
INSERT INTO progress VALUES (1, 0, 0, 0, 1);
CREATE TABLE tables(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, source TEXT NOT NULL, window TEXT NOT NULL, name TEXT NOT NULL UNIQUE, directory TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE columns(table_id INTEGER NOT NULL REFERENCES tables(id), position INTEGER NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, source TEXT NOT NULL, unit TEXT NOT NULL, decimals INTEGER NOT NULL, PRIMARY KEY(table_id, position)) STRICT;
CREATE TABLE files(id INTEGER PRIMARY KEY, table_id INTEGER NOT NULL REFERENCES tables(id), path TEXT NOT NULL UNIQUE, day INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL, crc INTEGER NOT NULL, time_min INTEGER NOT NULL, time_max INTEGER NOT NULL) STRICT;
";

/// Made where it is missing, so that a manifest of before goes on; a program of before passes it over.
/// Without a row nothing was ever missed.
const WHOLE: &str = "CREATE TABLE IF NOT EXISTS whole(one INTEGER PRIMARY KEY CHECK(one = 1), sequence INTEGER NOT NULL, arrived_at INTEGER NOT NULL) STRICT";

/// How far the committed files reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Where to read on.
    pub(super) cursors: Cursors,
    /// Rows of the results log taken in so far.
    pub(super) ordinal: u64,
    /// The number of the next file.
    pub(super) next_file: i64,
    /// From where on it has all of the journal.
    pub(super) whole: Whole,
}

/// Everything a manifest holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) progress: Progress,
    pub(super) tables: Tables,
    pub(super) files: Vec<FileEntry>,
}

/// The open manifest.
#[derive(Debug)]
pub(super) struct Manifest {
    connection: Connection,
    path: PathBuf,
}

impl Manifest {
    fn path(root: &Path) -> PathBuf {
        root.join("manifest.db")
    }

    fn fault(path: &Path) -> impl FnOnce(rusqlite::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Manifest { path, source }
    }

    /// Opens the manifest for writing; makes it where the directory has no files either.
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        let path = Self::path(root);
        let connection = Connection::open(&path).map_err(Self::fault(&path))?;
        let mut manifest = Self { connection, path };
        if manifest.version()? == 0 {
            if directory::has_files(root)? {
                return Err(StoreError::ManifestMissing { path: root.to_owned() });
            }
            manifest.create().map_err(Self::fault(&manifest.path))?;
            directory::sync_folder(root)?;
        }
        manifest.check_version()?;
        let pragmas = [("journal_mode", "wal"), ("synchronous", "full"), ("foreign_keys", "on")];
        for (name, value) in pragmas {
            manifest.connection.pragma_update(None, name, value).map_err(Self::fault(&manifest.path))?;
        }
        manifest.connection.execute_batch(WHOLE).map_err(Self::fault(&manifest.path))?;
        Ok(manifest)
    }

    /// Opens the manifest for reading beside the process that writes it.
    pub(super) fn open_read_only(root: &Path) -> Result<Self, StoreError> {
        let path = Self::path(root);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(Self::fault(&path))?;
        let manifest = Self { connection, path };
        manifest.check_version()?;
        Ok(manifest)
    }

    fn create(&mut self) -> Result<(), rusqlite::Error> {
        self.connection.pragma_update(None, "synchronous", "extra")?;
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()
    }

    fn version(&self) -> Result<i64, StoreError> {
        self.connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(Self::fault(&self.path))
    }

    fn check_version(&self) -> Result<(), StoreError> {
        match self.version()? {
            VERSION => Ok(()),
            found => Err(StoreError::ManifestVersion { path: self.path.clone(), found, known: VERSION }),
        }
    }

    /// Everything it holds, as of one moment.
    pub(super) fn load(&mut self) -> Result<Content, StoreError> {
        let read = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            let content = Content {
                progress: load_progress(&transaction)?,
                tables: load_tables(&transaction)?,
                files: load_files(&transaction)?,
            };
            transaction.commit()?;
            Ok(content)
        };
        read(&mut self.connection).map_err(Self::fault(&self.path))
    }

    /// Makes `added` count instead of `removed`, together with the progress behind them and the
    /// tables and columns known by now.
    pub(super) fn commit(
        &mut self,
        progress: Progress,
        tables: &Tables,
        added: &[FileEntry],
        removed: &[i64],
    ) -> Result<(), StoreError> {
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            save_tables(&transaction, tables)?;
            let mut remove = transaction.prepare_cached("DELETE FROM files WHERE id = ?1")?;
            for id in removed {
                remove.execute([id])?;
            }
            drop(remove);
            save_files(&transaction, added)?;
            transaction.execute(
                "UPDATE progress SET journal = ?1, results = ?2, ordinal = ?3, next_file = ?4",
                params![
                    progress.cursors.journal.cast_signed(),
                    progress.cursors.results.cast_signed(),
                    progress.ordinal.cast_signed(),
                    progress.next_file
                ],
            )?;
            if progress.whole != Whole::default() {
                transaction.execute(
                    "INSERT OR REPLACE INTO whole VALUES (1, ?1, ?2)",
                    params![progress.whole.sequence.cast_signed(), progress.whole.arrived_at.0],
                )?;
            }
            Point::StoreCommitting.pass();
            transaction.commit()
        };
        write(&mut self.connection).map_err(Self::fault(&self.path))?;
        Point::StoreCommitted.pass();
        Ok(())
    }
}

fn load_progress(transaction: &Transaction<'_>) -> Result<Progress, rusqlite::Error> {
    transaction.query_row("SELECT journal, results, ordinal, next_file FROM progress", [], |row| {
        let unsigned = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let cursors = Cursors { journal: unsigned(0)?, results: unsigned(1)? };
        let whole = load_whole(transaction)?;
        Ok(Progress { cursors, ordinal: unsigned(2)?, next_file: row.get(3)?, whole })
    })
}

fn load_whole(transaction: &Transaction<'_>) -> Result<Whole, rusqlite::Error> {
    let there = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'whole'";
    if transaction.query_row(there, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Whole::default());
    }
    let whole = transaction.query_row("SELECT sequence, arrived_at FROM whole", [], |row| {
        Ok(Whole { sequence: row.get::<_, i64>(0)?.cast_unsigned(), arrived_at: Timestamp(row.get(1)?) })
    });
    whole.optional().map(Option::unwrap_or_default)
}

fn load_tables(transaction: &Transaction<'_>) -> Result<Tables, rusqlite::Error> {
    let mut tables = Tables::default();
    let mut statement =
        transaction.prepare("SELECT id, kind, source, window, name, directory FROM tables ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let (kind, source): (String, Arc<str>) = (row.get(1)?, row.get(2)?);
        let subject = match kind.as_str() {
            "raw" => Subject::Raw { feed: source },
            "window" => Subject::Window { pipeline: source, window: row.get(3)? },
            "accounts" => Subject::Accounts,
            _ => Subject::Transitions,
        };
        tables.restore(id, subject, row.get(4)?, row.get(5)?, load_columns(transaction, id)?);
    }
    Ok(tables)
}

fn load_columns(transaction: &Transaction<'_>, table: i64) -> Result<Columns, rusqlite::Error> {
    let mut columns = Columns::default();
    let mut statement = transaction.prepare_cached(
        "SELECT name, role, source, unit, decimals FROM columns WHERE table_id = ?1 ORDER BY position",
    )?;
    let mut rows = statement.query([table])?;
    while let Some(row) = rows.next()? {
        let role = Role::from_word(&row.get::<_, String>(1)?).unwrap_or(Role::Tag);
        let (name, source, unit, decimals) = (row.get(0)?, row.get(2)?, row.get(3)?, row.get(4)?);
        columns.restore(Column { name, role, source, unit, decimals });
    }
    Ok(columns)
}

fn load_files(transaction: &Transaction<'_>) -> Result<Vec<FileEntry>, rusqlite::Error> {
    let mut statement = transaction.prepare(
        "SELECT id, table_id, path, day, rows, bytes, crc, time_min, time_max FROM files ORDER BY id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(FileEntry {
            id: row.get(0)?,
            table: row.get(1)?,
            path: row.get(2)?,
            day: row.get(3)?,
            rows: row.get::<_, i64>(4)?.cast_unsigned(),
            bytes: row.get::<_, i64>(5)?.cast_unsigned(),
            crc: row.get(6)?,
            times: (Timestamp(row.get(7)?), Timestamp(row.get(8)?)),
        })
    })?;
    rows.collect()
}

fn save_tables(transaction: &Transaction<'_>, tables: &Tables) -> Result<(), rusqlite::Error> {
    let mut table =
        transaction.prepare_cached("INSERT OR IGNORE INTO tables VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let mut column =
        transaction.prepare_cached("INSERT OR IGNORE INTO columns VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for known in tables.list() {
        let (kind, source, window) = match &known.subject {
            Subject::Raw { feed } => ("raw", &**feed, ""),
            Subject::Window { pipeline, window } => ("window", &**pipeline, &**window),
            Subject::Transitions => ("transitions", "", ""),
            Subject::Accounts => ("accounts", "", ""),
        };
        table.execute(params![known.id, kind, source, window, known.name, known.directory])?;
        for (position, given) in (0_i64..).zip(known.columns.list()) {
            let role = given.role.as_str();
            column.execute(params![
                known.id,
                position,
                given.name,
                role,
                given.source,
                given.unit,
                given.decimals
            ])?;
        }
    }
    Ok(())
}

fn save_files(transaction: &Transaction<'_>, files: &[FileEntry]) -> Result<(), rusqlite::Error> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    for file in files {
        insert.execute(params![
            file.id,
            file.table,
            file.path,
            file.day,
            file.rows.cast_signed(),
            file.bytes.cast_signed(),
            file.crc,
            file.times.0.0,
            file.times.1.0
        ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_there_whole_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let mut tables = Tables::default();
        let table = tables.find_or_add(Subject::Raw { feed: "air".into() });
        tables.column(table, Role::Quantity, &"pm25".into(), &"ug/m3".into(), 1);
        let entry = |id| FileEntry {
            id,
            table: 1,
            path: format!("raw/air/{id}.parquet"),
            day: 20_000,
            rows: 3,
            bytes: 100,
            crc: u32::MAX,
            times: (Timestamp(-1), Timestamp(i64::MAX)),
        };
        let whole = Whole { sequence: 90, arrived_at: Timestamp(12) };
        let cursors = Cursors { journal: 7, results: u64::MAX };
        let progress = Progress { cursors, ordinal: 5, next_file: 4, whole };
        {
            let mut manifest = Manifest::open(folder.path()).unwrap();
            manifest.commit(Progress::default(), &tables, &[entry(1), entry(2)], &[]).unwrap();
            manifest.commit(progress, &tables, &[entry(3)], &[1, 2]).unwrap();
        }
        let content = Manifest::open_read_only(folder.path()).unwrap().load().unwrap();
        assert_eq!((content.progress, content.files), (progress, vec![entry(3)]));
        assert_eq!(content.tables.list()[0].schema(), tables.list()[0].schema());
    }

    #[test]
    fn a_manifest_of_before_misses_nothing_until_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let tables = Tables::default();
        Manifest::open(folder.path()).unwrap().connection.execute_batch("DROP TABLE whole").unwrap();
        let read = || Manifest::open_read_only(folder.path()).unwrap().load().unwrap().progress.whole;
        assert_eq!(read(), Whole::default());
        let whole = Whole { sequence: 3, arrived_at: Timestamp(-5) };
        let mut manifest = Manifest::open(folder.path()).unwrap();
        assert_eq!(read(), Whole::default());
        manifest.commit(Progress { whole, ..Progress::default() }, &tables, &[], &[]).unwrap();
        assert_eq!(read(), whole);
    }

    #[test]
    fn files_without_a_manifest_are_not_taken_for_orphans() {
        let folder = tempfile::tempdir().unwrap();
        directory::write(folder.path(), "raw/air/day=2026-03-01/1.parquet", b"x").unwrap();
        assert!(matches!(Manifest::open(folder.path()), Err(StoreError::ManifestMissing { .. })));
        assert!(Manifest::open_read_only(folder.path()).is_err());
    }
}
