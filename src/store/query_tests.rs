//! What SQL and the typed readers see.

use std::time::Duration;

use super::super::testing::{DAY, Journal, open, plan, revision, rows};
use super::super::{AccountsFilter, AggregatesFilter, ReadingsFilter, Store};
use super::*;
use crate::model::definition::{LocalText, Severity};
use crate::model::time::SECOND;
use crate::model::{
    Accounts, AlertId, AlertState, DeviceAccounts, DeviceId, FeedAccounts, FeedId, ResultRow, Timestamp,
    Transition,
};

async fn error(store: &Store, sql: &str) -> StoreError {
    store.query(sql, QueryLimits::default()).await.map(|result| result.to_csv().unwrap()).unwrap_err()
}

#[tokio::test]
async fn only_reading_statements_run() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    Journal::default().fill(&store, 0, 10);
    let outside = folder.path().join("out.parquet");
    for sql in [
        format!("COPY air TO '{}'", outside.display()),
        format!("EXPLAIN ANALYZE COPY air TO '{}'", outside.display()),
        "CREATE TABLE x AS SELECT 1".into(),
        "SELECT * INTO x FROM air".into(),
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'".into(),
        "CREATE VIEW x AS SELECT 1".into(),
        "INSERT INTO air VALUES (1)".into(),
        "DELETE FROM air".into(),
        "UPDATE air SET pm25 = 0".into(),
        "DROP TABLE air".into(),
        "SET datafusion.execution.target_partitions = 99".into(),
        "RESET datafusion.execution.target_partitions".into(),
        "SELECT 1; DROP TABLE air".into(),
        "BEGIN".into(),
        "EXECUTE x".into(),
        String::new(),
    ] {
        let refused = error(&store, &sql).await;
        assert!(matches!(refused, StoreError::NotAllowed(_) | StoreError::Query(_)), "{sql}: {refused:?}");
    }
    assert!(!outside.exists());
    for sql in
        ["SELECT * FROM '/etc/passwd'", "SELECT * FROM \"manifest.db\"", "SELEC 1", "SELECT pm26 FROM air"]
    {
        let wrong = error(&store, sql).await;
        assert!(matches!(wrong, StoreError::Query(_)), "{sql}: {wrong:?}");
        println!("{sql}: {wrong}");
    }
    for sql in [
        "SHOW TABLES",
        "SHOW COLUMNS FROM air",
        "DESCRIBE air",
        "EXPLAIN SELECT * FROM air",
        "EXPLAIN ANALYZE SELECT * FROM air",
        "WITH a AS (SELECT pm25 FROM air) SELECT max(pm25) FROM a",
    ] {
        assert!(!rows(&store, sql).await.is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn hostile_names_stay_values() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut journal = Journal::default();
    let hostile = "x' OR '1'='1\"; DROP TABLE air; --";
    let (epoch, batch) = journal.batch(
        "../air'; --",
        &[
            ("good", 0, &[("zone", "z")], &[("v", "1", 0, 1)]),
            (hostile, 1, &[(hostile, hostile)], &[(hostile, "", 0, 2)]),
        ],
    );
    store.apply_batch(epoch, &batch, &journal.dictionary).unwrap();
    let plan = plan(&[hostile], &[hostile]);
    store.apply_results(1, &[revision(&plan, &[hostile], 0, 1, &[Some(5.0)])]).unwrap();
    for _ in 0..2 {
        let filter = |sensor: &str, quantity: &str| ReadingsFilter {
            sensor: Some(sensor.into()),
            quantity: Some(quantity.into()),
            limit: 10,
            ..ReadingsFilter::default()
        };
        let limits = QueryLimits::default();
        let (found, _) = store.readings(&filter(hostile, hostile), limits).await.unwrap();
        assert_eq!((found.len(), found[0].value, &*found[0].feed), (1, 2.0, "../air'; --"));
        assert!(store.readings(&filter("x' OR '1'='1", "v"), limits).await.unwrap().0.is_empty());
        let mut windows = AggregatesFilter {
            pipeline: "air-quality".into(),
            window: "pm25_1h".into(),
            key: vec![(hostile.into(), hostile.into())],
            limit: 10,
            ..AggregatesFilter::default()
        };
        assert_eq!(store.aggregates(&windows, limits).await.unwrap().0[0].fields[0].1, Some(5.0));
        windows.key = vec![(hostile.into(), "' OR ''='".into())];
        assert!(store.aggregates(&windows, limits).await.unwrap().0.is_empty());
        assert_eq!(rows(&store, "SELECT count(*) FROM ___air_____").await, "2\n");
        store.flush().unwrap();
    }
    assert!(folder.path().join("raw/___air___--").is_dir());
}

#[tokio::test]
async fn limits_hold() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    Journal::default().fill(&store, 0, 1_000);
    store.flush().unwrap();
    let limits = QueryLimits { rows_max: 7, ..QueryLimits::default() };
    let result = store.query("SELECT * FROM air", limits).await.unwrap();
    assert_eq!((result.rows(), result.truncated()), (7, true));
    let exact = QueryLimits { rows_max: 1_000, ..limits };
    let result = store.query("SELECT * FROM air", exact).await.unwrap();
    assert_eq!((result.rows(), result.truncated()), (1_000, false));
    let endless = "SELECT sum(value % 7) FROM generate_series(1, 1000000000000)";
    let brief = QueryLimits { time_max: Duration::from_millis(200), ..QueryLimits::default() };
    let started = std::time::Instant::now();
    let stopped = store.query(endless, brief).await.unwrap_err();
    assert!(matches!(stopped, StoreError::TimeUp { .. }), "{stopped:?}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let small = QueryLimits { memory_bytes: 200_000, rows_max: 1_000_000, ..QueryLimits::default() };
    let large = "SELECT a.sensor || b.sensor FROM air a, air b";
    let stopped = store.query(large, small).await.unwrap_err();
    // DataFusion notices the memory, or panics over it: see `runner`.
    assert!(matches!(stopped, StoreError::MemoryUp { .. } | StoreError::Engine(_)), "{stopped:?}");
    let sorted = "SELECT sensor, pm25, sequence FROM (SELECT * FROM air UNION ALL SELECT * FROM air) ORDER BY sequence";
    let tiny = QueryLimits { memory_bytes: 10_000, ..small };
    let stopped = store.query(sorted, tiny).await.unwrap_err();
    assert!(matches!(stopped, StoreError::MemoryUp { .. }), "{stopped:?}");
}

#[tokio::test]
async fn a_result_is_a_table_csv_or_json() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut journal = Journal::default();
    let (epoch, batch) = journal
        .batch("air", &[("a\"b", 0, &[("zone", "á,b")], &[("pm25", "ug/m3", 1, 234)]), ("c", 1, &[], &[])]);
    store.apply_batch(epoch, &batch, &journal.dictionary).unwrap();
    let sql = "SELECT time, sensor, zone, pm25 FROM air ORDER BY time";
    let result = store.query(sql, QueryLimits::default()).await.unwrap();
    assert_eq!(result.columns(), ["time", "sensor", "zone", "pm25"]);
    assert_eq!(
        result.to_csv().unwrap(),
        "time,sensor,zone,pm25\n2026-03-01T00:00:00Z,\"a\"\"b\",\"á,b\",23.4\n2026-03-01T00:00:01Z,c,,\n"
    );
    let first = r#"{"time":"2026-03-01T00:00:00Z","sensor":"a\"b","zone":"á,b","pm25":23.4}"#;
    let second = r#"{"time":"2026-03-01T00:00:01Z","sensor":"c","zone":null,"pm25":null}"#;
    assert_eq!(result.to_json_lines().unwrap(), format!("{first}\n{second}\n"));
    assert_eq!(result.to_json_array().unwrap(), format!("[{first},{second}]"));
    let table = result.to_table().unwrap();
    assert!(table.contains("| 2026-03-01T00:00:00Z | a\"b    | á,b  | 23.4 |"), "{table}");
    let none = store.query("SELECT sensor FROM air WHERE false", QueryLimits::default()).await.unwrap();
    assert_eq!((none.to_csv().unwrap().as_str(), none.to_json_array().unwrap().as_str()), ("sensor\n", "[]"));
    assert!(none.to_table().unwrap().contains("sensor"));
}

#[tokio::test]
async fn transitions_are_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let text = LocalText { es: "Nivel alto".into(), en: "High".into() };
    let row = Transition {
        cause: 5,
        id: AlertId(255),
        pipeline: "rio".into(),
        rule: "alto".into(),
        severity: Severity::Warning,
        by: vec!["sensor".into()],
        key: super::super::testing::key_of(&["rio-01"]),
        from: AlertState::Pending,
        to: AlertState::Firing,
        began_at: Timestamp(1),
        raised_at: None,
        resolved_at: None,
        at: Timestamp::parse_rfc3339("2026-03-01T00:00:00Z").unwrap(),
        decided_at: Timestamp(3),
        notify: true,
        reason: "condition met".into(),
        title: text.clone(),
        message: text,
        labels: [("team".to_owned(), "río".to_owned())].into(),
        evidence: vec![("level_cm".into(), Some(312.0)), ("rain".into(), None)],
        window: (Timestamp(0), Timestamp(1)),
    };
    store.apply_results(1, &[ResultRow::Transition(Box::new(row))]).unwrap();
    for _ in 0..2 {
        let sql =
            "SELECT time, sensor, from_state, to_state, severity, labels, evidence, cause FROM transitions";
        let result = store.query(sql, QueryLimits::default()).await.unwrap().to_json_lines().unwrap();
        let row: serde_json::Value = serde_json::from_str(&result).unwrap();
        assert_eq!(
            (&row["sensor"], &row["to_state"], &row["cause"]),
            (&"rio-01".into(), &"firing".into(), &5.into())
        );
        assert_eq!(row["evidence"], r#"{"level_cm":312.0,"rain":null}"#);
        assert_eq!(row["labels"], r#"{"team":"río"}"#);
        store.flush().unwrap();
    }
    assert!(folder.path().join("transitions/day=2026-03-01").is_dir());
}

/// Figures, not a test: `cargo test --release ... store_figures -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "prints figures"]
async fn store_figures() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), super::super::StoreOptions::default()).unwrap();
    let mut journal = Journal::default();
    let started = std::time::Instant::now();
    let (mut flushing, mut bytes) = (Duration::ZERO, 0);
    for n in 0..200 {
        journal.fill(&store, n * 5_000, 5_000);
        let before = std::time::Instant::now();
        bytes += store.flush_due().unwrap().map_or(0, |flushed| flushed.bytes);
        flushing += before.elapsed();
    }
    bytes += store.flush().unwrap().bytes;
    println!("1,000,000 events, 2,000,000 readings: {:?} in all, {flushing:?} flushing", started.elapsed());
    println!(
        "{} bytes a reading, {} files",
        bytes as f64 / 2e6,
        super::super::testing::files(folder.path()).len()
    );
    let plan = plan(&["sensor"], &["x"]);
    for part in 0..20 {
        let rows: Vec<_> = (0..5_000)
            .map(|n| revision(&plan, &[&format!("s{}", n % 100)], part * 50 + n / 100, 1, &[Some(n as f64)]))
            .collect();
        store.apply_results(part as u64 + 1, &rows).unwrap();
        store.flush().unwrap();
    }
    let explained =
        "EXPLAIN ANALYZE SELECT * FROM air_quality_pm25_1h WHERE sensor = 's7' ORDER BY time DESC LIMIT 24";
    println!("{}", store.query(explained, QueryLimits::default()).await.unwrap().to_table().unwrap());
    for sql in [
        "SELECT 1",
        "SELECT count(*) FROM air",
        "SELECT sensor, avg(pm25), max(temp) FROM air GROUP BY sensor",
        "SELECT avg(pm25) FROM air WHERE sensor = 'aire-3' AND time >= '2026-03-05T00:00:00Z' AND time < '2026-03-06T00:00:00Z'",
        "SELECT count(*) FROM air_quality_pm25_1h",
        "SELECT * FROM air_quality_pm25_1h WHERE sensor = 's7' ORDER BY time DESC LIMIT 24",
    ] {
        for _ in 0..2 {
            let started = std::time::Instant::now();
            let result = store.query(sql, QueryLimits::default()).await.unwrap();
            println!("{:?} {} rows: {sql}", started.elapsed(), result.rows());
        }
    }
    let filter = ReadingsFilter {
        sensor: Some("aire-3".into()),
        quantity: Some("pm25".into()),
        limit: 100,
        ..ReadingsFilter::default()
    };
    let started = std::time::Instant::now();
    store.readings(&filter, QueryLimits::default()).await.unwrap();
    println!("{:?} the newest 100 readings of a sensor", started.elapsed());
}

#[tokio::test]
async fn accounts_add_up_by_feed_and_by_sensor() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut journal = Journal::default();
    let dup = |events, readings| Accounts {
        events_found: events,
        events_duplicate: events,
        readings_found: readings,
        readings_duplicate: readings,
        ..Accounts::default()
    };
    for second in [0, 60, 3_600] {
        let cells: [&[_]; 2] =
            [&[("pm25", "ug/m3", 1, 200), ("temp", "Cel", 1, 180)], &[("pm25", "ug/m3", 1, 9)]];
        let (epoch, mut batch) =
            journal.batch("air", &[("a", second, &[], cells[0]), ("b", second, &[], cells[1])]);
        batch.arrived_at = Timestamp((DAY + second) * SECOND);
        let stored = Accounts {
            messages_received: 3,
            messages_decoded: 3,
            events_found: 3,
            events_stored: 2,
            events_duplicate: 1,
            readings_found: 5,
            readings_stored: 3,
            readings_duplicate: 2,
            ..Accounts::default()
        };
        batch.accounts.push(FeedAccounts { feed: FeedId(0), delta: stored });
        batch.devices.push(DeviceAccounts { device: DeviceId(0), delta: dup(1, 2) });
        store.apply_batch(epoch, &batch, &journal.dictionary).unwrap();
        // Parts lie in files, in frozen and in open rows.
        if second == 0 {
            store.flush().unwrap();
        }
    }
    let feeds = "SELECT messages_received, events_found, events_stored, events_duplicate, readings_stored \
        FROM accounts WHERE feed = 'air' ORDER BY time";
    assert_eq!(rows(&store, feeds).await, "6,6,4,2,6\n3,3,2,1,3\n");
    let sensors = "SELECT sensor, events_found, events_stored, events_duplicate, readings_found, \
        readings_stored, readings_duplicate FROM sensor_accounts ORDER BY time, sensor";
    let want = "a,4,2,2,8,4,4\nb,2,2,0,2,2,0\na,2,1,1,4,2,2\nb,1,1,0,1,1,0\n";
    assert_eq!(rows(&store, sensors).await, want);
    let filter = AccountsFilter { sensor: "a".into(), limit: 1, ..AccountsFilter::default() };
    let (read, more) = store.sensor_accounts(&filter, QueryLimits::default()).await.unwrap();
    assert!(more);
    assert_eq!((read[0].feed.as_str(), read[0].hour), ("air", Timestamp((DAY + 3_600) * SECOND)));
    assert_eq!((read[0].counters.events_found, read[0].counters.readings_stored), (2, 2));
}
