//! From a reading to its alert: the own listener, and a webhook or a subscriber of the listener.
//!
//! Open loop: every message has its moment, set beforehand, and goes out then whatever became of
//! those before; latency counts from that moment, so a service that stalls pays for all that had
//! to wait, and so does a sender that is late. Sender and receiver share the machine's cores with the
//! service. By webhook it is 1,000 messages a second, by MQTT 5,000, while a checkpoint is taken and
//! rows go to Parquet every few seconds.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::runtime::Runtime;

use super::api;
use super::figures::{Must, Report, Samples};
use super::inbox::Inbox;
use super::mqtt::Publisher;
use super::process::Service;
use super::site::Site;
use super::subscriber::Subscriber;
use super::webhook;

const RUNS: usize = 3;
/// Before the first message that crosses the threshold: connections and code are warm then.
const WARM_UP: Duration = Duration::from_secs(2);
/// After that.
const COUNTED: Duration = Duration::from_secs(20);
/// Messages of a run at 5,000 a second.
pub const MESSAGES_MAX: u64 = (WARM_UP.as_secs() + COUNTED.as_secs()) * 5_000;
/// From one crossing to the next, up and down in turn.
const CROSSING_EVERY: Duration = Duration::from_millis(50);
/// Sensors of the other messages.
const SENSORS: u32 = 1_000;
/// Notifications still under way after the last message.
const REST: Duration = Duration::from_secs(20);
/// Checkpoints and Parquet files several times in a run.
const KEEP: &str = "[checkpoint]\nevery = \"4s\"\n\n[store]\nflush_every = \"3s\"\n";
/// So many of each, at least.
const KEPT_MIN: usize = 3;

/// A rule on readings at `bench/{sensor}`.
pub const PIPELINE: &str = r#"
version = 1
name = "threshold"
title = { es = "Umbral", en = "Threshold" }

[[feed]]
name = "readings"
topic = "bench/{sensor}"
decoder = "json"
time = { path = "/t", format = "us" }
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

/// The other messages: topic and payload of each, by its number and its moment in microseconds.
pub type Others<'a> = &'a mut dyn FnMut(u32, u64) -> (String, String);

/// How messages come in, and how alerts leave.
struct Way {
    by_mqtt: bool,
    /// From one message to the next.
    every: Duration,
    ack: &'static str,
    /// p50, p99, max.
    names: [&'static str; 3],
    /// Of p99, in milliseconds.
    must: f64,
}

const WAYS: [Way; 3] = [
    Way {
        by_mqtt: false,
        every: Duration::from_millis(1),
        ack: "synced",
        names: [
            "publish to webhook, 1,000 messages/s, p50",
            "publish to webhook, 1,000 messages/s, p99",
            "publish to webhook, 1,000 messages/s, max",
        ],
        must: 100.0,
    },
    Way {
        by_mqtt: true,
        every: Duration::from_micros(200),
        ack: "written",
        names: [
            "publish to MQTT, 5,000/s, written, p50",
            "publish to MQTT, 5,000/s, written, p99",
            "publish to MQTT, 5,000/s, written, max",
        ],
        must: 5.0,
    },
    Way {
        by_mqtt: true,
        every: Duration::from_micros(200),
        ack: "synced",
        names: [
            "publish to MQTT, 5,000/s, synced, p50",
            "publish to MQTT, 5,000/s, synced, p99",
            "publish to MQTT, 5,000/s, synced, max",
        ],
        must: 30.0,
    },
];

/// A sensor that crossed, and to which state that brings its alert.
type Crossing = (String, &'static str);

/// What was sent.
struct Sent {
    /// The moments of the crossings.
    due: HashMap<Crossing, Instant>,
    messages: u64,
    /// How late the client had each message, in milliseconds.
    late: Vec<f64>,
}

/// Measures.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("latency");
    for way in &WAYS {
        let [mut p50, mut p99, mut max, mut late] = [const { Vec::new() }; 4];
        for number in 1..=RUNS {
            let (latencies, sender) = run(runtime, way);
            let (half, most, all) = (latencies.median(), latencies.quantile(0.99), latencies.max());
            let sender = sender.quantile(0.99);
            println!(
                "  run {number}: p50 {half:.1} ms, p99 {most:.1} ms, max {all:.1} ms; sender {sender:.1} ms"
            );
            p50.push(half);
            p99.push(most);
            max.push(all);
            late.push(sender);
        }
        let [half, most, all] = way.names;
        report.add(half, "ms", p50, None);
        report.add(most, "ms", p99, Some(Must::Below(way.must)));
        report.add(all, "ms", max, None);
        report.add("  of it the sender's own lateness, p99", "ms", late, None);
    }
}

/// The events that are counted, once they are as many: a message that is acknowledged when written is
/// seen when it is synced.
async fn counted(http: u16, messages: u64) -> u64 {
    for _ in 0..100 {
        if api::events(http).await >= messages {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    api::events(http).await
}

/// One run's latencies from the moments to the notifications, and to the client; in milliseconds.
fn run(runtime: &Runtime, way: &Way) -> (Samples, Samples) {
    let inbox = Inbox::default();
    let receiver = if way.by_mqtt {
        format!("mqtt = {{}}\n\n{KEEP}")
    } else {
        let port = runtime.block_on(webhook::start(inbox.clone()));
        format!("webhook = {{ url = \"http://127.0.0.1:{port}/\" }}\n")
    };
    let pipeline = PIPELINE.replace("ack = \"synced\"", &format!("ack = \"{}\"", way.ack));
    let site = Site::new(&format!("[[receiver]]\nname = \"bench\"\n{receiver}"))
        .with_pipeline("threshold", &pipeline);
    let data = site.data();
    let service = Service::start(runtime, &site, data.path());
    let subscriber = way.by_mqtt.then(|| runtime.block_on(subscribe(site.mqtt, inbox.clone())));
    let kept = Arc::<AtomicUsize>::default();
    let watch = runtime.spawn(count_checkpoints(site.http, kept.clone()));
    let mut others = |number: u32, at_us| (format!("bench/s-{:04}", number % SENSORS), payload(at_us, 20.0));
    let sent = send(runtime, site.mqtt, way.every, &mut others);
    let taken = runtime.block_on(rest(&inbox, sent.due.len()));
    watch.abort();
    assert_eq!(
        runtime.block_on(counted(site.http, sent.messages)),
        sent.messages,
        "every message is an event"
    );
    if way.by_mqtt {
        let (kept, files) = (kept.load(Ordering::Relaxed), parquet_files(data.path()));
        assert!(kept.min(files) >= KEPT_MIN, "{kept} checkpoints and {files} Parquet files");
    }
    drop(subscriber);
    service.stop();
    sent.told(&taken)
}

/// Latencies of alerts by MQTT at a running service with [`PIPELINE`] and a receiver `mqtt`, with `others`
/// between them; and how late the client had each message, in milliseconds.
pub fn by_mqtt(runtime: &Runtime, site: &Site, every: Duration, others: Others<'_>) -> (Samples, Samples) {
    let inbox = Inbox::default();
    let subscriber = runtime.block_on(subscribe(site.mqtt, inbox.clone()));
    let sent = send(runtime, site.mqtt, every, others);
    let taken = runtime.block_on(rest(&inbox, sent.due.len()));
    drop(subscriber);
    sent.told(&taken)
}

impl Sent {
    /// From the moments to the notifications, each of which must have come once; and to the client.
    fn told(mut self, taken: &[(Instant, Vec<u8>)]) -> (Samples, Samples) {
        let latencies = taken.iter().map(|(came_at, body)| {
            let body: Value = serde_json::from_slice(body).expect("a notification is JSON");
            let due_at = self.due.remove(&crossing_of(&body));
            let due_at = due_at.unwrap_or_else(|| panic!("nobody crossed, or twice told: {body}"));
            came_at.saturating_duration_since(due_at).as_secs_f64() * 1e3
        });
        let latencies = latencies.collect();
        assert!(self.due.is_empty(), "crossings without a notification: {:?}", self.due.keys());
        (Samples::new(latencies), Samples::new(self.late))
    }
}

/// Subscribes to alerts at the listener. A resolved one also clears its retained message; that is none.
async fn subscribe(port: u16, inbox: Inbox) -> Subscriber {
    let take = move |body: Vec<u8>| {
        if !body.is_empty() {
            inbox.push(body);
        }
    };
    Subscriber::connect(port, "sereno/alerts/#", take).await
}

fn crossing_of(notification: &Value) -> Crossing {
    let sensor = notification["key"]["sensor"].as_str().expect("an alert has a key").to_owned();
    (sensor, if notification["transition"]["to"] == "firing" { "firing" } else { "resolved" })
}

/// Every sensor of [`by_mqtt`] that crosses.
pub fn crossing_sensors() -> impl Iterator<Item = String> {
    let pairs = COUNTED.as_millis() / CROSSING_EVERY.as_millis() / 2;
    (0..pairs).map(crossing_sensor)
}

fn crossing_sensor(pair: u128) -> String {
    format!("alarm-{pair:04}")
}

/// Sends everything at its moment, from this thread: it sleeps to the microsecond, which timers of the
/// runtime do not.
fn send(runtime: &Runtime, port: u16, every: Duration, others: Others<'_>) -> Sent {
    let _inside = runtime.enter();
    let mut publisher = Publisher::connect(port);
    // The first one, so that the connection stands.
    publisher.send("bench/s-first".into(), payload(now_us(), 20.0));
    runtime.block_on(publisher.wait_for(1));
    let times = |span: Duration| u32::try_from(span.as_nanos() / every.as_nanos()).expect("runs are short");
    let (warm_up, crossing_every) = (times(WARM_UP), times(CROSSING_EVERY));
    let total = warm_up + times(COUNTED);
    let mut sent = Sent { due: HashMap::new(), messages: 1 + u64::from(total), late: Vec::new() };
    let (began, began_us) = (Instant::now(), now_us());
    for number in 0..total {
        let due_at = began + every * number;
        std::thread::sleep(due_at.saturating_duration_since(Instant::now()));
        // The reading's own time is its moment too: two of one sensor never share theirs.
        let at_us = began_us + (every * number).as_micros() as u64;
        if number >= warm_up && number.is_multiple_of(crossing_every) {
            let crossing = (number - warm_up) / crossing_every;
            let (value, state) =
                if crossing.is_multiple_of(2) { (150.0, "firing") } else { (20.0, "resolved") };
            let sensor = crossing_sensor(u128::from(crossing / 2));
            publisher.send(format!("bench/{sensor}"), payload(at_us, value));
            sent.due.insert((sensor, state), due_at);
        } else {
            let (topic, payload) = others(number, at_us);
            publisher.send(topic, payload);
        }
        if number >= warm_up {
            sent.late.push(due_at.elapsed().as_secs_f64() * 1e3);
        }
    }
    runtime.block_on(async {
        publisher.wait_for(sent.messages).await;
        publisher.end().await;
    });
    sent
}

/// Waits for the notifications that are owed.
async fn rest(inbox: &Inbox, wanted: usize) -> Vec<(Instant, Vec<u8>)> {
    let began = Instant::now();
    while inbox.count() < wanted && began.elapsed() < REST {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    inbox.take()
}

/// Counts checkpoints by the positions that they say they are of.
pub async fn count_checkpoints(http: u16, kept: Arc<AtomicUsize>) {
    let mut last = 0.0;
    loop {
        let epoch = api::metric(http, "sereno_checkpoint_epoch").await;
        if epoch > last {
            last = epoch;
            kept.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn parquet_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .map(|path| match path.is_dir() {
            true => parquet_files(&path),
            false => usize::from(path.extension().is_some_and(|extension| extension == "parquet")),
        })
        .sum()
}

/// A reading of the pipeline.
pub fn payload(at_us: u64, value: f64) -> String {
    format!("{{\"t\":{at_us},\"v\":{value:.1}}}")
}

/// Microseconds since 1970.
pub fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(now.as_micros()).expect("the clock is before the year 584,000")
}
