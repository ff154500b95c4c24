//! Cases from seeds: small, and full of what goes wrong in a city: late and too late readings,
//! repeats, backlogs, clocks in the future, changed rules and windows, silent sensors.

mod rules;
mod script;
mod windows;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use sereno::model::Control;
use sereno::model::definition::{FeedDefinition, PipelineDefinition};
use sereno::model::time::SECOND;

use crate::case::{Case, decimals, unit};
use crate::chance::Chance;
use crate::condition::Condition;

const QUANTITIES: [&str; 3] = ["pm", "temp", "noise"];
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

    /// Definitions under which nothing is too late, refused, or decided by when it came.
    pub fn calm(seed: u64) -> Self {
        let mut draw = Self::of(seed);
        draw.certain();
        // The capture of a sensor of two feeds follows the one that named it first.
        draw.sensors.iter_mut().for_each(|sensor| sensor.1 += &format!("-{}", sensor.0));
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
}
