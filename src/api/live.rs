//! The live view: what the journal says the city is now, kept in memory.
//!
//! It folds journal batches in order: the latest reading of each sensor and quantity, feeds and
//! pipelines as last defined, accounts by feed and hour, the newest refusals, and the rate of
//! events. After a start it is as full as the journal that it was fed; what stood in segments that
//! were removed is recalled ([`LiveView::recall_sensors`]). Every table is bounded: sensors by the
//! dictionary, the others by named limits.
//!
//! It also feeds the live stream: see [`hub`].

mod account_table;
mod feed_table;
pub(super) mod hub;
mod quarantine_ring;
mod rate;
mod recall;
mod sensor_table;

pub use recall::{Recalled, RecalledReading};

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hub::Hub;

use crate::model::definition::PipelineDefinition;
use crate::model::{Batch, Control, Dictionary, Record, Span, Timestamp};
use crate::notify::AlertChange;

use super::accounts::Account;
use super::feeds::Feed;
use super::pipelines::Pipeline;
use super::quarantine::Refused;
use super::sensors::{Sensor, SensorFilter};

/// What happened in the whole journal that was fed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Events per second of arrival, over the last ten seconds.
    pub events_per_second: f64,
    /// Events stored.
    pub events: u64,
    /// Sensors that sent at least one.
    pub sensors: u64,
    /// Messages or parts of messages refused.
    pub quarantined: u64,
    /// How far the host's clock is ahead while it is not followed, in seconds.
    pub host_clock_ahead_seconds: i64,
}

/// The view; shared by the thread that feeds it and the requests that read it.
#[derive(Debug, Default)]
pub struct LiveView {
    view: RwLock<View>,
    hub: Hub,
}

/// What is guarded by the lock.
#[derive(Debug, Default)]
struct View {
    sensors: sensor_table::SensorTable,
    feeds: feed_table::FeedTable,
    pipelines: BTreeMap<String, PipelineDefinition>,
    accounts: account_table::AccountTable,
    quarantine: quarantine_ring::QuarantineRing,
    rate: rate::Rate,
    events: u64,
    host_clock_ahead_seconds: i64,
}

impl LiveView {
    /// An empty view.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Folds in the next batch of the journal. `dictionary` knows at least the names up to the
    /// end of the batch.
    pub fn apply_batch(&self, batch: &Batch, dictionary: &Dictionary) {
        let watched = self.hub.is_watched();
        let mut view = self.write();
        view.fold(batch, dictionary);
        let due = if watched { view.sensors.due(batch.arrived_at) } else { view.sensors.forget_touched() };
        let events = self.hub.reading_events(&view.sensors, &due);
        drop(view);
        self.hub.send(events);
    }

    /// Tells the live stream of alerts that changed, as the ledger returned them.
    pub fn alerts_changed(&self, changes: &[AlertChange]) {
        self.hub.send(self.hub.alert_events(changes));
    }

    /// A feed got or lost its connection and subscription; the journal does not say.
    pub fn set_connected(&self, feed: &str, up: bool) {
        self.write().feeds.set_connected(feed, up);
    }

    /// What happened so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let view = self.read();
        Totals {
            events_per_second: view.rate.per_second(),
            events: view.events,
            sensors: view.sensors.count(),
            quarantined: view.quarantine.pushed(),
            host_clock_ahead_seconds: view.host_clock_ahead_seconds,
        }
    }

    /// Sensors by id, and the id after which the next page begins.
    #[must_use]
    pub fn sensors(&self, filter: &SensorFilter) -> (Vec<Sensor>, Option<u32>) {
        self.read().sensors.page(filter)
    }

    /// How far ahead of the arrival clock an event time may be that any feed takes in.
    #[must_use]
    pub fn max_skew(&self) -> Span {
        self.read().feeds.max_skew()
    }

    /// Feeds by name; `default_source` is where those come from that do not say.
    #[must_use]
    pub fn feeds(&self, default_source: &str) -> Vec<Feed> {
        self.read().feeds.list(default_source)
    }

    /// Pipelines by name.
    #[must_use]
    pub fn pipelines(&self) -> Vec<Pipeline> {
        let view = self.read();
        let unit = |feeds: &[String], quantity: &str| view.feeds.unit(feeds, quantity);
        view.pipelines.values().map(|pipeline| Pipeline::of(pipeline, &unit)).collect()
    }

    /// Accounts, the newest hour first, of one feed and hour or of all.
    #[must_use]
    pub fn accounts(&self, feed: Option<&str>, hour: Option<Timestamp>) -> Vec<Account> {
        self.read().accounts.list(feed, hour)
    }

    /// The newest refusals, the newest first, of one feed or of all.
    #[must_use]
    pub fn quarantine(&self, feed: Option<&str>, limit: usize) -> Vec<Refused> {
        self.read().quarantine.list(feed, limit)
    }

    /// Sends what was held back by thinning; called each second.
    pub(super) fn flush_readings(&self, now: Timestamp) {
        self.hub.refill();
        let mut view = self.write();
        let due = view.sensors.held_back(now);
        let events = self.hub.reading_events(&view.sensors, &due);
        drop(view);
        self.hub.send(events);
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    fn fold(&mut self, batch: &Batch, dictionary: &Dictionary) {
        self.feeds.know(dictionary.feeds());
        for (sequence, record) in batch.iter() {
            match record {
                Record::Event(event) => {
                    self.sensors.take(event, batch.readings_of(event), dictionary);
                    self.feeds.arrived(event.feed, event.arrived_at);
                    self.rate.event(event.arrived_at);
                    self.events += 1;
                }
                Record::Refusal(refusal) => {
                    self.feeds.arrived(refusal.feed, refusal.arrived_at);
                    self.quarantine.push(sequence, refusal, dictionary.feed(refusal.feed));
                }
                Record::Tick { to, observed, .. } => {
                    self.feeds.observe(observed);
                    self.rate.passed(*to);
                }
                Record::Control(control) => self.control(control),
                // Names come with the dictionary; watermarks are the flow's; what is restored is old.
                Record::Entry(_) | Record::Step { .. } | Record::Restored { .. } => {}
            }
        }
        for part in &batch.accounts {
            if let Some(feed) = dictionary.feed(part.feed) {
                self.accounts.add(batch.arrived_at, feed, &part.delta);
            }
        }
    }

    fn control(&mut self, control: &Control) {
        match control {
            Control::Feed { feed } => self.feeds.define(feed),
            Control::Pipeline { pipeline } => {
                self.pipelines.insert(pipeline.name.clone(), (**pipeline).clone());
            }
            Control::PipelineRemoved { name } => {
                self.pipelines.remove(name);
            }
            Control::HostClock { ahead_seconds } => self.host_clock_ahead_seconds = *ahead_seconds,
            // It changes results, not what is defined.
            Control::Recompute(_) => {}
        }
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
