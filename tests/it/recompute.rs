//! `sereno recompute`: a reading that came too late counts, where the service is stopped and where it
//! runs.

use crate::harness::site::succeeded;
use crate::harness::{Site, eventually, seconds};

const PIPELINE: &str = r#"
version = 1
name = "level"
title = { es = "Nivel", en = "Level" }
allowed_lateness = "1m"

[[feed]]
name = "level"
topic = "city/{sensor}"
decoder = "json"
out_of_orderness = "1s"
time = { path = "/t" }

[feed.quantity.level]
unit = "cm"

[[window]]
name = "minute"
size = "1m"
fields = { highest = "max(level)" }

[[rule]]
name = "high"
on = "minute"
when = "highest > 50"
severity = "warning"
title = { es = "Alto", en = "High" }
message = { es = "Nivel {highest}", en = "Level {highest}" }
"#;
const RANGE: [&str; 4] = ["--from", "2026-03-01T12:00:00Z", "--to", "2026-03-01T12:05:00Z"];
const SECOND_MINUTE: &str = "SELECT highest, count FROM level_minute WHERE time = '2026-03-01T12:01:00Z'";

/// A reading each ten seconds for ten minutes, and at the end one of the second minute.
fn site() -> Site {
    let site = Site::new("").with_pipeline("level", PIPELINE);
    let line = |at: String, of: &str, level: u32| {
        format!(r#"{{"at":"{at}","topic":"city/a","payload":"{{\"t\":\"{of}\",\"level\":{level}}}"}}"#)
    };
    let moment = |n: u32| format!("2026-03-01T12:{:02}:{:02}Z", n / 6, n % 6 * 10);
    let mut lines: Vec<String> = (0..60).map(|n| line(moment(n), &moment(n), 10)).collect();
    lines.push(line(moment(59), "2026-03-01T12:01:05Z", 99));
    site.write("readings.ndjson", &lines.join("\n"));
    let mut replay = site.command("replay");
    replay.arg(site.path("readings.ndjson"));
    let said = succeeded(replay);
    assert!(said.contains("\"too_late\":1"), "{said}");
    site
}

fn recompute(site: &Site) {
    let mut command = site.command("recompute");
    command.args(RANGE);
    succeeded(command);
}

fn dry_run(site: &Site, language: &str) -> String {
    let mut command = site.command("recompute");
    command.args(RANGE).args(["--dry-run", "--language", language]);
    succeeded(command)
}

/// Of each step of an alert in the store: from, to, reason, and whether somebody was to be told.
fn transitions(site: &Site) -> Vec<String> {
    let sql = "SELECT from_state, to_state, reason, notify FROM transitions ORDER BY cause, time";
    let words = ["from_state", "to_state", "reason", "notify"];
    let rows = site.query(sql);
    rows.iter().map(|row| words.map(|name| row[name].as_str()).join(" ")).collect()
}

#[test]
fn what_came_too_late_counts_after_a_recompute() {
    let site = site();
    assert_eq!(site.query(SECOND_MINUTE)[0]["highest"], "10.0");
    recompute(&site);
    let row = &site.query(SECOND_MINUTE)[0];
    assert_eq!((row["highest"].as_str(), row["count"].as_str()), ("99.0", "7"));
    assert_eq!(site.query("SELECT count(*) AS n FROM level_minute")[0]["n"], "9", "windows, each once");
}

#[test]
fn a_running_service_is_asked() {
    let site = site();
    let service = site.start();
    recompute(&site);
    eventually("the window computed again", seconds(20), || {
        (service.sql(SECOND_MINUTE)[0]["highest"] == 99.0).then_some(())
    });
    service.stop();
    assert_eq!(site.query(SECOND_MINUTE)[0]["count"], "7");
}

#[test]
fn a_dry_run_says_what_would_be_different_and_changes_nothing() {
    let site = site();
    let said = dry_run(&site, "en");
    for line in [
        "level.minute a 2026-03-01T12:01:00Z: count 6 -> 7",
        "    highest: 10 -> 99",
        "alert level.high a 2026-03-01T12:02:00Z to 2026-03-01T12:03:00Z: would be recorded",
        "1 of 5 windows would be different",
        "1 alert would be different; nobody would be told",
    ] {
        assert!(said.lines().any(|own| own == line), "{line}\n{said}");
    }
    let spanish = dry_run(&site, "es");
    assert!(spanish.contains("1 de 5 ventanas serían distintas"), "{spanish}");
    assert!(
        spanish.contains("alerta level.high a 2026-03-01T12:02:00Z a 2026-03-01T12:03:00Z: se registraría")
    );
    assert_eq!(site.query(SECOND_MINUTE)[0]["highest"], "10.0", "nothing was written");
    recompute(&site);
    let said = dry_run(&site, "en");
    assert!(said.contains("0 of 5 windows would be different"), "{said}");
    assert!(said.contains("no alert would be different"), "{said}");
}

#[test]
fn an_alert_that_a_too_late_reading_tells_of_is_recorded_once_and_nobody_is_told() {
    let site = site();
    recompute(&site);
    recompute(&site);
    assert_eq!(transitions(&site), ["inactive resolved found by a recompute false"]);
    let service = site.start();
    let alerts = service.api("alerts", &[]);
    let alert = &alerts["alerts"][0];
    assert_eq!((alert["state"].as_str(), alert["rule"].as_str()), (Some("resolved"), Some("high")));
    assert_eq!(alert["raised_at"], "2026-03-01T12:02:00Z");
    assert_eq!(alert["resolved_at"], "2026-03-01T12:03:00Z");
    service.stop();
}
