//! Who still needs which part of the two logs: checkpoint, snapshot and the cursors of sinks.
//!
//! Positions are those that are committed and synced: what a holder would go on from after a loss of
//! power now.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Everyone who holds back collection.
#[derive(Debug)]
pub struct Holders {
    /// The flow's oldest checkpoint that may be loaded. At 0 until there is one: nothing goes.
    pub checkpoint: Arc<Holder>,
    /// The sequencer's oldest snapshot that may be loaded. At 0 until there is one: nothing goes.
    pub snapshot: Arc<Holder>,
    sinks: Mutex<Vec<Arc<Holder>>>,
}

impl Default for Holders {
    fn default() -> Self {
        Self {
            checkpoint: Arc::new(Holder::new("checkpoint", 0, 0)),
            // It knows nothing of results.
            snapshot: Arc::new(Holder::new("snapshot", 0, u64::MAX)),
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

    /// All sinks.
    #[must_use]
    pub fn sinks(&self) -> Vec<Arc<Holder>> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
