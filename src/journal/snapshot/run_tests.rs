//! Files of a snapshot read to the byte: many devices, heads that lie, snapshots that do not join on.

use super::*;
use crate::journal::batch_codec::encode_entry;
use crate::journal::identity::{Recent, Ring, Said};
use crate::journal::log::{LogKind, LogWriter};
use crate::journal::memory_disk::MemoryDisk;
use crate::journal::snapshot::names::Names;
use crate::journal::snapshot::past::Past;
use crate::model::{DeviceId, Entry, QuantityId, Reading, Value};

fn dir() -> &'static Path {
    Path::new("snapshot")
}

fn said(time: i64) -> Said {
    let reading = Reading { quantity: QuantityId(0), value: Value(time) };
    Said::new(Timestamp(time), None, [(&reading, 1_u64)].into_iter())
}

/// A run with one event of each of these devices, at the time of its id.
fn run(disk: &Arc<MemoryDisk>, from: u64, devices: &[u32]) -> RunName {
    let mut events = Gathered::default();
    devices.iter().for_each(|device| events.add(*device, &said(i64::from(*device))));
    write(&**disk, dir(), (from, from + 1), &mut events).unwrap()
}

fn opened(disk: &Arc<MemoryDisk>, name: RunName) -> Result<Run, LogError> {
    Run::open(&**disk, dir(), name)
}

/// The disk with a run's bytes changed.
fn changed(disk: &MemoryDisk, name: RunName, change: impl FnOnce(&mut Vec<u8>)) -> Arc<MemoryDisk> {
    let mut files = disk.files();
    change(files.get_mut(&dir().join(name.file())).unwrap());
    MemoryDisk::with(files)
}

#[test]
fn devices_of_every_chunk_are_recalled_each_from_its_own_place() {
    let disk = Arc::<MemoryDisk>::default();
    let names = [run(&disk, 0, &[0, 5, 700]), run(&disk, 1, &[5, 300, 600])];
    let runs: Vec<Run> = names.iter().map(|name| opened(&disk, *name).unwrap()).collect();
    assert_eq!(runs.iter().map(Run::chunks).collect::<Vec<_>>(), [3, 3]);
    let mut past = Past::new(disk, runs);
    let mut rings = vec![Ring::default(); 900];
    // One of each chunk has its whole chunk recalled; the fourth chunk is in no run.
    for device in [1, 299, 767, 899] {
        assert!(past.recall(DeviceId(device), &mut rings).unwrap().is_empty());
    }
    let known = |device: u32| {
        let asked = said(i64::from(device));
        let found = rings[device as usize].look(&asked, device, &Recent::default());
        found == crate::journal::identity::Known::Duplicate
    };
    let all: Vec<u32> = (0..900).filter(|device| known(*device)).collect();
    assert_eq!(all, [0, 5, 300, 600, 700]);
}

#[test]
fn a_run_is_as_long_as_its_form_says() {
    let disk = Arc::<MemoryDisk>::default();
    let name = run(&disk, 0, &[1, 600]);
    let content = disk.files()[&dir().join(name.file())].clone();
    // Three chunks, the middle one empty.
    let places: Vec<Place> = content[16..64].chunks_exact(16).map(Place::read).collect();
    assert_eq!(places[0].offset, 16 + 3 * 16 + 4);
    assert_eq!(places[1].length, 0);
    assert_eq!(places[2].offset, places[0].offset + u64::from(places[0].length));
    assert_eq!(name.bytes, places[2].offset + u64::from(places[2].length));
    assert_eq!(name.bytes, content.len() as u64);
    let mut into = Chunk::new();
    opened(&disk, name).unwrap().read(1, &mut into).unwrap();
    assert!(into.is_empty());
}

#[test]
fn places_reach_beyond_four_gibibytes() {
    let place = Place { offset: 0x0123_4567_89ab_cdef, length: 0x1234_5678, crc: 0x9abc_def0 };
    let mut bytes = Vec::new();
    place.write(&mut bytes);
    let read = Place::read(&bytes);
    assert_eq!((read.offset, read.length, read.crc), (place.offset, place.length, place.crc));
}

#[test]
fn a_head_is_read_only_if_it_is_the_one_that_the_manifest_names() {
    let disk = Arc::<MemoryDisk>::default();
    let name = run(&disk, 0, &[1, 600]);
    assert!(opened(&disk, name).is_ok());
    let head = 16 + 3 * 16 + 4;
    for at in 0..head {
        assert!(opened(&changed(&disk, name, |bytes| bytes[at] ^= 1), name).is_err(), "byte {at}");
    }
    let other = RunName { head: name.head ^ 1, ..name };
    assert!(opened(&disk, other).is_err(), "another run of the same epochs");
}

#[test]
fn a_head_that_is_longer_than_its_file_is_not_made_room_for() {
    let disk = Arc::<MemoryDisk>::default();
    let name = run(&disk, 0, &[1]);
    for chunks in [2_u32, u32::MAX] {
        let lies = changed(&disk, name, |bytes| bytes[12..16].copy_from_slice(&chunks.to_le_bytes()));
        let found = opened(&lies, name).err();
        let wanted = "its head is longer than the file";
        assert!(
            matches!(&found, Some(LogError::Damaged { offset: 12, what, .. }) if *what == wanted),
            "{chunks}: {found:?}"
        );
    }
}

#[test]
fn runs_of_later_versions_are_not_read() {
    let disk = Arc::<MemoryDisk>::default();
    let name = run(&disk, 0, &[1]);
    let of_version = |version: u32| {
        let mut sum = 0;
        let disk = changed(&disk, name, |bytes| {
            bytes[8..12].copy_from_slice(&version.to_le_bytes());
            sum = crc32c::crc32c(&bytes[..32]);
            bytes[32..36].copy_from_slice(&sum.to_le_bytes());
        });
        opened(&disk, RunName { head: sum, ..name }).is_ok()
    };
    assert_eq!([0, 1, 2, 3].map(of_version), [false, true, true, false]);
}

#[test]
fn names_that_come_again_are_taken_in_once_and_none_may_be_missing() {
    let entry = |number: u64| Entry::Feed(format!("feed-{number}").into());
    let disk: Arc<dyn Disk> = Arc::<MemoryDisk>::default();
    let mut log = LogWriter::open(disk.clone(), dir(), LogKind::Names, 1 << 20).unwrap();
    let mut frame = |numbers: std::ops::Range<u64>| {
        let mut out = Writer::default();
        out.uint(numbers.start);
        out.uint(numbers.end - numbers.start);
        numbers.for_each(|number| encode_entry(&mut out, &entry(number)));
        log.append(&out.0).unwrap();
    };
    frame(0..2);
    frame(1..4);
    for wanted in 0..=4 {
        let (_, names) = Names::open(&disk, dir(), (wanted, 0)).unwrap();
        assert_eq!(names.feeds().len() as u64, wanted);
    }
    assert!(matches!(Names::open(&disk, dir(), (5, 0)), Err(LogError::Missing { .. })));
    frame(5..6);
    assert!(matches!(Names::open(&disk, dir(), (4, 0)), Err(LogError::Content { .. })));
}
