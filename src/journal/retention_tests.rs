//! What goes, what stays, and who is told.

use super::*;
use crate::journal::log::LogWriter;
use crate::journal::memory_disk::MemoryDisk;
use crate::journal::{ResultReader, ResultsLog, batch_codec};
use crate::model::time::SECOND;
use crate::model::{Aggregate, Batch, Key, Record, ResultRow, result::PlanDescription};

const DAY: i64 = 86_400 * SECOND;

fn at_day(day: i64) -> Timestamp {
    Timestamp(day * DAY)
}

/// Ten days, a segment a day in each log, one record and one row a day.
fn ten_days() -> Retention {
    let disk: Arc<MemoryDisk> = Arc::default();
    let (journal_dir, results_dir) = (PathBuf::from("journal"), PathBuf::from("results"));
    let mut journal = LogWriter::open(disk.clone(), &journal_dir, LogKind::Journal, 1).unwrap();
    let mut results = ResultsLog::open(disk.clone(), &results_dir, 1).unwrap();
    let plan = Arc::new(PlanDescription {
        hash: 7,
        pipeline: "air".into(),
        window: "day".into(),
        size_ns: DAY,
        slide_ns: DAY,
        unit: None,
        by: Vec::new(),
        fields: Vec::new(),
    });
    for day in 0..10 {
        let (from, to) = (at_day(day), at_day(day));
        let records = vec![Record::Tick { from, to, observed: Vec::new().into() }];
        let first = day as u64;
        let batch = Batch { first, arrived_at: at_day(day), records, ..Batch::default() };
        journal.append(&batch_codec::encode(&batch)).unwrap();
        let mut rows = vec![ResultRow::Aggregate(Aggregate {
            cause: first,
            plan: plan.clone(),
            key: Key(Vec::new().into()),
            start: at_day(day),
            end: at_day(day + 1),
            revision: first,
            count: 0,
            capture: None,
            sufficient: true,
            fields: Vec::new(),
        })];
        if day == 0 {
            rows.insert(0, ResultRow::Plan(0, plan.clone()));
        }
        results.publish(&rows).unwrap();
    }
    let (keep, behind_max) = (Span(3 * DAY), Span(6 * DAY));
    Retention { disk, journal_dir, results_dir, keep, behind_max, holders: Arc::default() }
}

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
