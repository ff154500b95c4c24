//! How far behind the newest snapshot may be, and who waits when it is further: a start folds what
//! lies between it and the journal's end before ingest opens.
//!
//! The sequencer appends nothing more while that is too much and a snapshot is being made. It waits
//! for no snapshot that does not come: once one has failed, or their thread has given up, it goes on
//! until one is made, and a start meanwhile takes longer. Nor does it wait for the first one after a
//! start that found none near: that one has far more to read than the bound allows.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A position of the journal, as a start counts what it has to fold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Records before it.
    pub records: u64,
    /// Bytes of batches before it, counted from anywhere.
    pub bytes: u64,
}

impl Reach {
    /// What lies between an earlier position and this one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            records: self.records.saturating_sub(earlier.records),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }

    fn comes_to(self, bound: Self) -> bool {
        self.records >= bound.records || self.bytes >= bound.bytes
    }
}

/// When a snapshot is made, and how far behind the newest may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// One is due after so much,
    pub due: Reach,
    /// or after so many nanoseconds in which anything was journalled.
    pub every: i64,
    /// No further batch is appended once the newest is so far behind.
    pub behind_max: Reach,
}

impl Default for Bounds {
    /// Half a million records are folded in about an eighth of a second; the rest of the second that a
    /// start may take is for a million names.
    fn default() -> Self {
        Self {
            due: Reach { records: 250_000, bytes: 32 * 1_024 * 1_024 },
            every: 7_000_000_000,
            behind_max: Reach { records: 500_000, bytes: 64 * 1_024 * 1_024 },
        }
    }
}

/// Where the newest snapshot on disk stands, and whether another is on its way.
#[derive(Debug)]
pub struct Newest {
    bounds: Bounds,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    made: Reach,
    on_its_way: Option<Reach>,
    /// The last one failed, or the start found none near, and none was made since: nobody waits.
    unsure: bool,
    given_up: bool,
    failures: u64,
    waited: Duration,
    /// The journal's end.
    end: Reach,
}

/// What is known of it, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFigures {
    /// How far the newest is behind the journal's end.
    pub behind: Reach,
    /// How long the sequencer has waited for snapshots since the start.
    pub waited: Duration,
    /// How many could not be written.
    pub failures: u64,
}

impl Newest {
    /// The newest stands at `made`. Beyond twice what it may be behind, none is near: a run that ended
    /// while the sequencer waited leaves less.
    #[must_use]
    pub fn new(bounds: Bounds, made: Reach, end: Reach) -> Self {
        let Reach { records, bytes } = bounds.behind_max;
        let far = Reach { records: records.saturating_mul(2), bytes: bytes.saturating_mul(2) };
        let state = State {
            made,
            on_its_way: None,
            unsure: end.since(made).comes_to(far),
            given_up: false,
            failures: 0,
            waited: Duration::ZERO,
            end,
        };
        Self { bounds, state: Mutex::new(state), moved: Condvar::new() }
    }

    /// Whether one is due at `end`; `rested` says that the time for one has come.
    #[must_use]
    pub fn is_due(&self, end: Reach, rested: bool) -> bool {
        let mut state = self.lock();
        state.end = end;
        let fresh = end.since(state.made);
        // One that fails is tried again now and then, not at each batch.
        let much = fresh.comes_to(self.bounds.due) && !state.unsure;
        state.on_its_way.is_none() && !state.given_up && (much || fresh.records > 0 && rested)
    }

    /// Whether anything was journalled that the newest, or the one on its way, does not hold.
    #[must_use]
    pub fn is_behind(&self, end: Reach) -> bool {
        let state = self.lock();
        end.records > state.on_its_way.unwrap_or(state.made).records
    }

    /// One of `reach` is on its way.
    pub fn begun(&self, reach: Reach) {
        self.lock().on_its_way = Some(reach);
    }

    /// The one on its way is on disk.
    pub fn made(&self) {
        let mut state = self.lock();
        if let Some(reach) = state.on_its_way.take() {
            state.made = reach;
        }
        state.unsure = false;
        drop(state);
        self.moved.notify_all();
    }

    /// The one on its way could not be written; `for_good`: no more will come.
    pub fn failed(&self, for_good: bool) {
        let mut state = self.lock();
        state.on_its_way = None;
        (state.unsure, state.given_up) = (true, state.given_up || for_good);
        state.failures += 1;
        drop(state);
        self.moved.notify_all();
    }

    /// Whether nothing more may be appended at `end` until the one on its way is made.
    #[must_use]
    pub fn holds_back(&self, end: Reach) -> bool {
        self.lock().holds_back(end, self.bounds.behind_max)
    }

    /// Waits while [`Newest::holds_back`].
    pub fn wait(&self, end: Reach) {
        let mut state = self.lock();
        if !state.holds_back(end, self.bounds.behind_max) {
            return;
        }
        let began = Instant::now();
        while state.holds_back(end, self.bounds.behind_max) {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waited += began.elapsed();
    }

    /// Whether `end` is further behind than it may be although nobody waits.
    #[must_use]
    pub fn is_left_behind(&self, end: Reach) -> bool {
        let state = self.lock();
        let waits = state.on_its_way.is_some() && !state.unsure;
        !waits && end.since(state.made).comes_to(self.bounds.behind_max)
    }

    /// What is known of it.
    #[must_use]
    pub fn figures(&self) -> SnapshotFigures {
        let state = self.lock();
        let behind = state.end.since(state.made);
        SnapshotFigures { behind, waited: state.waited, failures: state.failures }
    }

    /// A panic ends the process (see `main`), so a poisoned lock is never seen; it is no reason for one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn holds_back(&self, end: Reach, behind_max: Reach) -> bool {
        self.on_its_way.is_some() && !self.unsure && end.since(self.made).comes_to(behind_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn at(records: u64) -> Reach {
        Reach { records, bytes: 10 * records }
    }

    fn newest() -> Newest {
        let bounds = Bounds { due: at(100), every: 0, behind_max: at(300) };
        Newest::new(bounds, at(1_000), at(1_040))
    }

    #[test]
    fn one_is_due_after_records_bytes_or_time_and_only_one_is_on_its_way() {
        let newest = newest();
        assert!(!newest.is_due(at(1_099), false) && newest.is_due(at(1_100), false));
        assert!(newest.is_due(Reach { records: 1_001, bytes: 11_000 }, false), "few records and large");
        assert!(newest.is_due(at(1_001), true) && !newest.is_due(at(1_000), true));
        newest.begun(at(1_100));
        assert!(!newest.is_due(at(2_000), true), "one is on its way");
        assert!(newest.is_behind(at(1_101)) && !newest.is_behind(at(1_100)));
        newest.made();
        assert!(!newest.is_due(at(1_199), false) && newest.is_due(at(1_200), false));
        assert_eq!(newest.figures().behind, at(100));
    }

    #[test]
    fn nothing_is_appended_beyond_the_bound_until_the_one_on_its_way_is_made() {
        let newest = Arc::new(newest());
        newest.begun(at(1_100));
        assert!(!newest.holds_back(at(1_299)) && newest.holds_back(at(1_300)));
        assert!(newest.holds_back(Reach { records: 1_001, bytes: 13_000 }));
        let (tell, told) = std::sync::mpsc::channel();
        let waiting = newest.clone();
        let thread = std::thread::spawn(move || {
            waiting.wait(at(1_300));
            tell.send(()).unwrap();
        });
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "it does not wait");
        newest.made();
        thread.join().unwrap();
        assert!(newest.figures().waited > Duration::from_millis(40));
        assert!(!newest.holds_back(at(1_300)));
    }

    #[test]
    fn nobody_waits_for_one_that_fails_or_never_comes() {
        let newest = Arc::new(newest());
        newest.begun(at(1_100));
        let waiting = newest.clone();
        let thread = std::thread::spawn(move || waiting.wait(at(9_000)));
        newest.failed(false);
        thread.join().unwrap();
        assert!(newest.is_left_behind(at(9_000)));
        assert!(!newest.is_due(at(9_000), false) && newest.is_due(at(9_000), true), "now and then");
        newest.begun(at(9_000));
        assert!(!newest.holds_back(at(9_000)), "it may fail as the one before did");
        assert!(newest.is_left_behind(at(9_000)));
        newest.made();
        assert!(!newest.is_left_behind(at(9_100)) && newest.is_due(at(9_100), false), "as before");
        newest.begun(at(9_100));
        newest.failed(true);
        newest.wait(at(99_000));
        assert!(!newest.is_due(at(99_000), true), "no more come");
        assert_eq!(newest.figures().failures, 2);
    }

    #[test]
    fn nobody_waits_for_the_first_one_of_a_long_journal() {
        let bounds = Bounds { due: at(100), every: 0, behind_max: at(300) };
        let waits = |behind: u64| {
            let newest = Newest::new(bounds, at(0), at(behind));
            assert_eq!(newest.is_due(at(behind), false), behind < 600, "{behind}");
            newest.begun(at(behind));
            let waits = newest.holds_back(at(behind + 300));
            newest.made();
            newest.begun(at(behind + 100));
            assert!(newest.holds_back(at(behind + 300)), "{behind}: for the second one");
            waits
        };
        assert_eq!([300, 599, 600, 9_000].map(waits), [true, true, false, false]);
    }
}
