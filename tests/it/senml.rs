//! SenML packs of RFC 8428 over MQTT: the readings are the resolved records.

use serde_json::Value;

use crate::harness::mqtt::publish;
use crate::harness::peers::corpus;
use crate::harness::wait::utc_ms;
use crate::harness::{Mosquitto, Site, eventually, seconds};

/// A pack in the RFC and, beside it, its resolved records; whether it says absolute times.
const PACKS: [(&str, bool); 5] =
    [("ex1", false), ("ex2", false), ("ex3", true), ("ex4", true), ("ex5", true)];

/// Records with a name of their own, and records known by their unit.
const QUANTITIES: &str = r#"
[feed.quantity.voltage]
unit = "V"
[feed.quantity.current]
unit = "A"
[feed.quantity.temperature]
unit = "Cel"
[feed.quantity.humidity]
unit = "%RH"
[feed.quantity.energy]
unit = "%EL"
"#;

/// A feed a pack: the examples are of one device and contradict one another.
fn pipeline() -> String {
    let feed = |(name, _): &(&str, bool)| {
        format!("[[feed]]\nname = \"{name}\"\ntopic = \"senml/{name}\"\ndecoder = \"senml\"\n{QUANTITIES}")
    };
    let feeds: String = PACKS.iter().map(feed).collect();
    format!("version = 1\nname = \"senml\"\ntitle = {{ es = \"SenML\", en = \"SenML\" }}\n{feeds}")
}

/// Device, quantity, milliseconds (0 for packs without a time of their own) and value.
type Reading = (String, String, i64, f64);

fn resolved(record: &Value, timed: bool) -> Reading {
    let (name, unit) = (record["n"].as_str().unwrap(), record["u"].as_str().unwrap());
    let of_name = name.rsplit_once(':').filter(|(_, last)| matches!(*last, "voltage" | "current"));
    let by_unit = match unit {
        "Cel" => "temperature",
        "%RH" => "humidity",
        "%EL" => "energy",
        place => place,
    };
    let (device, quantity) = of_name.unwrap_or((name, by_unit));
    let at = if timed { (record["t"].as_f64().unwrap() * 1_000.0).round() as i64 } else { 0 };
    (device.to_owned(), quantity.to_owned(), at, record["v"].as_f64().unwrap())
}

#[test]
fn packs_give_their_resolved_records() {
    let Some(folder) = corpus("02_senml") else { return };
    let Some(mut broker) = Mosquitto::start() else { return };
    let site = Site::new(&broker.settings()).with_pipeline("senml", &pipeline());
    let service = site.start();
    broker.wait_for_subscription();
    let pack = |(name, _): &(&str, bool)| {
        (format!("senml/{name}"), std::fs::read(folder.join(format!("{name}.json"))).unwrap())
    };
    publish(broker.port, "packs", PACKS.iter().map(pack).collect());
    for (feed, timed) in PACKS {
        service.wait_for_messages(feed, 1);
        let text = std::fs::read_to_string(folder.join(format!("{feed}.gen.resolved.json"))).unwrap();
        let records: Vec<Value> = serde_json::from_str(&text).unwrap();
        let mut wanted: Vec<Reading> = records.iter().map(|record| resolved(record, timed)).collect();
        // Some records of ex4 and ex5 repeat a value; every one has its own time.
        wanted.sort_by(|one, other| one.partial_cmp(other).unwrap());
        let found = || {
            let range = [("from", "2000-01-01T00:00:00Z"), ("to", "2100-01-01T00:00:00Z"), ("limit", "1000")];
            let answer = service.api("readings", &range);
            let rows = answer["rows"].as_array().unwrap().clone();
            let mut found: Vec<Reading> =
                rows.iter().filter(|row| row["feed"] == feed).map(|row| stored(row, timed)).collect();
            found.sort_by(|one, other| one.partial_cmp(other).unwrap());
            found
        };
        let mut last = Vec::new();
        eventually(&format!("{feed}: {wanted:?}"), seconds(10), || {
            last = found();
            (last.len() == wanted.len()).then_some(())
        });
        assert_eq!(last, wanted, "{feed}");
    }
    assert!(service.quarantine().is_empty());
    service.stop();
}

fn stored(row: &Value, timed: bool) -> Reading {
    let text = |name: &str| row[name].as_str().unwrap().to_owned();
    (
        text("sensor"),
        text("quantity"),
        if timed { utc_ms(&text("time")) } else { 0 },
        row["value"].as_f64().unwrap(),
    )
}

#[test]
fn packs_of_another_version_or_of_the_draft_are_refused() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let site = Site::new(&broker.settings()).with_pipeline("senml", &pipeline());
    let service = site.start();
    broker.wait_for_subscription();
    let new = br#"[{"bver":11,"bn":"urn:dev:ow:1:","n":"a","u":"V","v":1}]"#.to_vec();
    // The form before the RFC, as devices in the field still send it: `bt` in milliseconds.
    let draft = br#"{"e":[{"u":"string","n":"source","sv":"ci4"},{"v":"26.6","u":"far","n":"temperature"}],"bt":1422748800000}"#;
    publish(broker.port, "packs", vec![("senml/ex1".into(), new), ("senml/ex1".into(), draft.to_vec())]);
    service.wait_for_messages("ex1", 2);
    let reasons: Vec<Value> = service.quarantine().iter().map(|entry| entry["reason"].clone()).collect();
    assert_eq!(reasons.len(), 2);
    assert_eq!(reasons[1], "unknown_version");
    assert_eq!(service.messages("ex1", "decoded"), 0);
    service.stop();
}
