//! Any JSON object, by the feed's mapping of JSON Pointers.

use super::decoder::Message;
use super::mapping::{Mapping, Places, decoded};
use super::template::Template;
use super::trie::Trie;
use crate::model::definition::FeedDefinition;
use crate::model::{Decoded, Fault, Rejected};

/// The decoder of `decoder = "json"`.
#[derive(Debug)]
pub(super) struct Json {
    trie: Trie,
    mapping: Mapping,
}

impl Json {
    /// Checks and compiles a feed's table.
    pub(super) fn compile(feed: &FeedDefinition, template: &Template, faults: &mut Vec<Fault>) -> Self {
        let mut trie = Trie::default();
        let mapping = Mapping::compile(feed, template, Places::default(), &mut trie, faults);
        if feed.quantities.is_empty() {
            let remedy = "add a table such as [feed.quantity.pm25] with path = \"/pm25\" and its unit";
            faults.push(Fault::new("the feed maps no quantity", remedy).under("quantity"));
        }
        Self { trie, mapping }
    }

    /// Decodes one message.
    ///
    /// # Errors
    /// The refusal of the whole message.
    pub(super) fn decode(&self, message: &Message<'_>) -> Result<Decoded, Rejected> {
        let mut fields = self.trie.fields();
        self.trie.read(message.text, &mut fields)?;
        let mut event = self.mapping.event(message, &fields)?;
        let mut rejected = Vec::new();
        self.mapping.read(&fields, &mut event, &mut rejected);
        Ok(decoded(event, rejected))
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::testing::{decode, faults, readings, reasons, tags};
    use crate::model::{Reason, Timestamp};

    const AIR: &str = r#"
        name = "air"
        topic = "ciudad/{zone}/aire/{sensor}"
        decoder = "json"
        time = { path = "/t" }
        sequence = "/seq"
        tags = { kind = "/meta/kind", zone = "/zone" }
        quantity.pm25 = { unit = "ug/m3", min = 0, max = 1000 }
        quantity.temp = { path = "/t2/0/value", unit = "Cel", decimals = 1 }
    "#;
    const TOPIC: &str = "ciudad/comuna-07/aire/aire-00042";

    #[test]
    fn maps_readings_time_tags_and_sensor() {
        let payload = r#"{"id":"other","t":"2026-03-01T12:00:00.250-05:00","zone":"elsewhere","pm25":23.4,
            "t2":[{"value":18.25}],"meta":{"kind":7},"seq":9}"#;
        let decoded = decode(AIR, TOPIC, payload);
        let event = &decoded.events[0];
        assert_eq!((&*event.sensor, event.counter), ("aire-00042", Some(9)));
        assert_eq!(event.event_at, Timestamp::parse_rfc3339("2026-03-01T17:00:00.25Z"));
        assert_eq!(tags(event), [("kind", "7"), ("zone", "comuna-07")]);
        assert_eq!(readings(event), [("pm25", 23_400_000), ("temp", 182)]);
        assert_eq!(decoded.rejected, []);
    }

    #[test]
    fn one_bad_reading_leaves_its_siblings_alive() {
        let payload = r#"{"t":"2026-03-01T12:00:00Z","pm25":"No Sensor","t2":[{"value":"18.2"}]}"#;
        let decoded = decode(AIR, TOPIC, payload);
        assert_eq!(readings(&decoded.events[0]), [("temp", 182)]);
        assert_eq!(tags(&decoded.events[0]), [("zone", "comuna-07")]);
        assert_eq!(reasons(&decoded), [(Reason::NotANumber, true)]);
        assert_eq!(&*decoded.rejected[0].detail, "pm25: `No Sensor` is not a decimal number");
    }

    #[test]
    fn messages_are_refused_with_their_reason() {
        for (payload, want) in [
            (r#"{"t":"2026-03-01T12:00:00Z"}"#, Reason::NoReading),
            (r#"{"t":"2026-03-01T12:00:00Z","pm25":null}"#, Reason::NoReading),
            (r#"{"pm25":1}"#, Reason::MissingField),
            (r#"{"t":"yesterday","pm25":1}"#, Reason::BadTime),
            (r#"{"t":"1970-01-01T00:00:10Z","pm25":1}"#, Reason::UnsetClock),
            (r#"{"t":"2026-03-01T12:00:00Z","pm25":1,"seq":-1}"#, Reason::WrongType),
            (r#"{"t":"2026-03-01T12:00:00Z","pm25":1,"meta":{"kind":[]}}"#, Reason::WrongType),
            (r#"{"t":"2026-03-01T12:00:00Z","pm25":1,"meta":{"kind":""}}"#, Reason::BadName),
            (r#"{"t":"2026-03-01T12:00:00Z","pm25":1}x"#, Reason::BadJson),
            ("", Reason::BadJson),
        ] {
            let decoded = decode(AIR, TOPIC, payload);
            assert_eq!((decoded.events.len(), reasons(&decoded)), (0, vec![(want, false)]), "{payload}");
        }
        assert_eq!(reasons(&decode(AIR, "ciudad/x/aire/", r#"{"t":1}"#)), [(Reason::BadName, false)]);
    }

    #[test]
    fn the_sensor_can_stand_in_the_payload() {
        let feed = "name = 'r'\ntopic = 'r'\ndecoder = 'json'\nsensor = '/id'\nquantity.v = {}";
        assert_eq!(&*decode(feed, "r", r#"{"id":12,"v":1}"#).events[0].sensor, "12");
        assert_eq!(decode(feed, "r", r#"{"id":12,"v":1}"#).events[0].event_at, None);
        assert_eq!(reasons(&decode(feed, "r", r#"{"v":1}"#)), [(Reason::NoSensor, false)]);
    }

    #[test]
    fn a_string_with_an_escape_is_the_same_after_ones_without() {
        let feed = "name = 'r'\ntopic = 'r'\ndecoder = 'json'\nsensor = '/id'\ntags = { kind = '/k' }\nquantity.v = {}";
        let decoder = crate::decode::testing::decoder(feed);
        let sensor_and_kind = |payload: &str| {
            let decoded = decoder.decode(&crate::decode::testing::arrival("r", payload.as_bytes()));
            let event = &decoded.events[0];
            (event.sensor.to_string(), event.tags[0].1.to_string())
        };
        let want = ("a\u{f1}o".to_owned(), "\"k\"".to_owned());
        for _ in 0..3 {
            assert_eq!(sensor_and_kind(r#"{"id":"ano","k":"k","v":1}"#), ("ano".into(), "k".into()));
            assert_eq!(sensor_and_kind(r#"{"id":"a\u00f1o","k":"\"k\"","v":1}"#), want);
        }
    }

    #[test]
    fn faults_name_their_place_in_the_table() {
        let found = faults(
            "name = 'r'\ntopic = 'r'\ndecoder = 'json'\ntime = { path = 't', format = 'unix' }\nidentity = 'sequence'\n\
             [tags]\nsensor = '/a'\nv = '/b'\n'a b' = '/c'\nx = 'c'\n[quantity.v]\npath = 'v'",
        );
        for want in [
            "topic",
            "time.format",
            "identity",
            "tags.sensor",
            "tags.v",
            "tags.a b",
            "tags.x",
            "quantity.v.path",
        ] {
            assert!(found.iter().any(|place| place == want), "{want} in {found:?}");
        }
        assert_eq!(faults("name = 'r'\ntopic = '{sensor}'\ndecoder = 'json'"), ["quantity"]);
    }
}
