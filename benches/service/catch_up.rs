//! A sink that comes back: InfluxDB was away for a while at CITY-1's pace, and what waits for it in
//! the logs is written while live events go on at 10,000 a second.
//!
//! The backlog is journaled by `sereno replay`, which writes no InfluxDB: to that sink it is an
//! outage. Then the service runs, with a server that takes everything and counts it. The figure is
//! the sink's pace until it is less than a second behind, in multiples of the live pace. It does not
//! depend on how long the outage was; `SERENO_BENCH_OUTAGE_S=3600` makes it the hour.

use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sereno_simulators::city1::{EVENTS_PER_SECOND, Load, Written};
use tokio::runtime::Runtime;

use super::city1::{self, City1, SENSORS, TOPIC};
use super::figures::{Must, Report};
use super::http;
use super::mqtt::Publisher;
use super::process::Service;
use super::replay;
use super::site::Site;

const RUNS: usize = 3;
/// Seconds of CITY-1, unless `SERENO_BENCH_OUTAGE_S` says otherwise.
const OUTAGE_S: u64 = 180;
/// The sink's pace in multiples of the live pace.
const TIMES_LIVE: f64 = 5.0;
/// A sink that takes longer never catches up.
const WITHIN: Duration = Duration::from_secs(1_800);

/// Measures.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("catch_up");
    let outage = std::env::var("SERENO_BENCH_OUTAGE_S").ok();
    let outage = outage.map_or(OUTAGE_S, |text| text.parse().expect("SERENO_BENCH_OUTAGE_S is a number"));
    let (mut times, mut live) = (Vec::new(), Vec::new());
    for number in 1..=RUNS {
        let server = runtime.block_on(Server::start());
        let site = City1::site(&server.tables());
        let data = site.data();
        let waiting = backlog(&site, &data, outage);
        let service = Service::start(runtime, &site, data.path());
        let caught = runtime.block_on(catch_up(&site, &server, waiting));
        service.stop();
        let pace = caught.written as f64 / caught.seconds;
        println!(
            "  run {number}: {} events in {:.1} s beside {:.0} live events/s",
            caught.written, caught.seconds, caught.live
        );
        times.push(pace / EVENTS_PER_SECOND as f64);
        live.push(caught.live);
    }
    report.add("a sink catches up, times live", "x", times, Some(Must::AtLeast(TIMES_LIVE)));
    report.add("live events acknowledged meanwhile", "events/s", live, None);
}

/// Journals so many seconds of the load, the last of them a minute ago; events that it stored.
fn backlog(site: &Site, data: &tempfile::TempDir, seconds: u64) -> u64 {
    let start_ms = now_ms() - i64::try_from(seconds * 1_000).expect("an outage is no century") - 60_000;
    let written = journal(site, data, SENSORS, seconds * EVENTS_PER_SECOND, start_ms);
    written.lines - written.malformed
}

/// Journals the load of so many sensors.
pub fn journal(site: &Site, data: &tempfile::TempDir, sensors: u32, events: u64, start_ms: i64) -> Written {
    let load = Load { seed: 1, sensors, events, start_ms };
    let file = site.path("outage.ndjson");
    let mut out = BufWriter::new(File::create(&file).expect("the folder can be written"));
    let written = load.write(&mut out).expect("the disk has room for the load");
    drop(out);
    replay::told(replay::command(site, &file, data));
    std::fs::remove_file(&file).expect("the load can be removed");
    written
}

/// How it went.
struct Caught {
    /// Events that the sink wrote until it had caught up.
    written: u64,
    /// From its first request.
    seconds: f64,
    /// Live events acknowledged a second.
    live: f64,
}

/// Publishes live until the sink is less than a second behind.
async fn catch_up(site: &Site, server: &Server, mut said: u64) -> Caught {
    let mut publisher = Publisher::connect(site.mqtt);
    while server.events() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (began, before) = (Instant::now(), server.events());
    let mut published = 0;
    for second in 1.. {
        let load =
            Load { seed: second, sensors: SENSORS, events: EVENTS_PER_SECOND, start_ms: now_ms() - 1_000 };
        let (lines, written) = city1::text(load);
        for line in lines.lines() {
            publisher.push(TOPIC.to_owned(), line.to_owned()).await;
        }
        said += written.lines - written.malformed;
        published += written.lines;
        publisher.wait_for(published).await;
        let elapsed = began.elapsed();
        if server.events() + EVENTS_PER_SECOND >= said {
            let seconds = elapsed.as_secs_f64();
            publisher.end().await;
            let live = published as f64 / seconds;
            return Caught { written: server.events() - before, seconds, live };
        }
        assert!(elapsed < WITHIN, "{} of {said} events are written", server.events());
        tokio::time::sleep(Duration::from_secs(second).saturating_sub(elapsed)).await;
    }
    unreachable!("seconds do not end")
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(now.as_millis()).expect("the clock is before the year 292 million")
}

/// An InfluxDB that takes everything and counts the points of the feed.
pub struct Server {
    /// Where it listens.
    pub port: u16,
    events: Arc<AtomicU64>,
}

impl Server {
    /// Starts one; in a runtime.
    pub async fn start() -> Self {
        let events = Arc::<AtomicU64>::default();
        let shared = events.clone();
        let take = move |body: Vec<u8>| {
            let points = body.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"air,")).count();
            shared.fetch_add(points as u64, Ordering::Relaxed);
        };
        let port = http::start(take).await;
        Self { port, events }
    }

    /// What `sereno.toml` says of it.
    pub fn tables(&self) -> String {
        format!("[influx]\nurl = \"http://127.0.0.1:{}\"\norg = \"bench\"\nbucket = \"bench\"\n", self.port)
    }

    /// Points of the feed so far.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}
