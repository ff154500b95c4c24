//! How far a log has come, for those who wait on it: threads, tasks and dataflow workers.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::model::{Durable, Timestamp};

/// The ends of a log, in frames: everything before is written, everything before is synced.
pub struct Progress {
    state: Mutex<Durable>,
    moved: Condvar,
    tasks: watch::Sender<Durable>,
    workers: Mutex<Vec<(Upon, Thread)>>,
    arrived_at: AtomicI64,
    records: AtomicU64,
    /// Up to where the last sync that the disk completed reached; set by nothing else.
    completed: AtomicU64,
    timed: OnceLock<Timed>,
}

/// Which step of a log a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upon {
    /// Something was written.
    Written,
    /// Something became durable.
    Synced,
}

/// Hears how long each sync took; must not block.
pub type Timed = Box<dyn Fn(Duration) + Send + Sync>;

impl Progress {
    /// A log that has come to `next`, all of it durable.
    #[must_use]
    pub fn new(next: u64) -> Self {
        let durable = Durable { written: next, synced: next };
        Self {
            state: Mutex::new(durable),
            moved: Condvar::new(),
            tasks: watch::Sender::new(durable),
            workers: Mutex::new(Vec::new()),
            arrived_at: AtomicI64::new(Timestamp::MIN.0),
            records: AtomicU64::new(0),
            completed: AtomicU64::new(next),
            timed: OnceLock::new(),
        }
    }

    /// A log that was not open until now has come to `next`, all of it durable.
    pub fn begun(&self, next: u64) {
        self.completed.store(next, Ordering::SeqCst);
        self.step(&[Upon::Written, Upon::Synced], true, |durable| {
            *durable = Durable { written: next, synced: next };
        });
    }

    /// Arrival time of the log's end; `Timestamp::MIN` before the first record.
    #[must_use]
    pub fn arrived_at(&self) -> Timestamp {
        Timestamp(self.arrived_at.load(Ordering::Relaxed))
    }

    /// Arrival time has come to `at`.
    pub fn arrived(&self, at: Timestamp) {
        self.arrived_at.store(at.0, Ordering::Relaxed);
    }

    /// Sequence of the record after the last one that it has come past.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// It has come past everything before record `next`.
    pub fn passed(&self, next: u64) {
        self.records.store(next, Ordering::Relaxed);
    }

    /// Where it stands.
    #[must_use]
    pub fn now(&self) -> Durable {
        *lock(&self.state)
    }

    /// For tasks.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Durable> {
        self.tasks.subscribe()
    }

    /// Unparks `worker` at each such step from here on.
    pub fn wake(&self, worker: Thread, upon: Upon) {
        lock(&self.workers).push((upon, worker));
    }

    /// Everything before `next` is written.
    pub fn written(&self, next: u64) {
        self.appended(next, true);
    }

    /// Everything before `next` is written; tasks are told of it now if one has `awaited` that, otherwise
    /// once it is synced.
    pub fn appended(&self, next: u64, awaited: bool) {
        self.step(&[Upon::Written], awaited, |durable| durable.written = next);
    }

    /// The disk completed a sync of everything before `next`, which took so long.
    pub fn sync_completed(&self, next: u64, took: Duration) {
        self.completed.store(next, Ordering::SeqCst);
        if let Some(timed) = self.timed.get() {
            timed(took);
        }
    }

    /// Has `timed` told how long each sync takes, from here on; the first to ask is told.
    pub fn time_syncs(&self, timed: Timed) {
        let _ = self.timed.set(timed);
    }

    /// Everything before `next` is synced: what waits for it may be acknowledged.
    ///
    /// # Panics
    /// If the last completed sync did not reach it: the promise that nothing acknowledged is lost
    /// would be broken, and the process must not go on.
    pub fn synced(&self, next: u64) {
        let completed = self.completed.load(Ordering::SeqCst);
        assert!(next <= completed, "durable to {next} while the last completed sync reached {completed}");
        self.step(&[Upon::Synced], true, |durable| {
            assert!(durable.synced <= next && next <= durable.written, "{next} does not follow {durable:?}");
            durable.synced = next;
        });
    }

    fn step(&self, steps: &[Upon], tell_tasks: bool, change: impl FnOnce(&mut Durable)) {
        let durable = {
            let mut state = lock(&self.state);
            change(&mut state);
            *state
        };
        self.moved.notify_all();
        self.tasks.send_if_modified(|told| {
            *told = durable;
            tell_tasks
        });
        let workers = lock(&self.workers);
        workers.iter().filter(|(upon, _)| steps.contains(upon)).for_each(|(_, worker)| worker.unpark());
    }

    /// Waits until `until` holds or `at_most` has passed; where it stands then.
    pub fn wait(&self, at_most: Duration, until: impl Fn(Durable) -> bool) -> Durable {
        let deadline = Instant::now() + at_most;
        let mut state = lock(&self.state);
        while !until(*state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *state
    }
}

/// A panic ends the process (see `main`), so a poisoned lock is never seen; it is no reason for one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "durable to 3 while the last completed sync reached 2")]
    fn what_no_completed_sync_reached_is_not_durable() {
        let progress = Progress::new(0);
        progress.written(3);
        progress.sync_completed(2, Duration::ZERO);
        progress.synced(2);
        progress.synced(3);
    }

    #[test]
    fn tasks_are_told_of_a_write_that_one_awaits_and_of_every_sync() {
        let progress = Progress::new(0);
        let mut told = progress.subscribe();
        progress.appended(1, false);
        assert!(!told.has_changed().unwrap());
        assert_eq!(told.borrow().written, 1, "who looks sees it");
        progress.sync_completed(1, Duration::ZERO);
        progress.synced(1);
        assert!(told.has_changed().unwrap());
        assert_eq!(*told.borrow_and_update(), Durable { written: 1, synced: 1 });
        progress.appended(2, true);
        assert!(told.has_changed().unwrap());
    }

    #[test]
    fn a_thread_is_woken_by_the_steps_that_it_waits_for() {
        let progress = Progress::new(0);
        progress.wake(std::thread::current(), Upon::Synced);
        let woken = || {
            let began = Instant::now();
            std::thread::park_timeout(Duration::from_millis(50));
            began.elapsed() < Duration::from_millis(50)
        };
        progress.written(1);
        assert!(!woken());
        progress.sync_completed(1, Duration::ZERO);
        progress.synced(1);
        assert!(woken());
    }
}
