//! What the LoRaWAN network servers have in common: an envelope around an object of values that
//! the server's payload codec decoded, with the link quality of each gateway that heard it.
//!
//! - Quantities are members of the object: a plain name, or a JSON Pointer inside it. A feed
//!   without quantities takes every number and boolean of the object, nested ones as `a_b`.
//! - `rssi` (dBm) and `snr` (dB) of the gateway that heard best, and `lat`, `lon` (degrees) where
//!   the server knows the device's place, are added to an event that has readings of its own,
//!   unless it has readings of those names already.
//! - An uplink whose frame is empty carries no measurement; one with bytes but without the
//!   object lacks a codec, and its refusal says so.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decoder::{Message, ignored};
use super::mapping::{Mapping, Places, decoded};
use super::measure::Measure;
use super::pointer::Pointer;
use super::template::Template;
use super::trie::{Fields, Slot, Trie};
use crate::model::decimal::DECIMALS;
use crate::model::definition::FeedDefinition;
use crate::model::{Decoded, DecodedEvent, Fault, Reason, Rejected, Value};

/// The most readings that are taken from an object without a quantity table.
pub(super) const READINGS_MAX: usize = 256;
/// The deepest nesting of such an object.
pub(super) const DEPTH_MAX: usize = 8;

/// Where a network server's envelope has things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server {
    /// Values, time, sensor and counter.
    pub(super) places: Places,
    /// The undecoded bytes.
    pub(super) frame: &'static str,
    /// The list of gateways, each with `rssi` and `snr`.
    pub(super) gateways: &'static str,
    /// Latitude and longitude of the device.
    pub(super) position: Option<[&'static str; 2]>,
    /// What an operator does when values are missing.
    pub(super) remedy: &'static str,
}

/// Reads the uplinks of one feed.
#[derive(Debug)]
pub(super) struct Uplink {
    mapping: Mapping,
    server: Server,
    object: Slot,
    frame: Slot,
    gateways: Slot,
    position: Option<[Slot; 2]>,
    link: [Measure; 2],
    place: [Measure; 2],
}

/// One gateway that heard the uplink.
#[derive(Deserialize)]
struct Gateway<'a> {
    #[serde(borrow, default)]
    rssi: Option<&'a RawValue>,
    #[serde(borrow, default)]
    snr: Option<&'a RawValue>,
}

impl Uplink {
    /// Checks and compiles a feed's table; `trie` has what the server's own decoder wants.
    pub(super) fn compile(
        feed: &FeedDefinition,
        template: &Template,
        server: Server,
        trie: &mut Trie,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mapping = Mapping::compile(feed, template, server.places, trie, faults);
        let measure = |(name, unit): (&str, &str)| {
            mapping.measure(name).cloned().unwrap_or_else(|| Measure::own(name, unit))
        };
        let object = known(server.places.object);
        Self {
            object: if mapping.is_empty() { trie.text(&object) } else { trie.presence(&object) },
            frame: trie.text(&known(server.frame)),
            gateways: trie.text(&known(server.gateways)),
            position: server.position.map(|paths| paths.map(|path| trie.text(&known(path)))),
            link: [("rssi", "dBm"), ("snr", "dB")].map(measure),
            place: [("lat", "deg"), ("lon", "deg")].map(measure),
            mapping,
            server,
        }
    }

    /// Decodes the fields of one uplink.
    ///
    /// # Errors
    /// The refusal of the whole message.
    pub(super) fn decode(&self, message: &Message<'_>, fields: &Fields<'_>) -> Result<Decoded, Rejected> {
        let Some(object) = self.object(fields) else {
            let empty = fields.get(self.frame).is_none_or(|frame| frame == "\"\"");
            return if empty { Ok(ignored("empty_uplink")) } else { Err(self.undecoded()) };
        };
        let mut event = self.mapping.event(message, fields)?;
        let mut rejected = Vec::new();
        if self.mapping.is_empty() {
            read_all(object, &mut event, &mut rejected)?;
        } else {
            self.mapping.read(fields, &mut event, &mut rejected);
        }
        if !event.readings.is_empty() {
            let best = fields.get(self.gateways).and_then(best_gateway).unwrap_or_default();
            for (measure, raw) in self.link.iter().zip(best) {
                add(measure, raw, &mut event, &mut rejected);
            }
            self.add_place(fields, &mut event, &mut rejected);
        }
        Ok(decoded(event, rejected))
    }

    /// Whether a codec decoded the payload.
    pub(super) fn is_decoded(&self, fields: &Fields<'_>) -> bool {
        self.object(fields).is_some()
    }

    fn object<'a>(&self, fields: &Fields<'a>) -> Option<&'a str> {
        fields.get(self.object).filter(|raw| raw.starts_with(['{', '[']))
    }

    /// Both coordinates are the server's, or neither is.
    fn add_place(&self, fields: &Fields<'_>, event: &mut DecodedEvent, rejected: &mut Vec<Rejected>) {
        let placed = self.place.iter().any(|measure| has(event, measure.name()));
        let Some(slots) = self.position.filter(|_| !placed) else { return };
        let [Some(lat), Some(lon)] = slots.map(|slot| fields.get(slot)) else { return };
        for (measure, raw) in self.place.iter().zip([lat, lon]) {
            add(measure, Some(raw), event, rejected);
        }
    }

    fn undecoded(&self) -> Rejected {
        let detail = format!("`{}` is missing: {}", self.server.places.object, self.server.remedy);
        Rejected::message(Reason::MissingField, detail)
    }
}

/// A pointer written in this program.
pub(super) fn known(path: &'static str) -> Pointer {
    let pointer = Pointer::parse(path);
    debug_assert!(pointer.is_ok(), "{path} is written in this program");
    pointer.unwrap_or_default()
}

fn has(event: &DecodedEvent, name: &str) -> bool {
    event.readings.iter().any(|reading| &*reading.quantity.name == name)
}

fn add(measure: &Measure, raw: Option<&str>, event: &mut DecodedEvent, rejected: &mut Vec<Rejected>) {
    let Some(raw) = raw.filter(|_| !has(event, measure.name())) else { return };
    match measure.read(raw) {
        Ok(reading) => event.readings.push(reading),
        Err(refusal) => rejected.push(refusal),
    }
}

/// `rssi` and `snr` of the gateway with the highest rssi, of equal ones the highest snr, so that
/// the order of the gateways does not matter. Link quality in another shape is none.
fn best_gateway(raw: &str) -> Option<[Option<&str>; 2]> {
    let gateways: Vec<Gateway<'_>> = serde_json::from_str(raw).ok()?;
    let level = |raw: Option<&RawValue>| Value::parse(raw?.get().as_bytes(), DECIMALS).ok();
    let heard =
        gateways.iter().filter_map(|gateway| Some((level(gateway.rssi)?, level(gateway.snr), gateway)));
    let (_, _, best) = heard.max_by_key(|(rssi, snr, _)| (*rssi, *snr))?;
    Some([best.rssi, best.snr].map(|raw| raw.map(RawValue::get)))
}

/// Takes every number and boolean of an object.
fn read_all(object: &str, event: &mut DecodedEvent, rejected: &mut Vec<Rejected>) -> Result<(), Rejected> {
    let mut levels = vec![(String::new(), object, 1)];
    while let Some((prefix, object, depth)) = levels.pop() {
        // In the order of their names, so that the order of members does not matter.
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(object).unwrap_or_default();
        for (key, raw) in members {
            let name = if prefix.is_empty() { key } else { format!("{prefix}_{key}") };
            match raw.get().as_bytes().first() {
                Some(b'{') if depth < DEPTH_MAX => levels.push((name, raw.get(), depth + 1)),
                Some(b'{') => return Err(too_complex("an object nested deeper", DEPTH_MAX)),
                Some(b'-' | b'0'..=b'9' | b't' | b'f') if event.readings.len() < READINGS_MAX => {
                    match Measure::called(&name, "").filter(|measure| !has(event, measure.name())) {
                        Some(measure) => add(&measure, Some(raw.get()), event, rejected),
                        None => rejected.push(unnamed(&name)),
                    }
                }
                Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                    return Err(too_complex("more readings", READINGS_MAX));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn unnamed(name: &str) -> Rejected {
    let detail = format!("{} gives no quantity a name of its own", super::token::shown(name));
    Rejected::reading(Reason::BadName, detail)
}

fn too_complex(what: &str, limit: usize) -> Rejected {
    let detail = format!("{what} than {limit}; map the wanted quantities in the feed's quantity table");
    Rejected::message(Reason::TooComplex, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_gateway_does_not_depend_on_the_order() {
        for raw in [
            r#"[{"rssi":-90,"snr":7.5},{"rssi":-36,"snr":5},{"rssi":-36,"snr":10.5},{"snr":30}]"#,
            r#"[{"snr":30},{"rssi":-36,"snr":10.5,"x":{}},{"rssi":-36,"snr":5},{"rssi":-90}]"#,
        ] {
            assert_eq!(best_gateway(raw), Some([Some("-36"), Some("10.5")]));
        }
        assert_eq!(best_gateway(r#"[{"rssi":0}]"#), Some([Some("0"), None]));
        for raw in ["[]", "{}", "[1]", r#"[{"rssi":"far"}]"#, r#"[{"rssi":null}]"#] {
            assert_eq!(best_gateway(raw), None, "{raw}");
        }
    }
}
