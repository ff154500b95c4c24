//! What tells a repeated event from a new one.

use std::collections::VecDeque;

use xxhash_rust::xxh3::Xxh3;

use crate::model::{Reading, Timestamp};

/// Events that a device's identity ring remembers, those that came last. An older repeat counts as new: the store drops
/// exact repeats of raw rows when it compacts, and windows count it unless it is too late.
pub const RING_EVENTS_MAX: usize = 256;

/// What a device is known to have said.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    /// By (time, counter).
    seen: VecDeque<Seen>,
    /// Events taken in so far; the ring forgets what came first, whatever its time.
    taken: u32,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    time: Timestamp,
    counter: u32,
    values: u32,
    quantities: u64,
    /// Its number among the events taken in, wrapping.
    number: u32,
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
    /// What an event at `time` (or with that sequence number) is. `bit` gives a quantity's bit.
    #[must_use]
    pub fn look(
        &self,
        time: Timestamp,
        counter: Option<u64>,
        readings: &[Reading],
        bit: &dyn Fn(&Reading) -> u64,
    ) -> Known {
        let new = Seen::of(time, counter, readings, bit);
        let from = self.seen.partition_point(|seen| seen.time < time);
        let mut held = 0;
        for seen in self.seen.range(from..).take_while(|seen| seen.time == time) {
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
    pub fn remember(
        &mut self,
        time: Timestamp,
        counter: Option<u64>,
        readings: &[Reading],
        bit: &dyn Fn(&Reading) -> u64,
    ) {
        let new = Seen { number: self.taken, ..Seen::of(time, counter, readings, bit) };
        self.taken = self.taken.wrapping_add(1);
        let at = self.seen.partition_point(|seen| (seen.time, seen.counter) <= (new.time, new.counter));
        self.seen.insert(at, new);
        if self.seen.len() > RING_EVENTS_MAX {
            let oldest = self.taken.wrapping_sub(self.seen.len() as u32);
            // Nearly always the first: events come nearly in order.
            if let Some(at) = self.seen.iter().position(|seen| seen.number == oldest) {
                self.seen.remove(at);
            }
        }
    }
}

impl Seen {
    fn of(
        time: Timestamp,
        counter: Option<u64>,
        readings: &[Reading],
        bit: &dyn Fn(&Reading) -> u64,
    ) -> Self {
        let mut quantities = 0;
        // Commutative over the readings: their order in a message says nothing.
        let mut values = 0_u32;
        for reading in readings {
            quantities |= bit(reading);
            let mut hash = Xxh3::new();
            hash.update(&reading.quantity.0.to_le_bytes());
            hash.update(&reading.value.0.to_le_bytes());
            values = values.wrapping_add(hash.digest() as u32);
        }
        let counter = counter.map_or(0, |counter| (counter as u32).wrapping_add(1));
        Self { time, counter, values, quantities, number: 0 }
    }
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
        let known = ring.look(Timestamp(time), counter, &readings, &bit);
        if known == Known::New {
            ring.remember(Timestamp(time), counter, &readings, &bit);
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
    }
}
