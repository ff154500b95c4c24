//! A fold that goes on from a checkpoint publishes what the uninterrupted one does, byte for byte.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::flow::Interpreter;
use crate::flow::interpreter::order;
use crate::flow::key_runs::{IN_BASE, IN_DELTA};
use crate::journal::Sequencer;
use crate::model::arrival::Quantity;
use crate::model::key::KEY_GROUPS;
use crate::model::time::SECOND;
use crate::model::{
    AlertState, Batch, Control, Decoded, DecodedEvent, DecodedReading, Dictionary, Record, ResultRow,
    Submission, Timestamp, Value,
};

const BEGIN: i64 = 1_000_000;
/// The first period that a test may give out.
const PERIOD: u32 = IN_DELTA + 2;

#[derive(Clone, Debug)]
enum Action {
    Event { sensor: usize, behind_s: i64, value: i64, cut: bool },
    Pass { seconds: i64 },
    Define { variant: usize },
    Remove,
    Connected { up: bool },
}

fn action() -> impl Strategy<Value = Action> {
    let behind = prop_oneof![8 => 0_i64..20, 2 => 20_i64..200, 1 => 200_i64..2_000];
    prop_oneof![
        30 => (0_usize..7, behind, 0_i64..100, any::<bool>())
            .prop_map(|(sensor, behind_s, value, cut)| Action::Event { sensor, behind_s, value, cut }),
        10 => (1_i64..40).prop_map(|seconds| Action::Pass { seconds }),
        1 => (300_i64..900).prop_map(|seconds| Action::Pass { seconds }),
        1 => (0_usize..4).prop_map(|variant| Action::Define { variant }),
        1 => Just(Action::Remove),
        1 => any::<bool>().prop_map(|up| Action::Connected { up }),
    ]
}

/// Definitions that differ in a rule, in a window, in a field; the last one has a rule less.
fn pipeline(variant: usize) -> Control {
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
             "fields": {"top": "max(pm25)", "s": "stddev(pm25)", "f": "first(pm25)"}},
            {"name": "city", "size": "10m", "by": [], "fields": {"n": "count(pm25)"}}
        ],
        "rule": rules
    });
    Control::Pipeline { pipeline: Box::new(serde_json::from_value(pipeline).unwrap()) }
}

fn feed() -> Control {
    let feed = serde_json::json!({
        "name": "air", "topic": "ciudad/{zone}/aire/{sensor}", "decoder": "json", "expected_interval": "20s",
        "out_of_orderness": "15s", "quantity": {"pm25": {"unit": "ug/m3", "decimals": 0, "max": 0.1}}
    });
    Control::Feed { feed: Box::new(serde_json::from_value(feed).unwrap()) }
}

fn message(sensor: usize, event_at: i64, value: i64, now: Timestamp) -> Submission {
    let pm25 = Quantity { name: "pm25".into(), unit: "ug/m3".into(), decimals: 0 };
    let event = DecodedEvent {
        sensor: format!("aire-{sensor}").into(),
        tags: vec![("zone".into(), format!("comuna-{}", sensor % 3).into())],
        event_at: Some(Timestamp(event_at * SECOND)),
        counter: None,
        readings: vec![DecodedReading { quantity: pm25.into(), value: Value(value) }],
    };
    Submission {
        feed: "air".into(),
        topic: "t".into(),
        payload: Bytes::new(),
        arrived_at: Some(now),
        decoded: Decoded { events: vec![event], rejected: Vec::new(), ignored: None },
        repeated: false,
        ack: None,
    }
}

/// The journal that actions lead to.
fn journal(actions: &[Action]) -> Vec<Batch> {
    let mut sequencer = Sequencer::default();
    let mut now = BEGIN;
    let at = |seconds: i64| Timestamp(seconds * SECOND);
    sequencer.configure(vec![feed(), pipeline(0)], at(now));
    sequencer.connected(&"air".into(), true, at(now));
    let mut batches = Vec::new();
    for action in actions {
        let mut cut = true;
        match action {
            Action::Event { sensor, behind_s, value, cut: here } => {
                now += 1;
                sequencer.accept(message(*sensor, now - behind_s, *value, at(now)), at(now));
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

fn names(batches: &[Batch]) -> Dictionary {
    let mut names = Dictionary::default();
    for record in batches.iter().flat_map(|batch| &batch.records) {
        if let Record::Entry(entry) = record {
            names.insert(entry);
        }
    }
    names
}

fn begin(workers: usize) -> Vec<Interpreter> {
    (0..workers).map(|index| Interpreter::new(index, workers)).collect()
}

fn apply(folds: &mut [Interpreter], batch: &Batch) -> Vec<ResultRow> {
    let mut rows: Vec<ResultRow> = folds.iter_mut().flat_map(|fold| fold.apply(batch)).collect();
    order(&mut rows);
    rows
}

fn uninterrupted(batches: &[Batch]) -> Vec<Vec<ResultRow>> {
    let mut folds = begin(1);
    batches.iter().map(|batch| apply(&mut folds, batch)).collect()
}

/// Takes checkpoints as a keeper of files does: which groups get a new base is the test's choice.
struct Keeper {
    saved: Saved,
    based: Vec<Option<u32>>,
    period: u32,
    /// Keys in the last checkpoint's deltas.
    delta_keys: u64,
}

impl Keeper {
    fn new() -> Self {
        let saved = Saved { groups: vec![Default::default(); KEY_GROUPS], ..Saved::default() };
        Self { saved, based: vec![None; KEY_GROUPS], period: PERIOD, delta_keys: 0 }
    }

    fn take(&mut self, folds: &mut [Interpreter], next: u64, rebase: impl Fn(usize) -> bool) {
        let old = (0..).zip(&self.based);
        let since: Vec<Option<u32>> = old.map(|(group, at)| at.filter(|_| !rebase(group))).collect();
        let request = Request { next, period: self.period, since };
        let parts: Vec<Part> = folds.iter_mut().map(|fold| fold.save(&request).unwrap()).collect();
        for (held, asked) in self.based.iter_mut().zip(&request.since) {
            // What a base held changed before the period that begins with it.
            *held = asked.or(Some(self.period - 1));
        }
        self.period += 1;
        let groups = parts.iter().flat_map(|part| &part.groups);
        self.delta_keys = groups.filter(|group| !group.base).map(|group| group.keys).sum();
        self.saved.take(&parts);
    }

    fn restart(&mut self, names: &Dictionary, workers: usize) -> Vec<Interpreter> {
        self.based = vec![Some(IN_BASE); KEY_GROUPS];
        self.period = PERIOD;
        Interpreter::load(&self.saved, names, workers).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_fold_goes_on_from_a_checkpoint_as_if_nothing_had_happened(
        actions in prop::collection::vec(action(), 20..260),
        stops in prop::collection::vec((0_usize..40, 1_usize..4, any::<bool>(), any::<u64>()), 1..12),
    ) {
        let batches = journal(&actions);
        let names = names(&batches);
        let expected = uninterrupted(&batches);
        let mut keeper = Keeper::new();
        let mut folds = begin(2);
        let (mut at, mut taken_at) = (0, None);
        for (steps, workers, restart, bases) in stops {
            for _ in 0..steps {
                let Some(batch) = batches.get(at) else { break };
                prop_assert_eq!(&apply(&mut folds, batch), &expected[at], "epoch {}", at);
                at += 1;
            }
            if restart {
                // Back to the last checkpoint, or to the beginning when there is none.
                folds = match taken_at {
                    Some(_) => keeper.restart(&names, workers),
                    None => begin(workers),
                };
                at = taken_at.unwrap_or(0);
            } else {
                keeper.take(&mut folds, at as u64, |group| bases >> (group % 64) & 1 == 1);
                taken_at = Some(at);
            }
        }
        for (epoch, batch) in batches.iter().enumerate().skip(at) {
            prop_assert_eq!(&apply(&mut folds, batch), &expected[epoch], "epoch {}", epoch);
        }
    }
}

/// Six sensors that go on for a while, then only the first, whose air is good in the end.
fn one_goes_on() -> Vec<Action> {
    let event = |sensor, value: i64| Action::Event { sensor, behind_s: 0, value, cut: true };
    let all = (0..120).map(|n| event(n as usize % 6, 85 + n % 5));
    all.chain((0..60).map(|n| event(0, 85 + n % 5))).chain((0..60).map(|n| event(0, n % 5))).collect()
}

#[test]
fn a_delta_holds_only_the_keys_that_changed_and_a_base_all() {
    let batches = journal(&one_goes_on());
    let mut folds = begin(2);
    let mut keeper = Keeper::new();
    let (first, rest) = batches.split_at(100);
    first.iter().for_each(|batch| drop(apply(&mut folds, batch)));
    keeper.take(&mut folds, 100, |_| false);
    let bases: usize = keeper.saved.groups.iter().map(|(base, _)| base.len()).sum();
    assert_eq!(keeper.delta_keys, 0);
    keeper.take(&mut folds, 100, |_| false);
    assert_eq!(keeper.delta_keys, 0, "nothing happened in between");
    let one = rest.iter().position(|batch| {
        batch.records.iter().any(|record| matches!(record, Record::Event(_))) && batch.first > 0
    });
    apply(&mut folds, &rest[one.unwrap()]);
    keeper.take(&mut folds, 101, |_| false);
    // One sensor's windows by sensor, zone and city and its rule on readings, and what the watermark
    // closed of the zones; of all sensors there would be sixteen.
    assert!((4..=9).contains(&keeper.delta_keys), "{}", keeper.delta_keys);
    let deltas: usize = keeper.saved.groups.iter().map(|(_, delta)| delta.len()).sum();
    assert!(deltas > 0 && deltas * 2 < bases, "{deltas} of {bases} bytes");
    keeper.take(&mut folds, 101, |_| true);
    assert_eq!(keeper.delta_keys, 0);
}

#[test]
fn an_alert_that_waits_or_fires_goes_on_after_a_restart() {
    let actions = one_goes_on();
    let batches = journal(&actions);
    let names = names(&batches);
    let expected = uninterrupted(&batches);
    let states = |to: AlertState| {
        let is = move |row: &ResultRow| matches!(row, ResultRow::Transition(t) if t.to == to);
        expected.iter().position(move |rows| rows.iter().any(is)).unwrap()
    };
    for at in [states(AlertState::Pending) + 1, states(AlertState::Firing) + 1] {
        let mut folds = begin(3);
        batches[..at].iter().for_each(|batch| drop(apply(&mut folds, batch)));
        let mut keeper = Keeper::new();
        keeper.take(&mut folds, at as u64, |_| false);
        let mut folds = keeper.restart(&names, 1);
        for epoch in at..batches.len() {
            assert_eq!(apply(&mut folds, &batches[epoch]), expected[epoch]);
        }
    }
    assert!(states(AlertState::Resolved) > states(AlertState::Firing));
}

#[test]
fn what_became_of_events_counts_once_with_any_number_of_workers() {
    let batches = journal(&one_goes_on());
    let names = names(&batches);
    let sum = |folds: &mut [Interpreter]| {
        let request = Request { next: 0, period: PERIOD, since: vec![None; KEY_GROUPS] };
        let parts: Vec<Part> = folds.iter_mut().map(|fold| fold.save(&request).unwrap()).collect();
        total(&parts)
    };
    let mut one = begin(1);
    batches.iter().for_each(|batch| drop(apply(&mut one, batch)));
    let mut folds = begin(3);
    let (first, rest) = batches.split_at(90);
    first.iter().for_each(|batch| drop(apply(&mut folds, batch)));
    let mut keeper = Keeper::new();
    keeper.take(&mut folds, 90, |_| false);
    let mut folds = keeper.restart(&names, 2);
    rest.iter().for_each(|batch| drop(apply(&mut folds, batch)));
    assert_eq!(sum(&mut folds), sum(&mut one));
}
