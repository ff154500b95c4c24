//! A snapshot and what follows it decide as the whole journal does; damage is never read as data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;

use super::maker::Base;
use super::*;
use crate::journal::batch_codec;
use crate::journal::disk::Disk;
use crate::journal::log::{LogError, LogKind, LogWriter};
use crate::journal::memory_disk::MemoryDisk;
use crate::journal::reader::BatchReader;
use crate::journal::sequencer::Sequencer;
use crate::journal::snapshots::reach::Bounds;
use crate::journal::testing::{Chance, Loss, SimDisk};
use crate::journal::verify::{self, Report};
use crate::journal::{FsDisk, Journal, JournalOptions, SystemClock};
use crate::model::arrival::Quantity;
use crate::model::definition::FeedDefinition;
use crate::model::time::SECOND;
use crate::model::{Brought, Decoded, DecodedEvent, DecodedReading, Input, Packet, Submission, Value};

#[path = "snapshot_full_tests.rs"]
mod full;
#[path = "snapshot_start_tests.rs"]
mod starts;

/// A journal in memory with its sequencer.
struct City {
    disk: Arc<dyn Disk>,
    memory: Arc<MemoryDisk>,
    writer: LogWriter,
    sequencer: Sequencer,
    now: i64,
}

fn journal() -> &'static Path {
    Path::new("journal")
}

fn dir() -> PathBuf {
    journal().join("snapshot")
}

/// One message: feed, device, time, counter, values of a few quantities.
type Said = (u8, u16, i64, Option<u64>, Vec<(u8, i64)>);

fn submission((feed, device, at, counter, values): &Said) -> Submission {
    let reading = |(name, value): &(u8, i64)| DecodedReading {
        quantity: Arc::new(Quantity { name: format!("q{name}").into(), unit: "".into(), decimals: 0 }),
        value: Value(*value),
    };
    let event = DecodedEvent {
        sensor: format!("device-{device}").into(),
        tags: vec![("zone".into(), format!("zone-{}", device % 3).into())].into(),
        event_at: Some(Timestamp(at * SECOND)),
        counter: *counter,
        readings: values.iter().map(reading).collect(),
    };
    // Few identifiers, so that they come again; the third feed has nothing else to tell a message by.
    let id = 1 + device % 5;
    let print = if *feed == 2 { 1 + (at.unsigned_abs() % 3) } else { 0 };
    let packet = Packet { session: u64::from(device % 2), in_flight_max: 3, id, print };
    let brought = Some(Brought { packet, again: at % 2 == 0 });
    Submission {
        feed: format!("feed-{feed}").into(),
        topic: "x".into(),
        payload: Bytes::from_static(b"{}"),
        arrived_at: None,
        decoded: Decoded { events: vec![event].into(), rejected: Vec::new(), ignored: None },
        repeated: false,
        brought,
        ack: None,
    }
}

fn controls() -> Vec<Control> {
    let feeds = (0..).zip(["time", "sequence", "protocol"]).map(|(number, identity)| {
        let text =
            format!(r#"{{"name":"feed-{number}","topic":"x","decoder":"json","identity":"{identity}"}}"#);
        let feed: FeedDefinition = serde_json::from_str(&text).unwrap();
        Control::Feed { feed: Box::new(feed) }
    });
    feeds.collect()
}

impl City {
    fn new() -> Self {
        let memory: Arc<MemoryDisk> = Arc::default();
        Self { memory: memory.clone(), ..Self::on(memory) }
    }

    fn on(disk: Arc<dyn Disk>) -> Self {
        let writer = LogWriter::open(disk.clone(), journal(), LogKind::Journal, 2_000).unwrap();
        let sequencer = start(&disk, writer.next(), true);
        let mut city = Self { disk, memory: Arc::default(), writer, sequencer, now: 1_000 };
        city.sequencer.configure(controls(), Timestamp(city.now * SECOND));
        city.append();
        city
    }

    fn append(&mut self) {
        for finished in self.sequencer.take() {
            self.writer.append(&batch_codec::encode(&finished.batch)).unwrap();
        }
    }

    fn say(&mut self, said: &[Said]) {
        self.now += 1;
        for one in said {
            self.sequencer.accept(vec![submission(one)], Timestamp(self.now * SECOND));
        }
        self.append();
    }

    fn kept(&self) -> Kept {
        self.sequencer.kept(self.writer.next())
    }

    fn maker(&self, from: Option<Base>) -> Maker {
        Maker::new(&self.disk, &dir(), journal(), self.sequencer.dictionary(), from)
    }
}

/// Merges what is to be merged.
fn merge(maker: &mut Maker) -> Result<(), LogError> {
    while maker.merge_step()? {}
    Ok(())
}

fn restored(disk: &Arc<dyn Disk>, end: u64) -> Option<Restored> {
    Restored::newest(disk, &dir(), 0, end).unwrap()
}

/// The sequencer as a start finds it.
fn start(disk: &Arc<dyn Disk>, end: u64, by_snapshot: bool) -> Sequencer {
    let state = by_snapshot.then(|| restored(disk, end)).flatten().map(|restored| Base::of(restored).1);
    let from = state.as_ref().map_or(0, |state| state.kept.epoch);
    let mut sequencer = state.map_or_else(Sequencer::default, Sequencer::restored);
    let mut reader = BatchReader::new(disk.clone(), journal(), from);
    while let Some((_, batch)) = reader.next(end).unwrap() {
        sequencer.recover(&batch);
    }
    sequencer
}

/// What a sequencer makes of these messages; an error of its snapshot ends it.
fn decisions(mut sequencer: Sequencer, now: i64, said: &[Said]) -> Result<Vec<Vec<u8>>, LogError> {
    for one in said {
        sequencer.accept(vec![submission(one)], Timestamp(now * SECOND));
    }
    sequencer.configure(controls(), Timestamp(now * SECOND));
    if let Some(fault) = sequencer.fault() {
        return Err(fault);
    }
    Ok(sequencer.take().iter().map(|finished| batch_codec::encode(&finished.batch)).collect())
}

fn said() -> impl Strategy<Value = Said> {
    let values = prop::collection::vec((0_u8..5, 0_i64..3), 1..4);
    (0_u8..3, prop_oneof![0_u16..6, 500_u16..510], 900_i64..960, prop::option::of(0_u64..8), values)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_snapshot_and_the_rest_decide_as_the_whole_journal_does(
        bursts in prop::collection::vec(prop::collection::vec(said(), 0..30), 1..40),
        snapshot_every in 1_usize..12,
        restart_every in 3_usize..20,
        later in prop::collection::vec(said(), 1..60),
    ) {
        let mut city = City::new();
        let mut maker = city.maker(None);
        for (number, burst) in bursts.iter().enumerate() {
            city.say(burst);
            if number % snapshot_every == 0 {
                maker.make(city.kept()).unwrap();
                merge(&mut maker).unwrap();
            }
            if number % restart_every == restart_every - 1 {
                let end = city.writer.next();
                city.sequencer = start(&city.disk, end, true);
                maker = city.maker(restored(&city.disk, end).map(|restored| Base::of(restored).0));
            }
        }
        let end = city.writer.next();
        let now = city.now + 1;
        let by_snapshot = decisions(start(&city.disk, end, true), now, &later).unwrap();
        let by_journal = decisions(start(&city.disk, end, false), now, &later).unwrap();
        prop_assert_eq!(by_snapshot, by_journal);
    }
}

/// A city with three snapshots, of which the last two are kept, and messages that repeat all of it.
fn three_snapshots() -> (City, Vec<Said>) {
    let mut city = City::new();
    let mut maker = city.maker(None);
    let mut all: Vec<Said> = Vec::new();
    for round in 0..3 {
        let burst: Vec<Said> =
            (0..4).map(|device| (0, device, 900 + round, None, vec![(0, i64::from(device))])).collect();
        city.say(&burst);
        all.extend(burst);
        maker.make(city.kept()).unwrap();
    }
    (city, all)
}

fn snapshot_files(city: &City) -> BTreeMap<PathBuf, Vec<u8>> {
    city.memory.files().into_iter().filter(|file| file.0.starts_with(dir())).collect()
}

#[test]
fn every_flipped_byte_and_every_cut_is_passed_over_or_stops_and_is_never_read() {
    let (city, all) = three_snapshots();
    let (end, now) = (city.writer.next(), city.now + 1);
    let expected = decisions(start(&city.disk, end, false), now, &all).unwrap();
    let (mut passed_over, mut stopped) = (0, 0);
    for (path, bytes) in snapshot_files(&city) {
        let flips = (0..bytes.len()).map(|at| {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            changed
        });
        let cuts = (0..bytes.len()).map(|length| bytes[..length].to_vec());
        for changed in flips.chain(cuts) {
            let mut files = city.memory.files();
            files.insert(path.clone(), changed);
            let disk: Arc<dyn Disk> = MemoryDisk::with(files);
            passed_over += usize::from(restored(&disk, end).is_none_or(|found| found.state.kept.epoch < end));
            match decisions(start(&disk, end, true), now, &all) {
                Ok(decided) => assert_eq!(decided, expected, "{}", path.display()),
                Err(LogError::Damaged { path: named, .. }) => {
                    assert_eq!(named, path);
                    stopped += 1;
                    // The file was put aside: the next start is whole.
                    assert_eq!(decisions(start(&disk, end, true), now, &all).unwrap(), expected);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(passed_over > 500 && stopped > 50, "{passed_over} passed over, {stopped} stopped");
}

#[test]
fn a_crash_between_any_two_files_leaves_a_snapshot_that_reads() {
    let (city, all) = three_snapshots();
    let (end, now) = (city.writer.next(), city.now + 1);
    let expected = decisions(start(&city.disk, end, false), now, &all).unwrap();
    let newest = dir().join(manifest::file(end));
    let mut files = city.memory.files();
    assert!(files.remove(&newest).is_some());
    let disk: Arc<dyn Disk> = MemoryDisk::with(files);
    let found = restored(&disk, end).unwrap();
    assert!(found.state.kept.epoch < end);
    // Its runs and names reach further than its manifest: what comes again is taken in once.
    let (base, state) = Base::of(found);
    let dictionary = Sequencer::restored(state).dictionary();
    let mut maker = Maker::new(&disk, &dir(), journal(), dictionary, Some(base));
    maker.make(city.kept()).unwrap();
    assert_eq!(restored(&disk, end).unwrap().state.kept.epoch, end);
    assert_eq!(decisions(start(&disk, end, true), now, &all).unwrap(), expected);
}

#[test]
fn runs_are_merged_and_two_snapshots_kept() {
    let mut city = City::new();
    let mut maker = city.maker(None);
    let mut oldest = Vec::new();
    for round in 0..200 {
        city.say(&[(0, round % 7, i64::from(round), None, vec![(0, 1)])]);
        oldest.push(maker.make(city.kept()).unwrap());
        merge(&mut maker).unwrap();
    }
    let ends = |end: &str| {
        let files = snapshot_files(&city);
        files.keys().filter(|path| path.extension().is_some_and(|found| found == end)).count()
    };
    assert_eq!(ends("manifest"), 2);
    assert!(ends("rings") <= 10, "{} runs", ends("rings"));
    assert_eq!(oldest[0], 0, "the only snapshot may turn out damaged: the journal stays");
    assert_eq!(oldest[1..].len(), 199);
    assert_eq!(*oldest.last().unwrap(), city.writer.next() - 1, "the older of the two");
}

#[test]
fn failed_syncs_full_disks_and_power_losses_leave_a_snapshot_that_decides_as_the_journal_or_none() {
    let (mut failures, mut by_snapshot) = (0, 0);
    for seed in 0..150 {
        let mut chance = Chance::of(seed);
        let sim = Arc::new(SimDisk::default());
        let mut city = City::on(sim.mount());
        let mut maker = city.maker(None);
        let mut all: Vec<Said> = Vec::new();
        for round in 0..12_i64 {
            let burst: Vec<Said> = (0..chance.below(6) as u16)
                .map(|device| (0, device * 100, 900 + round, None, vec![(0, i64::from(device))]))
                .collect();
            city.say(&burst);
            city.writer.file().sync().unwrap();
            all.extend(burst);
            match chance.below(4) {
                0 => sim.fail_sync_after(chance.below(9) as u64),
                1 => sim.leave_room(Some(chance.below(900) as u64)),
                _ => {}
            }
            let failed = maker.make(city.kept()).and_then(|_| merge(&mut maker)).is_err();
            sim.fail_sync_after(u64::MAX);
            sim.leave_room(None);
            failures += u32::from(failed);
            if chance.once_in(2) {
                sim.lose(if chance.once_in(2) { Loss::Power } else { Loss::Everything }, &mut chance);
                city = City { now: city.now, ..City::on(sim.mount()) };
                let end = city.writer.next();
                by_snapshot += u32::from(restored(&city.disk, end).is_some());
                maker = city.maker(restored(&city.disk, end).map(|restored| Base::of(restored).0));
            } else if failed {
                maker = maker.again().unwrap();
            }
            let (end, now) = (city.writer.next(), city.now + 1);
            let decided = decisions(start(&city.disk, end, true), now, &all).unwrap();
            let expected = decisions(start(&city.disk, end, false), now, &all).unwrap();
            assert_eq!(decided, expected, "seed {seed}, round {round}");
        }
    }
    assert!(failures > 100 && by_snapshot > 300, "{failures} failures, {by_snapshot} starts by a snapshot");
}

#[test]
fn a_fast_devices_redelivery_is_known_beyond_its_ring_and_across_snapshots() {
    let mut city = City::new();
    let mut maker = city.maker(None);
    let all: Vec<Said> = (0..2_000).map(|n| (0, 1, n / 2, Some(n as u64), vec![(0, n), (1, 7)])).collect();
    for part in all.chunks(100) {
        city.say(part);
        if city.now % 6 == 0 {
            maker.make(city.kept()).unwrap();
            merge(&mut maker).unwrap();
        }
    }
    for by_snapshot in [true, false] {
        let mut again = start(&city.disk, city.writer.next(), by_snapshot);
        let at = Timestamp(city.now * SECOND);
        all.iter().for_each(|one| again.accept(vec![submission(one)], at));
        // A part of one that the ring forgot long ago, with another value.
        again.accept(vec![submission(&(0, 1, 5, Some(10), vec![(1, 8)]))], at);
        let mut sum = crate::model::Accounts::default();
        again.take().iter().flat_map(|f| &f.batch.accounts).for_each(|part| sum.add(&part.delta));
        assert_eq!((sum.events_stored, sum.events_duplicate, sum.events_conflicting), (0, 2_000, 1));
    }
}

#[test]
fn a_manifest_and_events_of_version_1_are_read() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let mut content = super::super::wire::Writer::default();
    [3, 40].iter().for_each(|number| content.uint(*number));
    content.int(9);
    content.optional_time(None);
    [5, 1, 2].iter().for_each(|number| content.uint(*number));
    content.optional_time(Some(Timestamp(7)));
    content.optional_time(None);
    // Its quantities, no definitions, no runs.
    [1, 4, 0, 0].iter().for_each(|number| content.uint(*number));
    let mut bytes = b"SERENOSN".to_vec();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(crc32c::crc32c(&content.0).to_le_bytes());
    bytes.extend(content.0);
    crate::journal::disk::replace(&*disk, &dir().join(manifest::file(3)), &bytes).unwrap();
    let read = manifest::Manifest::read(&*disk, &dir(), 3).unwrap().kept;
    let quantities = vec![crate::model::QuantityId(4)];
    let feed =
        KeptFeed { devices: 2, quantities, latest: Some(Timestamp(7)), stepped: None, recent: Vec::new() };
    assert_eq!((read.next, read.names, read.feeds), (40, 5, vec![feed]));

    let mut event = super::super::wire::Writer::default();
    event.int(100);
    [0, 77, 3].iter().for_each(|number| event.uint(*number));
    let (mut input, mut before) = (super::super::wire::Reader(&event.0), 0);
    let held = run::read_event(&mut input, &mut before, false).unwrap();
    assert_eq!((held.seen.values, held.seen.quantities, &*held.prints), (77, 3, &[0, 0][..]));
    input.end().unwrap();
}

#[test]
fn a_clean_stop_leaves_a_snapshot_of_everything() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let open = || {
        Journal::open(JournalOptions {
            dir: folder.path().to_owned(),
            segment_bytes_max: 1 << 20,
            disk: disk.clone(),
            clock: Arc::new(SystemClock::default()),
            linked: Arc::new(|_, _| {}),
            snapshots: Bounds::default(),
        })
        .unwrap()
    };
    let journal = open();
    let progress = journal.progress();
    let (inputs, waiting) = tokio::sync::mpsc::channel(4);
    let running = journal.start(waiting, true).unwrap();
    inputs.blocking_send(Input::Control(controls())).unwrap();
    inputs.blocking_send(Input::Messages(vec![submission(&(0, 1, 900, None, vec![(0, 1)]))])).unwrap();
    inputs.blocking_send(Input::Stop).unwrap();
    running.join().unwrap();
    let end = progress.now().synced;
    let found = Restored::newest(&disk, &folder.path().join("snapshot"), 0, end).unwrap().unwrap();
    assert_eq!(found.state.kept.epoch, end);
    let again = open();
    let names = again.dictionary();
    assert_eq!(names.read().unwrap().devices().len(), 1);
}

#[test]
fn verify_names_every_damaged_file_of_a_snapshot() {
    let (city, _) = three_snapshots();
    let verified = |files| {
        let mut report = Report::default();
        verify::snapshots(&*MemoryDisk::with(files), &dir(), false, &mut report).unwrap();
        report.findings
    };
    assert_eq!(verified(city.memory.files()), []);
    for (path, bytes) in snapshot_files(&city).into_iter().filter(|file| !file.1.is_empty()) {
        let mut files = city.memory.files();
        let at = bytes.len() - 1;
        files.get_mut(&path).unwrap()[at] ^= 1;
        let found = verified(files);
        assert!(found.iter().any(|found| path.starts_with(&found.path)), "{}: {found:?}", path.display());
    }
}

/// Prints what a start costs with a million known sensors; run it in release mode.
#[test]
#[ignore = "takes a minute; prints figures"]
fn figures_of_a_million_sensors() {
    use std::time::Instant;

    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let mut writer = LogWriter::open(disk.clone(), folder.path(), LogKind::Journal, 64 << 20).unwrap();
    let mut sequencer = Sequencer::default();
    let dir = folder.path().join("snapshot");
    let mut maker = Maker::new(&disk, &dir, folder.path(), sequencer.dictionary(), None);
    let (mut made, mut given) = (Vec::new(), Vec::new());
    let mut burst = |sequencer: &mut Sequencer, from: u32, to: u32, at: i64| {
        for device in from..to {
            let mut one = submission(&(0, 0, at, None, vec![(0, i64::from(device))]));
            let sensor = format!("aire-{device:07}").into();
            one.decoded.events = vec![DecodedEvent { sensor, ..one.decoded.events[0].clone() }].into();
            sequencer.accept(vec![one], Timestamp(at * SECOND));
        }
        for finished in sequencer.take() {
            writer.append(&batch_codec::encode(&finished.batch)).unwrap();
        }
        writer.next()
    };
    for round in 0..12_i64 {
        for part in 0..4_u32 {
            let end = burst(&mut sequencer, part * 250_000, (part + 1) * 250_000, 1_000 + round);
            if round < 11 || part < 2 {
                let began = Instant::now();
                let kept = sequencer.kept(end);
                given.push(began.elapsed());
                let began = Instant::now();
                maker.make(kept).and_then(|_| merge(&mut maker)).unwrap();
                made.push(began.elapsed());
            }
        }
    }
    drop((maker, sequencer));
    let bytes: u64 =
        std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    let began = Instant::now();
    let options = JournalOptions {
        dir: folder.path().to_owned(),
        segment_bytes_max: 64 << 20,
        disk,
        clock: Arc::new(SystemClock::default()),
        linked: Arc::new(|_, _| {}),
        snapshots: Bounds::default(),
    };
    let journal = Journal::open(options).unwrap();
    println!("open after {:?}, 500,000 events behind the snapshot", began.elapsed());
    println!("given in at most {:?}, made in at most {:?}", given.iter().max(), made.iter().max());
    println!("{bytes} bytes of rings");
    drop(journal);
}
