//! The disk as an argument, so that a simulation can tear, fill and lose it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// One file of a log.
pub trait LogFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Whatever the disk says; part of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reads up to `buffer.len()` bytes at `offset`; 0 at the end of the file.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes everything written durable.
    ///
    /// # Errors
    /// After an error nothing is known of what was written: the caller stops.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `bytes`.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn bytes(&self) -> io::Result<u64>;
}

/// A folder of log files.
pub trait Disk: Send + Sync {
    /// Names of the files in a folder, which is created if absent.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens a file for reading and writing; `create` makes a new one and its name durable.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn LogFile>>;
    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name within its folder, in place of what bore it. The name is durable
    /// after [`Disk::sync_dir`]; until then a power loss leaves one of the two, whole.
    ///
    /// # Errors
    /// Whatever the disk says; then the old names stand.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable: what was renamed and removed.
    ///
    /// # Errors
    /// After an error nothing is known of the names: the caller stops.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// Writes a whole file in place of what bore its name: a temporary file, its sync, the rename, the
/// folder's sync. A crash leaves the old content or the new, never a part.
///
/// # Errors
/// Whatever the disk says; the old file stands unless only the folder's sync failed.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(&name);
    let dir = path.parent().unwrap_or(Path::new("."));
    if disk.list(dir)?.iter().any(|present| *present == *name.to_string_lossy()) {
        // Left by a crash in the middle.
        disk.remove(&temporary)?;
    }
    let written = disk.open(&temporary, true).and_then(|file| {
        file.write_at(bytes, 0)?;
        file.sync()?;
        disk.rename(&temporary, path)
    });
    if let Err(failure) = written {
        // The disk may be full: what was begun makes room again, as far as it goes.
        let _ = disk.remove(&temporary);
        return Err(failure);
    }
    disk.sync_dir(dir)
}

/// All of a file.
///
/// # Errors
/// Whatever the disk says; [`io::ErrorKind::NotFound`] without such a file.
pub fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, false)?;
    let length = usize::try_from(file.bytes()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(bytes)
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct FsDisk;

impl Disk for FsDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        make_dir(dir)?;
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn LogFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(create).open(path)?;
        if create && let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(Arc::new(FsFile(file)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// Makes a folder whose name outlives a power loss, and those above it.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make_dir(above)?;
    }
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(above.unwrap_or(Path::new(".")))?.sync_all()
}

struct FsFile(File);

impl LogFile for FsFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_whole_and_a_left_over_temporary_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/base");
        FsDisk.list(path.parent().unwrap()).unwrap();
        replace(&FsDisk, &path, b"the first, which is longer").unwrap();
        std::fs::write(path.with_file_name("base.tmp"), b"half of").unwrap();
        replace(&FsDisk, &path, b"second").unwrap();
        assert_eq!(read_all(&FsDisk, &path).unwrap(), b"second");
        assert_eq!(FsDisk.list(path.parent().unwrap()).unwrap(), ["base"]);
    }
}
