//! Metrics that nobody pushes: how far journal and flow are, how large the journal is, how far off the
//! host's clock, what became of events in windows, how the last checkpoint went; looked up now and then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Core;
use super::run::stopped;
use crate::api::LiveView;
use crate::flow::Tally;
use crate::journal::Progress;
use crate::journal::checkpoint::Written;
use crate::journal::snapshots::reach::Newest;
use crate::telemetry::Metrics;

/// They are looked up this often.
const EVERY: Duration = Duration::from_secs(5);

/// Where they are looked up.
pub struct Sources {
    /// How far the journal has come.
    pub journal: Arc<Progress>,
    /// How far the flow has come.
    pub flow: Arc<Progress>,
    /// What readers were told of the host's clock.
    pub live: Arc<LiveView>,
    /// What became of events in windows.
    pub tally: Tally,
    /// What is known of checkpoints.
    pub checkpoints: Arc<Written>,
    /// Where the sequencer's newest snapshot stands.
    pub snapshot: Arc<Newest>,
    /// Folder of the journal.
    pub journal_dir: PathBuf,
}

/// Looks them up until `stop`.
pub async fn run(sources: Sources, metrics: Arc<Metrics>, stop: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(EVERY);
    let mut stop = std::pin::pin!(stopped(stop));
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = &mut stop => return,
        }
        sources.look(&metrics);
    }
}

impl Sources {
    /// Those of a running core.
    pub fn of(core: &Core, live: Arc<LiveView>, journal_dir: PathBuf) -> Self {
        let (journal, flow, checkpoints) =
            (core.journal.clone(), core.flow.clone(), core.checkpoints.clone());
        let snapshot = core.snapshot.clone();
        Self { journal, flow, live, tally: core.tally(), checkpoints, snapshot, journal_dir }
    }

    fn look(&self, metrics: &Metrics) {
        metrics.host_clock_ahead_seconds.set(self.live.totals().host_clock_ahead_seconds);
        let now = self.journal.now();
        let lag = self.journal.records().saturating_sub(self.flow.records());
        metrics.flow_lag_records.set(whole(lag));
        metrics.journal_epoch_written.set(whole(now.written));
        metrics.journal_epoch_synced.set(whole(now.synced));
        let files = std::fs::read_dir(&self.journal_dir).into_iter().flatten();
        let bytes: u64 = files.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum();
        metrics.journal_bytes.set(whole(bytes));
        for (pipeline, counts) in self.tally.now() {
            for (outcome, count) in counts.named() {
                metrics.window_events(&pipeline, outcome, count);
            }
        }
        let snapshot = self.snapshot.figures();
        metrics.snapshot.behind_records.set(whole(snapshot.behind.records));
        metrics.snapshot.waited_seconds.set(snapshot.waited.as_secs_f64());
        metrics.snapshot.failures.set(whole(snapshot.failures));
        let own = &metrics.checkpoint;
        own.age_seconds.set(self.checkpoints.age().as_secs_f64());
        own.failures.set(whole(self.checkpoints.failures()));
        if let Some(latest) = self.checkpoints.latest() {
            own.epoch.set(whole(latest.epoch));
            own.pause_seconds.set(latest.pause.as_secs_f64());
            own.bytes.set(whole(latest.bytes));
            own.keys.set(whole(latest.keys));
        }
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
