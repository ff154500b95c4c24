//! Repeats: messages by the packets that brought them, events by the device's identity ring and the
//! feed's kind of identity.

use super::Sequencer;
use crate::journal::feed_state::{FeedState, quantity_bit};
use crate::journal::identity::{Known, Ring, Said};
use crate::model::definition::Identity;
use crate::model::{Batch, Brought, DeviceId, Event, QuantityId, Reading, Submission, Timestamp};

impl Sequencer {
    /// Whether the session brought this message before, and says so; if not, the packet identifier is
    /// this message's from here on.
    pub(super) fn is_brought_again(&mut self, message: &Submission) -> bool {
        let Some(Brought { packet, again }) = message.brought.filter(|_| !message.repeated) else {
            return false;
        };
        if again && self.packets.holds(&packet) {
            return true;
        }
        if self.packets.is_news(&packet) {
            self.packets.take(&packet);
            self.batch.packets.push(packet);
        }
        false
    }
}

fn ring_time(identity: Identity, event_at: Timestamp, counter: Option<u64>) -> (Timestamp, Option<u64>) {
    match (identity, counter) {
        (Identity::Sequence, Some(counter)) => (Timestamp(counter as i64), None),
        _ => (event_at, counter),
    }
}

/// An event of a feed as its rings are asked.
pub(super) fn said(
    feed: &mut FeedState,
    identity: Identity,
    event_at: Timestamp,
    counter: Option<u64>,
    readings: &[Reading],
) -> Said {
    let (time, counter) = ring_time(identity, event_at, counter);
    let mut near = 0;
    Said::new(time, counter, readings.iter().map(|reading| (reading, feed.bit(reading.quantity, &mut near))))
}

pub(super) fn look(feed: &FeedState, ring: &Ring, device: DeviceId, said: &Said) -> Known {
    ring.look(said, device.0, &feed.recent)
}

pub(super) fn remember(feed: &mut FeedState, ring: &mut Ring, device: DeviceId, said: &Said) {
    if let Some(forgotten) = ring.remember(said) {
        feed.recent.add(device.0, forgotten);
    }
}

/// What a ring remembers of a journalled event, by the bits of its feed's quantities.
pub(in crate::journal) fn seen(
    quantities: &[QuantityId],
    identity: Identity,
    batch: &Batch,
    event: &Event,
) -> Said {
    let (time, counter) = ring_time(identity, event.event_at, event.counter);
    let readings = batch.readings_of(event).iter();
    let parts = readings.map(|reading| (reading, quantity_bit(quantities, reading.quantity)));
    Said::new(time, counter, parts)
}
