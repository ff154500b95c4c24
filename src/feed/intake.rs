//! One connection's way from a topic and a payload to a submission.
//!
//! Topics are looked up once and remembered (a device says thousands of messages on one topic), so
//! the usual message costs one hash lookup and no allocation for its topic.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use tokio::sync::watch;

use crate::model::{Ack, Arrival, Brought, Decoded, Reason, Rejected, Submission};

use super::Clock;
use super::route::{Route, Routes};

/// The most topics one connection remembers.
const TOPICS_REMEMBERED_MAX: usize = 256;

/// Turns messages of one connection into submissions.
pub(super) struct Intake {
    routes: watch::Receiver<Arc<Routes>>,
    current: Arc<Routes>,
    remembered: HashMap<Arc<str>, Option<Arc<Route>>>,
    clock: Clock,
    payload_bytes_max: usize,
}

/// A message's topic and the feed it belongs to.
pub(super) struct Placed {
    topic: Arc<str>,
    /// The feed.
    pub(super) route: Arc<Route>,
}

impl Intake {
    /// An intake that follows `routes`; larger payloads than `payload_bytes_max` are quarantined
    /// unread.
    pub(super) fn new(
        mut routes: watch::Receiver<Arc<Routes>>,
        clock: Clock,
        payload_bytes_max: usize,
    ) -> Self {
        let current = Arc::clone(&routes.borrow_and_update());
        Self { routes, current, remembered: HashMap::new(), clock, payload_bytes_max }
    }

    /// Follows a change of the routes; called before each batch.
    pub(super) fn refresh(&mut self) {
        if self.routes.has_changed().unwrap_or(false) {
            self.current = Arc::clone(&self.routes.borrow_and_update());
            self.remembered.clear();
        }
    }

    /// The feed a topic belongs to; `None` if no feed takes it.
    pub(super) fn place(&mut self, topic: &str) -> Option<Placed> {
        if let Some((topic, route)) = self.remembered.get_key_value(topic) {
            return route.as_ref().map(|route| Placed { topic: Arc::clone(topic), route: Arc::clone(route) });
        }
        let topic: Arc<str> = topic.into();
        let route = self.current.find(&topic).map(Arc::clone);
        if self.remembered.len() >= TOPICS_REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.insert(Arc::clone(&topic), route.clone());
        route.map(|route| Placed { topic, route })
    }

    /// A message as the sequencer takes it; one that the connection knows for a redelivery is not decoded
    /// again.
    pub(super) fn submission(
        &self,
        placed: Placed,
        payload: Bytes,
        (repeated, brought): (bool, Option<Brought>),
        ack: Option<Ack>,
    ) -> Submission {
        let Placed { topic, route } = placed;
        let decoded = if repeated {
            Decoded::default()
        } else if payload.len() > self.payload_bytes_max {
            let detail = format!("{} bytes, the most is {}", payload.len(), self.payload_bytes_max);
            Decoded { rejected: vec![Rejected::message(Reason::TooLarge, detail)], ..Decoded::default() }
        } else {
            let arrival =
                Arrival { topic: Arc::clone(&topic), payload: payload.clone(), arrived_at: (self.clock)() };
            route.decode.decode(&arrival)
        };
        let feed = Arc::clone(&route.feed);
        Submission { feed, topic, payload, arrived_at: None, decoded, repeated, brought, ack }
    }
}
