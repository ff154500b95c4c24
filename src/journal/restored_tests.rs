//! A recompute that reaches back beyond the journal, with crashes between its parts and collection at
//! every moment, over the service's own ends and the real dataflow.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::{Beginning, Cadence, Keeper, Written};
use super::disk::Disk;
use super::ends::Ends;
use super::log::{self, LogKind, LogWriter};
use super::memory_disk::MemoryDisk;
use super::sequencer::SharedDictionary;
use super::{
    BatchReader, Clock, Holders, Progress, ResultReader, Retention, Sequencer, SystemClock, batch_codec,
};
use crate::flow::interpreter::order;
use crate::flow::past::Past;
use crate::flow::testing::{journal, names, one_goes_on};
use crate::flow::{Engine, Interpreter, Tally};
use crate::model::{Batch, Event, Recompute, Record, ResultRow, Span, StoredEvent, Timestamp};

const FAR: Timestamp = Timestamp(i64::MAX / 2);

/// A data folder, and every batch that its journal ever held.
struct World {
    disk: Arc<MemoryDisk>,
    batches: Vec<Batch>,
}

impl World {
    /// A journal of a segment a batch; folded to its end, with two checkpoints.
    fn new() -> Self {
        let batches = journal(&one_goes_on());
        let mut world = Self { disk: Arc::default(), batches: Vec::new() };
        world.append(batches);
        let (half, end) = (world.end() * 2 / 3, world.end());
        world.run(&Arc::default(), half);
        world.run(&Arc::default(), end);
        world
    }

    fn end(&self) -> u64 {
        self.batches.len() as u64
    }

    fn append(&mut self, batches: Vec<Batch>) {
        let mut log = LogWriter::open(self.disk.clone(), Path::new("journal"), LogKind::Journal, 1).unwrap();
        for batch in batches {
            log.append(&batch_codec::encode(&batch)).unwrap();
            self.batches.push(batch);
        }
    }

    /// What the sequencer makes of inputs.
    fn sequence(&mut self, inputs: impl FnOnce(&mut Sequencer, Timestamp)) {
        let mut sequencer = Sequencer::default();
        self.batches.iter().for_each(|batch| sequencer.recover(batch));
        let now = sequencer.last_arrival();
        inputs(&mut sequencer, now);
        self.append(sequencer.take().into_iter().map(|finished| finished.batch).collect());
    }

    /// A process that starts, folds to `to` and stops.
    fn run(&self, holders: &Arc<Holders>, to: u64) {
        let disk: Arc<dyn Disk> = self.disk.clone();
        let begun = Beginning {
            disk: &disk,
            checkpoints: Path::new("checkpoints"),
            journal: Path::new("journal"),
            written: self.end(),
            results: Path::new("results"),
            segment_bytes_max: 1,
            names: &SharedDictionary::new(names(&self.batches).into()),
            workers: 2,
        }
        .begin()
        .unwrap();
        let (next, clock): (u64, Arc<dyn Clock>) = (begun.next, Arc::new(SystemClock::default()));
        let cadence = Cadence { every: Span::seconds(3_600), records: u64::MAX };
        let (holder, written) = (holders.checkpoint.clone(), Arc::new(Written::new(clock.clone())));
        let keeper = Keeper::start(begun.checkpoints, next, cadence, clock, holder, written).unwrap();
        let flow = Arc::new(Progress::new(next));
        let ends = Ends {
            disk: disk.clone(),
            journal_dir: "journal".into(),
            reader: BatchReader::new(disk, Path::new("journal"), next),
            journal: Arc::new(Progress::new(to)),
            flow: flow.clone(),
            results: begun.results,
            keeper,
            holders: holders.clone(),
            handed: VecDeque::new(),
            stop_in_doubt: |failure| panic!("{failure}"),
        };
        let engine = Engine::resume(begun.folds, next, Box::new(ends), Tally::default()).unwrap();
        let durable = flow.wait(Duration::from_secs(60), |flow| flow.written >= to);
        assert!(durable.written >= to, "the flow stands still");
        engine.stop();
    }

    /// Removes what nobody holds; the first epoch left.
    fn collect(&self, holders: &Arc<Holders>) -> u64 {
        holders.snapshot.advance(self.end(), u64::MAX);
        let retention = Retention {
            disk: self.disk.clone(),
            journal_dir: "journal".into(),
            results_dir: "results".into(),
            keep: Span(0),
            behind_max: Span(0),
            holders: holders.clone(),
        };
        retention.collect(FAR).unwrap();
        log::segments(&*self.disk, Path::new("journal")).unwrap()[0].0
    }

    fn checkpoints(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.disk.files().into_iter().filter(|(path, _)| path.starts_with("checkpoints")).collect()
    }

    /// The checkpoints are as they were: those taken since never came onto the disk.
    fn without_later_checkpoints(&mut self, checkpoints: BTreeMap<PathBuf, Vec<u8>>) {
        let mut files = self.disk.files();
        files.retain(|path, _| !path.starts_with("checkpoints"));
        files.extend(checkpoints);
        self.disk = MemoryDisk::with(files);
    }

    /// The store's part: what came before `since`.
    fn stored(&self, since: u64) -> Vec<StoredEvent> {
        let mut events = Vec::new();
        for batch in &self.batches {
            for (sequence, record) in batch.iter().take_while(|(sequence, _)| *sequence < since) {
                if let Record::Event(event) = record {
                    let readings = batch.readings_of(event).to_vec();
                    events.push(StoredEvent {
                        sequence,
                        event: Event { readings: 0..0, ..event.clone() },
                        readings,
                    });
                }
            }
        }
        events
    }

    fn restore(&mut self, since: u64) {
        let events = self.stored(since);
        assert!(events.len() > 50, "{} events are gone", events.len());
        self.sequence(|sequencer, now| sequencer.restore(events, now));
    }

    fn recompute(&mut self, since: u64) -> u64 {
        let to = self.batches.last().unwrap().arrived_at;
        let whole = Recompute::of(to.minus(Span::seconds(20_000)), to);
        self.sequence(|sequencer, now| sequencer.recompute(Recompute { since, ..whole }, now));
        self.end()
    }

    /// What the last recompute published, and what it would have with all of the journal.
    fn published(&self) -> (Vec<ResultRow>, Vec<ResultRow>) {
        let asked = self.batches.iter().flat_map(Past::asked_by).next_back().unwrap();
        let mut reader = ResultReader::new(self.disk.clone(), Path::new("results"), 0);
        reader.skip_collected().unwrap();
        let end = LogWriter::open(self.disk.clone(), Path::new("results"), LogKind::Results, 1).unwrap();
        let rows = std::iter::from_fn(|| reader.next(end.next()).unwrap()).flat_map(|(_, rows)| rows);
        let of_it = |row: &ResultRow| row.cause() == asked.sequence;
        let rows = rows.filter(|row| of_it(row) && !matches!(row, ResultRow::Plan(..))).collect();
        let mut past = Past::new(asked.sequence, Recompute { since: 0, ..asked.asked });
        self.batches.iter().for_each(|batch| past.gather(batch));
        let mut fold = Interpreter::new(0, 1);
        let all = self.batches.iter().flat_map(|batch| fold.apply_with(batch, std::slice::from_ref(&past)));
        let mut want: Vec<ResultRow> = all.filter(of_it).collect();
        order(&mut want);
        (rows, want)
    }

    fn check(&self) {
        let (rows, want) = self.published();
        assert!(want.len() > 20, "{} rows", want.len());
        assert_eq!(rows, want);
    }
}

/// The sequence of the first record that is left.
fn since(world: &World, first: u64) -> u64 {
    world.batches[first as usize].first
}

#[test]
fn a_crash_between_what_is_restored_and_the_recompute_costs_nothing() {
    let mut world = World::new();
    let holders: Arc<Holders> = Arc::default();
    world.run(&holders, world.end());
    let first = world.collect(&holders);
    assert!(first > 50, "segments are gone");
    world.restore(since(&world, first));
    // The process ends here. Another folds the copies, keeps its state and collects.
    for _ in 0..2 {
        let more = world.end();
        world.sequence(|sequencer, now| sequencer.pass(now.plus(Span::seconds(5))));
        world.run(&Arc::default(), more + 1);
    }
    let holders: Arc<Holders> = Arc::default();
    world.run(&holders, world.end());
    let hold = holders.hold();
    let first = world.collect(&holders);
    hold.begin_at(first);
    // The copies of before may still be there: each event counts once.
    world.restore(since(&world, first));
    let until = world.recompute(since(&world, first));
    hold.journaled(until);
    world.run(&holders, world.end());
    world.check();
}

#[test]
fn a_crash_before_the_checkpoint_behind_a_recompute_finds_what_it_reads() {
    let mut world = World::new();
    let holders: Arc<Holders> = Arc::default();
    world.run(&holders, world.end());
    let first = world.collect(&holders);
    let hold = holders.hold();
    hold.begin_at(first);
    world.restore(since(&world, first));
    let until = world.recompute(since(&world, first));
    hold.journaled(until);
    world.sequence(|sequencer, now| sequencer.pass(now.plus(Span::seconds(60))));
    let checkpoints = world.checkpoints();
    world.run(&holders, world.end());
    world.check();
    assert_eq!(world.collect(&holders), first, "only one of the two checkpoints lies behind it");
    // The recompute is published, and no checkpoint lies behind it.
    world.without_later_checkpoints(checkpoints);
    // It is derived again and compared with what was published: a difference would end the run.
    let holders: Arc<Holders> = Arc::default();
    holders.hold_until(world.end());
    assert_eq!(world.collect(&holders), first, "before the flow has come so far");
    world.run(&holders, world.end());
    world.check();
    assert_eq!(world.collect(&holders), first, "the older checkpoint lies before it");
    for _ in 0..2 {
        world.sequence(|sequencer, now| sequencer.pass(now.plus(Span::seconds(5))));
        world.run(&holders, world.end());
    }
    assert!(world.collect(&holders) > first, "both lie behind it");
}

#[test]
fn a_journal_that_no_longer_holds_what_a_recompute_reads_is_not_taken_for_the_whole() {
    let mut world = World::new();
    let holders: Arc<Holders> = Arc::default();
    world.run(&holders, world.end());
    let first = world.collect(&holders);
    let until = world.recompute(since(&world, first));
    let mut asked = Past::asked_by(world.batches.last().unwrap());
    let gather =
        |asked: &mut [Past]| super::reader::gather(world.disk.clone(), Path::new("journal"), until, asked);
    gather(&mut asked).unwrap();
    world.disk.remove(&log::segments(&*world.disk, Path::new("journal")).unwrap()[0].1).unwrap();
    assert!(matches!(gather(&mut asked), Err(log::LogError::Missing { .. })));
}
