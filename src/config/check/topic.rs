//! Topics: what a template subscribes, and which two of them would take the same message.

use super::feed::Known;
use super::{Findings, In, at, key};
use crate::config::sereno::{LISTENER, Sereno};
use crate::model::Fault;

/// A topic template as far as checking needs it.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    /// The MQTT filter: captures are `+`.
    pub(super) filter: String,
    /// Names of the captures.
    pub(super) names: Vec<String>,
}

impl Topic {
    /// Reads a template; `decode` has the last word on its spelling.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut names = Vec::new();
        let mut levels = Vec::new();
        if text.is_empty() {
            return Err(Fault::new(
                "the topic is empty",
                "write for example \"ciudad/{zone}/aire/{sensor}\"",
            ));
        }
        let mut start = 0;
        for level in text.split('/') {
            let end = start + level.len();
            let refuse = |message: String, remedy: &str| {
                Err(Fault { within: Some((start, end)), ..Fault::new(message, remedy) })
            };
            match level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => {
                    names.push(name.to_owned());
                    levels.push("+");
                }
                None if level == "#" && end < text.len() => {
                    return refuse(
                        "`#` is not the last level".to_owned(),
                        "`#` stands for all further levels; put it last",
                    );
                }
                None if level.contains(['{', '}']) => {
                    return refuse(
                        format!("`{level}` is a capture beside other letters"),
                        "a capture such as {sensor} is a whole level",
                    );
                }
                None if level != "+" && level != "#" && level.contains(['+', '#']) => {
                    return refuse(
                        format!("`{level}` is a wildcard beside other letters"),
                        "`+` and `#` are whole levels",
                    );
                }
                None => levels.push(level),
            }
            start = end + 1;
        }
        Ok(Self { filter: levels.join("/"), names })
    }
}

/// Whether there is a topic that both MQTT filters take (MQTT 3.1.1, section 4.7).
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('/').peekable(), b.split('/').peekable());
    loop {
        match (a.next(), b.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(one), Some(other)) if one == other || one == "+" || other == "+" => {}
            _ => return false,
        }
    }
}

/// Notes feeds of one source that take the same messages, and refuses receivers whose alerts a
/// feed would take in again.
pub(super) fn check_overlaps(sereno: &Sereno, known: &[Known<'_>], findings: &mut Findings) {
    let source = |feed: &Known<'_>| feed.feed.from.clone().unwrap_or_else(|| sereno.default_source.clone());
    for (index, feed) in known.iter().enumerate() {
        let earlier = known.iter().take(index).find(|other| {
            let filters = !feed.shape.filter.is_empty() && !other.shape.filter.is_empty();
            filters && source(other) == source(feed) && overlap(&other.shape.filter, &feed.shape.filter)
        });
        let Some(earlier) = earlier else { continue };
        let message = format!("feed `{}` takes messages of these topics too", earlier.feed.name);
        let fault = Fault::new(
            message,
            "a message that both match goes to the one defined first; narrow one of them if that is not meant",
        );
        findings.note(In::Pipeline(feed.file), at([key("feed"), feed.index.into(), key("topic")], fault));
    }
    for (index, receiver) in sereno.receivers.iter().enumerate() {
        let Some(mqtt) = &receiver.mqtt else { continue };
        let alerts = format!("{}/#", mqtt.topic_prefix);
        // The listener routes nothing from one client to another, and Sereno is not its client.
        let taker = known.iter().filter(|_| mqtt.broker != LISTENER).find(|feed| {
            same_broker(sereno, &source(feed), &mqtt.broker)
                && !feed.shape.filter.is_empty()
                && overlap(&feed.shape.filter, &alerts)
        });
        let Some(taker) = taker else { continue };
        let message = format!("feed `{}` subscribes these alerts: Sereno would feed itself", taker.feed.name);
        let fault =
            Fault::new(message, format!("choose a prefix that `{}` does not match", taker.feed.topic));
        findings
            .error(In::Sereno, at([key("receiver"), index.into(), key("mqtt"), key("topic_prefix")], fault));
    }
}

/// Whether two names mean one broker.
fn same_broker(sereno: &Sereno, one: &str, other: &str) -> bool {
    let address = |name: &str| sereno.brokers.get(name).and_then(|broker| broker.address());
    let addresses = (address(one), address(other));
    one == other
        || matches!(addresses, (Some(one), Some(other)) if (&one.host, one.port) == (&other.host, other.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_overlap_as_mqtt_matches() {
        for (a, b, want) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "+/b", true),
            ("a/+/c", "a/b", false),
            ("a/#", "a", true),
            ("#", "x/y/z", true),
            ("a/b/#", "a/+", true),
            ("a/b", "a/c", false),
            ("a/b/c/#", "a/b", false),
        ] {
            assert_eq!(overlap(a, b), want, "{a} {b}");
            assert_eq!(overlap(b, a), want, "{b} {a}");
        }
    }

    #[test]
    fn captures_are_whole_levels() {
        let topic = Topic::parse("ciudad/{zone}/aire/{sensor}/#").unwrap();
        assert_eq!((topic.filter.as_str(), topic.names.len()), ("ciudad/+/aire/+/#", 2));
        for text in ["", "a/#/b", "a/x{zone}", "a/b+"] {
            assert!(Topic::parse(text).is_err(), "{text}");
        }
    }
}
