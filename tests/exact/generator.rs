//! Cases from seeds: small, and full of what goes wrong in a city: late and too late readings,
//! repeats, backlogs, clocks in the future, changed rules and windows, silent sensors.

mod rules;
mod script;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use sereno::model::definition::{FeedDefinition, PipelineDefinition};
use sereno::model::time::SECOND;
use sereno::model::{Control, Timestamp};

use crate::case::{Case, decimals, unit};
use crate::chance::Chance;
use crate::condition::Condition;
use crate::naive::calendar::Clock;

const QUANTITIES: [&str; 5] = ["pm", "temp", "noise", "dir", "kwh"];
/// Seconds, in cases of minutes.
const SPANS: [i64; 8] = [0, 1, 5, 10, 20, 60, 120, 300];
const DAY: i64 = 86_400 * SECOND;
/// Cases begin before 2036.
const CLOCKS_END: i64 = 2_082_758_400 * SECOND;
/// Clocks that are moved by an hour by night or at midnight, by half an hour, by none, by a day.
const ZONES: [&str; 14] = [
    "America/Bogota",
    "America/Bogota",
    "America/Santiago",
    "America/New_York",
    "Europe/Madrid",
    "UTC",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Havana",
    "America/Caracas",
    "America/St_Johns",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Antarctica/Troll",
];

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
    /// How much longer everything lasts than in a case of minutes.
    scale: i64,
    /// Zone around whose moves of the clock it may lie.
    zone: &'static str,
    /// No sensor is named by two feeds.
    apart: bool,
    /// Messages enough for sketches.
    crowded: bool,
    /// The counter starts over at its `counter_max`.
    wraps: bool,
}

/// The case of a seed.
pub fn case(seed: u64) -> Case {
    let mut draw = Draw::of(seed, true);
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
    fn of(seed: u64, long: bool) -> Self {
        let mut chance = Chance::of(seed);
        let zone = chance.one(&ZONES);
        let long = long && chance.percent(35);
        let days = chance.one(&[2, 3, 4, 9, 40, 400]);
        let lasts = if long { days * DAY } else { chance.one(&[60, 200, 600, 1_800]) * SECOND };
        // Near a local midnight, or anywhere.
        let mut begins_at =
            chance.one(&[1_737_435_300, 1_737_417_500, 1_700_000_000, 1_741_000_007]) * SECOND;
        let moved: Vec<i64> = Clock::of(zone).moments().filter(|at| *at < CLOCKS_END).collect();
        if !moved.is_empty() && chance.percent(if long { 80 } else { 20 }) {
            begins_at = chance.one(&moved) - chance.within(0, lasts);
        }
        let scale = (lasts / (600 * SECOND)).max(1);
        let apart = chance.percent(50);
        let crowded = !long && chance.percent(1);
        let lasts = if crowded { 600 * SECOND } else { lasts };
        let wraps = chance.percent(50);
        let (conditions, feeds, pipelines, sensors) = Default::default();
        let mut draw = Self {
            chance,
            conditions,
            feeds,
            pipelines,
            sensors,
            begins_at,
            lasts,
            scale: if long { scale } else { 1 },
            zone,
            apart,
            crowded,
            wraps,
        };
        draw.feeds();
        draw.pipelines();
        draw
    }

    /// One of so many seconds, longer in a longer case.
    fn span(&mut self, seconds: &[i64]) -> String {
        format!("{}s", self.chance.one(seconds) * self.scale)
    }

    /// Definitions under which nothing is too late, refused, or decided by when it came.
    pub fn calm(seed: u64) -> Self {
        let mut draw = Self::of(seed, false);
        draw.certain();
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
            let mut quantities: BTreeMap<&str, Json> = QUANTITIES
                .iter()
                .map(|name| (*name, json!({"unit": unit(name), "decimals": decimals(name)})))
                .collect();
            if self.wraps {
                quantities.insert("kwh", json!({"unit": unit("kwh"), "decimals": 3, "counter_max": 1_000}));
            }
            let (wait, skew) = (self.span(&[0, 5, 10, 30]), self.span(&[5, 60, 300]));
            let idle_after = self.span(&[5, 20, 60]);
            let interval = self.span(&[1, 7, 10, 30]);
            let mut feed = json!({
                "name": format!("feed-{n}"), "topic": "city/{zone}/{sensor}", "decoder": "json",
                "quantity": quantities,
                "timezone": self.zone,
                "out_of_orderness": wait,
                "max_skew": skew,
                "idle_after": idle_after,
                "identity": self.chance.one(&["time", "time", "time", "sequence", "protocol"]),
                "devices_max": if self.crowded { 8 } else { self.chance.one(&[1_000_000, 1_000_000, 1_000_000, 2]) },
            });
            if self.chance.percent(50) {
                feed["expected_interval"] = json!(interval);
            }
            // A device's identities are kept for its last 256 events.
            let sensors = if self.crowded { 8 } else { self.chance.within(1, 4) };
            for sensor in 0..sensors {
                let zone = self.chance.one(&["north", "south", ""]);
                let name = if self.apart { format!("s{sensor}-{n}") } else { format!("s{sensor}") };
                self.sensors.push((n, name, zone.to_owned()));
            }
            if self.chance.percent(40) {
                feed["registered"] = self.registered();
            }
            self.feeds.push(feed);
        }
    }

    /// Sensors that are expected, for all time or for a part of it, and one that never says anything.
    fn registered(&mut self) -> Json {
        let mut entries = Vec::new();
        let known: Vec<String> = self.sensors.iter().map(|sensor| sensor.1.clone()).collect();
        let names: BTreeSet<String> = known.into_iter().chain(["ghost".to_owned()]).collect();
        for name in names {
            if self.chance.percent(40) {
                continue;
            }
            let mut entry = json!({"name": name});
            if self.chance.percent(40) {
                entry["expected_interval"] = json!(self.span(&[1, 10, 60]));
            }
            let (one, other) = (self.moment(), self.moment());
            let text = |at: i64| json!(Timestamp(at - at.rem_euclid(SECOND)).to_string());
            match self.chance.within(0, 6) {
                0 => entry["from"] = text(one),
                1 => entry["to"] = text(one),
                2 if one.abs_diff(other) > 2 * SECOND as u64 => {
                    let mut earlier = entry.clone();
                    earlier["to"] = text(one.min(other));
                    entries.push(earlier);
                    entry["from"] = text(one.max(other));
                }
                3 => entry["from"] = json!(&Timestamp(one).to_string()[..10]),
                _ => {}
            }
            entries.push(entry);
        }
        json!(entries)
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
        let (lateness, close_after) = (self.span(&SPANS), self.span(&SPANS));
        let amend_every = self.span(&[0, 5, 10]);
        let seldom = if self.scale > 1 { "1000d" } else { "7d" };
        let open_max = if self.chance.percent(50) { self.span(&[120, 600]) } else { seldom.to_owned() };
        let zone = if self.chance.percent(70) { self.zone } else { self.chance.one(&ZONES) };
        let mut pipeline = json!({
            "version": 1, "name": format!("pipeline-{n}"), "title": {"es": "t", "en": "t"},
            "timezone": zone,
            "reads": reads,
            "allowed_lateness": lateness,
            "amend_every": amend_every,
            "open_max": open_max,
            "window": windows, "rule": rules,
        });
        if self.chance.percent(40) {
            pipeline["close_after"] = json!(close_after);
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
