//! The gauges that most tests speak of: messages `{"t": milliseconds, "level": number}` on
//! `city/{zone}/level/{sensor}`, and a pipeline that takes them in.

use super::wait::now_ms;

/// A window of ten minutes by sensor.
const TEN_MINUTES: &str = r#"
[[window]]
name = "level_10m"
size = "10m"
fields = { level_mean = "mean(level)", level_max = "max(level)" }
"#;

/// The pipeline `level` with these settings of its head and its feed, and these windows and rules.
pub fn pipeline(settings: &str, feed: &str, rest: &str) -> String {
    format!(
        r#"
version = 1
name = "level"
title = {{ es = "Nivel", en = "Level" }}
{settings}

[[feed]]
name = "level"
topic = "city/{{zone}}/level/{{sensor}}"
decoder = "json"
time = {{ path = "/t", format = "ms" }}
{feed}

[feed.quantity.level]
path = "/level"
unit = "cm"
decimals = 1
{rest}"#
    )
}

/// The pipeline with one window and nothing else.
pub fn plain() -> String {
    pipeline("", "", TEN_MINUTES)
}

/// The plain pipeline with an alert on single readings.
pub fn with_alert() -> String {
    let rule = r#"
[[rule]]
name = "level-high"
on = "readings"
when = "level >= 100"
severity = "warning"
title = { es = "Nivel alto", en = "High level" }
message = { es = "{sensor} marca {level:1} cm", en = "{sensor} reads {level:1} cm" }
"#;
    pipeline("", "", &format!("{TEN_MINUTES}{rule}"))
}

/// An hour ago and so many milliseconds.
pub fn at(ms: i64) -> i64 {
    now_ms() - 3_600_000 + ms
}

/// A message of a gauge.
pub fn message(at: i64, level: f64) -> String {
    format!("{{\"t\":{at},\"level\":{level}}}")
}
