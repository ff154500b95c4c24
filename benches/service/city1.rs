//! The CITY-1 load in an installation with its three queries.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sereno_simulators::city1::{EVENTS_PER_SECOND, Load, Written};

use super::catch_up::now_ms;
use super::mqtt::Publisher;
use super::queries;
pub use super::queries::SENSORS;
use super::site::Site;

/// Where its feed listens.
pub const TOPIC: &str = "ciudad/aire";
/// `sereno.toml` without the store: what is left are journal and results log.
pub const NO_STORE: &str = "[store]\nembedded = false";
/// Lines published one after the other without a look at the clock.
const AT_ONCE: u64 = 100;
/// A million sensors need more than what is allowed unasked.
pub const ROOM: &str = "[limits]\nstate_bytes_max = \"8GiB\"";

/// An installation with the three queries, and the load in a file of it.
pub struct City1 {
    /// The installation.
    pub site: Site,
    /// The file.
    pub file: PathBuf,
    /// What is in it.
    pub written: Written,
}

impl City1 {
    /// Writes both.
    pub fn write() -> Self {
        Self::of(ROOM, SENSORS, queries::lines())
    }

    /// An installation with the three queries and no load; `tables` are added to its `sereno.toml`.
    pub fn site(tables: &str) -> Site {
        Site::new(tables).with_pipeline("city1", queries::PIPELINE)
    }

    /// The same with so many sensors and lines, and with `tables` in `sereno.toml`.
    pub fn of(tables: &str, sensors: u32, events: u64) -> Self {
        let site = Self::site(tables);
        let file = site.path("city1.ndjson");
        let written = queries::write(&file, sensors, events);
        Self { site, file, written }
    }

    /// The same file for another installation.
    pub fn with_site(&self, site: Site) -> Self {
        Self { site, file: self.file.clone(), written: self.written }
    }
}

/// A load in memory, and what is in it.
pub fn text(load: Load) -> (String, Written) {
    let mut lines = Vec::new();
    let written = load.write(&mut lines).expect("memory takes everything");
    (String::from_utf8(lines).expect("the load is text"), written)
}

/// Publishes so many seconds of the load as they pass; returns once everything is acknowledged.
pub async fn publish(port: u16, seconds: u64) {
    let events = seconds * EVENTS_PER_SECOND;
    let (lines, written) = text(Load { seed: 1, sensors: SENSORS, events, start_ms: now_ms() });
    let mut publisher = Publisher::connect(port);
    let began = Instant::now();
    for (number, line) in (0..).zip(lines.lines()) {
        let due = Duration::from_micros(number * 1_000_000 / EVENTS_PER_SECOND);
        if number % AT_ONCE == 0 {
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        }
        publisher.push(TOPIC.to_owned(), line.to_owned()).await;
    }
    publisher.wait_for(written.lines).await;
    publisher.end().await;
}
