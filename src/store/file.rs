//! One Parquet file that the manifest names.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::error::StoreError;
use crate::model::Timestamp;

/// What the manifest says about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileEntry {
    /// Number, counting up; never used twice.
    pub(super) id: i64,
    /// Its table's number in the manifest.
    pub(super) table: i64,
    /// Below the store's directory.
    pub(super) path: String,
    /// Days since 1970 of its rows' event time, in UTC.
    pub(super) day: i64,
    /// Rows.
    pub(super) rows: u64,
    /// Length.
    pub(super) bytes: u64,
    /// CRC-32C of all its bytes.
    pub(super) crc: u32,
    /// Earliest and latest event time.
    pub(super) times: (Timestamp, Timestamp),
}

/// An open store's hold on a file. A file that a merge replaced is deleted when the last query
/// that reads it lets go.
#[derive(Debug)]
pub(super) struct StoredFile {
    /// What the manifest says.
    pub(super) entry: FileEntry,
    root: Arc<Path>,
    /// When the file was last changed, as of the last time its bytes were found right.
    checked: Mutex<Option<SystemTime>>,
    replaced: AtomicBool,
}

/// How a file differs from what the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// Rows that are lost with it.
    pub rows: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, what, rows } = self;
        write!(f, "{} {what}; its {rows} rows are not read, restore it from a backup", path.display())
    }
}

impl StoredFile {
    /// A hold on a file below `root`.
    pub(super) fn new(root: &Arc<Path>, entry: FileEntry) -> Arc<Self> {
        let (checked, replaced) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { entry, root: root.clone(), checked, replaced })
    }

    /// Where it lies.
    pub(super) fn full_path(&self) -> PathBuf {
        self.root.join(&self.entry.path)
    }

    /// Its bytes, once found right.
    pub(super) fn read(&self) -> Result<Vec<u8>, StoreError> {
        let path = self.full_path();
        let damaged =
            |what: String| StoreError::Damaged(Damage { path: path.clone(), what, rows: self.entry.rows });
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => damaged("is missing".into()),
            _ => damaged(format!("cannot be read: {error}")),
        })?;
        if bytes.len() as u64 != self.entry.bytes {
            return Err(damaged(format!("has {} bytes instead of {}", bytes.len(), self.entry.bytes)));
        }
        let crc = crc32c::crc32c(&bytes);
        if crc != self.entry.crc {
            return Err(damaged(format!("has checksum {crc:08x} instead of {:08x}", self.entry.crc)));
        }
        Ok(bytes)
    }

    /// Makes sure of the file's bytes; reads them only if that has not been done since the file
    /// last changed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let changed_at = std::fs::metadata(self.full_path())
            .ok()
            .filter(|metadata| metadata.len() == self.entry.bytes)
            .and_then(|metadata| metadata.modified().ok());
        let known = *self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if changed_at.is_some() && changed_at == known {
            return Ok(());
        }
        self.check_anew()?;
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = changed_at;
        Ok(())
    }

    /// Makes sure of the file's bytes by reading them.
    pub(super) fn check_anew(&self) -> Result<(), StoreError> {
        self.read().map(drop)
    }

    /// The manifest no longer names the file: it goes with its last reader.
    pub(super) fn replace(&self) {
        self.replaced.store(true, Ordering::Release);
    }
}

impl Drop for StoredFile {
    fn drop(&mut self) {
        if self.replaced.load(Ordering::Acquire) {
            let path = self.full_path();
            if let Err(error) = std::fs::remove_file(&path) {
                // The next start removes it: the manifest does not name it.
                tracing::warn!(path = %path.display(), %error, "a merged file could not be removed");
            }
        }
    }
}
