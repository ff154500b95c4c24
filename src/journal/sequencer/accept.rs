//! What one message becomes: counted, within its quotas or refused, its events named, recognised and
//! stored.

use super::recognise::{look, remember, said};
use super::{REFUSALS_PER_MESSAGE_MAX, Sequencer, read};
use crate::journal::feed_state::FeedState;
use crate::journal::identity::Known;
use crate::model::definition::Identity;
use crate::model::record::PAYLOAD_KEPT_BYTES_MAX;
use crate::model::time::SECOND;
use crate::model::{
    Accounts, Decoded, DecodedEvent, DeviceId, Event, FeedId, Reading, Reason, Record, Refusal, Rejected,
    Span, Submission, TagSetId, Timestamp,
};

impl Sequencer {
    /// Decides what one message becomes, `first` being the device of its first event, if that was known.
    pub(super) fn decide(&mut self, message: &mut Submission, first: Option<DeviceId>, now: Timestamp) {
        self.pass(message.arrived_at.unwrap_or(now));
        let id = self.feed_id(&message.feed);
        if message.arrived_at.is_some() {
            self.with_feed(id, FeedState::replayed);
        }
        if self.is_brought_again(message) {
            (message.repeated, message.decoded) = (true, Decoded::default());
        }
        match self.over_rate(id, message) {
            Some(rejected) => {
                let delta = Accounts { messages_received: 1, messages_refused: 1, ..Accounts::default() };
                self.with_feed(id, |feed| feed.delta.add(&delta));
                self.refuse(id, message, &rejected);
            }
            None => self.take_in(id, message, first),
        }
        self.acks.extend(message.ack.take());
    }

    fn take_in(&mut self, id: FeedId, message: &Submission, mut first: Option<DeviceId>) {
        let at = self.arrived_at;
        let carried = message.decoded.events.iter().find_map(|event| event.event_at);
        self.with_feed(id, |feed| feed.message(carried, at));
        self.count_message(id, message);
        if message.repeated {
            return;
        }
        for rejected in message.decoded.rejected.iter().take(REFUSALS_PER_MESSAGE_MAX) {
            self.refuse(id, message, rejected);
        }
        let mut told = false;
        for event in message.decoded.events.iter() {
            let known = first.take().or_else(|| read(&self.dictionary).device_id(id, &event.sensor));
            match self.device_over_rate(id, message, event, known) {
                Some(rejected) if !told => {
                    // One record for all events of the message: they have one payload.
                    self.refuse(id, message, &rejected);
                    told = true;
                }
                Some(_) => {}
                None => self.event(id, message, event, known),
            }
        }
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

    fn event(&mut self, id: FeedId, message: &Submission, found: &DecodedEvent, known: Option<DeviceId>) {
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
            if let Some(device) = known {
                self.not_stored(device, &Accounts { events_found: 1, readings_found: count, ..delta });
            }
            self.refuse(id, message, &Rejected::message(Reason::FutureTime, detail));
            return;
        }
        let Some((device, tags, readings)) = self.names(id, found, known) else {
            self.with_feed(id, |feed| {
                feed.delta.events_refused += 1;
                feed.delta.readings_refused += count;
            });
            let detail = format!(
                "{} would be one name more than this feed may use; raise devices_max or mend the device",
                found.sensor
            );
            self.refuse(id, message, &Rejected::message(Reason::OverQuota, detail));
            if let Some(ack) = &message.ack {
                ack.gate.overdrawn();
            }
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
        let mut asked = said(feed, identity, named.event_at, found.counter, &named.readings);
        let known = if by_ring { look(feed, ring, named.device, &asked) } else { Known::New };
        let (mut conflicting, none) = (false, Accounts::default());
        let found_all = Accounts { events_found: 1, readings_found: count, ..none };
        match known {
            Known::Duplicate => {
                let delta = Accounts { events_duplicate: 1, readings_duplicate: count, ..none };
                feed.delta.add(&delta);
                self.not_stored(named.device, &sum(found_all, delta));
                return;
            }
            Known::Conflict => {
                let delta = Accounts { events_conflicting: 1, readings_conflicting: count, ..none };
                feed.delta.add(&delta);
                self.not_stored(named.device, &sum(found_all, delta));
                self.refuse(id, message, &conflict(found, named.event_at));
                return;
            }
            Known::Partly { fresh, other } => {
                let mut delta = Accounts::default();
                named.readings.retain(|reading| {
                    let bit = feed.bit(reading.quantity, &mut 0);
                    delta.readings_conflicting += u64::from(bit & other != 0);
                    delta.readings_duplicate += u64::from(bit & (fresh | other) == 0);
                    bit & fresh != 0
                });
                feed.delta.add(&delta);
                asked = said(feed, identity, named.event_at, found.counter, &named.readings);
                delta.readings_found = count - named.readings.len() as u64;
                conflicting = delta.readings_conflicting > 0;
                self.devices.entry(named.device).or_default().add(&delta);
            }
            Known::New => {}
        }
        if by_ring {
            remember(feed, ring, named.device, &asked);
        }
        feed.delta.events_stored += 1;
        feed.delta.readings_stored += named.readings.len() as u64;
        let step = feed.saw(named.event_at, self.arrived_at);
        self.store(id, found.counter, &named);
        self.give_back(named.readings);
        if let Some(watermark) = step {
            self.push(Record::Step { feed: id, watermark });
        }
        if conflicting {
            self.refuse(id, message, &conflict(found, named.event_at));
        }
    }

    /// A known device's event, or part of it, that does not become a record.
    pub(super) fn not_stored(&mut self, device: DeviceId, delta: &Accounts) {
        self.devices.entry(device).or_default().add(delta);
    }

    fn store(&mut self, feed: FeedId, counter: Option<u64>, named: &Named) {
        self.begin();
        let start = self.batch.readings.len() as u32;
        self.batch.readings.extend_from_slice(&named.readings);
        let (end, arrived_at) = (self.batch.readings.len() as u32, self.arrived_at);
        // Made where it stays: moved there, it would wait for every write before it.
        self.batch.records.extend(std::iter::once_with(|| {
            Record::Event(Event {
                feed,
                device: named.device,
                tags: named.tags,
                event_at: named.event_at,
                arrived_at,
                counter,
                readings: start..end,
            })
        }));
        self.next += 1;
    }

    /// Journals a refusal with its payload; once the feed's quarantine has no room, it is only counted.
    pub(super) fn refuse(&mut self, feed: FeedId, message: &Submission, rejected: &Rejected) {
        let kept = message.payload.slice(..message.payload.len().min(PAYLOAD_KEPT_BYTES_MAX));
        let bytes = kept.len() + rejected.detail.len() + message.topic.len();
        // A file is as long as it is, and what it fills is a folder of its own.
        let at = message.arrived_at.is_none().then_some(self.arrived_at);
        if let (Some(at), Some(state)) = (at, self.feeds.get_mut(feed.index()))
            && !state.has_room(bytes, at)
        {
            return;
        }
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
}

/// An event whose names have ids.
struct Named {
    device: DeviceId,
    tags: TagSetId,
    event_at: Timestamp,
    readings: Vec<Reading>,
}

/// The refusal of what a device said otherwise before.
fn conflict(found: &DecodedEvent, event_at: Timestamp) -> Rejected {
    let detail = format!("{} already said something else for {event_at}; the first stays", found.sensor);
    Rejected::message(Reason::Conflict, detail)
}

fn sum(mut left: Accounts, right: Accounts) -> Accounts {
    left.add(&right);
    left
}
