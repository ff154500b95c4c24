//! A folder with a pipeline, a sample of messages, and what must come of them (`expected/`, written by
//! a program that shares no code with Sereno).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::site::{Site, sereno, succeeded};
use super::table::{self, Row, close};

/// Means and sums are rounded once; percentiles come out of a sketch; directions out of sums of
/// whole numbers of 2^-30.
const ROUNDING: f64 = 1e-9;
const SKETCH: f64 = 0.005;
const ANGLE: f64 = 1e-7;

/// A pipeline's folder and what became of its sample.
pub struct Golden {
    name: String,
    folder: PathBuf,
    site: Site,
    statistics: Value,
}

impl Golden {
    /// Replays the sample of `folder`, whose pipeline has this name.
    pub fn replayed(name: &str, folder: &Path) -> Self {
        let site = Site::new("");
        let mut replay = sereno(&["replay"]);
        replay.arg(folder.join("readings.ndjson")).arg("--pipeline").arg(folder);
        let line = succeeded({
            replay.arg("--data-dir").arg(site.path("data"));
            replay
        });
        let statistics = serde_json::from_str(&line).expect("one JSON line of statistics");
        Self { name: name.to_owned(), folder: folder.to_owned(), site, statistics }
    }

    /// Compares windows, accounts and alerts with `expected/`, and lists every difference.
    #[track_caller]
    pub fn check(&self) {
        let mut faults = Vec::new();
        let expected = self.folder.join("expected");
        for entry in std::fs::read_dir(&expected).unwrap() {
            let path = entry.unwrap().path();
            let is_window = path.extension().is_some_and(|end| end == "csv") && !path.ends_with("alerts.csv");
            if is_window {
                self.check_window(&path, &mut faults);
            }
        }
        self.check_accounts(&expected, &mut faults);
        self.check_alerts(&table::read(&expected.join("alerts.csv")), &mut faults);
        assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
    }

    fn query(&self, sql: &str) -> Vec<Row> {
        let mut query = sereno(&["query", "--format", "csv", sql, "--pipeline"]);
        query.arg(&self.folder).arg("--data-dir").arg(self.site.path("data"));
        table::rows(&succeeded(query))
    }

    fn check_window(&self, file: &Path, faults: &mut Vec<String>) {
        let window = file.file_stem().unwrap().to_str().unwrap();
        let table = format!("{}_{window}", self.name).replace('-', "_");
        let wanted = table::read(file);
        let header = std::fs::read_to_string(file).unwrap().lines().next().unwrap().to_owned();
        let keys: Vec<&str> = header.split(',').take_while(|column| *column != "count").collect();
        let name = |row: &Row| -> Vec<String> { keys.iter().map(|key| row[*key].clone()).collect() };
        let mut actual: BTreeMap<Vec<String>, Row> =
            self.query(&format!("SELECT * FROM {table}")).into_iter().map(|row| (name(&row), row)).collect();
        for row in &wanted {
            let Some(found) = actual.remove(&name(row)) else {
                faults.push(format!("{window}: {:?} is missing", name(row)));
                continue;
            };
            for (column, value) in row.iter().filter(|(column, _)| !keys.contains(&column.as_str())) {
                if !same(column, value, &found[column]) {
                    let place = name(row);
                    faults.push(format!("{window} {place:?}: {column} is {}, not {value}", found[column]));
                }
            }
        }
        faults.extend(actual.keys().map(|name| format!("{window}: {name:?} should not be")));
    }

    fn check_accounts(&self, expected: &Path, faults: &mut Vec<String>) {
        let read = |name: &str| -> Value {
            serde_json::from_str(&std::fs::read_to_string(expected.join(name)).unwrap()).unwrap()
        };
        let (accounts, counts) = (read("accounts.json"), read("counts.json"));
        let sum = |of: &str, what: &str| -> u64 {
            accounts.as_object().unwrap().values().map(|feed| feed[of][what].as_u64().unwrap()).sum()
        };
        let wanted = [
            ("messages", sum("messages", "received")),
            ("events", sum("events", "stored")),
            ("duplicates", sum("events", "duplicate")),
            ("conflicting", sum("events", "conflicting")),
            ("quarantined", sum("messages", "quarantined") + sum("events", "quarantined")),
            ("excluded", counts["excluded"].as_u64().unwrap()),
            ("too_late", counts["too_late"].as_u64().unwrap()),
        ];
        for (name, wanted) in wanted {
            let actual = self.statistics[name].as_u64().unwrap_or(u64::MAX);
            if actual != wanted {
                faults.push(format!("statistics: {name} is {actual}, not {wanted}"));
            }
        }
    }

    fn check_alerts(&self, wanted: &[Row], faults: &mut Vec<String>) {
        let rows = self.query("SELECT * FROM transitions ORDER BY cause, time");
        let actual: BTreeSet<_> = episodes(&rows).into_iter().map(|alert| alert.map(shortest)).collect();
        let wanted: BTreeSet<[String; 5]> = wanted
            .iter()
            .map(|row| ["rule", "key", "began_at", "raised_at", "resolved_at"].map(|name| row[name].clone()))
            .collect();
        faults.extend(wanted.difference(&actual).map(|alert| format!("alert {alert:?} is missing")));
        faults.extend(actual.difference(&wanted).map(|alert| format!("alert {alert:?} should not be")));
    }
}

/// Every alert that was raised and not annulled, as its transitions leave it: rule, key, beginning,
/// raise, and end or nothing.
fn episodes(transitions: &[Row]) -> BTreeSet<[String; 5]> {
    let mut alerts: BTreeMap<&str, [String; 5]> = BTreeMap::new();
    for row in transitions {
        let (id, to, began) = (row["id"].as_str(), row["to_state"].as_str(), &row["began_at"]);
        let parts = ["sensor", "zone", "type", "period"].iter().filter_map(|tag| row.get(*tag));
        let key = parts.filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("/");
        if to == "inactive" {
            alerts.remove(id);
            continue;
        }
        let alert = alerts.entry(id).or_insert([
            row["rule"].clone(),
            key,
            began.clone(),
            String::new(),
            String::new(),
        ]);
        let is_move = row["from_state"] == row["to_state"];
        if is_move && alert[3] == alert[2] {
            alert[3].clone_from(began);
        }
        alert[2].clone_from(began);
        match to {
            "firing" if !is_move && row["from_state"] != "resolved" => alert[3].clone_from(&row["time"]),
            "resolved" => alert[4].clone_from(&row["time"]),
            _ => {}
        }
        if to == "firing" {
            alert[4].clear();
        }
    }
    alerts.into_values().filter(|alert| !alert[3].is_empty()).collect()
}

/// A time without the zeros that end its fraction.
fn shortest(text: String) -> String {
    match text.strip_suffix('Z') {
        Some(time) if time.contains('.') => format!("{}Z", time.trim_end_matches('0').trim_end_matches('.')),
        _ => text,
    }
}

fn same(column: &str, wanted: &str, actual: &str) -> bool {
    let (Ok(left), Ok(right)) = (wanted.parse::<f64>(), actual.parse::<f64>()) else {
        return wanted == actual;
    };
    let is_percentile = ["_p50", "_p95", "_p99"].iter().any(|end| column.ends_with(end));
    match column {
        "count" => wanted == actual,
        _ if is_percentile => close(left, right, SKETCH),
        _ if column.ends_with("_circular") => close(left, right, ANGLE),
        _ => close(left, right, ROUNDING),
    }
}
