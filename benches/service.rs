//! Figures of the service as a person runs it: `make bench`, or for some parts only
//! `cargo bench --bench service -- replay start whole cores fold ingest slow_sync broker latency flood
//! memory recovery catch_up pressure`.
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
#[path = "service/cores.rs"]
mod cores;
#[path = "service/figures.rs"]
mod figures;
#[path = "service/flood.rs"]
mod flood;
#[path = "service/fold.rs"]
mod fold;
#[path = "service/http.rs"]
mod http;
#[path = "service/inbox.rs"]
mod inbox;
#[path = "service/ingest.rs"]
mod ingest;
#[path = "service/latency.rs"]
mod latency;
#[path = "core/lines.rs"]
mod lines;
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
#[allow(dead_code, reason = "the other benchmark uses all of it")]
#[path = "core/reference.rs"]
mod reference;
#[path = "service/replay.rs"]
mod replay;
#[path = "service/site.rs"]
mod site;
#[path = "service/slow_sync.rs"]
mod slow_sync;
#[path = "service/start.rs"]
mod start;
#[path = "service/subscriber.rs"]
mod subscriber;
#[path = "service/webhook.rs"]
mod webhook;
#[path = "service/whole.rs"]
mod whole;

use figures::Report;
use tokio::runtime::Runtime;

/// The parts over one file of CITY-1, in their order. `start` goes on with the data that `replay` left.
const CITY1: [&str; 4] = ["replay", "start", "whole", "cores"];
/// What measures a part that makes its own load.
type Measure = fn(&Runtime, &mut Report);
/// Those parts, behind the former.
const OTHERS: [(&str, Measure); 10] = [
    ("fold", fold::measure),
    ("ingest", ingest::measure),
    ("slow_sync", slow_sync::measure),
    ("broker", broker::measure),
    ("latency", latency::measure),
    ("flood", flood::measure),
    ("memory", memory::measure),
    ("recovery", recovery::measure),
    ("catch_up", catch_up::measure),
    ("pressure", pressure::measure),
];

fn main() {
    // Cargo itself says `--bench`; names of parts have no dashes.
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let parts: Vec<&str> = CITY1.into_iter().chain(OTHERS.map(|(part, _)| part)).collect();
    if let Some(unknown) = named.iter().find(|name| !parts.contains(&name.as_str())) {
        eprintln!("there is no part `{unknown}`; there are {}", parts.join(", "));
        std::process::exit(2);
    }
    let wanted = |part: &str| named.is_empty() || named.iter().any(|name| name == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let mut report = Report::default();
    println!("machine: {}; load average {}", machine::words(), machine::load());
    report.add("context: sync of 4 KiB", "ms", vec![machine::sync_ms()], None);
    if CITY1.into_iter().any(wanted) {
        of_city1(&runtime, wanted, &mut report);
    }
    for (_, measure) in OTHERS.into_iter().filter(|(part, _)| wanted(part)) {
        measure(&runtime, &mut report);
    }
    report.print();
}

fn of_city1(runtime: &Runtime, wanted: impl Fn(&str) -> bool, report: &mut Report) {
    let city = city1::City1::write();
    if wanted("replay") || wanted("start") {
        let data = replay::measure(&city, report, wanted("replay"));
        if wanted("start") {
            start::measure(runtime, &city, &data, report);
        }
    }
    if wanted("whole") {
        whole::measure(&city, report);
    }
    if wanted("cores") {
        cores::measure(&city, report);
    }
}
