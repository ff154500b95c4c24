//! What a run compared: published windows of each kind, and values of each aggregate. What was never
//! met was never judged.

use std::collections::BTreeMap;

use sereno::model::definition::WindowDefinition;
use sereno::model::time::SECOND;

use super::call::Call;

const HOUR: i64 = 3_600 * SECOND;

/// Every kind of window that a run has to meet.
const WINDOWS: [&str; 20] = [
    "tumbling",
    "hopping",
    "day",
    "day of 23 hours",
    "day of 25 hours",
    "day hopping",
    "hour",
    "week",
    "week an hour shorter or longer",
    "week hopping",
    "month",
    "month hopping",
    "year",
    "year hopping",
    "part of a day shorter or longer than its size",
    "period of the day",
    "period over midnight",
    "period shorter or longer than written",
    "empty",
    "over several sensors",
];

/// Every aggregate that a run has to meet, as [`Call::words`] says it.
const VALUES: [&str; 26] = [
    "count",
    "count(*)",
    "capture_percent(*)",
    "sum",
    "mean",
    "min",
    "max",
    "range",
    "first",
    "last",
    "variance",
    "stddev",
    "quantile",
    "distinct",
    "distinct beyond 256",
    "increase",
    "rate",
    "delta",
    "time_mean",
    "energy_mean",
    "circular_mean",
    "max of sensors' mean",
    "sum of sensors' increase",
    "count of sensors' mean",
    "a counter's reset",
    "a counter that wraps",
];

/// Everything that a run has to see happen to alerts and to their rules.
const ALERTS: [&str; 27] = [
    "alert pending",
    "alert dropped",
    "alert fired at once",
    "alert fired by for",
    "alert over: condition ended",
    "alert over: kept firing",
    "alert fired: no data",
    "alert over: no data",
    "alert fired: absent",
    "alert over: data again",
    "alert's times changed",
    "alert still holds",
    "a window that ends with a longer one",
    "alert annulled",
    "alert raised again",
    "alert merged",
    "alert split",
    "alert over: rule changed",
    "alert goes on, rule changed",
    "rule: condition changed",
    "rule: for changed",
    "rule: moved on to another for",
    "rule: taken over by another plan",
    "rule gone",
    "rule ended with its plan",
    "rule gone with its pipeline",
    "reading too late for a rule",
];

/// How many of each were met.
#[derive(Clone, Debug, Default)]
pub struct Met(pub BTreeMap<String, u64>);

impl Met {
    /// Something was met.
    pub fn one(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    /// A window was published.
    pub fn window(&mut self, window: &WindowDefinition, period: Option<&str>, span: (i64, i64), count: u64) {
        let length = span.1 - span.0;
        if count == 0 {
            self.one("empty");
        }
        if !window.by.iter().any(|name| name == "sensor") {
            self.one("over several sensors");
        }
        if let Some(name) = period {
            let written = window.periods[name];
            self.one("period of the day");
            if written.end().0 > 24 * HOUR {
                self.one("period over midnight");
            }
            if length != written.end().0 - written.begin().0 {
                self.one("period shorter or longer than written");
            }
            return;
        }
        let hopping = window.slide.is_some_and(|slide| slide != window.size);
        let odd = length != window.size.nominal().0;
        match (window.size.unit(), hopping) {
            (None, true) => self.one("hopping"),
            (None, false) => self.one("tumbling"),
            (Some(unit), true) => self.one(&format!("{} hopping", unit.as_str())),
            (Some(unit), false) => self.one(unit.as_str()),
        }
        match window.size.unit().map(|unit| unit.as_str()) {
            Some("day") if length == 23 * HOUR => self.one("day of 23 hours"),
            Some("day") if length == 25 * HOUR => self.one("day of 25 hours"),
            Some("week") if odd => self.one("week an hour shorter or longer"),
            None if odd => self.one("part of a day shorter or longer than its size"),
            _ => {}
        }
    }

    /// The fields of a window were published.
    pub fn fields(&mut self, calls: &[Call], values: &[Option<f64>]) {
        for (call, value) in calls.iter().zip(values) {
            let Some(value) = value else { continue };
            self.one(&call.words());
            if call.outer.name == "distinct" && *value > 256.0 {
                self.one("distinct beyond 256");
            }
        }
    }

    /// Takes in what another run met.
    pub fn add(&mut self, other: &Self) {
        for (what, number) in &other.0 {
            *self.0.entry(what.clone()).or_default() += number;
        }
    }

    /// What was never met.
    pub fn missing(&self) -> Vec<&'static str> {
        WINDOWS.into_iter().chain(VALUES).chain(ALERTS).filter(|what| !self.0.contains_key(*what)).collect()
    }
}
