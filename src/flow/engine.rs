//! The dataflow on its threads; the only module that names `timely`.
//!
//! Worker 0 reads the journal and hands each batch to every worker under its epoch; each worker
//! folds it ([`super::interpreter`]); the rows of an epoch are exchanged to worker 0 and, once the
//! frontier has passed the epoch, put in order and published. The timestamp is the journal epoch,
//! and nothing but this file ever sees it.
//!
//! A checkpoint is asked for with a batch and travels with it: it is of the moment when a worker has
//! folded that batch. Each worker writes its part down bit by bit while it goes on with others, so that
//! nothing waits for a million keys; the parts are handed over once all are whole.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::probe::Handle;
use timely::dataflow::operators::vec::{Broadcast, Input};
use timely::dataflow::operators::{Capability, Probe};

use super::folder::{self, Answer, Folder, Given, Parts};
use super::interpreter::{Interpreter, order};
use super::past::Past;
use super::pipeline::Counts;
use super::state::{Part, Request, StateError};
use crate::model::{Batch, ResultRow};

/// Epochs in the dataflow at once; the only backpressure it has.
const EPOCHS_IN_FLIGHT_MAX: u64 = 64;
/// A parked worker looks around this often even if nothing wakes it.
const PARK: Duration = Duration::from_millis(100);

/// Where batches come from and rows go to; owned by worker 0.
pub trait Source: Send {
    /// The next batch with its epoch, if there is one now.
    fn next(&mut self) -> Option<(u64, Batch)>;
    /// The recomputes that a batch asks for, with what the journal before them holds.
    fn past(&mut self, _epoch: u64, _batch: &Batch) -> Vec<Past> {
        Vec::new()
    }
    /// Asks to have a thread unparked when there is more.
    fn wake(&mut self, worker: Thread);
    /// Takes the rows of one epoch, in order. Epochs without rows are told too.
    fn publish(&mut self, epoch: u64, rows: Vec<ResultRow>);
    /// Whether a checkpoint is wanted that holds everything before epoch `next` and no more; asked
    /// after each batch, `last` when there will be none after it.
    fn wants_checkpoint(&mut self, _next: u64, _last: bool) -> Option<Request> {
        None
    }
    /// A checkpoint is of this moment: the rows of every epoch before `next` were published, and no more.
    fn checkpoint_begins(&mut self, _next: u64) {}
    /// Takes the workers' parts of the checkpoint that began so.
    fn checkpoint(&mut self, _next: u64, _parts: Result<Vec<Part>, StateError>) {}
}

/// A value that stays within the process: timely asks that what it exchanges could be serialised.
#[derive(Clone)]
struct InProcess<T>(T);

impl<T> Serialize for InProcess<T> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("stays within the process"))
    }
}

impl<'de, T> Deserialize<'de> for InProcess<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("stays within the process"))
    }
}

/// What became of events, by pipeline, as each worker last told it.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<BTreeMap<(String, usize), Counts>>>);

impl Tally {
    fn tell(&self, worker: usize, interpreter: &Interpreter) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, counts) in interpreter.counts() {
            told.insert((name.to_owned(), worker), counts);
        }
    }

    /// The sums over all workers, by pipeline. Every worker sees excluded events; one counts.
    #[must_use]
    pub fn now(&self) -> BTreeMap<String, Counts> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums: BTreeMap<String, Counts> = BTreeMap::new();
        for ((name, worker), counts) in told.iter() {
            let excluded = if *worker == 0 { counts.excluded } else { 0 };
            sums.entry(name.clone()).or_default().add(Counts { excluded, ..*counts });
        }
        sums
    }
}

/// What came for an epoch that is not complete, with the right to answer it.
type Waiting<D> = BTreeMap<u64, (Capability<u64>, Vec<D>)>;
/// Where worker 0 hands batches in.
type Batches = InputHandle<u64, CapacityContainerBuilder<Vec<InProcess<Arc<Given>>>>>;
/// Worker 0's source: the loop reads from it, the last operator publishes to it.
type SharedSource = Rc<RefCell<Option<Box<dyn Source>>>>;

/// A running dataflow.
pub struct Engine {
    guards: Option<timely::communication::WorkerGuards<()>>,
    tally: Tally,
    stop: Arc<AtomicBool>,
}

impl Engine {
    /// Starts the dataflow on `workers` threads.
    ///
    /// # Errors
    /// When its threads cannot be started.
    pub fn start(workers: usize, source: Box<dyn Source>) -> Result<Self, String> {
        let workers = workers.max(1);
        let folds = (0..workers).map(|index| Interpreter::new(index, workers)).collect();
        Self::resume(folds, 0, source, Tally::default())
    }

    /// Starts the dataflow on as many threads as there are folds, which hold everything before the
    /// epoch `next`; `tally` is told what becomes of events.
    ///
    /// # Errors
    /// When its threads cannot be started.
    pub fn resume(
        folds: Vec<Interpreter>,
        next: u64,
        source: Box<dyn Source>,
        tally: Tally,
    ) -> Result<Self, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let source = Mutex::new(Some(source));
        let config = match folds.len() {
            0 | 1 => timely::Config::thread(),
            workers => timely::Config::process(workers),
        };
        let folds = Mutex::new(folds.into_iter().map(Some).collect::<Vec<_>>());
        let (told, parts) = (tally.clone(), Parts::default());
        let guards = timely::execute(config, move |worker| {
            let own = if worker.index() == 0 {
                source.lock().ok().and_then(|mut source| source.take())
            } else {
                None
            };
            let fold = folds.lock().ok().and_then(|mut folds| folds.get_mut(worker.index())?.take());
            let fold = fold.unwrap_or_else(|| Interpreter::new(worker.index(), worker.peers()));
            run(worker, Folder::new(fold, parts.clone()), next, own, told.clone(), &stopped);
        })?;
        Ok(Self { guards: Some(guards), tally, stop })
    }

    /// What became of events.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Lets the workers finish what they took, and ends them.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Engine {
    // Timely's guards wait for their threads: without the word to stop, a start that is refused
    // halfway would wait for ever.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(guards) = self.guards.take() {
            for guard in guards.guards() {
                guard.thread().unpark();
            }
            drop(guards);
        }
    }
}

fn run(
    worker: &mut timely::worker::Worker,
    mut folder: Folder,
    next: u64,
    source: Option<Box<dyn Source>>,
    tally: Tally,
    stop: &AtomicBool,
) {
    let index = worker.index();
    tally.tell(index, folder.fold());
    let parts = folder.parts();
    let source: SharedSource = Rc::new(RefCell::new(source));
    let sink = source.clone();
    let mut input = Batches::new();
    let probe = worker.dataflow(|scope| {
        let batches = scope.input_from(&mut input).broadcast();
        let rows = batches.unary_frontier::<CapacityContainerBuilder<Vec<_>>, _, _, _>(
            Pipeline,
            "interpret",
            |_, info| {
                let activator = scope.activator_for(info.address);
                let mut waiting: Waiting<InProcess<Arc<Given>>> = BTreeMap::new();
                move |(input, frontier), output| {
                    input.for_each_stamp(|stamp, data| {
                        if let Some(capability) = stamp.retain_least(output.output_index()) {
                            keep(&mut waiting, capability, data.flat_map(|given| given.drain(..)));
                        }
                    });
                    while let Some(entry) = waiting.first_entry() {
                        if frontier.less_equal(entry.key()) {
                            break;
                        }
                        let (capability, given) = entry.remove();
                        for given in &given {
                            output.session(&capability).give(InProcess(folder.answer(&given.0)));
                        }
                        tally.tell(index, folder.fold());
                    }
                    if let Some(later) = folder.go_on() {
                        activator.activate_after(later);
                    }
                }
            },
        );
        let to_one = Exchange::new(|_: &InProcess<Answer>| 0);
        rows.unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(to_one, "publish", move |_, _| {
            let mut waiting: Waiting<InProcess<Answer>> = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each_stamp(|stamp, data| {
                    if let Some(capability) = stamp.retain_least(output.output_index()) {
                        keep(&mut waiting, capability, data.flat_map(|answers| answers.drain(..)));
                    }
                });
                while let Some(entry) = waiting.first_entry() {
                    if frontier.less_equal(entry.key()) {
                        break;
                    }
                    let (epoch, (_held, answers)) = entry.remove_entry();
                    if let Some(source) = &mut *sink.borrow_mut() {
                        deliver(&mut **source, epoch, answers);
                    }
                }
            }
        })
        .probe()
        .0
    });
    drive(worker, input, next, &probe, &source, (&parts, stop));
}

/// Keeps what came for an epoch until it is complete.
fn keep<D>(waiting: &mut Waiting<D>, capability: Capability<u64>, came: impl Iterator<Item = D>) {
    waiting.entry(*capability.time()).or_insert_with(|| (capability, Vec::new())).1.extend(came);
}

/// Hands over what all workers made of an epoch: rows first, then word of the checkpoint after them.
fn deliver(source: &mut dyn Source, epoch: u64, answers: Vec<InProcess<Answer>>) {
    let batch = answers.iter().any(|answer| answer.0.batch);
    let checkpoint = answers.iter().find_map(|answer| answer.0.checkpoint);
    let mut rows: Vec<ResultRow> = answers.into_iter().flat_map(|answer| answer.0.rows).collect();
    if batch {
        order(&mut rows);
        source.publish(epoch, rows);
    }
    if let Some(next) = checkpoint {
        source.checkpoint_begins(next);
    }
}

/// Feeds the dataflow until told to stop, then lets it finish.
fn drive(
    worker: &mut timely::worker::Worker,
    mut input: Batches,
    next: u64,
    probe: &Handle<u64>,
    source: &SharedSource,
    (parts, stop): (&Parts, &AtomicBool),
) {
    if let Some(source) = &mut *source.borrow_mut() {
        source.wake(std::thread::current());
    }
    let owns_source = source.borrow().is_some();
    if !owns_source {
        // Only worker 0 brings batches: this worker's input holds nobody back.
        input.close();
        worker.step_or_park_while(Some(PARK), || !probe.done());
        return;
    }
    input.advance_to(next);
    let mut began = next;
    while !stop.load(Ordering::SeqCst) {
        let mut took = false;
        while probe.with_frontier(|frontier| {
            frontier.first().is_none_or(|done| began.saturating_sub(*done) < EPOCHS_IN_FLIGHT_MAX)
        }) {
            let next = source.borrow_mut().as_mut().and_then(|source| source.next());
            let Some((epoch, batch)) = next else { break };
            input.advance_to(epoch);
            let past = source.borrow_mut().as_mut().map(|source| source.past(epoch, &batch));
            let request = wanted(source, epoch + 1, false);
            let given = Given { batch: Some(batch), past: past.unwrap_or_default(), request };
            input.send(InProcess(Arc::new(given)));
            input.advance_to(epoch + 1);
            began = epoch + 1;
            took = true;
            worker.step();
        }
        if took {
            worker.step()
        } else {
            worker.step_or_park(Some(PARK))
        };
        hand_over(parts, worker.peers(), probe, source);
    }
    let request = wanted(source, began, true);
    input.send(InProcess(Arc::new(Given { batch: None, past: Vec::new(), request })));
    input.close();
    worker.step_or_park_while(Some(PARK), || !probe.done());
    hand_over(parts, worker.peers(), probe, source);
}

/// Hands over the checkpoints of which all parts are there, once their rows were published.
fn hand_over(parts: &Parts, workers: usize, probe: &Handle<u64>, source: &SharedSource) {
    while let Some((next, parts)) = folder::whole(parts, workers, |next| !probe.less_than(&next)) {
        if let Some(source) = &mut *source.borrow_mut() {
            source.checkpoint(next, parts);
        }
    }
}

fn wanted(source: &SharedSource, next: u64, last: bool) -> Option<Request> {
    source.borrow_mut().as_mut()?.wants_checkpoint(next, last)
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
