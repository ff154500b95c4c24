//! What a replay came to, as one JSON line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::ServiceError;
use super::readers::Sink;
use crate::model::{Accounts, Batch, Dictionary, ResultRow};

/// The statistics of one replay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Statistics {
    /// Messages read.
    pub messages: u64,
    /// Events stored.
    pub events: u64,
    /// From the first line read to the last row stored.
    pub seconds: f64,
    /// Events stored a second.
    pub events_per_second: f64,
    /// Window revisions published.
    pub windows: u64,
    /// Alert transitions published.
    pub transitions: u64,
    /// Events that amended a closed window, once for each window plan.
    pub late: u64,
    /// Events that came after a window was sealed, once for each window plan.
    pub too_late: u64,
    /// Events that met a pipeline's `exclude`.
    pub excluded: u64,
    /// Messages and events in quarantine.
    pub quarantined: u64,
    /// Events known already.
    pub duplicates: u64,
    /// Events known with another value.
    pub conflicting: u64,
    /// The most memory the process held.
    pub peak_rss_bytes: u64,
}

/// Counts what passes by on its way to another sink.
pub struct Counting<S> {
    /// The other sink.
    pub inner: S,
    /// What was counted.
    pub counted: Arc<Mutex<Counted>>,
}

/// What [`Counting`] counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Sums over all feeds.
    pub accounts: Accounts,
    /// Window revisions.
    pub windows: u64,
    /// Alert transitions.
    pub transitions: u64,
}

impl<S: Sink> Sink for Counting<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn batch(&mut self, epoch: u64, batch: &Batch, dictionary: &Dictionary) -> Result<(), ServiceError> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        batch.accounts.iter().for_each(|accounts| counted.accounts.add(&accounts.delta));
        drop(counted);
        self.inner.batch(epoch, batch, dictionary)
    }

    fn rows(&mut self, frame: u64, rows: &[ResultRow]) -> Result<(), ServiceError> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            match row {
                ResultRow::Aggregate(_) => counted.windows += 1,
                ResultRow::Transition(_) => counted.transitions += 1,
                ResultRow::Plan(..) | ResultRow::Retraction(_) => {}
            }
        }
        drop(counted);
        self.inner.rows(frame, rows)
    }

    fn rest(&mut self) -> Result<(), ServiceError> {
        self.inner.rest()
    }

    fn committed(&self, next: (u64, u64)) -> Option<(u64, u64)> {
        self.inner.committed(next)
    }

    fn is_away(&self) -> bool {
        self.inner.is_away()
    }

    fn gathers(&self) -> Duration {
        self.inner.gathers()
    }

    fn end(&mut self) -> Result<(), ServiceError> {
        self.inner.end()
    }
}

/// A sink that keeps nothing, for a binary or a configuration without a store.
pub struct Nothing;

impl Sink for Nothing {
    fn name(&self) -> &'static str {
        "statistics"
    }
}

/// The most memory this process held, in bytes; 0 where the system does not say.
#[must_use]
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}
