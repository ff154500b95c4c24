//! The sequencer: decides what each message becomes, in one order. Pure but for its arguments; the
//! thread that owns it is [`super::writer`]'s.
//!
//! Its whole state is a fold of the journal's batches ([`Sequencer::recover`]), so that a restart
//! knows every name, identity and watermark that was durable. A snapshot ([`super::snapshot`]) spares
//! folding what lies before it; identity rings are then read from it as devices come back.

mod fold;
mod naming;
mod recognise;
mod restore;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

pub(super) use self::recognise::seen;
use self::recognise::{look, remember};
use super::feed_state::FeedState;
use super::identity::{Known, Ring};
use super::log::LogError;
use super::snapshot::Past;
use crate::model::definition::Identity;
use crate::model::record::PAYLOAD_KEPT_BYTES_MAX;
use crate::model::time::SECOND;
use crate::model::{
    Accounts, Ack, Batch, Control, DecodedEvent, DeviceAccounts, DeviceId, Dictionary, Event, FeedAccounts,
    FeedId, Reading, Reason, Record, Refusal, Rejected, Span, Submission, TagSetId, Timestamp,
};

/// Records that a batch holds at most.
pub const BATCH_RECORDS_MAX: usize = 1_024;
/// Tag sets in the dictionary at most; events with further ones are refused and counted.
const TAG_SETS_MAX: usize = 250_000;
/// Quantities in the dictionary at most.
const QUANTITIES_MAX: usize = 10_000;
/// Refusal records that one message can lead to.
const REFUSALS_PER_MESSAGE_MAX: usize = 8;
const HOUR: i64 = 3_600 * SECOND;

/// The dictionary as the sequencer shares it with readers: ids are never reused, so a reader may
/// look up older records in a newer dictionary.
pub type SharedDictionary = Arc<RwLock<Dictionary>>;

/// A batch ready to be appended, and whom to tell once it is.
pub struct Finished {
    /// The batch.
    pub batch: Batch,
    /// Gates of the messages that led to it.
    pub acks: Vec<Ack>,
}

/// See the module.
pub struct Sequencer {
    dictionary: SharedDictionary,
    feeds: Vec<FeedState>,
    rings: Vec<Ring>,
    /// In the order of their names, so that equal runs remove pipelines in the same order.
    definitions: BTreeMap<String, Arc<Control>>,
    /// Rings that a snapshot holds and no message has needed yet.
    past: Option<Past>,
    fault: Option<LogError>,
    /// What became of devices' events that are not records, since the batch began.
    devices: BTreeMap<DeviceId, Accounts>,
    next: u64,
    arrived_at: Timestamp,
    ticked: Option<Timestamp>,
    batch: Batch,
    acks: Vec<Ack>,
    finished: Vec<Finished>,
}

impl Default for Sequencer {
    fn default() -> Self {
        Self {
            dictionary: SharedDictionary::default(),
            feeds: Vec::new(),
            rings: Vec::new(),
            definitions: BTreeMap::new(),
            past: None,
            fault: None,
            devices: BTreeMap::new(),
            next: 0,
            arrived_at: Timestamp::MIN,
            ticked: None,
            batch: Batch::default(),
            acks: Vec::new(),
            finished: Vec::new(),
        }
    }
}

impl Sequencer {
    /// The names known so far, shared with every reader.
    #[must_use]
    pub fn dictionary(&self) -> SharedDictionary {
        self.dictionary.clone()
    }

    /// Arrival time of the last record.
    #[must_use]
    pub fn last_arrival(&self) -> Timestamp {
        self.arrived_at
    }

    /// Sequence of the next record.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Journals the controls that differ from what is in force; pipelines that are no longer named
    /// are removed.
    pub fn configure(&mut self, controls: Vec<Control>, now: Timestamp) {
        self.pass(now);
        let named: Vec<Option<String>> = controls.iter().map(control_name).collect();
        let gone: Vec<Control> = self
            .definitions
            .iter()
            .filter(|(name, control)| {
                matches!(***control, Control::Pipeline { .. }) && !named.contains(&Some((*name).clone()))
            })
            .filter_map(|(_, control)| match &**control {
                Control::Pipeline { pipeline } => {
                    Some(Control::PipelineRemoved { name: pipeline.name.clone() })
                }
                _ => None,
            })
            .collect();
        for control in gone.into_iter().chain(controls) {
            self.configure_one(control);
        }
    }

    fn configure_one(&mut self, control: Control) {
        let in_force = control_name(&control)
            .is_some_and(|name| self.definitions.get(&name).is_some_and(|known| **known == control));
        if in_force {
            return;
        }
        if let Control::Feed { feed } = &control {
            self.feed_id(&Arc::from(feed.name.as_str()));
        }
        let control = Arc::new(control);
        self.define(&control);
        self.push(Record::Control(control));
    }

    /// Journals that the windows of a range are to be computed again.
    pub fn recompute(&mut self, from: Timestamp, to: Timestamp, now: Timestamp) {
        self.pass(now);
        self.push(Record::Control(Arc::new(Control::Recompute { from, to })));
    }

    /// A feed got or lost its connection.
    pub fn connected(&mut self, feed: &Arc<str>, up: bool, now: Timestamp) {
        self.pass(now);
        let id = self.feed_id(feed);
        let at = self.arrived_at;
        if let Some(state) = self.feeds.get_mut(id.index()) {
            state.connected(up, at);
        }
    }

    /// Lets the arrival clock reach `now`: journals the ticks on the way.
    pub fn pass(&mut self, now: Timestamp) {
        let now = now.max(self.arrived_at);
        if now == Timestamp::MIN {
            // Nothing has arrived yet, and a file will bring the first arrival time.
            return;
        }
        self.arrived_at = now;
        if now.0.div_euclid(HOUR) != self.batch.arrived_at.0.div_euclid(HOUR)
            || self.batch.records.len() >= BATCH_RECORDS_MAX
        {
            self.cut();
        }
        let to = Timestamp(now.0 - now.0.rem_euclid(SECOND));
        let from = self.ticked.map_or(to, |ticked| ticked.plus(Span(SECOND)));
        if from > to {
            return;
        }
        self.ticked = Some(to);
        let observed: Arc<[FeedId]> = (0_u16..)
            .zip(&mut self.feeds)
            .filter_map(|(id, feed)| feed.observed(to).then_some(FeedId(id)))
            .collect();
        if let Some(Record::Tick { to: last, observed: same, .. }) = self.batch.records.last_mut()
            && *same == observed
        {
            *last = to;
            return;
        }
        self.push(Record::Tick { from, to, observed });
    }

    /// Decides what one message becomes.
    pub fn accept(&mut self, message: Submission, now: Timestamp) {
        self.pass(message.arrived_at.unwrap_or(now));
        let id = self.feed_id(&message.feed);
        if message.arrived_at.is_some() {
            self.with_feed(id, FeedState::replayed);
        }
        let at = self.arrived_at;
        let carried = message.decoded.events.iter().find_map(|event| event.event_at);
        self.with_feed(id, |feed| feed.message(carried, at));
        self.count_message(id, &message);
        if !message.repeated {
            for rejected in message.decoded.rejected.iter().take(REFUSALS_PER_MESSAGE_MAX) {
                self.refuse(id, &message, rejected);
            }
            for event in &message.decoded.events {
                self.event(id, &message, event);
            }
        }
        self.acks.extend(message.ack);
    }

    fn count_message(&mut self, id: FeedId, message: &Submission) {
        let decoded = &message.decoded;
        let rejected_readings = decoded.rejected.iter().filter(|rejected| rejected.reading).count() as u64;
        self.with_feed(id, |feed| {
            let delta = &mut feed.delta;
            delta.messages_received += 1;
            if message.repeated {
                delta.messages_repeated += 1;
                return;
            }
            delta.readings_rejected += rejected_readings;
            match (decoded.events.is_empty(), decoded.rejected.is_empty()) {
                (true, true) if decoded.ignored.is_some() => delta.messages_ignored += 1,
                (true, _) => delta.messages_quarantined += 1,
                (false, true) => delta.messages_decoded += 1,
                (false, false) => delta.messages_partly_decoded += 1,
            }
        });
    }

    fn event(&mut self, id: FeedId, message: &Submission, found: &DecodedEvent) {
        let arrived_at = self.arrived_at;
        let count = found.readings.len() as u64;
        let max_skew = self.definition(id, |definition| definition.max_skew).unwrap_or(Span::seconds(300));
        let event_at = found.event_at.unwrap_or(arrived_at);
        self.with_feed(id, |feed| {
            feed.delta.events_found += 1;
            feed.delta.readings_found += count;
        });
        if event_at > arrived_at.plus(max_skew) {
            let ahead = Span(event_at.since(arrived_at).0 / SECOND * SECOND);
            let detail = format!(
                "the device's clock is {ahead} ahead: it says {event_at}; set the clock of {}",
                found.sensor
            );
            let delta =
                Accounts { events_quarantined: 1, readings_quarantined: count, ..Accounts::default() };
            self.with_feed(id, |feed| feed.delta.add(&delta));
            let known = read(&self.dictionary).device_id(id, &found.sensor);
            if let Some(device) = known {
                self.not_stored(device, &Accounts { events_found: 1, readings_found: count, ..delta });
            }
            self.refuse(id, message, &Rejected::message(Reason::FutureTime, detail));
            return;
        }
        let Some((device, tags, readings)) = self.names(id, found) else {
            self.with_feed(id, |feed| {
                feed.delta.events_refused += 1;
                feed.delta.readings_refused += count;
            });
            let detail = format!(
                "{} would be one name more than this feed may use; raise devices_max or mend the device",
                found.sensor
            );
            self.refuse(id, message, &Rejected::message(Reason::OverQuota, detail));
            return;
        };
        self.identified(id, message, found, Named { device, tags, event_at, readings });
    }

    fn identified(&mut self, id: FeedId, message: &Submission, found: &DecodedEvent, mut named: Named) {
        let identity = self.definition(id, |definition| definition.identity).unwrap_or_default();
        let by_ring = identity == Identity::Sequence && found.counter.is_some()
            || identity == Identity::Time && found.event_at.is_some();
        if by_ring && !self.recall(named.device) {
            return;
        }
        let (Some(feed), Some(ring)) =
            (self.feeds.get_mut(id.index()), self.rings.get_mut(named.device.index()))
        else {
            return;
        };
        let count = named.readings.len() as u64;
        let known = if by_ring {
            look(feed, ring, identity, named.event_at, found.counter, &named.readings)
        } else {
            Known::New
        };
        let found_all = Accounts { events_found: 1, readings_found: count, ..Accounts::default() };
        match known {
            Known::Duplicate => {
                let delta =
                    Accounts { events_duplicate: 1, readings_duplicate: count, ..Accounts::default() };
                feed.delta.add(&delta);
                self.not_stored(named.device, &sum(found_all, delta));
                return;
            }
            Known::Conflict => {
                let delta =
                    Accounts { events_conflicting: 1, readings_conflicting: count, ..Accounts::default() };
                feed.delta.add(&delta);
                self.not_stored(named.device, &sum(found_all, delta));
                let detail = format!(
                    "{} already said something else for {}; the first stays",
                    found.sensor, named.event_at
                );
                self.refuse(id, message, &Rejected::message(Reason::Conflict, detail));
                return;
            }
            Known::Partly { fresh } => {
                named.readings.retain(|reading| feed.bit(reading.quantity) & fresh != 0);
                let known = count - named.readings.len() as u64;
                feed.delta.readings_duplicate += known;
                let delta =
                    Accounts { readings_found: known, readings_duplicate: known, ..Accounts::default() };
                self.devices.entry(named.device).or_default().add(&delta);
            }
            Known::New => {}
        }
        if by_ring {
            remember(feed, ring, identity, named.event_at, found.counter, &named.readings);
        }
        feed.delta.events_stored += 1;
        feed.delta.readings_stored += named.readings.len() as u64;
        let step = feed.saw(named.event_at, self.arrived_at);
        self.store(id, found.counter, &named);
        if let Some(watermark) = step {
            self.push(Record::Step { feed: id, watermark });
        }
    }

    /// A known device's event, or part of it, that does not become a record.
    fn not_stored(&mut self, device: DeviceId, delta: &Accounts) {
        self.devices.entry(device).or_default().add(delta);
    }

    fn store(&mut self, feed: FeedId, counter: Option<u64>, named: &Named) {
        self.begin();
        let start = self.batch.readings.len() as u32;
        self.batch.readings.extend_from_slice(&named.readings);
        let event = Event {
            feed,
            device: named.device,
            tags: named.tags,
            event_at: named.event_at,
            arrived_at: self.arrived_at,
            counter,
            readings: start..self.batch.readings.len() as u32,
        };
        self.push(Record::Event(event));
    }

    fn refuse(&mut self, feed: FeedId, message: &Submission, rejected: &Rejected) {
        let kept = message.payload.slice(..message.payload.len().min(PAYLOAD_KEPT_BYTES_MAX));
        self.push(Record::Refusal(Box::new(Refusal {
            feed,
            arrived_at: self.arrived_at,
            reason: rejected.reason,
            detail: rejected.detail.clone(),
            topic: message.topic.clone(),
            payload: kept,
            payload_bytes: message.payload.len() as u64,
        })));
    }

    fn push(&mut self, record: Record) {
        self.begin();
        self.batch.records.push(record);
        self.next += 1;
    }

    fn begin(&mut self) {
        if self.batch.records.is_empty() {
            self.batch.first = self.next;
            self.batch.arrived_at = self.arrived_at;
        }
    }

    /// Ends the batch that is being built, if anything is in it.
    fn cut(&mut self) {
        self.begin();
        for (id, feed) in (0_u16..).zip(&mut self.feeds) {
            if feed.delta != Accounts::default() {
                self.batch
                    .accounts
                    .push(FeedAccounts { feed: FeedId(id), delta: std::mem::take(&mut feed.delta) });
            }
        }
        let devices = std::mem::take(&mut self.devices).into_iter();
        self.batch.devices.extend(devices.map(|(device, delta)| DeviceAccounts { device, delta }));
        if !self.batch.records.is_empty() || !self.batch.accounts.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.finished.push(Finished { batch, acks: std::mem::take(&mut self.acks) });
        }
        self.batch.first = self.next;
        self.batch.arrived_at = self.arrived_at;
    }

    /// The batches to append, with everything accepted so far in them.
    pub fn take(&mut self) -> Vec<Finished> {
        self.cut();
        std::mem::take(&mut self.finished)
    }

    fn with_feed(&mut self, id: FeedId, change: impl FnOnce(&mut FeedState)) {
        if let Some(feed) = self.feeds.get_mut(id.index()) {
            change(feed);
        }
    }

    fn definition<T>(
        &self,
        id: FeedId,
        read: impl FnOnce(&crate::model::definition::FeedDefinition) -> T,
    ) -> Option<T> {
        self.feeds.get(id.index())?.definition.as_deref().map(read)
    }
}

/// An event whose names have ids.
struct Named {
    device: DeviceId,
    tags: TagSetId,
    event_at: Timestamp,
    readings: Vec<Reading>,
}

fn sum(mut left: Accounts, right: Accounts) -> Accounts {
    left.add(&right);
    left
}

fn control_name(control: &Control) -> Option<String> {
    match control {
        Control::Feed { feed } => Some(format!("feed {}", feed.name)),
        Control::Pipeline { pipeline } => Some(format!("pipeline {}", pipeline.name)),
        Control::PipelineRemoved { name } => Some(format!("pipeline {name}")),
        Control::Recompute { .. } => None,
    }
}

fn read(dictionary: &SharedDictionary) -> std::sync::RwLockReadGuard<'_, Dictionary> {
    dictionary.read().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "sequencer_tests.rs"]
mod tests;
