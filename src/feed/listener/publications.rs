//! What Sereno publishes to the listener's subscribers, below `sereno/`: alerts, retained, and live
//! messages.
//!
//! Publishing never waits. Each subscriber has a bounded [`Outbox`](super::outbox::Outbox); one
//! that is full costs its owner the subscription, and nobody else anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rmqtt_codec::types::QoS;

use super::outbox::Parcel;
use super::session::{Session, Subscription};
use crate::feed::counters::{FeedCounters, count};
use crate::feed::route::is_topic;
use crate::feed::{Filter, OWN_TOPICS};

/// What a message costs beside its topic and payload, in bytes, roughly.
const OVERHEAD_BYTES: usize = 100;

/// Bounds of what is published.
#[derive(Clone, Debug)]
pub struct PublicationLimits {
    /// Retained messages.
    pub retained_max: usize,
    /// Their bytes, topics included.
    pub retained_bytes_max: usize,
    /// Messages one subscriber may have waiting; more than are retained, or nobody could subscribe
    /// to all of them.
    pub outbox_messages_max: usize,
    /// Their bytes.
    pub outbox_bytes_max: usize,
}

impl Default for PublicationLimits {
    fn default() -> Self {
        Self {
            retained_max: 5_000,
            retained_bytes_max: 8 * 1_024 * 1_024,
            outbox_messages_max: 10_000,
            outbox_bytes_max: 16 * 1_024 * 1_024,
        }
    }
}

/// Why a message was not published, or not retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicationError {
    /// Only topics below `sereno/` without wildcards are published.
    #[error("only topics below sereno/ are published")]
    Topic,
    /// Subscribers got it; it is not kept for later ones.
    #[error("the table of retained messages is full")]
    RetainedFull,
}

/// A message of Sereno's.
pub(super) struct Publication {
    pub(super) topic: Box<str>,
    pub(super) payload: Bytes,
}

impl Publication {
    /// What it takes up.
    pub(super) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + OVERHEAD_BYTES
    }
}

/// The handle to publish by; clones share subscribers and retained messages.
#[derive(Clone)]
pub struct Publications {
    shared: Arc<Shared>,
}

struct Shared {
    limits: PublicationLimits,
    counters: Arc<FeedCounters>,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    subscribers: Vec<Arc<Session>>,
    retained: BTreeMap<Box<str>, Arc<Publication>>,
    retained_bytes: usize,
}

impl Publications {
    /// No subscribers, nothing retained.
    pub(super) fn new(limits: PublicationLimits, counters: Arc<FeedCounters>) -> Self {
        Self { shared: Arc::new(Shared { limits, counters, tables: Mutex::default() }) }
    }

    /// The bounds kept.
    pub(super) fn limits(&self) -> &PublicationLimits {
        &self.shared.limits
    }

    /// Publishes to those subscribed, and to later ones if `retain`; an empty payload with `retain`
    /// ends the retaining of the topic. Does not wait.
    ///
    /// # Errors
    /// If the topic is not below `sereno/`, or nothing more can be retained.
    pub fn publish(&self, topic: &str, payload: Bytes, retain: bool) -> Result<(), PublicationError> {
        if !topic.starts_with(OWN_TOPICS) || !is_topic(topic) {
            return Err(PublicationError::Topic);
        }
        count(&self.shared.counters.published);
        let publication = Arc::new(Publication { topic: topic.into(), payload });
        let mut tables = self.lock();
        let kept = !retain || self.retain(&mut tables, &publication);
        let counters = &self.shared.counters;
        tables.subscribers.retain(|session| {
            let took = session.offer(&publication);
            if !took {
                count(&counters.subscribers_dropped);
            }
            took
        });
        if kept { Ok(()) } else { Err(PublicationError::RetainedFull) }
    }

    /// Adds a subscription and sends what is retained for it (`retained`, and if it is a new one
    /// where the client asked for that); false if the session has too many.
    pub(super) fn subscribe(
        &self,
        session: &Arc<Session>,
        filter: Filter,
        qos: QoS,
        retained: impl FnOnce(bool) -> bool,
        subscriptions_max: usize,
    ) -> bool {
        let mut tables = self.lock();
        let subscription = Subscription { filter: filter.clone(), assured: qos != QoS::AtMostOnce };
        let assured = subscription.assured;
        let Some(new) = session.subscribe(subscription, subscriptions_max) else { return false };
        if !tables.subscribers.iter().any(|known| Arc::ptr_eq(known, session)) {
            tables.subscribers.push(Arc::clone(session));
        }
        if retained(new) {
            let matching = tables.retained.values().filter(|publication| filter.matches(&publication.topic));
            session.offer_all(matching.map(|publication| Parcel {
                publication: Arc::clone(publication),
                assured,
                retained: true,
                id: None,
                dup: false,
            }));
        }
        true
    }

    /// A session that ended gets nothing more.
    pub(super) fn forget(&self, session: &Arc<Session>) {
        self.lock().subscribers.retain(|known| !Arc::ptr_eq(known, session));
    }

    /// Keeps or ends a retained message; false if there is no room.
    fn retain(&self, tables: &mut Tables, publication: &Arc<Publication>) -> bool {
        let before = tables.retained.remove(&publication.topic);
        tables.retained_bytes -= before.map_or(0, |before| before.bytes());
        if publication.payload.is_empty() {
            return true;
        }
        let limits = &self.shared.limits;
        let full = tables.retained.len() >= limits.retained_max
            || tables.retained_bytes + publication.bytes() > limits.retained_bytes_max;
        if !full {
            tables.retained_bytes += publication.bytes();
            tables.retained.insert(publication.topic.clone(), Arc::clone(publication));
        }
        !full
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.shared.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
