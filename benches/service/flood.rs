//! The neighbours of a flood: alerts of a publisher that keeps to its quotas, at 1,000 messages a second
//! in open loop as [`super::latency`] sends them, while all is calm; while another connection sends one
//! device's messages as fast as acknowledgements let it, far beyond that device's quota; and while it
//! invents a device with every message, all beyond the feed's quota. In turn, each with a service of
//! its own.
//!
//! All devices of the well-behaved one have reported before, so that those that are invented take
//! nobody's place. Publishers share the machine's cores with the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::api;
use super::figures::{Must, Report, Samples};
use super::ingest::{publication, publish};
use super::latency::{self, now_us, payload};
use super::mqtt::Publisher;
use super::process::Service;
use super::site::Site;

const RUNS: usize = 3;
const EVERY: Duration = Duration::from_millis(1);
/// Devices of the messages that cross nothing.
const SENSORS: u32 = 1_000;
/// Messages an hour of one device: each of the well-behaved ones sends a few dozen.
const ALLOWED: u64 = 1_000;
/// Latency beside a flood over latency without.
const RATIO: f64 = 1.1;

/// What the other connection does.
#[derive(Clone, Copy, Debug)]
enum Other {
    /// There is none.
    Calm,
    /// One device beyond its quota.
    Floods,
    /// A device a message, beyond their quota.
    Invents,
}

const OTHERS: [Other; 3] = [Other::Calm, Other::Floods, Other::Invents];
/// The alerts' p50 and p99 of each, and the ratios of the latter two to the first.
const NAMES: [[&str; 2]; 3] = [
    ["alert p50, calm", "alert p99, calm"],
    ["alert p50, one device floods", "alert p99, one device floods"],
    ["alert p50, devices are invented", "alert p99, devices are invented"],
];
const RATIOS: [[&str; 2]; 3] = [
    ["", ""],
    ["  flood over calm, p50", "  flood over calm, p99"],
    ["  invention over calm, p50", "  invention over calm, p99"],
];

/// Measures.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("flood");
    let mut runs = Vec::new();
    for number in 1..=RUNS {
        let run = OTHERS.map(|other| {
            let alerts = run(runtime, other);
            [alerts.median(), alerts.quantile(0.99)]
        });
        println!("  run {number}: p50 and p99 in ms {run:.2?}");
        runs.push(run);
    }
    for other in 0..OTHERS.len() {
        for quantile in 0..2 {
            let of = |one: usize| runs.iter().map(move |run| run[one][quantile]);
            report.add(NAMES[other][quantile], "ms", of(other).collect(), None);
            if other > 0 {
                let ratios = of(other).zip(of(0)).map(|(busy, calm)| busy / calm).collect();
                report.add(RATIOS[other][quantile], "x", ratios, Some(Must::Below(RATIO)));
            }
        }
    }
}

/// Latencies of one run.
fn run(runtime: &Runtime, other: Other) -> Samples {
    let devices: Vec<String> = (0..SENSORS).map(sensor).chain(latency::crossing_sensors()).collect();
    // And the two that the senders begin with.
    let quotas =
        format!("devices_max = {}\ndevice_messages_per_hour_max = {ALLOWED}\n[feed.q", devices.len() + 2);
    let pipeline = latency::PIPELINE.replace("\n[feed.q", &quotas);
    let site = Site::new("[[receiver]]\nname = \"bench\"\nmqtt = {}\n").with_pipeline("threshold", &pipeline);
    let data = site.data();
    let service = Service::start(runtime, &site, data.path());
    runtime.block_on(introduce(site.mqtt, devices));
    let stop = Arc::<AtomicBool>::default();
    let flood = Flood { port: site.mqtt, other, stop: stop.clone() };
    let flood = std::thread::spawn(move || flood.send());
    let mut others =
        |number: u32, at_us| (format!("bench/{}", sensor(number % SENSORS)), payload(at_us, 20.0));
    let (alerts, _) = latency::by_mqtt(runtime, &site, EVERY, &mut others);
    stop.store(true, Ordering::Relaxed);
    let flood = flood.join().expect("the flood ends well");
    let stored = runtime.block_on(api::events(site.http));
    println!("  {other:?}: {flood} messages acknowledged beside the others, {stored} events stored of all");
    assert!(matches!(other, Other::Calm) || flood > stored, "a flood is mostly refused");
    service.stop();
    alerts
}

fn sensor(number: u32) -> String {
    format!("s-{number:04}")
}

/// Every device reports once, and the one that may flood.
async fn introduce(port: u16, devices: Vec<String>) {
    let mut publisher = Publisher::connect(port);
    let devices: Vec<String> =
        devices.into_iter().chain(["first", "flood"].map(|name| format!("s-{name}"))).collect();
    for device in &devices {
        publisher.push(format!("bench/{device}"), payload(now_us(), 20.0)).await;
    }
    publisher.wait_for(devices.len() as u64).await;
    publisher.end().await;
}

/// The other connection.
struct Flood {
    port: u16,
    other: Other,
    stop: Arc<AtomicBool>,
}

impl Flood {
    /// Sends until told to stop, in a runtime of its own, so that the well-behaved one waits for it in
    /// the service at most; how many were acknowledged.
    fn send(self) -> u64 {
        let device = |number: u64| match self.other {
            Other::Calm => None,
            Other::Floods => Some("s-flood".to_owned()),
            Other::Invents => Some(format!("no-{number}")),
        };
        if device(0).is_none() {
            return 0;
        }
        let began_us = now_us();
        let make = |out: &mut Vec<u8>, number: u64| {
            let topic = format!("bench/{}", device(number).unwrap_or_default());
            // No two at one moment: that would be the same once more.
            publication(out, number, &topic, &payload(began_us + number, 20.0));
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let going = |_| !self.stop.load(Ordering::Relaxed);
        runtime.expect("a runtime starts").block_on(publish(self.port, "bench-flood", make, going))
    }
}
