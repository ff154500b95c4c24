//! The sequencer: decides what each message becomes, in one order. Pure but for its arguments; the
//! thread that owns it is [`super::writer`]'s.
//!
//! Its whole state is a fold of the journal's batches ([`Sequencer::recover`]), so that a restart
//! knows every name, identity and watermark that was durable. A snapshot ([`super::snapshot`]) spares
//! folding what lies before it; identity rings are then read from it as devices come back.

mod accept;
mod ahead;
mod fold;
mod naming;
mod rate;
mod recognise;
mod restore;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

pub(super) use self::recognise::seen;
use super::feed_state::FeedState;
use super::identity::Ring;
use super::log::LogError;
use super::packets::Packets;
use super::quota::{Bucket, Throttled};
use super::snapshot::Past;
use crate::model::time::SECOND;
use crate::model::{
    Accounts, Ack, Batch, Control, DeviceAccounts, DeviceId, Dictionary, Event, FeedAccounts, FeedId,
    Reading, Recompute, Record, Span, StoredEvent, TagSetId, Timestamp,
};

/// Records that a batch holds at most.
pub const BATCH_RECORDS_MAX: usize = 1_024;
/// Tag sets in the dictionary at most; events with further ones are refused and counted.
const TAG_SETS_MAX: usize = 250_000;
/// Quantities in the dictionary at most.
const QUANTITIES_MAX: usize = 10_000;
/// Refusal records that one message can lead to.
const REFUSALS_PER_MESSAGE_MAX: usize = 8;
/// A live sequencer looks at the clock five times a second; a gap longer than this is a pause of Sereno.
const PAUSE: Span = Span::seconds(5);
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
    /// By device: what it has used up of its quota since the start. May be shorter than `rings`.
    buckets: Vec<Bucket>,
    throttled: Arc<Throttled>,
    /// By device: the tags of its last event. May be shorter than `rings`.
    tagged: Vec<TagSetId>,
    /// The feed of the last message.
    last_feed: Option<(Arc<str>, FeedId)>,
    /// The list of the last event's readings, for the next.
    spare: Vec<Reading>,
    /// In the order of their names, so that equal runs remove pipelines in the same order.
    definitions: BTreeMap<String, Arc<Control>>,
    /// Rings that a snapshot holds and no message has needed yet.
    past: Option<Past>,
    fault: Option<LogError>,
    /// What sessions brought last.
    packets: Packets,
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
            buckets: Vec::new(),
            throttled: Arc::default(),
            tagged: Vec::new(),
            last_feed: None,
            spare: Vec::new(),
            definitions: BTreeMap::new(),
            past: None,
            fault: None,
            packets: Packets::default(),
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

    /// Journals how far the host's clock is from what is followed, if that is news.
    pub fn host_clock(&mut self, ahead_seconds: i64, now: Timestamp) {
        let control = Control::HostClock { ahead_seconds };
        let known = control_name(&control).is_some_and(|name| self.definitions.contains_key(&name));
        if known || ahead_seconds != 0 {
            self.resume(now);
            self.pass(now);
            self.configure_one(control);
        }
    }

    /// Journals that the windows of a range are to be computed again.
    pub fn recompute(&mut self, recompute: Recompute, now: Timestamp) {
        self.pass(now);
        self.push(Record::Control(Arc::new(Control::Recompute(recompute))));
    }

    /// Journals copies of events for a recompute: none of them is counted, recognised or watched again.
    pub fn restore(&mut self, events: Vec<StoredEvent>, now: Timestamp) {
        self.pass(now);
        for StoredEvent { sequence, event, readings } in events {
            if self.batch.records.len() >= BATCH_RECORDS_MAX {
                self.cut();
            }
            let start = self.batch.readings.len() as u32;
            self.batch.readings.extend(readings);
            let readings = start..self.batch.readings.len() as u32;
            self.push(Record::Restored { sequence, event: Event { readings, ..event } });
        }
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

    /// Sereno itself is back after a pause, if `now` is far behind the last look at the clock: a suspend,
    /// a full disk, a debugger. What came meanwhile waits in front of it, so that no feed was observed,
    /// and each drains again.
    pub fn resume(&mut self, now: Timestamp) {
        let paused = self.ticked.is_some() && now.since(self.arrived_at) > PAUSE;
        if paused {
            self.feeds.iter_mut().for_each(|feed| feed.drain_again(now));
        }
    }

    /// Lets the arrival clock reach `now`: journals the ticks on the way.
    pub fn pass(&mut self, now: Timestamp) {
        let now = now.max(self.arrived_at);
        if now == Timestamp::MIN {
            // Nothing has arrived yet, and a file will bring the first arrival time.
            return;
        }
        self.throttled.pass(now);
        let hour_over = now.0.div_euclid(HOUR) != self.arrived_at.0.div_euclid(HOUR);
        let full = self.batch.records.len().max(self.batch.packets.len()) >= BATCH_RECORDS_MAX;
        if hour_over || full {
            // Before the clock moves: what was counted belongs to the hour that is over.
            self.cut();
        }
        self.arrived_at = now;
        if self.batch.records.is_empty() {
            self.batch.arrived_at = now;
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

fn control_name(control: &Control) -> Option<String> {
    match control {
        Control::Feed { feed } => Some(format!("feed {}", feed.name)),
        Control::Pipeline { pipeline } => Some(format!("pipeline {}", pipeline.name)),
        Control::PipelineRemoved { name } => Some(format!("pipeline {name}")),
        Control::HostClock { .. } => Some("host clock".to_owned()),
        Control::Recompute(_) => None,
    }
}

fn read(dictionary: &SharedDictionary) -> std::sync::RwLockReadGuard<'_, Dictionary> {
    dictionary.read().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "sequencer_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "rate_tests.rs"]
mod rate_tests;
