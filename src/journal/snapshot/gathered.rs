//! Events of many devices as a run holds them, gathered in any order of the devices: each is bytes from
//! the beginning, so that neither a snapshot nor a merge allocates anything for an event, but of a device of
//! more than 32 quantities.

use super::run::{CHUNK_DEVICES, write_rest};
use crate::journal::identity::{RING_EVENTS_MAX, Said, several};
use crate::journal::wire::{BadContent, Reader, Writer};
use crate::model::Timestamp;

/// See the module.
#[derive(Debug, Default)]
pub struct Gathered {
    marks: Vec<Mark>,
    /// What stands behind the times, one event after the other.
    rests: Writer,
    sorted: bool,
}

/// One event.
#[derive(Clone, Copy, Debug)]
struct Mark {
    device: u32,
    /// Where what stands behind its time begins among the rests, and how long it is: at most 340 bytes, and
    /// a merge of as many runs as there may be has 4,200,000 events of a chunk at most.
    at: u32,
    bytes: u32,
    time: Timestamp,
}

impl Gathered {
    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Forgets all events; room is kept for twice as many as there were.
    pub fn clear(&mut self) {
        self.marks.shrink_to(2 * self.marks.len());
        self.marks.clear();
        self.rests.0.shrink_to(2 * self.rests.0.len());
        self.rests.0.clear();
    }

    /// Adds an event of a device, behind what it has.
    pub fn add(&mut self, device: u32, event: &Said) {
        self.push(device, event.seen().time, |rests| write_rest(event.seen(), event.prints(), rests));
    }

    /// Adds the events of a chunk whose first device this is, each behind what its device has; without
    /// prints they are taken for not known.
    ///
    /// # Errors
    /// [`BadContent`].
    pub fn take(&mut self, first: u32, chunk: &[u8], with_prints: bool) -> Result<(), BadContent> {
        let mut input = Reader(chunk);
        for _ in 0..input.count()? {
            let device = first + u32::from(input.byte()?);
            let mut time = 0_i64;
            for _ in 0..input.count()? {
                time = time.wrapping_add(input.int()?);
                let rest = input.0;
                let (_counter, _values): (u32, u32) = (input.small()?, input.small()?);
                let prints = several(input.uint()?);
                for _ in 0..if with_prints { prints } else { 0 } {
                    let _: u32 = input.small()?;
                }
                let rest = rest.get(..rest.len() - input.0.len()).unwrap_or_default();
                self.push(device, Timestamp(time), |rests| {
                    rests.0.extend_from_slice(rest);
                    (0..if with_prints { 0 } else { prints }).for_each(|_| rests.uint(0));
                });
            }
        }
        input.end()
    }

    fn push(&mut self, device: u32, time: Timestamp, write: impl FnOnce(&mut Writer)) {
        let at = self.rests.0.len();
        write(&mut self.rests);
        let bytes = (self.rests.0.len() - at) as u32;
        self.marks.push(Mark { device, at: at as u32, bytes, time });
        self.sorted = false;
    }

    /// Puts the events in the order of their devices; those of one stay in theirs.
    pub fn sort(&mut self) {
        if !std::mem::replace(&mut self.sorted, true) {
            // In place: those of a device lie one behind the other among the rests.
            self.marks.sort_unstable_by_key(|mark| (mark.device, mark.at));
        }
    }

    /// The id behind the last device's, once sorted.
    #[must_use]
    pub fn devices_end(&self) -> u32 {
        self.marks.last().map_or(0, |last| last.device + 1)
    }

    /// Writes a chunk, once sorted; nothing if none of its devices has an event.
    pub fn write(&self, chunk: u32, out: &mut Writer) {
        let begin = self.marks.partition_point(|mark| mark.device / CHUNK_DEVICES < chunk);
        let own = self.marks.get(begin..).unwrap_or_default();
        let own = own.get(..own.partition_point(|mark| mark.device / CHUNK_DEVICES == chunk));
        let devices = || own.unwrap_or_default().chunk_by(|one, other| one.device == other.device);
        let count = devices().count();
        if count == 0 {
            return;
        }
        out.uint(count as u64);
        for events in devices() {
            let events = events.get(events.len().saturating_sub(RING_EVENTS_MAX)..).unwrap_or_default();
            out.byte((events.first().map_or(0, |first| first.device) % CHUNK_DEVICES) as u8);
            out.uint(events.len() as u64);
            let mut before = 0_i64;
            for event in events {
                out.int(event.time.0.wrapping_sub(before));
                before = event.time.0;
                let rest = self.rests.0.get(event.at as usize..).unwrap_or_default();
                out.0.extend_from_slice(rest.get(..event.bytes as usize).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::snapshot::run::{Chunk, read_event};
    use crate::model::{QuantityId, Reading, Value};

    fn said(time: i64, quantities: u16) -> Said {
        let readings: Vec<Reading> =
            (0..quantities).map(|q| Reading { quantity: QuantityId(q), value: Value(time) }).collect();
        let of = readings.iter().map(|reading| (reading, 1 << reading.quantity.0));
        Said::new(Timestamp(time), Some(7), of)
    }

    fn chunk(events: &Gathered, number: u32) -> Vec<u8> {
        let mut out = Writer::default();
        events.write(number, &mut out);
        out.0
    }

    /// An event's time, and its first print if it has several.
    type Event = (i64, Option<u32>);

    /// The events of a chunk by the lowest byte of the device.
    fn read(bytes: &[u8]) -> Vec<(u8, Vec<Event>)> {
        let (mut input, mut found) = (Reader(bytes), Chunk::new());
        for _ in 0..input.count().unwrap() {
            let (device, mut before) = (input.byte().unwrap(), 0);
            let events =
                (0..input.count().unwrap()).map(|_| read_event(&mut input, &mut before, true).unwrap());
            found.insert(device, events.collect());
        }
        input.end().unwrap();
        let event = |held: &crate::journal::identity::Held| (held.seen.time.0, held.prints.first().copied());
        found.iter().map(|(device, events)| (*device, events.iter().map(event).collect())).collect()
    }

    #[test]
    fn events_stand_by_device_in_the_order_in_which_they_came() {
        let mut events = Gathered::default();
        for (device, time) in [(700, 9), (3, 5), (700, -4), (255, 1), (3, 2), (256, 0)] {
            events.add(device, &said(time, 1));
        }
        events.sort();
        assert_eq!((events.len(), events.devices_end()), (6, 701));
        let times = |number: u32| read(&chunk(&events, number));
        assert_eq!(times(0), [(3, vec![(5, None), (2, None)]), (255, vec![(1, None)])]);
        assert_eq!(times(1), [(0, vec![(0, None)])]);
        assert_eq!(times(2), [(188, vec![(9, None), (-4, None)])]);
        assert!(chunk(&events, 3).is_empty());
        events.clear();
        assert!(events.is_empty() && chunk(&events, 0).is_empty());
    }

    #[test]
    fn chunks_that_are_taken_one_after_the_other_are_one_with_the_last_events_of_each_device() {
        let (mut older, mut newer, mut both) =
            (Gathered::default(), Gathered::default(), Gathered::default());
        (0..200).for_each(|time| older.add(1_025, &said(time, 3)));
        (200..300).for_each(|time| newer.add(1_025, &said(time, 3)));
        newer.add(1_024, &said(1, 2));
        for part in [&mut older, &mut newer] {
            part.sort();
            both.take(1_024, &chunk(part, 4), true).unwrap();
        }
        both.sort();
        let read = read(&chunk(&both, 4));
        let print = |time: i64, quantities: u16| said(time, quantities).prints().next();
        let kept = (44..300).map(|time| (time, print(time, 3))).collect();
        assert_eq!(read, [(0, vec![(1, print(1, 2))]), (1, kept)]);
    }

    #[test]
    fn events_without_prints_are_taken_for_not_known() {
        // Of one device two events with three quantities and one, as version 1 has them.
        let mut old = Writer::default();
        [1, 5, 2].iter().for_each(|byte| old.byte(*byte));
        for (step, quantities) in [(10, 0b111), (-3, 0b1)] {
            old.int(step);
            [8, 9, quantities].iter().for_each(|value| old.uint(*value));
        }
        let mut events = Gathered::default();
        events.take(0, &old.0, false).unwrap();
        events.sort();
        assert_eq!(read(&chunk(&events, 0)), [(5, vec![(10, Some(0)), (7, None)])]);
        assert_eq!(Gathered::default().take(0, &old.0, true), Err(BadContent), "they are not read as prints");
        for cut in 0..old.0.len() {
            assert_eq!(Gathered::default().take(0, &old.0[..cut], false), Err(BadContent), "{cut}");
        }
    }
}
