//! A disk in memory that does what disks do: it forgets what was not synced, in any mixture of its
//! 512-byte sectors, lengths and names; it fails a sync; it fills up in the middle of a write.
//!
//! What holds of it is what a file system promises at least. A synced file is there with its
//! content. A sector that was written since is there in one of the states it had, whatever the
//! others are. A length that was not synced is the old one or one of the new. Renames and removals
//! that no sync of the folder followed may be undone, the later ones first.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::Chance;
use crate::journal::disk::{Disk, LogFile};

const SECTOR: usize = 512;

/// How a run ended, as the disk sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process is gone, the kernel lives: everything written is there, synced or not.
    Process,
    /// The power is gone: of what was not synced, whatever chance leaves.
    Power,
    /// The power is gone, and with it everything that was not synced.
    Everything,
}

/// See the module.
#[derive(Default)]
pub struct SimDisk(Mutex<State>);

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Renames and removals that no sync of their folder followed.
    pending: Vec<NameChange>,
    nodes: HashMap<u64, Node>,
    next_node: u64,
    /// Counts losses: a file opened before one must not be used after it.
    era: u64,
    syncs_until_failure: Option<u64>,
    room_bytes: Option<u64>,
}

enum NameChange {
    Removed(PathBuf),
    Renamed(PathBuf, PathBuf),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Removed(path) => {
                names.remove(path);
            }
            Self::Renamed(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }

    fn is_in(&self, dir: &Path) -> bool {
        let (Self::Removed(path) | Self::Renamed(path, _)) = self;
        path.parent() == Some(dir)
    }
}

/// A file without its name.
#[derive(Default)]
struct Node {
    content: Vec<u8>,
    synced: Vec<u8>,
    /// Every state that a sector had since the last sync, in order.
    sectors: BTreeMap<usize, Vec<[u8; SECTOR]>>,
    /// Every length since the last sync, in order.
    lengths: Vec<usize>,
}

impl Node {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
            self.lengths.push(end);
        }
        self.content[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            for sector in offset / SECTOR..=(end - 1) / SECTOR {
                let image = self.sector(sector);
                self.sectors.entry(sector).or_default().push(image);
            }
        }
    }

    fn sector(&self, sector: usize) -> [u8; SECTOR] {
        let mut image = [0; SECTOR];
        let start = sector * SECTOR;
        let held = &self.content[start.min(self.content.len())..(start + SECTOR).min(self.content.len())];
        image[..held.len()].copy_from_slice(held);
        image
    }

    /// Writes what is dirty, and nothing else: what a failed sync forgot stays unwritten.
    fn sync(&mut self) {
        self.synced.resize(self.content.len(), 0);
        for sector in self.sectors.keys() {
            let start = (sector * SECTOR).min(self.content.len());
            let end = (start + SECTOR).min(self.content.len());
            self.synced[start..end].copy_from_slice(&self.content[start..end]);
        }
        self.forget_unsynced();
    }

    /// What a kernel does with pages that it could not write: it takes them for clean.
    fn forget_unsynced(&mut self) {
        self.sectors.clear();
        self.lengths.clear();
    }

    fn lose(&mut self, loss: Loss, chance: &mut Chance) {
        if loss == Loss::Process {
            return;
        }
        let mut left = self.synced.clone();
        if loss == Loss::Power {
            let lengths = self.lengths.len();
            let length = match chance.below(lengths + 1) {
                0 => left.len(),
                nth => self.lengths[nth - 1],
            };
            left.resize(length, 0);
            // Each disk has its habits: some keep nearly every sector, some nearly none.
            let keeps = chance.below(5);
            for (sector, states) in &self.sectors {
                if chance.below(4) >= keeps {
                    continue;
                }
                let state = states[chance.below(states.len())];
                let start = (sector * SECTOR).min(left.len());
                let end = (start + SECTOR).min(left.len());
                left[start..end].copy_from_slice(&state[..end - start]);
            }
        }
        self.synced.clone_from(&left);
        self.content = left;
        self.forget_unsynced();
    }
}

impl SimDisk {
    /// What is left after a run ended this way. Files that are open still must not be used again.
    pub fn lose(&self, loss: Loss, chance: &mut Chance) {
        let mut state = self.lock();
        state.era += 1;
        state.syncs_until_failure = None;
        if loss != Loss::Process {
            let survive = match loss {
                Loss::Everything => 0,
                _ => chance.below(state.pending.len() + 1),
            };
            let pending = std::mem::take(&mut state.pending);
            let mut names = std::mem::take(&mut state.durable_names);
            pending.iter().take(survive).for_each(|change| change.apply(&mut names));
            state.names.clone_from(&names);
            state.durable_names = names;
        }
        let mut nodes: Vec<_> = state.nodes.iter_mut().collect();
        nodes.sort_by_key(|node| *node.0);
        nodes.into_iter().for_each(|(_, node)| node.lose(loss, chance));
    }

    /// The sync after `count` more fails, and what it should have made durable may be lost.
    pub fn fail_sync_after(&self, count: u64) {
        self.lock().syncs_until_failure = Some(count);
    }

    /// Files may grow by so many bytes from here on; `None`: by any number.
    pub fn leave_room(&self, bytes: Option<u64>) {
        self.lock().room_bytes = bytes;
    }

    /// A disk as this one would be if everything that is not synced were lost now.
    pub fn synced(&self) -> Arc<Self> {
        let state = self.lock();
        let mut only =
            State { names: state.durable_names.clone(), next_node: state.next_node, ..State::default() };
        only.durable_names.clone_from(&only.names);
        for (number, node) in &state.nodes {
            let (content, synced) = (node.synced.clone(), node.synced.clone());
            only.nodes.insert(*number, Node { content, synced, ..Node::default() });
        }
        Arc::new(Self(Mutex::new(only)))
    }

    /// The content of every file, as a process reads it.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        state.names.iter().map(|(path, node)| (path.clone(), state.nodes[node].content.clone())).collect()
    }

    /// Writes a file beside every fault, synced.
    pub fn put(&self, path: &Path, content: Vec<u8>) {
        let mut state = self.lock();
        let node = state.names[path];
        let node = state.nodes.get_mut(&node).unwrap();
        node.synced.clone_from(&content);
        node.content = content;
        node.forget_unsynced();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A crash may unwind through a holder; the state is whole all the same.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn settle_names(&mut self, dir: &Path) {
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|change| change.is_in(dir));
        here.iter().for_each(|change| change.apply(&mut self.durable_names));
        self.pending = elsewhere;
    }

    fn sync_fails(&mut self) -> bool {
        match &mut self.syncs_until_failure {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

/// The view of one process on the disk.
#[derive(Clone)]
pub struct Mounted(Arc<SimDisk>, u64);

struct SimFile {
    disk: Arc<SimDisk>,
    node: u64,
    era: u64,
}

impl SimDisk {
    /// The disk as a process sees it until the next loss.
    pub fn mount(self: &Arc<Self>) -> Arc<dyn Disk> {
        Arc::new(Mounted(self.clone(), self.lock().era))
    }
}

impl Mounted {
    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.0.lock();
        assert_eq!(state.era, self.1, "a disk is used after the crash of its process");
        state
    }
}

impl Disk for Mounted {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        let here = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.lock();
        if create {
            if state.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if state.room_bytes == Some(0) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let node = state.next_node;
            state.next_node += 1;
            state.nodes.insert(node, Node::default());
            state.names.insert(path.to_owned(), node);
            state.settle_names(path.parent().unwrap());
            state.durable_names.insert(path.to_owned(), node);
        }
        let node = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.0.clone(), node, era: self.1 }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.pending.push(NameChange::Removed(path.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let node = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), node);
        state.pending.push(NameChange::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if state.sync_fails() {
            return Err(io::Error::from_raw_os_error(5));
        }
        state.settle_names(dir);
        Ok(())
    }
}

impl SimFile {
    fn with<T>(&self, work: impl FnOnce(&mut Node, &mut Option<u64>) -> T) -> T {
        let mut state = self.disk.lock();
        assert_eq!(state.era, self.era, "a file is used after the crash of its process");
        let State { nodes, room_bytes, .. } = &mut *state;
        work(nodes.get_mut(&self.node).unwrap(), room_bytes)
    }
}

impl LogFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = offset as usize;
        self.with(|node, room| {
            let growth = (offset + bytes.len()).saturating_sub(node.content.len()) as u64;
            match room {
                // A short write: as much as there is room for.
                Some(left) if *left < growth => {
                    let written = bytes.len().saturating_sub((growth - *left) as usize);
                    *left = 0;
                    if written > 0 {
                        node.write(&bytes[..written], offset);
                    }
                    Err(io::ErrorKind::StorageFull.into())
                }
                room => {
                    if let Some(left) = room {
                        *left -= growth;
                    }
                    node.write(bytes, offset);
                    Ok(())
                }
            }
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|node, _| {
            let rest = node.content.get(offset as usize..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        })
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.lock().sync_fails() {
            self.with(|node, _| node.forget_unsynced());
            return Err(io::Error::from_raw_os_error(5));
        }
        self.with(|node, _| node.sync());
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.with(|node, room| {
            let freed = node.content.len().saturating_sub(bytes as usize) as u64;
            if let Some(left) = room {
                *left += freed;
            }
            node.content.resize(bytes as usize, 0);
            node.lengths.push(bytes as usize);
        });
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        self.with(|node, _| Ok(node.content.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(disk: &Arc<SimDisk>, create: bool) -> Arc<dyn LogFile> {
        disk.mount().open(Path::new("a/b"), create).unwrap()
    }

    #[test]
    fn a_loss_of_power_leaves_what_was_synced_and_any_sectors_since() {
        let mut lengths = std::collections::BTreeSet::new();
        let mut mixtures = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let disk = Arc::new(SimDisk::default());
            let open = file(&disk, true);
            open.write_at(&[1; 2 * SECTOR], 0).unwrap();
            open.sync().unwrap();
            open.write_at(&[2; 2 * SECTOR], SECTOR as u64).unwrap();
            disk.lose(Loss::Power, &mut Chance::of(seed));
            let left = disk.files().remove(Path::new("a/b")).unwrap();
            assert_eq!(left[..SECTOR], [1; SECTOR]);
            lengths.insert(left.len() / SECTOR);
            mixtures.insert((left[SECTOR], left.get(2 * SECTOR).copied()));
        }
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [2, 3]);
        // Old and new sectors, the file as short as before, and a length without its data.
        assert_eq!(mixtures.len(), 6, "{mixtures:?}");
    }

    #[test]
    fn a_dead_process_loses_nothing_and_everything_can_still_be_lost_later() {
        let disk = Arc::new(SimDisk::default());
        file(&disk, true).write_at(b"written", 0).unwrap();
        disk.lose(Loss::Process, &mut Chance::of(1));
        assert_eq!(disk.files()[Path::new("a/b")], b"written");
        disk.lose(Loss::Everything, &mut Chance::of(1));
        assert_eq!(disk.files()[Path::new("a/b")], b"");
    }

    #[test]
    fn a_removal_may_be_undone_until_its_folder_is_synced() {
        let mut left = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let disk = Arc::new(SimDisk::default());
            file(&disk, true);
            disk.mount().remove(Path::new("a/b")).unwrap();
            disk.lose(Loss::Power, &mut Chance::of(seed));
            left.insert(disk.files().len());
        }
        assert_eq!(left.into_iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_full_disk_writes_what_it_has_room_for() {
        let disk = Arc::new(SimDisk::default());
        let open = file(&disk, true);
        disk.leave_room(Some(3));
        assert_eq!(open.write_at(b"12345", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(open.bytes().unwrap(), 3);
        open.truncate(0).unwrap();
        disk.leave_room(None);
        open.write_at(b"12345", 0).unwrap();
    }

    #[test]
    fn a_failed_sync_makes_nothing_durable_and_the_next_does_not_mend_it() {
        let disk = Arc::new(SimDisk::default());
        let open = file(&disk, true);
        open.write_at(b"12345", 0).unwrap();
        disk.fail_sync_after(0);
        assert!(open.sync().is_err());
        disk.lose(Loss::Power, &mut Chance::of(1));
        assert_eq!(disk.files()[Path::new("a/b")], b"");
    }
}
