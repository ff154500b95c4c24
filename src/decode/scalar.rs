//! A payload that is one number, such as `63.2`: the feed's only quantity, no time of its own.

use super::decoder::Message;
use super::labels::Labels;
use super::mapping::decoded;
use super::measure::Measure;
use super::template::Template;
use super::trie::Fields;
use crate::model::definition::FeedDefinition;
use crate::model::{Decoded, DecodedEvent, Fault, Reason, Rejected};

/// The decoder of `decoder = "scalar"`.
#[derive(Debug)]
pub(super) struct Scalar {
    labels: Labels,
    measure: Measure,
}

impl Scalar {
    /// Checks and compiles a feed's table.
    pub(super) fn compile(feed: &FeedDefinition, template: &Template, faults: &mut Vec<Fault>) -> Self {
        let labels = Labels::of_topic(template);
        if !labels.names_sensor() {
            let remedy = "put a `{sensor}` level into the topic";
            faults.push(Fault::new("a number names no sensor", remedy).under("topic"));
        }
        if feed.quantities.len() != 1 {
            let remedy = "define one table such as [feed.quantity.laeq] with its unit";
            faults.push(Fault::new("a number is exactly one quantity", remedy).under("quantity"));
        }
        let mut measures =
            feed.quantities.iter().map(|(name, quantity)| Measure::compile(name, quantity, faults));
        Self { labels, measure: measures.next().unwrap_or_else(|| Measure::own("value", "")) }
    }

    /// Decodes one message.
    ///
    /// # Errors
    /// The refusal of the whole message.
    pub(super) fn decode(&self, message: &Message<'_>) -> Result<Decoded, Rejected> {
        let fields = Fields::default();
        let text = message.text.trim_ascii();
        if text.is_empty() {
            return Err(Rejected::message(Reason::NoReading, "the payload is empty"));
        }
        let reading =
            self.measure.read_text(text).map_err(|refusal| Rejected { reading: false, ..refusal })?;
        let event = DecodedEvent {
            sensor: self.labels.sensor(message, &fields)?,
            tags: self.labels.tags(message, &fields)?,
            event_at: None,
            counter: None,
            readings: vec![reading].into(),
        };
        Ok(decoded(event, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::testing::{decode, faults, readings, reasons, tags};
    use crate::model::Reason;

    const NOISE: &str = r#"
        name = "noise"
        topic = "ciudad/{zone}/ruido/{sensor}"
        decoder = "scalar"
        quantity.laeq = { unit = "dB[A]", decimals = 2, min = 0, max = 150 }
    "#;

    #[test]
    fn a_number_is_one_reading_without_a_time() {
        let decoded = decode(NOISE, "ciudad/comuna-01/ruido/ruido-7", " 63.2\r\n");
        let event = &decoded.events[0];
        assert_eq!((&*event.sensor, event.event_at), ("ruido-7", None));
        assert_eq!(tags(event), [("zone", "comuna-01")]);
        assert_eq!(readings(event), [("laeq", 6320)]);
    }

    #[test]
    fn anything_else_is_refused() {
        for (payload, want) in [
            ("", Reason::NoReading),
            (" \n", Reason::NoReading),
            ("NaN", Reason::NotANumber),
            ("63,2", Reason::NotANumber),
            ("\"63.2\"", Reason::NotANumber),
            ("63.2 dB", Reason::NotANumber),
            ("null", Reason::NotANumber),
            ("151", Reason::OutOfRange),
            ("1e99", Reason::OutOfRange),
        ] {
            let decoded = decode(NOISE, "ciudad/comuna-01/ruido/ruido-7", payload);
            assert_eq!((decoded.events.len(), reasons(&decoded)), (0, vec![(want, false)]), "{payload}");
        }
    }

    #[test]
    fn needs_a_sensor_in_the_topic_and_one_quantity() {
        assert_eq!(faults("name = 'n'\ntopic = 'n'\ndecoder = 'scalar'"), ["topic", "quantity"]);
        let two = "name = 'n'\ntopic = '{sensor}'\ndecoder = 'scalar'\nquantity.a = {}\nquantity.b = {}";
        assert_eq!(faults(two), ["quantity"]);
        let pointers = "name = 'n'\ntopic = '{sensor}'\ndecoder = 'scalar'\nquantity.a = {}\nsensor = '/a'\n\
                        sequence = '/b'\ntime = { path = '/t' }\ntags = { x = '/x' }\nidentity = 'sequence'";
        assert_eq!(faults(pointers), ["sensor", "sequence", "time", "tags", "identity"]);
    }
}
