//! Figures of the service as a person runs it: `make bench`, or for some parts only
//! `cargo bench --bench service -- replay start ingest broker latency memory recovery catch_up pressure`.
//!
//! It drives the real binary (`SERENO_BIN`, by default the one cargo built) with real files, MQTT
//! connections and webhooks, repeats every run with a fresh data folder, and prints medians with
//! their ranges and one JSON line. A must that is not met is said and fails nothing: how fast a
//! machine is today is no test. `docs/performance.md` has the figures and how they came about.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a benchmark stops at the first surprise, as a test does"
)]

#[path = "service/api.rs"]
mod api;
#[path = "service/broker.rs"]
mod broker;
#[path = "service/catch_up.rs"]
mod catch_up;
#[path = "service/city1.rs"]
mod city1;
#[path = "service/figures.rs"]
mod figures;
#[path = "service/http.rs"]
mod http;
#[path = "service/inbox.rs"]
mod inbox;
#[path = "service/ingest.rs"]
mod ingest;
#[path = "service/latency.rs"]
mod latency;
#[path = "service/machine.rs"]
mod machine;
#[path = "service/memory.rs"]
mod memory;
#[path = "service/mosquitto.rs"]
mod mosquitto;
#[path = "service/mqtt.rs"]
mod mqtt;
#[path = "service/pressure.rs"]
mod pressure;
#[path = "service/process.rs"]
mod process;
#[path = "service/queries.rs"]
mod queries;
#[path = "service/recovery.rs"]
mod recovery;
#[path = "service/replay.rs"]
mod replay;
#[path = "service/site.rs"]
mod site;
#[path = "service/start.rs"]
mod start;
#[path = "service/subscriber.rs"]
mod subscriber;
#[path = "service/webhook.rs"]
mod webhook;

use figures::Report;

/// The parts, in their order. `start` goes on with the data that `replay` left.
const PARTS: [&str; 9] =
    ["replay", "start", "ingest", "broker", "latency", "memory", "recovery", "catch_up", "pressure"];

fn main() {
    // Cargo itself says `--bench`; names of parts have no dashes.
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = named.iter().find(|name| !PARTS.contains(&name.as_str())) {
        eprintln!("there is no part `{unknown}`; there are {}", PARTS.join(", "));
        std::process::exit(2);
    }
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let mut report = Report::default();
    println!("machine: {}; load average {}", machine::words(), machine::load());
    report.add("context: sync of 4 KiB", "ms", vec![machine::sync_ms()], None);
    let city = (wanted("replay") || wanted("start")).then(city1::City1::write);
    if let Some(city) = &city {
        let data = replay::measure(city, &mut report, wanted("replay"));
        if wanted("start") {
            start::measure(&runtime, city, &data, &mut report);
        }
    }
    if wanted("ingest") {
        ingest::measure(&runtime, &mut report);
    }
    if wanted("broker") {
        broker::measure(&runtime, &mut report);
    }
    if wanted("latency") {
        latency::measure(&runtime, &mut report);
    }
    if wanted("memory") {
        memory::measure(&runtime, &mut report);
    }
    if wanted("recovery") {
        recovery::measure(&runtime, &mut report);
    }
    if wanted("catch_up") {
        catch_up::measure(&runtime, &mut report);
    }
    if wanted("pressure") {
        pressure::measure(&runtime, &mut report);
    }
    report.print();
}
