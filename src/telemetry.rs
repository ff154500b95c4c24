//! Logs and metrics: every metric name stands here.
//!
//! Metrics are counters and gauges in memory, updated from any thread by an atomic add; families
//! take a read lock for the look-up. Label values come from configuration (feeds, receivers) and
//! from closed lists, never from payloads, so that their number is bounded.

use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::io::IsTerminal as _;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::model::Accounts;

/// Environment variable with a log filter; it goes before the configured level.
pub const LOG_VARIABLE: &str = "SERENO_LOG";
/// What `/metrics` answers in: OpenMetrics 1.0 text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up: the service does not start.
#[derive(Debug, Error)]
pub enum LogError {
    /// No filter.
    #[error("`{filter}` is no log filter: {reason}; write a level such as `info`, or `sereno=debug,warn`")]
    Filter {
        /// The text.
        filter: String,
        /// Why not.
        reason: String,
    },
    /// Somebody else set it up before.
    #[error("logging was set up twice in one process")]
    Twice,
}

/// Sends log lines to standard error, filtered by [`LOG_VARIABLE`] or else by `level`.
///
/// # Errors
/// [`LogError`]: tell the operator, do not start.
pub fn log_to_stderr(format: LogFormat, level: &str) -> Result<(), LogError> {
    let asked = std::env::var(LOG_VARIABLE).ok().filter(|filter| !filter.trim().is_empty());
    let filter = asked.unwrap_or_else(|| level.to_owned());
    // The query engine warns of every file whose statistics it cannot prune by: nothing to mend.
    let parsed = EnvFilter::try_new(format!("datafusion_common=error,{filter}"))
        .map_err(|error| LogError::Filter { filter: filter.clone(), reason: error.to_string() })?;
    let lines = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    let set = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    set.map_err(|_| LogError::Twice)
}

/// How one attempt to deliver a notification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// It failed and will be tried again.
    Retried,
    /// It failed for good.
    GivenUp,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::GivenUp => "given_up",
        }
    }
}

/// One label.
type One = [(&'static str, String); 1];
/// Two labels.
type Two = [(&'static str, String); 2];

/// How the last checkpoint since the start went.
#[derive(Default)]
pub struct CheckpointMetrics {
    /// `sereno_checkpoint_age_seconds`: since its manifest was written; before the first, since the
    /// start.
    pub age_seconds: Gauge<f64, AtomicU64>,
    /// `sereno_checkpoint_pause_seconds`: the longest time at a stretch in which a worker folded nothing for it.
    pub pause_seconds: Gauge<f64, AtomicU64>,
    /// `sereno_checkpoint_bytes`: bytes written.
    pub bytes: Gauge,
    /// `sereno_checkpoint_keys`: keys written: those that changed, and those of bases written anew.
    pub keys: Gauge,
    /// `sereno_checkpoint_epoch`: the first journal epoch that is not in it.
    pub epoch: Gauge,
    /// `sereno_checkpoint_failures`: checkpoints since the start that could not be written.
    pub failures: Gauge,
}

/// Where the sequencer's newest snapshot stands.
#[derive(Default)]
pub struct SnapshotMetrics {
    /// `sereno_snapshot_behind_records`: journal records behind the newest, which a start folds.
    pub behind_records: Gauge,
    /// `sereno_snapshot_waited_seconds`: how long ingest has waited for snapshots since the start.
    pub waited_seconds: Gauge<f64, AtomicU64>,
    /// `sereno_snapshot_failures`: snapshots since the start that could not be written.
    pub failures: Gauge,
}

/// Every metric of the service.
pub struct Metrics {
    registry: Registry,
    messages: Family<Two, Counter>,
    events: Family<Two, Counter>,
    readings: Family<Two, Counter>,
    /// `sereno_journal_bytes`: bytes of the journal on disk.
    pub journal_bytes: Gauge,
    /// `sereno_host_clock_ahead_seconds`: how far the host's clock is ahead while it is not followed.
    pub host_clock_ahead_seconds: Gauge,
    /// `sereno_journal_epoch_written`: epochs before it are written.
    pub journal_epoch_written: Gauge,
    /// `sereno_journal_epoch_synced`: epochs before it are synced.
    pub journal_epoch_synced: Gauge,
    /// `sereno_journal_sync_seconds`: how long each fdatasync took.
    pub journal_sync_seconds: Histogram,
    /// `sereno_flow_lag_records`: journal records that the flow has not worked through.
    pub flow_lag_records: Gauge,
    window_events: Family<Two, Gauge>,
    /// `sereno_checkpoint_...`: how the last checkpoint of the flow's state went.
    pub checkpoint: CheckpointMetrics,
    /// `sereno_snapshot_...`: where the sequencer's newest snapshot stands.
    pub snapshot: SnapshotMetrics,
    results: Family<One, Counter>,
    reader_lag: Family<One, Gauge>,
    sink_needs_backfill: Family<One, Gauge>,
    alerts: Family<Two, Gauge>,
    outbox_pending: Family<One, Gauge>,
    outbox_shed: Family<One, Gauge>,
    notifications: Family<Two, Counter>,
    http_requests: Family<Two, Counter>,
    /// `sereno_http_request_seconds`: how long answers took, streams apart.
    pub http_request_seconds: Histogram,
    /// `sereno_live_streams`: live streams that are open.
    pub live_streams: Gauge,
    resident_memory_bytes: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero; the process is taken to have started now.
    #[must_use]
    pub fn new() -> Self {
        // 0.1 ms to 3.3 s.
        let seconds = || Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::default(),
            messages: Family::default(),
            events: Family::default(),
            readings: Family::default(),
            journal_bytes: Gauge::default(),
            host_clock_ahead_seconds: Gauge::default(),
            journal_epoch_written: Gauge::default(),
            journal_epoch_synced: Gauge::default(),
            journal_sync_seconds: seconds(),
            flow_lag_records: Gauge::default(),
            window_events: Family::default(),
            checkpoint: CheckpointMetrics::default(),
            snapshot: SnapshotMetrics::default(),
            results: Family::default(),
            reader_lag: Family::default(),
            sink_needs_backfill: Family::default(),
            alerts: Family::default(),
            outbox_pending: Family::default(),
            outbox_shed: Family::default(),
            notifications: Family::default(),
            http_requests: Family::default(),
            http_request_seconds: seconds(),
            live_streams: Gauge::default(),
            resident_memory_bytes: Gauge::default(),
        };
        metrics.register_ingest();
        metrics.register_flow();
        metrics.register_output();
        metrics.register_process();
        metrics
    }

    /// Names of what comes in and is kept. The text format adds `_total` to counters.
    fn register_ingest(&mut self) {
        let r = &mut self.registry;
        r.register("sereno_messages", "Messages by what became of them", self.messages.clone());
        r.register("sereno_events", "Events by what became of them", self.events.clone());
        r.register("sereno_readings", "Readings by what became of them", self.readings.clone());
        r.register("sereno_journal_bytes", "Bytes of the journal on disk", self.journal_bytes.clone());
        let written = self.journal_epoch_written.clone();
        r.register("sereno_journal_epoch_written", "Journal epochs before this are written", written);
        let synced = self.journal_epoch_synced.clone();
        r.register("sereno_journal_epoch_synced", "Journal epochs before this are synced", synced);
        let ahead = self.host_clock_ahead_seconds.clone();
        r.register("sereno_host_clock_ahead_seconds", "Jump of the host's clock that is not followed", ahead);
        let syncs = self.journal_sync_seconds.clone();
        r.register("sereno_journal_sync_seconds", "Duration of journal syncs", syncs);
    }

    /// Names of what the flow does.
    fn register_flow(&mut self) {
        let r = &mut self.registry;
        let lag = self.flow_lag_records.clone();
        r.register("sereno_flow_lag_records", "Journal records the flow has not worked through", lag);
        let events = self.window_events.clone();
        r.register("sereno_window_events", "Events in a pipeline's windows by what became of them", events);
        let own = &self.checkpoint;
        let age = own.age_seconds.clone();
        r.register("sereno_checkpoint_age_seconds", "Age of the last checkpoint since the start", age);
        let pause = own.pause_seconds.clone();
        r.register("sereno_checkpoint_pause_seconds", "How long the flow paused for the last one", pause);
        r.register("sereno_checkpoint_bytes", "Bytes that the last one wrote", own.bytes.clone());
        r.register("sereno_checkpoint_keys", "Keys that the last one wrote", own.keys.clone());
        r.register("sereno_checkpoint_epoch", "First journal epoch not in the last one", own.epoch.clone());
        let failures = own.failures.clone();
        r.register("sereno_checkpoint_failures", "Checkpoints that could not be written", failures);
        let own = &self.snapshot;
        let behind = own.behind_records.clone();
        r.register("sereno_snapshot_behind_records", "Journal records that a start would fold", behind);
        let waited = own.waited_seconds.clone();
        r.register("sereno_snapshot_waited_seconds", "How long ingest waited for snapshots", waited);
        let failures = own.failures.clone();
        r.register("sereno_snapshot_failures", "Snapshots that could not be written", failures);
    }

    /// Names of what goes out.
    fn register_output(&mut self) {
        let r = &mut self.registry;
        r.register("sereno_results", "Published result rows by kind", self.results.clone());
        r.register("sereno_reader_lag", "Positions a reader is behind its log", self.reader_lag.clone());
        let gaps = self.sink_needs_backfill.clone();
        r.register("sereno_sink_needs_backfill", "1: removed segments left a gap in this sink", gaps);
        r.register("sereno_alerts", "Alerts by state and severity", self.alerts.clone());
        let pending = self.outbox_pending.clone();
        r.register("sereno_outbox_pending", "Notifications waiting for a receiver", pending);
        let shed = self.outbox_shed.clone();
        r.register("sereno_outbox_shed", "Notifications not queued because too many waited", shed);
        let sent = self.notifications.clone();
        r.register("sereno_notifications", "Delivery attempts by how they ended", sent);
        r.register("sereno_http_requests", "HTTP requests by route and status", self.http_requests.clone());
        let duration = self.http_request_seconds.clone();
        r.register("sereno_http_request_seconds", "Duration of HTTP answers, streams apart", duration);
        r.register("sereno_live_streams", "Live streams that are open", self.live_streams.clone());
    }

    fn register_process(&mut self) {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let started = Gauge::<f64, AtomicU64>::default();
        started.set(start);
        let r = &mut self.registry;
        let memory = self.resident_memory_bytes.clone();
        r.register("process_resident_memory_bytes", "Resident memory", memory);
        r.register("process_start_time_seconds", "Start of the process since 1970", started);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("sereno_build", "What is running", build);
    }

    /// Adds a batch's part of a feed's accounts to `sereno_messages_total`,
    /// `sereno_events_total` and `sereno_readings_total`.
    pub fn account(&self, feed: &str, delta: &Accounts) {
        for (name, count) in Accounts::NAMES.iter().zip(delta.to_array()) {
            let Some((kind, outcome)) = name.split_once('_').filter(|_| count > 0) else { continue };
            let family = match kind {
                "messages" => &self.messages,
                "events" => &self.events,
                _ => &self.readings,
            };
            family.get_or_create(&[("feed", feed.to_owned()), ("outcome", outcome.to_owned())]).inc_by(count);
        }
    }

    /// Sets `sereno_window_events{pipeline,outcome}`: `counted`, `late`, `too_late`, `excluded`,
    /// `unjudged`, each over all windows of the pipeline since its first definition.
    pub fn window_events(&self, pipeline: &str, outcome: &'static str, count: u64) {
        let labels = [("pipeline", pipeline.to_owned()), ("outcome", outcome.to_owned())];
        self.window_events.get_or_create(&labels).set(whole(count));
    }

    /// Adds to `sereno_results_total{kind}`: `aggregate`, `retraction`, `transition`.
    pub fn results(&self, kind: &'static str, count: u64) {
        self.results.get_or_create(&[("kind", kind.to_owned())]).inc_by(count);
    }

    /// Sets `sereno_reader_lag{reader}`: how far a reader is behind its log.
    pub fn reader_lag(&self, reader: &str, lag: u64) {
        self.reader_lag.get_or_create(&[("reader", reader.to_owned())]).set(whole(lag));
    }

    /// Sets `sereno_sink_needs_backfill{sink}`: 1 when what it had not read was removed.
    pub fn sink_needs_backfill(&self, sink: &str, needed: bool) {
        self.sink_needs_backfill.get_or_create(&[("sink", sink.to_owned())]).set(i64::from(needed));
    }

    /// Sets `sereno_alerts{state,severity}`.
    pub fn alerts(&self, state: &str, severity: &str, count: u64) {
        let labels = [("state", state.to_owned()), ("severity", severity.to_owned())];
        self.alerts.get_or_create(&labels).set(whole(count));
    }

    /// Sets `sereno_outbox_pending{receiver}` and `sereno_outbox_shed{receiver}`.
    pub fn outbox(&self, receiver: &str, pending: u64, shed: u64) {
        let labels = [("receiver", receiver.to_owned())];
        self.outbox_pending.get_or_create(&labels).set(whole(pending));
        self.outbox_shed.get_or_create(&labels).set(whole(shed));
    }

    /// Adds to `sereno_notifications_total{receiver,outcome}`.
    pub fn notified(&self, receiver: &str, outcome: Outcome) {
        let labels = [("receiver", receiver.to_owned()), ("outcome", outcome.as_str().to_owned())];
        self.notifications.get_or_create(&labels).inc();
    }

    /// Adds to `sereno_http_requests_total{route,status}`; `route` is one of a closed list.
    pub fn http_request(&self, route: &'static str, status: u16) {
        let labels = [("route", route.to_owned()), ("status", status.to_string())];
        self.http_requests.get_or_create(&labels).inc();
    }

    /// All of it as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        self.resident_memory_bytes.set(whole(resident_memory_bytes().unwrap_or_default()));
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Resident memory as Linux reports it; elsewhere unknown.
fn resident_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_reference_is_served() {
        let metrics = Metrics::new();
        let delta =
            Accounts { messages_received: 3, events_stored: 2, readings_stored: 5, ..Accounts::default() };
        metrics.account("air", &delta);
        metrics.results("aggregate", 4);
        metrics.window_events("air", "unjudged", 3);
        metrics.checkpoint.pause_seconds.set(0.25);
        metrics.reader_lag("store", 7);
        metrics.sink_needs_backfill("influx", true);
        metrics.alerts("firing", "warning", 1);
        metrics.outbox("office", 2, 0);
        metrics.notified("office", Outcome::Delivered);
        metrics.http_request("/api/v1/status", 200);
        let text = metrics.encode();
        for line in [
            "sereno_messages_total{feed=\"air\",outcome=\"received\"} 3",
            "sereno_events_total{feed=\"air\",outcome=\"stored\"} 2",
            "sereno_readings_total{feed=\"air\",outcome=\"stored\"} 5",
            "sereno_journal_bytes 0",
            "sereno_host_clock_ahead_seconds 0",
            "sereno_journal_epoch_written 0",
            "sereno_journal_epoch_synced 0",
            "sereno_journal_sync_seconds_count 0",
            "sereno_flow_lag_records 0",
            "sereno_window_events{pipeline=\"air\",outcome=\"unjudged\"} 3",
            "sereno_checkpoint_age_seconds 0.0",
            "sereno_checkpoint_pause_seconds 0.25",
            "sereno_checkpoint_bytes 0",
            "sereno_checkpoint_keys 0",
            "sereno_checkpoint_epoch 0",
            "sereno_checkpoint_failures 0",
            "sereno_snapshot_behind_records 0",
            "sereno_snapshot_waited_seconds 0.0",
            "sereno_snapshot_failures 0",
            "sereno_results_total{kind=\"aggregate\"} 4",
            "sereno_reader_lag{reader=\"store\"} 7",
            "sereno_sink_needs_backfill{sink=\"influx\"} 1",
            "sereno_alerts{state=\"firing\",severity=\"warning\"} 1",
            "sereno_outbox_pending{receiver=\"office\"} 2",
            "sereno_notifications_total{receiver=\"office\",outcome=\"delivered\"} 1",
            "sereno_http_requests_total{route=\"/api/v1/status\",status=\"200\"} 1",
            "process_resident_memory_bytes ",
            "process_start_time_seconds ",
            "sereno_build_info{version=",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("outcome=\"decoded\""), "nothing is counted that did not happen");
    }
}
