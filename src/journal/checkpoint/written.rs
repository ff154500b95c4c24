//! What is known of the checkpoints that were written: for metrics and the status.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::journal::clock::Clock;

/// One checkpoint that is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latest {
    /// The first epoch that is not in it.
    pub epoch: u64,
    /// The longest time at a stretch in which a worker wrote its state down, and folded nothing.
    pub pause: Duration,
    /// Bytes that it took on disk: what changed, and the bases whose turn it was.
    pub bytes: u64,
    /// Keys in these bytes.
    pub keys: u64,
}

/// Told by the thread that writes, asked by whoever wants to know.
pub struct Written {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    latest: Option<Latest>,
    /// By the monotonic clock, when that was written; before the first when the service began.
    at: i64,
    failed: u64,
}

impl Written {
    /// Nothing was written yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { latest: None, at: clock.monotonic(), failed: 0 };
        Self { clock, state: Mutex::new(state) }
    }

    pub(super) fn tell(&self, latest: Latest) {
        let at = self.clock.monotonic();
        let mut state = self.lock();
        (state.latest, state.at) = (Some(latest), at);
    }

    pub(super) fn failed(&self) {
        self.lock().failed += 1;
    }

    /// The latest since the service began.
    #[must_use]
    pub fn latest(&self) -> Option<Latest> {
        self.lock().latest
    }

    /// How long ago that was; before the first, how long ago the service began.
    #[must_use]
    pub fn age(&self) -> Duration {
        let passed = self.clock.monotonic().saturating_sub(self.lock().at);
        Duration::from_nanos(u64::try_from(passed).unwrap_or_default())
    }

    /// How many could not be written or taken.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.lock().failed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
