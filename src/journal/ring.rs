//! A device's last events as bytes: what tells a repeated event from a new one, in a third of the room
//! that a table takes.
//!
//! An event is a byte of what follows, its time, counter and quantities where they are not as usual, and
//! a print of each quantity in four bytes. Nothing leans on the event before it, so that the oldest can
//! go. The time counts from the first event of the ring, in the largest unit that is exact (LEB128,
//! ZigZag). The layout is of this module alone: snapshots hold events in theirs.

use super::{Found, Held, Known, RING_EVENTS_MAX, Recent, Said, Seen, several};
use crate::journal::wire::{BadContent, Reader, Writer};
use crate::model::Timestamp;

/// The units of a time, in nanoseconds, by their number in the first byte.
const UNITS: [i64; 4] = [1_000_000_000, 1_000_000, 1_000, 1];
/// Bits of the first byte that say the unit.
const UNIT: u8 = 0b11;
/// Bit of the first byte: its quantities are not those of the ring's first event.
const UNUSUAL: u8 = 0b100;
/// Bit of the first byte: it has a counter.
const COUNTED: u8 = 0b1000;
/// Bytes of the longest event without its prints.
const HEAD_BYTES_MAX: usize = 1 + 3 * 10;

/// What a device is known to have said: its last events, in the order in which they were taken in.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    bytes: Writer,
    /// Where the oldest event begins.
    oldest: u32,
    events: u16,
    /// The latest time of all; most events are later, and then nothing has to be looked through.
    latest: Timestamp,
    /// The first event's time.
    origin: Timestamp,
    /// The first event's quantities.
    usual: u64,
}

impl Ring {
    /// What an event is, by this ring and by what the ring forgot.
    #[must_use]
    pub fn look(&self, said: &Said, device: u32, recent: &Recent) -> Known {
        if self.events == 0 || said.seen.time > self.latest {
            return Known::New;
        }
        let mut found = Found::default();
        for (seen, prints) in self.in_order().filter(|(seen, _)| said.is_about(seen)) {
            said.compare(&seen, |at| prints_of(prints).nth(at), &mut found);
        }
        if usize::from(self.events) >= RING_EVENTS_MAX {
            for held in recent.of(device, said.seen.time).filter(|held| said.is_about(&held.seen)) {
                said.compare(&held.seen, |at| held.print(at), &mut found);
            }
        }
        found.known(said.seen.quantities)
    }

    /// A bit of what lies in it: whoever reads it finds the ring in a cache.
    #[must_use]
    pub fn glance(&self) -> u64 {
        self.latest.0.cast_unsigned() ^ self.bytes.0.len() as u64
    }

    /// A bit of where the next event goes.
    #[must_use]
    pub fn last_byte(&self) -> u8 {
        self.bytes.0.last().copied().unwrap_or_default()
    }

    /// Remembers an event that was taken in; the one that it forgets for it.
    pub fn remember(&mut self, said: &Said) -> Option<Held> {
        self.add(&said.seen, said.prints())
    }

    /// Puts what was remembered earlier before what it holds; what does not fit is given back, the
    /// oldest first.
    pub fn prepend(&mut self, earlier: impl IntoIterator<Item = Held>) -> Vec<Held> {
        let mut whole = Self::default();
        let own = self.in_order().map(|(seen, prints)| held(seen, prints));
        let all = earlier.into_iter().chain(own);
        let forgotten = all.filter_map(|held| whole.add(&held.seen, held.prints.iter().copied())).collect();
        *self = whole;
        forgotten
    }

    /// Its events, each with the bytes of its prints, the oldest first.
    fn in_order(&self) -> impl Iterator<Item = (Seen, &[u8])> {
        let mut rest = self.rest();
        std::iter::from_fn(move || self.read(&mut rest).ok())
    }

    fn rest(&self) -> Reader<'_> {
        Reader(self.bytes.0.get(self.oldest as usize..).unwrap_or_default())
    }

    fn add(&mut self, new: &Seen, prints: impl Iterator<Item = u32>) -> Option<Held> {
        if self.events == 0 {
            (self.origin, self.usual, self.latest) = (new.time, new.quantities, new.time);
        }
        self.latest = self.latest.max(new.time);
        let forgotten = if usize::from(self.events) < RING_EVENTS_MAX {
            self.events += 1;
            None
        } else {
            self.forget()
        };
        self.make_room(HEAD_BYTES_MAX + 4 * stored(new.quantities));
        self.write(new, prints);
        forgotten
    }

    fn forget(&mut self) -> Option<Held> {
        let mut rest = self.rest();
        let oldest = self.read(&mut rest).map(|(seen, prints)| held(seen, prints)).ok();
        self.oldest = (self.bytes.0.len() - rest.0.len()) as u32;
        oldest
    }

    /// Makes room for an event: by the bytes of those that are forgotten, else for a fifth more.
    fn make_room(&mut self, most: usize) {
        let bytes = &mut self.bytes.0;
        if bytes.capacity() - bytes.len() >= most {
            return;
        }
        let gone = self.oldest as usize;
        if gone >= most.max(bytes.len() / 8) {
            bytes.drain(..gone);
            self.oldest = 0;
        } else {
            bytes.reserve_exact(most.max(bytes.len() / 5));
        }
    }

    fn write(&mut self, new: &Seen, prints: impl Iterator<Item = u32>) {
        let since = new.time.0.wrapping_sub(self.origin.0);
        let (unit, span) = in_unit(since);
        let unusual = if new.quantities == self.usual { 0 } else { UNUSUAL };
        let counted = if new.counter == 0 { 0 } else { COUNTED };
        self.bytes.byte(unit | unusual | counted);
        self.bytes.int(span);
        if counted > 0 {
            self.bytes.uint(u64::from(new.counter));
        }
        if unusual > 0 {
            self.bytes.uint(new.quantities);
        }
        // A print that is not there is not known.
        let one = (several(new.quantities) == 0).then_some(new.values);
        let prints = one.into_iter().chain(prints).chain(std::iter::repeat(0));
        for print in prints.take(stored(new.quantities)) {
            self.bytes.0.extend_from_slice(&print.to_le_bytes());
        }
    }

    fn read<'a>(&self, rest: &mut Reader<'a>) -> Result<(Seen, &'a [u8]), BadContent> {
        let first = rest.byte()?;
        let unit = UNITS.get(usize::from(first & UNIT)).copied().ok_or(BadContent)?;
        let since = rest.int()?.wrapping_mul(unit);
        let counter = if first & COUNTED == 0 { 0 } else { rest.small()? };
        let quantities = if first & UNUSUAL == 0 { self.usual } else { rest.uint()? };
        let (prints, after) = rest.0.split_at_checked(4 * stored(quantities)).ok_or(BadContent)?;
        rest.0 = after;
        let values = prints_of(prints).fold(0, u32::wrapping_add);
        Ok((Seen { time: Timestamp(self.origin.0.wrapping_add(since)), counter, values, quantities }, prints))
    }
}

/// Prints of an event in the ring: the sum is that of a single quantity.
fn stored(quantities: u64) -> usize {
    several(quantities).max(1)
}

/// A span in the largest unit in which it is whole, with the unit's number.
fn in_unit(span: i64) -> (u8, i64) {
    let whole = (0..).zip(UNITS).map(|(number, unit)| (number, span / unit, span % unit));
    whole.filter(|unit| unit.2 == 0).map(|unit| (unit.0, unit.1)).next().unwrap_or_default()
}

fn prints_of(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks().0.iter().copied().map(u32::from_le_bytes)
}

fn held(seen: Seen, prints: &[u8]) -> Held {
    let kept = several(seen.quantities);
    Held { seen, prints: prints_of(prints).take(kept).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(time: i64, counter: u32, prints: &[(u8, u32)]) -> Held {
        let quantities = prints.iter().fold(0, |set, (bit, _)| set | 1_u64 << (bit % 64));
        let mut prints: Vec<u32> = prints.iter().map(|(_, print)| *print).collect();
        prints.resize(several(quantities).max(1), 7);
        let values = prints.iter().fold(0, |sum: u32, print| sum.wrapping_add(*print));
        prints.truncate(several(quantities));
        Held { seen: Seen { time: Timestamp(time), counter, values, quantities }, prints: prints.into() }
    }

    fn add(ring: &mut Ring, held: &Held) -> Option<Held> {
        ring.add(&held.seen, held.prints.iter().copied())
    }

    fn all(ring: &Ring) -> Vec<Held> {
        ring.in_order().map(|(seen, prints)| held(seen, prints)).collect()
    }

    fn any_event() -> impl Strategy<Value = Held> {
        let time = prop_oneof![
            any::<i64>(),
            (0..100_i64).prop_map(|s| s * 1_000_000_000),
            1_772_000_000_000_000_000..1_773_000_000_000_000_000_i64,
            prop_oneof![Just(i64::MIN), Just(i64::MAX)],
        ];
        let counter = prop_oneof![Just(0), any::<u32>()];
        let prints = prop::collection::vec((0..64_u8, any::<u32>()), 1..6);
        (time, counter, prints).prop_map(|(time, counter, prints)| event(time, counter, &prints))
    }

    proptest! {
        #[test]
        fn it_holds_what_a_list_of_the_last_events_holds(
            events in prop::collection::vec(any_event(), 1..700),
        ) {
            let mut ring = Ring::default();
            let mut forgotten = Vec::new();
            for held in &events {
                forgotten.extend(add(&mut ring, held));
            }
            let kept = events.len().saturating_sub(RING_EVENTS_MAX);
            prop_assert_eq!(&*all(&ring), &events[kept..]);
            prop_assert_eq!(&*forgotten, &events[..kept]);
            prop_assert_eq!(ring.latest, events.iter().map(|held| held.seen.time).max().unwrap());
        }
    }

    #[test]
    fn a_full_ring_is_small_and_stays_so() {
        let mut ring = Ring::default();
        let every_ten_seconds = |n: i64| 1_772_000_000_250_000_000 + n * 10_000_000_000;
        for n in 0..10_000 {
            let four = [(0, n as u32), (1, 5), (2, 6), (3, 7)];
            add(&mut ring, &event(every_ten_seconds(n), 0, &four));
        }
        assert_eq!(all(&ring).len(), RING_EVENTS_MAX);
        // A byte, four of time in milliseconds, four for each print; a quarter more to grow in.
        let bytes = ring.bytes.0.capacity();
        assert!(bytes <= RING_EVENTS_MAX * 21 * 5 / 4 + 64, "{bytes}");
        assert_eq!(size_of::<Ring>(), 56);
    }
}
