//! The recorded synced position: how far the journal is known to be durable.
//!
//! # Format
//!
//! The file `synced` beside the segments: the ordinal after the last synced frame, u64
//! little-endian, and the CRC-32C of these 8 bytes, u32 little-endian. It is written after each
//! sync and not synced itself: after a power loss it may be behind, never ahead. Frames before it
//! were acknowledged, so one that does not read is damage; only behind it is a torn tail.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use super::disk::{self, Disk, LogFile};
use super::log::{LogError, at};

const NAME: &str = "synced";
const BYTES: usize = 12;

/// The mark of one log.
pub struct Mark {
    file: Arc<dyn LogFile>,
    path: PathBuf,
}

impl Mark {
    /// Opens the mark of the log in `dir`, or makes it.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(NAME);
        let names = disk.list(dir).map_err(|source| at(dir, source))?;
        let new = !names.iter().any(|name| name == NAME);
        let file = disk.open(&path, new).map_err(|source| at(&path, source))?;
        let mark = Self { file, path };
        if mark.file.bytes().map_err(|source| at(&mark.path, source))? < BYTES as u64 {
            // Room for good: a disk that is full later has it still.
            mark.write(0)?;
            mark.file.sync().map_err(|source| at(&mark.path, source))?;
        }
        Ok(mark)
    }

    /// The ordinal after the last frame known to be synced; 0 when nothing is recorded.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn read(&self) -> Result<u64, LogError> {
        let mut bytes = [0_u8; BYTES];
        let read = self.file.read_at(&mut bytes, 0).map_err(|source| at(&self.path, source))?;
        let (Some((next, rest)), BYTES) = (bytes.split_first_chunk::<8>(), read) else { return Ok(0) };
        let sound = crc32c::crc32c(next).to_le_bytes() == *rest;
        if !sound {
            warn!(file = %self.path.display(), "the recorded synced position does not read; taken as not recorded");
        }
        Ok(if sound { u64::from_le_bytes(*next) } else { 0 })
    }

    /// Records that everything before `next` is synced.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn write(&self, next: u64) -> Result<(), LogError> {
        let mut bytes = [0_u8; BYTES];
        bytes[..8].copy_from_slice(&next.to_le_bytes());
        bytes[8..].copy_from_slice(&crc32c::crc32c(&next.to_le_bytes()).to_le_bytes());
        self.file.write_at(&bytes, 0).map_err(|source| at(&self.path, source))
    }
}

/// The mark of the log in `dir`, without making one, for those who read beside the process that writes:
/// `None` when nothing is recorded, the file when it does not read.
///
/// # Errors
/// [`LogError::Disk`].
pub fn peek(disk: &dyn Disk, dir: &Path) -> Result<Result<Option<u64>, PathBuf>, LogError> {
    let path = dir.join(NAME);
    let bytes = match disk::read_all(disk, &path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        bytes => bytes.map_err(|source| at(&path, source))?,
    };
    Ok(match bytes.split_first_chunk::<8>() {
        None if bytes.is_empty() => Ok(None),
        Some((next, sum)) if crc32c::crc32c(next).to_le_bytes() == *sum => {
            Ok(Some(u64::from_le_bytes(*next)))
        }
        _ => Err(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::FsDisk;
    use crate::journal::log::{LogKind, LogWriter};

    #[test]
    fn it_has_its_room_from_the_start_and_what_does_not_read_is_not_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, path) = (FsDisk, folder.path().join(NAME));
        let mark = Mark::open(&disk, folder.path()).unwrap();
        assert_eq!((std::fs::metadata(&path).unwrap().len(), mark.read().unwrap()), (BYTES as u64, 0));
        mark.write(7).unwrap();
        assert_eq!(Mark::open(&disk, folder.path()).unwrap().read().unwrap(), 7);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] = 8;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(mark.read().unwrap(), 0);
    }

    #[test]
    fn damage_before_the_mark_is_refused_and_a_torn_tail_behind_it_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(FsDisk);
        let open = || LogWriter::open(disk.clone(), folder.path(), LogKind::Journal, 1 << 20);
        let mut writer = open().unwrap();
        for content in [b"one".as_slice(), b"two", b"three"] {
            writer.append(content).unwrap();
        }
        Mark::open(&*disk, folder.path()).unwrap().write(2).unwrap();
        let segment = folder.path().join("00000000000000000000.log");
        let whole = std::fs::read(&segment).unwrap();

        std::fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(open().unwrap().next(), 2, "the third was never synced");

        let mut damaged = whole.clone();
        damaged[32 + 8] ^= 1;
        std::fs::write(&segment, &damaged).unwrap();
        assert!(matches!(open(), Err(LogError::Damaged { ordinal: 0, .. })));
    }
}
