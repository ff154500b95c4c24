//! The whole process beside the reference loop: CPU seconds of `sereno replay` over those of the loop
//! of `benches/core/reference.rs`, which answers the same queries over the same file, in turn.
//!
//! Once with the store, raw events and aggregates. And once without it: there is no way to store
//! aggregates without raw events, and journal and results log alone, with a reader that counts what is
//! in both, come nearest. That does less than was asked for: a ratio which is too high there is too
//! high with aggregates stored, but one that is met says only so much.

use std::hint::black_box;

use super::city1::{City1, NO_STORE};
use super::figures::{Must, Report};
use super::{machine, reference, replay};

const PAIRS: usize = 5;
/// CPU over the reference's: with both logs alone, and with the store.
const LOGS_RATIO: f64 = 3.0;
const STORE_RATIO: f64 = 5.0;
/// With the store, on two cores.
const EVENTS_PER_SECOND: f64 = 400_000.0;

/// Measures.
pub fn measure(city: &City1, report: &mut Report) {
    report.begin("whole");
    let logs = city.with_site(City1::site(NO_STORE));
    let mut references = Vec::new();
    let [mut of_logs, mut of_store] = [const { (Vec::new(), Vec::new()) }; 2];
    for number in 1..=PAIRS {
        let reference = reference_seconds(city);
        println!("  run {number}: reference loop {reference:.2} CPU-seconds");
        for (city, (ratios, rates)) in [(&logs, &mut of_logs), (city, &mut of_store)] {
            let data = city.site.data();
            let (told, seconds) = machine::with_cpu_seconds(|| replay::run(city, &data));
            println!("    {seconds:.2} CPU-seconds, {told}");
            ratios.push(seconds / reference);
            rates.push(replay::number_of(&told, "events_per_second"));
        }
        references.push(reference);
    }
    report.add("replay, logs alone, CPU over reference", "x", of_logs.0, Some(Must::Below(LOGS_RATIO)));
    report.add("replay, logs alone", "events/s", of_logs.1, None);
    report.add("replay, with store, CPU over reference", "x", of_store.0, Some(Must::Below(STORE_RATIO)));
    report.add("replay, with store", "events/s", of_store.1, Some(Must::AtLeast(EVENTS_PER_SECOND)));
    report.add("reference loop", "CPU-s", references, None);
}

/// CPU seconds of the reference loop, by this thread's clock.
fn reference_seconds(city: &City1) -> f64 {
    let before = machine::thread_cpu_ns();
    let lines = reference::run(&city.file, &mut |row| _ = black_box(row));
    assert_eq!(lines, city.written.lines, "the loop reads every line");
    (machine::thread_cpu_ns() - before) as f64 / 1e9
}
