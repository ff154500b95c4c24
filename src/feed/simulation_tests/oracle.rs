//! What must hold after every start and at the end, worked out without the code under test: from
//! what the devices said, in the order in which it was handed over, and from one plain fold.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::broker::Broker;
use super::core::{Accepted, Core, Handed, Shape, journal_dir, results_dir};
use super::devices::{FEEDS, Said};
use super::reader::Reader;
use crate::flow::Interpreter;
use crate::flow::interpreter::order;
use crate::journal::log::{LogKind, LogWriter};
use crate::journal::testing::SimDisk;
use crate::journal::{BatchReader, ResultsLog};
use crate::model::time::SECOND;
use crate::model::{
    Accounts, Batch, DeviceId, Dictionary, Entry, Event, FeedAccounts, FeedId, Reading, Reason, Record,
    ResultRow, Span, Timestamp,
};

/// Out-of-orderness of the feeds, as defined.
pub(super) const OUT_OF_ORDERNESS: [i64; 3] = [5, 2, 1];

/// What a device is known to have said: feed, device, and its time or sequence number.
type Held = HashMap<(usize, usize, i64), Vec<Vec<(&'static str, i64)>>>;

/// What one message must have become.
#[derive(Debug)]
enum Fate<'a> {
    Nothing,
    Stored(&'a Said),
    Refused(Reason),
}

/// See the module.
pub(super) struct Oracle {
    /// Every batch that was durable at a start.
    pub(super) archive: Vec<Batch>,
    /// Numbers of the messages that the archive holds.
    kept: BTreeSet<usize>,
    held: Held,
    /// The message that came last under each packet identifier.
    brought: HashMap<u16, usize>,
    /// How many were known by that alone.
    pub(super) brought_again: usize,
    pub(super) dictionary: Dictionary,
    next: u64,
    arrived_at: Timestamp,
    ticked: Option<Timestamp>,
    latest: [Option<i64>; 3],
    stepped: [Option<i64>; 3],
    fold: Interpreter,
    log: ResultsLog,
    log_disk: Arc<SimDisk>,
    /// The rows of each frame of the results log, without plans.
    frames: Vec<Vec<ResultRow>>,
}

impl std::fmt::Debug for Oracle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} epochs, {} records, {} frames", self.archive.len(), self.next, self.frames.len())
    }
}

impl Oracle {
    pub(super) fn new(shape: Shape) -> Self {
        let log_disk = Arc::new(SimDisk::default());
        Self {
            archive: Vec::new(),
            kept: BTreeSet::new(),
            held: Held::new(),
            brought: HashMap::new(),
            brought_again: 0,
            dictionary: Dictionary::default(),
            next: 0,
            arrived_at: Timestamp::MIN,
            ticked: None,
            latest: [None; 3],
            stepped: [None; 3],
            fold: Interpreter::new(0, 1),
            log: ResultsLog::open(log_disk.mount(), results_dir(), shape.segment_bytes_max).unwrap(),
            log_disk,
            frames: Vec::new(),
        }
    }

    /// Takes in what the journal holds now, all of it durable. `promised`: the epochs that were
    /// once said to be synced.
    pub(super) fn learn(&mut self, core: &Core, promised: u64, accepted: &Accepted, said: &[Said]) {
        let end = core.journal.now().written;
        assert!(end >= promised, "{promised} epochs were synced and {end} are left");
        let mut reader: BatchReader = core.read_batches(self.archive.len() as u64);
        let accepted = std::mem::take(&mut *accepted.lock().unwrap());
        let mut handed = accepted.into_iter();
        while let Some((epoch, batch)) = reader.next(end).unwrap() {
            assert_eq!(epoch, self.archive.len() as u64);
            self.batch(&batch, &mut handed, said);
            let mut rows = self.fold.apply(&batch);
            order(&mut rows);
            self.log.publish(&rows).unwrap();
            if !rows.is_empty() {
                rows.retain(|row| !matches!(row, ResultRow::Plan(..)));
                self.frames.push(rows);
            }
            self.archive.push(batch);
        }
    }

    fn batch(&mut self, batch: &Batch, handed: &mut impl Iterator<Item = Handed>, said: &[Said]) {
        assert_eq!(batch.first, self.next, "sequences have no gap at epoch {}", self.archive.len());
        self.next = batch.next();
        assert!(batch.arrived_at >= self.arrived_at, "arrival time went back");
        self.arrived_at = batch.arrived_at;
        let count: u64 = batch.accounts.iter().map(|accounts| accounts.delta.messages_received).sum();
        let mut accounts = [Accounts::default(); 3];
        let mut fates = Vec::new();
        for one in handed.take(count as usize) {
            self.kept.insert(one.number);
            let said = &said[one.number];
            fates.push(self.fate(one, said, &mut accounts[said.feed]));
        }
        fates.retain(|fate| !matches!(fate, Fate::Nothing));
        self.records(batch, &fates);
        self.accounts(&batch.accounts, &accounts);
    }

    /// What a message becomes, by plain sets.
    fn fate<'a>(&mut self, one: Handed, said: &'a Said, accounts: &mut Accounts) -> Fate<'a> {
        accounts.messages_received += 1;
        // Only the protocol tells, also across a crash: the session brought it before, under the same
        // identifier, and nothing else since.
        let brought_again =
            said.feed == 2 && one.dup && self.brought.get(&one.packet_id) == Some(&one.number);
        self.brought.insert(one.packet_id, one.number);
        if brought_again {
            self.brought_again += 1;
            accounts.messages_repeated += 1;
            return Fate::Nothing;
        }
        if said.nonsense {
            accounts.messages_quarantined += 1;
            return Fate::Refused(Reason::BadJson);
        }
        let readings = said.values.len() as u64;
        accounts.messages_decoded += 1;
        accounts.events_found += 1;
        accounts.readings_found += readings;
        if said.is_ahead {
            accounts.events_quarantined += 1;
            accounts.readings_quarantined += readings;
            return Fate::Refused(Reason::FutureTime);
        }
        let key = match said.feed {
            0 => said.event_at.map(|at| at.0),
            1 => said.counter.map(|counter| counter as i64),
            _ => None,
        };
        if let Some(key) = key {
            let names =
                |values: &[(&'static str, i64)]| values.iter().map(|value| value.0).collect::<Vec<_>>();
            let held = self.held.entry((said.feed, said.device, key)).or_default();
            if held.contains(&said.values) {
                accounts.events_duplicate += 1;
                accounts.readings_duplicate += readings;
                return Fate::Nothing;
            }
            if held.iter().any(|other| names(other) == names(&said.values)) {
                accounts.events_conflicting += 1;
                accounts.readings_conflicting += readings;
                return Fate::Refused(Reason::Conflict);
            }
            held.push(said.values.clone());
        }
        accounts.events_stored += 1;
        accounts.readings_stored += readings;
        Fate::Stored(said)
    }

    fn records(&mut self, batch: &Batch, fates: &[Fate<'_>]) {
        let mut fates = fates.iter();
        let mut due = None;
        for (sequence, record) in batch.iter() {
            let step = match record {
                Record::Step { feed, watermark } => Some((*feed, *watermark)),
                _ => None,
            };
            assert_eq!(step, due.take(), "the watermark's step at {sequence}");
            match record {
                Record::Event(event) => {
                    let Some(Fate::Stored(said)) = fates.next() else {
                        panic!("{sequence}: nobody said {event:?}");
                    };
                    self.event(batch, event, said);
                    due = self.step(event);
                }
                Record::Refusal(refusal) => {
                    let Some(Fate::Refused(reason)) = fates.next() else {
                        panic!("{sequence}: {refusal:?} has no cause");
                    };
                    assert_eq!(refusal.reason, *reason);
                    assert!(refusal.arrived_at >= self.arrived_at);
                }
                Record::Tick { from, to, .. } => {
                    let next = self.ticked.map_or(*from, |ticked| ticked.plus(Span(SECOND)));
                    assert_eq!(*from, next, "each second ticks once");
                    assert!(to >= from);
                    self.ticked = Some(*to);
                }
                Record::Entry(entry) => self.enter(entry),
                Record::Control(_) | Record::Step { .. } | Record::Restored { .. } => {}
            }
        }
        assert_eq!(due, None);
        assert!(fates.next().is_none(), "a message that was counted became nothing");
    }

    fn event(&mut self, batch: &Batch, event: &Event, said: &Said) {
        assert!(event.arrived_at >= self.arrived_at, "arrival time went back");
        self.arrived_at = event.arrived_at;
        let device = self.dictionary.device(event.device).unwrap();
        assert_eq!(*device.1, *said.sensor());
        assert_eq!(**self.dictionary.feed(event.feed).unwrap(), *FEEDS[said.feed]);
        assert_eq!(event.event_at, said.event_at.unwrap_or(event.arrived_at));
        assert_eq!(event.counter, said.counter);
        let found: Vec<(&str, i64)> =
            batch.readings_of(event).iter().map(|reading| self.named(reading)).collect();
        assert_eq!(found, said.values);
    }

    fn named(&self, reading: &Reading) -> (&str, i64) {
        (&self.dictionary.quantity(reading.quantity).unwrap().name, reading.value.0)
    }

    /// The step that must follow an event.
    fn step(&mut self, event: &Event) -> Option<(FeedId, Timestamp)> {
        let name = self.dictionary.feed(event.feed).unwrap();
        let feed = FEEDS.iter().position(|feed| **feed == **name).unwrap();
        let at = event.event_at.min(event.arrived_at).0;
        self.latest[feed] = self.latest[feed].max(Some(at));
        let whole =
            self.latest[feed].map(|latest| (latest - OUT_OF_ORDERNESS[feed] * SECOND).div_euclid(SECOND));
        if whole <= self.stepped[feed] {
            return None;
        }
        self.stepped[feed] = whole;
        whole.map(|whole| (event.feed, Timestamp(whole * SECOND)))
    }

    fn enter(&mut self, entry: &Entry) {
        let known = match entry {
            Entry::Feed(name) => self.dictionary.feed_id(name).is_some(),
            Entry::Device(feed, name) => self.dictionary.device_id(*feed, name).is_some(),
            Entry::Tags(tags) => self.dictionary.tag_set_id(tags).is_some(),
            Entry::Quantity(quantity) => self.dictionary.quantity_id(quantity).is_some(),
        };
        assert!(!known, "{entry:?} has an id already");
        self.dictionary.insert(entry);
    }

    fn accounts(&self, found: &[FeedAccounts], expected: &[Accounts; 3]) {
        for (name, expected) in FEEDS.iter().zip(expected) {
            let mut sum = Accounts::default();
            let id = self.dictionary.feed_id(name);
            found.iter().filter(|accounts| Some(accounts.feed) == id).for_each(|one| sum.add(&one.delta));
            assert_eq!(sum, *expected, "accounts of {name}");
            assert!(sum.balanced());
        }
    }

    /// A core that was just started calls everything by the ids it had before, however many
    /// snapshots and collected segments lie between.
    pub(super) fn names(&self, names: &Dictionary) {
        let known = &self.dictionary;
        assert!(names.feeds().starts_with(known.feeds()));
        assert!(names.devices().starts_with(known.devices()));
        assert!(names.tag_sets().starts_with(known.tag_sets()));
        assert!(names.quantities().starts_with(known.quantities()));
        for (id, (feed, name)) in (0..).map(DeviceId).zip(known.devices()) {
            assert_eq!(names.device_id(*feed, name), Some(id));
        }
    }

    /// Events that the journal holds.
    pub(super) fn stored(&self) -> u64 {
        let accounts = self.archive.iter().flat_map(|batch| &batch.accounts);
        accounts.map(|accounts| accounts.delta.events_stored).sum()
    }

    /// Every acknowledged message is in the journal, or its refusal is.
    pub(super) fn acknowledged(&self, broker: &Broker) {
        let lost: Vec<_> = broker.acknowledged.difference(&self.kept).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }

    /// What is acknowledged now would be there if everything unsynced were lost now.
    pub(super) fn synced(&self, disk: &SimDisk, broker: &Broker, accepted: &Accepted) {
        let disk = disk.synced().mount();
        let end = LogWriter::open(disk.clone(), journal_dir(), LogKind::Journal, u64::MAX).unwrap().next();
        let mut reader = BatchReader::new(disk, journal_dir(), self.archive.len() as u64);
        let mut count = 0;
        while let Some((_, batch)) = reader.next(end).unwrap() {
            count += batch.accounts.iter().map(|accounts| accounts.delta.messages_received).sum::<u64>();
        }
        let accepted = accepted.lock().unwrap();
        let safe: BTreeSet<usize> = accepted.iter().take(count as usize).map(|one| one.number).collect();
        for number in broker.being_acknowledged() {
            assert!(
                self.kept.contains(&number) || safe.contains(&number),
                "{number} is acknowledged unsynced"
            );
        }
    }

    /// The results log is, byte for byte, the plain fold's: all of it at the end, a beginning
    /// before.
    pub(super) fn results(&self, disk: &SimDisk, to_the_end: bool) {
        let logs = |disk: &SimDisk| {
            let mut files = disk.files();
            files.retain(|path, _| {
                path.parent() == Some(results_dir()) && path.extension().is_some_and(|end| end == "log")
            });
            files
        };
        let (mut found, mut expected) = (logs(disk), logs(&self.log_disk));
        // Old segments are collected, from the first on.
        if let Some(first) = found.keys().next().cloned() {
            expected.retain(|path, _| *path >= first);
        }
        // A segment that was begun and has no row yet is none of the rows' matter.
        found.retain(|path, bytes| expected.contains_key(path) || bytes.len() > 32);
        for (path, bytes) in &found {
            let Some(right) = expected.get(path) else { panic!("{} should not be", path.display()) };
            let same = bytes.iter().zip(right).take_while(|(one, other)| one == other).count();
            let enough = if to_the_end { same == right.len() } else { true };
            assert!(
                same == bytes.len() && enough,
                "{}: {} bytes, right to {same}, the fold has {}",
                path.display(),
                bytes.len(),
                right.len()
            );
        }
        assert!(!to_the_end || found.len() == expected.len());
    }

    /// What a reader keeps is what the logs say up to its cursors: nothing twice, nothing missing.
    pub(super) fn reader(&self, reader: &Reader, to_the_end: bool) {
        let cursor = reader.committed();
        assert!(cursor.journal <= self.archive.len() as u64, "a reader is ahead of the journal");
        assert!(cursor.results <= self.frames.len() as u64, "a reader is ahead of the results");
        if to_the_end {
            let ends = (self.archive.len() as u64, self.frames.len() as u64);
            assert_eq!((cursor.journal, cursor.results), ends, "a reader stays behind");
        }
        let mut events = reader.events.iter();
        for batch in self.archive.iter().take(cursor.journal as usize) {
            for (sequence, record) in batch.iter() {
                if let Record::Event(event) = record {
                    let expected = (sequence, event.clone(), batch.readings_of(event).to_vec());
                    assert_eq!(events.next(), Some(&expected));
                }
            }
        }
        assert_eq!(events.next(), None);
        let expected: Vec<&ResultRow> = self.frames.iter().take(cursor.results as usize).flatten().collect();
        assert_eq!(reader.rows.iter().collect::<Vec<_>>(), expected);
    }
}
