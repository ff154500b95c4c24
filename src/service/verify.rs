//! `sereno verify`: reads every file of a data folder and names what is damaged.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use super::{DataDir, ServiceError};
use crate::journal::checkpoint::{CheckpointError, Checkpoints};
use crate::journal::verify::{self, Report};
use crate::journal::{Disk, FsDisk, LogKind};

/// Reads the data folder `root`. Without a running service it is locked meanwhile; beside one, the
/// logs are read up to what is synced. The report's first note says which.
///
/// # Errors
/// [`ServiceError`] when a folder cannot be read at all.
pub fn verify(root: &Path) -> Result<Report, ServiceError> {
    if !root.is_dir() {
        return Err(ServiceError::Setting(format!(
            "there is no data folder {}; give it with --data-dir",
            root.display()
        )));
    }
    let mut report = Report::default();
    let held = match DataDir::open(root) {
        Ok(held) => Some(held),
        Err(ServiceError::Held(_)) => {
            report.notes.push("a service is running: the logs are read up to what is synced".into());
            None
        }
        Err(failure) => return Err(failure),
    };
    let running = held.is_none();
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let (journal, results) = (root.join("journal"), root.join("results"));
    if journal.is_dir() {
        verify::log(&*disk, &journal, LogKind::Journal, running, &mut report)?;
    }
    if journal.join("snapshot/names").is_dir() {
        verify::snapshots(&*disk, &journal.join("snapshot"), running, &mut report)?;
    }
    if results.is_dir() {
        verify::log(&*disk, &results, LogKind::Results, running, &mut report)?;
    }
    checkpoints(&disk, &root.join("checkpoints"), &mut report);
    stored(root, &mut report);
    for name in ["ledger.db", "influx.db", "store/manifest.db"] {
        database(&root.join(name), &mut report);
    }
    Ok(report)
}

/// Reads every block of every checkpoint.
fn checkpoints(disk: &Arc<dyn Disk>, dir: &Path, report: &mut Report) {
    if !dir.is_dir() {
        return;
    }
    let lost = "the next start goes on from another checkpoint, or folds the journal";
    let read = Checkpoints::open(disk.clone(), dir);
    let (checkpoints, numbers) = match read {
        Ok(opened) => opened,
        Err(failure) => return report.found(dir, 0, failure.to_string(), lost),
    };
    for number in numbers {
        report.files += 1;
        let read = checkpoints.manifest(number).and_then(|manifest| checkpoints.read(&manifest));
        match read.map(drop) {
            Ok(()) => {}
            Err(CheckpointError::Damaged { path, offset, what }) => report.found(&path, offset, what, lost),
            Err(failure) => report.found(dir, 0, failure.to_string(), lost),
        }
    }
}

#[cfg(feature = "store")]
fn stored(root: &Path, report: &mut Report) {
    let folder = super::data_dir::store_in(root);
    if !folder.join("manifest.db").is_file() {
        return;
    }
    let store = match crate::store::Store::open_read_only(&folder) {
        Ok(store) => store,
        Err(failure) => {
            let lost = "no Parquet file was read; restore the folder from a backup";
            return report.found(&folder.join("manifest.db"), 0, failure.to_string(), lost);
        }
    };
    for damage in store.verify() {
        let lost = format!("its {} rows are not read; restore it from a backup", damage.rows);
        report.found(&damage.path, 0, damage.what, lost);
    }
}

#[cfg(not(feature = "store"))]
fn stored(_: &Path, report: &mut Report) {
    report
        .notes
        .push("this binary was built without the feature `store`: Parquet files were not read".into());
}

/// Has SQLite read all of a database.
fn database(path: &Path, report: &mut Report) {
    if !path.is_file() {
        return;
    }
    report.files += 1;
    report.bytes += std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let lost = "restore it from a backup; without one, remove it: what the logs still hold is derived again";
    match integrity(path) {
        Ok(found) => {
            for what in found.into_iter().filter(|what| what != "ok") {
                report.found(path, 0, what, lost);
            }
        }
        Err(failure) => report.found(path, 0, failure.to_string(), lost),
    }
}

fn integrity(path: &Path) -> Result<Vec<String>, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_database_and_a_missing_folder_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        let connection = Connection::open(&ledger).unwrap();
        connection.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(20000))").unwrap();
        drop(connection);
        assert_eq!(verify(folder.path()).unwrap().findings, []);
        let mut bytes = std::fs::read(&ledger).unwrap();
        bytes[4096..4200].fill(0xff);
        std::fs::write(&ledger, bytes).unwrap();
        let report = verify(folder.path()).unwrap();
        assert!(!report.findings.is_empty());
        assert!(report.findings.iter().all(|found| found.path == ledger), "{:?}", report.findings);
        assert!(verify(&folder.path().join("absent")).is_err());
    }
}
