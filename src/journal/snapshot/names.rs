//! The names of a snapshot: every dictionary entry in its order, appended as they come.

use std::path::Path;
use std::sync::Arc;

use crate::journal::batch_codec::{decode_entry, encode_entry};
use crate::journal::disk::Disk;
use crate::journal::log::{LogError, LogKind, LogWriter, at};
use crate::journal::reader::LogReader;
use crate::journal::wire::{BadContent, Reader, Writer};
use crate::model::{Dictionary, Entry};

/// Names in a frame at most.
const FRAME_NAMES_MAX: usize = 10_000;
/// Devices that room is made for before any is read.
const ROOM_DEVICES_MAX: usize = 4_000_000;
/// Size at which a segment is full.
const SEGMENT_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// The writing end.
pub struct Names {
    writer: LogWriter,
    /// Entries in it.
    count: u64,
    waiting: Vec<Entry>,
}

impl Names {
    /// Opens the names in `dir` and reads the first `wanted`, about so many of them `devices`; what may
    /// lie behind is of a snapshot that was not finished, and is passed over when it comes again.
    ///
    /// # Errors
    /// [`LogError`] when they do not read or there are fewer.
    pub fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        (wanted, devices): (u64, usize),
    ) -> Result<(Self, Dictionary), LogError> {
        let writer = LogWriter::open(disk.clone(), dir, LogKind::Names, SEGMENT_BYTES_MAX)?;
        let (dictionary, count) = Self::read(disk, dir, writer.next(), (wanted, u64::MAX), devices)?;
        Ok((Self { writer, count, waiting: Vec::new() }, dictionary))
    }

    /// The first `wanted` names in `dir`, which somebody else may be writing to.
    ///
    /// # Errors
    /// [`LogError`] when they do not read or there are fewer.
    pub fn peek(disk: &Arc<dyn Disk>, dir: &Path, wanted: u64) -> Result<Dictionary, LogError> {
        Ok(Self::read(disk, dir, u64::MAX, (wanted, wanted), 0)?.0)
    }

    /// The first `wanted` names of the frames before `end`, and how many there are; it is read on
    /// until there are `enough`. Room is made for `devices`.
    fn read(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        end: u64,
        (wanted, enough): (u64, u64),
        devices: usize,
    ) -> Result<(Dictionary, u64), LogError> {
        let mut reader = LogReader::new(disk.clone(), dir, LogKind::Names, 0);
        let mut dictionary = Dictionary::default();
        dictionary.reserve_devices(devices.min(ROOM_DEVICES_MAX));
        let mut count = 0;
        while count < enough
            && let Some((ordinal, content)) = reader.next(end)?
        {
            let bad = |source| LogError::Content { ordinal, source };
            let mut input = Reader(content);
            let first = input.uint().map_err(bad)?;
            let entries = input.count().map_err(bad)? as u64;
            if first > count {
                return Err(bad(BadContent));
            }
            for number in first..first + entries {
                let entry = decode_entry(&mut input).map_err(bad)?;
                if number == count {
                    if count < wanted {
                        dictionary.insert(&entry);
                    }
                    count += 1;
                }
            }
        }
        if count < wanted {
            return Err(LogError::Missing { path: dir.to_owned(), ordinal: end });
        }
        Ok((dictionary, count))
    }

    /// Begins anew: whatever is in `dir` goes.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn begin(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Self, LogError> {
        for name in disk.list(dir).map_err(|source| at(dir, source))? {
            let path = dir.join(name);
            disk.remove(&path).map_err(|source| at(&path, source))?;
        }
        disk.sync_dir(dir).map_err(|source| at(dir, source))?;
        Ok(Self::open(disk, dir, (0, 0))?.0)
    }

    /// Takes in the entry with this number, unless it is in already.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn add(&mut self, number: u64, entry: &Entry) -> Result<(), LogError> {
        if number >= self.count + self.waiting.len() as u64 {
            self.waiting.push(entry.clone());
        }
        if self.waiting.len() >= FRAME_NAMES_MAX { self.flush() } else { Ok(()) }
    }

    /// Makes everything taken in durable.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn sync(&mut self, dir: &Path) -> Result<(), LogError> {
        self.flush()?;
        self.writer.file().sync().map_err(|source| at(dir, source))
    }

    fn flush(&mut self) -> Result<(), LogError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut out = Writer::default();
        out.uint(self.count);
        out.uint(self.waiting.len() as u64);
        self.waiting.iter().for_each(|entry| encode_entry(&mut out, entry));
        self.writer.append(&out.0)?;
        self.count += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}
