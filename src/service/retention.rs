//! Removes old segments of the two logs, once a minute; what the configuration asks to keep, a
//! checkpoint, the snapshot or a sink needs, stays ([`crate::journal::retention`]). Keeps the alerts
//! of sinks that have a gap ([`Gaps`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::gaps::Gaps;
use super::run::stopped;
use crate::journal::{Progress, Retention};
use crate::telemetry::Metrics;

/// How often segments are looked at.
const EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether a sink has a gap, or a gap was acknowledged.
const GAPS_EVERY: Duration = Duration::from_secs(1);

/// Collects until told to stop. A collection that fails is tried again: nothing depends on it but
/// room on the disk.
pub async fn run(
    retention: Retention,
    gaps: Arc<Gaps>,
    journal: Arc<Progress>,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
) {
    let retention = Arc::new(retention);
    let (mut every, mut gaps_every) = (tokio::time::interval(EVERY), tokio::time::interval(GAPS_EVERY));
    let mut stop = std::pin::pin!(stopped(stop));
    loop {
        let collecting = tokio::select! {
            _ = every.tick() => true,
            _ = gaps_every.tick() => false,
            () = &mut stop => return,
        };
        let (retention_now, gaps_now, now) = (retention.clone(), gaps.clone(), journal.arrived_at());
        let work = move || {
            if collecting && let Err(failure) = retention_now.collect(now) {
                warn!(error = %failure, "old segments could not be removed; tried again in a minute");
            }
            if let Err(failure) = gaps_now.settle(&retention_now.holders) {
                warn!(error = %failure, "the alerts of sinks with a gap could not be kept; tried again in a second");
            }
        };
        // A panic ends the process through the hook of `main`.
        let _ = tokio::task::spawn_blocking(work).await;
        for sink in retention.holders.sinks() {
            metrics.sink_needs_backfill(sink.name(), sink.needs_backfill());
        }
    }
}
