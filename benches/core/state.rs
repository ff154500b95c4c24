//! Memory that a sensor holds in the engine: all of it, with its names, its layout in the decoder and
//! its identity ring, as the process's resident memory grows by it.
//!
//! Each size is a process of its own (`core hold SHAPE SENSORS`), once with many sensors and once with
//! few, and the difference counts: what the engine and its buffers hold anyway falls out of it. The
//! allocator gives back at once what is freed. A pane is what a sensor holds more for as many readings
//! when each has a pane of its own.

use std::process::Command;

use sereno::journal::identity::RING_EVENTS_MAX;
use sereno::model::ResultRow;

use super::crowd::Crowd;
use super::engine::{Engine, Part};
use super::figures::{Must, Report};
use super::machine;
use super::stretch::feed;

const RUNS: usize = 3;
const MINUTE_MS: u64 = 60_000;
/// Bytes of a sensor, and of an occupied pane.
const SENSOR_BYTES: f64 = 1_536.0;
const PANE_BYTES: f64 = 40.0;
/// Readings of 24 hours by the minute, and how many panes they occupy at a reading a second.
const READINGS: u64 = 1_440;
const CROWDED_PANES: u64 = READINGS / 60;

const HEAD: &str = r#"
version = 1
name = "state"
title = { es = "Estado", en = "State" }

[[feed]]
name = "air"
topic = "ciudad/aire"
decoder = "json"
sensor = "/id"
time = { path = "/t" }
tags = { zona = "/zona" }
out_of_orderness = "30s"

[feed.quantity.pm25]
path = "/pm25"
unit = "ug/m3"
decimals = 1
"#;

/// A window and how often each sensor reports.
#[derive(Clone, Copy, Debug)]
struct Shape {
    word: &'static str,
    /// 24 h by the minute, instead of by the hour beside windows of one minute.
    by_minute: bool,
    readings: u64,
    interval_ms: u64,
    sensors: [u32; 2],
}

const SHAPES: [Shape; 5] = [
    Shape { sensors: [20_000, 220_000], ..shape("one", 1, 60 * MINUTE_MS) },
    Shape { sensors: [5_000, 55_000], ..shape("hours", 25, 60 * MINUTE_MS) },
    shape("full", RING_EVENTS_MAX as u64, 6 * MINUTE_MS),
    Shape { by_minute: true, sensors: [20, 220], ..shape("crowded", READINGS, 1_000) },
    Shape { by_minute: true, sensors: [20, 220], ..shape("occupied", READINGS, MINUTE_MS) },
];

const fn shape(word: &'static str, readings: u64, interval_ms: u64) -> Shape {
    Shape { word, by_minute: false, readings, interval_ms, sensors: [1_000, 6_000] }
}

impl Shape {
    fn pipeline(self) -> String {
        let fields = "fields = { n = \"count(pm25)\", total = \"sum(pm25)\", low = \"min(pm25)\", \
                      high = \"max(pm25)\" }\n";
        let day = |slide: &str| {
            format!("[[window]]\nname = \"day\"\nsize = \"24h\"\nslide = \"{slide}\"\n{fields}")
        };
        if self.by_minute {
            format!("{HEAD}{}", day("1m"))
        } else {
            format!("{HEAD}[[window]]\nname = \"a\"\nsize = \"1m\"\n{fields}{}", day("1h"))
        }
    }

    /// Bytes a sensor.
    fn bytes(self) -> f64 {
        let [few, many] = self.sensors.map(|sensors| held(self.word, sensors));
        (many - few) * 1_024.0 / f64::from(self.sensors[1] - self.sensors[0])
    }
}

/// Measures.
pub fn measure(report: &mut Report) {
    report.begin("state");
    let mut values = [const { Vec::new() }; SHAPES.len()];
    let mut panes = Vec::new();
    for number in 1..=RUNS {
        let own = SHAPES.map(Shape::bytes);
        println!("  run {number}: {own:.0?} bytes a sensor");
        panes.push((own[4] - own[3]) / (READINGS - CROWDED_PANES) as f64);
        values.iter_mut().zip(own).for_each(|(all, own)| all.push(own));
    }
    let [one, hours, full, ..] = values;
    let must = Some(Must::Below(SENSOR_BYTES));
    report.add("a sensor of one reading", "bytes", one, must);
    report.add("a sensor of a reading an hour, all 24 panes", "bytes", hours, must);
    report.add("a sensor of 256 readings, its ring full", "bytes", full, must);
    report.add("an occupied pane of 24 h by 1 min", "bytes", panes, Some(Must::Below(PANE_BYTES)));
}

/// What a process that holds so many sensors has resident, in KiB.
fn held(word: &str, sensors: u32) -> f64 {
    let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
    command.args(["hold", word, &sensors.to_string()]).env("MIMALLOC_PURGE_DELAY", "0");
    let output = command.output().expect("it starts again");
    assert!(output.status.success(), "hold {word} {sensors}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.trim().parse().expect("it prints a number")
}

/// Holds so many sensors and prints what is resident, in KiB.
pub fn hold(word: &str, sensors: u32) {
    let shape = SHAPES.into_iter().find(|shape| shape.word == word).expect("there is such a shape");
    let mut crowd = Crowd::new(sensors, shape.interval_ms);
    let mut take = |rows: Vec<ResultRow>| drop(rows);
    let mut engine = Engine::new(&shape.pipeline(), Part::Flow, &mut take);
    let lines = shape.readings * crowd.sensors();
    feed(&mut engine, &mut crowd, lines);
    assert_eq!(engine.stored(), lines, "every line is an event");
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc/self/status");
    println!("{}", machine::kib(&status, "VmRSS:").expect("a process has memory"));
    // Held until here.
    drop(engine);
}
