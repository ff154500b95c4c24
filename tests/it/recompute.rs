//! `sereno recompute`: a reading that came too late counts, where the service is stopped and where it
//! runs.

use crate::harness::site::{output, succeeded};
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
    fill(&site);
    site
}

fn fill(site: &Site) {
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

#[test]
fn a_rule_on_readings_is_asked_of_the_one_that_came_too_late() {
    let pipeline = PIPELINE
        .replace(r#"on = "minute""#, r#"on = "readings""#)
        .replace("highest > 50", "level > 50")
        .replace("{highest}", "{level}");
    let site = Site::new("").with_pipeline("level", &pipeline);
    fill(&site);
    let alert = "alert level.high a 2026-03-01T12:01:05Z to 2026-03-01T12:01:10Z: would be recorded";
    let said = dry_run(&site, "en");
    assert!(said.lines().any(|line| line == alert), "{said}");
    recompute(&site);
    recompute(&site);
    assert_eq!(transitions(&site), ["inactive resolved found by a recompute false"]);
    let said = dry_run(&site, "en");
    assert!(said.contains("no alert would be different"), "{said}");
}

const OTHER_FIELDS: (&str, &str) = (
    r#"fields = { highest = "max(level)" }"#,
    r#"fields = { highest = "max(level)", lowest = "min(level)", sum = "sum(level)" }"#,
);

/// The same town, with so many readings behind it that the first segments of its journal were removed.
fn collected() -> Site {
    let settings = "[journal]\nsegment_bytes = \"1MiB\"\nkeep = \"1h\"\nbehind_max = \"1h\"\n\
                    [checkpoint]\nevery = \"1s\"\n";
    let site = Site::new(settings).with_pipeline("level", PIPELINE);
    fill(&site);
    // Fifty other sensors, each second for fifty minutes.
    let line = |n: u32| {
        let (second, sensor) = (600 + n / 50, n % 50);
        let at = format!("2026-03-01T12:{:02}:{:02}Z", second / 60, second % 60);
        format!(r#"{{"at":"{at}","topic":"city/b{sensor}","payload":"{{\"t\":\"{at}\",\"level\":20}}"}}"#)
    };
    let lines: Vec<String> = (0..150_000).map(line).collect();
    site.write("more.ndjson", &lines.join("\n"));
    let mut replay = site.command("replay");
    replay.arg(site.path("more.ndjson"));
    succeeded(replay);
    let first = segments(&site).remove(0);
    assert!(segments(&site).len() > 2, "{:?}", segments(&site));
    let service = site.start();
    // Collected once a minute, and not before two checkpoints of this run.
    eventually("the first segments are removed", seconds(240), || {
        (segments(&site)[0] != first).then_some(())
    });
    service.stop();
    site
}

fn segments(site: &Site) -> Vec<String> {
    let entries = std::fs::read_dir(site.path("data/journal")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".log")).collect();
    names.sort();
    names
}

/// The minutes of the range: fields and count.
fn minutes(site: &Site, fields: &[&str]) -> Vec<Vec<String>> {
    let names = fields.join(", ");
    let rows = site.query(&format!(
        "SELECT {names}, count FROM level_minute WHERE sensor = 'a' AND time < '2026-03-01T12:05:00Z' ORDER BY time"
    ));
    let of = |row: &crate::harness::table::Row| {
        fields.iter().chain(&["count"]).map(|name| row[*name].clone()).collect()
    };
    rows.iter().map(of).collect()
}

/// A level of 10 each ten seconds, and 99 once in the second minute.
const LEVELS: [[&str; 4]; 2] = [["10.0", "10.0", "60.0", "6"], ["99.0", "10.0", "159.0", "7"]];

fn expected() -> Vec<Vec<String>> {
    (0..5).map(|n| LEVELS[usize::from(n == 1)].map(str::to_owned).to_vec()).collect()
}

#[test]
fn readings_that_the_journal_no_longer_holds_come_back_from_the_store() {
    let site = collected();
    let said = dry_run(&site, "en");
    assert!(said.contains("level.minute a 2026-03-01T12:01:00Z: count 6 -> 7"), "{said}");
    assert!(said.contains("1 of 5 windows would be different"), "{said}");
    let mut command = site.command("recompute");
    command.args(RANGE).args(["--language", "en"]);
    let said = succeeded(command);
    assert!(said.contains("computed again, with 31 events from the store"), "{said}");
    let levels: Vec<Vec<String>> =
        expected().into_iter().map(|row| vec![row[0].clone(), row[3].clone()]).collect();
    assert_eq!(minutes(&site, &["highest"]), levels);
    assert_eq!(transitions(&site)[..1], ["inactive resolved found by a recompute false"]);

    // Another definition reaches back as far; the service is killed behind it.
    site.write_pipeline("level", &PIPELINE.replace(OTHER_FIELDS.0, OTHER_FIELDS.1));
    let service = site.start();
    recompute(&site);
    let sum = "SELECT sum FROM level_minute WHERE sensor = 'a' AND time = '2026-03-01T12:01:00Z'";
    eventually("the windows computed again", seconds(30), || {
        let rows = service.sql(sum);
        (rows.first().is_some_and(|row| row["sum"] == 159.0)).then_some(())
    });
    service.kill();
    let service = site.start();
    assert_eq!(service.sql(sum)[0]["sum"], 159.0);
    service.stop();
    assert_eq!(minutes(&site, &["highest", "lowest", "sum"]), expected());
    // What was restored is nothing that came: the store has each reading once.
    assert_eq!(site.query("SELECT count(*) AS n FROM level")[0]["n"], "150061");
    succeeded(site.command("verify"));

    let text = std::fs::read_to_string(site.path("sereno.toml")).unwrap();
    site.write("sereno.toml", &format!("{text}\n[store]\nembedded = false\n"));
    let mut command = site.command("recompute");
    command.args(RANGE);
    let refused = output(command);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("readings of the whole range are gone"), "{said}");
}
