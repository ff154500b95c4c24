//! Who an event belongs to: the sensor's name and the tags, from topic and payload.

use std::sync::Arc;

use super::decoder::Message;
use super::pointer::Pointer;
use super::tag_sets::TagSets;
use super::template::Template;
use super::token::shown;
use super::trie::{Fields, Slot, Trie};
use super::words;
use crate::model::definition::FeedDefinition;
use crate::model::{Fault, Reason, Rejected, TagSet};

/// The longest name of a quantity or tag, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 64;
/// The longest name of a sensor and value of a tag, in bytes.
pub(super) const LABEL_BYTES_MAX: usize = 256;
/// The capture and tag name that means the device.
pub(super) const SENSOR: &str = "sensor";

/// Where the sensor's name and the tags stand.
#[derive(Debug)]
pub(super) struct Labels {
    /// Absent: the format itself names the device in each record.
    sensor: Option<Source>,
    /// By name.
    tags: Vec<(Arc<str>, Source)>,
    known: TagSets,
}

/// Where one label stands.
#[derive(Debug)]
enum Source {
    /// The capture with this number.
    Topic(usize),
    /// The value at this pointer of the payload.
    Payload(Slot, Box<str>),
}

impl Labels {
    /// Checks and compiles `sensor` and `tags` of a feed whose payloads have fields. `own` is
    /// where the format has the device's name unless the feed says otherwise.
    pub(super) fn compile(
        feed: &FeedDefinition,
        template: &Template,
        own: Option<&str>,
        trie: &mut Trie,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mut labels = Self::of_topic(template);
        if labels.sensor.is_none() {
            match feed.sensor.as_deref().or(own) {
                Some(path) => match Pointer::parse(path) {
                    Ok(pointer) => labels.sensor = Some(Source::Payload(trie.text(&pointer), path.into())),
                    Err(fault) => faults.push(fault.under(SENSOR)),
                },
                None => faults.push(unnamed().under("topic")),
            }
        }
        for (name, path) in &feed.tags {
            match check_tag(feed, name).and_then(|()| Pointer::parse(path)) {
                Err(fault) => faults.push(fault.under(name.as_str()).under("tags")),
                // The topic wins.
                Ok(_) if labels.tags.iter().any(|(known, _)| **known == **name) => {}
                Ok(pointer) => {
                    let source = Source::Payload(trie.text(&pointer), path.as_str().into());
                    labels.tags.push((name.as_str().into(), source));
                }
            }
        }
        labels.tags.sort_by(|one, other| one.0.cmp(&other.0));
        labels
    }

    /// The labels that the topic alone gives.
    pub(super) fn of_topic(template: &Template) -> Self {
        let mut labels = Self { sensor: None, tags: Vec::new(), known: TagSets::default() };
        for (index, name) in template.names().enumerate() {
            match name {
                SENSOR => labels.sensor = Some(Source::Topic(index)),
                _ => labels.tags.push((name.into(), Source::Topic(index))),
            }
        }
        labels.tags.sort_by(|one, other| one.0.cmp(&other.0));
        labels
    }

    /// Whether topic or payload has a place for the sensor's name.
    pub(super) fn names_sensor(&self) -> bool {
        self.sensor.is_some()
    }

    /// The sensor's name.
    ///
    /// # Errors
    /// The refusal of the message: no name, or none that a name can be.
    pub(super) fn sensor(&self, message: &Message<'_>, fields: &Fields<'_>) -> Result<Arc<str>, Rejected> {
        let found = match &self.sensor {
            Some(source) => source.read(message, fields, SENSOR)?,
            None => None,
        };
        found.ok_or_else(|| {
            let place = match &self.sensor {
                Some(Source::Payload(_, path)) => format!("`{path}` is missing"),
                _ => "neither topic nor payload has a place for its name".into(),
            };
            Rejected::message(Reason::NoSensor, format!("nothing names the sensor: {place}"))
        })
    }

    /// The tags in the order of their names.
    ///
    /// # Errors
    /// The refusal of the message: a value that no tag can have.
    pub(super) fn tags(&self, message: &Message<'_>, fields: &Fields<'_>) -> Result<TagSet, Rejected> {
        let texts = self.tags.iter().map(|(_, source)| source.text(message, fields));
        self.known.of(texts, || {
            let read = |(name, source): &(Arc<str>, Source)| {
                let value = source.read(message, fields, name).transpose()?;
                Some(value.map(|value| (name.clone(), value)))
            };
            self.tags.iter().filter_map(read).collect()
        })
    }
}

impl Source {
    /// The label as it stands in topic or payload.
    #[inline]
    fn text<'a>(&self, message: &Message<'a>, fields: &Fields<'a>) -> Option<&'a str> {
        match self {
            Self::Topic(index) => Some(message.captures.at(*index)),
            Self::Payload(slot, _) => fields.get(*slot),
        }
    }

    fn read(
        &self,
        message: &Message<'_>,
        fields: &Fields<'_>,
        name: &str,
    ) -> Result<Option<Arc<str>>, Rejected> {
        match self {
            Self::Topic(index) => label(name, message.captures.at(*index)).map(Some),
            Self::Payload(slot, path) => {
                let Some(token) = fields.token(*slot)? else { return Ok(None) };
                let text = token.text().map_err(|what| {
                    let detail = format!("{name}: `{path}` is {what} where a name is due");
                    Rejected::message(Reason::WrongType, detail)
                })?;
                label(name, &text).map(Some)
            }
        }
    }
}

/// Checks the name of a sensor or the value of a tag.
///
/// # Errors
/// [`Reason::BadName`]: empty, longer than 256 bytes, or with control characters.
pub(super) fn label(what: &str, text: &str) -> Result<Arc<str>, Rejected> {
    let fits = (1..=LABEL_BYTES_MAX).contains(&text.len());
    if fits && (words::is_printable_ascii(text.as_bytes()) || !text.contains(char::is_control)) {
        return Ok(text.into());
    }
    let detail =
        format!("{what}: {} has not 1 to {LABEL_BYTES_MAX} bytes, or control characters", shown(text));
    Err(Rejected::message(Reason::BadName, detail))
}

/// Whether a text can name a quantity, a tag or a capture: ASCII letters, digits and `_`, no
/// digit first, at most 64 bytes.
pub(super) fn is_identifier(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    starts && rest && text.len() <= NAME_BYTES_MAX
}

fn unnamed() -> Fault {
    let remedy = "put a `{sensor}` level into the topic, or set `sensor` to a JSON Pointer";
    Fault::new("nothing names the sensor", remedy)
}

fn check_tag(feed: &FeedDefinition, name: &str) -> Result<(), Fault> {
    if !is_identifier(name) {
        let remedy = format!("use letters, digits and `_`, a letter first, at most {NAME_BYTES_MAX} bytes");
        return Err(Fault::new(format!("`{name}` is no name of a tag"), remedy));
    }
    if name == SENSOR {
        return Err(Fault::new("the sensor is no tag", "set `sensor` of the feed instead"));
    }
    if feed.quantities.contains_key(name) {
        return Err(Fault::new(
            format!("`{name}` is a quantity too"),
            "give tag and quantity names of their own",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_limits() {
        assert!(label("sensor", "aire-1 ñ").is_ok());
        for text in ["", "a\nb", &"x".repeat(257), "\u{7f}"] {
            assert_eq!(label("sensor", text).unwrap_err().reason, Reason::BadName, "{text:?}");
        }
    }

    #[test]
    fn identifiers_are_ascii_words() {
        for (text, want) in
            [("pm25", true), ("_x", true), ("2x", false), ("", false), ("a-b", false), ("ñ", false)]
        {
            assert_eq!(is_identifier(text), want, "{text}");
        }
        assert!(!is_identifier(&"x".repeat(65)));
    }
}
