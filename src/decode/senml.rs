//! SenML JSON packs, RFC 8428: one event per device and time.
//!
//! - The device is the topic's `{sensor}`, else the first part of the record's name, the quantity
//!   the rest ([`ResolvedRecord::parts`]). A record that has no rest is known by its unit.
//! - A record is the quantity whose `path` (by default its name) is the rest of the record's name,
//!   or, for a record known by its unit, whose unit that is. `lat` and `lon` in the units of the
//!   same names are positions and taken without being mapped. Other records are passed over.
//! - A feed without a quantity table takes every number and boolean, by name and unit.
//! - A pack without times has none of its own: its event carries the arrival time.
//! - Two values of one quantity at one time: equal ones are one, different ones a conflict of
//!   which the first stays.

use std::sync::Arc;

use hashbrown::HashMap;

use super::decoder::Message;
use super::labels::{Labels, label};
use super::mapping::several;
use super::measure::Measure;
pub use super::pack::{Measured, ResolvedRecord};
use super::template::Template;
use super::time::plausible;
use super::trie::Fields;
use super::{PAYLOAD_BYTES_MAX, pack};
use crate::model::definition::FeedDefinition;
use crate::model::{
    Decoded, DecodedEvent, DecodedReading, Fault, Readings, Reason, Rejected, TagSet, Timestamp,
};

/// Reads a pack and applies its base fields to its records; `arrived_at` is the "now" of relative
/// times.
///
/// # Errors
/// The refusal of the whole pack.
pub fn resolve(payload: &[u8], arrived_at: Timestamp) -> Result<Vec<ResolvedRecord<'_>>, Rejected> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Rejected::message(Reason::TooLarge, format!("the pack has {} bytes", payload.len())));
    }
    let text = std::str::from_utf8(payload).map_err(|error| {
        Rejected::message(Reason::BadText, format!("no UTF-8 from byte {}", error.valid_up_to()))
    })?;
    pack::resolve(text, arrived_at)
}

/// The decoder of `decoder = "senml"`.
#[derive(Debug)]
pub(super) struct Senml {
    labels: Labels,
    /// By the rest of the record's name.
    measures: Vec<(Box<str>, Measure)>,
    places: [Measure; 2],
}

/// Events under way, found again by device and time.
#[derive(Default)]
struct Events {
    events: Vec<DecodedEvent>,
    known: HashMap<(Arc<str>, Option<Timestamp>), usize>,
}

impl Senml {
    /// Checks and compiles a feed's table.
    pub(super) fn compile(feed: &FeedDefinition, template: &Template, faults: &mut Vec<Fault>) -> Self {
        let mut measures = Vec::with_capacity(feed.quantities.len());
        for (name, definition) in &feed.quantities {
            let path = definition.path.as_deref().unwrap_or(name);
            measures.push((path.into(), Measure::compile(name, definition, faults)));
        }
        let places = [Measure::own("lat", "deg"), Measure::own("lon", "deg")];
        Self { labels: Labels::of_topic(template), measures, places }
    }

    /// Decodes one message.
    ///
    /// # Errors
    /// The refusal of the whole message.
    pub(super) fn decode(&self, message: &Message<'_>) -> Result<Decoded, Rejected> {
        let records = pack::resolve(message.text, message.arrived_at)?;
        let fields = Fields::default();
        let tags = self.labels.tags(message, &fields)?;
        let named = self.labels.names_sensor();
        let sensor = if named { Some(self.labels.sensor(message, &fields)?) } else { None };
        let mut events = Events::default();
        let mut rejected = Vec::new();
        for record in &records {
            let added = self.read(record).and_then(|reading| match reading {
                Some(reading) => events.add(record, sensor.as_ref(), &tags, reading),
                None => Ok(()),
            });
            rejected.extend(added.err().map(|refusal| Rejected { reading: true, ..refusal }));
        }
        Ok(several(events.events, rejected))
    }

    /// The reading of a record; `None` when nobody asked for it.
    fn read(&self, record: &ResolvedRecord<'_>) -> Result<Option<DecodedReading>, Rejected> {
        let Some(value) = &record.value else { return Ok(None) };
        let unit = record.unit.as_deref().unwrap_or_default();
        let (_, quantity) = record.parts();
        let key = if quantity.is_empty() { unit } else { quantity };
        if !self.measures.is_empty() {
            return match self.measure(key, unit, quantity.is_empty()) {
                Some(measure) => measured(measure, value).map(Some),
                None => Ok(None),
            };
        }
        if !matches!(value, Measured::Number(_) | Measured::TooLong | Measured::Bool(_)) {
            return Ok(None);
        }
        let unit = if matches!(unit, "lat" | "lon") { "deg" } else { unit };
        let measure = Measure::called(key, unit).ok_or_else(|| {
            let detail = format!("{} gives no quantity a name", super::token::shown(&record.name));
            Rejected::reading(Reason::BadName, detail)
        })?;
        measured(&measure, value).map(Some)
    }

    fn measure(&self, key: &str, unit: &str, by_unit: bool) -> Option<&Measure> {
        let wanted =
            |(path, measure): &&(Box<str>, Measure)| **path == *key || (by_unit && measure.unit() == unit);
        let mapped = self.measures.iter().find(wanted).map(|(_, measure)| measure);
        mapped.or_else(|| self.places.iter().find(|place| place.name() == key && key == unit))
    }
}

impl Events {
    fn add(
        &mut self,
        record: &ResolvedRecord<'_>,
        sensor: Option<&Arc<str>>,
        tags: &TagSet,
        reading: DecodedReading,
    ) -> Result<(), Rejected> {
        let sensor = match (sensor, record.parts().0) {
            (Some(sensor), _) => sensor.clone(),
            (None, "") => {
                let detail = format!("{} names no device", super::token::shown(&record.name));
                return Err(Rejected::reading(Reason::NoSensor, detail));
            }
            (None, device) => label("sensor", device)?,
        };
        let event_at = if record.timed { Some(plausible(record.at)?) } else { None };
        let next = self.events.len();
        let at = *self.known.entry((sensor.clone(), event_at)).or_insert(next);
        if at == next {
            let tags = tags.clone();
            self.events.push(DecodedEvent {
                sensor,
                tags,
                event_at,
                counter: None,
                readings: Readings::default(),
            });
        }
        let Some(event) = self.events.get_mut(at) else { return Ok(()) };
        let name = &reading.quantity.name;
        let known = event.readings.iter().find(|known| known.quantity.name == *name).map(|known| known.value);
        match known {
            None => event.readings.push(reading),
            Some(value) if value == reading.value => {}
            Some(_) => {
                let detail = format!("{name}: a second value at the same time");
                return Err(Rejected::reading(Reason::Conflict, detail));
            }
        }
        Ok(())
    }
}

fn measured(measure: &Measure, value: &Measured<'_>) -> Result<DecodedReading, Rejected> {
    let name = measure.name();
    match value {
        Measured::Number(number) => measure.read_decimal(*number),
        Measured::Bool(value) => measure.read(if *value { "true" } else { "false" }),
        Measured::Text(text) => measure.read_text(text),
        Measured::TooLong => {
            Err(Rejected::reading(Reason::OutOfRange, format!("{name}: the number has too many digits")))
        }
        Measured::Other(what) => {
            Err(Rejected::reading(Reason::WrongType, format!("{name}: {what} where a number is due")))
        }
    }
}
