//! `sereno demo`: the whole city on one machine, alive within half a minute of its start.

use std::time::{Duration, Instant};

use crate::harness::ports::free_port;
use crate::harness::site::sereno;
use crate::harness::{Sereno, eventually, seconds};

/// What a newcomer is promised.
const ALIVE_WITHIN: Duration = Duration::from_secs(30);

/// A demo's folder and ports.
struct Demo {
    folder: tempfile::TempDir,
    http: u16,
    mqtt: u16,
}

impl Demo {
    fn start(&self) -> Sereno {
        let mut command = sereno(&["demo", "--language", "en", "--data-dir"]);
        command.arg(self.folder.path().join("data"));
        command.args(["--http-port", &self.http.to_string(), "--mqtt-port", &self.mqtt.to_string()]);
        Sereno::start(self.folder.path(), self.http, command)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("sereno.out")).unwrap()
    }
}

/// Ctrl-C.
fn interrupt(mut service: Sereno) {
    service.process.signal("INT");
    let status = service.process.wait(seconds(20));
    assert_eq!(status.code(), Some(0), "{}", service.process.stderr());
}

/// Sensors that were heard of since `started`, on a clock of the service.
fn live_sensors(service: &Sereno, since: &str) -> usize {
    let sensors = service.api("sensors", &[("limit", "1000")]);
    let sensors = sensors["sensors"].as_array().unwrap().clone();
    let is_live =
        |sensor: &&serde_json::Value| sensor["last_arrived_at"].as_str().unwrap_or_default() > since;
    sensors.iter().filter(is_live).count()
}

fn events(service: &Sereno) -> u64 {
    service.api("status", &[])["events"].as_u64().unwrap()
}

#[test]
fn the_demo_is_alive_stops_cleanly_and_goes_on() {
    let demo = Demo { folder: tempfile::tempdir().unwrap(), http: free_port(), mqtt: free_port() };
    let start = Instant::now();
    let service = demo.start();
    let started_at = service.api("status", &[])["started_at"].as_str().unwrap().to_owned();
    let left = || ALIVE_WITHIN.saturating_sub(start.elapsed());
    eventually("live values of sensors", left(), || (live_sensors(&service, &started_at) >= 5).then_some(()));
    let aggregates = |pipeline: &str, window: &str| {
        let answer =
            service.api("aggregates", &[("pipeline", pipeline), ("window", window), ("limit", "1000")]);
        answer["rows"].as_array().unwrap().len()
    };
    eventually("history", left(), || (aggregates("air-quality", "pm25_10m") >= 100).then_some(()));
    eventually("alerts", left(), || service.alerts("all").pop());
    let zones = service.api("zones", &[]);
    assert!(zones["features"].as_array().unwrap().len() >= 10, "the city has a map");
    let before = events(&service);
    interrupt(service);
    let said = demo.said();
    assert!(said.contains("Replaying the last 6 simulated hours") && said.contains("events/s"), "{said}");
    assert!(said.contains("Sereno has stopped"), "{said}");

    let service = demo.start();
    assert!(events(&service) >= before, "the second start goes on with the first one's data");
    let started_at = service.api("status", &[])["started_at"].as_str().unwrap().to_owned();
    eventually("live values again", seconds(30), || (live_sensors(&service, &started_at) >= 5).then_some(()));
    interrupt(service);
}
