//! What the rings of a feed forgot last, in that order: repeats that reach further back than a ring.
//!
//! A broker sends again what it had in flight when a session was lost, up to 65,535 messages (the packet
//! identifiers of MQTT): each of them is in its device's ring or among the last 65,536 that rings of the
//! feed forgot, for every event makes a ring forget one at most. Full, it holds about 8 MB of
//! events of one quantity, and 26 MB of events of 64.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::Held;
use crate::model::Timestamp;

/// Events remembered behind the rings of a feed.
pub const RECENT_EVENTS_MAX: usize = 65_536;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// The oldest first; positions count from the feed's first.
    events: VecDeque<Event>,
    /// Position of the oldest.
    first: u64,
    /// Position of the latest of each device and time.
    latest: HashMap<(u32, i64), u64>,
}

#[derive(Clone, Debug)]
struct Event {
    device: u32,
    held: Held,
    /// Position of the one before of the same device and time.
    before: Option<u64>,
}

impl Recent {
    /// Remembers what the ring of `device` forgot.
    pub fn add(&mut self, device: u32, held: Held) {
        if self.events.len() >= RECENT_EVENTS_MAX
            && let Some(oldest) = self.events.pop_front()
        {
            let key = (oldest.device, oldest.held.seen.time.0);
            if self.latest.get(&key) == Some(&self.first) {
                self.latest.remove(&key);
            }
            self.first += 1;
        }
        let position = self.first + self.events.len() as u64;
        let before = self.latest.insert((device, held.seen.time.0), position);
        self.events.push_back(Event { device, held, before });
    }

    /// What is remembered of a device at a time (or by its number), the latest first.
    pub fn of(&self, device: u32, time: Timestamp) -> impl Iterator<Item = &Held> {
        let mut at = self.latest.get(&(device, time.0)).copied();
        std::iter::from_fn(move || {
            let index = usize::try_from(at?.checked_sub(self.first)?).ok()?;
            let event = self.events.get(index)?;
            at = event.before;
            Some(&event.held)
        })
    }

    /// Everything remembered with its device, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Held)> {
        self.events.iter().map(|event| (event.device, &event.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::identity::Seen;

    fn held(time: i64, values: u32) -> Held {
        let seen = Seen { time: Timestamp(time), counter: 0, values, quantities: 1 };
        Held { seen, prints: [].into() }
    }

    fn values(recent: &Recent, device: u32, time: i64) -> Vec<u32> {
        recent.of(device, Timestamp(time)).map(|held| held.seen.values).collect()
    }

    #[test]
    fn the_last_of_a_feed_are_known_and_earlier_ones_forgotten() {
        let mut recent = Recent::default();
        for n in 0..RECENT_EVENTS_MAX as i64 + 10 {
            recent.add(1, held(n / 4, n as u32));
        }
        assert_eq!(values(&recent, 1, 0), Vec::<u32>::new());
        assert_eq!(values(&recent, 1, 2), [11, 10], "two of four are forgotten");
        assert_eq!(values(&recent, 1, 3), [15, 14, 13, 12]);
        assert_eq!(values(&recent, 2, 3), Vec::<u32>::new());
        assert_eq!(
            (recent.events.len(), recent.latest.len()),
            (RECENT_EVENTS_MAX, RECENT_EVENTS_MAX / 4 + 1)
        );
        assert_eq!(recent.iter().next(), Some((1, &held(2, 10))));
    }
}
