//! The real VictoriaMetrics, which takes InfluxDB's line protocol.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::http;
use super::peers::program;
use super::ports::free_port;
use super::process::Process;
use super::wait::{eventually, seconds};

/// A database with its own folder.
pub struct Victoria {
    folder: TempDir,
    process: Option<Process>,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Victoria {
    /// Starts one; `None` where there is none.
    pub fn start() -> Option<Self> {
        program("victoria-metrics")?;
        let mut database = Self { folder: tempfile::tempdir().unwrap(), process: None, port: free_port() };
        database.run();
        Some(database)
    }

    /// Runs it (again) on the same data.
    pub fn run(&mut self) {
        let mut command = Command::new(program("victoria-metrics").unwrap());
        command.arg(format!("-httpListenAddr=127.0.0.1:{}", self.port));
        command.arg(format!("-storageDataPath={}", self.folder.path().join("data").display()));
        command.args(["-retentionPeriod=100y", "-search.latencyOffset=0s", "-memory.allowedBytes=128MB"]);
        // A point written twice (a retry, an amended window) is one: the biggest.
        command.arg("-dedup.minScrapeInterval=1ms");
        self.process = Some(Process::start("victoria-metrics", self.folder.path(), command));
        let url = format!("http://127.0.0.1:{}/health", self.port);
        eventually("VictoriaMetrics", seconds(20), || http::get(&url, &[]).filter(|(code, _)| *code == 200));
    }

    /// Stops it cleanly.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("INT");
            process.wait(seconds(30));
        }
    }

    /// Settings that make it a sink beside the embedded store.
    pub fn settings(&self) -> String {
        let port = self.port;
        format!("[influx]\nurl = \"http://127.0.0.1:{port}\"\norg = \"city\"\nbucket = \"sereno\"\n")
    }

    /// Every sample of the series of a selector: (milliseconds, value) in order of time.
    pub fn export(&self, selector: &str) -> Vec<(i64, f64)> {
        // What was just written is searchable only after a flush.
        http::get(&format!("http://127.0.0.1:{}/internal/force_flush", self.port), &[]);
        let url = format!("http://127.0.0.1:{}/api/v1/export", self.port);
        let query = [("match[]", selector), ("start", "2000-01-01T00:00:00Z")];
        let (status, text) = http::get(&url, &query).expect("VictoriaMetrics answers");
        assert_eq!(status, 200, "{text}");
        let mut samples: Vec<(i64, f64)> = text.lines().flat_map(series).collect();
        samples.sort_by_key(|sample| sample.0);
        samples
    }
}

fn series(line: &str) -> Vec<(i64, f64)> {
    let series: Value = serde_json::from_str(line).unwrap();
    let times = series["timestamps"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap());
    let values = series["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
    times.zip(values).collect()
}
