//! The windows of a case's pipelines.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Draw, QUANTITIES};
use crate::chance::Chance;

/// Of any quantity.
const FUNCTIONS: [&str; 16] = [
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "range",
    "first",
    "last",
    "variance",
    "stddev",
    "median",
    "p95",
    "p05",
    "quantile",
    "distinct",
    "time_mean",
];
/// Over sensors.
const OUTER: [&str; 10] =
    ["count", "sum", "mean", "max", "min", "range", "stddev", "p95", "distinct", "variance"];
/// Of each sensor, but for those of counters.
const INNER: [&str; 10] =
    ["mean", "max", "count", "last", "time_mean", "variance", "stddev", "median", "delta", "distinct"];
/// Of counters.
const COUNTERS: [&str; 3] = ["increase", "rate", "delta"];

/// Size, slide or none, for cases of minutes.
const SHORT: [(&str, &str); 20] = [
    ("10s", ""),
    ("30s", ""),
    ("1m", ""),
    ("1m", ""),
    ("20s", "10s"),
    ("1m", "20s"),
    ("1m", "10s"),
    ("70s", ""),
    ("5m", "1m"),
    // Of so many panes that they are added up in blocks.
    ("64s", "1s"),
    ("7m", ""),
    ("1h", ""),
    ("2h", "1h"),
    ("hour", ""),
    ("hour", "10m"),
    ("3h", ""),
    ("day", "hour"),
    ("day", ""),
    ("week", ""),
    ("month", ""),
];
/// For cases of days.
const DAYS: [(&str, &str); 14] = [
    ("hour", ""),
    ("2h", ""),
    ("3h", "1h"),
    ("6h", ""),
    ("6h", "2h"),
    ("12h", ""),
    ("7h", ""),
    ("day", ""),
    ("day", ""),
    ("day", "hour"),
    ("day", "6h"),
    ("1d", "12h"),
    ("week", "day"),
    ("week", ""),
];
/// For cases of weeks.
const WEEKS: [(&str, &str); 7] =
    [("day", ""), ("day", ""), ("week", ""), ("week", ""), ("week", "day"), ("month", ""), ("month", "day")];
/// For cases of more than a year.
const YEARS: [(&str, &str); 6] =
    [("month", ""), ("year", ""), ("year", "month"), ("week", ""), ("7d", ""), ("month", "month")];

impl Draw {
    pub(super) fn window(&mut self, n: usize) -> Json {
        if self.crowded && n == 0 {
            return self.crowd();
        }
        let by = self.chance.one(&[
            vec!["sensor"],
            vec!["sensor"],
            vec!["sensor"],
            vec!["zone"],
            vec![],
            vec!["zone", "sensor"],
        ]);
        let by_sensor = by.contains(&"sensor");
        let of_sensors = !by_sensor && self.chance.percent(20);
        let fields = self.fields(by_sensor, of_sensors);
        let hold_max = self.chance.percent(30).then(|| self.span(&[5, 60, 600]));
        let days = self.lasts / super::DAY;
        let chance = &mut self.chance;
        let sizes: &[(&str, &str)] = match days {
            0 => &SHORT,
            1..5 => &DAYS,
            5..60 => &WEEKS,
            _ => &YEARS,
        };
        let (size, slide) = chance.one(sizes);
        // A registered sensor that is silent misses more windows of a second than are published at once.
        let by = if slide == "1s" && by_sensor { vec!["zone", "sensor"] } else { by };
        let mut window = json!({"name": format!("w{n}"), "size": size, "by": by, "fields": fields});
        if days < 60 && chance.percent(if days == 0 { 5 } else { 30 }) {
            window["size"] = json!("day");
            window["periods"] = periods(chance);
        } else if !slide.is_empty() {
            window["slide"] = json!(slide);
        }
        if of_sensors {
            window["of"] = json!("sensors");
        }
        if let Some(hold_max) = hold_max {
            window["hold_max"] = json!(hold_max);
        }
        if !by_sensor && chance.percent(30) {
            window["sensor_capture_min"] = json!(chance.one(&[0.01, 0.1, 0.5]));
        }
        if chance.percent(30) {
            window["capture_min"] = json!(chance.one(&[0.1, 0.5, 0.75]));
        }
        window
    }

    /// A window whose panes hold more different values than are counted one by one.
    fn crowd(&mut self) -> Json {
        let slide = self.chance.one(&["5m", "10m"]);
        json!({"name": "w0", "size": "10m", "slide": slide, "by": [],
            "fields": {"f0": "distinct(temp)", "f1": "p95(temp)", "f2": "distinct(pm)", "mean_pm": "mean(pm)"}})
    }

    fn fields(&mut self, by_sensor: bool, of_sensors: bool) -> BTreeMap<String, String> {
        let chance = &mut self.chance;
        let mut fields = BTreeMap::new();
        for n in 0..chance.within(1, 5) {
            let sql = match chance.within(0, 10) {
                0..3 if !by_sensor => nested(chance),
                3..5 if !of_sensors => format!("{}(kwh)", chance.one(&COUNTERS)),
                5 => "energy_mean(noise)".to_owned(),
                6 => "circular_mean(dir)".to_owned(),
                _ => plain(chance, of_sensors),
            };
            fields.insert(format!("f{n}"), sql);
        }
        fields.insert("mean_pm".to_owned(), "mean(pm)".to_owned());
        if chance.percent(30) {
            fields.insert("n".to_owned(), "count(*)".to_owned());
        }
        if chance.percent(20) {
            fields.insert("share".to_owned(), "capture_percent(*)".to_owned());
        }
        fields
    }
}

fn plain(chance: &mut Chance, of_sensors: bool) -> String {
    let folds = |name: &&&str| !of_sensors || !["first", "last", "time_mean"].contains(*name);
    let functions: Vec<&str> = FUNCTIONS.iter().filter(folds).copied().collect();
    called(chance, &functions, None)
}

fn nested(chance: &mut Chance) -> String {
    let inner = match chance.within(0, 5) {
        0 => "increase(kwh)".to_owned(),
        1 => "rate(noise)".to_owned(),
        _ => called(chance, &INNER, None),
    };
    called(chance, &OUTER, Some(inner))
}

/// One of these functions, of another call or of a quantity.
fn called(chance: &mut Chance, functions: &[&str], inner: Option<String>) -> String {
    let (function, quantity) = (chance.one(functions), chance.one(&QUANTITIES));
    let argument = inner.unwrap_or_else(|| quantity.to_owned());
    match function {
        "quantile" => format!("quantile({argument}, {})", chance.one(&["0.999", "0.5", "0.123456"])),
        _ => format!("{function}({argument})"),
    }
}

fn periods(chance: &mut Chance) -> Json {
    chance.one(&[
        json!({"dia": "07:01-21:00", "noche": "21:01-07:00"}),
        json!({"dia": "07:01-21:00", "noche": "21:01-07:00"}),
        json!({"todo": "00:00-23:59"}),
        json!({"madrugada": "00:00-05:59", "tarde": "12:00-17:59", "noche": "20:00-23:59"}),
        json!({"cambio": "01:30-02:29", "dia": "08:00-19:59"}),
        json!({"vuelta": "12:00-11:59"}),
        json!({"cierre": "23:50-00:09"}),
    ])
}
