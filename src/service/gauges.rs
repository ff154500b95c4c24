//! Metrics that nobody pushes: how far journal and flow are, how large the journal is and how far off
//! the host's clock, looked up now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::run::stopped;
use crate::api::LiveView;
use crate::journal::Progress;
use crate::telemetry::Metrics;

/// They are looked up this often.
const EVERY: Duration = Duration::from_secs(5);

/// Looks them up until `stop`.
pub async fn run(
    (progress, flow): (Arc<Progress>, Arc<Progress>),
    live: Arc<LiveView>,
    metrics: Arc<Metrics>,
    journal: std::path::PathBuf,
    stop: watch::Receiver<bool>,
) {
    let mut every = tokio::time::interval(EVERY);
    let mut stop = std::pin::pin!(stopped(stop));
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = &mut stop => return,
        }
        metrics.host_clock_ahead_seconds.set(live.totals().host_clock_ahead_seconds);
        let now = progress.now();
        let lag = progress.records().saturating_sub(flow.records());
        metrics.flow_lag_records.set(i64::try_from(lag).unwrap_or(i64::MAX));
        metrics.journal_epoch_written.set(i64::try_from(now.written).unwrap_or(i64::MAX));
        metrics.journal_epoch_synced.set(i64::try_from(now.synced).unwrap_or(i64::MAX));
        let bytes =
            std::fs::read_dir(&journal).into_iter().flatten().filter_map(|entry| entry.ok()?.metadata().ok());
        let bytes: u64 = bytes.map(|metadata| metadata.len()).sum();
        metrics.journal_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
