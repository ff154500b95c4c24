//! Segments of the results log: cut by the rows alone, readable from each beginning.

use super::*;
use crate::journal::memory_disk::MemoryDisk;
use crate::journal::reader::ResultReader;
use crate::model::result::Field;
use crate::model::{Aggregate, Key, Timestamp};

const SEGMENT_BYTES: u64 = 300;

fn log(disk: &Arc<MemoryDisk>, segment_bytes_max: u64, position: ResultsPosition) -> ResultsLog {
    ResultsLog::resume(disk.clone(), dir(), segment_bytes_max, position).unwrap()
}

fn dir() -> &'static Path {
    Path::new("results")
}

fn plan(hash: u64) -> Arc<PlanDescription> {
    Arc::new(PlanDescription {
        hash,
        pipeline: "air".into(),
        window: "hour".into(),
        size_ns: 1,
        slide_ns: 1,
        unit: None,
        by: vec!["sensor".into()],
        fields: vec![Field { name: "mean".into(), unit: "ug/m3".into() }],
    })
}

fn aggregate(cause: u64, plan: &Arc<PlanDescription>) -> ResultRow {
    ResultRow::Aggregate(Aggregate {
        cause,
        plan: plan.clone(),
        key: Key(vec!["aire-1".into()].into()),
        start: Timestamp(0),
        end: Timestamp(1),
        revision: cause,
        count: 1,
        capture: None,
        sufficient: true,
        fields: vec![Some(0.5)],
    })
}

/// Forty epochs, every third without rows; a second plan appears on the way.
fn epochs() -> Vec<Vec<ResultRow>> {
    let (first, second) = (plan(1), plan(2));
    let mut epochs: Vec<Vec<ResultRow>> = (0..40)
        .map(|n| if n % 3 == 2 { Vec::new() } else { vec![aggregate(n, &first), aggregate(n, &first)] })
        .collect();
    epochs[0].insert(0, ResultRow::Plan(0, first));
    epochs[16].insert(0, ResultRow::Plan(16, second.clone()));
    epochs[16].push(aggregate(16, &second));
    epochs[39].push(aggregate(39, &second));
    epochs
}

fn segments(disk: &MemoryDisk) -> Vec<(PathBuf, Vec<u8>)> {
    disk.files().into_iter().filter(|file| file.0.extension().is_some_and(|end| end == "log")).collect()
}

fn read_from(disk: &Arc<MemoryDisk>, frame: u64, before: u64) -> Vec<(u64, Vec<ResultRow>)> {
    let mut reader = ResultReader::new(disk.clone(), dir(), frame);
    std::iter::from_fn(|| reader.next(before).unwrap()).collect()
}

#[test]
fn a_run_that_stops_and_goes_on_from_any_position_writes_the_same_bytes() {
    let whole = Arc::new(MemoryDisk::default());
    let mut uninterrupted = log(&whole, SEGMENT_BYTES, ResultsPosition::default());
    epochs().iter().for_each(|rows| uninterrupted.publish(rows).unwrap());
    let expected = segments(&whole);
    assert!(expected.len() > 3, "{} segments", expected.len());

    for stop in 0..40 {
        for checkpoint in 0..=stop {
            let disk = Arc::new(MemoryDisk::default());
            let mut first = log(&disk, SEGMENT_BYTES, ResultsPosition::default());
            let mut position = ResultsPosition::default();
            for (epoch, rows) in epochs()[..stop].iter().enumerate() {
                if epoch == checkpoint {
                    position = first.position().clone();
                }
                first.publish(rows).unwrap();
            }
            if stop == checkpoint {
                position = first.position().clone();
            }
            let mut second = log(&disk, SEGMENT_BYTES, position);
            epochs()[checkpoint..].iter().for_each(|rows| second.publish(rows).unwrap());
            assert_eq!(segments(&disk), expected, "stopped at {stop}, checkpoint at {checkpoint}");
        }
    }
}

#[test]
fn a_reader_from_any_frame_knows_the_plans_also_when_earlier_segments_are_gone() {
    let disk = Arc::new(MemoryDisk::default());
    let mut results = log(&disk, SEGMENT_BYTES, ResultsPosition::default());
    epochs().iter().for_each(|rows| results.publish(rows).unwrap());
    let end = results.position().frame;
    let all = read_from(&disk, 0, end);
    assert_eq!(all.len() as u64, end);
    for from in 0..end {
        assert_eq!(read_from(&disk, from, end), all[from as usize..], "from frame {from}");
    }
    let begun = log::segments(&*disk, dir()).unwrap();
    for pair in begun.windows(2) {
        disk.remove(&pair[0].1).unwrap();
        let from = pair[1].0;
        assert_eq!(read_from(&disk, from, end), all[from as usize..], "first frame left: {from}");
    }
}

#[test]
fn a_changed_segment_size_leaves_what_was_published() {
    let disk = Arc::new(MemoryDisk::default());
    let mut results = log(&disk, SEGMENT_BYTES, ResultsPosition::default());
    epochs()[..30].iter().for_each(|rows| results.publish(rows).unwrap());
    let before = segments(&disk);
    for size in [1, 1 << 30] {
        let mut results = log(&disk, size, ResultsPosition::default());
        epochs()[..30].iter().for_each(|rows| results.publish(rows).unwrap());
        assert_eq!(segments(&disk), before);
    }
}

#[test]
fn a_difference_and_a_missing_tail_are_refused() {
    let disk = Arc::new(MemoryDisk::default());
    let mut results = log(&disk, SEGMENT_BYTES, ResultsPosition::default());
    epochs()[..10].iter().for_each(|rows| results.publish(rows).unwrap());
    let position = results.position().clone();
    let mut again = log(&disk, SEGMENT_BYTES, ResultsPosition::default());
    again.publish(&epochs()[0]).unwrap();
    let other = vec![aggregate(1, &plan(1))];
    assert!(matches!(again.publish(&other), Err(ResultsError::Differs { frame: 1 })));
    let ahead = ResultsPosition { frame: position.frame + 1, ..position };
    let refused = ResultsLog::resume(disk, dir(), SEGMENT_BYTES, ahead);
    assert!(matches!(refused, Err(ResultsError::Short { .. })));
}

#[test]
fn a_cursor_ahead_of_a_log_that_lost_its_tail_waits_for_the_same_frames() {
    let disk = Arc::new(MemoryDisk::default());
    let mut results = log(&disk, u64::MAX, ResultsPosition::default());
    epochs()[..4].iter().for_each(|rows| results.publish(rows).unwrap());
    let mut reader = ResultReader::new(disk, dir(), 5);
    assert_eq!(reader.next(results.position().frame).unwrap(), None);
    epochs()[4..10].iter().for_each(|rows| results.publish(rows).unwrap());
    assert_eq!(reader.next(results.position().frame).unwrap().unwrap().0, 5);
}

#[test]
fn a_sync_covers_what_was_published_before_it() {
    let disk = Arc::new(MemoryDisk::default());
    let mut results = log(&disk, SEGMENT_BYTES, ResultsPosition::default());
    epochs()[..10].iter().for_each(|rows| results.publish(rows).unwrap());
    let unsynced = results.unsynced();
    assert_eq!(results.progress().now().synced, 0);
    let frames = results.position().frame;
    epochs()[10..20].iter().for_each(|rows| results.publish(rows).unwrap());
    assert_eq!(unsynced.sync().unwrap(), frames);
    assert_eq!(results.progress().now().synced, frames);
}

#[test]
fn on_a_full_disk_results_wait_and_are_the_same() {
    let whole = Arc::new(MemoryDisk::default());
    let mut uninterrupted = log(&whole, 1, ResultsPosition::default());
    epochs()[..4].iter().for_each(|rows| uninterrupted.publish(rows).unwrap());

    let disk = Arc::new(MemoryDisk::default());
    let mut results = log(&disk, 1, ResultsPosition::default());
    for rows in &epochs()[..4] {
        // The first frame finds no room for itself, a later one none for its segment either.
        disk.refusals.store(1, std::sync::atomic::Ordering::Relaxed);
        if let Err(failure) = results.publish(rows) {
            assert!(failure.is_disk_full(), "{failure}");
            results.publish_again().unwrap();
        }
    }
    assert_eq!(segments(&disk), segments(&whole));
}

#[test]
fn of_another_version_only_what_it_derives_otherwise_is_published_anew() {
    let disk = Arc::new(MemoryDisk::default());
    let mut first = log(&disk, 1 << 30, ResultsPosition::default());
    epochs()[..10].iter().for_each(|rows| first.publish(rows).unwrap());
    let held = first.position().frame;
    let (plan, mut derived) = (plan(1), epochs());
    let mut other = aggregate(6, &plan);
    if let ResultRow::Aggregate(row) = &mut other {
        row.count = 7;
    }
    derived[3].pop();
    derived[4].push(aggregate(4, &plan));
    derived[5].push(aggregate(5, &plan));
    derived[6][0] = other.clone();
    let mut again = log(&disk, 1 << 30, ResultsPosition::default()).of_another_version();
    for (epoch, rows) in derived[..11].iter().enumerate() {
        assert_eq!(again.has_position(), epoch > 9, "before epoch {epoch}");
        again.publish(rows).unwrap();
    }
    let anew = [
        vec![ResultRow::Plan(0, plan.clone())],
        vec![aggregate(4, &plan)],
        vec![aggregate(5, &plan)],
        vec![other],
        vec![aggregate(10, &plan), aggregate(10, &plan)],
    ];
    let want: Vec<(u64, Vec<ResultRow>)> = (held..).zip(anew).collect();
    assert_eq!(read_from(&disk, held, again.position().frame), want);
}
