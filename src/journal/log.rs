//! A log on disk: frames in segments. The journal and the results log are each one.
//!
//! # Format, version 1
//!
//! A log is a folder of segments named after the ordinal of their first frame, twenty decimal
//! digits and `.log`. A segment begins with a header of 32 bytes:
//!
//! | bytes | content |
//! |---|---|
//! | 0..8 | `SERENOJL` for the journal, `SERENORL` for the results log, `SERENONA` for a snapshot's names |
//! | 8..12 | format version, u32 little-endian |
//! | 12..16 | zero |
//! | 16..24 | ordinal of the first frame, u64 little-endian |
//! | 24..28 | CRC-32C of bytes 0..24, u32 little-endian |
//! | 28..32 | zero |
//!
//! Frames follow without padding:
//!
//! | bytes | content |
//! |---|---|
//! | 0..4 | length of the content, u32 little-endian, at most [`FRAME_BYTES_MAX`] |
//! | 4..8 | CRC-32C of the frame's ordinal (u64 little-endian), the length and the content |
//! | 8.. | content |
//!
//! The ordinal is counted, not stored; that the check sum covers it keeps a frame of elsewhere
//! from being read here. A journal frame is a batch and its ordinal the epoch.
//!
//! An incomplete or damaged frame in the last segment, behind the recorded synced position
//! ([`super::mark`]), is a torn tail: it was never acknowledged, and is cut when the log is opened.
//! Anywhere else it is damage, and refused.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tracing::warn;

use super::disk::{Disk, LogFile};
use super::mark::Mark;
use super::wire::BadContent;
use crate::model::crash::Point;

/// Format version written and read.
pub const VERSION: u32 = 1;
/// Length of a segment's header.
pub const HEADER_BYTES: u64 = 32;
/// Length of what stands before a frame's content.
pub const FRAME_HEAD_BYTES: usize = 8;
/// The longest content of a frame.
pub const FRAME_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes that are written over themselves at once when a log is opened.
const WRITE_AGAIN_BYTES: usize = 1024 * 1024;

/// Which of the two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// The journal.
    Journal,
    /// The results log.
    Results,
    /// The names of a snapshot.
    Names,
}

impl LogKind {
    /// What a frame of it is called.
    #[must_use]
    pub fn frame(self) -> &'static str {
        match self {
            Self::Journal => "epoch",
            Self::Results | Self::Names => "frame",
        }
    }

    fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Journal => b"SERENOJL",
            Self::Results => b"SERENORL",
            Self::Names => b"SERENONA",
        }
    }
}

/// Why a log cannot be used.
#[derive(Debug, Error)]
pub enum LogError {
    /// The disk failed; the service stops.
    #[error("{path}: {source}; check the disk")]
    Disk {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes are not what was written; restore the file from a backup.
    #[error("{path}: damaged at byte {offset} (frame {ordinal}): {what}; restore this file from a backup")]
    Damaged {
        /// File.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// Which frame.
        ordinal: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Written by another version; run the version that wrote it.
    #[error("{path}: format version {found}, this build reads {VERSION}; run the version that wrote it")]
    Version {
        /// File.
        path: PathBuf,
        /// Version found.
        found: u32,
    },
    /// A frame that is sound but says nothing this version knows.
    #[error("frame {ordinal}: {source}")]
    Content {
        /// Which frame.
        ordinal: u64,
        /// What is wrong.
        source: BadContent,
    },
    /// The beginning of the journal was collected, and no snapshot reads.
    #[error(
        "{path}: the journal begins at epoch {first} and no snapshot of what came before reads; restore the folder `journal` from a backup, with its `snapshot`"
    )]
    NoSnapshot {
        /// Folder of the snapshots.
        path: PathBuf,
        /// First epoch left.
        first: u64,
    },
    /// The frame is not there any more, or never was.
    #[error("{path}: frame {ordinal} is not in the log")]
    Missing {
        /// Folder of the log.
        path: PathBuf,
        /// Which frame.
        ordinal: u64,
    },
}

impl LogError {
    /// Whether it is a full disk and nothing else: the same may be tried again once there is room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}

/// The writing end of a log.
pub struct LogWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    kind: LogKind,
    segment_bytes_max: u64,
    file: Arc<dyn LogFile>,
    path: PathBuf,
    offset: u64,
    next: u64,
    frame: Vec<u8>,
}

impl LogWriter {
    /// Opens the log in `dir`, or begins it; a torn tail of the last segment is cut.
    ///
    /// # Errors
    /// [`LogError`] when the disk fails or a segment is not what was written.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        kind: LogKind,
        segment_bytes_max: u64,
    ) -> Result<Self, LogError> {
        let segments = segments(&*disk, dir)?;
        let synced = Mark::open(&*disk, dir)?.read()?;
        let (first, path) = match segments.last().cloned() {
            Some(last) => last,
            None if synced == 0 => return Self::begin(disk, dir, kind, segment_bytes_max, 0),
            None => return Err(LogError::Missing { path: dir.to_owned(), ordinal: synced - 1 }),
        };
        let file = disk.open(&path, false).map_err(|source| at(&path, source))?;
        let length = file.bytes().map_err(|source| at(&path, source))?;
        let header = check_header(&*file, &path, kind, first);
        // The header is synced before the first frame is written, so without a frame it may be torn.
        let torn_header = matches!(header, Err(LogError::Damaged { .. })) && length <= HEADER_BYTES;
        if torn_header && synced <= first && (segments.len() > 1 || first == 0) {
            warn!(file = %path.display(), cut_bytes = length, frame = first, "torn tail cut");
            disk.remove(&path).map_err(|source| at(&path, source))?;
            return Self::begin(disk, dir, kind, segment_bytes_max, first);
        }
        header?;
        let SoundEnd { next, offset, doubtful } = sound_end(&*file, &path, first, length, synced)?;
        if next < synced {
            let what = "a frame that was synced does not read";
            return Err(LogError::Damaged { path, offset, ordinal: next, what });
        }
        if offset < length {
            warn!(file = %path.display(), cut_bytes = length - offset, frame = next, "torn tail cut");
            file.truncate(offset).map_err(|source| at(&path, source))?;
            file.sync().map_err(|source| at(&path, source))?;
        }
        write_again(&*file, &path, doubtful, offset)?;
        let (dir, frame) = (dir.to_owned(), Vec::new());
        Ok(Self { disk, dir, kind, segment_bytes_max, file, path, offset, next, frame })
    }

    /// A log that goes on with an empty segment.
    fn begin(
        disk: Arc<dyn Disk>,
        dir: &Path,
        kind: LogKind,
        segment_bytes_max: u64,
        next: u64,
    ) -> Result<Self, LogError> {
        let (file, path) = begin_segment(&*disk, dir, kind, next)?;
        let (dir, offset, frame) = (dir.to_owned(), HEADER_BYTES, Vec::new());
        Ok(Self { disk, dir, kind, segment_bytes_max, file, path, offset, next, frame })
    }

    /// Ordinal of the next frame.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The file that [`LogFile::sync`] makes durable; earlier segments already are.
    #[must_use]
    pub fn file(&self) -> Arc<dyn LogFile> {
        self.file.clone()
    }

    /// Appends one frame and returns its ordinal. After an error nothing of it counts as written:
    /// the file is cut back, and the caller may try again.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn append(&mut self, content: &[u8]) -> Result<u64, LogError> {
        if self.offset >= self.segment_bytes_max && self.offset > HEADER_BYTES {
            self.begin_next_segment()?;
        }
        let ordinal = self.next;
        self.frame.clear();
        let length = content.len() as u32;
        self.frame.extend_from_slice(&length.to_le_bytes());
        self.frame.extend_from_slice(&frame_crc(ordinal, content).to_le_bytes());
        self.frame.extend_from_slice(content);
        if let Err(source) = self.file.write_at(&self.frame, self.offset) {
            self.file.truncate(self.offset).map_err(|source| at(&self.path, source))?;
            return Err(at(&self.path, source));
        }
        self.offset += self.frame.len() as u64;
        self.next += 1;
        Ok(ordinal)
    }

    /// Ends the segment: the next frame is the first of a new one.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn begin_next_segment(&mut self) -> Result<(), LogError> {
        // The old segment becomes durable before the new one exists: only the last can be torn.
        self.file.sync().map_err(|source| at(&self.path, source))?;
        Point::SegmentEnded.pass();
        let (file, path) = begin_segment(&*self.disk, &self.dir, self.kind, self.next)?;
        self.file = file;
        self.path = path;
        self.offset = HEADER_BYTES;
        Ok(())
    }
}

/// The segments of a log with the ordinals of their first frames, in order.
///
/// # Errors
/// [`LogError::Disk`] when the folder cannot be read.
pub fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let names = disk.list(dir).map_err(|source| at(dir, source))?;
    let mut segments: Vec<(u64, PathBuf)> = names
        .iter()
        .filter_map(|name| Some((name.strip_suffix(".log")?.parse().ok()?, dir.join(name))))
        .collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Check sum of one frame.
#[must_use]
pub fn frame_crc(ordinal: u64, content: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&ordinal.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &(content.len() as u32).to_le_bytes());
    crc32c::crc32c_append(crc, content)
}

/// Checks a segment's header.
///
/// # Errors
/// [`LogError::Damaged`], [`LogError::Version`] or [`LogError::Disk`].
pub fn check_header(file: &dyn LogFile, path: &Path, kind: LogKind, first: u64) -> Result<(), LogError> {
    let mut header = [0_u8; HEADER_BYTES as usize];
    let damaged = |what| LogError::Damaged { path: path.to_owned(), offset: 0, ordinal: first, what };
    let read = file.read_at(&mut header, 0).map_err(|source| at(path, source))?;
    if read < header.len() {
        return Err(damaged("the header is incomplete"));
    }
    if header == header_of(kind, VERSION, first) {
        return Ok(());
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if header == header_of(kind, version, first) {
        return Err(LogError::Version { path: path.to_owned(), found: version });
    }
    Err(damaged("the header is not this segment's"))
}

fn header_of(kind: LogKind, version: u32, first: u64) -> [u8; HEADER_BYTES as usize] {
    let mut header = [0_u8; HEADER_BYTES as usize];
    header[..8].copy_from_slice(kind.magic());
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header[16..24].copy_from_slice(&first.to_le_bytes());
    let crc = crc32c::crc32c(&header[..24]);
    header[24..28].copy_from_slice(&crc.to_le_bytes());
    header
}

fn begin_segment(
    disk: &dyn Disk,
    dir: &Path,
    kind: LogKind,
    first: u64,
) -> Result<(Arc<dyn LogFile>, PathBuf), LogError> {
    let path = dir.join(format!("{first:020}.log"));
    disk.list(dir).map_err(|source| at(dir, source))?;
    let file = disk.open(&path, true).map_err(|source| at(&path, source))?;
    Point::SegmentNamed.pass();
    if let Err(source) = file.write_at(&header_of(kind, VERSION, first), 0).and_then(|()| file.sync()) {
        // The disk may be full: what was begun goes, so that the caller can try again.
        disk.remove(&path).map_err(|source| at(&path, source))?;
        return Err(at(&path, source));
    }
    Point::SegmentBegun.pass();
    Ok((file, path))
}

/// Where the sound frames of the last segment end.
struct SoundEnd {
    /// Ordinal after the last of them.
    next: u64,
    /// Its end in the file.
    offset: u64,
    /// From here on nothing is recorded as synced.
    doubtful: u64,
}

/// Walks the frames of the last segment.
fn sound_end(
    file: &dyn LogFile,
    path: &Path,
    first: u64,
    length: u64,
    synced: u64,
) -> Result<SoundEnd, LogError> {
    let mut end = SoundEnd { next: first, offset: HEADER_BYTES, doubtful: 0 };
    let mut content = Vec::new();
    while let Some(frame_bytes) = read_frame(file, path, end.next, end.offset, length, &mut content)? {
        end.offset += frame_bytes;
        end.next += 1;
        if end.next <= synced {
            end.doubtful = end.offset;
        }
    }
    Ok(end)
}

/// Writes the bytes from `from` to `to` over themselves. After a failed sync the system may take
/// pages for clean that never reached the disk: they read well, and no later sync writes them.
/// Written again, they are part of the next sync.
fn write_again(file: &dyn LogFile, path: &Path, from: u64, to: u64) -> Result<(), LogError> {
    let mut piece = vec![0; WRITE_AGAIN_BYTES.min(to.saturating_sub(from) as usize)];
    let mut offset = from;
    while offset < to {
        piece.truncate((to - offset) as usize);
        if !fill(file, path, &mut piece, offset)? {
            return Err(at(path, io::ErrorKind::UnexpectedEof.into()));
        }
        file.write_at(&piece, offset).map_err(|source| at(path, source))?;
        offset += piece.len() as u64;
    }
    Ok(())
}

/// Reads the frame at `offset` into `content`; `None` when it is incomplete or its sum is wrong.
///
/// # Errors
/// [`LogError::Disk`].
pub fn read_frame(
    file: &dyn LogFile,
    path: &Path,
    ordinal: u64,
    offset: u64,
    length: u64,
    content: &mut Vec<u8>,
) -> Result<Option<u64>, LogError> {
    let mut head = [0_u8; FRAME_HEAD_BYTES];
    if offset + FRAME_HEAD_BYTES as u64 > length || !fill(file, path, &mut head, offset)? {
        return Ok(None);
    }
    let [a, b, c, d, e, f, g, h] = head;
    let bytes = u32::from_le_bytes([a, b, c, d]) as usize;
    let end = offset + FRAME_HEAD_BYTES as u64 + bytes as u64;
    if bytes > FRAME_BYTES_MAX || end > length {
        return Ok(None);
    }
    content.resize(bytes, 0);
    if !fill(file, path, content, offset + FRAME_HEAD_BYTES as u64)? {
        return Ok(None);
    }
    let sound = frame_crc(ordinal, content) == u32::from_le_bytes([e, f, g, h]);
    Ok(sound.then_some(FRAME_HEAD_BYTES as u64 + bytes as u64))
}

fn fill(file: &dyn LogFile, path: &Path, buffer: &mut [u8], offset: u64) -> Result<bool, LogError> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = buffer.get_mut(filled..).unwrap_or_default();
        match file.read_at(rest, offset + filled as u64).map_err(|source| at(path, source))? {
            0 => return Ok(false),
            n => filled += n,
        }
    }
    Ok(true)
}

/// A disk error with its place.
pub(super) fn at(path: &Path, source: io::Error) -> LogError {
    LogError::Disk { path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
