//! Cases from seeds: small, and full of what goes wrong in a city: late and too late readings,
//! repeats, backlogs, clocks in the future, changed rules and windows, silent sensors.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use sereno::model::Control;
use sereno::model::definition::{FeedDefinition, PipelineDefinition};
use sereno::model::time::SECOND;

use crate::case::{Case, Happening, Message, decimals, event, unit};
use crate::chance::Chance;
use crate::condition::Condition;

const QUANTITIES: [&str; 3] = ["pm", "temp", "noise"];
const FUNCTIONS: [&str; 9] = ["count", "sum", "mean", "min", "max", "first", "last", "stddev", "p95"];
const SPANS: [&str; 8] = ["0s", "1s", "5s", "10s", "20s", "1m", "2m", "5m"];

/// Everything that is drawn before the first message.
pub struct Draw {
    /// Chance, as far as it was used.
    pub chance: Chance,
    /// Conditions by their SQL.
    pub conditions: BTreeMap<String, Condition>,
    /// Feeds.
    pub feeds: Vec<Json>,
    /// Pipelines.
    pub pipelines: Vec<Json>,
    /// Feed, name and zone of each sensor.
    pub sensors: Vec<(usize, String, String)>,
    /// First moment.
    pub begins_at: i64,
    /// How long devices measure.
    pub lasts: i64,
}

/// The case of a seed.
pub fn case(seed: u64) -> Case {
    let mut draw = Draw::of(seed);
    draw.untimed();
    let script = draw.script();
    let title = format!(
        "{} feeds, {} pipelines, {} sensors, {} s, {} happenings",
        draw.feeds.len(),
        draw.pipelines.len(),
        draw.sensors.len(),
        draw.lasts / SECOND,
        script.len()
    );
    Case { seed, title, conditions: draw.conditions, script }
}

impl Draw {
    fn of(seed: u64) -> Self {
        let mut chance = Chance::of(seed);
        // Near a local midnight, or anywhere.
        let begins_at = chance.one(&[1_737_435_300, 1_737_417_500, 1_700_000_000, 1_741_000_007]) * SECOND;
        let lasts = chance.one(&[60, 200, 600, 1_800]) * SECOND;
        let (conditions, feeds, pipelines, sensors) = Default::default();
        let mut draw = Self { chance, conditions, feeds, pipelines, sensors, begins_at, lasts };
        draw.feeds();
        draw.pipelines();
        draw
    }

    /// Rules that no passing time decides: when a tick lets time pass for a rule whose last verdict
    /// came after it is not settled between the semantics and the engine.
    fn untimed(&mut self) {
        for pipeline in &mut self.pipelines {
            for rule in pipeline["rule"].as_array_mut().into_iter().flatten() {
                rule["for"] = json!("0s");
                rule["keep_firing_for"] = json!("0s");
            }
        }
    }

    /// Definitions under which nothing is too late, refused, or decided by when it came.
    pub fn calm(seed: u64) -> Self {
        let mut draw = Self::of(seed);
        for feed in &mut draw.feeds {
            feed["identity"] = json!("time");
            feed["devices_max"] = json!(1_000);
        }
        for pipeline in &mut draw.pipelines {
            pipeline["allowed_lateness"] = json!("2m");
            pipeline["open_max"] = json!("7d");
        }
        draw
    }

    fn feeds(&mut self) {
        for n in 0..self.chance.one(&[1, 1, 2]) {
            let chance = &mut self.chance;
            let quantities: BTreeMap<&str, Json> = QUANTITIES
                .iter()
                .map(|name| (*name, json!({"unit": unit(name), "decimals": decimals(name)})))
                .collect();
            let mut feed = json!({
                "name": format!("feed-{n}"), "topic": "city/{zone}/{sensor}", "decoder": "json",
                "quantity": quantities,
                "out_of_orderness": chance.one(&["0s", "5s", "10s", "30s"]),
                "max_skew": chance.one(&["5s", "1m", "5m"]),
                "idle_after": chance.one(&["5s", "20s", "1m"]),
                "identity": chance.one(&["time", "time", "time", "sequence", "protocol"]),
                "devices_max": chance.one(&[1_000_000, 1_000_000, 1_000_000, 2]),
            });
            if chance.percent(40) {
                feed["expected_interval"] = json!(chance.one(&["1s", "7s", "10s", "30s"]));
            }
            for sensor in 0..chance.within(1, 4) {
                let zone = chance.one(&["north", "south", ""]);
                self.sensors.push((n, format!("s{sensor}"), zone.to_owned()));
            }
            self.feeds.push(feed);
        }
    }

    fn pipelines(&mut self) {
        for n in 0..self.chance.one(&[1, 1, 2]) {
            let pipeline = self.pipeline(n);
            self.pipelines.push(pipeline);
        }
    }

    fn pipeline(&mut self, n: usize) -> Json {
        let all: Vec<String> = (0..self.feeds.len()).map(|n| format!("feed-{n}")).collect();
        let reads = if self.chance.percent(70) { all } else { vec![self.chance.one(&all)] };
        let windows: Vec<Json> = (0..self.chance.one(&[1, 1, 2])).map(|n| self.window(n)).collect();
        let rules = self.rules(&windows);
        let chance = &mut self.chance;
        let mut pipeline = json!({
            "version": 1, "name": format!("pipeline-{n}"), "title": {"es": "t", "en": "t"},
            "timezone": chance.one(&["America/Bogota", "UTC", "Asia/Kolkata"]),
            "reads": reads,
            "allowed_lateness": chance.one(&SPANS),
            "amend_every": chance.one(&["0s", "5s", "10s"]),
            "open_max": chance.one(&["2m", "10m", "7d", "7d"]),
            "window": windows, "rule": rules,
        });
        if chance.percent(40) {
            pipeline["close_after"] = json!(chance.one(&SPANS));
        }
        if self.chance.percent(30) {
            let condition = self.condition(&["pm", "temp"]);
            pipeline["exclude"] = json!(self.sql(condition));
        }
        pipeline
    }

    fn window(&mut self, n: usize) -> Json {
        let chance = &mut self.chance;
        let mut fields = BTreeMap::new();
        for _ in 0..chance.within(1, 4) {
            let (function, quantity) = (chance.one(&FUNCTIONS), chance.one(&QUANTITIES));
            fields.insert(format!("{function}_{quantity}"), format!("{function}({quantity})"));
        }
        fields.insert("mean_pm".to_owned(), "mean(pm)".to_owned());
        if chance.percent(30) {
            fields.insert("n".to_owned(), "count(*)".to_owned());
        }
        let (size, slide) = chance.one(&[
            ("10s", None),
            ("30s", None),
            ("1m", None),
            ("20s", Some("10s")),
            ("1m", Some("20s")),
            ("1m", Some("10s")),
            ("70s", None),
            ("5m", Some("1m")),
            ("7m", None),
            ("1h", None),
            ("hour", None),
            ("day", Some("hour")),
        ]);
        let by = chance.one(&[vec!["sensor"], vec!["sensor"], vec!["zone"], vec![], vec!["zone", "sensor"]]);
        let mut window = json!({"name": format!("w{n}"), "size": size, "by": by, "fields": fields});
        if let Some(slide) = slide {
            window["slide"] = json!(slide);
        }
        if chance.percent(30) {
            window["capture_min"] = json!(chance.one(&[0.1, 0.5, 0.75]));
        }
        window
    }

    fn rules(&mut self, windows: &[Json]) -> Vec<Json> {
        (0..self.chance.one(&[0, 1, 2, 3])).map(|n| self.rule(n, windows)).collect()
    }

    fn rule(&mut self, n: usize, windows: &[Json]) -> Json {
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

    fn condition(&mut self, columns: &[&'static str]) -> Condition {
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

    fn sql(&mut self, condition: Condition) -> String {
        let sql = condition.to_string();
        self.conditions.insert(sql.clone(), condition);
        sql
    }

    /// The configuration as it stands.
    pub fn controls(&self) -> Vec<Control> {
        let feed = |json: &Json| {
            let feed: FeedDefinition = serde_json::from_value(json.clone()).expect("a feed");
            Control::Feed { feed: Box::new(feed) }
        };
        let pipeline = |json: &Json| {
            let pipeline: PipelineDefinition = serde_json::from_value(json.clone()).expect("a pipeline");
            Control::Pipeline { pipeline: Box::new(pipeline) }
        };
        self.feeds.iter().map(feed).chain(self.pipelines.iter().map(pipeline)).collect()
    }

    /// Messages, links, controls, passing time and cuts, in the order of their time.
    fn script(&mut self) -> Vec<(i64, Happening)> {
        let (from, lasts) = (self.begins_at, self.lasts);
        let mut script = vec![(from, Happening::Configure(self.controls()))];
        let mut backlogs = Vec::new();
        for feed in 0..self.feeds.len() {
            let name: Arc<str> = format!("feed-{feed}").into();
            script.push((from, Happening::Link(name.clone(), true)));
            let mut away = None;
            if self.chance.percent(40) {
                let down = from + self.chance.within(0, lasts);
                let up = down + self.chance.within(SECOND, 200 * SECOND);
                script.push((down, Happening::Link(name.clone(), false)));
                script.push((up, Happening::Link(name.clone(), true)));
                away = Some((down, up));
            }
            backlogs.push(away);
        }
        self.messages(&backlogs, &mut script);
        self.changes(&mut script);
        let end = script.iter().map(|entry| entry.0).max().unwrap_or(from);
        for _ in 0..self.chance.within(0, 40) {
            script.push((from + self.chance.within(0, end - from), Happening::Pass));
        }
        for _ in 0..self.chance.within(0, 20) {
            script.push((from + self.chance.within(0, end - from), Happening::Cut));
        }
        if self.chance.percent(25) {
            script.push((from + self.chance.within(0, end - from), Happening::Restart));
        }
        let mut at = end;
        for _ in 0..self.chance.within(0, 60) {
            at += self.chance.within(SECOND / 2, 15 * SECOND);
            script.push((at, Happening::Pass));
        }
        script.sort_by_key(|entry| entry.0);
        script
    }

    fn messages(&mut self, backlogs: &[Option<(i64, i64)>], script: &mut Vec<(i64, Happening)>) {
        let number = self.chance.one(&[20, 60, 150]);
        let silent = self.chance.percent(30).then(|| self.begins_at + self.chance.within(0, self.lasts));
        for n in 0..number {
            let (feed, sensor, zone) = self.chance.one(&self.sensors);
            let event_at = self.moment();
            if sensor == "s0" && silent.is_some_and(|at| event_at > at) {
                continue;
            }
            let name: Arc<str> = format!("feed-{feed}").into();
            let mut arrives_at = event_at + self.delay();
            if let Some((down, up)) = backlogs[feed].filter(|(down, up)| (*down..*up).contains(&arrives_at)) {
                // The broker held it: all come in a burst, in order.
                arrives_at = up + (arrives_at - down) / 50;
            }
            let zone = if self.chance.percent(5) { "moved".to_owned() } else { zone };
            let message = self.message(&name, &sensor, &zone, event_at, n);
            if self.chance.percent(8) {
                let again = arrives_at + self.chance.within(0, 30 * SECOND);
                script.push((again, Happening::Message(message.clone())));
            }
            script.push((arrives_at, Happening::Message(message)));
        }
    }

    /// An event time: whole seconds, often on the edge of a window.
    pub fn moment(&mut self) -> i64 {
        let at = self.begins_at + self.chance.within(0, self.lasts);
        match self.chance.within(0, 4) {
            0 => at - at.rem_euclid(10 * SECOND),
            1 => at,
            _ => at - at.rem_euclid(SECOND),
        }
    }

    fn delay(&mut self) -> i64 {
        match self.chance.within(0, 20) {
            0 => self.chance.within(0, 400 * SECOND),
            1..=3 => self.chance.within(0, 60 * SECOND),
            4 => -self.chance.within(0, 90 * SECOND),
            _ => self.chance.within(0, 6 * SECOND),
        }
    }

    /// A message of one event, or something like it.
    pub fn message(&mut self, feed: &Arc<str>, sensor: &str, zone: &str, event_at: i64, n: i64) -> Message {
        let chance = &mut self.chance;
        let mut values = vec![("pm", chance.within(-5, 110))];
        if chance.percent(40) {
            values.push(("temp", chance.within(-500, 11_000)));
        }
        if chance.percent(10) {
            values.push(("noise", chance.within(-(1 << 53), 1 << 53)));
        }
        if chance.percent(10) {
            values.remove(0);
            values.push(("noise", chance.within(0, 90_000_000)));
            values.dedup_by_key(|value| value.0);
        }
        let counter = chance.percent(20).then_some(n as u64 / 2);
        let stated = (!chance.percent(3)).then_some(event_at);
        let mut message = Message::of(feed, vec![event(sensor, zone, stated, counter, &values)]);
        match chance.within(0, 60) {
            0 => message.unreadable = true,
            1 => message = Message { unreadable: true, events: Vec::new(), ..message },
            2 => message = Message { ignored: true, events: Vec::new(), ..message },
            3 => message.refused_readings = 2,
            4 => message.repeated = true,
            5 => {
                let second = event(sensor, zone, Some(event_at + SECOND), counter, &[("pm", 7)]);
                message.events.push(second);
            }
            6 => message.events = vec![event(sensor, zone, stated, counter, &[("pm", 200)])],
            _ => {}
        }
        message
    }

    /// Changes of the configuration on the way.
    fn changes(&mut self, script: &mut Vec<(i64, Happening)>) {
        let first = self.controls();
        let mut changes: Vec<i64> = Vec::new();
        for _ in 0..self.chance.one(&[0, 0, 1, 2, 3]) {
            changes.push(self.begins_at + self.chance.within(0, self.lasts));
        }
        changes.sort_unstable();
        for at in changes {
            match self.chance.within(0, 6) {
                0 => {
                    script.push((at, Happening::Configure(first.clone())));
                    continue;
                }
                1 if self.pipelines.len() > 1 => {
                    self.pipelines.pop();
                }
                2 => {
                    let lateness = self.chance.one(&SPANS);
                    self.pipelines[0]["rule"] = json!([]);
                    self.pipelines[0]["allowed_lateness"] = json!(lateness);
                }
                3 => {
                    let windows = self.pipelines[0]["window"].as_array().map_or(0, Vec::len) as i64;
                    let n = self.chance.within(0, windows);
                    let window = self.window(n as usize);
                    self.pipelines[0]["window"][n as usize] = window;
                    self.pipelines[0]["rule"] = json!([]);
                }
                4 => {
                    let wait = self.chance.one(&["0s", "5s", "10s", "30s"]);
                    // A feed's control comes before its pipelines': their rules go first.
                    self.pipelines.iter_mut().for_each(|pipeline| pipeline["rule"] = json!([]));
                    script.push((at, Happening::Configure(self.controls())));
                    self.feeds[0]["out_of_orderness"] = json!(wait);
                }
                _ => {
                    let amend = self.chance.one(&["0s", "7s", "30s"]);
                    self.pipelines[0]["amend_every"] = json!(amend);
                }
            }
            script.push((at, Happening::Configure(self.controls())));
        }
    }
}
