//! From a reading to its alert by MQTT while the service is busy with something else: a checkpoint with a
//! million sensors, a sink that catches up, an amendment storm. All at 5,000 messages a second in open
//! loop, as [`super::latency`] sends them; the last two beside the same without the trouble, in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sereno_simulators::city1::{EVENTS_PER_SECOND, Load};
use tokio::runtime::Runtime;

use super::catch_up::{self, Server, now_ms};
use super::city1::{self, City1, TOPIC};
use super::figures::{Must, Report, Samples};
use super::latency;
use super::process::Service;
use super::queries;
use super::site::Site;

const RUNS: usize = 3;
const EVERY: Duration = Duration::from_micros(200);
/// Alerts leave by the own listener; what is acknowledged is in the journal, and a checkpoint comes often.
const TABLES: &str = "[[receiver]]\nname = \"bench\"\nmqtt = {}\n\n[limits]\nstate_bytes_max = \"8GiB\"\n\n\
                      [checkpoint]\nevery = \"5s\"\n\n";
/// When what was journaled beforehand ends: all its windows close with the first tick, and not while alerts
/// are measured.
const LONG_AGO_MS: i64 = -1_200_000;
/// Checkpoints of a run, at least.
const CHECKPOINTS_MIN: usize = 2;
const MILLION: u32 = 1_000_000;
/// Those of them that report: 5,000 a second are one of each every 10 s.
const REPORTING: u32 = 50_000;
/// From the start until the first message: what was silent since is closed by then.
const SETTLE: Duration = Duration::from_secs(15);
/// Seconds of CITY-1 that the sink lacks: it must still be at it when the run ends.
const OUTAGE_S: u64 = 2_000;
/// Sensors of the storm, and how many of 100 messages are late.
const STORM_SENSORS: u32 = 1_000;
const LATE_PERCENT: u32 = 1;
const DAY_US: u64 = 86_400_000_000;
/// p99 during checkpoints, in milliseconds; p99 under pressure over p99 without.
const CHECKPOINT_MS: f64 = 50.0;
const RATIO: f64 = 2.0;

/// Windows of a day by the minute beside the rule of [`latency::PIPELINE`].
const STORM: &str = r#"
allowed_lateness = "24h"

[[window]]
name = "day"
size = "24h"
slide = "1m"
fields = { n = "count(v)", v_mean = "mean(v)", v_max = "max(v)" }
"#;

/// Measures.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("pressure");
    checkpoints(runtime, report);
    let names =
        ["alert p99, beside no outage", "alert p99, a sink catches up", "  the latter over the former"];
    pairs(report, names, || catching_up(runtime));
    let names = ["alert p99, nothing late", "alert p99, an amendment storm", "  the latter over the former"];
    pairs(report, names, || [false, true].map(|busy| storm(runtime, busy)));
}

fn pairs(report: &mut Report, [without, with, over]: [&'static str; 3], run: impl Fn() -> [Samples; 2]) {
    let [mut calm, mut busy, mut ratios] = [const { Vec::new() }; 3];
    for number in 1..=RUNS {
        let [one, other] = run().map(|alerts| alerts.quantile(0.99));
        println!("  run {number}: p99 {one:.1} ms, {other:.1} ms under pressure");
        ratios.push(other / one);
        calm.push(one);
        busy.push(other);
    }
    report.add(without, "ms", calm, None);
    report.add(with, "ms", busy, None);
    report.add(over, "x", ratios, Some(Must::Below(RATIO)));
}

/// A million known sensors, of which [`REPORTING`] report.
fn checkpoints(runtime: &Runtime, report: &mut Report) {
    let [mut half, mut most, mut all] = [const { Vec::new() }; 3];
    for number in 1..=RUNS {
        let site = City1::site(TABLES).with_pipeline("threshold", latency::PIPELINE);
        let data = site.data();
        catch_up::journal(&site, &data, MILLION, u64::from(MILLION), now_ms() + LONG_AGO_MS - 100_000);
        let service = Service::start(runtime, &site, data.path());
        let kept = Arc::<AtomicUsize>::default();
        std::thread::sleep(SETTLE);
        let watch = runtime.spawn(latency::count_checkpoints(site.http, kept.clone()));
        let alerts = beside_city1(runtime, &site);
        watch.abort();
        let pause = runtime.block_on(super::api::metric(site.http, "sereno_checkpoint_pause_seconds"));
        service.stop();
        let kept = kept.load(Ordering::Relaxed);
        assert!(kept >= CHECKPOINTS_MIN, "{kept} checkpoints");
        let (p50, p99, max) = (alerts.median(), alerts.quantile(0.99), alerts.max());
        println!(
            "  run {number}: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms; {kept} checkpoints, the last \
             paused the flow for {:.1} ms",
            pause * 1e3
        );
        half.push(p50);
        most.push(p99);
        all.push(max);
    }
    report.add("checkpoints at 1 M sensors, alert p50", "ms", half, None);
    report.add("checkpoints at 1 M sensors, alert p99", "ms", most, Some(Must::Below(CHECKPOINT_MS)));
    report.add("checkpoints at 1 M sensors, alert max", "ms", all, None);
}

/// After a while of CITY-1: the service without an InfluxDB, and with one that lacks all of it.
fn catching_up(runtime: &Runtime) -> [Samples; 2] {
    let server = runtime.block_on(Server::start());
    let site = |tables: &str| City1::site(tables).with_pipeline("threshold", latency::PIPELINE);
    let (calm, busy) = (site(TABLES), site(&format!("{TABLES}{}", server.tables())));
    let data = calm.data();
    let events = OUTAGE_S * EVENTS_PER_SECOND;
    let start_ms = LONG_AGO_MS - OUTAGE_S as i64 * 1_000;
    let waiting = catch_up::journal(&calm, &data, queries::SENSORS, events, now_ms() + start_ms).lines;
    // The first run does what the replay left to be done, and counts for nothing.
    let [_, calm, busy] = [&calm, &calm, &busy].map(|site| {
        let service = Service::start(runtime, site, data.path());
        std::thread::sleep(SETTLE);
        let alerts = beside_city1(runtime, site);
        service.stop();
        alerts
    });
    let written = server.events();
    assert!((1..waiting).contains(&written), "{written} of {waiting} events are written at the end");
    [calm, busy]
}

/// Latencies of alerts among the load of as many sensors as report every 10 s at that pace.
fn beside_city1(runtime: &Runtime, site: &Site) -> Samples {
    let load = Load { seed: 2, sensors: REPORTING, events: latency::MESSAGES_MAX, start_ms: now_ms() };
    let (lines, _) = city1::text(load);
    let lines: Vec<&str> = lines.lines().collect();
    let mut others = |number: u32, _| (TOPIC.to_owned(), lines[number as usize].to_owned());
    latency::by_mqtt(runtime, site, EVERY, &mut others).0
}

/// Windows of a day by the minute, with or without readings from anywhere in the last 23 hours.
fn storm(runtime: &Runtime, busy: bool) -> Samples {
    let head = latency::PIPELINE.trim_start();
    let (first, rest) = head.split_once("[[feed]]").expect("the pipeline has a feed");
    let (lateness, window) = STORM.split_once("[[window]]").expect("there is a window");
    let pipeline = format!("{first}{lateness}[[feed]]{rest}\n[[window]]{window}");
    let site = Site::new(TABLES).with_pipeline("threshold", &pipeline);
    let data = site.data();
    let service = Service::start(runtime, &site, data.path());
    let mut others = |number: u32, at_us: u64| {
        let late = number % 100 < LATE_PERCENT;
        // Any of the last 23 hours, each time another.
        let behind = u64::from(number).wrapping_mul(2_654_435_761_000) % (DAY_US / 24 * 23);
        let at_us = if late && busy { at_us - behind } else { at_us };
        // Every hundredth message is another sensor's.
        let sensor = number / 100 + number % 100 * 10;
        (format!("bench/s-{:04}", sensor % STORM_SENSORS), latency::payload(at_us, 20.0))
    };
    let (alerts, _) = latency::by_mqtt(runtime, &site, EVERY, &mut others);
    service.stop();
    alerts
}
