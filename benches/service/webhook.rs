//! A webhook receiver: it keeps each request's body and its arrival time.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::http;

/// Requests with the moment their last byte was read.
type Taken = Arc<Mutex<Vec<(Instant, Vec<u8>)>>>;

/// A receiver on a port of its own.
pub struct Webhook {
    /// Its port of 127.0.0.1.
    pub port: u16,
    taken: Taken,
}

impl Webhook {
    /// Starts one; in a runtime.
    pub async fn start() -> Self {
        let taken = Taken::default();
        let shared = taken.clone();
        let take = move |body| shared.lock().expect("no thread panicked").push((Instant::now(), body));
        let port = http::start(take).await;
        Self { port, taken }
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.taken.lock().expect("no thread panicked").len()
    }

    /// What came.
    pub fn take(&self) -> Vec<(Instant, Vec<u8>)> {
        std::mem::take(&mut self.taken.lock().expect("no thread panicked"))
    }
}
