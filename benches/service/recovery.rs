//! A million sensors, and `kill -9` in the middle of a replay: when the next start takes connections,
//! and when it is ready; what the checkpoints weigh.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::api;
use super::city1::{City1, ROOM};
use super::figures::{Must, Report};
use super::process::Service;
use super::replay;

const SENSORS: u32 = 1_000_000;
/// Each sensor twice.
const LINES: u64 = 2_000_000;
const RUNS: usize = 3;
/// Of the time that a whole replay takes, when it is killed.
const KILLED_AFTER: f64 = 0.85;
const OPEN_MS: f64 = 1_000.0;
const READY_MS: f64 = 10_000.0;

/// Measures. What the killed replay took in is asked of the service, so that an empty folder that starts
/// at once is no result.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("recovery");
    let city = City1::of(ROOM, SENSORS, LINES);
    let began = Instant::now();
    let told = replay::run(&city, &city.site.data());
    let whole = began.elapsed();
    println!("  whole replay: {:.1} s, {told}", whole.as_secs_f64());
    let (mut open, mut ready, mut weight) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=RUNS {
        let data = city.site.data();
        killed(&city, &data, whole.mul_f64(KILLED_AFTER));
        weight.push(bytes_of(&data.path().join("checkpoints")) as f64 / 1_048_576.0);
        let service = Service::start(runtime, &city.site, data.path());
        open.push(service.open_after.as_secs_f64() * 1e3);
        ready.push(service.ready_after.as_secs_f64() * 1e3);
        let events = runtime.block_on(api::events(city.site.http));
        service.stop();
        println!("  run {number}: {events} events; open {:?} ms, ready {:?} ms", open.last(), ready.last());
        assert!(events > LINES / 4, "killed too early to say anything");
    }
    report.add("kill -9 with 1 M sensors, ingest open", "ms", open, Some(Must::Below(OPEN_MS)));
    report.add("kill -9 with 1 M sensors, ready", "ms", ready, Some(Must::Below(READY_MS)));
    report.add("checkpoints of 1 M sensors", "MiB", weight, None);
}

/// A replay that does not come to its end.
fn killed(city: &City1, data: &TempDir, after: Duration) {
    let mut command = replay::command(&city.site, &city.file, data);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    std::thread::sleep(after);
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
}

fn bytes_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let path = entry.path();
            if path.is_dir() { bytes_of(&path) } else { entry.metadata().map_or(0, |data| data.len()) }
        })
        .sum()
}
