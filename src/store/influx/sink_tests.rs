//! The sink against a real VictoriaMetrics and a made-up server.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;

use super::super::points::tests::{aggregate, batch};
use super::*;
use crate::model::{Aggregate, Timestamp};

/// What a made-up server saw, and what it answers to a body.
type Bodies = Arc<Mutex<Vec<String>>>;

async fn server(answer: fn(&str, usize) -> StatusCode) -> (String, Bodies) {
    let bodies = Bodies::default();
    let seen = bodies.clone();
    let write = move |body: String| async move {
        let mut seen = seen.lock().unwrap();
        seen.push(body.clone());
        answer(&body, seen.len())
    };
    let deletes = bodies.clone();
    let delete = move |body: String| async move {
        deletes.lock().unwrap().push(body);
        StatusCode::NO_CONTENT
    };
    let app = Router::new().route("/api/v2/write", post(write)).route("/api/v2/delete", post(delete));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, bodies)
}

fn sink(url: &str, folder: &tempfile::TempDir) -> InfluxSink {
    let options = InfluxOptions { url: url.to_owned(), request_points_max: 100, ..InfluxOptions::default() };
    InfluxSink::open(options, &folder.path().join("influx.db")).unwrap()
}

fn lines_of(sink: &InfluxSink, values: impl Iterator<Item = (i64, i64)>) -> LineBatch {
    let (batch, dictionary) = batch("aire-1", "comuna-07", &values.collect::<Vec<_>>());
    let mut lines = LineBatch::default();
    sink.add_batch(&batch, &dictionary, &mut lines);
    lines
}

#[tokio::test]
async fn the_one_bad_line_is_found_and_dropped() {
    let refuse_666 = |body: &str, _| {
        if body.contains("pm25=66.6") { StatusCode::BAD_REQUEST } else { StatusCode::NO_CONTENT }
    };
    let (url, bodies) = server(refuse_666).await;
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&url, &folder);
    let lines = lines_of(&sink, (0..250).map(|n| (n, if n == 130 { 666 } else { n })));
    let written = sink.write(&lines).await.unwrap();
    assert_eq!(written, Written { points: 249, dropped: 1, ..Written::default() });
    let requests = bodies.lock().unwrap().len();
    assert!(requests <= 3 + 2 * 7, "{requests} requests");
}

#[tokio::test]
async fn an_overloaded_server_is_retried_with_a_growing_pause() {
    let twice_busy = |_: &str, request| match request {
        1 => StatusCode::TOO_MANY_REQUESTS,
        2 => StatusCode::SERVICE_UNAVAILABLE,
        3 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::NO_CONTENT,
    };
    let (url, _) = server(twice_busy).await;
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&url, &folder);
    let lines = lines_of(&sink, [(1, 1)].into_iter());
    let first = sink.write(&lines).await.unwrap_err();
    let second = sink.write(&lines).await.unwrap_err();
    assert!(first.retryable && second.retryable);
    assert!(!sink.write(&lines).await.unwrap_err().retryable, "a refused token needs a person");
    assert_eq!(sink.write(&lines).await.unwrap().points, 1);
    let options = InfluxOptions::default();
    let longest = [0, 1, 2, 40].map(|failures| pause(&options, failures, u64::MAX).as_millis());
    assert_eq!(longest, [250, 500, 1_000, 30_000]);
    assert_eq!(pause(&options, 1, 0).as_millis(), 250);
}

#[tokio::test]
async fn a_point_that_lost_a_value_is_deleted_before_it_is_written() {
    let (url, bodies) = server(|_, _| StatusCode::NO_CONTENT).await;
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&url, &folder);
    let full = aggregate("aire-1", 3_600 * SECOND, &[Some(1.0)]);
    let emptied = Aggregate { fields: vec![None], ..full.clone() };
    let mut lines = LineBatch::default();
    sink.add_results(&[ResultRow::Aggregate(full), ResultRow::Aggregate(emptied)], &mut lines);
    assert_eq!(sink.write(&lines).await.unwrap().deleted, 1);
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 3);
    assert!(
        bodies[1].contains("\"start\":\"1970-01-01T01:00:00Z\",\"stop\":\"1970-01-01T01:00:00Z\""),
        "{}",
        bodies[1]
    );
    assert!(bodies[0].contains("f0=1") && !bodies[2].contains("f0"));
}

#[tokio::test]
async fn cursors_survive_and_a_server_of_the_wrong_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cursors = Cursors { journal: 7, results: 9_000 };
    sink("http://127.0.0.1:1", &folder).commit(cursors).unwrap();
    assert_eq!(sink("http://127.0.0.1:1", &folder).cursors(), cursors);
    for (url, tls) in [("https://influx:8086", true), ("influx:8086", false), ("", false)] {
        let options = InfluxOptions { url: url.into(), ..InfluxOptions::default() };
        let refused = InfluxSink::open(options, &folder.path().join("other.db")).unwrap_err();
        assert_eq!(matches!(refused, OpenError::Tls(_)), tls, "{url}: {refused}");
    }
}

/// A VictoriaMetrics of our own; stopped when dropped.
struct Victoria {
    child: Child,
    url: String,
}

impl Victoria {
    const BINARY: &str = "/usr/bin/victoria-metrics";

    fn start(folder: &Path, port: u16) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        let child = Command::new(Self::BINARY)
            .arg(format!("-storageDataPath={}", folder.display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .args(["-retentionPeriod=100y", "-search.latencyOffset=0s", "-memory.allowedBytes=128MB"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, url }
    }

    async fn ready(&self) {
        for _ in 0..200 {
            if reqwest::get(format!("{}/health", self.url)).await.is_ok_and(|r| r.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("victoria-metrics did not start");
    }

    /// Stops it as an operator would: what it has answered for is kept.
    fn stop(&mut self) {
        _ = Command::new("kill").arg(self.child.id().to_string()).status();
        _ = self.child.wait();
    }

    async fn get(&self, path: &str, name: &str, value: &str) -> String {
        reqwest::get(format!("{}/internal/force_flush", self.url)).await.unwrap();
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), [(name, value)]).unwrap();
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    /// The values of all series of a metric, in the order of time.
    async fn values(&self, metric: &str) -> Vec<f64> {
        let text = self.get("/api/v1/export", "match[]", metric).await;
        let mut rows = Vec::new();
        for line in text.lines() {
            let series: serde_json::Value = serde_json::from_str(line).unwrap();
            let times = series["timestamps"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap());
            let values = series["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
            rows.extend(times.zip(values));
        }
        rows.sort_by_key(|(time, _)| *time);
        rows.into_iter().map(|(_, value)| value).collect()
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_outage_of_a_real_server_loses_nothing() {
    if !Path::new(Victoria::BINARY).exists() {
        println!("skipped: {} is not installed", Victoria::BINARY);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("victoria");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut victoria = Victoria::start(&data, port);
    victoria.ready().await;
    let mut sink = sink(&victoria.url, &folder);
    let hour_ago = jiff::Timestamp::now().as_second() - 3_600;
    let portion = |n: i64| (n * 300..(n + 1) * 300).map(move |n| (hour_ago + n, n));

    // Given 300 points in, and a server that goes away
    assert_eq!(sink.write(&lines_of(&sink, portion(0))).await.unwrap().points, 300);
    victoria.stop();
    // When the next portion is written, it fails and waits
    let waiting = lines_of(&sink, portion(1));
    for _ in 0..3 {
        assert!(sink.write(&waiting).await.unwrap_err().retryable);
    }
    // Then it gets in once the server is back, and what follows too
    victoria = Victoria::start(&data, port);
    victoria.ready().await;
    assert_eq!(sink.write(&waiting).await.unwrap().points, 300);
    assert_eq!(sink.write(&lines_of(&sink, portion(2))).await.unwrap().points, 300);
    let want: Vec<f64> = (0..900).map(|n| f64::from(n) / 10.0).collect();
    assert_eq!(victoria.values("air_feed_pm25").await, want);
    let answer = victoria
        .get(
            "/api/v1/query",
            "query",
            "count_over_time(air_feed_pm25{sensor=\"aire-1\",zone=\"comuna-07\"}[2h])",
        )
        .await;
    assert!(answer.contains("\"900\""), "{answer}");
}

#[tokio::test]
async fn windows_and_hostile_names_reach_a_real_server_whole() {
    if !Path::new(Victoria::BINARY).exists() {
        println!("skipped: {} is not installed", Victoria::BINARY);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let victoria = Victoria::start(&folder.path().join("victoria"), port);
    victoria.ready().await;
    let mut sink = sink(&victoria.url, &folder);
    let start = (jiff::Timestamp::now().as_second() / 3_600 - 2) * 3_600;
    let full = aggregate("a b,c=d\"\\é", start * SECOND, &[Some(23.5)]);
    let later = |second| Timestamp((start + second) * SECOND);
    let emptied = Aggregate { fields: vec![None], start: later(60), end: later(3_660), ..full.clone() };
    let mut lines = LineBatch::default();
    let rows = [full, emptied.clone(), emptied].map(ResultRow::Aggregate);
    sink.add_results(&rows, &mut lines);
    let written = sink.write(&lines).await.unwrap();
    assert_eq!((written.points, written.deleted), (3, 0));
    let text = victoria.get("/api/v1/export", "match[]", "air_quality_pm25_1h_f0").await;
    let series: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(series["metric"]["sensor"], "a b,c=d\"\\é");
    assert_eq!(series["metric"]["size"], "1h");
    assert_eq!(
        (series["values"].as_array().unwrap().len(), &series["timestamps"][0]),
        (1, &(start * 1_000).into())
    );
    let mut ends = victoria.values("air_quality_pm25_1h_end").await;
    ends.dedup();
    assert_eq!(ends.len(), 2);
}
