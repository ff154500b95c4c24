//! What tells a repeated event from a new one.

use crate::model::{Reading, Timestamp};

/// Events that a device's identity ring remembers, those that came last. An older repeat counts as new.
pub const RING_EVENTS_MAX: usize = 256;

/// What a device is known to have said: its last events, in the order in which they were taken in.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    /// Once it is full, the next event takes the place of the one at `oldest`.
    seen: Vec<Seen>,
    oldest: u16,
    /// The latest time of all; most events are later, and then nothing has to be looked through.
    latest: Option<Timestamp>,
}

/// What is remembered of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its time, or its number where the device counts.
    pub time: Timestamp,
    /// Its frame counter and one; 0 for none.
    pub counter: u32,
    /// Its values, mixed.
    pub values: u32,
    /// A bit for each of its quantities.
    pub quantities: u64,
}

/// What an event is to the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Not held: take it in.
    New,
    /// Held with the same values.
    Duplicate,
    /// Held with other values for the same quantities.
    Conflict,
    /// Some of its quantities are held, these are not (a bit each).
    Partly {
        /// Bits of the quantities not yet held.
        fresh: u64,
    },
}

impl Ring {
    /// What an event at `time` (or with that sequence number) is; `quantities` has a bit for each of
    /// its quantities.
    #[must_use]
    pub fn look(
        &self,
        time: Timestamp,
        counter: Option<u64>,
        readings: &[Reading],
        quantities: u64,
    ) -> Known {
        let new = Seen::of(time, counter, readings, quantities);
        if self.latest.is_none_or(|latest| time > latest) {
            return Known::New;
        }
        let mut held = 0;
        for seen in self.seen.iter().filter(|seen| seen.time == time) {
            if seen.counter != new.counter || seen.quantities & new.quantities == 0 {
                continue;
            }
            if seen.quantities == new.quantities {
                return if seen.values == new.values { Known::Duplicate } else { Known::Conflict };
            }
            held |= seen.quantities;
        }
        match new.quantities & !held {
            _ if held == 0 => Known::New,
            0 => Known::Duplicate,
            fresh => Known::Partly { fresh },
        }
    }

    /// Remembers an event that was taken in.
    pub fn remember(&mut self, time: Timestamp, counter: Option<u64>, readings: &[Reading], quantities: u64) {
        self.add(Seen::of(time, counter, readings, quantities));
    }

    fn add(&mut self, new: Seen) {
        self.latest = self.latest.max(Some(new.time));
        if self.seen.len() < RING_EVENTS_MAX {
            self.seen.push(new);
        } else if let Some(oldest) = self.seen.get_mut(usize::from(self.oldest)) {
            *oldest = new;
            self.oldest = (self.oldest + 1) % RING_EVENTS_MAX as u16;
        }
    }

    /// Puts what was remembered earlier before what it holds.
    pub fn prepend(&mut self, earlier: impl IntoIterator<Item = Seen>) {
        let (later, earliest) = self.seen.split_at_checked(usize::from(self.oldest)).unwrap_or_default();
        let mut whole = Self::default();
        earlier.into_iter().for_each(|seen| whole.add(seen));
        earliest.iter().chain(later).for_each(|seen| whole.add(*seen));
        *self = whole;
    }
}

impl Seen {
    /// What is remembered of an event.
    #[must_use]
    pub fn of(time: Timestamp, counter: Option<u64>, readings: &[Reading], quantities: u64) -> Self {
        // Commutative over the readings: their order in a message says nothing.
        let mut values = 0_u32;
        for reading in readings {
            values = values.wrapping_add(mix(u64::from(reading.quantity.0), reading.value.0 as u64));
        }
        let counter = counter.map_or(0, |counter| (counter as u32).wrapping_add(1));
        Self { time, counter, values, quantities }
    }
}

/// 32 well-mixed bits of a quantity and its value: the finaliser of SplitMix64 (Steele, Lea, Flood,
/// "Fast splittable pseudorandom number generators", 2014).
fn mix(quantity: u64, value: u64) -> u32 {
    let mut bits = value.wrapping_add(quantity.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{QuantityId, Value};

    fn bit(reading: &Reading) -> u64 {
        1 << reading.quantity.0
    }

    fn readings(of: &[(u16, i64)]) -> Vec<Reading> {
        of.iter().map(|(q, v)| Reading { quantity: QuantityId(*q), value: Value(*v) }).collect()
    }

    fn tell(ring: &mut Ring, time: i64, counter: Option<u64>, of: &[(u16, i64)]) -> Known {
        let readings = readings(of);
        let mask = readings.iter().fold(0, |mask, reading| mask | bit(reading));
        let known = ring.look(Timestamp(time), counter, &readings, mask);
        if known == Known::New {
            ring.remember(Timestamp(time), counter, &readings, mask);
        }
        known
    }

    #[test]
    fn repeats_conflicts_and_quantities_by_topic() {
        let mut ring = Ring::default();
        assert_eq!(tell(&mut ring, 5, None, &[(0, 1), (1, 2)]), Known::New);
        assert_eq!(tell(&mut ring, 5, None, &[(1, 2), (0, 1)]), Known::Duplicate);
        assert_eq!(tell(&mut ring, 5, None, &[(0, 1), (1, 3)]), Known::Conflict);
        assert_eq!(tell(&mut ring, 5, None, &[(2, 9)]), Known::New);
        assert_eq!(tell(&mut ring, 5, None, &[(2, 9), (3, 1)]), Known::Partly { fresh: 8 });
        assert_eq!(tell(&mut ring, 5, Some(7), &[(0, 1), (1, 2)]), Known::New);
        assert_eq!(tell(&mut ring, 4, None, &[(0, 1), (1, 2)]), Known::New);
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut ring = Ring::default();
        for time in 0..10_000 {
            tell(&mut ring, time, None, &[(0, time)]);
        }
        assert_eq!(ring.seen.len(), RING_EVENTS_MAX);
        assert_eq!(tell(&mut ring, 9_999, None, &[(0, 9_999)]), Known::Duplicate);
        assert_eq!(tell(&mut ring, 9_744, None, &[(0, 9_744)]), Known::Duplicate);
        assert_eq!(tell(&mut ring, 9_743, None, &[(0, 9_743)]), Known::New, "forgotten");
    }

    #[test]
    fn what_was_remembered_earlier_comes_before_and_is_forgotten_first() {
        let seen = |time: i64| Seen::of(Timestamp(time), None, &readings(&[(0, time)]), 1);
        for (earlier, later) in [(0, 3), (3, 0), (200, 200), (300, 10), (10, 700)] {
            let mut whole = Ring::default();
            (0..earlier + later).for_each(|time| whole.add(seen(time)));
            let mut ring = Ring::default();
            (earlier..earlier + later).for_each(|time| ring.add(seen(time)));
            ring.prepend((0..earlier).map(seen));
            for time in 0..earlier + later {
                let of = readings(&[(0, time)]);
                let look = |ring: &Ring| ring.look(Timestamp(time), None, &of, 1);
                assert_eq!(look(&ring), look(&whole), "{time} of {earlier} and {later}");
            }
        }
    }
}
