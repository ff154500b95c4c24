//! The rules of a case's pipelines, and the conditions that are drawn.

use serde_json::{Value as Json, json};

use super::Draw;
use crate::chance::Chance;
use crate::condition::Condition;

/// Seconds of `for`, and of `absent_for`.
const HOLDS: [i64; 6] = [0, 0, 10, 20, 60, 120];
const ABSENCES: [i64; 4] = [5, 20, 60, 180];

impl Draw {
    pub(super) fn rules(&mut self, windows: &[Json]) -> Vec<Json> {
        // Sometimes many on one window.
        let crowd = self.chance.percent(15);
        let count = if crowd { self.chance.within(4, 9) } else { self.chance.one(&[0, 1, 2, 3]) };
        let only = self.chance.one(windows);
        let windows = if crowd { std::slice::from_ref(&only) } else { windows };
        (0..count).map(|n| self.rule(&format!("r{n}"), windows)).collect()
    }

    pub(super) fn rule(&mut self, name: &str, windows: &[Json]) -> Json {
        let window = self.chance.percent(65).then(|| self.chance.one(windows));
        let on = window.as_ref().map_or("readings", |window| window["name"].as_str().expect("a name"));
        let mut rule = json!({"name": name, "on": on});
        if on == "readings" && self.chance.percent(30) {
            rule["absent_for"] = json!(self.span(&ABSENCES));
        } else {
            rule["for"] = json!(self.span(&HOLDS));
            self.judging(&mut rule);
        }
        self.words(&mut rule);
        rule
    }

    /// What a rule judges by, but for its `for`.
    fn judging(&mut self, rule: &mut Json) {
        let columns: &[&'static str] = match rule["on"].as_str() {
            Some("readings") => &["pm", "pm", "temp"],
            _ => &["mean_pm", "mean_pm", "mean_pm", "count"],
        };
        let (when, clear) = (self.condition(columns), self.condition(columns));
        let (when, clear) = (self.sql(when), self.sql(clear));
        rule["when"] = json!(when);
        rule["clear"] = if self.chance.percent(30) { json!(clear) } else { Json::Null };
        rule["keep_firing_for"] = json!(self.span(&[0, 0, 10, 60]));
        rule["stale_after"] = json!(self.span(&[1, 10, 60, 300]));
        rule["no_data"] = json!(self.chance.one(&["hold", "hold", "resolve", "alert"]));
    }

    /// What a rule says.
    fn words(&mut self, rule: &mut Json) {
        let chance = &mut self.chance;
        let title = chance.one(&["one", "another"]);
        let to_whom = if rule["on"] == "readings" { "{sensor}" } else { "all" };
        rule["notify_within"] = json!(chance.one(&["5s", "1m", "1h"]));
        rule["severity"] = json!(chance.one(&["info", "warning", "critical"]));
        rule["title"] = json!({"es": "titulo", "en": title});
        rule["message"] = json!({"es": format!("a {to_whom}"), "en": format!("to {to_whom}, {title}")});
        rule["labels"] = json!({"route": chance.one(&["north", "south"])});
    }

    /// Changes the rules of a pipeline in one of the ways in which they can be changed.
    pub(super) fn change_rules(&mut self, pipeline: usize) {
        let own =
            |what: &str, draw: &Self| draw.pipelines[pipeline][what].as_array().cloned().unwrap_or_default();
        let (windows, mut rules) = (own("window", self), own("rule", self));
        let at = self.chance.within(0, rules.len() as i64) as usize;
        let change = self.chance.within(0, 8);
        match rules.get_mut(at) {
            None => rules.push(self.rule("r0", &windows)),
            Some(_) if change == 0 => drop(rules.remove(at)),
            Some(_) if change == 1 => {
                let free = (0..)
                    .map(|n| format!("r{n}"))
                    .find(|name| rules.iter().all(|rule| rule["name"] != **name));
                rules.push(self.rule(&free.expect("names do not end"), &windows));
            }
            // Mostly on another window, or on readings.
            Some(rule) if change == 2 => {
                let name = rule["name"].as_str().expect("a name").to_owned();
                *rule = self.rule(&name, &windows);
            }
            Some(rule) if change == 3 => self.words(rule),
            Some(rule) if !rule["absent_for"].is_null() => {
                rule["absent_for"] = json!(self.span(&ABSENCES));
            }
            Some(rule) => {
                if change >= 6 {
                    rule["for"] = json!(self.span(&HOLDS));
                }
                if change <= 6 {
                    self.judging(rule);
                }
            }
        }
        self.pipelines[pipeline]["rule"] = json!(rules);
    }

    pub(super) fn condition(&mut self, columns: &[&'static str]) -> Condition {
        let one = |chance: &mut Chance| {
            let (column, constant) = (chance.one(columns), chance.within(0, 100));
            if chance.percent(60) {
                Condition::Above(column, constant)
            } else {
                Condition::Below(column, constant)
            }
        };
        let (first, second) = (one(&mut self.chance), one(&mut self.chance));
        match self.chance.within(0, 4) {
            0 => Condition::both(first, second),
            1 => Condition::either(first, second),
            _ => first,
        }
    }

    pub(super) fn sql(&mut self, condition: Condition) -> String {
        let sql = condition.to_string();
        self.conditions.insert(sql.clone(), condition);
        sql
    }

    /// Rules that nothing decides but what was measured.
    pub(super) fn certain(&mut self) {
        for pipeline in &mut self.pipelines {
            for rule in pipeline["rule"].as_array_mut().into_iter().flatten() {
                rule["no_data"] = json!("hold");
            }
            pipeline["rule"].as_array_mut().expect("rules").retain(|rule| rule["absent_for"].is_null());
        }
    }
}
