//! What one connection may have on its way to the journal without anybody waiting for its
//! acknowledgement: messages at QoS 0 have no receive maximum, and without a bound one client would
//! fill the sequencer's channel and have every other wait behind it.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::model::Gate;

/// Batches that end at QoS 0 and are not yet journalled, at most.
const UNDER_WAY_MAX: usize = 4;

/// The batches of one connection that are under way; their gate.
#[derive(Debug, Default)]
pub(super) struct Turns {
    under_way: AtomicUsize,
    /// Wakes the connection; one waiter.
    back: Notify,
}

impl Turns {
    /// One more is under way.
    pub(super) fn begin(&self) {
        self.under_way.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether another may go.
    pub(super) fn is_free(&self) -> bool {
        self.under_way.load(Ordering::Acquire) < UNDER_WAY_MAX
    }

    /// Resolves when another may go. Safe to cancel.
    pub(super) async fn freed(&self) {
        while !self.is_free() {
            self.back.notified().await;
        }
    }
}

impl Gate for Turns {
    fn journaled(&self, _: u64, _: u64) -> bool {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        self.back.notify_one();
        false
    }
}
