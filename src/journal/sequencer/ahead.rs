//! Messages in their order, with what is known of their devices looked at before their turn.
//!
//! Devices come in any order, so that hardly anything of one lies in a cache when its message comes, and
//! one thing leads to the next: the hash of a name to a device, the device to its ring, the ring to its
//! last event. Asked one after the other, each of them takes as long as a hundred additions; asked for
//! many messages at once, memory answers together. Nothing is decided here.

use std::hint::black_box;

use super::{Sequencer, read};
use crate::model::{DeviceId, Submission, TagSetId, Timestamp};

/// Messages whose devices are looked at together.
const AHEAD: usize = 64;

impl Sequencer {
    /// Decides what messages become, one after the other. They go together at the end: letting go of one
    /// waits until everything that was written before is.
    pub fn accept(&mut self, mut messages: Vec<Submission>, now: Timestamp) {
        for next in messages.chunks_mut(AHEAD) {
            let known = self.look_ahead(next);
            next.iter_mut().zip(known).for_each(|(message, first)| self.decide(message, first, now));
        }
    }

    /// The device of each message's first event, where it has an id.
    fn look_ahead(&self, messages: &[Submission]) -> [Option<DeviceId>; AHEAD] {
        let dictionary = read(&self.dictionary);
        let mut known = [None; AHEAD];
        for (known, message) in known.iter_mut().zip(messages) {
            let feed = self.known_feed(&message.feed).or_else(|| dictionary.feed_id(&message.feed));
            let first = message.decoded.events.iter().next();
            *known = feed.zip(first).and_then(|(feed, first)| dictionary.device_id(feed, &first.sensor));
        }
        let devices = || known.iter().flatten();
        let tagged = devices().filter_map(|device| self.tagged.get(device.index()));
        black_box(tagged.fold(0, |sum, TagSetId(id)| sum ^ id));
        let rings = || devices().filter_map(|device| self.rings.get(device.index()));
        black_box(rings().fold(0, |sum, ring| sum ^ ring.glance()));
        black_box(rings().fold(0, |sum, ring| sum ^ ring.last_byte()));
        known
    }
}
