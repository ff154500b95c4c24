//! One MQTT message of the simulation, and its form as a line of an arrivals file.

use crate::clock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One message as a gateway publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When the gateway publishes it, milliseconds since 1970 UTC. The event time is in the payload.
    pub sent_at_ms: i64,
    /// Which gateway publishes it: each is one MQTT connection, and its messages stay in order.
    pub gateway: u16,
    /// The MQTT topic.
    pub topic: String,
    /// The payload, byte for byte.
    pub payload: Vec<u8>,
}

impl Message {
    /// The message as one line of JSON, without the line end: `at` (RFC 3339, UTC, milliseconds),
    /// `topic`, and `payload` as text, or `payload_b64` when the payload is not UTF-8.
    pub fn arrival_line(&self) -> String {
        let payload = match std::str::from_utf8(&self.payload) {
            Ok(text) => format!("\"payload\":{}", quoted(text)),
            Err(_) => format!("\"payload_b64\":\"{}\"", STANDARD.encode(&self.payload)),
        };
        format!("{{\"at\":\"{}\",\"topic\":{},{payload}}}", clock::utc(self.sent_at_ms), quoted(&self.topic))
    }
}

/// The text as a JSON string with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &[u8]) -> Message {
        Message { sent_at_ms: 1_772_384_400_250, gateway: 0, topic: "a/b".into(), payload: payload.to_vec() }
    }

    #[test]
    fn an_arrival_line_is_json_with_the_payload_as_text() {
        let line = message(b"{\"t\":\"\\n\"}").arrival_line();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["at"], "2026-03-01T17:00:00.250Z");
        assert_eq!(value["topic"], "a/b");
        assert_eq!(value["payload"], "{\"t\":\"\\n\"}");
    }

    #[test]
    fn bytes_that_are_no_text_travel_as_base64() {
        let value: serde_json::Value = serde_json::from_str(&message(&[0xff, 0]).arrival_line()).unwrap();
        assert_eq!(value["payload_b64"], "/wA=");
    }
}
