//! `sereno replay` with the store on: from the first line read to the last row stored.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::city1::City1;
use super::figures::{Must, Report};
use super::machine;
use super::site::Site;

const RUNS: usize = 5;
/// Events a second on two cores.
const EVENTS_PER_SECOND: f64 = 200_000.0;

/// Measures, and leaves the data folder of the last run. Unless `wanted`, runs once for that alone.
pub fn measure(city: &City1, report: &mut Report, wanted: bool) -> TempDir {
    if !wanted {
        let data = city.site.data();
        run(city, &data);
        return data;
    }
    report.begin("replay");
    let (mut rates, mut cpu, mut rss) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for number in 1..=RUNS {
        // The folder of the run before goes first: two at once would crowd the page cache.
        drop(last.take());
        let data = city.site.data();
        let (told, cpu_seconds) = machine::with_cpu_seconds(|| run(city, &data));
        let events = number_of(&told, "events");
        rates.push(number_of(&told, "events_per_second"));
        cpu.push(cpu_seconds / events * 1e6);
        rss.push(number_of(&told, "peak_rss_bytes") / 1_048_576.0);
        println!("  run {number}: {told}, {cpu_seconds:.2} CPU-seconds");
        last = Some(data);
    }
    report.add("replay, store on", "events/s", rates, Some(Must::AtLeast(EVENTS_PER_SECOND)));
    report.add("replay, CPU seconds a million events", "s", cpu, None);
    report.add("replay, peak RSS", "MiB", rss, None);
    last.expect("there was at least one run")
}

/// One replay into a data folder; its statistics, which must account for every line.
pub fn run(city: &City1, data: &TempDir) -> Value {
    let told = told(command(&city.site, &city.file, data));
    let written = city.written;
    for (name, wanted) in [
        ("messages", written.lines),
        ("events", written.lines - written.malformed),
        ("quarantined", written.malformed),
        ("too_late", 0),
        ("duplicates", 0),
    ] {
        assert_eq!(told[name], wanted, "{name} of {told}");
    }
    told
}

/// The command that replays a file of CITY-1.
pub fn command(site: &Site, file: &Path, data: &TempDir) -> Command {
    let mut command = site.command("replay", data.path());
    command.args(["--feed", "air"]).arg(file);
    command
}

/// The statistics of a replay that ends well.
pub fn told(mut command: Command) -> Value {
    let output = command.stdin(Stdio::null()).output().expect("the binary starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "sereno replay: {}\n{error}", output.status);
    serde_json::from_slice(&output.stdout).expect("replay prints one JSON line")
}

/// One of the statistics.
pub fn number_of(told: &Value, name: &str) -> f64 {
    told[name].as_f64().unwrap_or_else(|| panic!("replay tells `{name}`: {told}"))
}
