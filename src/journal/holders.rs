//! Who still needs which part of the two logs: checkpoint, snapshot, recomputes and the cursors of sinks.
//!
//! Positions are those that are committed and synced: what a holder would go on from after a loss of
//! power now.
//!
//! A recompute reads the journal from its first segment on when the flow comes to it, and again after a
//! crash, until the older of the two checkpoints kept lies behind it. Until then that segment is held.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One that goes on from a position of each log.
#[derive(Debug)]
pub struct Holder {
    name: &'static str,
    journal: AtomicU64,
    results: AtomicU64,
    needs_backfill: AtomicBool,
}

impl Holder {
    fn new(name: &'static str, journal: u64, results: u64) -> Self {
        let (journal, results) = (AtomicU64::new(journal), AtomicU64::new(results));
        Self { name, journal, results, needs_backfill: AtomicBool::new(false) }
    }

    /// Name, as in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// First epoch and first frame that it needs; `u64::MAX` of a log that it does not read.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        (self.journal.load(Ordering::Acquire), self.results.load(Ordering::Acquire))
    }

    /// Everything before epoch `journal` and before frame `results` is no longer needed. To be
    /// called once that is durable.
    pub fn advance(&self, journal: u64, results: u64) {
        self.journal.store(journal, Ordering::Release);
        self.results.store(results, Ordering::Release);
    }

    /// Whether something was collected before it was read: what it wrote has a gap.
    #[must_use]
    pub fn needs_backfill(&self) -> bool {
        self.needs_backfill.load(Ordering::Acquire)
    }

    /// A person filled the gap or accepts it; whether there was one.
    pub fn acknowledge_gap(&self) -> bool {
        self.needs_backfill.swap(false, Ordering::AcqRel)
    }

    /// Notes the gap; whether it is news.
    pub fn note_gap(&self) -> bool {
        !self.needs_backfill.swap(true, Ordering::AcqRel)
    }
}

/// What a recompute that was asked for needs of the journal.
#[derive(Debug)]
struct Needed {
    number: u64,
    /// First epoch that it reads.
    from: u64,
    /// Epoch that the older checkpoint has to reach; unknown while the recompute is not journaled.
    until: Option<u64>,
}

/// Everything that recomputes need.
#[derive(Debug, Default)]
pub(super) struct Recomputes {
    list: Vec<Needed>,
    given: u64,
}

impl Recomputes {
    /// The first epoch that one of them needs while checkpoints stand at `checkpoint`; `u64::MAX`
    /// when none does.
    pub(super) fn first(&mut self, checkpoint: u64) -> u64 {
        self.list.retain(|needed| needed.until.is_none_or(|until| checkpoint < until));
        self.list.iter().map(|needed| needed.from).min().unwrap_or(u64::MAX)
    }

    fn hold(&mut self, from: u64, until: Option<u64>) -> u64 {
        self.given += 1;
        self.list.push(Needed { number: self.given, from, until });
        self.given
    }
}

/// Holds the journal for a recompute that is being asked for; dropped, it holds nothing.
#[derive(Debug)]
pub struct RecomputeHold {
    holders: Arc<Holders>,
    number: u64,
}

impl RecomputeHold {
    /// Nothing before epoch `from` is needed.
    pub fn begin_at(&self, from: u64) {
        self.change(|needed| needed.from = from);
    }

    /// The recompute is journaled before epoch `until`: held until checkpoints have come so far.
    pub fn journaled(self, until: u64) {
        self.change(|needed| needed.until = Some(until));
    }

    fn change(&self, change: impl FnOnce(&mut Needed)) {
        let mut recomputes = self.holders.recomputes();
        if let Some(needed) = recomputes.list.iter_mut().find(|needed| needed.number == self.number) {
            change(needed);
        }
    }
}

impl Drop for RecomputeHold {
    fn drop(&mut self) {
        let gone = |needed: &Needed| needed.number == self.number && needed.until.is_none();
        self.holders.recomputes().list.retain(|needed| !gone(needed));
    }
}

/// Everyone who holds back collection.
#[derive(Debug)]
pub struct Holders {
    /// The flow's oldest checkpoint that may be loaded. At 0 until there is one: nothing goes.
    pub checkpoint: Arc<Holder>,
    /// The sequencer's oldest snapshot that may be loaded. At 0 until there is one: nothing goes.
    pub snapshot: Arc<Holder>,
    recomputes: Mutex<Recomputes>,
    sinks: Mutex<Vec<Arc<Holder>>>,
}

impl Default for Holders {
    fn default() -> Self {
        Self {
            checkpoint: Arc::new(Holder::new("checkpoint", 0, 0)),
            // It knows nothing of results.
            snapshot: Arc::new(Holder::new("snapshot", 0, u64::MAX)),
            recomputes: Mutex::default(),
            sinks: Mutex::default(),
        }
    }
}

impl Holders {
    /// A sink that goes on from these positions. It holds until it is further behind than its
    /// bound.
    #[must_use]
    pub fn sink(&self, name: &'static str, journal: u64, results: u64) -> Arc<Holder> {
        let sink = Arc::new(Holder::new(name, journal, results));
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).push(sink.clone());
        sink
    }

    /// Holds all of the journal that there is for a recompute that is about to be asked for.
    #[must_use]
    pub fn hold(self: &Arc<Self>) -> RecomputeHold {
        let number = self.recomputes().hold(0, None);
        RecomputeHold { holders: self.clone(), number }
    }

    /// Holds all of the journal that there is until checkpoints have come to `epoch`: recomputes before
    /// that may have to be made once more.
    pub fn hold_until(&self, epoch: u64) {
        let mut recomputes = self.recomputes();
        // Those that are over go, so that there are never more than are under way.
        recomputes.first(self.checkpoint.position().0);
        recomputes.hold(0, Some(epoch));
    }

    /// What recomputes need. No segment of the journal is removed but under this lock, so that what was
    /// there when a hold began stays there.
    pub(super) fn recomputes(&self) -> MutexGuard<'_, Recomputes> {
        self.recomputes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All sinks.
    #[must_use]
    pub fn sinks(&self) -> Vec<Arc<Holder>> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
