//! A disk in memory for the tests of the journal: what a test flips and cuts, it holds as bytes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, LogFile};

type Content = Arc<Mutex<Vec<u8>>>;

/// One read gives at most so many bytes, as a system may.
const READ_BYTES_MAX: usize = 100;

/// Files by path.
#[derive(Default)]
pub(super) struct MemoryDisk {
    files: Mutex<BTreeMap<PathBuf, Content>>,
    /// So many writes find the disk full, half of their bytes written.
    pub(super) refusals: Arc<AtomicU32>,
}

struct MemoryFile(Content, Arc<AtomicU32>);

impl MemoryDisk {
    /// The content of every file.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.files.lock().unwrap();
        files.iter().map(|(path, content)| (path.clone(), content.lock().unwrap().clone())).collect()
    }

    /// A disk with these files.
    pub(super) fn with(files: BTreeMap<PathBuf, Vec<u8>>) -> Arc<Self> {
        let files = files.into_iter().map(|(path, content)| (path, Arc::new(Mutex::new(content))));
        Arc::new(Self { files: Mutex::new(files.collect()), ..Self::default() })
    }
}

impl Disk for MemoryDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let files = self.files.lock().unwrap();
        let here = files.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn LogFile>> {
        let mut files = self.files.lock().unwrap();
        if create && files.insert(path.to_owned(), Content::default()).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = files.get(path).ok_or(io::ErrorKind::NotFound)?.clone();
        Ok(Arc::new(MemoryFile(content, self.refusals.clone())))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.lock().unwrap().remove(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        let content = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl LogFile for MemoryFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut content = self.0.lock().unwrap();
        let (offset, end) = (offset as usize, offset as usize + bytes.len());
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset..end].copy_from_slice(bytes);
        let left = self.1.load(Ordering::Relaxed);
        if left > 0 {
            self.1.store(left - 1, Ordering::Relaxed);
            content.truncate(offset + bytes.len() / 2);
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.0.lock().unwrap();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len()).min(READ_BYTES_MAX);
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().unwrap().truncate(bytes as usize);
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
}
