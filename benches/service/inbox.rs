//! What a receiver of alerts took, each with the moment at which it was there.

use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Each body with its moment.
type Taken = Vec<(Instant, Vec<u8>)>;

/// Shared between the receiver and who looks into it.
#[derive(Clone, Default)]
pub struct Inbox(Arc<Mutex<Taken>>);

impl Inbox {
    /// Takes in what came just now.
    pub fn push(&self, body: Vec<u8>) {
        self.0.lock().expect("no thread panicked").push((Instant::now(), body));
    }

    /// How many came.
    pub fn count(&self) -> usize {
        self.0.lock().expect("no thread panicked").len()
    }

    /// What came.
    pub fn take(&self) -> Taken {
        std::mem::take(&mut self.0.lock().expect("no thread panicked"))
    }
}
