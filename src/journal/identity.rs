//! What tells a repeated event from a new one: a ring of each device's last events, and behind the
//! rings of a feed what they forgot last ([`Recent`]).
//!
//! An event is remembered as its time, its counter, a bit for each of its quantities, and 32 well-mixed
//! bits of each value: its print. So a part of what a device said is told from another value of it. The
//! last bit is shared by a feed's 64th quantity and all further ones, and its print is of all of them
//! that an event has: an equal one is a repeat, and another one may be of other quantities. So it is
//! taken in, and never a conflict.

use std::sync::Arc;

use crate::model::{Reading, Timestamp};

pub use self::recent::{RECENT_EVENTS_MAX, Recent};
pub use self::ring::Ring;

#[path = "recent.rs"]
mod recent;
#[path = "ring.rs"]
mod ring;

/// Events that a device's identity ring remembers, those that came last.
pub const RING_EVENTS_MAX: usize = 256;
/// Bits of quantities.
const BITS: usize = 64;
/// Bits whose prints need no allocation.
const FEW: usize = 32;
/// The bit that quantities share for which there is no bit of their own.
const SHARED: u64 = 1 << (BITS - 1);

/// What is remembered of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its time, or its number where the device counts.
    pub time: Timestamp,
    /// Its frame counter and one; 0 for none.
    pub counter: u32,
    /// The sum of its prints.
    pub values: u32,
    /// A bit for each of its quantities.
    pub quantities: u64,
}

/// What is remembered of one event, with the prints of its quantities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The event.
    pub seen: Seen,
    /// A print for each bit of its quantities, the lowest first, if there are several; 0 where it is not
    /// known (snapshots before version 2), and then any value is taken for it.
    pub prints: Arc<[u32]>,
}

/// An event that is asked about or to be remembered.
#[derive(Clone, Debug)]
pub struct Said {
    seen: Seen,
    prints: Prints,
}

/// Prints by bit: most feeds have few quantities.
#[derive(Clone, Debug, Default)]
struct Prints {
    few: [u32; FEW],
    more: Option<Box<[u32; BITS - FEW]>>,
}

/// What an event is to what is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Not held: take it in.
    New,
    /// Held with the same values.
    Duplicate,
    /// Held, and some of it with other values.
    Conflict,
    /// Some of its quantities are not held.
    Partly {
        /// Bits of the quantities not yet held.
        fresh: u64,
        /// Bits of those held with another value.
        other: u64,
    },
}

/// What of an event was found so far.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    same: u64,
    other: u64,
}

impl Found {
    fn known(self, quantities: u64) -> Known {
        let Self { same, other } = self;
        match quantities & !(same | other) {
            _ if same | other == 0 => Known::New,
            0 if other == 0 => Known::Duplicate,
            0 => Known::Conflict,
            fresh => Known::Partly { fresh, other },
        }
    }
}

/// Prints kept beside an event: its sum is the print of a single quantity.
pub(super) fn several(quantities: u64) -> usize {
    match quantities.count_ones() {
        1 => 0,
        count => count as usize,
    }
}

impl Held {
    /// The print of the quantity at this place among its bits.
    fn print(&self, at: usize) -> Option<u32> {
        if several(self.seen.quantities) == 0 { Some(self.seen.values) } else { self.prints.get(at).copied() }
    }
}

impl Said {
    /// An event at `time` (or with that number), with the bit of each reading's quantity.
    #[must_use]
    pub fn new<'a>(
        time: Timestamp,
        counter: Option<u64>,
        readings: impl Iterator<Item = (&'a Reading, u64)>,
    ) -> Self {
        let counter = counter.map_or(0, |counter| (counter as u32).wrapping_add(1));
        let mut this = Self { seen: Seen { time, counter, ..Seen::default() }, prints: Prints::default() };
        for (reading, bit) in readings {
            // Commutative over the readings: their order in a message says nothing.
            let print = mix(u64::from(reading.quantity.0), reading.value.0 as u64);
            this.seen.values = this.seen.values.wrapping_add(print);
            this.seen.quantities |= bit;
            this.prints.add(bit.trailing_zeros() as usize, print);
        }
        this
    }

    /// What is remembered of it but for the prints of several quantities.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// A print for each bit of its quantities, the lowest first, if there are several.
    pub fn prints(&self) -> impl Iterator<Item = u32> {
        let kept = if several(self.seen.quantities) == 0 { 0 } else { self.seen.quantities };
        bits(kept).map(|bit| self.prints.of(bit))
    }

    /// Whether `seen` is of the same time and counter and has some of its quantities.
    fn is_about(&self, seen: &Seen) -> bool {
        seen.time == self.seen.time
            && seen.counter == self.seen.counter
            && seen.quantities & self.seen.quantities != 0
    }

    fn compare(&self, seen: &Seen, print: impl Fn(usize) -> Option<u32>, found: &mut Found) {
        for (at, bit) in bits(seen.quantities).enumerate() {
            if bit & self.seen.quantities == 0 {
                continue;
            }
            let mine = self.prints.of(bit);
            let same = print(at).is_none_or(|held| held == 0 || held == mine);
            match same {
                true => found.same |= bit,
                false if bit == SHARED => {}
                false => found.other |= bit,
            }
        }
    }
}

impl Prints {
    /// Adds to the print of the bit at this place.
    #[inline]
    fn add(&mut self, at: usize, print: u32) {
        let sum = match self.few.get_mut(at) {
            Some(sum) => Some(sum),
            None => self.more.get_or_insert_default().get_mut(at - FEW),
        };
        if let Some(sum) = sum {
            *sum = sum.wrapping_add(print);
        }
    }

    /// The print of a bit; 0 where there is none.
    #[inline]
    fn of(&self, bit: u64) -> u32 {
        let at = bit.trailing_zeros() as usize;
        let print = self.few.get(at).or_else(|| self.more.as_ref()?.get(at.checked_sub(FEW)?));
        print.copied().unwrap_or_default()
    }
}

/// The single bits of a set, the lowest first.
fn bits(mut set: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let bit = set & set.wrapping_neg();
        set ^= bit;
        (bit != 0).then_some(bit)
    })
}

/// 32 well-mixed bits of a quantity and its value: the finaliser of SplitMix64 (Steele, Lea, Flood,
/// "Fast splittable pseudorandom number generators", 2014).
fn mix(quantity: u64, value: u64) -> u32 {
    let mut bits = value.wrapping_add(quantity.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // 0 stands for a print that is not known.
    (((bits ^ (bits >> 31)) >> 32) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{QuantityId, Value};

    pub(super) fn said(time: i64, counter: Option<u64>, of: &[(u16, i64)]) -> Said {
        let reading = |(q, v): &(u16, i64)| Reading { quantity: QuantityId(*q), value: Value(*v) };
        let readings: Vec<Reading> = of.iter().map(reading).collect();
        Said::new(Timestamp(time), counter, readings.iter().map(|reading| (reading, 1 << reading.quantity.0)))
    }

    /// Looks, and remembers what is new, as the sequencer does.
    fn tell(ring: &mut Ring, time: i64, counter: Option<u64>, of: &[(u16, i64)]) -> Known {
        let known = ring.look(&said(time, counter, of), 0, &Recent::default());
        let fresh = match known {
            Known::New => u64::MAX,
            Known::Partly { fresh, .. } => fresh,
            Known::Duplicate | Known::Conflict => 0,
        };
        let taken: Vec<(u16, i64)> = of.iter().copied().filter(|(q, _)| fresh & (1 << q) != 0).collect();
        if !taken.is_empty() {
            ring.remember(&said(time, counter, &taken));
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
        assert_eq!(tell(&mut ring, 5, None, &[(2, 9), (3, 1)]), Known::Partly { fresh: 8, other: 0 });
        assert_eq!(tell(&mut ring, 5, Some(7), &[(0, 1), (1, 2)]), Known::New);
        assert_eq!(tell(&mut ring, 4, None, &[(0, 1), (1, 2)]), Known::New);
    }

    #[test]
    fn sets_that_overlap_are_compared_quantity_by_quantity() {
        let mut ring = Ring::default();
        tell(&mut ring, 4, None, &[(0, 7), (5, 7), (6, 7)]);
        tell(&mut ring, 5, None, &[(0, 1), (1, 2), (2, 3)]);
        tell(&mut ring, 5, None, &[(3, 4)]);
        assert_eq!(tell(&mut ring, 5, None, &[(1, 2)]), Known::Duplicate, "a part of what was said");
        assert_eq!(tell(&mut ring, 5, None, &[(1, 9)]), Known::Conflict, "a part with another value");
        assert_eq!(tell(&mut ring, 5, None, &[(2, 3), (3, 4)]), Known::Duplicate, "parts of two");
        assert_eq!(tell(&mut ring, 5, None, &[(2, 3), (3, 9)]), Known::Conflict);
        assert_eq!(
            tell(&mut ring, 5, None, &[(0, 1), (1, 9), (3, 4), (4, 5)]),
            Known::Partly { fresh: 16, other: 2 }
        );
        assert_eq!(tell(&mut ring, 5, None, &[(4, 5)]), Known::Duplicate);
    }

    #[test]
    fn quantities_that_share_a_bit_are_never_taken_for_one_another() {
        let last = |ids: &[(u16, i64)]| {
            let reading = |(q, v): &(u16, i64)| Reading { quantity: QuantityId(*q), value: Value(*v) };
            let readings: Vec<Reading> = ids.iter().map(reading).collect();
            let parts = readings.iter().map(|reading| (reading, 1 << reading.quantity.0.min(63)));
            Said::new(Timestamp(5), None, parts)
        };
        let mut ring = Ring::default();
        ring.remember(&last(&[(0, 1), (65, 1)]));
        let look = |ring: &Ring, ids: &[(u16, i64)]| ring.look(&last(ids), 0, &Recent::default());
        assert_eq!(look(&ring, &[(66, 1)]), Known::New, "a topic a quantity");
        ring.remember(&last(&[(66, 1)]));
        for again in [&[(65, 1)], &[(66, 1)]] {
            assert_eq!(look(&ring, again), Known::Duplicate);
        }
        assert_eq!(look(&ring, &[(0, 1), (65, 1)]), Known::Duplicate);
        let fresh = 1 << 63;
        assert_eq!(look(&ring, &[(0, 1), (67, 1)]), Known::Partly { fresh, other: 0 });
        assert_eq!(look(&ring, &[(0, 2), (67, 1)]), Known::Partly { fresh, other: 1 });
        assert_eq!(look(&ring, &[(0, 2), (66, 1)]), Known::Conflict);
    }

    #[test]
    fn prints_are_the_same_for_ever() {
        // They lie in snapshots. The first two are SplitMix64's first numbers of seeds 0 and 1.
        assert_eq!((mix(0, 0), mix(0, 1)), (0xe220_a839, 0x910a_2dec));
        assert_eq!((mix(1, 0), mix(7, 123_456_789)), (0x6e78_9e6a, 0xc56d_a70a));
        assert_eq!((mix(65_535, u64::MAX), mix(3, -250_i64 as u64)), (0xe857_d7ca, 0xbbb4_e297));
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut ring = Ring::default();
        for time in 0..10_000 {
            tell(&mut ring, time, None, &[(0, time), (1, time)]);
        }
        assert_eq!(tell(&mut ring, 9_999, None, &[(0, 9_999)]), Known::Duplicate);
        assert_eq!(tell(&mut ring, 9_744, None, &[(1, 9_744)]), Known::Duplicate);
        assert_eq!(tell(&mut ring, 9_743, None, &[(0, 9_743)]), Known::New, "forgotten");
    }

    #[test]
    fn what_a_ring_forgot_is_known_behind_it() {
        let (mut ring, mut recent) = (Ring::default(), Recent::default());
        for time in 0..1_000 {
            if let Some(forgotten) = ring.remember(&said(time, None, &[(0, time), (1, 1)])) {
                recent.add(3, forgotten);
            }
        }
        let look = |of: &Said| ring.look(of, 3, &recent);
        assert_eq!(look(&said(0, None, &[(0, 0), (1, 1)])), Known::Duplicate);
        assert_eq!(look(&said(700, None, &[(1, 2)])), Known::Conflict);
        assert_eq!(look(&said(743, None, &[(1, 1), (2, 1)])), Known::Partly { fresh: 4, other: 0 });
        assert_eq!(ring.look(&said(0, None, &[(0, 0)]), 4, &recent), Known::New, "another device's");
    }

    #[test]
    fn what_was_remembered_earlier_comes_before_and_is_forgotten_first() {
        let one = |time: i64| said(time, None, if time % 3 == 0 { &[(0, 5), (1, 6)] } else { &[(0, 5)] });
        for (earlier, later) in [(0, 3), (3, 0), (200, 200), (300, 10), (10, 700)] {
            let mut whole = Ring::default();
            let mut forgotten: Vec<Held> =
                (0..earlier + later).filter_map(|time| whole.remember(&one(time))).collect();
            let mut ring = Ring::default();
            let mut again: Vec<Held> =
                (earlier..earlier + later).filter_map(|time| ring.remember(&one(time))).collect();
            let held = |said: Said| Held { seen: *said.seen(), prints: said.prints().collect() };
            again.extend(ring.prepend((0..earlier).map(|time| held(one(time)))));
            let recent = Recent::default();
            for time in 0..earlier + later {
                let other = said(time, None, &[(0, 5), (1, 6), (2, 7)]);
                assert_eq!(
                    ring.look(&other, 0, &recent),
                    whole.look(&other, 0, &recent),
                    "{time} of {earlier} and {later}"
                );
            }
            forgotten.sort_by_key(|held| held.seen.time);
            again.sort_by_key(|held| held.seen.time);
            assert_eq!(again, forgotten, "of {earlier} and {later}");
        }
    }
}
