//! The lane of an alert: its pipeline, rule and key as one path.
//!
//! Notifications of one lane leave in order, also across alerts, so that the end of an old alert
//! never overtakes the beginning of the next. The lane is also the tail of the MQTT topic.

use std::fmt::Write as _;

use super::alert::Alert;
use crate::model::Transition;

/// What a lane shows for a key without tags (the whole pipeline).
const WHOLE_PIPELINE: &str = "-";

/// `<pipeline>/<rule>/<key>`, each part percent-encoded, the key's values joined by `,` in the order
/// of their tags' names.
#[must_use]
pub fn lane(transition: &Transition) -> String {
    let mut key: Vec<(&str, &str)> =
        transition.by.iter().map(|name| &**name).zip(transition.key.0.iter().map(|value| &**value)).collect();
    key.sort_unstable();
    path(&transition.pipeline, &transition.rule, key.into_iter().map(|(_, value)| value))
}

/// The lane of an alert as the ledger has it.
#[must_use]
pub fn lane_of(alert: &Alert) -> String {
    path(&alert.pipeline, &alert.rule, alert.key.values().map(String::as_str))
}

fn path<'a>(pipeline: &str, rule: &str, key: impl Iterator<Item = &'a str>) -> String {
    let mut lane = String::new();
    encode(pipeline, &mut lane);
    lane.push('/');
    encode(rule, &mut lane);
    lane.push('/');
    let before_key = lane.len();
    for (number, value) in key.enumerate() {
        if number > 0 {
            lane.push(',');
        }
        encode(value, &mut lane);
    }
    if lane.len() == before_key {
        lane.push_str(WHOLE_PIPELINE);
    }
    lane
}

/// Percent-encodes what would change a topic's levels (`/ + #`), the list of values (`,`), the
/// encoding itself (`%`), spaces and control characters. Other UTF-8 stays readable.
fn encode(part: &str, lane: &mut String) {
    for letter in part.chars() {
        let special = matches!(letter, '/' | '+' | '#' | ',' | '%' | ' ') || letter.is_control();
        if !special {
            lane.push(letter);
            continue;
        }
        let mut bytes = [0_u8; 4];
        for byte in letter.encode_utf8(&mut bytes).bytes() {
            // Writing to a String cannot fail.
            let _ = write!(lane, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(part: &str) -> String {
        let mut out = String::new();
        encode(part, &mut out);
        out
    }

    #[test]
    fn parts_cannot_leave_their_topic_level() {
        assert_eq!(encoded("comuna-01"), "comuna-01");
        assert_eq!(encoded("a/b+c#d,e%f g"), "a%2Fb%2Bc%23d%2Ce%25f%20g");
        assert_eq!(encoded("línea\0\u{85}"), "línea%00%C2%85");
    }

    #[test]
    fn keys_without_tags_and_with_several_have_one_level() {
        assert_eq!(path("air", "high", [].into_iter()), "air/high/-");
        assert_eq!(path("air", "high", ["a,b", "c"].into_iter()), "air/high/a%2Cb,c");
    }
}
