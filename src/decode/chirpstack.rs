//! ChirpStack v4 events, JSON marshaler: topic `application/<id>/device/<devEui>/event/<type>`.
//!
//! Only `up` is a measurement. What kind an event is, its topic says; where a bridge has renamed
//! topics, its members do. Time is `time`, the sensor `deviceInfo.devEui` unless topic or feed
//! name another, the counter `fCnt`, the values `object`.

use super::decoder::{Message, ignored};
use super::mapping::Places;
use super::template::Template;
use super::trie::{Fields, Slot, Trie};
use super::uplink::{Server, Uplink, known};
use crate::model::definition::FeedDefinition;
use crate::model::{Decoded, Fault, Reason, Rejected};

const SERVER: Server = Server {
    places: Places {
        object: "/object",
        sensor: Some("/deviceInfo/devEui"),
        time: Some("/time"),
        counter: Some("/fCnt"),
    },
    frame: "/data",
    gateways: "/rxInfo",
    position: None,
    remedy: "no codec decoded the payload; configure a codec in the device profile in ChirpStack",
};

/// Events that are no uplinks, by their `<type>`.
const KINDS: [&str; 7] = ["join", "status", "ack", "txack", "log", "location", "integration"];
/// Members that only one kind has, the more telling first.
const MARKS: [(&str, &str); 8] = [
    ("/integrationName", "integration"),
    ("/gatewayId", "txack"),
    ("/queueItemId", "ack"),
    ("/code", "log"),
    ("/location", "location"),
    ("/margin", "status"),
    ("/batteryLevel", "status"),
    ("/externalPowerSource", "status"),
];
/// Members that only uplinks have.
const UPLINK: [&str; 4] = ["/rxInfo", "/data", "/fPort", "/fCnt"];

/// The decoder of `decoder = "chirpstack"`.
#[derive(Debug)]
pub(super) struct Chirpstack {
    trie: Trie,
    uplink: Uplink,
    device: Slot,
    legacy: Slot,
    marks: [(Slot, &'static str); 8],
    uplink_marks: [Slot; 4],
}

impl Chirpstack {
    /// Checks and compiles a feed's table.
    pub(super) fn compile(feed: &FeedDefinition, template: &Template, faults: &mut Vec<Fault>) -> Self {
        let mut trie = Trie::default();
        let uplink = Uplink::compile(feed, template, SERVER, &mut trie, faults);
        Self {
            uplink,
            device: trie.presence(&known("/deviceInfo")),
            legacy: trie.text(&known("/devEUI")),
            marks: MARKS.map(|(path, kind)| (trie.text(&known(path)), kind)),
            uplink_marks: UPLINK.map(|path| trie.text(&known(path))),
            trie,
        }
    }

    /// Decodes one message.
    ///
    /// # Errors
    /// The refusal of the whole message.
    pub(super) fn decode(&self, message: &Message<'_>) -> Result<Decoded, Rejected> {
        let by_topic = kind_by_topic(message.topic);
        if let Some(kind) = by_topic.filter(|kind| *kind != "up") {
            return Ok(ignored(kind));
        }
        let mut fields = self.trie.fields();
        self.trie.read(message.text, &mut fields)?;
        if !fields.has(self.device) {
            return Err(self.foreign(&fields));
        }
        match by_topic.unwrap_or_else(|| self.kind_by_members(&fields)) {
            "up" => self.uplink.decode(message, &fields),
            kind => Ok(ignored(kind)),
        }
    }

    fn kind_by_members(&self, fields: &Fields<'_>) -> &'static str {
        let is_uplink =
            self.uplink.is_decoded(fields) || self.uplink_marks.iter().any(|slot| fields.has(*slot));
        match self.marks.iter().find(|(slot, _)| fields.has(*slot)) {
            Some((_, kind)) => kind,
            None if is_uplink => "up",
            None => "join",
        }
    }

    fn foreign(&self, fields: &Fields<'_>) -> Rejected {
        let detail = if fields.has(self.legacy) {
            "`/deviceInfo` is missing: an event of ChirpStack v3; this decoder reads v4"
        } else {
            "`/deviceInfo` is missing: no event of ChirpStack v4 in its JSON form"
        };
        Rejected::message(Reason::MissingField, detail)
    }
}

/// The `<type>` of `.../event/<type>`.
fn kind_by_topic(topic: &str) -> Option<&'static str> {
    let mut levels = topic.rsplit('/');
    let kind = levels.next()?;
    if levels.next() != Some("event") {
        return None;
    }
    let known = KINDS.iter().copied().find(|known| *known == kind);
    Some(known.unwrap_or(if kind == "up" { "up" } else { "other" }))
}

#[cfg(test)]
mod tests {
    use crate::decode::testing::{decode, readings, reasons, tags};
    use crate::model::{Reason, Timestamp};

    const FEED: &str = r#"
        name = "air-lora"
        topic = "application/{app}/device/{dev_eui}/event/#"
        decoder = "chirpstack"
        tags = { zone = "/deviceInfo/tags/zone" }
        quantity.pm25 = { unit = "ug/m3" }
        quantity.temp = { path = "/env/t", unit = "Cel" }
        quantity.lat = { unit = "deg" }
    "#;
    const TOPIC: &str = "application/1/device/24e124/event/up";
    const UP: &str = r#"{"time":"2026-03-01T12:00:00.5+00:00","deduplicationId":"x",
        "deviceInfo":{"devEui":"24e124","tags":{"zone":"comuna-01"}},"fCnt":7,"fPort":2,"data":"AQ==",
        "object":{"pm25":23.4,"env":{"t":"18.5","deep":{"on":true}},"lat":6.25,"note":"x","list":[1]},
        "rxInfo":[{"gatewayId":"a","rssi":-90,"snr":1},{"gatewayId":"b","rssi":-40,"snr":9.5}]}"#;

    #[test]
    fn an_uplink_gives_its_object_and_its_link_quality() {
        let decoded = decode(FEED, TOPIC, UP);
        let event = &decoded.events[0];
        assert_eq!((&*event.sensor, event.counter), ("24e124", Some(7)));
        assert_eq!(event.event_at, Timestamp::parse_rfc3339("2026-03-01T12:00:00.5Z"));
        assert_eq!(tags(event), [("app", "1"), ("dev_eui", "24e124"), ("zone", "comuna-01")]);
        let want = [
            ("lat", 6_250_000),
            ("pm25", 23_400_000),
            ("temp", 18_500_000),
            ("rssi", -40_000_000),
            ("snr", 9_500_000),
        ];
        assert_eq!(readings(event), want);
        assert_eq!(decoded.rejected, []);
    }

    #[test]
    fn without_a_quantity_table_every_number_is_taken() {
        let feed = "name = 'x'\ntopic = 'lora/{sensor}'\ndecoder = 'chirpstack'";
        let decoded = decode(feed, "lora/here", UP);
        assert_eq!(&*decoded.events[0].sensor, "here");
        let want = [
            ("lat", 6_250_000),
            ("pm25", 23_400_000),
            ("env_deep_on", 1_000_000),
            ("rssi", -40_000_000),
            ("snr", 9_500_000),
        ];
        assert_eq!(readings(&decoded.events[0]), want);
        let units: Vec<&str> =
            decoded.events[0].readings.iter().map(|reading| &*reading.quantity.unit).collect();
        assert_eq!(units, ["deg", "", "", "dBm", "dB"]);
    }

    #[test]
    fn names_that_collide_and_objects_without_end_are_refused() {
        let feed = "name = 'x'\ntopic = '{sensor}'\ndecoder = 'chirpstack'";
        let event = |object: &str| {
            format!(r#"{{"time":"2026-03-01T12:00:00Z","deviceInfo":{{}},"object":{object}}}"#)
        };
        let decoded = decode(feed, "s", &event(r#"{"a-b":1,"a_b":2,"%":3}"#));
        assert_eq!(readings(&decoded.events[0]), [("a_b", 1_000_000)]);
        assert_eq!(reasons(&decoded), [(Reason::BadName, true), (Reason::BadName, true)]);
        let deep = format!("{}1{}", r#"{"a":"#.repeat(9), "}".repeat(9));
        assert_eq!(reasons(&decode(feed, "s", &event(&deep))), [(Reason::TooComplex, false)]);
        let wide: Vec<String> = (0..257).map(|n| format!("\"q{n}\":1")).collect();
        let wide = format!("{{{}}}", wide.join(","));
        assert_eq!(reasons(&decode(feed, "s", &event(&wide))), [(Reason::TooComplex, false)]);
        assert_eq!(reasons(&decode(feed, "s", &event("{}"))), [(Reason::NoReading, false)]);
        assert_eq!(reasons(&decode(feed, "s", &event("[1]"))), [(Reason::NoReading, false)]);
    }

    #[test]
    fn other_events_are_ignored_by_topic_or_by_members() {
        for kind in super::KINDS {
            let topic = format!("application/1/device/24e124/event/{kind}");
            assert_eq!(decode(FEED, &topic, "{").ignored, Some(kind));
        }
        assert_eq!(decode(FEED, "application/1/device/x/event/new", "").ignored, Some("other"));
        let feed = "name = 'x'\ntopic = 'lora/{sensor}'\ndecoder = 'chirpstack'";
        let empty = r#"{"deviceInfo":{"devEui":"1"},"fPort":0,"rxInfo":[]}"#;
        assert_eq!(decode(feed, "lora/x", empty).ignored, Some("empty_uplink"));
        assert_eq!(decode(feed, "lora/x", r#"{"deviceInfo":{},"devAddr":"1"}"#).ignored, Some("join"));
        assert_eq!(decode(feed, "lora/x", r#"{"deviceInfo":{},"batteryLevel":1.5}"#).ignored, Some("status"));
    }

    #[test]
    fn a_missing_codec_and_another_version_say_so() {
        let undecoded = decode(FEED, TOPIC, r#"{"deviceInfo":{"devEui":"1"},"data":"AQ=="}"#);
        assert_eq!(reasons(&undecoded), [(Reason::MissingField, false)]);
        assert!(undecoded.rejected[0].detail.contains("configure a codec"));
        let legacy = decode(FEED, TOPIC, r#"{"devEUI":"1","objectJSON":"{}"}"#);
        assert!(legacy.rejected[0].detail.contains("v3"));
        assert_eq!(reasons(&decode(FEED, TOPIC, "[]")), [(Reason::MissingField, false)]);
    }
}
