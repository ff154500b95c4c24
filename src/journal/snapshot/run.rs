//! A run: the events that rings remember of a range of epochs, sorted by device.
//!
//! # Format, version 2
//!
//! Little-endian. The file is named `FROM-TO.rings` after its epochs.
//!
//! | bytes | content |
//! |---|---|
//! | 0..8 | `SERENORI` |
//! | 8..12 | format version, u32 |
//! | 12..16 | number of chunks n, u32 |
//! | 16..16 + 16 n | for each chunk: offset u64, length u32, CRC-32C of its bytes u32 |
//! | 4 more | CRC-32C of everything before |
//!
//! Chunk `i` holds the devices of ids `256 i` to `256 i + 255`, integers as in
//! [`crate::journal::wire`]:
//!
//! ```text
//! chunk = devices:uint { id - 256 i:byte events:uint { event } }
//! event = time - time of the event before (0 for the first):int counter:uint values:uint quantities:uint
//!         { print:uint }*n                  n: the bits set in `quantities`, 0 if it is one
//! ```
//!
//! Version 1 has no prints, and is read: what it holds is known, whatever its single values.
//!
//! Events of a device stand in the order in which they were taken in, the last 256 at most. Runs are
//! written from events that are bytes already ([`super::gathered`]), and merged without reading more of
//! an event than where it ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::gathered::Gathered;
use crate::journal::disk::{Disk, LogFile};
use crate::journal::identity::{Held, Seen, several};
use crate::journal::log::{LogError, at};
use crate::journal::wire::{BadContent, Reader, Writer};
use crate::model::Timestamp;

const MAGIC: &[u8; 8] = b"SERENORI";
const VERSION: u32 = 2;
/// The version whose events have no prints.
const WITHOUT_PRINTS: u32 = 1;
/// Devices of one chunk.
pub const CHUNK_DEVICES: u32 = 256;
const HEAD_BYTES: usize = 16;
const PLACE_BYTES: usize = 16;
/// Bytes that are gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// The events of one chunk's devices, by the low byte of their ids.
pub type Chunk = BTreeMap<u8, Vec<Held>>;

/// What a manifest says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunName {
    /// First epoch.
    pub from: u64,
    /// Epoch behind the last.
    pub to: u64,
    /// Length of the file.
    pub bytes: u64,
    /// CRC-32C at the end of its head.
    pub head: u32,
}

impl RunName {
    /// Name of its file.
    #[must_use]
    pub fn file(&self) -> String {
        file_name(self.from, self.to)
    }
}

fn file_name(from: u64, to: u64) -> String {
    format!("{from:020}-{to:020}.rings")
}

/// A run that is read.
#[derive(Clone)]
pub struct Run {
    name: RunName,
    path: PathBuf,
    file: Arc<dyn LogFile>,
    version: u32,
    places: Arc<[Place]>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    offset: u64,
    length: u32,
    crc: u32,
}

impl Run {
    /// Opens a run and checks its head.
    ///
    /// # Errors
    /// [`LogError`] when it is not there or not what the manifest names.
    pub fn open(disk: &dyn Disk, dir: &Path, name: RunName) -> Result<Self, LogError> {
        let path = dir.join(name.file());
        let file = disk.open(&path, false).map_err(|source| at(&path, source))?;
        let length = file.bytes().map_err(|source| at(&path, source))?;
        if length != name.bytes {
            return Err(damaged(&path, length.min(name.bytes), "its length is not what the manifest says"));
        }
        let head = read(&*file, &path, 0, HEAD_BYTES)?;
        let (version, chunks) = head_of(&head).ok_or_else(|| damaged(&path, 0, "its head is not a run's"))?;
        let whole = HEAD_BYTES + chunks as usize * PLACE_BYTES;
        if (whole + 4) as u64 > length {
            return Err(damaged(&path, 12, "its head is longer than the file"));
        }
        let bytes = read(&*file, &path, 0, whole + 4)?;
        let (head, sum) = bytes.split_at_checked(whole).unwrap_or_default();
        if sum != crc32c::crc32c(head).to_le_bytes() || sum != name.head.to_le_bytes() {
            return Err(damaged(&path, 0, "the check sum of its head is wrong"));
        }
        let places = head.get(HEAD_BYTES..).unwrap_or_default().chunks_exact(PLACE_BYTES);
        Ok(Self { name, path: path.clone(), file, version, places: places.map(Place::read).collect() })
    }

    /// What the manifest says of it.
    #[must_use]
    pub fn name(&self) -> RunName {
        self.name
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of chunks.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        self.places.len() as u32
    }

    /// Adds the events of a chunk to `into`, behind what is there.
    ///
    /// # Errors
    /// [`LogError::Damaged`] with the chunk's place; its number stands for the frame.
    pub fn read(&self, chunk: u32, into: &mut Chunk) -> Result<(), LogError> {
        self.read_by(chunk, |bytes, with_prints| decode(bytes, with_prints, into))
    }

    /// Adds the events of a chunk to `into` as they are, behind what is there.
    ///
    /// # Errors
    /// As for [`Run::read`].
    pub fn gather(&self, chunk: u32, into: &mut Gathered) -> Result<(), LogError> {
        self.read_by(chunk, |bytes, with_prints| into.take(chunk * CHUNK_DEVICES, bytes, with_prints))
    }

    fn read_by(
        &self,
        chunk: u32,
        decode: impl FnOnce(&[u8], bool) -> Result<(), BadContent>,
    ) -> Result<(), LogError> {
        let Some(place) = self.places.get(chunk as usize).filter(|place| place.length > 0) else {
            return Ok(());
        };
        let bytes = read(&*self.file, &self.path, place.offset, place.length as usize)?;
        let wrong = |what| LogError::Damaged {
            path: self.path.clone(),
            offset: place.offset,
            ordinal: u64::from(chunk),
            what,
        };
        if crc32c::crc32c(&bytes) != place.crc {
            return Err(wrong("the check sum of a chunk is wrong"));
        }
        decode(&bytes, self.version != WITHOUT_PRINTS).map_err(|_| wrong("a chunk does not read"))
    }
}

impl Place {
    fn read(bytes: &[u8]) -> Self {
        let mut fields = bytes
            .chunks_exact(4)
            .map(|four| four.first_chunk::<4>().map_or(0, |four| u32::from_le_bytes(*four)));
        let mut next = || fields.next().unwrap_or(0);
        let (low, high, length, crc) = (next(), next(), next(), next());
        Self { offset: u64::from(low) | u64::from(high) << 32, length, crc }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
    }
}

/// Version and number of chunks in a run's head, if this one reads it.
fn head_of(head: &[u8]) -> Option<(u32, u32)> {
    let (version, rest) = head.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    let version = u32::from_le_bytes(*version);
    let known = version == VERSION || version == WITHOUT_PRINTS;
    let chunks = rest.first_chunk::<4>().map(|four| u32::from_le_bytes(*four))?;
    known.then_some((version, chunks))
}

/// Writes the run of these events and makes it durable.
///
/// # Errors
/// [`LogError`]: nothing names the file yet, and it is gone again.
pub fn write(
    disk: &dyn Disk,
    dir: &Path,
    range: (u64, u64),
    events: &mut Gathered,
) -> Result<RunName, LogError> {
    events.sort();
    let chunks = events.devices_end().div_ceil(CHUNK_DEVICES);
    let mut begun = Begun::new(disk, dir, range, chunks)?;
    match (0..chunks).try_for_each(|chunk| begun.add(events, chunk)).and_then(|()| begun.finish()) {
        Ok(name) => Ok(name),
        Err(failure) => {
            begun.remove(disk);
            Err(failure)
        }
    }
}

/// A run that is being written: every chunk in its order, then the head.
pub struct Begun {
    range: (u64, u64),
    path: PathBuf,
    file: Arc<dyn LogFile>,
    chunks: u32,
    places: Vec<Place>,
    /// What is written.
    offset: u64,
    /// What is not yet; at first room for the head, which is known last.
    waiting: Writer,
}

impl Begun {
    /// Begins the run of a range of epochs with so many chunks.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn new(disk: &dyn Disk, dir: &Path, range: (u64, u64), chunks: u32) -> Result<Self, LogError> {
        let name = file_name(range.0, range.1);
        let path = dir.join(&name);
        if disk.list(dir).map_err(|source| at(dir, source))?.contains(&name) {
            // Left by a crash before a manifest named it.
            disk.remove(&path).map_err(|source| at(&path, source))?;
        }
        let file = disk.open(&path, true).map_err(|source| at(&path, source))?;
        let waiting = Writer(vec![0; head_bytes(chunks)]);
        Ok(Self {
            range,
            path,
            file,
            chunks,
            places: Vec::with_capacity(chunks as usize),
            offset: 0,
            waiting,
        })
    }

    /// Adds the next chunk, whose number this is, from sorted events.
    ///
    /// # Errors
    /// [`LogError::Disk`]: the run is to be removed.
    pub fn add(&mut self, events: &Gathered, chunk: u32) -> Result<(), LogError> {
        let start = self.waiting.0.len();
        events.write(chunk, &mut self.waiting);
        let bytes = self.waiting.0.get(start..).unwrap_or_default();
        let offset = self.offset + start as u64;
        self.places.push(Place { offset, length: bytes.len() as u32, crc: crc32c::crc32c(bytes) });
        if self.waiting.0.len() >= WRITE_BYTES { self.write_waiting() } else { Ok(()) }
    }

    /// Chunks that are not added yet.
    #[must_use]
    pub fn missing(&self) -> u32 {
        self.chunks - self.places.len() as u32
    }

    /// Writes the head and makes the run durable, once every chunk is added.
    ///
    /// # Errors
    /// [`LogError::Disk`]: the run is to be removed.
    pub fn finish(&mut self) -> Result<RunName, LogError> {
        self.write_waiting()?;
        let mut head = Vec::with_capacity(head_bytes(self.chunks));
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&self.chunks.to_le_bytes());
        self.places.iter().for_each(|place| place.write(&mut head));
        let sum = crc32c::crc32c(&head);
        head.extend_from_slice(&sum.to_le_bytes());
        self.file.write_at(&head, 0).map_err(|source| at(&self.path, source))?;
        self.file.sync().map_err(|source| at(&self.path, source))?;
        Ok(RunName { from: self.range.0, to: self.range.1, bytes: self.offset, head: sum })
    }

    /// Name of its file.
    #[must_use]
    pub fn file(&self) -> String {
        file_name(self.range.0, self.range.1)
    }

    /// Removes what was written. The disk may be full: it makes room again, as far as it goes.
    pub fn remove(&self, disk: &dyn Disk) {
        let _ = disk.remove(&self.path);
    }

    fn write_waiting(&mut self) -> Result<(), LogError> {
        self.file.write_at(&self.waiting.0, self.offset).map_err(|source| at(&self.path, source))?;
        self.offset += self.waiting.0.len() as u64;
        self.waiting.0.clear();
        Ok(())
    }
}

/// Length of the head of so many chunks.
fn head_bytes(chunks: u32) -> usize {
    HEAD_BYTES + chunks as usize * PLACE_BYTES + 4
}

/// Writes an event; `before` is the time of the one before it.
pub fn write_event(event: &Held, before: &mut i64, out: &mut Writer) {
    out.int(event.seen.time.0.wrapping_sub(*before));
    *before = event.seen.time.0;
    write_rest(&event.seen, event.prints.iter().copied(), out);
}

/// Writes what stands behind the time of an event.
pub fn write_rest(seen: &Seen, prints: impl Iterator<Item = u32>, out: &mut Writer) {
    out.uint(u64::from(seen.counter));
    out.uint(u64::from(seen.values));
    out.uint(seen.quantities);
    prints.for_each(|print| out.uint(u64::from(print)));
}

/// Reads an event; without prints they are taken for not known.
///
/// # Errors
/// [`BadContent`].
pub fn read_event(input: &mut Reader<'_>, before: &mut i64, with_prints: bool) -> Result<Held, BadContent> {
    *before = before.wrapping_add(input.int()?);
    let (counter, values, quantities) = (input.small()?, input.small()?, input.uint()?);
    let seen = Seen { time: Timestamp(*before), counter, values, quantities };
    let prints: Result<Arc<[u32]>, BadContent> =
        (0..several(quantities)).map(|_| if with_prints { input.small() } else { Ok(0) }).collect();
    Ok(Held { seen, prints: prints? })
}

fn decode(bytes: &[u8], with_prints: bool, into: &mut Chunk) -> Result<(), BadContent> {
    let mut input = Reader(bytes);
    for _ in 0..input.count()? {
        let events = into.entry(input.byte()?).or_default();
        let mut before = 0_i64;
        for _ in 0..input.count()? {
            events.push(read_event(&mut input, &mut before, with_prints)?);
        }
    }
    input.end()
}

fn read(file: &dyn LogFile, path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, LogError> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64).map_err(|source| at(path, source))? {
            0 => return Err(damaged(path, offset + filled as u64, "it ends too early")),
            read => filled += read,
        }
    }
    Ok(bytes)
}

fn damaged(path: &Path, offset: u64, what: &'static str) -> LogError {
    LogError::Damaged { path: path.to_owned(), offset, ordinal: 0, what }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
