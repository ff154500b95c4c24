//! What `sereno recompute --dry-run` says, in both languages.

use crate::config::Language;
use crate::model::Timestamp;
use crate::service::recompute::{AlertDifference, Difference, Fate, Preview};

/// Differences of a kind that are said one by one.
const SHOWN_MAX: usize = 50;

/// The words of one language.
struct Words {
    not_published: &'static str,
    count: &'static str,
    capture: &'static str,
    sufficient: &'static str,
    /// No, yes.
    answers: (&'static str, &'static str),
    none: &'static str,
    more: &'static str,
    windows: (&'static str, &'static str),
    alert: &'static str,
    recorded: &'static str,
    annulled: &'static str,
    merged: &'static str,
    to: &'static str,
    goes_on: &'static str,
    /// Nothing, one, several.
    alerts: (&'static str, &'static str, &'static str),
}

const ES: Words = Words {
    not_published: "sin publicar",
    count: "conteo",
    capture: "captura",
    sufficient: "suficiente",
    answers: ("no", "sí"),
    none: "sin dato",
    more: "más",
    windows: ("de", "ventanas serían distintas"),
    alert: "alerta",
    recorded: "se registraría",
    annulled: "se anularía",
    merged: "sería parte de una alerta anterior",
    to: "a",
    goes_on: "sin fin",
    alerts: (
        "ninguna alerta sería distinta",
        "alerta sería distinta; no se avisaría a nadie",
        "alertas serían distintas; no se avisaría a nadie",
    ),
};

const EN: Words = Words {
    not_published: "not published",
    count: "count",
    capture: "capture",
    sufficient: "sufficient",
    answers: ("no", "yes"),
    none: "none",
    more: "more",
    windows: ("of", "windows would be different"),
    alert: "alert",
    recorded: "would be recorded",
    annulled: "would be annulled",
    merged: "would be part of an earlier alert",
    to: "to",
    goes_on: "no end",
    alerts: (
        "no alert would be different",
        "alert would be different; nobody would be told",
        "alerts would be different; nobody would be told",
    ),
};

/// The lines of a preview.
#[must_use]
pub(super) fn lines(preview: &Preview, language: Language) -> Vec<String> {
    let words = match language {
        Language::Es => &ES,
        Language::En => &EN,
    };
    let mut lines = Vec::new();
    for difference in preview.differences.iter().take(SHOWN_MAX) {
        lines.extend(words.window(difference));
    }
    lines.extend(words.beyond(preview.differences.len()));
    lines.extend(preview.alerts.iter().take(SHOWN_MAX).map(|alert| words.alert(alert)));
    lines.extend(words.beyond(preview.alerts.len()));
    let (of, different) = words.windows;
    lines.push(format!("{} {of} {} {different}", preview.differences.len(), preview.windows));
    lines.push(match preview.alerts.len() {
        0 => words.alerts.0.to_owned(),
        1 => format!("1 {}", words.alerts.1),
        many => format!("{many} {}", words.alerts.2),
    });
    lines
}

impl Words {
    fn window(&self, difference: &Difference) -> Vec<String> {
        let key: Vec<&str> = difference.key.0.iter().map(|part| &**part).collect();
        let (before, now) = difference.count;
        let before = match before {
            Some(count) => format!("{} {count}", self.count),
            None => self.not_published.to_owned(),
        };
        let head = format!("{} {} {}: {before} -> {now}", difference.window, key.join("/"), difference.start);
        let text = |value: &Option<f64>| value.map_or(self.none.to_owned(), |value| value.to_string());
        let line = |name: &str, before: &str, now: &str| format!("    {name}: {before} -> {now}");
        let answer = |yes: bool| if yes { self.answers.1 } else { self.answers.0 };
        let capture = difference.capture.iter();
        let capture = capture.map(|(before, now)| line(self.capture, &text(before), &text(now)));
        let sufficient = difference.sufficient.iter();
        let sufficient = sufficient.map(|two| line(self.sufficient, answer(two.0), answer(two.1)));
        let fields = difference.fields.iter();
        let fields = fields.map(|(name, before, now)| line(name, &text(before), &text(now)));
        std::iter::once(head).chain(capture).chain(sufficient).chain(fields).collect()
    }

    fn alert(&self, alert: &AlertDifference) -> String {
        let time = |times: Option<(Timestamp, Option<Timestamp>)>| {
            times.map_or(String::new(), |(raised_at, over_at)| {
                let over = over_at.map_or(self.goes_on.to_owned(), |at| at.to_string());
                format!("{raised_at} {} {over}", self.to)
            })
        };
        let (before, now) = (time(alert.before), time(alert.now));
        let becomes = match alert.fate {
            Fate::Recorded => format!("{now}: {}", self.recorded),
            Fate::Moved => format!("{before} -> {now}"),
            Fate::Annulled => format!("{before}: {}", self.annulled),
            Fate::Merged => format!("{before}: {}", self.merged),
        };
        format!("{} {} {} {becomes}", self.alert, alert.rule, alert.key.join("/"))
    }

    fn beyond(&self, count: usize) -> Option<String> {
        let more = count.checked_sub(SHOWN_MAX).filter(|more| *more > 0)?;
        Some(format!("... {more} {}", self.more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Key;

    #[test]
    fn every_kind_of_difference_is_said_in_both_languages() {
        let at = |minute: i64| Timestamp((1_772_366_400 + 60 * minute) * 1_000_000_000);
        let alert = |fate, before: Option<i64>, now: Option<i64>| AlertDifference {
            fate,
            rule: "level.high".into(),
            key: vec!["a".into()],
            before: before.map(|minute| (at(minute), Some(at(minute + 1)))),
            now: now.map(|minute| (at(minute), Some(at(minute + 1)))),
        };
        let preview = Preview {
            windows: 5,
            differences: vec![Difference {
                window: "level.minute".into(),
                key: Key(vec!["a".into()].into()),
                start: at(1),
                count: (Some(6), 7),
                capture: Some((None, Some(0.25))),
                sufficient: Some((true, false)),
                fields: vec![("highest".into(), Some(10.0), Some(99.0))],
            }],
            alerts: vec![
                alert(Fate::Recorded, None, Some(1)),
                alert(Fate::Moved, Some(1), Some(2)),
                alert(Fate::Annulled, Some(1), None),
                alert(Fate::Merged, Some(1), None),
            ],
            readings_from: None,
        };
        assert_eq!(
            lines(&preview, Language::En),
            [
                "level.minute a 2026-03-01T12:01:00Z: count 6 -> 7",
                "    capture: none -> 0.25",
                "    sufficient: yes -> no",
                "    highest: 10 -> 99",
                "alert level.high a 2026-03-01T12:01:00Z to 2026-03-01T12:02:00Z: would be recorded",
                "alert level.high a 2026-03-01T12:01:00Z to 2026-03-01T12:02:00Z -> \
                 2026-03-01T12:02:00Z to 2026-03-01T12:03:00Z",
                "alert level.high a 2026-03-01T12:01:00Z to 2026-03-01T12:02:00Z: would be annulled",
                "alert level.high a 2026-03-01T12:01:00Z to 2026-03-01T12:02:00Z: would be part of an earlier alert",
                "1 of 5 windows would be different",
                "4 alerts would be different; nobody would be told",
            ]
        );
        let spanish = lines(&preview, Language::Es);
        assert_eq!(spanish[0], "level.minute a 2026-03-01T12:01:00Z: conteo 6 -> 7");
        assert_eq!(
            spanish[1..4],
            ["    captura: sin dato -> 0.25", "    suficiente: sí -> no", "    highest: 10 -> 99"]
        );
        assert_eq!(
            spanish[4],
            "alerta level.high a 2026-03-01T12:01:00Z a 2026-03-01T12:02:00Z: se registraría"
        );
        assert_eq!(spanish[8], "1 de 5 ventanas serían distintas");
        let none = Preview { windows: 5, ..Preview::default() };
        assert_eq!(
            lines(&none, Language::En),
            ["0 of 5 windows would be different", "no alert would be different"]
        );
    }
}
