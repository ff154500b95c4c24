//! What a log makes of what a crash, a failed sync or a bad disk left.

use super::*;
use crate::journal::memory_disk::MemoryDisk;
use crate::journal::testing::{Chance, Loss, SimDisk};

#[test]
fn what_a_failed_sync_left_is_written_again_at_the_next_start() {
    let disk = Arc::new(SimDisk::default());
    let dir = Path::new("log");
    let open = || LogWriter::open(disk.mount(), dir, LogKind::Journal, 1 << 20).unwrap();
    let mut writer = open();
    writer.append(&[1; 3_000]).unwrap();
    disk.fail_sync_after(0);
    assert!(writer.file().sync().is_err());

    // The process ends; the kernel takes its pages for clean, and the next sync succeeds.
    disk.lose(Loss::Process, &mut Chance::of(1));
    let writer = open();
    assert_eq!(writer.next(), 1);
    writer.file().sync().unwrap();
    disk.lose(Loss::Everything, &mut Chance::of(1));
    assert_eq!(open().next(), 1, "the sync after the start made it durable");
}

const DIR: &str = "log";

fn open(disk: &Arc<MemoryDisk>) -> Result<LogWriter, LogError> {
    LogWriter::open(disk.clone(), Path::new(DIR), LogKind::Journal, 1 << 20)
}

fn segment(first: u64) -> PathBuf {
    Path::new(DIR).join(format!("{first:020}.log"))
}

/// A log of these frames, one segment from frame `first` on.
fn with(first: u64, frames: &[&[u8]]) -> Arc<MemoryDisk> {
    let disk = Arc::<MemoryDisk>::default();
    let mut log = LogWriter::begin(disk.clone(), Path::new(DIR), LogKind::Journal, 1 << 20, first).unwrap();
    for frame in frames {
        log.append(frame).unwrap();
    }
    disk
}

/// The same disk with one byte of a segment changed.
fn flipped(disk: &MemoryDisk, first: u64, byte: usize) -> Arc<MemoryDisk> {
    let mut files = disk.files();
    files.get_mut(&segment(first)).unwrap()[byte] ^= 1;
    MemoryDisk::with(files)
}

fn synced(disk: &MemoryDisk, next: u64) {
    Mark::open(disk, Path::new(DIR)).unwrap().write(next).unwrap();
}

#[test]
fn a_torn_tail_is_cut_to_the_byte() {
    let disk = with(0, &[b"one", b"two", b"three"]);
    let sound = FRAME_HEAD_BYTES + 3;
    // The second frame's content; the third, written later, is whole.
    let torn = flipped(&disk, 0, HEADER_BYTES as usize + sound + FRAME_HEAD_BYTES);
    assert_eq!(open(&torn).unwrap().next(), 1);
    assert_eq!(torn.files()[&segment(0)].len(), HEADER_BYTES as usize + sound);
    let mut log = open(&torn).unwrap();
    log.append(b"two").unwrap();
    assert_eq!(open(&torn).unwrap().next(), 2, "what lay behind the torn frame does not come back");
}

#[test]
fn what_was_synced_and_does_not_read_is_damage_and_no_torn_tail() {
    let disk = with(0, &[b"one", b"two"]);
    let torn = flipped(&disk, 0, HEADER_BYTES as usize + 2 * FRAME_HEAD_BYTES + 3);
    synced(&torn, 2);
    assert!(matches!(open(&torn).err(), Some(LogError::Damaged { ordinal: 1, .. })));
    synced(&torn, 1);
    assert_eq!(open(&torn).unwrap().next(), 1);
}

#[test]
fn a_header_is_torn_only_where_no_frame_can_follow() {
    let damaged = |disk: &Arc<MemoryDisk>| matches!(open(disk).err(), Some(LogError::Damaged { .. }));
    let begun = flipped(&with(0, &[]), 0, 20);
    assert_eq!(open(&begun).unwrap().next(), 0, "the log's first segment, just begun");
    assert!(damaged(&flipped(&with(0, &[b"one"]), 0, 20)), "a frame follows");
    let acknowledged = flipped(&with(0, &[]), 0, 20);
    synced(&acknowledged, 1);
    assert!(damaged(&acknowledged), "frames of it were synced");
    assert!(damaged(&flipped(&with(7, &[]), 7, 20)), "what came before it is gone");
    let mut files = with(0, &[b"one", b"two"]).files();
    files.extend(flipped(&with(2, &[]), 2, 20).files());
    assert_eq!(open(&MemoryDisk::with(files)).unwrap().next(), 2, "the next segment, just begun");
}

#[test]
fn segments_that_were_synced_are_missed() {
    let disk = Arc::<MemoryDisk>::default();
    assert_eq!(open(&disk).unwrap().next(), 0);
    let files = disk.files().into_iter().filter(|file| file.0 != segment(0)).collect();
    let empty = MemoryDisk::with(files);
    synced(&empty, 5);
    assert!(matches!(open(&empty).err(), Some(LogError::Missing { ordinal: 4, .. })));
}

#[test]
fn a_header_says_its_version_and_whose_it_is() {
    let disk = with(3, &[]);
    let path = segment(3);
    let check =
        |disk: &MemoryDisk, kind, first| check_header(&*disk.open(&path, false).unwrap(), &path, kind, first);
    assert!(check(&disk, LogKind::Journal, 3).is_ok());
    assert!(matches!(check(&disk, LogKind::Results, 3), Err(LogError::Damaged { .. })));
    assert!(matches!(check(&disk, LogKind::Journal, 4), Err(LogError::Damaged { .. })));
    let mut files = disk.files();
    *files.get_mut(&path).unwrap() = header_of(LogKind::Journal, 9, 3).to_vec();
    let later = MemoryDisk::with(files.clone());
    assert!(matches!(check(&later, LogKind::Journal, 3), Err(LogError::Version { found: 9, .. })));
    files.get_mut(&path).unwrap().pop();
    assert!(matches!(check(&MemoryDisk::with(files), LogKind::Journal, 3), Err(LogError::Damaged { .. })));
}

#[test]
fn a_frame_has_its_bounds_checked_before_there_is_room_for_it() {
    let disk = with(0, &[b"", &[7; 300], b""]);
    let path = segment(0);
    let file = disk.open(&path, false).unwrap();
    let length = file.bytes().unwrap();
    let read = |ordinal, offset, content: &mut Vec<u8>| {
        read_frame(&*file, &path, ordinal, offset, length, content).unwrap()
    };
    let mut content = Vec::new();
    assert_eq!(read(0, 32, &mut content), Some(8), "empty");
    assert_eq!((read(1, 40, &mut content), content.len()), (Some(308), 300));
    assert_eq!((read(2, 348, &mut content), content.len()), (Some(8), 0), "empty, at the end");
    assert_eq!(read(3, 356, &mut content), None);
    for bytes in [309_u32, 1 << 20, u32::MAX] {
        file.write_at(&bytes.to_le_bytes(), 40).unwrap();
        let mut content = Vec::new();
        assert_eq!((read(1, 40, &mut content), content.capacity()), (None, 0), "{bytes}");
    }
}

#[test]
fn all_that_is_not_known_to_be_synced_is_written_again_piece_by_piece() {
    let disk = with(0, &[&[1; 700], &[2; WRITE_AGAIN_BYTES], &[3; 700]]);
    let path = segment(0);
    let file = disk.open(&path, false).unwrap();
    let before = disk.files();
    write_again(&*file, &path, 40, file.bytes().unwrap()).unwrap();
    assert_eq!(disk.files(), before);
    assert!(write_again(&*file, &path, 40, file.bytes().unwrap() + 1).is_err(), "it ends too early");
}

#[test]
fn only_a_full_disk_is_tried_again() {
    let failed = |kind: io::ErrorKind| at(Path::new("x"), kind.into()).is_disk_full();
    assert!(failed(io::ErrorKind::StorageFull) && !failed(io::ErrorKind::PermissionDenied));
}
