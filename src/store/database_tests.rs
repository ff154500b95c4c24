//! Flush, crash, reopen, damage: the store keeps what it committed and nothing else.

use std::time::Duration;

use super::super::testing::{DAY, Journal, files, open, plan, retraction, revision, rows};
use super::*;
use crate::model::Timestamp;
use crate::model::crash::Point;
use crate::model::crash::testing::until_crash;
use crate::model::time::SECOND;
use crate::store::{Compacted, Flushed};

#[tokio::test]
async fn a_restart_goes_on_from_the_committed_cursors() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::default();
    let plan = plan(&["sensor"], &["pm25_mean"]);
    {
        let store = open(folder.path());
        journal.fill(&store, 0, 100);
        store.apply_results(50, &[revision(&plan, &["aire-1"], 0, 9, &[Some(1.5)])]).unwrap();
        store.flush().unwrap();
        journal.fill(&store, 100, 100);
        store.apply_results(70, &[revision(&plan, &["aire-1"], 1, 9, &[Some(2.5)])]).unwrap();
        assert_eq!(rows(&store, "SELECT count(*) FROM air").await, "200\n");
    }
    let store = open(folder.path());
    assert_eq!(store.cursors(), Cursors { journal: 1, results: 50 });
    assert_eq!(rows(&store, "SELECT count(*) FROM air").await, "100\n");
    // What is handed over twice is taken once.
    for (epoch, batch) in journal.batches.iter().enumerate() {
        store.apply_batch(epoch as u64, batch, &journal.dictionary).unwrap();
        store.apply_batch(epoch as u64, batch, &journal.dictionary).unwrap();
    }
    store.apply_results(50, &[revision(&plan, &["aire-1"], 0, 9, &[Some(9.9)])]).unwrap();
    store.flush().unwrap();
    assert_eq!(rows(&store, "SELECT count(*), count(DISTINCT sequence) FROM air").await, "200,200\n");
    assert_eq!(rows(&store, "SELECT pm25_mean FROM air_quality_pm25_1h").await, "1.5\n");
    assert_eq!(store.cursors(), Cursors { journal: 2, results: 50 });
    assert_eq!(store.flush().unwrap(), Flushed::default(), "nothing new, nothing written");
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_flush_keeps_every_row_once() {
    let points =
        [(Point::StoreFileWritten, false), (Point::StoreCommitting, false), (Point::StoreCommitted, true)];
    for (point, kept) in points {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::default();
        {
            let store = open(folder.path());
            journal.fill(&store, 0, 100);
            let crashed = until_crash(move |at| at == point, || store.flush());
            assert_eq!(crashed.err(), Some(point));
        }
        let store = open(folder.path());
        assert_eq!(store.cursors().journal, u64::from(kept), "content and cursor, or neither");
        journal.replay(&store);
        store.flush().unwrap();
        assert_eq!(rows(&store, "SELECT count(*), count(DISTINCT sequence) FROM air").await, "100,100\n");
    }
}

#[tokio::test]
async fn a_crash_between_files_and_manifest_leaves_neither_rows_nor_files_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::default();
    let manifest = folder.path().join("manifest.db");
    {
        let store = open(folder.path());
        journal.fill(&store, 0, 100);
        store.flush().unwrap();
    }
    // As if the power went after the files of the second flush, before its commit.
    let before = std::fs::read(&manifest).unwrap();
    {
        let store = open(folder.path());
        journal.fill(&store, 86_300, 200);
        assert_eq!(store.flush().unwrap().files, 2, "one a day");
    }
    std::fs::write(&manifest, before).unwrap();
    std::fs::write(folder.path().join("raw/air/day=2026-03-01/00000009.tmp"), b"half").unwrap();
    assert_eq!(files(folder.path()).len(), 3);

    let store = open(folder.path());
    assert_eq!((files(folder.path()).len(), store.cursors().journal), (1, 1));
    assert!(!folder.path().join("raw/air/day=2026-03-01/00000009.tmp").exists());
    journal.replay(&store);
    store.flush().unwrap();
    assert_eq!(rows(&store, "SELECT count(*), count(DISTINCT sequence) FROM air").await, "300,300\n");
    assert_eq!(store.verify(), []);
}

#[tokio::test]
async fn a_name_gives_the_last_revision_wherever_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let plan = plan(&["sensor"], &["pm25_mean"]);
    let publish = |position, rows: &[ResultRow]| store.apply_results(position, rows).unwrap();
    let row = |sensor, hour, number, value| revision(&plan, &[sensor], hour, number, &[Some(value)]);

    publish(1, &[row("a", 0, 10, 1.0), row("a", 1, 11, 2.0), row("b", 0, 12, 3.0), row("c", 0, 13, 4.0)]);
    store.flush().unwrap();
    publish(2, &[row("a", 0, 20, 1.5), retraction(&plan, &["b"], 0, 21), retraction(&plan, &["c"], 0, 22)]);
    store.flush().unwrap();
    // In memory: a later revision, one that comes back, and the same revision published anew.
    publish(3, &[row("a", 1, 30, 2.5), row("c", 0, 31, 4.5), row("a", 0, 20, 1.75)]);

    let last = "SELECT sensor, pm25_mean, revision, time FROM air_quality_pm25_1h ORDER BY sensor, time";
    let want =
        "a,1.75,20,2026-03-01T00:00:00Z\na,2.5,30,2026-03-01T01:00:00Z\nc,4.5,31,2026-03-01T00:00:00Z\n";
    assert_eq!(rows(&store, last).await, want);
    let all = "SELECT count(*), count(*) FILTER (WHERE retracted) FROM air_quality_pm25_1h_revisions";
    assert_eq!(rows(&store, all).await, "10,2\n");
    store.flush().unwrap();
    assert_eq!(rows(&store, last).await, want);
    // A condition on a value must not let an earlier revision through.
    assert_eq!(rows(&store, "SELECT * FROM air_quality_pm25_1h WHERE pm25_mean < 1.7").await, "");
    assert_eq!(rows(&store, "SELECT * FROM air_quality_pm25_1h WHERE revision < 20").await, "");
}

#[tokio::test]
async fn a_window_over_everything_has_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let plan = plan(&[], &["count", "time", "x"]);
    store.apply_results(1, &[revision(&plan, &[], 0, 1, &[Some(1.0), Some(2.0), None])]).unwrap();
    store.flush().unwrap();
    store.apply_results(2, &[revision(&plan, &[], 0, 2, &[Some(3.0), Some(4.0), None])]).unwrap();
    let sql = "SELECT count, field_count, field_time, x, revision FROM air_quality_pm25_1h";
    assert_eq!(rows(&store, sql).await, "360,3.0,4.0,,2\n");
}

#[tokio::test]
async fn files_with_different_columns_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut journal = Journal::default();
    let mut put = |events: &[_]| {
        let (epoch, batch) = journal.batch("air", events);
        store.apply_batch(epoch, &batch, &journal.dictionary).unwrap();
    };
    put(&[("a", 0, &[], &[("pm25", "ug/m3", 1, 10)])]);
    store.flush().unwrap();
    put(&[("a", 1, &[("zone", "z")], &[("temp", "Cel", 1, 200), ("pm25", "ug/m3", 1, 11)])]);
    store.flush().unwrap();
    put(&[("b", 2, &[("zone", "z"), ("temp", "hot")], &[("temp", "K", 0, 290)])]);
    put(&[("c", 3, &[], &[("pm25", "ug/m3", 3, 1_250)])]);
    for _ in 0..2 {
        let sql = "SELECT sensor, zone, pm25, temp, temp_k, tag_temp FROM air ORDER BY time";
        assert_eq!(rows(&store, sql).await, "a,,1.0,,,\na,z,1.1,20.0,,\nb,z,,,290.0,hot\nc,,1.25,,,\n");
        let sql = "SELECT sum(pm25), count(zone), count(*) FROM air WHERE temp IS NULL";
        assert_eq!(rows(&store, sql).await, "2.25,1,3\n");
        store.flush().unwrap();
    }
    let sql = "SELECT name, unit, decimals, column_name FROM quantities ORDER BY column_name";
    assert_eq!(rows(&store, sql).await, "pm25,ug/m3,1,pm25\ntemp,Cel,1,temp\ntemp,K,0,temp_k\n");
    let filter = ReadingsFilter { quantity: Some("temp".into()), limit: 10, ..ReadingsFilter::default() };
    let (found, _) = store.readings(&filter, QueryLimits::default()).await.unwrap();
    let found: Vec<_> = found.iter().map(|row| (&*row.unit, row.value)).collect();
    assert_eq!(found, [("Cel", 20.0), ("K", 290.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_beside_flushes_see_every_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { small_files_max: 3, ..StoreOptions::default() };
    let store = Arc::new(Store::open(folder.path(), options).unwrap());
    let applied = Arc::new(std::sync::atomic::AtomicU64::new(50));
    let mut journal = Journal::default();
    journal.fill(&store, 0, 50);
    let writer = {
        let (store, applied) = (store.clone(), applied.clone());
        std::thread::spawn(move || {
            for n in 1..60 {
                journal.fill(&store, n * 50, 50);
                applied.fetch_add(50, Ordering::SeqCst);
                if n % 3 == 0 {
                    store.flush().unwrap();
                    store.compact().unwrap();
                }
            }
        })
    };
    let mut looks = 0;
    while !writer.is_finished() || looks < 3 {
        let before = applied.load(Ordering::SeqCst);
        let result = rows(&store, "SELECT count(*), count(DISTINCT sequence) FROM air").await;
        if let Some((all, distinct)) = result.trim().split_once(',') {
            let after = applied.load(Ordering::SeqCst) + 50;
            assert_eq!(all, distinct);
            let all: u64 = all.parse().unwrap();
            assert!(before <= all && all <= after, "{before} <= {all} <= {after}");
        }
        looks += 1;
    }
    writer.join().unwrap();
    assert_eq!(rows(&store, "SELECT count(*) FROM air").await, "3000\n");
    println!("{looks} queries beside 60 batches, 20 flushes");
}

#[tokio::test]
async fn a_damaged_file_is_named_and_never_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::default();
    {
        let store = open(folder.path());
        for day in 0..4 {
            journal.fill(&store, day * 86_400, 100);
            store.flush().unwrap();
        }
    }
    let paths = files(folder.path());
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    flip(&paths[0]);
    std::fs::remove_file(&paths[1]).unwrap();
    std::fs::write(&paths[2], b"PAR1").unwrap();
    let store = open(folder.path());
    let damaged = store.verify();
    assert_eq!(
        damaged.iter().map(|damage| &damage.path).collect::<Vec<_>>(),
        paths[..3].iter().collect::<Vec<_>>()
    );
    assert!(damaged[0].to_string().contains("has checksum") && damaged[0].to_string().contains("100 rows"));
    let error = store.query("SELECT avg(pm25) FROM air", QueryLimits::default()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(_)), "{error:?}");
    assert!(error.to_string().contains("day=2026-03-0"), "{error}");
    // A query that needs only the whole file goes on.
    let sql = "SELECT count(*) FROM air WHERE time >= '2026-03-04T00:00:00Z'";
    assert_eq!(rows(&store, sql).await, "100\n");
    // A file that rots under the open store is noticed, too.
    std::thread::sleep(Duration::from_millis(20));
    flip(&paths[3]);
    assert!(store.query(sql, QueryLimits::default()).await.is_err());
}

#[tokio::test]
async fn every_flip_and_cut_of_a_file_is_named_and_never_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    Journal::default().fill(&store, 0, 10);
    store.flush().unwrap();
    let path = files(folder.path()).remove(0);
    let whole = std::fs::read(&path).unwrap();
    let flips = (0..whole.len()).map(|at| {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        (at, damaged)
    });
    let cuts = (0..whole.len()).map(|length| (length, whole[..length].to_vec()));
    for (at, damaged) in flips.chain(cuts) {
        std::fs::write(&path, &damaged).unwrap();
        let named: Vec<_> = store.verify().into_iter().map(|damage| damage.path).collect();
        assert_eq!(named, [path.clone()], "{at} of {}, {} left", whole.len(), damaged.len());
        if at % 101 == 0 {
            let beside = Store::open_read_only(folder.path()).unwrap();
            let error = beside.query("SELECT avg(pm25) FROM air", QueryLimits::default()).await;
            assert!(matches!(error, Err(StoreError::Damaged(_))), "{at}: {error:?}");
        }
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(store.verify().is_empty());
    assert_eq!(rows(&store, "SELECT count(*) FROM air").await, "10\n");
}

#[tokio::test]
async fn small_files_become_one_and_go_with_their_last_reader() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut journal = Journal::default();
    let plan = plan(&["sensor"], &["x"]);
    for n in 0..17 {
        journal.fill(&store, n * 10, 10);
        let result = match n {
            16 => retraction(&plan, &["b"], 0, 200),
            _ => revision(&plan, &[if n % 2 == 0 { "a" } else { "b" }], 0, 100 + n as u64, &[Some(n as f64)]),
        };
        store.apply_results(n as u64 + 1, &[result]).unwrap();
        store.flush().unwrap();
        if n == 15 {
            assert_eq!(store.compact().unwrap(), Compacted::default(), "not yet too many");
        }
    }
    let reader = store.snapshot().unwrap();
    let compacted = store.compact().unwrap();
    assert_eq!((compacted.merged, compacted.written, compacted.rows_dropped), (34, 2, 15));
    assert_eq!(files(folder.path()).len(), 36, "a query still reads them");
    drop(reader);
    assert_eq!(files(folder.path()).len(), 2);
    assert_eq!(rows(&store, "SELECT count(*) FROM air").await, "170\n");
    assert_eq!(rows(&store, "SELECT sensor, x FROM air_quality_pm25_1h").await, "a,14.0\n");
    assert_eq!(rows(&store, "SELECT count(*) FROM air_quality_pm25_1h_revisions").await, "2\n");
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.verify(), store.cursors()), (vec![], Cursors { journal: 17, results: 17 }));
}

#[tokio::test]
async fn a_day_that_is_over_ends_in_a_few_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut journal = Journal::default();
    for second in [0, 10, 20, 30, 86_400, 86_410, 86_420, 86_430] {
        journal.fill(&store, second, 10);
        store.flush().unwrap();
    }
    assert_eq!(store.compact().unwrap(), Compacted { merged: 4, written: 1, ..Compacted::default() });
    assert_eq!(files(&folder.path().join("raw/air/day=2026-03-01")).len(), 1);
    assert_eq!(rows(&store, "SELECT count(DISTINCT sequence) FROM air").await, "80\n");
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_what_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Store::open_read_only(folder.path()).is_err(), "no store yet");
    let store = open(folder.path());
    let mut journal = Journal::default();
    journal.fill(&store, 0, 10);
    store.flush().unwrap();
    let reader = Store::open_read_only(folder.path()).unwrap();
    journal.fill(&store, 10, 10);
    assert_eq!(rows(&reader, "SELECT count(*) FROM air").await, "10\n");
    for n in 2..20 {
        journal.fill(&store, n * 10, 10);
        store.flush().unwrap();
    }
    store.compact().unwrap();
    assert_eq!(rows(&reader, "SELECT count(*) FROM air").await, "200\n");
    assert_eq!(reader.cursors().journal, 20);
    assert!(matches!(reader.flush(), Err(StoreError::ReadOnly)));
    assert!(matches!(reader.apply_results(99, &[]), Err(StoreError::ReadOnly)));
    assert!(matches!(Store::open(folder.path(), StoreOptions::default()), Err(StoreError::Locked { .. })));
    drop(store);
    assert_eq!(rows(&reader, "SELECT count(*) FROM air").await, "200\n");
    assert_eq!(
        rows(&Store::open_read_only(folder.path()).unwrap(), "SELECT count(*) FROM air").await,
        "200\n"
    );
}

#[tokio::test]
async fn a_failed_flush_keeps_its_rows_and_a_full_tail_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { tail_bytes_max: 20_000, ..StoreOptions::default() };
    let store = Store::open(folder.path(), options).unwrap();
    let mut journal = Journal::default();
    journal.fill(&store, 0, 300);
    // A file where the feed's folder should be.
    std::fs::write(folder.path().join("raw"), b"in the way").unwrap();
    assert!(matches!(store.flush(), Err(StoreError::Io { .. })));
    assert_eq!(rows(&store, "SELECT count(*) FROM air").await, "300\n");
    let refused = store.apply_batch(1, &Batch::default(), &journal.dictionary);
    assert!(matches!(refused, Err(StoreError::TailFull { .. })));
    std::fs::remove_file(folder.path().join("raw")).unwrap();
    assert_eq!(store.flush().unwrap().rows, 300);
    assert_eq!(store.cursors().journal, 1);
    store.apply_batch(1, &Batch::default(), &journal.dictionary).unwrap();
    assert_eq!(rows(&store, "SELECT count(*) FROM air").await, "300\n");
}

#[tokio::test]
async fn flushes_are_due_by_bytes_or_age() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        StoreOptions { flush_bytes: 10_000, flush_age: Duration::from_millis(50), ..StoreOptions::default() };
    let store = Store::open(folder.path(), options).unwrap();
    let mut journal = Journal::default();
    assert_eq!(store.flush_due().unwrap(), None);
    journal.fill(&store, 0, 10);
    assert_eq!(store.flush_due().unwrap(), None);
    journal.fill(&store, 10, 200);
    assert_eq!(store.flush_due().unwrap().unwrap().rows, 210);
    // Epochs without events move the cursor, too.
    store.apply_batch(2, &Batch::default(), &journal.dictionary).unwrap();
    assert_eq!(store.flush_due().unwrap(), None);
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(store.flush_due().unwrap(), Some(Flushed::default()));
    assert_eq!(store.cursors().journal, 3);
}

#[tokio::test]
async fn rows_for_the_api_are_the_newest_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut journal = Journal::default();
    journal.fill(&store, 0, 100);
    store.flush().unwrap();
    journal.fill(&store, 100, 100);
    let second = |second| Some(Timestamp((DAY + second) * SECOND));
    let filter = ReadingsFilter {
        sensor: Some("aire-3".into()),
        quantity: Some("pm25".into()),
        from: second(3),
        to: second(193),
        limit: 2,
        ..ReadingsFilter::default()
    };
    let (found, truncated) = store.readings(&filter, QueryLimits::default()).await.unwrap();
    let times: Vec<_> = found.iter().map(|row| row.time.0 / SECOND - DAY).collect();
    assert_eq!((times, truncated, &*found[0].feed), (vec![173, 183], true, "air"));
    let all = ReadingsFilter { limit: 1_000, ..filter };
    let (found, truncated) = store.readings(&all, QueryLimits::default()).await.unwrap();
    assert_eq!((found.len(), truncated), (19, false));

    let plan = plan(&["sensor", "zone"], &["x", "y"]);
    let results: Vec<_> =
        (0..5).map(|hour| revision(&plan, &["s", "z'"], hour, 1, &[Some(1.0), None])).collect();
    store.apply_results(1, &results).unwrap();
    let mut filter = AggregatesFilter {
        pipeline: "air-quality".into(),
        window: "pm25_1h".into(),
        key: vec![("zone".into(), "z'".into())],
        from: second(3_600),
        to: None,
        limit: 3,
    };
    let (found, truncated) = store.aggregates(&filter, QueryLimits::default()).await.unwrap();
    let hours: Vec<_> = found.iter().map(|row| (row.time.0 / SECOND - DAY) / 3_600).collect();
    assert_eq!((hours, truncated), (vec![2, 3, 4], true));
    assert_eq!(found[0].fields, [("x".into(), Some(1.0)), ("y".into(), None)]);
    assert_eq!(found[0].key, [("sensor".into(), "s".to_owned()), ("zone".into(), "z'".to_owned())]);
    filter.key = vec![("barrio".into(), "x".into())];
    assert!(matches!(store.aggregates(&filter, QueryLimits::default()).await, Err(StoreError::Unknown(_))));
    filter.window = "other".into();
    assert_eq!(store.aggregates(&filter, QueryLimits::default()).await.unwrap(), (vec![], false));
}

/// Queries run in handlers that move between threads.
#[test]
fn queries_can_move_between_threads() {
    fn sent<T: Send>(_: &T) {}
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    sent(&store.query("SELECT 1", QueryLimits::default()));
    sent(&store.readings(&ReadingsFilter::default(), QueryLimits::default()));
    sent(&store.aggregates(&AggregatesFilter::default(), QueryLimits::default()));
}
