//! Repeats, by the device's identity ring and the feed's kind of identity.

use crate::journal::feed_state::{FeedState, quantity_bit};
use crate::journal::identity::{Known, Ring, Seen};
use crate::model::definition::Identity;
use crate::model::{Batch, Event, QuantityId, Reading, Timestamp};

fn ring_time(identity: Identity, event_at: Timestamp, counter: Option<u64>) -> (Timestamp, Option<u64>) {
    match (identity, counter) {
        (Identity::Sequence, Some(counter)) => (Timestamp(counter as i64), None),
        _ => (event_at, counter),
    }
}

pub(super) fn look(
    feed: &mut FeedState,
    ring: &Ring,
    identity: Identity,
    event_at: Timestamp,
    counter: Option<u64>,
    readings: &[Reading],
) -> Known {
    let (time, counter) = ring_time(identity, event_at, counter);
    ring.look(time, counter, readings, bits(feed, readings))
}

pub(super) fn remember(
    feed: &mut FeedState,
    ring: &mut Ring,
    identity: Identity,
    event_at: Timestamp,
    counter: Option<u64>,
    readings: &[Reading],
) {
    let (time, counter) = ring_time(identity, event_at, counter);
    ring.remember(time, counter, readings, bits(feed, readings));
}

/// What a ring remembers of a journalled event, by the bits of its feed's quantities.
pub(in crate::journal) fn seen(
    quantities: &[QuantityId],
    identity: Identity,
    batch: &Batch,
    event: &Event,
) -> Seen {
    let readings = batch.readings_of(event);
    let bits = readings.iter().fold(0, |bits, reading| bits | quantity_bit(quantities, reading.quantity));
    let (time, counter) = ring_time(identity, event.event_at, event.counter);
    Seen::of(time, counter, readings, bits)
}

fn bits(feed: &mut FeedState, readings: &[Reading]) -> u64 {
    readings.iter().fold(0, |bits, reading| bits | feed.bit(reading.quantity))
}
