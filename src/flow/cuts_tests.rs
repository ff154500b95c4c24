//! Nothing observes where a batch was cut, nor how many workers there are.

use std::collections::BTreeMap;

use super::cuts_testing::{Random, cut_again, journal, rows};
use crate::model::{AlertId, AlertState, Record, ResultRow, Transition};

#[test]
fn other_cuts_and_other_workers_give_the_same_rows() {
    let (mut amended, mut transitions, mut controls, mut judged) = (0, 0, 0, 0);
    for seed in 0..60 {
        let batches = journal(seed, 400);
        let one = rows(&batches, 1);
        let mut random = Random::new(seed + 1_000);
        for workers in [1, 2, 3] {
            let other = rows(&cut_again(&batches, &mut random), workers);
            if let Some(at) = one.iter().zip(&other).position(|(one, other)| one != other) {
                panic!("seed {seed}, {workers} workers, row {at}: {:#?}\n{:#?}", one[at], other[at]);
            }
            assert_eq!(one.len(), other.len(), "seed {seed}, {workers} workers");
        }
        controls += batches.iter().flat_map(|batch| &batch.records).filter(|r| is_control(r)).count();
        amended += one.iter().filter(|row| is_amended(row)).count();
        judged += one.iter().filter_map(transition).filter(|t| t.reason.ends_with("a recompute")).count();
        transitions += one.iter().filter(|row| matches!(row, ResultRow::Transition(_))).count();
    }
    assert!(judged > 100, "{judged} steps of recomputes");
    assert!(controls > 300 && amended > 500 && transitions > 3_000, "{controls} {amended} {transitions}");
}

fn is_control(record: &Record) -> bool {
    matches!(record, Record::Control(_))
}

fn is_amended(row: &ResultRow) -> bool {
    let by_late_data = |reason: &str| reason.ends_with("by late data");
    matches!(row, ResultRow::Transition(row) if by_late_data(&row.reason) || row.from == AlertState::Resolved)
}

#[test]
fn no_alert_is_raised_twice_and_each_tells_one_story() {
    let mut raised = 0;
    for seed in 200..320 {
        let rows = rows(&journal(seed, 400), 1);
        let mut states: BTreeMap<AlertId, (AlertState, bool)> = BTreeMap::new();
        for row in rows.iter().filter_map(transition) {
            let (state, before) = states.entry(row.id).or_insert((AlertState::Inactive, false));
            let first = matches!(&*row.reason, "condition met" | "no data") && row.to == AlertState::Firing;
            assert!(!(first && *before), "seed {seed}: {row:#?} is raised twice");
            let pending = *state == AlertState::Pending && row.from == AlertState::Inactive;
            assert!(pending || *state == row.from, "seed {seed}: {row:#?} was {state:?}");
            (*state, *before) = (row.to, *before || first);
            raised += u32::from(first);
        }
    }
    assert!(raised > 2_000, "{raised}");
}

fn transition(row: &ResultRow) -> Option<&Transition> {
    match row {
        ResultRow::Transition(row) => Some(row),
        _ => None,
    }
}
