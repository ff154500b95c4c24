//! What the journal holds of a range of event time: the readings of a recompute.

use crate::model::{Batch, Control, Dictionary, Event, Reading, Record, Span, Timestamp};

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
    /// The earliest start of a window, inclusive.
    pub from: Timestamp,
    /// The latest end of a window, inclusive.
    pub to: Timestamp,
    /// By journal sequence; see [`Past::in_order`].
    events: Vec<(u64, Event)>,
    readings: Vec<Reading>,
    overfull: bool,
}

impl Past {
    /// The recomputes that a batch asks for, nothing gathered yet.
    #[must_use]
    pub fn asked_by(batch: &Batch) -> Vec<Self> {
        let asked = batch.iter().filter_map(|(sequence, record)| match record {
            Record::Control(control) => match **control {
                Control::Recompute { from, to } => Some(Self::new(sequence, from, to)),
                _ => None,
            },
            _ => None,
        });
        asked.collect()
    }

    /// The range of a record, nothing gathered yet.
    #[must_use]
    pub fn new(sequence: u64, from: Timestamp, to: Timestamp) -> Self {
        Self { sequence, from, to, events: Vec::new(), readings: Vec::new(), overfull: false }
    }

    /// Gathers what a batch holds of the range. Batches come in order, each once.
    pub fn gather(&mut self, batch: &Batch) {
        for (sequence, record) in batch.iter() {
            let Record::Event(event) = record else { continue };
            let within = self.from.minus(BEFORE) <= event.event_at && event.event_at < self.to;
            if !within || sequence >= self.sequence {
                continue;
            }
            if self.events.len() >= EVENTS_MAX {
                self.overfull = true;
                return;
            }
            let start = self.readings.len() as u32;
            self.readings.extend_from_slice(batch.readings_of(event));
            let readings = start..self.readings.len() as u32;
            self.events.push((sequence, Event { readings, ..event.clone() }));
        }
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
