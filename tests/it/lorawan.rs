//! Real uplinks of ChirpStack and The Things Stack, with the decoded answer that lies beside each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::harness::mqtt::publish;
use crate::harness::peers::corpus;
use crate::harness::{Mosquitto, Site};

const FOLDER: &str = "01_lorawan/network_server_to_decoded";
/// Values are kept with six decimals.
const ROUNDING: f64 = 5.1e-7;

/// A network server: its folder in the corpora, its feed, and where its envelope has the bytes and
/// the decoded values (JSON Pointer to the parent, and the two names).
struct Server {
    folder: &'static str,
    feed: &'static str,
    parent: &'static str,
    bytes: &'static str,
    object: &'static str,
}

const SERVERS: [Server; 2] = [
    Server { folder: "ChirpStack", feed: "chirpstack", parent: "", bytes: "data", object: "object" },
    Server {
        folder: "ThingsStackCommunity",
        feed: "tts",
        parent: "/uplink_message",
        bytes: "frm_payload",
        object: "decoded_payload",
    },
];

/// Both feeds with every number that their devices send. The same device sends many uplinks of the
/// corpora at one time: the topic names the device instead.
fn pipeline(uplinks: &[Uplink]) -> String {
    let mut text =
        "version = 1\nname = \"lorawan\"\ntitle = { es = \"LoRaWAN\", en = \"LoRaWAN\" }\n".to_owned();
    for Server { feed, .. } in &SERVERS {
        let of_feed = uplinks.iter().filter(|uplink| uplink.server.feed == *feed);
        let numbers = of_feed.flat_map(|uplink| uplink.values.iter().filter(|(_, value)| value.is_number()));
        let names: BTreeSet<&String> = numbers.map(|(name, _)| name).collect();
        write!(text, "[[feed]]\nname = \"{feed}\"\ntopic = \"{feed}/{{sensor}}\"\ndecoder = \"{feed}\"\n")
            .unwrap();
        for path in names {
            write!(text, "[feed.quantity.{}]\npath = \"{path}\"\n", quantity(path)).unwrap();
        }
    }
    text
}

/// A field's name as the name of a quantity.
fn quantity(field: &str) -> String {
    field.to_lowercase().replace(|character: char| !character.is_ascii_alphanumeric(), "_")
}

/// An uplink and its right values.
struct Uplink {
    server: &'static Server,
    sensor: String,
    envelope: Value,
    values: Map<String, Value>,
}

impl Uplink {
    fn topic(&self) -> String {
        format!("{}/{}", self.server.feed, self.sensor)
    }

    /// The envelope as the server sends it once a codec is configured.
    fn decoded(&self) -> Value {
        let mut envelope = self.envelope.clone();
        let parent = envelope.pointer_mut(self.server.parent).unwrap();
        parent[self.server.object] = Value::Object(self.values.clone());
        envelope
    }
}

/// Every pair `payload*.json` and `result*.json` with bytes and one set of values.
fn uplinks(folder: &Path) -> Vec<Uplink> {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    let read =
        |path: &Path| -> Option<Value> { serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok() };
    let uplink = |file: &PathBuf| {
        let server = SERVERS.iter().find(|server| file.parent().unwrap().ends_with(server.folder))?;
        let name = file.file_name()?.to_str()?;
        let (envelope, result) =
            (read(file)?, read(&file.with_file_name(name.replace("payload", "result")))?);
        envelope.pointer(server.parent)?.get(server.bytes)?;
        // Some of ChirpStack's are of version 3, which the decoder refuses by that name.
        let is_old = server.feed == "chirpstack" && envelope.get("deviceInfo").is_none();
        if is_old {
            return None;
        }
        let telemetry = result["telemetry"].as_array().filter(|sets| sets.len() == 1)?;
        let values = telemetry[0]["values"].as_object()?.clone();
        let device = file.strip_prefix(folder).ok()?.parent()?.parent()?.to_str()?.replace('/', "-");
        let sensor = format!("{device}-{}", name.trim_end_matches(".json"));
        Some(Uplink { server, sensor, envelope, values })
    };
    files.iter().filter_map(uplink).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            false if path.file_name().unwrap().to_str().unwrap().starts_with("payload") => files.push(path),
            false => {}
        }
    }
}

#[test]
fn undecoded_uplinks_name_the_missing_codec_and_decoded_ones_give_their_numbers() {
    let Some(folder) = corpus(FOLDER) else { return };
    let Some(mut broker) = Mosquitto::start() else { return };
    let uplinks = uplinks(&folder);
    for server in &SERVERS {
        let count = uplinks.iter().filter(|uplink| uplink.server.feed == server.feed).count();
        assert!(count >= 8, "{} has {count} uplinks", server.folder);
    }
    let site = Site::new(&broker.settings()).with_pipeline("lorawan", &pipeline(&uplinks));
    let service = site.start();
    broker.wait_for_subscription();

    let raw = uplinks.iter().map(|uplink| (uplink.topic(), uplink.envelope.to_string().into_bytes()));
    publish(broker.port, "raw", raw.collect());
    let decoded = uplinks.iter().map(|uplink| (uplink.topic(), uplink.decoded().to_string().into_bytes()));
    publish(broker.port, "decoded", decoded.collect());
    for server in &SERVERS {
        let count = uplinks.iter().filter(|uplink| uplink.server.feed == server.feed).count();
        service.wait_for_messages(server.feed, 2 * count as u64);
    }

    let quarantine = service.quarantine();
    for uplink in &uplinks {
        let entry = quarantine.iter().rfind(|entry| entry["topic"] == uplink.topic());
        let detail =
            entry.unwrap_or_else(|| panic!("{} is not in quarantine", uplink.sensor))["detail"].to_string();
        assert!(detail.contains("no codec decoded the payload; configure"), "{}: {detail}", uplink.sensor);
    }
    let faults: Vec<String> = uplinks.iter().flat_map(|uplink| differences(&service, uplink)).collect();
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
    service.stop();
}

/// What the service stored of an uplink that differs from its right numbers.
fn differences(service: &crate::harness::Sereno, uplink: &Uplink) -> Vec<String> {
    let range = [("from", "2000-01-01T00:00:00Z"), ("to", "2100-01-01T00:00:00Z")];
    let stored = service.api("readings", &[("sensor", uplink.sensor.as_str()), range[0], range[1]]);
    let rows = stored["rows"].as_array().unwrap().iter().filter(|row| row["feed"] == uplink.server.feed);
    let stored: BTreeMap<&str, f64> =
        rows.map(|row| (row["quantity"].as_str().unwrap(), row["value"].as_f64().unwrap())).collect();
    let numbers = uplink.values.iter().filter_map(|(name, value)| Some((quantity(name), value.as_f64()?)));
    let wanted: BTreeMap<String, f64> = numbers.collect();
    let place = format!("{} {}", uplink.server.feed, uplink.sensor);
    let mut faults = Vec::new();
    for (name, value) in &wanted {
        match stored.get(name.as_str()) {
            Some(found) if (found - value).abs() <= ROUNDING => {}
            found => faults.push(format!("{place}: {name} is {found:?}, not {value}")),
        }
    }
    // Nothing is made up: a text stays no number, an absent field no zero.
    let of_link = |name: &str| matches!(name, "rssi" | "snr" | "lat" | "lon");
    let made_up = stored.keys().filter(|name| !of_link(name) && !wanted.contains_key(**name));
    faults.extend(made_up.map(|name| format!("{place}: {name} is made up")));
    faults
}
