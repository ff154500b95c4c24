//! CPU time of the engine's core alone, an event: decoder, sequencer and flow called one after the
//! other in one thread, nothing durable, beside a reference loop that answers the same queries.
//!
//! `cargo bench --bench core` writes the CITY-1 load, runs engine and reference in turn (so that
//! whatever else the machine does meets both), and prints CPU microseconds an event with their
//! ranges and the ratio of each pair. `-- check` runs both to their ends and compares the last
//! revision of every window. `-- once PART FILE` runs one part over a file and nothing else, for
//! `valgrind --tool=callgrind`: instruction counts do not depend on what else the machine does. `-- last FILE
//! OUT` writes the last revision of every window. `compare/compare.py` uses both.
//!
//! `-- scale`, `-- rules` and `-- state` (also several at once) say how the engine's CPU time depends on
//! how many sensors and rules there are, and what memory a sensor holds.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a benchmark stops at the first surprise, as a test does"
)]

#[path = "core/check.rs"]
mod check;
#[path = "core/crowd.rs"]
mod crowd;
#[path = "core/engine.rs"]
mod engine;
#[allow(dead_code, reason = "the other benchmark uses all of it")]
#[path = "service/figures.rs"]
mod figures;
#[path = "core/lines.rs"]
mod lines;
#[allow(dead_code, reason = "the other benchmark uses all of it")]
#[path = "service/machine.rs"]
mod machine;
#[path = "service/queries.rs"]
mod queries;
#[path = "core/reference.rs"]
mod reference;
#[path = "core/rules.rs"]
mod rules;
#[path = "core/scale.rs"]
mod scale;
#[path = "core/state.rs"]
mod state;
#[path = "core/stretch.rs"]
mod stretch;

use std::hint::black_box;
use std::path::Path;

use engine::Part;
use figures::{Must, Report};

// As the service does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAIRS: usize = 5;
/// Engine over reference, CPU time an event.
const RATIO: f64 = 2.0;
/// Parts that make their own load.
const PARTS: [&str; 3] = ["scale", "rules", "state"];

fn main() {
    // Cargo itself says `--bench`; words of ours have no dashes.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words {
        ["once", part, file] => once(part, Path::new(file)),
        ["write", sensors, file] => {
            let sensors = sensors.parse().expect("a number of sensors");
            queries::write(Path::new(file), sensors, queries::lines());
        }
        ["hold", shape, sensors] => state::hold(shape, sensors.parse().expect("a number of sensors")),
        ["last", file, out] => check::write_last(Path::new(file), Path::new(out)),
        ["check"] => with_load(check::compare),
        [] => reported(|report| with_load(|file| measure(file, report))),
        _ if words.iter().all(|word| PARTS.contains(word)) => reported(|report| {
            for word in &words {
                match *word {
                    "scale" => scale::measure(report),
                    "rules" => rules::measure(report),
                    _ => state::measure(report),
                }
            }
        }),
        _ => {
            eprintln!(
                "say nothing, `check`, some of {PARTS:?}, `write SENSORS FILE`, `once PART FILE`, or `last FILE OUT`"
            );
            std::process::exit(2);
        }
    }
}

fn with_load(then: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("city1.ndjson");
    queries::write(&file, queries::SENSORS, queries::lines());
    then(&file);
}

fn once(part: &str, file: &Path) {
    let before = machine::thread_cpu_ns();
    let lines = match part {
        "reference" => reference::run(file, &mut |row| _ = black_box(row)),
        part => engine::run(file, Part::named(part), &mut |rows| drop(rows)),
    };
    let seconds = (machine::thread_cpu_ns() - before) as f64 / 1e9;
    println!("{part}: {lines} lines, {seconds} CPU-seconds");
}

/// Prints what is measured.
fn reported(measure: impl FnOnce(&mut Report)) {
    let mut report = Report::default();
    println!("machine: {}; load average {}", machine::words(), machine::load());
    measure(&mut report);
    report.print();
}

fn measure(file: &Path, report: &mut Report) {
    report.begin("core");
    let mut parts: Vec<(Part, Vec<f64>)> = Part::ALL.into_iter().map(|part| (part, Vec::new())).collect();
    let (mut references, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        for (part, values) in &mut parts {
            values.push(micros(|| engine::run(file, *part, &mut |rows| drop(rows))));
        }
        let reference = micros(|| reference::run(file, &mut |row| _ = black_box(row)));
        let engine = parts.last().and_then(|(_, values)| values.last()).expect("the whole engine ran");
        ratios.push(engine / reference);
        references.push(reference);
    }
    for (part, values) in parts {
        report.add(part.words(), "us/line", values, None);
    }
    report.add("reference loop", "us/line", references, None);
    report.add("engine over reference", "x", ratios, Some(Must::Below(RATIO)));
}

/// CPU microseconds a line of what runs in this thread.
fn micros(run: impl FnOnce() -> u64) -> f64 {
    let before = machine::thread_cpu_ns();
    let lines = run();
    (machine::thread_cpu_ns() - before) as f64 / 1e3 / lines as f64
}
