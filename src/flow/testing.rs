//! Journals for tests: a pipeline with windows by sensor, zone and city and both kinds of rules, and
//! what may happen to it.

use bytes::Bytes;
use proptest::prelude::*;

use crate::journal::Sequencer;
use crate::model::arrival::Quantity;
use crate::model::time::SECOND;
use crate::model::{
    Batch, Control, Decoded, DecodedEvent, DecodedReading, Dictionary, Recompute, Record, Submission,
    Timestamp, Value,
};

const BEGIN: i64 = 1_000_000;
/// What happens next to a journal.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Event { sensor: usize, behind_s: i64, value: i64, cut: bool },
    Pass { seconds: i64 },
    Define { variant: usize },
    Remove,
    Register { sensors: usize },
    Connected { up: bool },
    Recompute { from_s: i64, to_s: i64 },
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    let behind = prop_oneof![8 => 0_i64..20, 2 => 20_i64..200, 1 => 200_i64..2_000];
    prop_oneof![
        30 => (0_usize..7, behind, 0_i64..100, any::<bool>())
            .prop_map(|(sensor, behind_s, value, cut)| Action::Event { sensor, behind_s, value, cut }),
        10 => (1_i64..40).prop_map(|seconds| Action::Pass { seconds }),
        1 => (300_i64..900).prop_map(|seconds| Action::Pass { seconds }),
        1 => (0_usize..4).prop_map(|variant| Action::Define { variant }),
        1 => Just(Action::Remove),
        1 => (0_usize..4).prop_map(|sensors| Action::Register { sensors }),
        1 => any::<bool>().prop_map(|up| Action::Connected { up }),
        2 => (0_i64..4_000, 0_i64..600).prop_map(|(from_s, to_s)| Action::Recompute { from_s, to_s }),
    ]
}

/// Definitions that differ in a rule, in a window, in a field; the last one has a rule less.
pub(crate) fn pipeline(variant: usize) -> Control {
    let field = if variant == 2 { "max(pm25)" } else { "mean(pm25)" };
    let size = if variant == 1 { "2m" } else { "1m" };
    let mut rules = vec![
        serde_json::json!({"name": "high", "on": "pm25_1m", "when": format!("v > {}", 50 + variant), "for": "2m",
            "keep_firing_for": "1m", "severity": "warning", "title": {"es": "t", "en": "t"},
            "message": {"es": "{v} en {sensor}", "en": "{v} at {sensor}"}}),
        serde_json::json!({"name": "spike", "on": "readings", "when": "pm25 > 80", "clear": "pm25 < 60", "for": "20s",
            "severity": "critical", "title": {"es": "t", "en": "t"}, "message": {"es": "{pm25}", "en": "{pm25}"}}),
    ];
    rules.truncate(if variant == 3 { 1 } else { 2 });
    let pipeline = serde_json::json!({
        "version": 1, "name": "air", "title": {"es": "Aire", "en": "Air"}, "reads": ["air"],
        "exclude": "pm25 = 99", "allowed_lateness": "5m", "open_max": "10m",
        "window": [
            {"name": "pm25_1m", "size": size, "capture_min": 0.1,
             "fields": {"v": field, "n": "count(*)", "p95": "p95(pm25)", "l": "last(pm25)"}},
            {"name": "zone_5m", "size": "5m", "slide": "1m", "by": ["zone"],
             "fields": {"top": "max(pm25)", "s": "stddev(pm25)", "f": "first(pm25)", "roll": "max(mean(pm25))",
                        "gain": "increase(pm25)", "held": "time_mean(pm25)", "d": "distinct(pm25)"}},
            {"name": "city", "size": "10m", "by": [], "fields": {"n": "count(pm25)", "gain": "sum(increase(pm25))"}}
        ],
        "rule": rules
    });
    Control::Pipeline { pipeline: Box::new(serde_json::from_value(pipeline).unwrap()) }
}

/// The feed, with its sensors from the fifth on registered, `registered` in number; the last of
/// them never report.
pub(crate) fn feed(registered: usize) -> Control {
    let registered: Vec<_> =
        (5..5 + registered).map(|n| serde_json::json!({"name": format!("aire-{n}")})).collect();
    let feed = serde_json::json!({
        "name": "air", "topic": "ciudad/{zone}/aire/{sensor}", "decoder": "json", "expected_interval": "20s",
        "out_of_orderness": "15s", "quantity": {"pm25": {"unit": "ug/m3", "decimals": 0, "max": 0.1}},
        "registered": registered
    });
    Control::Feed { feed: Box::new(serde_json::from_value(feed).unwrap()) }
}

pub(crate) fn message(sensor: usize, event_at: i64, value: i64, now: Timestamp) -> Submission {
    let pm25 = Quantity { name: "pm25".into(), unit: "ug/m3".into(), decimals: 0 };
    let event = DecodedEvent {
        sensor: format!("aire-{sensor}").into(),
        tags: vec![("zone".into(), format!("comuna-{}", sensor % 3).into())].into(),
        event_at: Some(Timestamp(event_at * SECOND)),
        counter: None,
        readings: vec![DecodedReading { quantity: pm25.into(), value: Value(value) }].into(),
    };
    Submission {
        feed: "air".into(),
        topic: "t".into(),
        payload: Bytes::new(),
        arrived_at: Some(now),
        decoded: Decoded { events: vec![event].into(), rejected: Vec::new(), ignored: None },
        repeated: false,
        brought: None,
        ack: None,
    }
}

/// The journal that actions lead to.
pub(crate) fn journal(actions: &[Action]) -> Vec<Batch> {
    let mut sequencer = Sequencer::default();
    let mut now = BEGIN;
    let at = |seconds: i64| Timestamp(seconds * SECOND);
    sequencer.configure(vec![feed(0), pipeline(0)], at(now));
    sequencer.connected(&"air".into(), true, at(now));
    let mut batches = Vec::new();
    for action in actions {
        let mut cut = true;
        match action {
            Action::Event { sensor, behind_s, value, cut: here } => {
                now += 1;
                sequencer.accept(vec![message(*sensor, now - behind_s, *value, at(now))], at(now));
                cut = *here;
            }
            Action::Pass { seconds } => {
                now += seconds;
                sequencer.pass(at(now));
            }
            Action::Define { variant } => sequencer.configure(vec![pipeline(*variant)], at(now)),
            Action::Remove => {
                sequencer.configure(vec![Control::PipelineRemoved { name: "air".into() }], at(now));
            }
            Action::Register { sensors } => sequencer.configure(vec![feed(*sensors), pipeline(0)], at(now)),
            Action::Recompute { from_s, to_s } => {
                let asked = Recompute::of(at(now - to_s - from_s), at(now - to_s));
                sequencer.recompute(asked, at(now));
            }
            Action::Connected { up } => sequencer.connected(&"air".into(), *up, at(now)),
        }
        if cut {
            batches.extend(sequencer.take().into_iter().map(|finished| finished.batch));
        }
    }
    sequencer.pass(at(now + 3_600));
    batches.extend(sequencer.take().into_iter().map(|finished| finished.batch));
    batches
}

pub(crate) fn names(batches: &[Batch]) -> Dictionary {
    let mut names = Dictionary::default();
    for record in batches.iter().flat_map(|batch| &batch.records) {
        if let Record::Entry(entry) = record {
            names.insert(entry);
        }
    }
    names
}

/// Six sensors that go on for a while, then only the first, whose air is good in the end.
pub(crate) fn one_goes_on() -> Vec<Action> {
    let event = |sensor, value: i64| Action::Event { sensor, behind_s: 0, value, cut: true };
    let all = (0..120).map(|n| event(n as usize % 6, 85 + n % 5));
    all.chain((0..60).map(|n| event(0, 85 + n % 5))).chain((0..60).map(|n| event(0, n % 5))).collect()
}
