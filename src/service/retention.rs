//! Removes old segments of the two logs, once a minute; what the configuration asks to keep, a
//! checkpoint, the snapshot or a sink needs, stays ([`crate::journal::retention`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::run::stopped;
use crate::journal::{Progress, Retention};
use crate::telemetry::Metrics;

/// How often segments are looked at.
const EVERY: Duration = Duration::from_secs(60);

/// Collects until told to stop. A collection that fails is tried again: nothing depends on it but
/// room on the disk.
pub async fn run(
    retention: Retention,
    journal: Arc<Progress>,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
) {
    let retention = Arc::new(retention);
    let mut every = tokio::time::interval(EVERY);
    let mut stop = std::pin::pin!(stopped(stop));
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = &mut stop => return,
        }
        let (collecting, now) = (retention.clone(), journal.arrived_at());
        // A panic ends the process through the hook of `main`.
        if let Ok(Err(failure)) = tokio::task::spawn_blocking(move || collecting.collect(now)).await {
            warn!(error = %failure, "old segments could not be removed; tried again in a minute");
        }
        for sink in retention.holders.sinks() {
            metrics.sink_needs_backfill(sink.name(), sink.needs_backfill());
        }
    }
}
