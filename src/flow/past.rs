//! What the journal holds of a range of event time: the readings of a recompute.
//!
//! Events from the recompute's `since` on are there as they came. Of those before, the journal may
//! hold copies that were restored from the store for this recompute, or for an earlier one; each
//! counts once, at the place in the order that it had when it came. What else older segments still
//! hold does not count: whether they are there depends on when they were collected.

use hashbrown::HashSet;

use crate::model::{Batch, Control, Dictionary, Event, Reading, Recompute, Record, Span, Timestamp};

/// Events of one recompute at most; a longer range is to be computed in parts.
pub const EVENTS_MAX: usize = 20_000_000;
/// Events so long before the range are gathered too: what a counter or a value held over from
/// before the first window was.
pub const BEFORE: Span = Span::seconds(86_400);

/// A recompute that the journal asks for, and the events that it is about.
#[derive(Clone, Debug)]
pub struct Past {
    /// Sequence of the record that asks; only events before it are gathered.
    pub sequence: u64,
    /// What it asks for.
    pub asked: Recompute,
    /// By the journal sequence that they had when they came; see [`Past::in_order`].
    events: Vec<(u64, Event)>,
    readings: Vec<Reading>,
    /// Which of them are copies.
    restored: HashSet<u64>,
    overfull: bool,
}

impl Past {
    /// The recomputes that a batch asks for, nothing gathered yet.
    #[must_use]
    pub fn asked_by(batch: &Batch) -> Vec<Self> {
        let asked = batch.iter().filter_map(|(sequence, record)| match record {
            Record::Control(control) => match **control {
                Control::Recompute(asked) => Some(Self::new(sequence, asked)),
                _ => None,
            },
            _ => None,
        });
        asked.collect()
    }

    /// What a record asks for, nothing gathered yet.
    #[must_use]
    pub fn new(sequence: u64, asked: Recompute) -> Self {
        let (events, readings, restored) = (Vec::new(), Vec::new(), HashSet::new());
        Self { sequence, asked, events, readings, restored, overfull: false }
    }

    /// The first instant of which it is known what was measured.
    #[must_use]
    pub fn begins_at(&self) -> Timestamp {
        self.asked.begins_at(BEFORE)
    }

    /// Windows that begin from here on are made of everything that was measured in them; where they
    /// `follow` one reading to the next, of the day before them too.
    #[must_use]
    pub fn known_from(&self, follow: bool) -> Timestamp {
        let whole_from = self.asked.whole_from;
        let follows = follow && whole_from > Timestamp::MIN;
        self.begins_at().max(if follows { whole_from.plus(BEFORE) } else { whole_from })
    }

    /// Gathers what a batch holds of the range. Batches come in order, each once.
    pub fn gather(&mut self, batch: &Batch) {
        let own = self.sequence;
        for (sequence, record) in batch.iter().take_while(|(sequence, _)| *sequence < own) {
            match record {
                Record::Event(event) if sequence >= self.asked.since => {
                    self.take(sequence, event, batch.readings_of(event));
                }
                Record::Restored { sequence, event } => {
                    self.restore(*sequence, event, batch.readings_of(event));
                }
                _ => {}
            }
        }
    }

    /// Takes a copy of an event, unless the event is there.
    pub fn restore(&mut self, sequence: u64, event: &Event, readings: &[Reading]) {
        let wanted = sequence < self.asked.since && self.is_within(event) && !self.overfull;
        if wanted && self.restored.insert(sequence) {
            self.take(sequence, event, readings);
        }
    }

    fn is_within(&self, event: &Event) -> bool {
        self.begins_at() <= event.event_at && event.event_at < self.asked.to
    }

    fn take(&mut self, sequence: u64, event: &Event, own: &[Reading]) {
        if !self.is_within(event) {
            return;
        }
        if self.events.len() >= EVENTS_MAX {
            self.overfull = true;
            return;
        }
        let start = self.readings.len() as u32;
        self.readings.extend_from_slice(own);
        let readings = start..self.readings.len() as u32;
        self.events.push((sequence, Event { readings, ..event.clone() }));
    }

    /// Whether the range holds more than [`EVENTS_MAX`] events: then nothing is computed.
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.overfull
    }

    /// The events in the order of the semantics: event time, device, counter, journal sequence.
    #[must_use]
    pub fn in_order(&self, dictionary: &Dictionary) -> Vec<(u64, &Event)> {
        let mut events: Vec<(u64, &Event)> =
            self.events.iter().map(|(sequence, event)| (*sequence, event)).collect();
        let device = |event: &Event| dictionary.device(event.device).map(|device| &device.1);
        events.sort_by(|(left_at, left), (right_at, right)| {
            (left.event_at, device(left), left.counter, left_at).cmp(&(
                right.event_at,
                device(right),
                right.counter,
                right_at,
            ))
        });
        events
    }

    /// The readings of one of its events.
    #[must_use]
    pub fn readings_of(&self, event: &Event) -> &[Reading] {
        self.readings.get(event.readings.start as usize..event.readings.end as usize).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
