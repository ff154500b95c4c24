//! A fold that goes on from a checkpoint publishes what the uninterrupted one does, byte for byte.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::flow::Interpreter;
use crate::flow::cuts_testing::past_of;
use crate::flow::interpreter::order;
use crate::flow::key_runs::{IN_BASE, IN_DELTA};
use crate::flow::testing::{action, journal, names, one_goes_on};
use crate::flow::timeline_testing::Timeline;
use crate::model::key::KEY_GROUPS;
use crate::model::{AlertState, Batch, Control, Dictionary, Record, ResultRow};

/// The first period that a test may give out.
const PERIOD: u32 = IN_DELTA + 2;

fn begin(workers: usize) -> Vec<Interpreter> {
    (0..workers).map(|index| Interpreter::new(index, workers)).collect()
}

fn apply(folds: &mut [Interpreter], (batch, batches): (&Batch, &[Batch])) -> Vec<ResultRow> {
    let past = past_of(batch, batches);
    let mut rows: Vec<ResultRow> = folds.iter_mut().flat_map(|fold| fold.apply_with(batch, &past)).collect();
    order(&mut rows);
    rows
}

fn uninterrupted(batches: &[Batch]) -> Vec<Vec<ResultRow>> {
    let mut folds = begin(1);
    batches.iter().map(|batch| apply(&mut folds, (batch, batches))).collect()
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
                prop_assert_eq!(&apply(&mut folds, (batch, &batches)), &expected[at], "epoch {}", at);
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
            prop_assert_eq!(&apply(&mut folds, (batch, &batches)), &expected[epoch], "epoch {}", epoch);
        }
    }
}

#[test]
fn a_delta_holds_only_the_keys_that_changed_and_a_base_all() {
    let batches = journal(&one_goes_on());
    let mut folds = begin(2);
    let mut keeper = Keeper::new();
    let (first, rest) = batches.split_at(100);
    first.iter().for_each(|batch| drop(apply(&mut folds, (batch, &batches))));
    keeper.take(&mut folds, 100, |_| false);
    let bases: usize = keeper.saved.groups.iter().map(|(base, _)| base.len()).sum();
    assert_eq!(keeper.delta_keys, 0);
    keeper.take(&mut folds, 100, |_| false);
    assert_eq!(keeper.delta_keys, 0, "nothing happened in between");
    let one = rest.iter().position(|batch| {
        batch.records.iter().any(|record| matches!(record, Record::Event(_))) && batch.first > 0
    });
    apply(&mut folds, (&rest[one.unwrap()], &batches));
    keeper.take(&mut folds, 101, |_| false);
    // One sensor's windows by sensor, zone and city and its rule on readings, and what the watermark
    // closed of the zones; of all sensors there would be sixteen.
    assert!((4..=9).contains(&keeper.delta_keys), "{}", keeper.delta_keys);
    let deltas: usize = keeper.saved.groups.iter().map(|(_, delta)| delta.len()).sum();
    assert!(deltas > 0 && deltas * 3 < bases * 2, "{deltas} of {bases} bytes");
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
        batches[..at].iter().for_each(|batch| drop(apply(&mut folds, (batch, &batches))));
        let mut keeper = Keeper::new();
        keeper.take(&mut folds, at as u64, |_| false);
        let mut folds = keeper.restart(&names, 1);
        for epoch in at..batches.len() {
            assert_eq!(apply(&mut folds, (&batches[epoch], &batches)), expected[epoch]);
        }
    }
    assert!(states(AlertState::Resolved) > states(AlertState::Firing));
}

#[test]
fn a_checkpoint_holds_the_keys_of_a_pipeline_that_goes_while_it_is_written() {
    let batches = journal(&one_goes_on());
    let expected = uninterrupted(&batches);
    let at = 100;
    let mut folds = begin(2);
    batches[..at].iter().for_each(|batch| drop(apply(&mut folds, (batch, &batches))));
    let request = Request { next: at as u64, period: PERIOD, since: vec![None; KEY_GROUPS] };
    folds.iter_mut().for_each(|fold| fold.begin_save(&request));
    let pipelines = batches.iter().flat_map(|batch| &batch.records).filter_map(|record| match record {
        Record::Control(control) => match &**control {
            Control::Pipeline { pipeline } => Some(pipeline.name.clone()),
            _ => None,
        },
        _ => None,
    });
    let gone = pipelines.map(|name| Record::Control(Arc::new(Control::PipelineRemoved { name }))).collect();
    let removal = Batch { records: gone, first: batches[at].first, ..batches[at - 1].clone() };
    apply(&mut folds, (&removal, &batches));
    let mut keeper = Keeper::new();
    keeper.saved.take(&folds.iter_mut().map(|fold| fold.finish_save().unwrap().unwrap()).collect::<Vec<_>>());
    let mut folds = keeper.restart(&names(&batches), 3);
    for epoch in at..batches.len() {
        assert_eq!(apply(&mut folds, (&batches[epoch], &batches)), expected[epoch], "epoch {epoch}");
    }
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
    batches.iter().for_each(|batch| drop(apply(&mut one, (batch, &batches))));
    let mut folds = begin(3);
    let (first, rest) = batches.split_at(90);
    first.iter().for_each(|batch| drop(apply(&mut folds, (batch, &batches))));
    let mut keeper = Keeper::new();
    keeper.take(&mut folds, 90, |_| false);
    let mut folds = keeper.restart(&names, 2);
    rest.iter().for_each(|batch| drop(apply(&mut folds, (batch, &batches))));
    assert_eq!(sum(&mut folds), sum(&mut one));
}

#[test]
fn what_ticks_closed_and_sealed_stays_so_between_a_start_and_its_first_tick() {
    let windows = r#"[{"name": "level", "size": "1m", "fields": {"top": "max(level)"}}]"#;
    let mut city = Timeline::new(windows, "[]");
    city.says(10, "aire-1", 1);
    // Ticks pass `open_max`, seven days, by a day; half an hour of the last day is not closed.
    city.outage(8 * 86_400);
    city.until(8 * 86_400 + 10);
    let told = |city: &Timeline| {
        let counts = city.counts();
        (counts.counted, counts.late, counts.too_late)
    };
    assert_eq!(told(&city), (1, 0, 0));
    for (restarts, sensor) in [(false, "aire-2"), (true, "aire-3")] {
        if restarts {
            city.restart();
        }
        let before = told(&city);
        city.late(sensor, 1, 86_000);
        assert_eq!(told(&city), (before.0, before.1, before.2 + 1), "sealed by tick");
        city.late(sensor, 1, 90_000);
        assert_eq!(told(&city), (before.0, before.1 + 1, before.2 + 1), "closed by tick");
    }
}
