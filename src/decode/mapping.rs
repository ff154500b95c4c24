//! One feed's mapping of JSON payloads, compiled: which value is the time, the counter, a label
//! or a quantity. Shared by the decoders whose payloads are one JSON object an event.

use super::decoder::Message;
use super::labels::Labels;
use super::measure::Measure;
use super::number::Decimal;
use super::pointer::Pointer;
use super::template::Template;
use super::time::TimeFormat;
use super::token::shown;
use super::trie::{Fields, Slot, Trie};
use crate::model::definition::{FeedDefinition, Identity, TimeDefinition};
use crate::model::{
    Decoded, DecodedEvent, Events, Fault, QuantityTable, Readings, Reason, Rejected, Timestamp,
};

/// Where a format has things unless the feed says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    /// The object whose members the quantities are; empty: the document, and paths are pointers.
    pub(super) object: &'static str,
    /// The device's name.
    pub(super) sensor: Option<&'static str>,
    /// The event time, RFC 3339.
    pub(super) time: Option<&'static str>,
    /// The frame counter.
    pub(super) counter: Option<&'static str>,
}

/// The compiled mapping.
#[derive(Debug)]
pub(super) struct Mapping {
    labels: Labels,
    time: Option<Time>,
    counter: Option<Counter>,
    measures: Vec<(Slot, Measure)>,
    /// Theirs, in the same order.
    quantities: QuantityTable,
}

#[derive(Debug)]
struct Time {
    slot: Slot,
    path: Box<str>,
    format: TimeFormat,
}

#[derive(Debug)]
struct Counter {
    slot: Slot,
    path: Box<str>,
    required: bool,
}

impl Mapping {
    /// Checks a feed's table and wants its places from `trie`.
    pub(super) fn compile(
        feed: &FeedDefinition,
        template: &Template,
        places: Places,
        trie: &mut Trie,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let labels = Labels::compile(feed, template, places.sensor, trie, faults);
        let time = Time::compile(feed, places, trie).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let counter = Counter::compile(feed, places, trie).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let mut measures = Vec::with_capacity(feed.quantities.len());
        for (name, definition) in &feed.quantities {
            let measure = Measure::compile(name, definition, faults);
            let pointer = match &definition.path {
                Some(path) if places.object.is_empty() => Pointer::parse(path),
                Some(path) => Pointer::inside(places.object, path),
                None => Pointer::inside(places.object, name),
            };
            match pointer {
                Ok(pointer) => measures.push((trie.text(&pointer), measure)),
                Err(fault) => faults.push(fault.under("path").under(name.as_str()).under("quantity")),
            }
        }
        let quantities = measures.iter().map(|(_, measure)| measure.quantity().clone()).collect();
        Self { labels, time, counter, measures, quantities }
    }

    /// Whether the feed maps no quantity.
    pub(super) fn is_empty(&self) -> bool {
        self.measures.is_empty()
    }

    /// The mapped quantity of a name.
    pub(super) fn measure(&self, name: &str) -> Option<&Measure> {
        self.measures.iter().map(|(_, measure)| measure).find(|measure| measure.name() == name)
    }

    /// The event of a document, without its readings.
    ///
    /// # Errors
    /// The refusal of the message: no time, no sensor, or one that cannot be.
    pub(super) fn event(&self, message: &Message<'_>, fields: &Fields<'_>) -> Result<DecodedEvent, Rejected> {
        Ok(DecodedEvent {
            sensor: self.labels.sensor(message, fields)?,
            tags: self.labels.tags(message, fields)?,
            event_at: self.time.as_ref().map(|time| time.read(fields)).transpose()?,
            counter: match &self.counter {
                Some(counter) => counter.read(fields)?,
                None => None,
            },
            readings: Readings::of(&self.quantities),
        })
    }

    /// Adds the mapped readings to an event, and what was refused to `rejected`.
    pub(super) fn read(&self, fields: &Fields<'_>, event: &mut DecodedEvent, rejected: &mut Vec<Rejected>) {
        for (place, (slot, measure)) in (0..).zip(&self.measures) {
            let Some(raw) = fields.get(*slot) else { continue };
            match measure.value(raw) {
                Ok(value) => event.readings.add(place, value),
                Err(refusal) => rejected.push(refusal),
            }
        }
    }
}

impl Time {
    fn compile(feed: &FeedDefinition, places: Places, trie: &mut Trie) -> Result<Option<Self>, Fault> {
        let own = places.time.map(|path| TimeDefinition { path: path.into(), format: "rfc3339".into() });
        let Some(definition) = feed.time.clone().or(own) else { return Ok(None) };
        let format = TimeFormat::compile(feed, &definition)?;
        let pointer = Pointer::parse(&definition.path).map_err(|fault| fault.under("path").under("time"))?;
        Ok(Some(Self { slot: trie.text(&pointer), path: definition.path.into(), format }))
    }

    fn read(&self, fields: &Fields<'_>) -> Result<Timestamp, Rejected> {
        match (fields.token(self.slot)?, fields.get(self.slot)) {
            (Some(token), Some(raw)) => self.format.read(&token, raw),
            _ => Err(Rejected::message(Reason::MissingField, format!("the time `{}` is missing", self.path))),
        }
    }
}

impl Counter {
    fn compile(feed: &FeedDefinition, places: Places, trie: &mut Trie) -> Result<Option<Self>, Fault> {
        let required = feed.identity == Identity::Sequence;
        let Some(path) = feed.sequence.as_deref().or(places.counter) else {
            if required {
                let remedy = "set `sequence` to the JSON Pointer of the device's own number";
                return Err(Fault::new("nothing gives the sequence number", remedy).under("identity"));
            }
            return Ok(None);
        };
        let pointer = Pointer::parse(path).map_err(|fault| fault.under("sequence"))?;
        Ok(Some(Self { slot: trie.text(&pointer), path: path.into(), required }))
    }

    fn read(&self, fields: &Fields<'_>) -> Result<Option<u64>, Rejected> {
        let (Some(token), Some(raw)) = (fields.token(self.slot)?, fields.get(self.slot)) else {
            let detail = || format!("the sequence number `{}` is missing", self.path);
            return if self.required {
                Err(Rejected::message(Reason::MissingField, detail()))
            } else {
                Ok(None)
            };
        };
        let text = token.text().unwrap_or_default();
        whole(&text).map(Some).ok_or_else(|| {
            let detail = format!("`{}`: {} is no sequence number from 0", self.path, shown(raw));
            Rejected::message(Reason::WrongType, detail)
        })
    }
}

/// A whole number from 0, also in the spellings of writers that know only floats: `7.0`, `1e3`.
fn whole(text: &str) -> Option<u64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number = Decimal::parse(text).ok().filter(|number| number.is_whole())?;
    u64::try_from(number.scaled(0)?).ok()
}

/// What a decoder found in a message of one event; without readings it is none.
pub(super) fn decoded(event: DecodedEvent, rejected: Vec<Rejected>) -> Decoded {
    found(if event.readings.is_empty() { Events::None } else { Events::One(event) }, rejected)
}

/// What a decoder found in a message: events without readings are left out.
pub(super) fn several(mut events: Vec<DecodedEvent>, rejected: Vec<Rejected>) -> Decoded {
    events.retain(|event| !event.readings.is_empty());
    found(events.into(), rejected)
}

/// A message with neither readings nor refusals is refused itself.
#[inline]
fn found(events: Events, mut rejected: Vec<Rejected>) -> Decoded {
    if events.is_empty() && rejected.is_empty() {
        rejected
            .push(Rejected::message(Reason::NoReading, "none of the feed's quantities is in the message"));
    }
    Decoded { events, rejected, ignored: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_are_whole() {
        for (text, want) in
            [("7", Some(7)), ("7.0", Some(7)), ("1e3", Some(1000)), ("18446744073709551615", Some(u64::MAX))]
        {
            assert_eq!(whole(text), want, "{text}");
        }
        for text in ["-1", "7.5", "1e30", "7.0000000000001", "", "x"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
