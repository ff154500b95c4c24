//! One life of the core over the simulated disk: everything between the wire and the results log,
//! in one thread, one step at a time.
//!
//! The steps of the journal, the fold, the results log, the output gate and what is told of packets
//! are the service's own. What is written again here is what only passes them on: the loop of
//! a broker's connection, and the flow's reading of synced epochs.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use super::broker::{Broker, Delivery};
use super::devices::{FEEDS, Said};
use crate::feed::OutputGate;
use crate::feed::redelivery::SessionId;
use crate::flow::Interpreter;
use crate::flow::interpreter::order;
use crate::journal::checkpoint::begin::{BeginError, Beginning};
use crate::journal::checkpoint::plan::Plan;
use crate::journal::checkpoint::{CheckpointError, Checkpoints, Taken};
use crate::journal::holders::{Holder, Holders};
use crate::journal::results::ResultsError;
use crate::journal::retention::Collected;
use crate::journal::sequencer::SharedDictionary;
use crate::journal::snapshot::{Kept, Maker};
use crate::journal::snapshots::Offers;
use crate::journal::snapshots::reach::{Bounds, Newest, Reach};
use crate::journal::steps::{Appended, Appender, Syncer};
use crate::journal::testing::SimDisk;
use crate::journal::{
    ArrivalClock, BatchReader, Clock, Disk, Journal, JournalOptions, LogError, Progress, ResultReader,
    ResultsLog, Retention,
};
use crate::model::crash::Point;
use crate::model::definition::{AckLevel, Identity};
use crate::model::{Ack, Brought, Control, Input, ResultRow, Span, Submission, Timestamp};

/// Inputs that wait for the sequencer at most.
const INPUTS_MAX: usize = 3;
/// So that snapshots are due often, and batches wait for them.
pub(super) const SNAPSHOTS: Bounds = Bounds {
    due: Reach { records: 60, bytes: 6_000 },
    every: 30_000_000_000,
    behind_max: Reach { records: 120, bytes: 12_000 },
};

/// The journal's folder.
pub(super) fn journal_dir() -> &'static Path {
    Path::new("data/journal")
}

/// The results log's folder.
pub(super) fn results_dir() -> &'static Path {
    Path::new("data/results")
}

/// The folder of checkpoints.
fn checkpoints_dir() -> &'static Path {
    Path::new("data/checkpoints")
}

/// The clocks of a simulated host.
#[derive(Default)]
pub(super) struct SimClock {
    pub(super) wall: AtomicI64,
    pub(super) monotonic: AtomicI64,
}

impl Clock for &'static SimClock {
    fn wall(&self) -> Timestamp {
        (**self).wall()
    }

    fn monotonic(&self) -> i64 {
        (**self).monotonic()
    }
}

impl Clock for SimClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.wall.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> i64 {
        self.monotonic.load(Ordering::Relaxed)
    }
}

/// A message as it was handed to the sequencer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handed {
    pub(super) number: usize,
    pub(super) packet_id: u16,
    /// It came with DUP.
    pub(super) dup: bool,
}

/// Everything handed to the sequencer since the last start that was checked, in order; it outlives
/// a crash, which leaves a beginning of it journalled.
pub(super) type Accepted = Arc<Mutex<Vec<Handed>>>;

/// How a core is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) segment_bytes_max: u64,
    pub(super) workers: usize,
}

/// Why a core stopped by itself.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The disk failed it.
    Disk(std::io::ErrorKind, String),
    /// Anything else: never right.
    Wrong(String),
}

impl From<LogError> for Stopped {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Disk { ref source, .. } => Self::Disk(source.kind(), error.to_string()),
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<ResultsError> for Stopped {
    fn from(error: ResultsError) -> Self {
        match error {
            ResultsError::Log(error) => error.into(),
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<BeginError> for Stopped {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Results(error) => error.into(),
            BeginError::Checkpoint(CheckpointError::Disk { path, source }) => {
                Self::Disk(source.kind(), path.display().to_string())
            }
            BeginError::Checkpoint(error) => Self::Wrong(error.to_string()),
        }
    }
}

/// See the module.
pub(super) struct Core {
    disk: Arc<dyn Disk>,
    pub(super) journal: Arc<Progress>,
    pub(super) results: Arc<Progress>,
    appender: Appender,
    syncer: Syncer,
    arrival: ArrivalClock<'static>,
    inputs: VecDeque<Input>,
    /// What the waiting messages are, and those taken, in order.
    queued: VecDeque<Vec<Handed>>,
    accepted: Accepted,
    gate: Option<Arc<OutputGate<u16>>>,
    batch: Vec<(Submission, Handed)>,
    batches: BatchReader,
    interpreters: Vec<Interpreter>,
    published: ResultsLog,
    checkpoints: Checkpoints,
    plan: Plan,
    pub(super) flow: u64,
    checkpointed: u64,
    /// The epoch whose rows wait for room on the disk.
    unpublished: Option<u64>,
    maker: Option<Maker>,
    newest: Arc<Newest>,
    offers: Offers,
    offered: Receiver<Kept>,
    /// Taken from the thread's end, and not synced yet.
    making: Option<Kept>,
    holders: Arc<Holders>,
    /// Every name known.
    pub(super) names: SharedDictionary,
}

impl Core {
    /// Opens what is on the disk and goes on from there.
    pub(super) fn open(
        disk: &Arc<SimDisk>,
        clock: &'static SimClock,
        shape: Shape,
        accepted: Accepted,
    ) -> Result<Self, Stopped> {
        let disk = disk.mount();
        let journal = Journal::open(JournalOptions {
            dir: journal_dir().to_owned(),
            segment_bytes_max: shape.segment_bytes_max,
            disk: disk.clone(),
            clock: Arc::new(SimClock::default()),
            linked: Arc::new(|_, _| {}),
            snapshots: SNAPSHOTS,
        })?;
        let newest = journal.newest_snapshot();
        let (offers, offered) = Offers::new(Arc::new(clock), newest.clone(), &SNAPSHOTS);
        let progress = journal.progress();
        let arrival = ArrivalClock::new(clock, journal.last_arrival());
        let holders = journal.holders();
        let names = journal.dictionary();
        let begun = Beginning {
            disk: &disk,
            checkpoints: checkpoints_dir(),
            journal: journal_dir(),
            written: progress.now().written,
            results: results_dir(),
            segment_bytes_max: shape.segment_bytes_max,
            names: &names,
            workers: shape.workers,
        }
        .begin()?;
        let (appender, syncer, maker) = journal.ends_and_maker()?;
        let core = Self {
            journal: progress,
            results: begun.results.progress(),
            appender,
            syncer,
            arrival,
            inputs: VecDeque::new(),
            queued: VecDeque::new(),
            accepted,
            gate: None,
            batch: Vec::new(),
            batches: BatchReader::new(disk.clone(), journal_dir(), begun.next),
            interpreters: begun.folds,
            published: begun.results,
            plan: Plan::new(begun.checkpoints.kept().first()),
            checkpoints: begun.checkpoints,
            flow: begun.next,
            checkpointed: begun.next,
            unpublished: None,
            maker: Some(maker),
            newest,
            offers,
            offered,
            making: None,
            holders,
            names,
            disk,
        };
        core.tell_checkpoints();
        Ok(core)
    }

    /// Someone who reads both logs and needs them from these positions on.
    pub(super) fn hold(&self, name: &'static str, journal: u64, results: u64) -> Arc<Holder> {
        self.holders.sink(name, journal, results)
    }

    pub(super) fn read_batches(&self, from: u64) -> BatchReader {
        BatchReader::new(self.disk.clone(), journal_dir(), from)
    }

    pub(super) fn read_rows(&self, from: u64) -> ResultReader {
        ResultReader::new(self.disk.clone(), results_dir(), from)
    }

    /// The folder of pipelines as it is at this start.
    pub(super) fn configure(&mut self, controls: Vec<Control>) {
        self.input(Input::Control(controls), Vec::new());
    }

    fn input(&mut self, input: Input, handed: Vec<Handed>) {
        self.inputs.push_back(input);
        self.queued.push_back(handed);
    }

    fn links(&mut self, up: bool) {
        for feed in FEEDS {
            self.input(Input::Connected { feed: feed.into(), up }, Vec::new());
        }
    }

    pub(super) fn connect(&mut self, broker: &mut Broker) {
        broker.connect();
        self.gate = Some(Arc::default());
        self.links(true);
    }

    /// The connection is lost: its gate and what it had not handed over go with it.
    pub(super) fn disconnect(&mut self, broker: &mut Broker) {
        broker.break_wire();
        if self.gate.take().is_some() {
            self.batch.clear();
            self.links(false);
        }
    }

    /// Takes up to `count` messages off the wire.
    pub(super) fn receive(&mut self, broker: &mut Broker, said: &[Said], count: usize) {
        let Some(gate) = self.gate.clone() else { return };
        for _ in 0..count {
            let Some(Delivery { number, packet_id, dup }) = broker.wire.pop_front() else { return };
            let message = &said[number];
            let (topic, payload) = (message.sensor(), number.to_string());
            let identity = if message.feed == 2 { Identity::Protocol } else { Identity::Time };
            let session = SessionId::of(&["broker", "city"], 64);
            let packet = session.packet(packet_id, identity, &topic, payload.as_bytes());
            let ack = Ack { ticket: gate.open(AckLevel::Synced, packet_id), gate: gate.clone() };
            let submission = Submission {
                feed: FEEDS[message.feed].into(),
                topic: topic.into(),
                payload: payload.into(),
                arrived_at: None,
                decoded: message.decoded(),
                repeated: false,
                brought: Some(Brought { packet, again: dup }),
                ack: Some(ack),
            };
            self.batch.push((submission, Handed { number, packet_id, dup }));
        }
    }

    /// Hands over what was received, if the sequencer's channel has room.
    pub(super) fn hand_over(&mut self) {
        if self.inputs.len() >= INPUTS_MAX || self.batch.is_empty() {
            return;
        }
        let (messages, handed) = std::mem::take(&mut self.batch).into_iter().unzip();
        self.input(Input::Messages(messages), handed);
    }

    /// The sequencer takes what waits.
    pub(super) fn take(&mut self, count: usize) {
        let count = count.min(self.inputs.len());
        let now = self.arrival.now();
        // Known before it happens: a crash in the middle leaves a part of it journalled.
        self.accepted.lock().unwrap().extend(self.queued.drain(..count).flatten());
        let inputs: Vec<Input> = self.inputs.drain(..count).collect();
        self.appender.host_clock(self.arrival.ahead_seconds(), now);
        self.appender.take(inputs, now, true);
    }

    /// The sequencer appends a batch, if it has one and no snapshot holds it back.
    pub(super) fn append(&mut self) -> Result<Appended, Stopped> {
        if self.is_held_back() {
            return Ok(Appended::Nothing);
        }
        let appended = self.appender.append()?;
        self.offers.offer(&self.appender);
        Ok(appended)
    }

    /// Whether what was taken waits for a snapshot.
    pub(super) fn is_held_back(&self) -> bool {
        self.offers.hold_back(&self.appender)
    }

    /// How far the newest snapshot is behind the journal's end.
    pub(super) fn snapshot_behind(&self) -> Reach {
        self.newest.figures().behind
    }

    /// The journal's other thread takes a step.
    pub(super) fn sync(&mut self) -> Result<bool, Stopped> {
        Ok(self.syncer.step()?)
    }

    /// The connection sends the acknowledgements whose turn has come; how many.
    pub(super) fn acknowledge(&mut self, broker: &mut Broker) -> usize {
        let Some(gate) = &self.gate else { return 0 };
        let durable = self.journal.now();
        let mut released = Vec::new();
        gate.release(durable, &mut released);
        let ids: Vec<u16> = released.into_iter().map(|one| one.into_response(durable)).collect();
        let count = ids.len();
        if count > 0 {
            Point::FeedAcknowledging.pass();
            broker.acknowledge(ids);
            Point::FeedAcknowledged.pass();
        }
        count
    }

    /// The flow works through one epoch; whether there was one.
    pub(super) fn fold(&mut self) -> Result<bool, Stopped> {
        if let Some(epoch) = self.unpublished {
            let outcome = self.published.publish_again();
            return self.folded(epoch, outcome);
        }
        let Some((epoch, batch)) = self.batches.next(self.journal.now().synced)? else { return Ok(false) };
        let mut rows: Vec<ResultRow> =
            self.interpreters.iter_mut().flat_map(|interpreter| interpreter.apply(&batch)).collect();
        order(&mut rows);
        let outcome = self.published.publish(&rows);
        self.folded(epoch, outcome)
    }

    fn folded(&mut self, epoch: u64, outcome: Result<(), ResultsError>) -> Result<bool, Stopped> {
        let full = outcome.as_ref().is_err_and(ResultsError::is_disk_full);
        self.unpublished = full.then_some(epoch);
        if !full {
            outcome?;
            self.flow = epoch + 1;
        }
        Ok(!full)
    }

    /// A checkpoint, as its thread writes one; a full disk costs the checkpoint and nothing else.
    pub(super) fn checkpoint(&mut self) -> Result<(), Stopped> {
        if self.unpublished.is_some() || self.flow == self.checkpointed {
            return Ok(());
        }
        let request = self.plan.request(self.flow);
        let parts: Result<Vec<_>, _> =
            self.interpreters.iter_mut().map(|interpreter| interpreter.save(&request)).collect();
        let parts = parts.map_err(|failure| Stopped::Wrong(failure.to_string()))?;
        let taken = Taken { next: self.flow, parts, results: self.published.position().clone() };
        self.published.unsynced().sync()?;
        Point::CheckpointResultsSynced.pass();
        if self.checkpoints.write(&taken).is_ok() {
            self.plan.written(request.period, &taken.parts);
            self.checkpointed = self.flow;
            self.tell_checkpoints();
        }
        Ok(())
    }

    fn tell_checkpoints(&self) {
        if let [_, older] = self.checkpoints.kept() {
            self.holders.checkpoint.advance(older.next, older.results.frame);
        }
    }

    /// The sequencer offers what a snapshot keeps, if the time has come.
    pub(super) fn offer(&mut self) {
        self.offers.offer(&self.appender);
    }

    /// A snapshot of what was offered, once that is synced, or a step of merging, as their thread does.
    pub(super) fn snapshot(&mut self) {
        let synced = self.journal.now().synced;
        self.making = self.making.take().or_else(|| self.offered.try_recv().ok());
        let Some(maker) = &mut self.maker else { return };
        let crowded = maker.is_crowded();
        let done = match self.making.take_if(|offered| offered.epoch <= synced && !crowded) {
            Some(kept) => {
                let made = maker.make(kept);
                match &made {
                    Ok(oldest) => {
                        self.holders.snapshot.advance(*oldest, u64::MAX);
                        self.newest.made();
                    }
                    Err(_) => self.newest.failed(false),
                }
                made.is_ok()
            }
            None => maker.merge_step().is_ok(),
        };
        if done {
            return;
        }
        self.maker = self.maker.take().and_then(|maker| maker.again().ok());
        if self.maker.is_none() {
            self.newest.failed(true);
        }
    }

    /// Nothing is offered for so long that everything is merged.
    pub(super) fn merge(&mut self) {
        while self.maker.as_mut().is_some_and(|maker| maker.merge_step().unwrap()) {}
    }

    /// Old segments go.
    pub(super) fn collect(&self, keep: Span) -> Result<Collected, Stopped> {
        let retention = Retention {
            disk: self.disk.clone(),
            journal_dir: journal_dir().to_owned(),
            results_dir: results_dir().to_owned(),
            keep,
            behind_max: Span::seconds(365 * 86_400),
            holders: self.holders.clone(),
        };
        let collected = retention.collect(self.appender.last_arrival())?;
        assert!(collected.gaps.is_empty(), "nobody is that far behind: {collected:?}");
        Ok(collected)
    }

    /// Nothing waits anywhere inside.
    pub(super) fn is_quiet(&self) -> bool {
        let durable = self.journal.now();
        self.inputs.is_empty()
            && self.batch.is_empty()
            && durable.synced == durable.written
            && self.flow == durable.synced
    }
}
