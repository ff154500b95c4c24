//! From a reading to its alert: the own listener, `ack = "synced"`, a webhook.
//!
//! Open loop: every message has its moment, set beforehand, and goes out then whatever became of
//! those before; latency counts from that moment, so a service that stalls pays for all that had
//! to wait. Sender and receiver share the machine's cores with the service.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;

use super::figures::{Must, Report, Samples};
use super::mqtt::Publisher;
use super::process::Service;
use super::site::Site;
use super::webhook::Webhook;

const RUNS: usize = 3;
/// A message each millisecond, so that its number is its moment.
const EVERY: Duration = Duration::from_millis(1);
/// Messages before the first that crosses the threshold: connections and code are warm then.
const WARM_UP: u64 = 2_000;
/// Messages after that.
const MESSAGES: u64 = 20_000;
/// Every so many crosses the threshold, up and down in turn.
const CROSSING_EVERY: u64 = 50;
/// Sensors of the other messages; each reports once a second.
const SENSORS: u64 = 1_000;
/// Notifications still under way after the last message.
const REST: Duration = Duration::from_secs(20);
/// Milliseconds, 99 of 100.
const P99_MS: f64 = 100.0;

const PIPELINE: &str = r#"
version = 1
name = "threshold"
title = { es = "Umbral", en = "Threshold" }

[[feed]]
name = "readings"
topic = "bench/{sensor}"
decoder = "json"
time = { path = "/t", format = "ms" }
ack = "synced"

[feed.quantity.v]
path = "/v"
decimals = 1

[[rule]]
name = "above"
on = "readings"
when = "v > 100"
severity = "critical"
title = { es = "Sobre el umbral", en = "Above the threshold" }
message = { es = "{sensor}: {v:1}", en = "{sensor}: {v:1}" }
"#;

/// A sensor that crossed, and to which state that brings its alert.
type Crossing = (String, &'static str);

/// Measures.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("latency");
    let (mut p50, mut p99, mut max) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=RUNS {
        let latencies = Samples::new(run(runtime));
        let (half, most, all) = (latencies.median(), latencies.quantile(0.99), latencies.max());
        println!("  run {number}: p50 {half:.1} ms, p99 {most:.1} ms, max {all:.1} ms");
        p50.push(half);
        p99.push(most);
        max.push(all);
    }
    report.add("publish to webhook, 1,000 messages/s, p50", "ms", p50, None);
    report.add("publish to webhook, 1,000 messages/s, p99", "ms", p99, Some(Must::Below(P99_MS)));
    report.add("publish to webhook, 1,000 messages/s, max", "ms", max, None);
}

/// The latencies of one run's notifications, in milliseconds.
fn run(runtime: &Runtime) -> Vec<f64> {
    let webhook = runtime.block_on(Webhook::start());
    let url = format!("http://127.0.0.1:{}/", webhook.port);
    let site = Site::new(&format!("[[receiver]]\nname = \"bench\"\nwebhook = {{ url = \"{url}\" }}\n"))
        .with_pipeline("threshold", PIPELINE);
    let data = site.data();
    let service = Service::start(runtime, &site, data.path());
    let due = runtime.block_on(send(site.mqtt));
    let taken = runtime.block_on(rest(&webhook, due.len()));
    service.stop();
    let mut open = due;
    let latencies = taken.iter().map(|(came_at, body)| {
        let body: Value = serde_json::from_slice(body).expect("a notification is JSON");
        let due_at = open.remove(&crossing_of(&body));
        let due_at = due_at.unwrap_or_else(|| panic!("nobody crossed, or twice told: {body}"));
        came_at.saturating_duration_since(due_at).as_secs_f64() * 1e3
    });
    let latencies = latencies.collect();
    assert!(open.is_empty(), "crossings without a notification: {:?}", open.keys());
    latencies
}

fn crossing_of(notification: &Value) -> Crossing {
    let sensor = notification["key"]["sensor"].as_str().expect("an alert has a key").to_owned();
    (sensor, if notification["transition"]["to"] == "firing" { "firing" } else { "resolved" })
}

/// Sends everything at its moment; the moments of the crossings.
async fn send(port: u16) -> HashMap<Crossing, Instant> {
    let mut publisher = Publisher::connect(port);
    // The first one, so that the connection stands.
    publisher.send("bench/s-first".into(), payload(now_ms(), 20.0));
    publisher.wait_for(1).await;
    let mut due = HashMap::new();
    let (began, began_ms) = (Instant::now(), now_ms());
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let total = WARM_UP + MESSAGES;
    let mut number = 0;
    while number < total {
        tick.tick().await;
        while number < total {
            let due_at = began + EVERY * u32::try_from(number).expect("runs are short");
            if due_at > Instant::now() {
                break;
            }
            // The reading's own time is its moment too: two of one sensor never share theirs.
            let at_ms = began_ms + number;
            if number >= WARM_UP && number.is_multiple_of(CROSSING_EVERY) {
                let crossing = (number - WARM_UP) / CROSSING_EVERY;
                let (value, state) =
                    if crossing.is_multiple_of(2) { (150.0, "firing") } else { (20.0, "resolved") };
                let sensor = format!("alarm-{:04}", crossing / 2);
                publisher.send(format!("bench/{sensor}"), payload(at_ms, value));
                due.insert((sensor, state), due_at);
            } else {
                publisher.send(format!("bench/s-{:04}", number % SENSORS), payload(at_ms, 20.0));
            }
            number += 1;
        }
    }
    publisher.wait_for(1 + total).await;
    publisher.end().await;
    due
}

/// Waits for the notifications that are owed.
async fn rest(webhook: &Webhook, wanted: usize) -> Vec<(Instant, Vec<u8>)> {
    let began = Instant::now();
    while webhook.count() < wanted && began.elapsed() < REST {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    webhook.take()
}

fn payload(at_ms: u64, value: f64) -> String {
    format!("{{\"t\":{at_ms},\"v\":{value:.1}}}")
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(now.as_millis()).expect("the clock is before the year 584 million")
}
