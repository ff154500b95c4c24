//! From spawning `sereno run` to the first 200 of `/readyz`.

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::city1::City1;
use super::figures::{Must, Report};
use super::process::Service;
use super::site::Site;

const RUNS_EMPTY: usize = 10;
const RUNS_FULL: usize = 3;
/// Milliseconds with an empty data folder.
const EMPTY_MS: f64 = 1_000.0;

/// Measures with an empty folder and with the one that a replay left.
pub fn measure(runtime: &Runtime, city: &City1, replayed: &TempDir, report: &mut Report) {
    report.begin("start");
    let site = Site::new("").with_shipped_pipelines();
    let empty = (0..RUNS_EMPTY).map(|_| ready_ms(runtime, &site, &site.data())).collect();
    report.add("start, empty data folder", "ms", empty, Some(Must::Below(EMPTY_MS)));
    let full = (0..RUNS_FULL).map(|_| ready_ms(runtime, &city.site, replayed)).collect();
    report.add("start, data folder of the replay", "ms", full, None);
}

fn ready_ms(runtime: &Runtime, site: &Site, data: &TempDir) -> f64 {
    let service = Service::start(runtime, site, data.path());
    let ready_ms = service.ready_after.as_secs_f64() * 1e3;
    println!("  ready after {ready_ms:.1} ms");
    service.stop();
    ready_ms
}
