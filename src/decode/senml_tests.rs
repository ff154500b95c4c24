//! SenML packs, resolved and decoded.

use super::senml::{Measured, resolve};
use super::testing::{decode, faults, readings, reasons};
use crate::model::{Reason, Timestamp};

const NOW: Timestamp = Timestamp(1_772_384_400_000_000_000);
const PARKING: &str = r#"
    name = "parking"
    topic = "ciudad/{zone}/parqueo/{sensor}"
    decoder = "senml"
    quantity.free = { unit = "1" }
    quantity.places = { path = "capacity", unit = "1" }
"#;
const TOPIC: &str = "ciudad/comuna-03/parqueo/parqueo-003";
const ANY: &str = "name = 'x'\ntopic = 'senml'\ndecoder = 'senml'";

fn reason(pack: &str) -> Reason {
    resolve(pack.as_bytes(), NOW).unwrap_err().reason
}

#[test]
fn a_pack_is_one_event_a_device_and_time() {
    let decoded = decode(
        PARKING,
        TOPIC,
        r#"[{"bn":"urn:dev:parqueo-003:","bt":1772384400,"n":"free","u":"count","v":12},
            {"n":"capacity","u":"count","v":60},{"n":"lat","u":"lat","v":6.25},{"n":"lon","u":"lon","v":-75.56},
            {"n":"free","t":30,"v":11},{"n":"unmapped","v":1},{"n":"free","v":12.0}]"#,
    );
    assert_eq!(decoded.rejected, []);
    assert_eq!(decoded.events.len(), 2);
    assert_eq!(&*decoded.events[0].sensor, "parqueo-003");
    assert_eq!(decoded.events[0].event_at, Some(NOW));
    let want = [("free", 12_000_000), ("places", 60_000_000), ("lat", 6_250_000), ("lon", -75_560_000)];
    assert_eq!(readings(&decoded.events[0]), want);
    assert_eq!(readings(&decoded.events[1]), [("free", 11_000_000)]);
}

#[test]
fn without_a_table_every_number_is_taken_by_name_and_unit() {
    let decoded = decode(
        ANY,
        "senml",
        r#"[{"bn":"urn:dev:ow:10e2:","bu":"Cel","n":"temp-1","v":"20.5"},{"n":"door","vb":true},{"n":"text","vs":"x"},
            {"n":"data","vd":"AQ"},{"bn":"urn:dev:ow:10e3","u":"%RH","v":20},{"u":"lat","v":60.1}]"#,
    );
    assert_eq!(decoded.rejected, []);
    let found: Vec<_> =
        decoded.events.iter().map(|event| (&*event.sensor, event.event_at, readings(event))).collect();
    assert_eq!(found[0], ("urn:dev:ow:10e2", None, vec![("temp_1", 20_500_000), ("door", 1_000_000)]));
    assert_eq!(found[1], ("urn:dev:ow:10e3", None, vec![("RH", 20_000_000), ("lat", 60_100_000)]));
    let units: Vec<&str> = decoded.events[1].readings.iter().map(|reading| &*reading.quantity.unit).collect();
    assert_eq!(units, ["%RH", "deg"]);
}

#[test]
fn a_record_without_a_name_of_its_own_is_known_by_its_unit() {
    let feed = "name = 'x'\ntopic = 'senml'\ndecoder = 'senml'\nquantity.humidity = { unit = '%RH' }";
    let decoded =
        decode(feed, "senml", r#"[{"bn":"urn:dev:ow:10e2","u":"%RH","v":20,"t":-5},{"u":"lon","v":24.3}]"#);
    assert_eq!(readings(&decoded.events[0]), [("humidity", 20_000_000)]);
    assert_eq!(decoded.events[0].event_at, Some(Timestamp(1_772_384_395_000_000_000)));
    assert_eq!(readings(&decoded.events[1]), [("lon", 24_300_000)]);
}

#[test]
fn names_are_cut_into_device_and_quantity() {
    for (record, want) in [
        (r#""bn":"urn:dev:ow:10e2:","n":"temp""#, ("urn:dev:ow:10e2", "temp")),
        (r#""bn":"urn:dev:mac:24be_","n":"temp""#, ("urn:dev:mac:24be", "temp")),
        (r#""bn":"urn:dev:mac:","n":"24be/temp""#, ("urn:dev:mac:24be", "temp")),
        (r#""bn":"station1","n":"temp""#, ("station1", "temp")),
        (r#""n":"urn:dev:ow:10e2""#, ("urn:dev:ow:10e2", "")),
        (r#""n":"urn:dev:ow:10e2:temp""#, ("urn:dev:ow:10e2", "temp")),
        (r#""bn":"urn:dev:ow:10e2""#, ("urn:dev:ow:10e2", "")),
        (r#""n":"site/temp""#, ("site", "temp")),
        (r#""n":"temp""#, ("", "temp")),
        (r#""n":"ñ:ñ""#, ("ñ", "ñ")),
        (r#""n":":""#, ("", "")),
    ] {
        let pack = format!("[{{{record},\"v\":1}}]");
        assert_eq!(resolve(pack.as_bytes(), NOW).unwrap()[0].parts(), want, "{record}");
    }
}

#[test]
fn base_values_are_added_exactly() {
    let pack = br#"[{"bn":"a:","n":"x","bv":0.1,"v":0.2,"bs":1,"s":0.5,"bt":1772384400.1,"t":0.2},{"n":"y","s":2},{"bv":1}]"#;
    let records = resolve(pack, NOW).unwrap();
    assert_eq!(records.len(), 2);
    let Some(Measured::Number(value)) = records[0].value else { panic!("{records:?}") };
    assert_eq!(value.value(6).unwrap().0, 300_000);
    assert_eq!(records[0].at, Timestamp(1_772_384_400_300_000_000));
    let sums: Vec<_> = records.iter().map(|record| record.sum.unwrap().scaled(1)).collect();
    assert_eq!(sums, [Some(15), Some(30)]);
    assert_eq!(records[1].value, None);
}

#[test]
fn packs_that_cannot_be_understood_are_refused() {
    for (pack, want) in [
        (r#"[{"bver":11,"n":"x","v":1}]"#, Reason::UnknownVersion),
        (r#"[{"bver":"new","n":"x","v":1}]"#, Reason::WrongType),
        (r#"[{"n":"x","v":1,"must_":2}]"#, Reason::UnknownVersion),
        (r#"[{"n":"x","v":1,"vb":true}]"#, Reason::WrongType),
        (r#"[{"n":5,"v":1}]"#, Reason::WrongType),
        (r#"[{"n":"x","v":1,"bt":1772384400000}]"#, Reason::BadTime),
        (r#"[{"n":"x","v":1,"t":"soon"}]"#, Reason::WrongType),
        (r#"[{"n":"x","v":1},5]"#, Reason::WrongType),
        (r#"{"n":"x","v":1}"#, Reason::WrongType),
        ("7", Reason::WrongType),
        ("[", Reason::BadJson),
        ("", Reason::BadJson),
        (r#"[{"n":"x","v":01}]"#, Reason::BadJson),
    ] {
        assert_eq!(reason(pack), want, "{pack}");
    }
    assert_eq!(reason(&format!(r#"[{{"bn":"{}","v":1}}]"#, "x".repeat(300))), Reason::BadName);
    assert_eq!(reason(&format!("[{}{{}}]", "{},".repeat(5_000))), Reason::TooComplex);
    assert_eq!(resolve(b"[\xff]", NOW).unwrap_err().reason, Reason::BadText);
}

#[test]
fn the_draft_before_the_standard_is_named() {
    let refused =
        resolve(br#"{"e":[{"v":"8","u":"far","n":"temperature"}],"bt":1422748800000}"#, NOW).unwrap_err();
    assert_eq!(refused.reason, Reason::WrongType);
    assert!(refused.detail.contains("drafts before RFC 8428"), "{}", refused.detail);
}

#[test]
fn a_bad_record_leaves_its_siblings_alive() {
    let decoded = decode(
        PARKING,
        TOPIC,
        r#"[{"n":"free","v":12},{"n":"capacity","vs":"full"},{"n":"free","v":13},{"n":"capacity","vd":"AQ","t":1},{"n":"capacity","vs":"60","t":2}]"#,
    );
    let want = [(Reason::NotANumber, true), (Reason::Conflict, true), (Reason::WrongType, true)];
    assert_eq!(reasons(&decoded), want);
    assert_eq!(readings(&decoded.events[0]), [("free", 12_000_000)]);
    assert_eq!(readings(&decoded.events[1]), [("places", 60_000_000)]);
    assert_eq!(reasons(&decode(ANY, "senml", r#"[{"n":"temp","v":1}]"#)), [(Reason::NoSensor, true)]);
    assert_eq!(
        reasons(&decode(ANY, "senml", r#"[{"n":"a:b","v":1,"t":-1772384400}]"#)),
        [(Reason::UnsetClock, true)]
    );
    assert_eq!(reasons(&decode(ANY, "senml", "[]")), [(Reason::NoReading, false)]);
}

#[test]
fn pointers_into_packs_are_faults() {
    assert_eq!(faults(&format!("{ANY}\nsensor = '/0/bn'\ntime = {{ path = '/0/bt' }}")), ["sensor", "time"]);
}
