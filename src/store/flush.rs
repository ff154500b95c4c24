//! From memory to files: flushing, and merging what many flushes left.
//!
//! Files are written first, whole and synced; then one transaction makes them count together with
//! the cursors; then memory lets go of the rows. A crash between the steps leaves files that the
//! manifest does not name, which the next start removes, and cursors to be fed again from.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::arrow::array::RecordBatch;
use tracing::warn;

use super::compaction::{self, Compacted};
use super::database::{Store, guard};
use super::error::StoreError;
use super::file::{FileEntry, StoredFile};
use super::live::Frozen;
use super::manifest::{Manifest, Progress};
use super::table::{Table, Tables};
use super::{directory, parquet};
use crate::model::crash::Point;

/// What a flush wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Files.
    pub files: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Store {
    /// Flushes, and merges small files, if it is time: enough bytes, or an old enough row.
    ///
    /// # Errors
    /// As [`Store::flush`].
    pub fn flush_due(&self) -> Result<Option<Flushed>, StoreError> {
        let (bytes, oldest) = guard(&self.live).waiting();
        let old = oldest.is_some_and(|oldest| oldest.elapsed() >= self.options.flush_age);
        if bytes < self.options.flush_bytes && !old {
            return Ok(None);
        }
        let flushed = self.flush()?;
        self.compact()?;
        Ok(Some(flushed))
    }

    /// Writes everything taken in so far to files, then commits them with the cursors.
    ///
    /// # Errors
    /// [`StoreError::Io`] and [`StoreError::Encode`]: nothing was committed, the rows stay in
    /// memory and readable, the next flush tries again. [`StoreError::Manifest`]: the same if the
    /// disk is full, else restart.
    pub fn flush(&self) -> Result<Flushed, StoreError> {
        self.writable()?;
        let mut manifest = guard(&self.manifest);
        let mut frozen = guard(&self.live).freeze().map_err(StoreError::encode(&self.root))?;
        let committed = self.committed();
        frozen.progress.next_file = committed.next_file;
        let written = match self.write_frozen(&mut frozen) {
            Ok(written) => written,
            Err(error) => {
                guard(&self.live).put_back();
                return Err(error);
            }
        };
        if written.is_empty() && frozen.progress == committed {
            return Ok(Flushed::default());
        }
        if let Err(error) = self.commit(&mut manifest, frozen.progress, &frozen.tables, &written, &[]) {
            guard(&self.live).put_back();
            return Err(error);
        }
        let flushed = Flushed {
            files: written.len() as u64,
            rows: written.iter().map(|file| file.rows).sum(),
            bytes: written.iter().map(|file| file.bytes).sum(),
        };
        guard(&self.live).thaw(self.hold(written));
        Ok(flushed)
    }

    fn write_frozen(&self, frozen: &mut Frozen) -> Result<Vec<FileEntry>, StoreError> {
        let mut written = Vec::new();
        for (number, batches) in &frozen.rows {
            let Some(table) = frozen.tables.list().get(*number) else { continue };
            let folder = self.root.join(&table.directory);
            let all = parquet::sorted(table, batches.clone()).map_err(StoreError::encode(&folder))?;
            for (day, rows) in parquet::by_day(&all).map_err(StoreError::encode(&folder))? {
                written.push(self.write_file(table, day, &rows, &mut frozen.progress.next_file)?);
            }
        }
        Ok(written)
    }

    fn write_file(
        &self,
        table: &Table,
        day: i64,
        rows: &RecordBatch,
        next_file: &mut i64,
    ) -> Result<FileEntry, StoreError> {
        let id = *next_file;
        *next_file += 1;
        let path = format!("{}/day={}/{id:08}.parquet", table.directory, parquet::day_name(day));
        let bytes = parquet::encode(table, rows).map_err(StoreError::encode(&self.root.join(&path)))?;
        directory::write(&self.root, &path, &bytes)?;
        Point::StoreFileWritten.pass();
        let (rows, times) = (rows.num_rows() as u64, parquet::time_range(rows));
        let (length, crc) = (bytes.len() as u64, crc32c::crc32c(&bytes));
        Ok(FileEntry { id, table: table.id, path, day, rows, bytes: length, crc, times })
    }

    fn commit(
        &self,
        manifest: &mut Manifest,
        progress: Progress,
        tables: &Tables,
        added: &[FileEntry],
        removed: &[i64],
    ) -> Result<(), StoreError> {
        let outcome = manifest.commit(progress, tables, added, removed);
        match &outcome {
            Ok(()) => *guard(&self.committed) = progress,
            // SQLite gave the transaction up before its end: nothing of it counts.
            Err(error) if error.is_disk_full() => {}
            Err(_) => self.poisoned.store(true, Ordering::Release),
        }
        outcome
    }

    fn hold(&self, entries: Vec<FileEntry>) -> Vec<Arc<StoredFile>> {
        entries.into_iter().map(|entry| StoredFile::new(&self.root, entry)).collect()
    }

    /// Merges the small files of each day and table that has too many.
    ///
    /// # Errors
    /// As [`Store::flush`]; a damaged file is no error, it is left alone and named.
    pub fn compact(&self) -> Result<Compacted, StoreError> {
        self.writable()?;
        let mut manifest = guard(&self.manifest);
        let (groups, tables) = {
            let live = guard(&self.live);
            (compaction::due(live.files(), &self.options), live.tables.clone())
        };
        let mut outcome = Compacted::default();
        for group in groups {
            let table = group
                .first()
                .and_then(|file| tables.list().iter().find(|table| table.id == file.entry.table));
            if let Some(table) = table {
                self.merge(&mut manifest, (table, &tables), group, &mut outcome)?;
            }
        }
        Ok(outcome)
    }

    fn merge(
        &self,
        manifest: &mut Manifest,
        (table, tables): (&Table, &Tables),
        group: Vec<Arc<StoredFile>>,
        outcome: &mut Compacted,
    ) -> Result<(), StoreError> {
        let (mut batches, mut merged) = (Vec::new(), Vec::new());
        for file in group {
            match parquet::read(&file) {
                Ok(rows) => {
                    batches.extend(rows);
                    merged.push(file);
                }
                Err(StoreError::Damaged(damage)) => {
                    warn!(%damage, "a damaged store file is left out of a merge");
                    outcome.damaged.push(damage);
                }
                Err(error) => return Err(error),
            }
        }
        let Some(day) = merged.first().filter(|_| merged.len() > 1).map(|file| file.entry.day) else {
            return Ok(());
        };
        let folder = self.root.join(&table.directory);
        let all = parquet::sorted(table, batches).map_err(StoreError::encode(&folder))?;
        let kept = compaction::kept(table, &all).map_err(StoreError::encode(&folder))?;
        let mut progress = self.committed();
        let written = vec![self.write_file(table, day, &kept, &mut progress.next_file)?];
        let removed: Vec<i64> = merged.iter().map(|file| file.entry.id).collect();
        self.commit(manifest, progress, tables, &written, &removed)?;
        guard(&self.live).exchange(&merged, self.hold(written));
        outcome.merged += merged.len() as u64;
        outcome.written += 1;
        outcome.rows_dropped += (all.num_rows() - kept.num_rows()) as u64;
        Ok(())
    }
}
