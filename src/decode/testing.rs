//! What the tests of decoders share: feeds from TOML, messages, and short views of what came out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::Decoder;
use crate::model::definition::FeedDefinition;
use crate::model::fault::Step;
use crate::model::time::SECOND;
use crate::model::{Arrival, Decoded, DecodedEvent, Reason, Timestamp};

/// A feed as `pipeline.toml` spells it; `quantity.x = {}` stands for a whole table.
pub(super) fn feed(toml: &str) -> FeedDefinition {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn decoder(toml: &str) -> Decoder {
    Decoder::new(&feed(toml)).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// A message that came in at 2026-03-01T17:00:00Z.
pub(super) fn arrival(topic: &str, payload: &[u8]) -> Arrival {
    let arrived_at = Timestamp(1_772_384_400 * SECOND);
    Arrival { topic: Arc::from(topic), payload: Bytes::copy_from_slice(payload), arrived_at }
}

pub(super) fn decode(toml: &str, topic: &str, payload: &str) -> Decoded {
    decoder(toml).decode(&arrival(topic, payload.as_bytes()))
}

/// The places of a feed's faults, as `quantity.pm25.path`.
pub(super) fn faults(toml: &str) -> Vec<String> {
    let step = |step: &Step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    };
    let faults = Decoder::new(&feed(toml)).map(drop).unwrap_err();
    faults.iter().map(|fault| fault.path.iter().map(step).collect::<Vec<_>>().join(".")).collect()
}

pub(super) fn readings(event: &DecodedEvent) -> Vec<(&str, i64)> {
    event.readings.iter().map(|reading| (&*reading.quantity.name, reading.value.0)).collect()
}

pub(super) fn tags(event: &DecodedEvent) -> Vec<(&str, &str)> {
    event.tags.iter().map(|(name, value)| (&**name, &**value)).collect()
}

/// Reasons of refusals, each with whether it is one reading's.
pub(super) fn reasons(decoded: &Decoded) -> Vec<(Reason, bool)> {
    decoded.rejected.iter().map(|rejected| (rejected.reason, rejected.reading)).collect()
}

/// The folder of payloads that this project did not write.
pub(super) fn corpora() -> Option<PathBuf> {
    let root = std::env::var_os("SERENO_CORPORA");
    if root.is_none() {
        println!("skipped: SERENO_CORPORA names no folder of corpora");
    }
    root.map(PathBuf::from)
}

/// All files below a folder whose name begins and ends so.
pub(super) fn files(folder: &Path, begin: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path, begin, end));
        } else if name.starts_with(begin) && name.ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A time as devices write it.
pub(super) const TIME: &str = "2026-03-01T12:00:00Z";
/// Members that decoders look for.
const KEYS: &str = "v w a t n k x bn bt bv bu u s vs vb bver e time object data deviceInfo devEui rxInfo rssi \
    snr fCnt uplink_message received_at decoded_payload f_cnt rx_metadata end_device_ids \
    device_id locations user latitude longitude lat lon";

/// Documents with the members that decoders look for, of any type.
pub(super) fn document() -> impl Strategy<Value = serde_json::Value> {
    let number = prop_oneof!["-?[0-9]{1,20}(\\.[0-9]{1,20})?", "[0-9]e-?[0-9]{1,4}", "[0-9]{40}"];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        number.prop_map(|text| serde_json::from_str(&text).unwrap_or_default()),
        "[-0-9.e]{0,6}".prop_map(Into::into),
        ".{0,4}".prop_map(Into::into),
        Just(TIME.into()),
    ];
    let key = prop_oneof![
        prop::sample::select(KEYS.split_whitespace().collect::<Vec<_>>()).prop_map(str::to_owned),
        ".{0,3}",
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}
