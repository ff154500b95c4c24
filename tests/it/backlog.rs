//! Backlogs: what waited while Sereno or a gateway was away comes in, is counted whole, and wakes
//! nobody for what is over.

use crate::harness::level::{self, message};
use crate::harness::mqtt::publish;
use crate::harness::receiver::Receiver;
use crate::harness::table::Row;
use crate::harness::wait::{now_ms, utc_ms};
use crate::harness::{Mosquitto, Sereno, Site, eventually, seconds};

const MINUTE_MS: i64 = 60_000;

/// A reading a minute; an alert when two windows in a row are high, and one on single readings.
const GAUGES: &str = r#"
[[window]]
name = "sensor_1m"
size = "1m"
fields = { level_max = "max(level)" }

[[window]]
name = "zone_5m"
size = "5m"
by = ["zone"]
fields = { level_max = "max(level)" }

[[rule]]
name = "window-high"
on = "sensor_1m"
when = "level_max >= 100"
for = "1m"
severity = "warning"
title = { es = "Nivel alto", en = "High level" }
message = { es = "{sensor}", en = "{sensor}" }

[[rule]]
name = "reading-high"
on = "readings"
when = "level >= 100"
severity = "warning"
title = { es = "Nivel alto", en = "High level" }
message = { es = "{sensor}", en = "{sensor}" }
"#;

fn gauges(lateness: &str) -> String {
    let settings = format!("amend_every = \"1s\"\n{lateness}");
    let feed = "out_of_orderness = \"1s\"\nexpected_interval = \"1m\"\ndevices_max = 100";
    level::pipeline(&settings, feed, GAUGES)
}

/// A reading of every minute of `[from, to)`, minutes before now; high within `high`.
fn readings(sensor: &str, now: i64, from: i64, to: i64, high: &[(i64, i64)]) -> Vec<(String, Vec<u8>)> {
    let is_high = |minute: i64| high.iter().any(|(begin, end)| (*end + 1..=*begin).contains(&minute));
    let reading = |minute: i64| {
        let level = if is_high(minute) { 150.0 } else { 20.0 };
        let text = message(now - minute * MINUTE_MS, level).into_bytes();
        (format!("city/center/level/{sensor}"), text)
    };
    (to + 1..=from).rev().map(reading).collect()
}

fn steps(site: &Site, rule: &str, sensor: &str) -> Vec<Row> {
    site.query(&format!(
        "SELECT time, to_state FROM transitions WHERE rule = '{rule}' AND sensor = '{sensor}' \
         AND to_state IN ('firing', 'resolved') ORDER BY cause"
    ))
}

/// The windows of a table have counted so many readings.
fn counted(service: &Sereno, table: &str) -> u64 {
    let is_table = service.sql("SHOW TABLES").iter().any(|row| row.to_string().contains(table));
    let sum = || service.sql(&format!("SELECT sum(count) AS n FROM {table}"))[0]["n"].as_u64();
    if is_table { sum().unwrap_or_default() } else { 0 }
}

#[track_caller]
fn wait_for_events(service: &Sereno, wanted: u64) {
    let events = || service.api("status", &[])["events"].as_u64();
    eventually(&format!("{wanted} events"), seconds(30), || (events() >= Some(wanted)).then_some(()));
}

/// Down for two hours while mosquitto held: three episodes, two of them long over.
#[test]
fn after_two_hours_away_nobody_is_told_of_what_is_over() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let receiver = Receiver::start();
    let settings = format!(
        "{}[[receiver]]\nname = \"desk\"\nwebhook = {{ url = \"http://127.0.0.1:{}/\" }}\n",
        broker.settings(),
        receiver.port
    );
    let site = Site::new(&settings).with_pipeline("level", &gauges(""));
    let service = site.start();
    broker.wait_for_subscription();
    service.stop();

    let now = now_ms();
    let sensors = ["g-1", "g-2", "g-3"];
    // Two sensors had an episode long ago; one of them, and the third, has one that goes on.
    publish(broker.port, "gateway-1", readings("g-1", now, 121, 0, &[(110, 100), (3, -1)]));
    publish(broker.port, "gateway-2", readings("g-2", now, 121, 0, &[(90, 80)]));
    publish(broker.port, "gateway-3", readings("g-3", now, 121, 0, &[(3, -1)]));

    let service = site.start();
    wait_for_events(&service, 3 * 121);
    let firing = || Some(service.alerts("firing").len()).filter(|count| *count == 4);
    eventually("both rules fire for both sensors of now", seconds(90), firing);
    // Whoever would be told of the rest would be by now.
    std::thread::sleep(seconds(5));
    let told = receiver.deliveries();
    let mut keys: Vec<(String, String)> = told
        .iter()
        .map(|delivery| delivery.json())
        .map(|alert| (alert["rule"].to_string(), alert["key"]["sensor"].to_string()))
        .collect();
    keys.sort();
    let quoted = |text: &str| format!("\"{text}\"");
    let wanted: Vec<(String, String)> = ["reading-high", "window-high"]
        .iter()
        .flat_map(|rule| ["g-1", "g-3"].map(|sensor| (quoted(rule), quoted(sensor))))
        .collect();
    assert_eq!(keys, wanted, "told of what goes on, and of nothing else");
    let rules: Vec<_> = service.alerts("all").iter().map(|alert| alert["rule"].to_string()).collect();
    assert!(rules.iter().all(|rule| rule.contains("-high")), "no alert of absence: {rules:?}");
    service.stop();

    for rule in ["reading-high", "window-high"] {
        for (sensor, episodes) in sensors.iter().zip([3, 2, 1]) {
            let steps = steps(&site, rule, sensor);
            assert_eq!(steps.len(), episodes, "{rule} of {sensor}: {steps:?}");
            let times: Vec<i64> = steps.iter().map(|step| utc_ms(&step["time"])).collect();
            assert!(times.is_sorted(), "{rule} of {sensor} in order of events: {steps:?}");
            let alternate = steps.iter().zip(["firing", "resolved"].iter().cycle());
            assert!(alternate.into_iter().all(|(step, to)| step["to_state"] == *to), "{steps:?}");
        }
    }
}

/// Another gateway's sensor is live; this one's gateway brings an hour at once, in order.
fn an_hour_at_once(lateness: &str) -> (u64, u64) {
    let site = Site::new("").with_pipeline("level", &gauges(lateness));
    let service = site.start();
    let now = now_ms();
    publish(site.mqtt, "gateway-1", readings("live", now, 110, 0, &[]));
    publish(site.mqtt, "gateway-2", readings("away", now, 110, 70, &[]));
    wait_for_events(&service, 110 + 40);
    // Live windows are closed before the batch comes.
    eventually("the live windows", seconds(60), || {
        (counted(&service, "level_sensor_1m") >= 140).then_some(())
    });
    publish(site.mqtt, "gateway-2", readings("away", now, 70, 5, &[]));
    wait_for_events(&service, 110 + 105);
    let of_sensors = || Some(counted(&service, "level_sensor_1m")).filter(|count| *count >= 210);
    eventually("the windows of sensors", seconds(30), of_sensors);
    std::thread::sleep(seconds(4));
    service.stop();
    let sum = |table: &str, more: &str| -> u64 {
        let end = (now - 6 * MINUTE_MS) / 1_000;
        let sql = format!("SELECT sum(count) AS n FROM {table} WHERE \"end\" <= to_timestamp({end}) {more}");
        site.query(&sql)[0]["n"].parse().unwrap()
    };
    let first = (now - 6 * MINUTE_MS) / 1_000;
    let of_events = |sensors: &str, end: &str| -> u64 {
        let sql = format!(
            "SELECT count(*) AS n FROM level WHERE {sensors} AND time < (SELECT max(\"end\") FROM {end} \
             WHERE \"end\" <= to_timestamp({first}))"
        );
        site.query(&sql)[0]["n"].parse().unwrap()
    };
    let away = "AND sensor = 'away'";
    let sensor_lost = of_events("sensor = 'away'", "level_sensor_1m") - sum("level_sensor_1m", away);
    let zone_lost = of_events("true", "level_zone_5m") - sum("level_zone_5m", "");
    (sensor_lost, zone_lost)
}

#[test]
fn an_hours_batch_in_order_is_too_late_for_nothing() {
    assert_eq!(an_hour_at_once(""), (0, 0), "lost by windows of the sensor, of the zone");
}

/// What `allowed_lateness` decides, it decides for the zone alone.
#[test]
fn an_hours_batch_is_too_late_for_zones_that_do_not_wait() {
    let (of_sensor, of_zone) = an_hour_at_once("allowed_lateness = \"10m\"");
    assert_eq!(of_sensor, 0, "lost by windows of the sensor");
    assert!(of_zone >= 30, "{of_zone} lost by windows of the zone");
}

/// Three readings and then silence: the window they lie in closes all the same.
#[test]
fn the_last_window_of_a_dying_sensor_is_published() {
    let pipeline = gauges("close_after = \"2s\"").replace("size = \"1m\"", "size = \"5s\"");
    let site = Site::new("").with_pipeline("level", &pipeline.replace("for = \"1m\"", "for = \"5s\""));
    let service = site.start();
    let begin = now_ms();
    for number in 0..3 {
        let text = message(begin + number, 20.0).into_bytes();
        publish(site.mqtt, "gateway", vec![("city/center/level/dying".to_owned(), text)]);
    }
    let closed = || Some(counted(&service, "level_sensor_1m")).filter(|count| *count == 3);
    eventually("its last window", seconds(25), closed);
    service.stop();
}
