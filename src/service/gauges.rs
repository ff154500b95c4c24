//! Metrics that nobody pushes: how far the journal and the flow are, looked up now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::run::stopped;
use crate::journal::Progress;
use crate::telemetry::Metrics;

/// They are looked up this often.
const EVERY: Duration = Duration::from_secs(5);

/// Looks them up until `stop`; how far the journal is, and the flow.
pub async fn run(
    (progress, flow): (Arc<Progress>, Arc<Progress>),
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
