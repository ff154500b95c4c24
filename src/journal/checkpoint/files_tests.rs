//! A checkpoint's files: read back as written, and nothing of them read where a byte is another's.

use super::*;
use crate::flow::state::GroupState;
use crate::journal::memory_disk::MemoryDisk;

fn dir() -> &'static Path {
    Path::new("checkpoints")
}

fn group(group: u8, base: bool, bytes: &[u8]) -> GroupState {
    GroupState { group, base, keys: 1, bytes: bytes.to_vec() }
}

/// A checkpoint with two bases, a delta and the shared state.
fn written() -> (Arc<MemoryDisk>, Manifest) {
    let disk = Arc::<MemoryDisk>::default();
    let mut checkpoints = Checkpoints::open(disk.clone(), dir()).unwrap().0;
    let groups =
        vec![group(0, true, b"base of 0"), group(1, false, b"delta of 1"), group(2, true, &[7; 300])];
    let part = Part { shared: b"shared".to_vec(), groups, ..Part::default() };
    let taken = Taken { next: 5, parts: vec![part], results: ResultsPosition::default() };
    let bytes = checkpoints.write(&taken).unwrap();
    let held: usize = disk.files().values().map(Vec::len).sum();
    assert_eq!(bytes, held as u64, "as many as it took on disk");
    (disk, checkpoints.kept()[0].clone())
}

fn read(disk: Arc<MemoryDisk>, manifest: &Manifest) -> Result<Saved, CheckpointError> {
    Checkpoints::open(disk, dir()).unwrap().0.read(manifest)
}

#[test]
fn what_was_written_is_read_back() {
    let (disk, manifest) = written();
    let saved = read(disk.clone(), &manifest).unwrap();
    assert_eq!(saved.shared, b"shared");
    assert_eq!(saved.groups[0], (b"base of 0".to_vec(), Vec::new()));
    assert_eq!(saved.groups[1], (Vec::new(), b"delta of 1".to_vec()));
    assert_eq!(saved.groups[2], (vec![7; 300], Vec::new()));
    let held = Checkpoints::open(disk, dir()).unwrap().0.manifest(0).unwrap();
    assert_eq!((held.number, held.next), (0, 5));
}

#[test]
fn a_changed_byte_of_a_file_is_damage_or_another_version() {
    let (disk, manifest) = written();
    for extension in ["base", "delta"] {
        let path = dir().join(format!("{:020}.{extension}", 0));
        let content = disk.files()[&path].clone();
        for byte in 0..content.len() {
            let mut files = disk.files();
            files.get_mut(&path).unwrap()[byte] ^= 1;
            let found = read(MemoryDisk::with(files), &manifest).err();
            assert!(matches!(found, Some(CheckpointError::Damaged { .. })), "{extension} {byte}: {found:?}");
        }
        let mut files = disk.files();
        let kind = if extension == "base" { Kind::Base } else { Kind::Delta };
        files.get_mut(&path).unwrap()[..HEADER_BYTES].copy_from_slice(&kind.header(0, 9));
        let found = read(MemoryDisk::with(files), &manifest).err();
        assert!(matches!(found, Some(CheckpointError::Version { found: 9, .. })), "{found:?}");
        let mut files = disk.files();
        files.remove(&path);
        let found = read(MemoryDisk::with(files), &manifest).err();
        assert!(matches!(found, Some(CheckpointError::Damaged { .. })), "{found:?}");
    }
}
