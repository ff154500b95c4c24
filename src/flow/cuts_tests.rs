//! Nothing observes where a batch was cut, nor how many workers there are.

use super::cuts_testing::{Random, cut_again, journal, rows};
use crate::model::{AlertState, Record, ResultRow};

#[test]
fn other_cuts_and_other_workers_give_the_same_rows() {
    let (mut amended, mut transitions, mut controls) = (0, 0, 0);
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
        transitions += one.iter().filter(|row| matches!(row, ResultRow::Transition(_))).count();
    }
    assert!(controls > 300 && amended > 500 && transitions > 3_000, "{controls} {amended} {transitions}");
}

fn is_control(record: &Record) -> bool {
    matches!(record, Record::Control(_))
}

fn is_amended(row: &ResultRow) -> bool {
    let by_late_data = |reason: &str| reason.ends_with("by late data");
    matches!(row, ResultRow::Transition(row) if by_late_data(&row.reason) || row.from == AlertState::Resolved)
}
