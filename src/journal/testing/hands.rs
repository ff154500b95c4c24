//! A clock whose hands a test sets.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::journal::clock::Clock;
use crate::model::Timestamp;

/// Its monotonic time in nanoseconds; the wall clock stands at 0.
#[derive(Default)]
pub struct Hands(pub AtomicI64);

impl Clock for Hands {
    fn wall(&self) -> Timestamp {
        Timestamp(0)
    }
    fn monotonic(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}
