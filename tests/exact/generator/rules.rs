//! The rules of a case's pipelines, and the conditions that are drawn.

use serde_json::{Value as Json, json};

use super::Draw;
use crate::chance::Chance;
use crate::condition::Condition;

impl Draw {
    pub(super) fn rules(&mut self, windows: &[Json]) -> Vec<Json> {
        (0..self.chance.one(&[0, 1, 2, 3])).map(|n| self.rule(n, windows)).collect()
    }

    pub(super) fn rule(&mut self, n: usize, windows: &[Json]) -> Json {
        let on_window = self.chance.percent(65).then(|| self.chance.one(windows));
        let columns: &[&'static str] = if on_window.is_some() {
            &["mean_pm", "mean_pm", "mean_pm", "count"]
        } else {
            &["pm", "pm", "temp"]
        };
        let (when, clear) = (self.condition(columns), self.condition(columns));
        let (when, clear) = (self.sql(when), self.sql(clear));
        let chance = &mut self.chance;
        let mut rule = json!({
            "name": format!("r{n}"),
            "on": on_window.as_ref().map_or("readings", |window| window["name"].as_str().expect("a name")),
            "when": when,
            "for": chance.one(&["0s", "0s", "10s", "20s", "1m", "2m"]),
            "keep_firing_for": chance.one(&["0s", "0s", "10s", "1m"]),
            "stale_after": chance.one(&["1s", "10s", "1m", "5m"]),
            "notify_within": chance.one(&["5s", "1m", "1h"]),
            "severity": chance.one(&["info", "warning", "critical"]),
            "title": {"es": "titulo", "en": "title"}, "message": {"es": "mensaje", "en": "message"},
        });
        if chance.percent(30) {
            rule["clear"] = json!(clear);
        }
        rule
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

    /// Rules that no passing time decides: when a tick lets time pass for a rule whose last verdict
    /// came after it is not settled between the semantics and the engine.
    pub(super) fn untimed(&mut self) {
        for pipeline in &mut self.pipelines {
            for rule in pipeline["rule"].as_array_mut().into_iter().flatten() {
                rule["for"] = json!("0s");
                rule["keep_firing_for"] = json!("0s");
            }
        }
    }
}
