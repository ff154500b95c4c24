//! Who still needs which part of the two logs: checkpoint, snapshot, recomputes and the cursors of sinks.
//!
//! A position is committed and synced: what a holder would go on from after a loss of power now. A
//! sink has read further than that, and lost something only if what it reads next is gone.
//!
//! A recompute reads the journal from its first segment on when the flow comes to it, and again after a
//! crash, until the older of the two checkpoints kept lies behind it. Until then that segment is held.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One that goes on from a position of each log.
#[derive(Debug)]
pub struct Holder {
    name: &'static str,
    journal: AtomicU64,
    results: AtomicU64,
    next: (AtomicU64, AtomicU64),
    gap: Mutex<Gap>,
}

/// What was removed before a sink read it: an epoch and a frame each time, before which it is gone.
#[derive(Debug, Default)]
struct Gap {
    /// What is known to be gone.
    to: (u64, u64),
    /// What of it a person knows of.
    acknowledged_to: (u64, u64),
    /// Whether there is more than that.
    is_open: bool,
}

impl Gap {
    fn reach(&mut self, to: (u64, u64)) {
        self.to = (self.to.0.max(to.0), self.to.1.max(to.1));
    }
}

impl Holder {
    fn new(name: &'static str, journal: u64, results: u64) -> Self {
        let next = (AtomicU64::new(journal), AtomicU64::new(results));
        let (journal, results) = (AtomicU64::new(journal), AtomicU64::new(results));
        Self { name, journal, results, next, gap: Mutex::default() }
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
        self.reads_next(journal, results);
    }

    /// Epoch and frame that it reads next; `u64::MAX` of a log that it does not read.
    #[must_use]
    pub fn next(&self) -> (u64, u64) {
        (self.next.0.load(Ordering::Acquire), self.next.1.load(Ordering::Acquire))
    }

    /// It has read everything before epoch `journal` and before frame `results`, durable or not.
    pub fn reads_next(&self, journal: u64, results: u64) {
        self.next.0.fetch_max(journal, Ordering::AcqRel);
        self.next.1.fetch_max(results, Ordering::AcqRel);
    }

    /// Whether something was collected before it was read, and nobody has acknowledged that: what it
    /// wrote has a gap.
    #[must_use]
    pub fn needs_backfill(&self) -> bool {
        self.gap().is_open
    }

    /// A person filled the gap or accepts it, as far as it reaches now.
    pub fn acknowledge_gap(&self) {
        let mut gap = self.gap();
        gap.acknowledged_to = gap.to;
        gap.is_open = false;
    }

    /// The epoch and the frame up to which a person knows of the gap.
    #[must_use]
    pub fn acknowledged_to(&self) -> (u64, u64) {
        self.gap().acknowledged_to
    }

    /// Notes that what it had not read is gone before an epoch and before a frame (0 of a log that
    /// lost it nothing); whether that is news. It is none while a gap is open, nor while nothing is
    /// gone that was not acknowledged.
    pub fn note_gap(&self, to: (u64, u64)) -> bool {
        let mut gap = self.gap();
        gap.reach(to);
        let grew = gap.to.0 > gap.acknowledged_to.0 || gap.to.1 > gap.acknowledged_to.1;
        let news = grew && !gap.is_open;
        gap.is_open |= grew;
        news
    }

    /// A gap of before the start that nobody has acknowledged.
    pub fn recall_gap(&self) {
        self.gap().is_open = true;
    }

    /// A gap of before the start that a person knows of.
    pub fn recall_acknowledged(&self, to: (u64, u64)) {
        let mut gap = self.gap();
        gap.reach(to);
        gap.acknowledged_to = gap.to;
    }

    fn gap(&self) -> MutexGuard<'_, Gap> {
        self.gap.lock().unwrap_or_else(PoisonError::into_inner)
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
