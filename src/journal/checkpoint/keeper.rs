//! When checkpoints are taken, and the thread that writes them: neither ingest nor the flow waits
//! for it. Only one is on its way at a time; the next is taken when the one before is on disk.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tracing::{debug, error, warn};

use super::plan::Plan;
use super::written::{Latest, Written};
use super::{Checkpoints, Taken};
use crate::flow::state::{Part, Request, StateError};
use crate::journal::clock::Clock;
use crate::journal::holders::Holder;
use crate::journal::results::{ResultsLog, ResultsPosition, Unsynced};
use crate::model::Span;
use crate::model::crash::Point;

/// Exit code when the results log cannot be made durable.
const EXIT_IO: i32 = 74;

/// How often a checkpoint is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// After this long by the clock.
    pub every: Span,
    /// After this many records of the journal, if that is sooner.
    pub records: u64,
}

impl Default for Cadence {
    fn default() -> Self {
        Self { every: Span::seconds(30), records: 600_000 }
    }
}

/// See the module.
pub struct Keeper {
    cadence: Cadence,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// What is on its way through the flow: at a stop, two.
    asked: VecDeque<Asked>,
    /// When the last one was taken, by the monotonic clock, and at which epoch.
    taken_at: i64,
    next: u64,
    /// Records since.
    records: u64,
}

/// A checkpoint that was asked for.
struct Asked {
    next: u64,
    period: u32,
    /// Where the results log stood at its moment, once that was.
    results: Option<ResultsPosition>,
}

struct Shared {
    plan: Mutex<Plan>,
    writing: AtomicBool,
    written: Arc<Written>,
}

struct Job {
    taken: Taken,
    period: u32,
    unsynced: Unsynced,
}

impl Keeper {
    /// Starts the thread. `next` is the epoch that the flow goes on from; `holder` learns what the
    /// older of the checkpoints kept needs of the logs, `written` of each that is written.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        checkpoints: Checkpoints,
        next: u64,
        cadence: Cadence,
        clock: Arc<dyn Clock>,
        holder: Arc<Holder>,
        written: Arc<Written>,
    ) -> io::Result<Self> {
        let plan = Mutex::new(Plan::new(checkpoints.kept().first()));
        let shared = Arc::new(Shared { plan, writing: AtomicBool::new(false), written });
        tell(&checkpoints, &holder);
        let (jobs, waiting) = sync_channel(1);
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || write_all(checkpoints, &waiting, &of_thread, &holder))?;
        let taken_at = clock.monotonic();
        Ok(Self {
            cadence,
            clock,
            shared,
            jobs: Some(jobs),
            thread: Some(thread),
            asked: VecDeque::new(),
            taken_at,
            next,
            records: 0,
        })
    }

    /// The flow was given so many records.
    pub fn passed(&mut self, records: usize) {
        self.records += records as u64;
    }

    /// The next checkpoint is due at once.
    pub fn hurry(&mut self) {
        self.records = u64::MAX / 2;
    }

    /// Whether a checkpoint is due before epoch `next`. The `last` one, at a stop, is taken whenever
    /// anything happened since.
    pub fn wants(&mut self, next: u64, last: bool) -> Option<Request> {
        let spent = self.clock.monotonic().saturating_sub(self.taken_at);
        let due = last || spent >= self.cadence.every.0 || self.records >= self.cadence.records;
        let under_way = !self.asked.is_empty() || self.shared.writing.load(Ordering::Acquire);
        if !due || next == self.next || (under_way && !last) {
            return None;
        }
        self.taken_at = self.clock.monotonic();
        self.next = next;
        self.records = 0;
        // At a stop one may be on its way: what is not on disk does not count as a base.
        let request = lock(&self.shared.plan).request(next);
        self.asked.push_back(Asked { next, period: request.period, results: None });
        Some(request)
    }

    /// The results log stands where the checkpoint at `next` does.
    pub fn begins(&mut self, next: u64, results: &ResultsLog) {
        let asked = self.asked.iter_mut().filter(|asked| asked.next == next);
        asked.for_each(|asked| asked.results = Some(results.position().clone()));
    }

    /// Takes the workers' parts of one that began.
    pub fn take(&mut self, next: u64, parts: Result<Vec<Part>, StateError>, results: &ResultsLog) {
        let Some(asked) = self.asked.pop_front_if(|asked| asked.next <= next) else { return };
        let Asked { period, results: Some(position), .. } = asked else { return };
        let parts = match parts {
            Ok(parts) => parts,
            Err(failure) => {
                warn!(epoch = next, error = %failure, "no checkpoint: the state has no form as bytes; report this");
                self.shared.written.failed();
                return;
            }
        };
        let taken = Taken { next, parts, results: position };
        let job = Job { taken, period, unsynced: results.unsynced() };
        self.shared.writing.store(true, Ordering::Release);
        if let Some(jobs) = &self.jobs {
            // The thread ends with this sender, never before it.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Keeper {
    /// Waits until the last checkpoint is written.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic ends the process through the hook of `main`.
            let _ = thread.join();
        }
    }
}

fn write_all(mut checkpoints: Checkpoints, jobs: &Receiver<Job>, shared: &Shared, holder: &Holder) {
    for job in jobs {
        let Job { taken, period, unsynced } = job;
        if let Err(failure) = unsynced.sync() {
            // After a failed sync nothing is known of what was written: carry on in no doubt.
            error!(error = %failure, "the results log cannot be made durable; stopping");
            std::process::exit(EXIT_IO);
        }
        Point::CheckpointResultsSynced.pass();
        match checkpoints.write(&taken) {
            Ok(bytes) => {
                lock(&shared.plan).written(period, &taken.parts);
                tell(&checkpoints, holder);
                let keys: u64 =
                    taken.parts.iter().flat_map(|part| &part.groups).map(|group| group.keys).sum();
                let pause = taken.parts.iter().map(|part| part.took).max().unwrap_or_default();
                shared.written.tell(Latest { epoch: taken.next, pause, bytes, keys });
                debug!(epoch = taken.next, keys, bytes, "checkpoint written");
            }
            Err(failure) => {
                warn!(epoch = taken.next, error = %failure, "a checkpoint could not be written; the one before stands");
                shared.written.failed();
            }
        }
        shared.writing.store(false, Ordering::Release);
    }
}

/// Tells collection what the older checkpoint needs; while there is only one, everything.
fn tell(checkpoints: &Checkpoints, holder: &Holder) {
    if let [_, older] = checkpoints.kept() {
        holder.advance(older.next, older.results.frame);
    }
}

fn lock(plan: &Mutex<Plan>) -> std::sync::MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::journal::holders::Holders;
    use crate::journal::memory_disk::MemoryDisk;
    use crate::journal::testing::Hands;
    use crate::model::time::SECOND;

    /// A keeper of checkpoints after 30 s or 100 records, of a flow whose state is empty.
    struct Desk {
        disk: Arc<MemoryDisk>,
        clock: Arc<Hands>,
        holders: Holders,
        results: ResultsLog,
        written: Arc<Written>,
        keeper: Keeper,
    }

    impl Desk {
        fn new() -> Self {
            let (disk, clock) = (Arc::<MemoryDisk>::default(), Arc::<Hands>::default());
            let holders = Holders::default();
            let results = ResultsLog::open(disk.clone(), Path::new("results"), 1_000).unwrap();
            let checkpoints = Checkpoints::open(disk.clone(), Path::new("checkpoints")).unwrap().0;
            let cadence = Cadence { every: Span::seconds(30), records: 100 };
            let (holder, written) = (holders.checkpoint.clone(), Arc::new(Written::new(clock.clone())));
            let keeper =
                Keeper::start(checkpoints, 0, cadence, clock.clone(), holder, written.clone()).unwrap();
            Self { disk, clock, holders, results, written, keeper }
        }

        fn wait(&self, seconds: i64) {
            self.clock.0.fetch_add(seconds * SECOND, Ordering::Relaxed);
        }

        fn wants(&mut self, next: u64) -> bool {
            self.keeper.wants(next, false).is_some()
        }

        /// Has the parts taken, and waits until the thread is done with them.
        fn take(&mut self, next: u64) {
            self.keeper.begins(next, &self.results);
            self.keeper.take(next, Ok(vec![Part::default()]), &self.results);
            let patience = Instant::now();
            while self.keeper.shared.writing.load(Ordering::Acquire) {
                assert!(patience.elapsed() < Duration::from_secs(20), "never written");
                std::thread::yield_now();
            }
        }

        fn on_disk(&self) -> Vec<u64> {
            Checkpoints::open(self.disk.clone(), Path::new("checkpoints")).unwrap().1
        }
    }

    #[test]
    fn a_checkpoint_is_due_after_a_time_or_so_many_records_if_anything_happened() {
        let mut desk = Desk::new();
        desk.wait(29);
        assert!(!desk.wants(5));
        desk.wait(1);
        assert!(!desk.wants(0), "nothing happened");
        assert_eq!(desk.keeper.wants(5, false).map(|request| request.next), Some(5));
        desk.take(5);
        desk.keeper.passed(99);
        assert!(!desk.wants(6));
        desk.keeper.passed(1);
        assert!(desk.wants(6));
        desk.take(6);
        assert!(!desk.wants(7), "both are counted anew");
        desk.keeper.hurry();
        assert!(!desk.wants(6));
        assert!(desk.wants(7));
    }

    #[test]
    fn only_one_is_on_its_way_but_for_the_last() {
        let mut desk = Desk::new();
        desk.wait(30);
        assert!(desk.wants(5));
        desk.wait(60);
        assert!(!desk.wants(9));
        assert!(desk.keeper.wants(9, true).is_some(), "the last");
        desk.take(5);
        desk.take(9);
        assert_eq!(desk.on_disk(), [1, 0]);
        assert_eq!(desk.written.latest().map(|latest| latest.epoch), Some(9));
        assert!(desk.keeper.wants(9, true).is_none(), "nothing happened since");
        assert!(desk.keeper.wants(10, true).is_some());
        // Parts of no request, or of an epoch before what was asked, are none of it.
        desk.take(9);
        assert_eq!(desk.on_disk(), [1, 0]);
        desk.take(10);
        desk.take(11);
        assert_eq!(desk.on_disk(), [2, 1]);
    }

    #[test]
    fn collection_is_told_what_the_older_of_two_needs() {
        let mut desk = Desk::new();
        for (next, needed) in [(5, 0), (7, 5), (8, 7)] {
            desk.keeper.hurry();
            assert!(desk.wants(next));
            desk.take(next);
            assert_eq!(desk.holders.checkpoint.position().0, needed);
        }
    }

    #[test]
    fn it_is_known_how_old_the_latest_is_and_how_many_failed() {
        let mut desk = Desk::new();
        let written = desk.written.clone();
        desk.wait(30);
        assert_eq!((written.latest(), written.age().as_secs(), written.failures()), (None, 30, 0));
        assert!(desk.wants(5));
        let unfit = StateError::Names { kind: "devices" };
        desk.keeper.begins(5, &desk.results);
        desk.keeper.take(5, Err(unfit), &desk.results);
        assert_eq!((written.latest(), written.failures()), (None, 1));
        desk.wait(30);
        assert!(desk.wants(6), "the next is taken all the same");
        desk.take(6);
        assert_eq!((written.latest().map(|latest| latest.epoch), written.failures()), (Some(6), 1));
        desk.wait(30);
        assert!(desk.wants(7));
        desk.take(7);
        desk.wait(2);
        assert_eq!((written.latest().map(|latest| latest.epoch), written.age().as_secs()), (Some(7), 2));
    }

    #[test]
    fn its_end_waits_for_the_one_that_is_being_written() {
        for _ in 0..20 {
            let mut desk = Desk::new();
            assert!(desk.keeper.wants(3, true).is_some());
            desk.keeper.begins(3, &desk.results);
            desk.keeper.take(3, Ok(vec![Part::default()]), &desk.results);
            let Desk { keeper, disk, .. } = desk;
            drop(keeper);
            assert_eq!(Checkpoints::open(disk, Path::new("checkpoints")).unwrap().1, [0]);
        }
    }
}
