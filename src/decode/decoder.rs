//! The decoder of one feed: checks every message against the feed's topic and the payload's
//! bounds, then hands its text to the format's own reader.

use super::chirpstack::Chirpstack;
use super::json::Json;
use super::scalar::Scalar;
use super::senml::Senml;
use super::template::{Captures, Template, is_own};
use super::tts::Tts;
use crate::model::definition::{DecoderKind, FeedDefinition, Identity};
use crate::model::{Arrival, Decoded, Fault, Reason, Rejected, Timestamp};

/// The largest payload that is read, in bytes; larger ones are refused unparsed.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// How one feed's messages are read.
#[derive(Debug)]
pub struct Decoder {
    template: Template,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Json(Box<Json>),
    Senml(Box<Senml>),
    Chirpstack(Box<Chirpstack>),
    Tts(Box<Tts>),
    Scalar(Box<Scalar>),
}

/// One message as the formats see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// The topic.
    pub(super) topic: &'a str,
    /// What the feed's template captured from it.
    pub(super) captures: Captures<'a>,
    /// The payload.
    pub(super) text: &'a str,
    /// When it came in.
    pub(super) arrived_at: Timestamp,
}

impl Decoder {
    /// Checks and compiles a feed's definition.
    ///
    /// # Errors
    /// Every fault found, with its path from the feed's table (`quantity`, `pm25`, `path`).
    pub fn new(feed: &FeedDefinition) -> Result<Self, Vec<Fault>> {
        let template = Template::parse(&feed.topic).map_err(|fault| vec![fault.under("topic")])?;
        let mut faults = Vec::new();
        let found = &mut faults;
        for name in template.names().filter(|name| feed.quantities.contains_key(*name)) {
            let message = format!("`{{{name}}}` is a quantity too");
            found.push(Fault::new(message, "give tag and quantity names of their own").under("topic"));
        }
        let format = match feed.decoder {
            DecoderKind::Json => Format::Json(Box::new(Json::compile(feed, &template, found))),
            DecoderKind::Chirpstack => {
                Format::Chirpstack(Box::new(Chirpstack::compile(feed, &template, found)))
            }
            DecoderKind::Tts => Format::Tts(Box::new(Tts::compile(feed, &template, found))),
            DecoderKind::Senml => {
                check_no_pointers(feed, "SenML", found);
                Format::Senml(Box::new(Senml::compile(feed, &template, found)))
            }
            DecoderKind::Scalar => {
                check_no_pointers(feed, "a plain number", found);
                Format::Scalar(Box::new(Scalar::compile(feed, &template, found)))
            }
        };
        if faults.is_empty() { Ok(Self { template, format }) } else { Err(faults) }
    }

    /// The feed's topic, for its subscription.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Decodes one message. Bad input is in the answer; nothing panics.
    #[must_use]
    pub fn decode(&self, arrival: &Arrival) -> Decoded {
        if is_own(&arrival.topic) {
            return ignored("own_topic");
        }
        self.message(arrival)
            .and_then(|message| match &self.format {
                Format::Json(json) => json.decode(&message),
                Format::Senml(senml) => senml.decode(&message),
                Format::Chirpstack(chirpstack) => chirpstack.decode(&message),
                Format::Tts(tts) => tts.decode(&message),
                Format::Scalar(scalar) => scalar.decode(&message),
            })
            .unwrap_or_else(|refusal| Decoded { rejected: vec![refusal], ..Decoded::default() })
    }

    #[inline]
    fn message<'a>(&'a self, arrival: &'a Arrival) -> Result<Message<'a>, Rejected> {
        let captures = self.template.captures(&arrival.topic).ok_or_else(|| {
            let detail = format!("the topic does not match the feed's, which is {}", self.template.filter());
            Rejected::message(Reason::BadTopic, detail)
        })?;
        let bytes = arrival.payload.len();
        if bytes > PAYLOAD_BYTES_MAX {
            let detail = format!("the payload has {bytes} bytes; at most {PAYLOAD_BYTES_MAX} are read");
            return Err(Rejected::message(Reason::TooLarge, detail));
        }
        let text = std::str::from_utf8(&arrival.payload).map_err(|error| {
            Rejected::message(Reason::BadText, format!("no UTF-8 from byte {}", error.valid_up_to()))
        })?;
        Ok(Message { topic: &arrival.topic, captures, text, arrived_at: arrival.arrived_at })
    }
}

/// A message of a kind that carries no measurement.
pub(super) fn ignored(kind: &'static str) -> Decoded {
    Decoded { ignored: Some(kind), ..Decoded::default() }
}

/// Refuses pointers into payloads that a format does not let one choose from.
fn check_no_pointers(feed: &FeedDefinition, format: &str, faults: &mut Vec<Fault>) {
    let places = [
        ("sensor", feed.sensor.is_some()),
        ("sequence", feed.sequence.is_some()),
        ("time", feed.time.is_some()),
        ("tags", !feed.tags.is_empty()),
    ];
    for (key, _) in places.into_iter().filter(|(_, set)| *set) {
        let message = format!("{format} has no JSON Pointers");
        faults.push(
            Fault::new(message, format!("remove `{key}`; the topic can name sensor and tags")).under(key),
        );
    }
    if feed.identity == Identity::Sequence {
        let message = format!("{format} carries no sequence number");
        faults.push(Fault::new(message, "choose `time` or `protocol`").under("identity"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::testing::{arrival, decoder, faults};

    const FEED: &str = "name = 'x'\ntopic = 'a/{sensor}/#'\ndecoder = 'json'\nquantity.v = {}";

    fn reason(topic: &str, payload: &[u8]) -> Reason {
        decoder(FEED).decode(&arrival(topic, payload)).rejected[0].reason
    }

    #[test]
    fn topic_size_and_text_are_checked_before_the_format() {
        assert_eq!(reason("b/x", b"{}"), Reason::BadTopic);
        assert_eq!(reason("a/x", &[b' '; PAYLOAD_BYTES_MAX + 1]), Reason::TooLarge);
        assert_eq!(reason("a/x", &[b' '; PAYLOAD_BYTES_MAX]), Reason::BadJson);
        assert_eq!(reason("a/x", b"{\"v\":\"\xff\"}"), Reason::BadText);
        assert_eq!(decoder(FEED).template().filter(), "a/+/#");
    }

    #[test]
    fn decoders_are_shared_between_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        shared(&decoder(FEED));
        assert_eq!(faults(&FEED.replace('#', "{v}")), ["topic"]);
    }

    #[test]
    fn own_topics_are_ignored_under_a_wildcard() {
        let feed = "name = 'x'\ntopic = '#'\ndecoder = 'json'\nsensor = '/id'\nquantity.v = {}";
        assert_eq!(decoder(feed).decode(&arrival("sereno/alerts", b"{}")).ignored, Some("own_topic"));
        assert_eq!(
            faults("name = 'x'\ntopic = 'sereno/#'\ndecoder = 'json'\nsensor = '/id'\nquantity.v = {}"),
            ["topic"]
        );
    }
}
