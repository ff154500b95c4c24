//! Timelines for tests of alerts: seconds pass, sensors speak, feeds come and go, and what rules say
//! is read back in seconds.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::interpreter::{Interpreter, order};
use super::past::Past;
use super::pipeline::Counts;
use super::state::{Request, Saved};
use crate::journal::Sequencer;
use crate::model::arrival::Quantity;
use crate::model::key::KEY_GROUPS;
use crate::model::time::SECOND;
use crate::model::{
    Batch, Control, Decoded, DecodedEvent, DecodedReading, Dictionary, Recompute, Record, ResultRow,
    Submission, Timestamp, Transition, Value,
};

/// A whole minute.
const BEGIN: i64 = 1_000_020;

/// One service, from second 0 on.
pub(in crate::flow) struct Timeline {
    sequencer: Sequencer,
    fold: Interpreter,
    now_s: i64,
    feeds: Vec<Arc<str>>,
    told: Vec<Transition>,
    plans: BTreeSet<u64>,
    names: Dictionary,
    /// The journal.
    batches: Vec<Batch>,
}

/// `{rule} {key}: {from} -> {to} at {seconds}, {reason}`.
fn line(row: &Transition) -> String {
    let at = row.at.0 / SECOND - BEGIN;
    let (from, to) = (row.from.as_str(), row.to.as_str());
    format!("{} {}: {from} -> {to} at {at}, {}", row.rule, row.key, row.reason)
}

impl Timeline {
    /// Feeds `aire` and `rio`, connected and drained, an event of each sensor expected every 20 seconds; `rules` and `windows` are JSON lists.
    pub(in crate::flow) fn new(windows: &str, rules: &str) -> Self {
        let mut timeline = Self {
            sequencer: Sequencer::default(),
            fold: Interpreter::new(0, 1),
            now_s: 0,
            feeds: vec!["aire".into(), "rio".into()],
            told: Vec::new(),
            plans: BTreeSet::new(),
            names: Dictionary::default(),
            batches: Vec::new(),
        };
        let feeds = timeline.feeds.iter().map(|name| feed(name, &["level"]));
        let controls = feeds.chain([pipeline(windows, rules)]).collect();
        timeline.sequencer.configure(controls, Timestamp(BEGIN * SECOND));
        timeline.connected(true);
        timeline.until(5);
        timeline
    }

    /// The pipeline is another from now on.
    pub(in crate::flow) fn change(&mut self, windows: &str, rules: &str) {
        self.sequencer.configure(vec![pipeline(windows, rules)], self.now());
        self.fold();
    }

    /// Feeds measure other quantities from now on.
    pub(in crate::flow) fn measure(&mut self, quantities: &[&str], windows: &str, rules: &str) {
        let feeds = self.feeds.iter().map(|name| feed(name, quantities));
        let controls = feeds.chain([pipeline(windows, rules)]).collect();
        self.sequencer.configure(controls, self.now());
        self.fold();
    }

    fn now(&self) -> Timestamp {
        Timestamp((BEGIN + self.now_s) * SECOND)
    }

    fn fold(&mut self) {
        for finished in self.sequencer.take() {
            for record in &finished.batch.records {
                if let Record::Entry(entry) = record {
                    self.names.insert(entry);
                }
            }
            self.batches.push(finished.batch);
            let Some(batch) = self.batches.last() else { continue };
            let mut past = Past::asked_by(batch);
            past.iter_mut().for_each(|past| self.batches.iter().for_each(|batch| past.gather(batch)));
            let mut rows = self.fold.apply_with(batch, &past);
            order(&mut rows);
            for row in rows {
                match row {
                    ResultRow::Transition(row) => self.told.push(*row),
                    ResultRow::Plan(_, plan) => {
                        self.plans.insert(plan.hash);
                    }
                    _ => {}
                }
            }
        }
    }

    /// All feeds get or lose their connections.
    pub(in crate::flow) fn connected(&mut self, up: bool) {
        for feed in self.feeds.clone() {
            self.sequencer.connected(&feed, up, self.now());
        }
    }

    /// One feed gets or loses its connection.
    pub(in crate::flow) fn feed(&mut self, feed: &str, up: bool) {
        self.sequencer.connected(&Arc::from(feed), up, self.now());
    }

    /// Lets seconds pass, one by one.
    pub(in crate::flow) fn until(&mut self, second: i64) {
        while self.now_s < second {
            self.now_s += 1;
            self.sequencer.pass(self.now());
            self.fold();
        }
    }

    /// Sereno is down until `second`, when feeds connect again.
    pub(in crate::flow) fn outage(&mut self, second: i64) {
        self.connected(false);
        self.now_s = second;
        self.sequencer.pass(self.now());
        self.connected(true);
        self.fold();
    }

    /// A sensor `feed-n` says `value` for the second `at`; it arrives now.
    pub(in crate::flow) fn late(&mut self, sensor: &str, value: i64, at: i64) {
        self.counted(sensor, value, (at, None));
    }

    /// The same with a frame counter.
    pub(in crate::flow) fn counted(&mut self, sensor: &str, value: i64, (at, counter): (i64, Option<u64>)) {
        let feed: Arc<str> = sensor.split('-').next().unwrap_or_default().into();
        let level = Quantity { name: "level".into(), unit: "cm".into(), decimals: 0 };
        let event = DecodedEvent {
            sensor: sensor.into(),
            tags: vec![("zone".into(), "centro".into())].into(),
            event_at: Some(Timestamp((BEGIN + at) * SECOND)),
            counter,
            readings: vec![DecodedReading { quantity: Arc::new(level), value: Value(value) }].into(),
        };
        let message = Submission {
            feed,
            topic: "t".into(),
            payload: Bytes::new(),
            arrived_at: None,
            decoded: Decoded { events: vec![event].into(), rejected: Vec::new(), ignored: None },
            repeated: false,
            brought: None,
            ack: None,
        };
        self.sequencer.accept(vec![message], self.now());
        self.fold();
    }

    /// Seconds pass to `at`, and a sensor says `value` for it.
    pub(in crate::flow) fn says(&mut self, at: i64, sensor: &str, value: i64) {
        self.until(at);
        self.late(sensor, value, at);
    }

    /// A sensor says `value` each `step` seconds from one second to another.
    pub(in crate::flow) fn says_each(&mut self, (from, to, step): (i64, i64, i64), sensor: &str, value: i64) {
        let mut at = from;
        while at <= to {
            self.says(at, sensor, value);
            at += step;
        }
    }

    /// The fold ends and another one goes on from what it kept.
    pub(in crate::flow) fn restart(&mut self) {
        let request = Request { next: 1, period: 3, since: vec![None; KEY_GROUPS] };
        let saved = Saved::of(&[self.fold.save(&request).unwrap()]);
        self.fold = Interpreter::load(&saved, &self.names, 1).unwrap().remove(0);
    }

    /// What became of events in windows and rules.
    pub(in crate::flow) fn counts(&self) -> Counts {
        self.fold.counts().map(|(_, counts)| counts).next().unwrap_or_default()
    }

    /// Hashes of all plans so far.
    pub(in crate::flow) fn plans(&self) -> BTreeSet<u64> {
        self.plans.clone()
    }

    /// The windows from one second to another are computed again.
    pub(super) fn recompute(&mut self, from: i64, to: i64) {
        let at = |second: i64| Timestamp((BEGIN + second) * SECOND);
        self.sequencer.recompute(Recompute::of(at(from), at(to)), self.now());
        self.fold();
    }

    /// The same where something that was measured before a second is gone.
    pub(super) fn recompute_known_from(&mut self, from: i64, to: i64, known: i64) {
        let at = |second: i64| Timestamp((BEGIN + second) * SECOND);
        let asked = Recompute { whole_from: at(known), ..Recompute::of(at(from.max(known)), at(to)) };
        self.sequencer.recompute(asked, self.now());
        self.fold();
    }

    /// What rules said since this was last asked.
    pub(in crate::flow) fn lines(&mut self) -> Vec<String> {
        self.told.drain(..).map(|row| line(&row)).collect()
    }

    /// The same, as they are.
    pub(in crate::flow) fn rows(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.told)
    }
}

fn feed(name: &str, quantities: &[&str]) -> Control {
    let unit = |name: &&str| ((*name).to_owned(), serde_json::json!({"unit": "cm", "decimals": 0}));
    let quantities: serde_json::Map<String, serde_json::Value> = quantities.iter().map(unit).collect();
    let feed = serde_json::json!({
        "name": name, "topic": format!("{name}/{{zone}}/{{sensor}}"), "decoder": "json",
        "out_of_orderness": "5s", "expected_interval": "20s", "quantity": quantities
    });
    Control::Feed { feed: Box::new(serde_json::from_value(feed).unwrap()) }
}

fn pipeline(windows: &str, rules: &str) -> Control {
    let words = r#""title": {"es": "t", "en": "t"}, "message": {"es": "m", "en": "m"}"#;
    let text = format!(
        r#"{{"version": 1, "name": "p", "title": {{"es": "p", "en": "p"}}, "reads": ["aire", "rio"],
            "allowed_lateness": "10m", "amend_every": "1s", "window": {windows}, "rule": {}}}"#,
        rules.replace("WORDS", words)
    );
    Control::Pipeline { pipeline: Box::new(serde_json::from_str(&text).unwrap()) }
}
