//! Clocks that go wrong. A device's own harms only itself; a jump of the host's is not followed, and
//! no window, no watermark and no arrival time moves by it.

use std::time::Instant;

use crate::harness::faketime::WallClock;
use crate::harness::level::{self, message};
use crate::harness::mqtt::publish;
use crate::harness::wait::{now_ms, utc_ms};
use crate::harness::{Sereno, Site, eventually, seconds};

const HOUR_S: i64 = 3_600;
const YEAR_S: i64 = 365 * 86_400;
/// What a slow machine may take between a publication and its arrival.
const SLOW_MS: i64 = 20_000;

/// Windows of five seconds, by sensor and by zone, that close soon.
const SHORT: &str = r#"
[[window]]
name = "sensor_5s"
size = "5s"
fields = { level_mean = "mean(level)" }

[[window]]
name = "zone_5s"
size = "5s"
by = ["zone"]
fields = { level_mean = "mean(level)" }
"#;

fn short() -> Site {
    let feed = "out_of_orderness = \"1s\"\ndevices_max = 100";
    let pipeline = level::pipeline("amend_every = \"1s\"", feed, SHORT);
    Site::new("[limits]\nstate_bytes_max = \"8GiB\"\n").with_pipeline("level", &pipeline)
}

fn send(site: &Site, sensor: &str, at: i64, level: f64) {
    let text = message(at, level).into_bytes();
    publish(site.mqtt, sensor, vec![(format!("city/center/level/{sensor}"), text)]);
}

/// Waits until the windows of a sensor (or of all) have counted so many readings.
#[track_caller]
fn wait_for_count(service: &Sereno, sensor: &str, wanted: u64) {
    let table = "level_sensor_5s";
    let sql = format!("SELECT sum(count) AS n FROM {table} WHERE sensor LIKE '{sensor}'");
    let is_table = || service.sql("SHOW TABLES").iter().any(|row| row.to_string().contains(table));
    let counted = || if is_table() { service.sql(&sql)[0]["n"].as_u64() } else { None };
    eventually(&format!("{wanted} readings of {sensor} in windows"), seconds(40), || {
        counted().filter(|count| *count >= wanted)
    });
    assert_eq!(counted(), Some(wanted), "readings of {sensor} in windows");
}

#[test]
fn a_device_with_a_wrong_clock_harms_only_itself() {
    let site = short();
    let service = site.start();
    let now = now_ms();
    let begin = now - 60_000;
    // In 1970, in 2038 (the end of 32 bits), in 2099, and seconds where milliseconds are meant.
    let wrong = [
        ("g-1970", 60_000, "unset_clock"),
        ("g-2038", 2_147_483_648_000, "future_time"),
        ("g-2099", 4_070_908_800_000, "future_time"),
        ("g-seconds", now / 1_000, "unset_clock"),
    ];
    for round in 0..20_i64 {
        send(&site, "g-good", begin + round * 1_000, f64::from(u8::try_from(round).unwrap()));
        for (sensor, at, _) in wrong {
            send(&site, sensor, at + round, 1.0);
        }
        // A clock of twenty years ago: an event like another, too late for its own windows alone.
        send(&site, "g-2006", 1_136_073_600_000 + round, 1.0);
    }
    service.wait_for_messages("level", 20 * 6);
    wait_for_count(&service, "g-good", 20);
    assert_eq!(service.values("g-2006", "level").len(), 20);
    let quarantine = service.quarantine();
    for (sensor, _, reason) in wrong {
        let of = |entry: &&serde_json::Value| entry["topic"] == format!("city/center/level/{sensor}");
        let entries: Vec<_> = quarantine.iter().filter(of).collect();
        assert_eq!(entries.len(), 20, "{sensor} in quarantine");
        for entry in entries {
            assert_eq!(entry["reason"], reason, "{sensor}: {entry}");
            assert!(!entry["detail"].as_str().unwrap().is_empty(), "{sensor}: {entry}");
        }
        assert!(service.values(sensor, "level").is_empty(), "{sensor} has no reading");
    }
    let quarantined =
        service.messages("level", "quarantined") + service.account("level", "events", "quarantined");
    assert_eq!(quarantined, 80);
    assert_eq!(service.account("level", "events", "stored"), 40);
    // The good device's clock is what moves the zone's windows: a reading of now is not too late.
    send(&site, "g-good", begin + 30_000, 99.0);
    wait_for_count(&service, "g-good", 21);
    // What came before the first tick of the service was not sealed yet: that window is published.
    let closed = "SELECT count(*) AS n FROM level_sensor_5s WHERE sensor NOT IN ('g-good', 'g-2006')";
    assert_eq!(service.sql(closed)[0]["n"], 0, "windows of devices with wrong clocks");
    service.stop();
}

/// A device that reports the real time every quarter of a second, while the host's clock is moved.
#[track_caller]
fn report(site: &Site, service: &Sereno, count: u64, sent: &mut u64) {
    for _ in 0..count {
        send(site, "g-1", now_ms(), 1.0);
        *sent += 1;
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    let stored = || service.api("status", &[])["events"].as_u64();
    eventually("every event", seconds(20), || (stored() >= Some(*sent)).then_some(()));
}

/// Arrival times by journal sequence, in milliseconds since 1970.
fn arrivals(site: &Site) -> Vec<i64> {
    let rows = site.query("SELECT arrived_at FROM level ORDER BY sequence");
    rows.iter().map(|row| utc_ms(&row["arrived_at"])).collect()
}

#[test]
fn an_hours_jump_of_the_hosts_clock_moves_nothing() {
    jump(HOUR_S);
}

#[test]
fn an_hours_jump_back_moves_nothing() {
    jump(-HOUR_S);
}

#[test]
fn a_years_jump_moves_nothing() {
    jump(YEAR_S);
}

#[test]
fn a_years_jump_back_moves_nothing() {
    jump(-YEAR_S);
}

/// The host's clock jumps under the running service and comes back.
fn jump(off: i64) {
    let site = short();
    let Some(clock) = WallClock::new(site.folder()) else { return };
    let service = site.start_with(&clock.environment());
    let (began, start, mut sent) = (now_ms(), Instant::now(), 0);
    report(&site, &service, 4, &mut sent);
    clock.set_off(off);
    report(&site, &service, 12, &mut sent);
    clock.set_off(0);
    report(&site, &service, 4, &mut sent);
    // Everything was taken in at its time: nothing is late, nothing in quarantine, every window
    // closes.
    wait_for_count(&service, "%", sent);
    assert_eq!(service.messages("level", "quarantined"), 0, "jump of {off} s");
    service.stop();
    let took = i64::try_from(start.elapsed().as_millis()).unwrap();
    let arrivals = arrivals(&site);
    assert!(arrivals.is_sorted(), "jump of {off} s: arrival times go back: {arrivals:?}");
    let range = began - SLOW_MS..began + took + SLOW_MS;
    assert!(arrivals.iter().all(|at| range.contains(at)), "jump of {off} s was followed: {arrivals:?}");
    let said = std::fs::read_to_string(site.path("sereno.err")).unwrap();
    assert!(said.contains("clock jumped"), "jump of {off} s is not said: {said}");
}

#[test]
fn arrival_never_goes_back_when_the_clock_was_set_back_meanwhile() {
    let site = short();
    let Some(clock) = WallClock::new(site.folder()) else { return };
    clock.set_off(HOUR_S);
    let mut sent = 0;
    let service = site.start_with(&clock.environment());
    report(&site, &service, 4, &mut sent);
    service.stop();
    clock.set_off(0);
    let service = site.start_with(&clock.environment());
    report(&site, &service, 8, &mut sent);
    service.stop();
    let arrivals = arrivals(&site);
    assert_eq!(arrivals.len() as u64, sent);
    assert!(arrivals.is_sorted(), "arrival times go back: {arrivals:?}");
    assert!(arrivals[0] > now_ms() + HOUR_S * 1_000 / 2, "the first run was an hour ahead: {arrivals:?}");
    let step = arrivals.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(step < Some(SLOW_MS * 2), "time goes on where it was: {arrivals:?}");
}
