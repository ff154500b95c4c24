//! The running service.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http;
use super::process::Process;
use super::wait::{eventually, seconds};

/// A service that answered `/readyz`.
pub struct Sereno {
    /// The process.
    pub process: Process,
    base: String,
}

impl Sereno {
    /// Runs `command` and waits until `/readyz` on `port` says ready.
    #[track_caller]
    pub fn start(folder: &Path, port: u16, command: Command) -> Self {
        let mut process = Process::start("sereno", folder, command);
        let base = format!("http://127.0.0.1:{port}");
        eventually("/readyz", seconds(30), || {
            assert!(process.ended().is_none(), "sereno ended: {}", process.stderr());
            http::get(&format!("{base}/readyz"), &[]).filter(|(status, _)| *status == 200)
        });
        Self { process, base }
    }

    /// Where a path of it is.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The JSON of `/api/v1/...`.
    #[track_caller]
    pub fn api(&self, path: &str, query: &[(&str, &str)]) -> Value {
        http::json(&self.url(&format!("/api/v1/{path}")), query)
    }

    /// The values of one quantity of a sensor, by event time.
    #[track_caller]
    pub fn values(&self, sensor: &str, quantity: &str) -> Vec<f64> {
        // Stored events lie anywhere in time; without `from` only the last hours are asked for.
        let query = [
            ("sensor", sensor),
            ("quantity", quantity),
            ("from", "2000-01-01T00:00:00Z"),
            ("to", "2100-01-01T00:00:00Z"),
            ("limit", "10000"),
        ];
        let answer = self.api("readings", &query);
        answer["rows"].as_array().unwrap().iter().map(|row| row["value"].as_f64().unwrap()).collect()
    }

    /// Waits for these values of one quantity, in order of event time.
    #[track_caller]
    pub fn wait_for_values(&self, sensor: &str, quantity: &str, wanted: &[f64]) {
        self.wait_for_values_within(sensor, quantity, wanted, seconds(15));
    }

    /// The same, for as long as the caller knows it may take.
    #[track_caller]
    pub fn wait_for_values_within(&self, sensor: &str, quantity: &str, wanted: &[f64], within: Duration) {
        let start = Instant::now();
        loop {
            let values = self.values(sensor, quantity);
            if values == wanted {
                return;
            }
            assert!(start.elapsed() < within, "{quantity} of {sensor} is {values:?}, not {wanted:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Every alert.
    #[track_caller]
    pub fn alerts(&self, state: &str) -> Vec<Value> {
        self.api("alerts", &[("state", state), ("limit", "1000")])["alerts"].as_array().unwrap().clone()
    }

    /// The quarantine, the newest first.
    #[track_caller]
    pub fn quarantine(&self) -> Vec<Value> {
        self.api("quarantine", &[("limit", "1000")])["quarantine"].as_array().unwrap().clone()
    }

    /// The sum of a message count over the hours of a feed.
    #[track_caller]
    pub fn messages(&self, feed: &str, count: &str) -> u64 {
        self.account(feed, "messages", count)
    }

    /// The sum of a count of `messages`, `events` or `readings` over the hours of a feed.
    #[track_caller]
    pub fn account(&self, feed: &str, of: &str, count: &str) -> u64 {
        let accounts = self.api("accounts", &[("feed", feed)]);
        accounts["accounts"].as_array().unwrap().iter().map(|a| a[of][count].as_u64().unwrap()).sum()
    }

    /// The rows of a query, with what no file holds yet.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> Vec<Value> {
        let answer = http::post_json(&self.url("/api/v1/query"), &serde_json::json!({ "sql": sql }));
        answer["rows"].as_array().unwrap_or_else(|| panic!("{sql}: {answer}")).clone()
    }

    /// Waits until a feed has received so many messages since the data folder began.
    #[track_caller]
    pub fn wait_for_messages(&self, feed: &str, wanted: u64) {
        eventually(&format!("{wanted} messages of {feed}"), seconds(60), || {
            (self.messages(feed, "received") >= wanted).then_some(())
        });
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// A clean stop, which must succeed.
    #[track_caller]
    pub fn stop(mut self) {
        let status: ExitStatus = self.process.stop();
        assert!(status.success(), "{status}: {}", self.process.stderr());
    }
}
