//! No input panics, and whatever comes out keeps the promises of [`Decoded`].

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Decoder;
use super::testing::{TIME, arrival, decoder, document};
use crate::model::Decoded;

fn feeds() -> Vec<(Decoder, &'static str)> {
    [
        ("topic = 'a/{zone}/{sensor}'\ndecoder = 'json'\ntime = { path = '/t' }\nsequence = '/n'\ntags = { k = '/a/k' }\n\
          quantity.v = { path = '/v', min = -5 }\nquantity.w = { path = '/a/0' }\nquantity.x = { path = '/a/x' }", "a/b/c"),
        ("topic = '{sensor}'\ndecoder = 'json'\ntime = { path = '/t', format = '%Y-%m-%d %H:%M:%S' }\nquantity.v = { path = '' }", "s"),
        ("topic = '#'\ndecoder = 'senml'", "s"),
        ("topic = '{sensor}'\ndecoder = 'senml'\nquantity.v = {}\nquantity.w = { unit = 'Cel' }", "s"),
        ("topic = '#'\ndecoder = 'chirpstack'", "s"),
        ("topic = '{sensor}'\ndecoder = 'chirpstack'\nquantity.v = {}\nquantity.w = { path = '/a/0' }", "s"),
        ("topic = '#'\ndecoder = 'tts'", "s"),
        ("topic = '{sensor}'\ndecoder = 'tts'\nquantity.v = {}", "s"),
        ("topic = '{sensor}'\ndecoder = 'scalar'\nquantity.v = { decimals = 2 }", "s"),
    ]
    .into_iter()
    .map(|(feed, topic)| (decoder(&format!("name = 'x'\n{feed}")), topic))
    .collect()
}

fn check(decoded: &Decoded) {
    assert!(decoded.ignored.is_some() || !decoded.events.is_empty() || !decoded.rejected.is_empty());
    for event in decoded.events.iter() {
        assert!(!event.readings.is_empty() && !event.sensor.is_empty());
        assert!(event.tags.is_sorted_by(|one, other| one.0 < other.0));
        let names: BTreeSet<&str> = event.readings.iter().map(|reading| &*reading.quantity.name).collect();
        assert_eq!(names.len(), event.readings.len());
    }
    for rejected in &decoded.rejected {
        assert!(rejected.detail.len() < 2_000, "{}", rejected.detail);
    }
}

fn check_all(payload: &[u8]) {
    for (decoder, topic) in feeds() {
        let decoded = decoder.decode(&arrival(topic, payload));
        check(&decoded);
        assert_eq!(decoder.decode(&arrival(topic, payload)), decoded, "decoding is a pure function");
    }
}

proptest! {
    #[test]
    fn any_bytes(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        check_all(&payload);
    }

    #[test]
    fn any_document_and_any_cut_or_changed_byte(document in document(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut payload = document.to_string().into_bytes();
        check_all(&payload);
        let at = at.index(payload.len());
        payload[at] = byte;
        check_all(&payload);
        payload.truncate(at);
        check_all(&payload);
    }

    #[test]
    fn envelopes_with_any_content(object in document(), metadata in document()) {
        let chirpstack = serde_json::json!({"time": TIME, "deviceInfo": {"devEui": "1"}, "object": object, "rxInfo": metadata});
        check_all(chirpstack.to_string().as_bytes());
        let tts = serde_json::json!({"end_device_ids": {"device_id": "1"}, "uplink_message":
            {"received_at": TIME, "decoded_payload": object, "rx_metadata": metadata}});
        check_all(tts.to_string().as_bytes());
    }
}

#[test]
fn brackets_and_long_texts() {
    for unit in [
        "[",
        "{\"a\":",
        "\"",
        "9",
        "\\",
        "[{\"v\":",
        "[{},",
        "{\"object\":",
        "{\"uplink_message\":{\"decoded_payload\":",
        " ",
        "\u{0}",
    ] {
        check_all(unit.repeat(200_000 / unit.len()).as_bytes());
    }
}
