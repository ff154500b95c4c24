//! What goes, what stays, and who is told.

use super::*;
use crate::journal::ResultReader;
use crate::journal::testing::{at_day, ten_days};

fn left(retention: &Retention) -> (u64, u64) {
    let first = |dir| log::segments(&*retention.disk, dir).unwrap()[0].0;
    (first(&retention.journal_dir), first(&retention.results_dir))
}

#[test]
fn nothing_goes_without_a_checkpoint_and_a_snapshot() {
    let retention = ten_days();
    assert_eq!(retention.collect(at_day(100)).unwrap(), Collected::default());
    retention.holders.checkpoint.advance(10, 10);
    assert_eq!(retention.collect(at_day(100)).unwrap(), Collected::default());
    retention.holders.snapshot.advance(4, u64::MAX);
    retention.collect(at_day(100)).unwrap();
    assert_eq!(left(&retention), (4, 4));
}

#[test]
fn what_is_younger_than_keep_stays_and_the_last_segment_always() {
    let retention = ten_days();
    retention.holders.checkpoint.advance(10, 10);
    retention.holders.snapshot.advance(10, u64::MAX);
    retention.collect(at_day(9)).unwrap();
    // Day 5 ends when day 6 begins, which is not more than three days ago.
    assert_eq!(left(&retention), (5, 5));
    let collected = retention.collect(at_day(1_000)).unwrap();
    assert_eq!((left(&retention), collected.journal_segments), ((9, 9), 4));
    let mut reader = ResultReader::new(retention.disk.clone(), &retention.results_dir, 9);
    assert_eq!(reader.next(10).unwrap().unwrap().1.len(), 2, "the plan stands before its row");
}

#[test]
fn a_sink_holds_until_it_is_too_far_behind_and_is_then_marked_once() {
    let retention = ten_days();
    retention.holders.checkpoint.advance(10, 10);
    retention.holders.snapshot.advance(10, u64::MAX);
    let (dead, alive) = (retention.holders.sink("influx", 2, 2), retention.holders.sink("store", 10, 10));
    // Day 2 ends on day 3, six days before day 9: not yet too far behind.
    assert_eq!(retention.collect(at_day(9)).unwrap().gaps, Vec::<&str>::new());
    assert_eq!(left(&retention), (2, 2));
    assert_eq!(retention.collect(at_day(10)).unwrap().gaps, ["influx"]);
    assert_eq!(left(&retention), (3, 3), "day 2 is held no longer");
    assert!(dead.needs_backfill() && !alive.needs_backfill());
    assert_eq!(retention.collect(at_day(11)).unwrap().gaps, Vec::<&str>::new());
}

#[test]
fn a_sink_lost_nothing_that_it_has_read_whatever_of_it_is_durable() {
    let retention = ten_days();
    retention.holders.checkpoint.advance(10, 10);
    retention.holders.snapshot.advance(10, u64::MAX);
    // As after a start on a full disk: nothing is known to be durable, and it reads on at 9.
    let ledger = retention.holders.sink("ledger", u64::MAX, 0);
    ledger.reads_next(u64::MAX, 9);
    assert_eq!(retention.collect(at_day(9)).unwrap().gaps, Vec::<&str>::new());
    assert_eq!(left(&retention), (5, 0), "what a loss of power would need again stays");
    assert_eq!(retention.collect(at_day(100)).unwrap().gaps, Vec::<&str>::new());
    assert_eq!(left(&retention), (9, 9));
    assert!(!ledger.needs_backfill());
}

#[test]
fn a_reader_before_the_first_segment_says_so_and_can_begin_there() {
    let retention = ten_days();
    retention.holders.checkpoint.advance(10, 10);
    retention.holders.snapshot.advance(10, u64::MAX);
    let mut reader = BatchReader::new(retention.disk.clone(), &retention.journal_dir, 1);
    let mut rows = ResultReader::new(retention.disk.clone(), &retention.results_dir, 1);
    assert_eq!(reader.next(10).unwrap().unwrap().0, 1);
    assert_eq!(rows.next(10).unwrap().unwrap().0, 1);
    retention.collect(at_day(9)).unwrap();
    assert!(matches!(reader.next(10), Err(LogError::Missing { ordinal: 2, .. })));
    assert!(matches!(rows.next(10), Err(LogError::Missing { ordinal: 2, .. })));
    assert_eq!((reader.skip_collected().unwrap(), rows.skip_collected().unwrap()), (3, 3));
    assert_eq!(reader.next(10).unwrap().unwrap().0, 5);
    assert_eq!(rows.next(10).unwrap().unwrap().0, 5);
    assert_eq!((reader.skip_collected().unwrap(), rows.skip_collected().unwrap()), (0, 0));
}

#[test]
fn a_sink_that_lags_in_the_results_alone_holds_them_whatever_left_the_journal() {
    let retention = ten_days();
    retention.holders.checkpoint.advance(10, 10);
    retention.holders.snapshot.advance(10, u64::MAX);
    let slow = retention.holders.sink("store", 10, 2);
    let collected = retention.collect(at_day(9)).unwrap();
    assert_eq!((left(&retention), collected.gaps), ((5, 2), Vec::<&str>::new()));
    assert_eq!(retention.collect(at_day(9)).unwrap().gaps, Vec::<&str>::new());
    assert_eq!(left(&retention), (5, 2), "rows caused by what the journal no longer holds stay");
    slow.advance(10, 10);
    retention.collect(at_day(9)).unwrap();
    assert_eq!(left(&retention), (5, 5));
}

#[test]
fn what_a_recompute_reads_is_held_until_both_checkpoints_lie_behind_it() {
    let retention = ten_days();
    retention.holders.checkpoint.advance(2, 2);
    retention.holders.snapshot.advance(10, u64::MAX);
    let hold = retention.holders.hold();
    retention.collect(at_day(1_000)).unwrap();
    assert_eq!(left(&retention).0, 0, "all there is, until it is known what is needed");
    hold.begin_at(1);
    retention.collect(at_day(1_000)).unwrap();
    assert_eq!(left(&retention).0, 1);
    hold.journaled(6);
    retention.holders.checkpoint.advance(5, 5);
    retention.collect(at_day(1_000)).unwrap();
    assert_eq!(left(&retention).0, 1, "the older checkpoint lies before the recompute");
    retention.holders.checkpoint.advance(6, 6);
    let given_up = retention.holders.hold();
    drop(given_up);
    retention.collect(at_day(1_000)).unwrap();
    assert_eq!(left(&retention).0, 6);
    retention.holders.hold_until(9);
    retention.holders.checkpoint.advance(8, 8);
    retention.collect(at_day(1_000)).unwrap();
    assert_eq!(left(&retention).0, 6, "from what the journal held at the start");
    retention.holders.checkpoint.advance(9, 9);
    retention.collect(at_day(1_000)).unwrap();
    assert_eq!(left(&retention).0, 9);
}

#[test]
fn what_the_older_checkpoint_needs_stays_to_the_frame() {
    let retention = ten_days();
    retention.holders.checkpoint.advance(10, 1);
    retention.holders.snapshot.advance(10, u64::MAX);
    let collected = retention.collect(at_day(100)).unwrap();
    assert_eq!((left(&retention), collected.results_segments), ((9, 1), 1));
    retention.holders.checkpoint.advance(10, 4);
    let collected = retention.collect(at_day(100)).unwrap();
    assert_eq!((left(&retention), collected.results_segments), ((9, 4), 3));
}

#[test]
fn a_sink_holds_nothing_that_it_has_read() {
    let retention = ten_days();
    retention.holders.checkpoint.advance(10, 10);
    retention.holders.snapshot.advance(10, u64::MAX);
    let sink = retention.holders.sink("store", 3, 3);
    for day in 3..6 {
        sink.advance(day, day);
        retention.collect(at_day(9)).unwrap();
        assert_eq!(left(&retention), (day, day));
    }
}

#[test]
fn rows_older_than_the_journals_beginning_go_where_that_is_older_than_behind_max() {
    // The snapshot holds the journal from day 2 on, which is six days before day 8.
    for (now, results_left) in [(7, 0), (8, 2)] {
        let retention = ten_days();
        retention.holders.checkpoint.advance(10, 10);
        retention.holders.snapshot.advance(2, u64::MAX);
        let slow = retention.holders.sink("store", 10, 0);
        let collected = retention.collect(at_day(now)).unwrap();
        assert_eq!(left(&retention), (2, results_left), "day {now}");
        assert_eq!((!collected.gaps.is_empty(), slow.needs_backfill()), (now == 8, now == 8));
    }
}
