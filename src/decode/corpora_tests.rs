//! Real payloads that this project did not write, from the folder that `SERENO_CORPORA` names;
//! skipped, with a printed reason, where there is none.

use std::fs;
use std::path::{Path, PathBuf};

use super::Decimal;
use super::senml::{Measured, resolve};
use super::testing::{arrival, corpora, decode, decoder, files};
use crate::model::{Arrival, Decoded, Reason, Timestamp};

/// The "now" with which the resolved sets of RFC 8428 were made.
const SENML_NOW: Timestamp = Timestamp(1_498_780_179_000_000_000);

fn corpus(name: &str) -> Option<PathBuf> {
    let root = corpora()?;
    Some(root.join(name)).filter(|folder| {
        let exists = folder.is_dir();
        if !exists {
            println!("skipped: there is no {}", folder.display());
        }
        exists
    })
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn json_test_suite_is_parsed_or_refused_as_it_says() {
    let Some(folder) = corpus("12_json_bad") else { return };
    let decoder = decoder("name = 'x'\ntopic = '{sensor}'\ndecoder = 'json'\nquantity.v = { path = '/a/b' }");
    let broken = |payload: &[u8]| {
        let decoded = decoder.decode(&arrival("s", payload));
        decoded.rejected.iter().any(|rejected| matches!(rejected.reason, Reason::BadJson | Reason::BadText))
    };
    let (mut refused, good, bad) = (0, files(&folder, "y_", ".json"), files(&folder, "n_", ".json"));
    assert!(good.len() > 20 && bad.len() > 50, "{} good, {} bad", good.len(), bad.len());
    for path in &good {
        assert!(!broken(&fs::read(path).unwrap()), "{}", path.display());
    }
    for path in &bad {
        let is_broken = broken(&fs::read(path).unwrap());
        assert!(is_broken, "{}", path.display());
        refused += usize::from(is_broken);
        assert!(!broken(br#"{"a":{"b":1}}"#), "the next good message is processed");
    }
    assert_eq!(refused, bad.len());
    for path in files(&folder, "i_", ".json") {
        let _ = broken(&fs::read(path).unwrap());
    }
}

/// A record as the resolved sets have it: name, unit, time and value.
type Resolved = (String, Option<String>, Timestamp, Decimal);

fn expected(path: &Path) -> Vec<Resolved> {
    #[derive(serde::Deserialize)]
    struct Record<'a> {
        n: String,
        u: Option<String>,
        #[serde(borrow)]
        t: &'a serde_json::value::RawValue,
        #[serde(borrow)]
        v: &'a serde_json::value::RawValue,
    }
    let text = fs::read_to_string(path).unwrap();
    let records: Vec<Record<'_>> = serde_json::from_str(&text).unwrap();
    let decimal = |raw: &serde_json::value::RawValue| Decimal::parse(raw.get()).unwrap();
    let at = |raw| Timestamp(i64::try_from(decimal(raw).scaled(9).unwrap()).unwrap());
    records.into_iter().map(|record| (record.n, record.u, at(record.t), decimal(record.v))).collect()
}

#[test]
fn senml_packs_resolve_to_the_standards_sets() {
    let Some(folder) = corpus("02_senml") else { return };
    let sets = files(&folder, "ex", ".gen.resolved.json");
    assert!(!sets.is_empty());
    for set in sets {
        let name = set.file_name().unwrap().to_string_lossy().replace(".gen.resolved.json", "");
        let want = expected(&set);
        for form in [".json", ".gen.json", ".gen.wrap.json", ".gen.resolved.json"] {
            let Ok(payload) = fs::read(folder.join(format!("{name}{form}"))) else { continue };
            let found: Vec<Resolved> = resolve(&payload, SENML_NOW)
                .unwrap()
                .into_iter()
                .map(|record| {
                    let Some(Measured::Number(value)) = record.value else {
                        panic!("{name}{form}: {record:?}")
                    };
                    (record.name, record.unit.map(Into::into), record.at, value)
                })
                .collect();
            assert_eq!(found, want, "{name}{form}");
        }
    }
}

#[test]
fn senml_packs_become_events_of_their_devices() {
    let Some(folder) = corpus("02_senml") else { return };
    let decoder = decoder("name = 'x'\ntopic = 'senml'\ndecoder = 'senml'");
    for (name, device, events, readings) in [
        ("ex1.json", "urn:dev:ow:10e2073a01080063", 1, 1),
        ("ex2.json", "urn:dev:ow:10e2073a01080063", 1, 2),
        ("ex3.json", "urn:dev:ow:10e2073a0108006", 6, 7),
        ("ex4.json", "urn:dev:ow:10e2073a01080063", 12, 12),
        ("ex5.json", "urn:dev:ow:10e2073a01080063", 5, 13),
    ] {
        let payload = fs::read(folder.join(name)).unwrap();
        let decoded = decoder.decode(&Arrival { arrived_at: SENML_NOW, ..arrival("senml", &payload) });
        assert_eq!(decoded.rejected, [], "{name}");
        assert!(decoded.events.iter().all(|event| &*event.sensor == device), "{name}");
        let found: usize = decoded.events.iter().map(|event| event.readings.len()).sum();
        assert_eq!((decoded.events.len(), found), (events, readings), "{name}");
    }
}

#[test]
fn packs_of_the_drafts_are_refused_by_name() {
    let Some(folder) = corpus("11_data/riotbench") else { return };
    let mut packs = 0;
    for path in files(&folder, "", ".csv") {
        for line in fs::read_to_string(path).unwrap().lines() {
            let Some((_, pack)) = line.split_once(',').filter(|(_, pack)| pack.starts_with('{')) else {
                continue;
            };
            let refused = resolve(pack.as_bytes(), SENML_NOW).unwrap_err();
            assert!(refused.detail.contains("drafts before RFC 8428"), "{}", refused.detail);
            packs += 1;
        }
    }
    assert!(packs > 0);
}

fn lorawan(server: &str, topic: &str, payload: &str) -> Decoded {
    decode(&format!("name = 'x'\ntopic = '#'\ndecoder = '{server}'"), topic, payload)
}

#[test]
fn chirpstack_events_are_told_apart() {
    let Some(folder) = corpus("01_lorawan/chirpstack_v4_events") else { return };
    for path in files(&folder, "", ".json") {
        let kind = path.file_stem().unwrap().to_string_lossy().into_owned();
        let payload = fs::read_to_string(&path).unwrap();
        for topic in [format!("application/1/device/2/event/{kind}"), "bridged".to_owned()] {
            let decoded = lorawan("chirpstack", &topic, &payload);
            if kind == "up" {
                assert!(decoded.rejected[0].detail.contains("configure a codec"), "{decoded:?}");
            } else {
                assert_eq!(decoded.ignored, Some(kind.as_str()), "{topic}");
            }
        }
    }
}

/// Puts the numbers that a device's converter found into the envelope, as the server's codec
/// would have, and wants them back; the envelope as it stands lacks a codec, and says so.
#[test]
fn network_server_envelopes_give_their_decoded_values() {
    let Some(folder) = corpus("01_lorawan/network_server_to_decoded") else { return };
    let mut checked = 0;
    for path in files(&folder, "payload", ".json") {
        let shown = path.display().to_string();
        let is_chirpstack = shown.contains("/ChirpStack/");
        let (server, object) = if is_chirpstack {
            ("chirpstack", "/object")
        } else {
            ("tts", "/uplink_message/decoded_payload")
        };
        let mut envelope = json(&path);
        assert_eq!(envelope.pointer(object), None, "{shown}");
        let refused = lorawan(server, "bridged", &envelope.to_string());
        let detail = &refused.rejected[0].detail;
        if envelope.get("objectJSON").is_some() {
            assert!(detail.contains("ChirpStack v3"), "{shown}: {detail}");
            continue;
        }
        assert!(detail.contains("configure a"), "{shown}: {detail}");

        let result = json(Path::new(&shown.replace("payload", "result")));
        let telemetry =
            result.get("telemetry").and_then(|list| list.get(0)).unwrap_or_else(|| panic!("{shown}"));
        let values = telemetry.get("values").unwrap_or(telemetry).clone();
        let holder = if is_chirpstack { Some(&mut envelope) } else { envelope.get_mut("uplink_message") };
        let member = object.rsplit('/').next().unwrap();
        holder.unwrap().as_object_mut().unwrap().insert(member.to_owned(), values.clone());
        let decoded = lorawan(server, "bridged", &envelope.to_string());
        let event = decoded.events.first().unwrap_or_else(|| panic!("{shown}: {decoded:?}"));

        let numbers = values.as_object().unwrap().iter().filter(|(_, value)| value.is_number());
        for (name, value) in numbers {
            let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let found = event.readings.iter().find(|reading| *reading.quantity.name == *name);
            let want = Decimal::parse(&value.to_string()).unwrap().value(6).unwrap();
            assert_eq!(found.map(|reading| reading.value), Some(want), "{shown}: {name}");
            checked += 1;
        }
        let time = |path| envelope.pointer(path)?.as_str().and_then(Timestamp::parse_rfc3339);
        let own = time(if is_chirpstack { "/time" } else { "/uplink_message/received_at" });
        assert_eq!(event.event_at, own, "{shown}");
        if let Some(millis) = telemetry.get("ts").and_then(serde_json::Value::as_i64) {
            // Some converters took the application server's time, which is not the event's.
            let times = [own, time("/received_at")].map(|at| at.map(Timestamp::millis));
            assert!(times.contains(&Some(millis)), "{shown}: {millis} in {times:?}");
        }
        assert!(event.counter.is_some(), "{shown}");
        for link in ["rssi", "snr"] {
            assert!(event.readings.iter().any(|reading| &*reading.quantity.name == link), "{shown}: {link}");
        }
    }
    assert!(checked > 50, "{checked}");
}

/// The documentation's messages, comments stripped; abridged ones that are no JSON are left out.
#[test]
fn things_stack_documentation_is_read() {
    let Some(folder) = corpus("01_lorawan/tts_v3_docs") else { return };
    let mut kinds = Vec::new();
    for path in files(&folder, "", "") {
        let text = fs::read_to_string(&path).unwrap();
        let text: Vec<&str> =
            text.lines().map(|line| line.split("  //").next().unwrap_or_default()).collect();
        // One sample of the documentation lacks a comma.
        let text = text.join("\n").replace("}\n    \"received_at\"", "},\n    \"received_at\"");
        let Ok(document) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        let decoded = lorawan("tts", "bridged", &text);
        match document.get("uplink_message") {
            None if decoded.ignored.is_some() => kinds.extend(decoded.ignored),
            None => assert!(document.get("end_device_ids").is_none(), "{}: {decoded:?}", path.display()),
            Some(_) if text.contains("...") => {
                assert_eq!(decoded.rejected[0].reason, Reason::BadTime, "{}: {decoded:?}", path.display());
            }
            Some(uplink) if uplink.get("received_at").is_some() => {
                let event = decoded.events.first();
                let event = event.unwrap_or_else(|| panic!("{}: {decoded:?}", path.display()));
                let names: Vec<&str> = event.readings.iter().map(|reading| &*reading.quantity.name).collect();
                assert_eq!(names, ["luminosity", "temperature", "rssi", "snr", "lat", "lon"]);
                kinds.push("up");
            }
            Some(_) => {
                let reason = decoded.rejected.first().map(|rejected| rejected.reason);
                let is_partial = matches!(reason, Some(Reason::MissingField | Reason::NoSensor));
                assert!(is_partial, "{}: {decoded:?}", path.display());
            }
        }
    }
    for kind in ["up", "join_accept", "downlink_ack", "downlink_failed", "downlinks"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
}
