//! Repeats, by the device's identity ring and the feed's kind of identity.

use crate::journal::feed_state::FeedState;
use crate::journal::identity::{Known, Ring};
use crate::model::definition::Identity;
use crate::model::{Reading, Timestamp};

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

fn bits(feed: &mut FeedState, readings: &[Reading]) -> u64 {
    readings.iter().fold(0, |bits, reading| bits | feed.bit(reading.quantity))
}
