//! Real air data of Medellin (SIATA, station 12, January 2025), played over MQTT: the published
//! answer, and the same answer after a `kill -9` in the middle.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::harness::peers::{corpus, simulators};
use crate::harness::site::succeeded;
use crate::harness::table::Row;
use crate::harness::{Mosquitto, Sereno, Site};

const FILE: &str = "11_data/siata_air/12_20250101_20250131.csv";
const ROWS: u64 = 744;
const EXCLUDE: &str = "exclude = \"pm25 = -9999 OR calidad_pm25 >= 2.6\"";

/// The feed as an operator would write it. Arrival is the present and the data are of 2025: windows
/// stay open for as long as it takes to play them.
const AIR: &str = r#"
version = 1
name = "siata"
title = { es = "Aire", en = "Air" }
timezone = "America/Bogota"
open_max = "36500d"
amend_every = "1s"
@exclude@

[[feed]]
name = "siata"
topic = "siata/{sensor}"
decoder = "json"
time = { path = "/Fecha_Hora", format = "%Y-%m-%d %H:%M:%S" }
timezone = "America/Bogota"
expected_interval = "1h"

[feed.quantity.pm25]
path = "/pm25"
unit = "ug/m3"
decimals = 4

[feed.quantity.calidad_pm25]
path = "/calidad_pm25"
decimals = 2

[[window]]
name = "pm25_24h"
size = "1d"
capture_min = 0.75
fields = { pm25_mean = "mean(pm25)" }

[[window]]
name = "pm25_3h"
size = "3h"
slide = "1h"
fields = { pm25_mean = "mean(pm25)", pm25_p95 = "p95(pm25)", pm25_last = "last(pm25)" }

[[rule]]
name = "pm25-limit"
on = "pm25_24h"
when = "pm25_mean > 37"
severity = "warning"
title = { es = "PM2.5 alto", en = "High PM2.5" }
message = { es = "{pm25_mean:1}", en = "{pm25_mean:1}" }
"#;

/// Publishes the month by the simulators' player, `speed` times as fast as it was (0: at once).
fn play(port: u16, file: &Path, speed: &str) {
    let mut player = Command::new(simulators().unwrap());
    player.arg("play").arg(file).args(["--topic", "siata/{codigoSerial}", "--time-column", "Fecha_Hora"]);
    player.args(["--timezone", "America/Bogota", "--port", &port.to_string(), "--speed", speed]);
    succeeded(player);
}

fn ready(broker: &mut Mosquitto, exclude: &str) -> (Site, Sereno) {
    let site = Site::new(&broker.settings()).with_pipeline("siata", &AIR.replace("@exclude@", exclude));
    let service = site.start();
    broker.wait_for_subscription();
    (site, service)
}

/// Lets ticks close what no reading will close, then stops; the alerts until then.
fn finish(service: Sereno, days: usize) -> Vec<serde_json::Value> {
    service.wait_for_messages("siata", ROWS);
    let last_day = || {
        let query = [("pipeline", "siata"), ("window", "pm25_24h"), ("from", "2024-12-01T00:00:00Z")];
        service.api("aggregates", &query)["rows"].as_array().unwrap().len()
    };
    crate::harness::eventually("every day", crate::harness::seconds(30), || {
        (last_day() == days).then_some(())
    });
    // Amendments leave at ticks.
    std::thread::sleep(crate::harness::seconds(3));
    let alerts = service.alerts("all");
    service.stop();
    alerts
}

fn days(site: &Site) -> BTreeMap<String, (f64, f64)> {
    let number = |row: &Row, name: &str| row[name].parse::<f64>().unwrap_or(f64::NAN);
    let rows = site.query("SELECT * FROM siata_pm25_24h");
    let day = |row: &Row| (row["time"].clone(), (number(row, "capture"), number(row, "pm25_mean")));
    rows.iter().map(day).collect()
}

#[test]
fn flagged_readings_raise_no_false_alarm() {
    let (Some(file), Some(_)) = (corpus(FILE), simulators()) else { return };
    let Some(mut broker) = Mosquitto::start() else { return };
    let (site, service) = ready(&mut broker, EXCLUDE);
    play(broker.port, &file, "0");
    let alerts = finish(service, 31);
    assert!(alerts.is_empty(), "a false alarm: {alerts:?}");
    let valid: Vec<(String, f64)> = days(&site)
        .into_iter()
        .filter(|(_, (capture, _))| *capture >= 0.75)
        .map(|(day, (_, mean))| (day, mean))
        .collect();
    assert_eq!(valid.len(), 29, "{valid:?}");
    let mean = valid.iter().map(|(_, mean)| mean).sum::<f64>() / 29.0;
    assert!((mean - 25.652).abs() < 0.0005, "mean of days {mean}");
    let (day, highest) = valid.iter().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap();
    assert_eq!(day, "2025-01-21T05:00:00Z", "a local day");
    assert!((highest - 32.619).abs() < 0.0005, "maximum {highest}");
}

#[test]
fn without_the_flags_a_day_reads_far_too_high() {
    let (Some(file), Some(_)) = (corpus(FILE), simulators()) else { return };
    let Some(mut broker) = Mosquitto::start() else { return };
    let (site, service) = ready(&mut broker, "exclude = \"pm25 = -9999\"");
    play(broker.port, &file, "0");
    finish(service, 31);
    let (_, mean) = days(&site)["2025-01-21T05:00:00Z"];
    assert!((mean - 115.4).abs() < 0.05, "{mean}");
    let raised = site.query("SELECT began_at FROM transitions WHERE to_state = 'firing'");
    assert!(raised.iter().any(|row| row["began_at"] == "2025-01-22T05:00:00Z"), "{raised:?}");
}

#[test]
fn killed_in_the_middle_every_window_ends_the_same() {
    let (Some(file), Some(_)) = (corpus(FILE), simulators()) else { return };
    let Some(mut broker) = Mosquitto::start() else { return };
    let (whole, service) = ready(&mut broker, EXCLUDE);
    play(broker.port, &file, "0");
    finish(service, 31);

    let Some(mut broker) = Mosquitto::start() else { return };
    let (killed, service) = ready(&mut broker, EXCLUDE);
    let port = broker.port;
    // A month in about six seconds.
    let player = std::thread::spawn(move || play(port, &file, "446400"));
    service.wait_for_messages("siata", ROWS / 3);
    service.kill();
    let service = killed.start();
    service.wait_for_messages("siata", 2 * ROWS / 3);
    assert!(!player.is_finished(), "both times in the middle");
    service.kill();
    player.join().unwrap();
    finish(killed.start(), 31);

    for window in ["siata_pm25_24h", "siata_pm25_3h"] {
        let (left, right) = (last_revisions(&whole, window), last_revisions(&killed, window));
        assert!(left.len() >= 31, "{window}: {}", left.len());
        assert_eq!(left, right, "{window}");
    }
    let events = "SELECT count(*) AS n, sum(pm25) AS sum FROM siata";
    assert_eq!(whole.query(events), killed.query(events));
}

/// Every window's last revision without what tells when it was decided.
fn last_revisions(site: &Site, window: &str) -> Vec<Row> {
    let mut rows = site.query(&format!("SELECT * FROM {window} ORDER BY time, \"end\", sensor"));
    for row in &mut rows {
        row.retain(|name, _| name != "revision" && name != "cause");
    }
    rows
}
