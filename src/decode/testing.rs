//! What the tests of decoders share: feeds from TOML, messages, and short views of what came out.

use std::sync::Arc;

use bytes::Bytes;

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
