//! Checkpoints on disk: what the flow knew at an epoch, so that a start need not fold the journal
//! from its beginning.
//!
//! # Format, version 1
//!
//! A folder holds the files of each checkpoint, named after its number, twenty decimal digits:
//! `.base` (the groups whose base was written anew; absent if there are none), `.delta` (the shared
//! state and what changed in the other groups) and `.manifest`. Bases and deltas begin with a header
//! of 32 bytes:
//!
//! | bytes | content |
//! |---|---|
//! | 0..8 | `SERENOCB` for bases, `SERENOCD` for deltas |
//! | 8..12 | format version, u32 little-endian |
//! | 12..16 | zero |
//! | 16..24 | number of the checkpoint, u64 little-endian |
//! | 24..28 | CRC-32C of bytes 0..24, u32 little-endian |
//! | 28..32 | zero |
//!
//! Blocks follow without anything between: the forms of [`crate::flow::state`]. Where they stand the
//! manifest says, with the CRC-32C of the checkpoint's number, the block's offset (each u64
//! little-endian) and its bytes. A manifest is
//!
//! | bytes | content |
//! |---|---|
//! | 0..8 | `SERENOCM` |
//! | 8..12 | format version, u32 little-endian |
//! | 12..16 | length of the content, u32 little-endian |
//! | 16..24 | number of the checkpoint, u64 little-endian |
//! | 24..28 | CRC-32C of bytes 0..24 and the content, u32 little-endian |
//! | 28..32 | zero |
//! | 32.. | content: a [`Manifest`] as JSON |
//!
//! # Order
//!
//! The results log is durable up to the checkpoint, then its files are, then the manifest gets its
//! name ([`super::disk::replace`]): a manifest that is there names only what is durable. The two
//! latest manifests and the files they name are kept; what else lies in the folder goes after the
//! next checkpoint. So a damaged file costs at most the latest checkpoint.

pub mod begin;
pub mod keeper;
mod manifest;
pub mod plan;
pub mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use thiserror::Error;

pub use self::begin::{BeginError, Beginning, Begun};
pub use self::keeper::{Cadence, Keeper};
pub use self::manifest::{Block, Manifest};
pub use self::written::Written;
use super::disk::{self, Disk, LogFile};
use super::results::ResultsPosition;
use crate::flow::state::{ENGINE_VERSION, Part, STATE_VERSION, Saved, StateError, total};
use crate::model::crash::Point;
use crate::model::key::KEY_GROUPS;

/// Format version written and read.
pub const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
const BASES: &[u8; 8] = b"SERENOCB";
const DELTAS: &[u8; 8] = b"SERENOCD";
/// A file is synced whenever so much was written: the journal's own sync may have to wait for all that
/// the file system holds back.
const SYNC_EVERY_BYTES: usize = 1024 * 1024;
/// Checkpoints kept.
const KEPT: usize = 2;

/// Why a checkpoint cannot be used or written.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The disk failed, or is full.
    #[error("{path}: {source}; check the disk")]
    Disk {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes are not what was written. An older checkpoint, or the journal, is used in its place.
    #[error("{path}: damaged at byte {offset}: {what}")]
    Damaged {
        /// File.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Written by another version. An older checkpoint, or the journal, is used in its place.
    #[error("{path}: the {what} has version {found}, this build reads {read}")]
    Version {
        /// File.
        path: PathBuf,
        /// The form in question.
        what: &'static str,
        /// Version found.
        found: u32,
        /// Version that this build reads.
        read: u32,
    },
    /// Sound, but not what this build can go on from.
    #[error("{path}: {source}")]
    State {
        /// Manifest.
        path: PathBuf,
        /// What is wrong.
        source: StateError,
    },
    /// The logs do not reach to it.
    #[error("{path}: {what}")]
    Logs {
        /// Manifest.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// There is none to go on from, and the journal's beginning is gone.
    #[error(
        "{dir}: no checkpoint can be used and the journal begins at epoch {first}; restore the checkpoints from a backup of the same journal"
    )]
    NoneLeft {
        /// Folder.
        dir: PathBuf,
        /// First epoch of the journal.
        first: u64,
    },
}

/// What a checkpoint is written from.
pub struct Taken {
    /// The first epoch that is not in it.
    pub next: u64,
    /// The workers' parts.
    pub parts: Vec<Part>,
    /// Where the results log stood.
    pub results: ResultsPosition,
}

/// The folder of checkpoints.
pub struct Checkpoints {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Number of the next one.
    next_number: u64,
    /// Those that can be used, latest first.
    kept: Vec<Manifest>,
}

impl Checkpoints {
    /// Opens the folder, with the numbers of the manifests in it, latest first. None of them is
    /// held to be good until [`Self::keep`] says so.
    ///
    /// # Errors
    /// [`CheckpointError::Disk`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<(Self, Vec<u64>), CheckpointError> {
        let names = disk.list(dir).map_err(|source| at(dir, source))?;
        let number = |name: &String| name.split('.').next()?.parse::<u64>().ok();
        let next_number = names.iter().filter_map(number).max().map_or(0, |last| last + 1);
        let manifests = names.iter().filter(|name| name.ends_with(".manifest"));
        let mut numbers: Vec<u64> = manifests.filter_map(number).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok((Self { disk, dir: dir.to_owned(), next_number, kept: Vec::new() }, numbers))
    }

    /// The manifest of a checkpoint, checked; its blocks are not.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn manifest(&self, number: u64) -> Result<Manifest, CheckpointError> {
        let path = self.path(number, "manifest");
        let bytes = disk::read_all(&*self.disk, &path).map_err(|source| at(&path, source))?;
        Manifest::decode(&bytes, number, &path)
    }

    /// The state that a manifest names, every block of it checked.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn read(&self, manifest: &Manifest) -> Result<Saved, CheckpointError> {
        let (found, read) = (manifest.state_version, STATE_VERSION);
        if found != read {
            let path = self.path(manifest.number, "manifest");
            return Err(CheckpointError::Version { path, what: "state", found, read });
        }
        let mut files = HashMap::new();
        let mut block = |block: Option<&Block>, kind| match block {
            Some(block) => self.block(&mut files, block, kind),
            None => Ok(Vec::new()),
        };
        let mut groups = Vec::with_capacity(KEY_GROUPS);
        for group in 0..=u8::MAX {
            let base = block(manifest.bases.get(&group), Kind::Base)?;
            groups.push((base, block(manifest.deltas.get(&group), Kind::Delta)?));
        }
        let shared = block(Some(&manifest.shared), Kind::Delta)?;
        Ok(Saved { shared, counts: manifest.counts.clone(), groups })
    }

    fn block(
        &self,
        files: &mut HashMap<PathBuf, Arc<dyn LogFile>>,
        block: &Block,
        kind: Kind,
    ) -> Result<Vec<u8>, CheckpointError> {
        let path = self.path(block.file, kind.extension());
        let damaged = |what| CheckpointError::Damaged { path: path.clone(), offset: block.offset, what };
        if !files.contains_key(&path) {
            let file = match self.disk.open(&path, false) {
                Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                    return Err(damaged("the file is not there"));
                }
                file => file.map_err(|source| at(&path, source))?,
            };
            check_header(&*file, &path, kind, block.file)?;
            files.insert(path.clone(), file);
        }
        let Some(file) = files.get(&path) else { return Err(damaged("the file is not there")) };
        let end = file.bytes().map_err(|source| at(&path, source))?;
        let within = block.offset.checked_add(block.length).is_some_and(|last| last <= end);
        let length = usize::try_from(block.length).ok().filter(|_| within);
        let mut bytes = vec![0; length.ok_or_else(|| damaged("a block ends behind the file's end"))?];
        fill(&**file, &path, &mut bytes, block.offset)?;
        let sound = crc(block.file, block.offset, &bytes) == block.crc;
        if sound { Ok(bytes) } else { Err(damaged("a block's check sum is wrong")) }
    }

    /// Takes these for good, latest first: they stay until newer ones are written.
    pub fn keep(&mut self, manifests: Vec<Manifest>) {
        self.kept = manifests;
    }

    /// Those that are kept, latest first.
    #[must_use]
    pub fn kept(&self) -> &[Manifest] {
        &self.kept
    }

    /// Writes a checkpoint; the bytes that took. The results log must be durable up to it.
    ///
    /// # Errors
    /// [`CheckpointError::Disk`]: what was there before stands.
    pub fn write(&mut self, taken: &Taken) -> Result<u64, CheckpointError> {
        let number = self.next_number;
        self.next_number += 1;
        let written = self.write_files(number, taken);
        let (manifest, bytes) = match written {
            Ok(written) => written,
            Err(failure) => {
                // The disk may be full: what was begun makes room again, as far as it goes.
                for extension in ["base", "delta", "manifest.tmp"] {
                    let _ = self.disk.remove(&self.path(number, extension));
                }
                return Err(failure);
            }
        };
        Point::CheckpointNamed.pass();
        self.kept.insert(0, manifest);
        self.kept.truncate(KEPT);
        self.prune()?;
        Ok(bytes)
    }

    fn write_files(&self, number: u64, taken: &Taken) -> Result<(Manifest, u64), CheckpointError> {
        let groups = || taken.parts.iter().flat_map(|part| &part.groups);
        let mut bases = self.kept.first().map_or_else(BTreeMap::new, |old| old.bases.clone());
        let mut deltas = BTreeMap::new();
        let mut delta_file = self.create(number, Kind::Delta)?;
        let mut shared = Block::default();
        for part in taken.parts.iter().filter(|part| !part.shared.is_empty()) {
            shared = delta_file.add(&part.shared, 0)?;
        }
        for group in groups().filter(|group| !group.base && group.keys > 0) {
            deltas.insert(group.group, delta_file.add(&group.bytes, group.keys)?);
        }
        let mut bytes = delta_file.finish()?;
        for group in groups().filter(|group| group.base) {
            bases.remove(&group.group);
        }
        let mut new_bases = groups().filter(|group| group.base && group.keys > 0).peekable();
        if new_bases.peek().is_some() {
            let mut base_file = self.create(number, Kind::Base)?;
            for group in new_bases {
                bases.insert(group.group, base_file.add(&group.bytes, group.keys)?);
            }
            bytes += base_file.finish()?;
        }
        Point::CheckpointWritten.pass();
        let manifest = Manifest {
            number,
            state_version: STATE_VERSION,
            engine_version: ENGINE_VERSION,
            zones: taken.parts.iter().flat_map(|part| part.zones.clone()).collect(),
            next: taken.next,
            results: taken.results.clone(),
            counts: total(&taken.parts),
            shared,
            bases,
            deltas,
        };
        let (path, content) = (self.path(number, "manifest"), manifest.encode());
        disk::replace(&*self.disk, &path, &content).map_err(|source| at(&path, source))?;
        Ok((manifest, bytes + content.len() as u64))
    }

    fn create(&self, number: u64, kind: Kind) -> Result<FileWriter, CheckpointError> {
        let path = self.path(number, kind.extension());
        let file = self.disk.open(&path, true).map_err(|source| at(&path, source))?;
        let mut writer = FileWriter { file, path, number, end: 0, synced: 0 };
        writer.write(&kind.header(number, VERSION))?;
        Ok(writer)
    }

    /// Removes everything that no kept manifest names, manifests first.
    fn prune(&self) -> Result<(), CheckpointError> {
        let mut needed = BTreeSet::new();
        for manifest in &self.kept {
            needed.insert(self.path(manifest.number, "manifest"));
            needed.insert(self.path(manifest.shared.file, "delta"));
            for base in manifest.bases.values() {
                needed.insert(self.path(base.file, "base"));
            }
        }
        let names = self.disk.list(&self.dir).map_err(|source| at(&self.dir, source))?;
        let (manifests, files): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| name.ends_with(".manifest"));
        for names in [manifests, files] {
            let mut removed = false;
            for path in names.iter().map(|name| self.dir.join(name)).filter(|path| !needed.contains(path)) {
                self.disk.remove(&path).map_err(|source| at(&path, source))?;
                removed = true;
            }
            if removed {
                self.disk.sync_dir(&self.dir).map_err(|source| at(&self.dir, source))?;
            }
        }
        Point::CheckpointKept.pass();
        Ok(())
    }

    fn path(&self, number: u64, extension: &str) -> PathBuf {
        self.dir.join(format!("{number:020}.{extension}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Base,
    Delta,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Delta => "delta",
        }
    }

    fn header(self, number: u64, version: u32) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(match self {
            Self::Base => BASES,
            Self::Delta => DELTAS,
        });
        header[8..12].copy_from_slice(&version.to_le_bytes());
        header[16..24].copy_from_slice(&number.to_le_bytes());
        let crc = crc32c::crc32c(&header[..24]);
        header[24..28].copy_from_slice(&crc.to_le_bytes());
        header
    }
}

/// Writes one file, block by block.
struct FileWriter {
    file: Arc<dyn LogFile>,
    path: PathBuf,
    number: u64,
    end: u64,
    /// Up to where it was synced.
    synced: u64,
}

impl FileWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        for piece in bytes.chunks(SYNC_EVERY_BYTES) {
            self.file.write_at(piece, self.end).map_err(|source| at(&self.path, source))?;
            self.end += piece.len() as u64;
            if self.end - self.synced >= SYNC_EVERY_BYTES as u64 {
                self.file.sync().map_err(|source| at(&self.path, source))?;
                self.synced = self.end;
            }
        }
        Ok(())
    }

    fn add(&mut self, bytes: &[u8], keys: u64) -> Result<Block, CheckpointError> {
        let (offset, length) = (self.end, bytes.len() as u64);
        self.write(bytes)?;
        Ok(Block { file: self.number, offset, length, crc: crc(self.number, offset, bytes), keys })
    }

    fn finish(self) -> Result<u64, CheckpointError> {
        self.file.sync().map_err(|source| at(&self.path, source))?;
        Ok(self.end)
    }
}

fn crc(number: u64, offset: u64, bytes: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&number.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &offset.to_le_bytes()), bytes)
}

fn check_header(file: &dyn LogFile, path: &Path, kind: Kind, number: u64) -> Result<(), CheckpointError> {
    let mut header = [0; HEADER_BYTES];
    fill(file, path, &mut header, 0)?;
    if header == kind.header(number, VERSION) {
        return Ok(());
    }
    let found = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    let path = path.to_owned();
    if header == kind.header(number, found) {
        return Err(CheckpointError::Version { path, what: "file", found, read: VERSION });
    }
    Err(CheckpointError::Damaged { path, offset: 0, what: "the header is not this file's" })
}

fn fill(file: &dyn LogFile, path: &Path, bytes: &mut [u8], offset: u64) -> Result<(), CheckpointError> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let offset = offset + filled as u64;
        match file.read_at(rest, offset).map_err(|source| at(path, source))? {
            0 => {
                let what = "the file is cut short";
                return Err(CheckpointError::Damaged { path: path.to_owned(), offset, what });
            }
            read => filled += read,
        }
    }
    Ok(())
}

fn at(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Disk { path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "checkpoint/files_tests.rs"]
mod files_tests;
