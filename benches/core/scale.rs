//! CPU time an event over very different numbers of sensors, each of which reports every 10 s.
//!
//! So every sensor's windows hold as many readings whatever the number is, and an event closes as many
//! of them. The warm-up is long enough that every sensor was heard, and that as many windows are
//! sealed and forgotten as begin. The same number of events then counts: at a million sensors it is
//! one minute, at a thousand half a day.

use super::crowd::Crowd;
use super::figures::{Must, Report};
use super::queries;
use super::stretch;

const RUNS: usize = 3;
const SENSORS: [u32; 3] = [1_000, 100_000, 1_000_000];
const NAMES: [&str; 3] = ["1,000 sensors", "100,000 sensors", "1,000,000 sensors"];
pub const INTERVAL_MS: u64 = 10_000;
/// 130 s: windows of a minute, 30 s of disorder, 30 s of lateness.
pub const WARM_UP_ROUNDS: u64 = 13;
/// One minute of the most sensors, ten of the next.
const EVENTS: u64 = 6 * SENSORS[2] as u64;
/// Windows of a minute that these close, whatever the number of sensors.
const WINDOWS: u64 = EVENTS / 6;
/// The slowest over the best.
const RATIO: f64 = 2.0;

/// CITY-1's queries; windows are sealed soon, so that the warm-up can be short.
pub fn pipeline() -> String {
    queries::PIPELINE.replace("allowed_lateness = \"10m\"", "allowed_lateness = \"30s\"")
}

/// Measures.
pub fn measure(report: &mut Report) {
    report.begin("scale");
    let pipeline = pipeline();
    let mut micros = [const { Vec::new() }; SENSORS.len()];
    let mut ratios = Vec::new();
    for number in 1..=RUNS {
        let run = SENSORS.map(|sensors| {
            let mut crowd = Crowd::new(sensors, INTERVAL_MS);
            stretch::run(&pipeline, &mut crowd, WARM_UP_ROUNDS, EVENTS)
        });
        let windows = run.map(|stretch| stretch.windows);
        assert!(windows.iter().all(|own| own.abs_diff(WINDOWS) < WINDOWS / 50), "{windows:?} windows closed");
        let own = run.map(|stretch| stretch.micros());
        println!("  run {number}: {own:.2?} us/event, {windows:?} windows");
        micros.iter_mut().zip(own).for_each(|(all, own)| all.push(own));
        ratios.push(own.into_iter().fold(0.0, f64::max) / own.into_iter().fold(f64::MAX, f64::min));
    }
    for (name, values) in NAMES.into_iter().zip(micros) {
        report.add(name, "us/event", values, None);
    }
    report.add("numbers of sensors, slowest over best", "x", ratios, Some(Must::Below(RATIO)));
}
