//! The hub of the live stream: one bounded queue that all streams read.
//!
//! Events are written once as JSON and shared. A stream that falls a whole queue behind is told
//! so and ended; nothing waits for it. Readings have a budget a second, so that a city of a
//! hundred thousand sensors does not drown a browser.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;
use tokio::sync::{Semaphore, broadcast};

use super::sensor_table::SensorTable;
use crate::model::DeviceId;
use crate::notify::AlertChange;

/// Events that wait for the slowest stream.
pub(crate) const QUEUE_EVENTS: usize = 8_192;
/// Readings sent in one second over all sensors; further ones are left out.
const READINGS_PER_SECOND_MAX: u32 = 2_000;
/// Streams open at once.
pub(crate) const STREAMS_MAX: usize = 256;

/// One event of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveEvent {
    /// `reading`, `alert` or `status`.
    pub(crate) kind: &'static str,
    /// Change number of an alert.
    pub(crate) id: Option<u64>,
    /// JSON.
    pub(crate) data: Arc<str>,
}

impl LiveEvent {
    /// The kind that ends every stream; it is not sent itself.
    pub(crate) const CLOSE: &'static str = "close";

    pub(crate) fn new(kind: &'static str, id: Option<u64>, body: &impl Serialize) -> Option<Self> {
        let data = serde_json::to_string(body).ok()?.into();
        Some(Self { kind, id, data })
    }

    pub(crate) fn alert(change: &AlertChange) -> Option<Self> {
        Self::new("alert", Some(change.change), &change.alert)
    }
}

/// The hub.
#[derive(Debug)]
pub(crate) struct Hub {
    sender: broadcast::Sender<LiveEvent>,
    /// A permit a stream.
    pub(crate) places: Arc<Semaphore>,
    /// Readings that may still be sent in this second.
    budget: AtomicU32,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(QUEUE_EVENTS),
            places: Arc::new(Semaphore::new(STREAMS_MAX)),
            budget: AtomicU32::new(READINGS_PER_SECOND_MAX),
        }
    }
}

impl Hub {
    /// Everything sent from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<LiveEvent> {
        self.sender.subscribe()
    }

    /// Whether anybody listens.
    pub(crate) fn is_watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Hands events to all streams; without streams they are gone.
    pub(crate) fn send(&self, events: Vec<LiveEvent>) {
        for event in events {
            if self.sender.send(event).is_err() {
                return;
            }
        }
    }

    /// Ends every stream: the service stops.
    pub(crate) fn close(&self) {
        self.places.close();
        self.send(vec![LiveEvent { kind: LiveEvent::CLOSE, id: None, data: Arc::from("") }]);
    }

    /// A new second begins.
    pub(super) fn refill(&self) {
        self.budget.store(READINGS_PER_SECOND_MAX, Ordering::Relaxed);
    }

    pub(super) fn reading_events(&self, sensors: &SensorTable, due: &[DeviceId]) -> Vec<LiveEvent> {
        let wanted = u32::try_from(due.len()).unwrap_or(u32::MAX);
        let take = |left: u32| Some(left - wanted.min(left));
        let left = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_default();
        let live = due.iter().take(left as usize).filter_map(|device| sensors.live(*device));
        live.filter_map(|readings| LiveEvent::new("reading", None, &readings)).collect()
    }

    pub(super) fn alert_events(&self, changes: &[AlertChange]) -> Vec<LiveEvent> {
        if !self.is_watched() {
            return Vec::new();
        }
        changes.iter().filter_map(LiveEvent::alert).collect()
    }
}
