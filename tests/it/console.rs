//! The console in a real Chromium: its regions, in both languages, and a picture of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::level;
use crate::harness::mqtt::publish;
use crate::harness::peers::{program, root};
use crate::harness::site::output;
use crate::harness::wait::now_ms;
use crate::harness::{Sereno, Site, eventually, peers, seconds};

/// A page without anything on it is much smaller.
const PICTURE_BYTES_MIN: u64 = 20_000;
/// Time that the page may think has passed before it is shown.
const BUDGET_MS: u32 = 8_000;

/// A service with a few sensors on the map and an alert.
fn town() -> (Site, Sereno) {
    let place = "[feed.quantity.lat]\npath = \"/lat\"\nunit = \"deg\"\n\
                 [feed.quantity.lon]\npath = \"/lon\"\nunit = \"deg\"\n[[window]]";
    let pipeline = level::with_alert().replacen("[[window]]", place, 1);
    let site = Site::new("").with_pipeline("level", &pipeline);
    let service = site.start();
    let now = now_ms();
    let messages = (0..120_i32).map(|number| {
        let (gauge, step) = (number % 6, i64::from(number / 6));
        let (lat, lon) = (6.2 + f64::from(gauge) * 0.01, -75.6 + f64::from(gauge % 3) * 0.02);
        let (at, level) = (now - (20 - step) * 60_000, 40 + number % 70);
        let text = format!("{{\"t\":{at},\"level\":{level},\"lat\":{lat},\"lon\":{lon}}}");
        (format!("city/center/level/g-{gauge}"), text.into_bytes())
    });
    publish(site.mqtt, "gauges", messages.collect());
    eventually("an alert", seconds(10), || service.alerts("all").pop());
    (site, service)
}

/// Runs Chromium without a window on a page.
fn chromium(chromium: &Path, profile: &Path, arguments: &[&str], url: &str) -> String {
    let mut command = Command::new(chromium);
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    command.args(["--hide-scrollbars", "--no-first-run", "--window-size=1400,1000"]);
    command.arg(format!("--virtual-time-budget={BUDGET_MS}"));
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.args(arguments).arg(url);
    let output = output(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether the console was built into the binary; without it a plain page says how to build it.
fn is_built(service: &Sereno) -> bool {
    let (status, page) = crate::harness::http::get(&service.url("/"), &[]).unwrap();
    assert_eq!(status, 200, "{page}");
    let is_built = page.contains("/assets/");
    if !is_built {
        assert!(page.contains("make console"), "the plain page says how to build the console: {page}");
        peers::missing::<()>("the console is not built into sereno (make console)");
    }
    is_built
}

#[test]
fn the_console_shows_map_chart_and_alerts_in_both_languages() {
    let Some(browser) = program("chromium") else { return };
    let (site, service) = town();
    if !is_built(&service) {
        return;
    }
    for (language, heading, title) in [("es", "Alertas", "Nivel alto"), ("en", "Alerts", "High level")] {
        let url = service.url(&format!("/?live=off&lang={language}"));
        let page = chromium(&browser, &site.path("browser"), &["--dump-dom"], &url);
        assert!(page.contains("data-ready=\"true\""), "{language}: not ready: {page}");
        for region in ["status", "map", "chart", "alert-list", "alert-item", "sensor-count", "language"] {
            assert!(page.contains(&format!("data-testid=\"{region}\"")), "{language}: no {region}: {page}");
        }
        assert!(page.contains(&format!("lang=\"{language}\"")), "{language}: {page}");
        assert!(page.contains(heading) && page.contains(title), "{language}: {page}");
    }
    service.stop();
}

#[test]
fn the_console_has_a_picture() {
    let Some(browser) = program("chromium") else { return };
    let (site, service) = town();
    if !is_built(&service) {
        return;
    }
    let folder = option_env!("CARGO_TARGET_TMPDIR").map_or_else(|| root().join("target/tmp"), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    let picture = folder.join("console.png");
    let _ = std::fs::remove_file(&picture);
    let screenshot = format!("--screenshot={}", picture.display());
    chromium(&browser, &site.path("browser"), &[&screenshot], &service.url("/?live=off"));
    let bytes = std::fs::metadata(&picture).unwrap().len();
    assert!(bytes > PICTURE_BYTES_MIN, "{bytes} bytes: {}", picture.display());
    println!("picture: {}", picture.display());
    service.stop();
}
