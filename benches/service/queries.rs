//! CITY-1: its load and its three queries, as one pipeline.
//!
//! 100,000 sensors in 50 zones, 10,000 events a second of event time, each sensor every 10 s in an
//! order drawn once; 1 % out of order by up to 30 s, 0.1 % late by 2 to 5 minutes, 0.1 % malformed.
//! A million lines are its first 100 s: enough for two whole minutes of (a) to close, not for (c)
//! to fire. Every sensor is new once, so a tenth of the events also name a device.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use sereno_simulators::city1::{Load, Written};

/// Lines, unless `SERENO_BENCH_LINES` says otherwise.
const LINES: u64 = 1_000_000;
/// Sensors of CITY-1.
pub const SENSORS: u32 = 100_000;
/// 2026-03-01 12:00:00 -05:00.
const START_MS: i64 = 1_772_384_400_000;

/// (a) per sensor 1 min count/mean/min/max, (b) per zone 5 min by 1 min mean/max/p95, (c) (a)'s
/// mean above 55 three windows in a row.
pub const PIPELINE: &str = r#"
version = 1
name = "city1"
title = { es = "Ciudad 1", en = "City 1" }
allowed_lateness = "10m"

[[feed]]
name = "air"
topic = "ciudad/aire"
decoder = "json"
sensor = "/id"
time = { path = "/t" }
tags = { zona = "/zona" }
out_of_orderness = "30s"
expected_interval = "10s"

[feed.quantity.pm25]
path = "/pm25"
unit = "ug/m3"
decimals = 1

[feed.quantity.pm10]
path = "/pm10"
unit = "ug/m3"
decimals = 1

[feed.quantity.temp]
path = "/temp"
unit = "Cel"
decimals = 1

[feed.quantity.hum]
path = "/hum"
unit = "%"
decimals = 0

[[window]]
name = "a"
size = "1m"
fields = { n = "count(pm25)", pm25_mean = "mean(pm25)", pm25_min = "min(pm25)", pm25_max = "max(pm25)" }

[[window]]
name = "b"
size = "5m"
slide = "1m"
by = ["zona"]
fields = { pm25_mean = "mean(pm25)", pm25_max = "max(pm25)", pm25_p95 = "p95(pm25)" }

[[rule]]
name = "c"
on = "a"
when = "pm25_mean > 55"
for = "2m"
severity = "warning"
title = { es = "PM2.5 alto", en = "High PM2.5" }
message = { es = "{sensor}: {pm25_mean:1}", en = "{sensor}: {pm25_mean:1}" }
"#;

/// Lines to write.
pub fn lines() -> u64 {
    lines_or(LINES)
}

/// Lines to write, so many unless `SERENO_BENCH_LINES` says otherwise.
pub fn lines_or(unless: u64) -> u64 {
    let lines = std::env::var("SERENO_BENCH_LINES").ok();
    lines.map_or(unless, |text| text.parse().expect("SERENO_BENCH_LINES is a number"))
}

/// Writes the load with so many sensors and lines to a file; says what is in it.
pub fn write(file: &Path, sensors: u32, events: u64) -> Written {
    let load = Load { seed: 1, sensors, events, start_ms: START_MS };
    let mut out = BufWriter::new(File::create(file).expect("the folder can be written"));
    let written = load.write(&mut out).expect("the disk has room for the load");
    println!("CITY-1: {} lines, {} malformed, {} late", written.lines, written.malformed, written.late);
    written
}
