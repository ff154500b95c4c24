//! The Things Stack v3 messages: topic `v3/<app>@<tenant>/devices/<device>/up`.
//!
//! Only uplink messages are measurements. Time is `uplink_message.received_at`, when the network
//! server had it, never the outer `received_at`; the sensor is `end_device_ids.device_id` unless
//! topic or feed name another, the counter `f_cnt`, the values `decoded_payload`, the place of
//! the device `locations.user`.

use super::decoder::{Message, ignored};
use super::mapping::Places;
use super::template::Template;
use super::trie::{Slot, Trie};
use super::uplink::{Server, Uplink, known};
use crate::model::definition::FeedDefinition;
use crate::model::{Decoded, Fault, Reason, Rejected};

const SERVER: Server = Server {
    places: Places {
        object: "/uplink_message/decoded_payload",
        sensor: Some("/end_device_ids/device_id"),
        time: Some("/uplink_message/received_at"),
        counter: Some("/uplink_message/f_cnt"),
    },
    frame: "/uplink_message/frm_payload",
    gateways: "/uplink_message/rx_metadata",
    position: Some(["/uplink_message/locations/user/latitude", "/uplink_message/locations/user/longitude"]),
    remedy: "no codec decoded the payload; configure a payload formatter in The Things Stack",
};

/// Members that tell the kind of a message that is no uplink.
const KINDS: [(&str, &str); 12] = [
    ("/join_accept", "join_accept"),
    ("/uplink_normalized", "uplink_normalized"),
    ("/downlink_ack", "downlink_ack"),
    ("/downlink_nack", "downlink_nack"),
    ("/downlink_sent", "downlink_sent"),
    ("/downlink_failed", "downlink_failed"),
    ("/downlink_queued", "downlink_queued"),
    ("/downlink_queue_invalidated", "downlink_queue_invalidated"),
    ("/downlinks", "downlinks"),
    ("/location_solved", "location_solved"),
    ("/service_data", "service_data"),
    ("/error", "error"),
];

/// The decoder of `decoder = "tts"`.
#[derive(Debug)]
pub(super) struct Tts {
    trie: Trie,
    uplink: Uplink,
    message: Slot,
    kinds: [(Slot, &'static str); 12],
}

impl Tts {
    /// Checks and compiles a feed's table.
    pub(super) fn compile(feed: &FeedDefinition, template: &Template, faults: &mut Vec<Fault>) -> Self {
        let mut trie = Trie::default();
        Self {
            uplink: Uplink::compile(feed, template, SERVER, &mut trie, faults),
            message: trie.presence(&known("/uplink_message")),
            kinds: KINDS.map(|(path, kind)| (trie.text(&known(path)), kind)),
            trie,
        }
    }

    /// Decodes one message.
    ///
    /// # Errors
    /// The refusal of the whole message.
    pub(super) fn decode(&self, message: &Message<'_>) -> Result<Decoded, Rejected> {
        if let Some(kind) = other_by_topic(message.topic) {
            return Ok(ignored(kind));
        }
        let mut fields = self.trie.fields();
        self.trie.read(message.text, &mut fields)?;
        if fields.has(self.message) {
            return self.uplink.decode(message, &fields);
        }
        match self.kinds.iter().find(|(slot, _)| fields.has(*slot)) {
            Some((_, kind)) => Ok(ignored(kind)),
            None => {
                let detail = "`/uplink_message` is missing: no message of The Things Stack v3";
                Err(Rejected::message(Reason::MissingField, detail))
            }
        }
    }
}

/// The kind of a message that is no uplink, where its topic is the server's own:
/// `v3/<app>/devices/<device>/<kind>[/<detail>]`.
fn other_by_topic(topic: &str) -> Option<&'static str> {
    let mut levels = topic.strip_prefix("v3/")?.split('/').skip(1);
    if levels.next() != Some("devices") {
        return None;
    }
    match (levels.nth(1)?, levels.next()) {
        ("up", None) => None,
        ("up", Some("normalized")) => Some("uplink_normalized"),
        ("join", _) => Some("join_accept"),
        ("down", Some("ack")) => Some("downlink_ack"),
        ("down", Some("nack")) => Some("downlink_nack"),
        ("down", Some("sent")) => Some("downlink_sent"),
        ("down", Some("failed")) => Some("downlink_failed"),
        ("down", Some("queued")) => Some("downlink_queued"),
        ("down", _) => Some("downlinks"),
        ("location", _) => Some("location_solved"),
        ("service", _) => Some("service_data"),
        _ => Some("other"),
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::testing::{decode, readings, reasons};
    use crate::model::{Reason, Timestamp};

    const FEED: &str = r#"
        name = "river"
        topic = "v3/{app}/devices/{device}/#"
        decoder = "tts"
        quantity.level_cm = { unit = "cm" }
        quantity.rain_mm = { unit = "mm", max = 100 }
    "#;
    const TOPIC: &str = "v3/rio@ttn/devices/rio-01/up";
    const UP: &str = r#"{"end_device_ids":{"device_id":"rio-01"},"received_at":"2026-03-01T12:00:01Z",
        "uplink_message":{"f_cnt":3,"f_port":1,"frm_payload":"AQ==","decoded_payload":{"level_cm":312,"rain_mm":140,"battery_v":3.6},
        "rx_metadata":[{"gateway_ids":{},"rssi":-35,"channel_rssi":-35,"snr":5.2}],"received_at":"2026-03-01T12:00:00.123456789Z",
        "locations":{"user":{"latitude":6.25,"longitude":-75.56,"altitude":1500}}}}"#;

    #[test]
    fn an_uplink_gives_its_payload_link_quality_and_place() {
        let decoded = decode(FEED, TOPIC, UP);
        let event = &decoded.events[0];
        assert_eq!((&*event.sensor, event.counter), ("rio-01", Some(3)));
        assert_eq!(event.event_at, Timestamp::parse_rfc3339("2026-03-01T12:00:00.123456789Z"));
        let want = [
            ("level_cm", 312_000_000),
            ("rssi", -35_000_000),
            ("snr", 5_200_000),
            ("lat", 6_250_000),
            ("lon", -75_560_000),
        ];
        assert_eq!(readings(event), want);
        assert_eq!(reasons(&decoded), [(Reason::OutOfRange, true)]);
    }

    #[test]
    fn a_payload_with_its_own_place_keeps_it() {
        let feed = "name = 'x'\ntopic = 'x'\ndecoder = 'tts'";
        let moving = UP.replace("\"battery_v\":3.6", "\"lat\":1,\"rssi\":2");
        let want = [
            ("lat", 1_000_000),
            ("level_cm", 312_000_000),
            ("rain_mm", 140_000_000),
            ("rssi", 2_000_000),
            ("snr", 5_200_000),
        ];
        assert_eq!(readings(&decode(feed, "x", &moving).events[0]), want);
    }

    #[test]
    fn other_messages_are_ignored_by_topic_or_by_members() {
        for (level, kind) in [
            ("join", "join_accept"),
            ("down/sent", "downlink_sent"),
            ("service/data", "service_data"),
            ("up/normalized", "uplink_normalized"),
            ("new", "other"),
        ] {
            assert_eq!(decode(FEED, &format!("v3/rio@ttn/devices/rio-01/{level}"), "").ignored, Some(kind));
        }
        let feed = "name = 'x'\ntopic = 'x'\ndecoder = 'tts'";
        for (path, kind) in super::KINDS {
            assert_eq!(decode(feed, "x", &format!("{{\"{}\":{{}}}}", &path[1..])).ignored, Some(kind));
        }
        let empty = r#"{"end_device_ids":{"device_id":"x"},"uplink_message":{"f_cnt":1}}"#;
        assert_eq!(decode(feed, "x", empty).ignored, Some("empty_uplink"));
    }

    #[test]
    fn a_missing_codec_and_foreign_messages_say_so() {
        let undecoded = decode(FEED, TOPIC, r#"{"uplink_message":{"frm_payload":"AQ=="}}"#);
        assert!(undecoded.rejected[0].detail.contains("configure a payload formatter"));
        assert_eq!(reasons(&decode(FEED, TOPIC, r#"{"level_cm":3}"#)), [(Reason::MissingField, false)]);
        let timeless = UP.replace("\"received_at\":\"2026-03-01T12:00:00.123456789Z\",", "");
        assert_eq!(reasons(&decode(FEED, TOPIC, &timeless)), [(Reason::MissingField, false)]);
    }
}
