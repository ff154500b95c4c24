//! Journal, flow and results log, running: what `run`, `demo` and `replay` have in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::error;

use super::flow_thread::{FlowParts, FlowThread};
use super::{DataDir, ServiceError};
use crate::flow::Tally;
use crate::journal::checkpoint::{Cadence, Written};
use crate::journal::sequencer::SharedDictionary;
use crate::journal::snapshots::reach::{Bounds, Newest};
use crate::journal::writer::Running;
use crate::journal::{
    BatchReader, Clock, Disk, FsDisk, Holders, Journal, JournalOptions, Linked, Progress, ResultReader,
    Retention, SystemClock,
};
use crate::model::{Input, Span, Throttle, Timestamp};

/// Inputs that may wait for the sequencer; each is a burst of at most a thousand messages.
const INPUTS_WAITING_MAX: usize = 64;
/// Exit code after an internal fault of data on disk.
const EXIT_DATA: i32 = 65;

/// How the core runs.
#[derive(Clone)]
pub struct CoreOptions {
    /// Size at which a journal segment is full.
    pub segment_bytes_max: u64,
    /// Dataflow workers.
    pub workers: usize,
    /// Whether ticks come from the clock; otherwise arrival times come with the messages.
    pub live: bool,
    /// How often the flow's state is kept.
    pub checkpoints: Cadence,
    /// Told of each feed that gets or loses its connection.
    pub linked: Linked,
}

impl CoreOptions {
    /// How its journal is kept.
    fn journal(&self, dir: &DataDir, disk: &Arc<dyn Disk>, clock: &Arc<dyn Clock>) -> JournalOptions {
        JournalOptions {
            dir: dir.journal(),
            segment_bytes_max: self.segment_bytes_max,
            disk: disk.clone(),
            clock: clock.clone(),
            linked: self.linked.clone(),
            snapshots: Bounds::default(),
        }
    }
}

/// Journal, flow and results log.
pub struct Core {
    /// Where inputs go.
    pub inputs: mpsc::Sender<Input>,
    /// How far the journal has come.
    pub journal: Arc<Progress>,
    /// How far the flow has come, in epochs.
    pub flow: Arc<Progress>,
    /// How far the results log has come.
    pub results: Arc<Progress>,
    /// What is known of the checkpoints written.
    pub checkpoints: Arc<Written>,
    /// Where the sequencer's newest snapshot stands.
    pub snapshot: Arc<Newest>,
    /// Who still needs which part of the two logs.
    pub holders: Arc<Holders>,
    /// Every name known.
    pub dictionary: SharedDictionary,
    /// Arrival time of the last record when the core started.
    pub last_arrival: Timestamp,
    /// Whose messages are refused for their rate.
    pub throttled: Arc<dyn Throttle>,
    journal_dir: PathBuf,
    results_dir: PathBuf,
    tally: Tally,
    flow_thread: FlowThread,
    running: Running,
    /// Locked for as long as the core runs.
    _dir: DataDir,
}

impl Core {
    /// Opens the journal of a data folder and starts the threads of both logs. Ingest is open from here
    /// on; the flow begins once its checkpoint is loaded ([`Core::wait_for_flow`]).
    ///
    /// # Errors
    /// [`ServiceError`] when the logs cannot be used.
    pub fn start(dir: DataDir, options: &CoreOptions) -> Result<Self, ServiceError> {
        let disk: Arc<dyn Disk> = Arc::new(FsDisk);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let journal = Journal::open(options.journal(&dir, &disk, &clock))?;
        let (progress, dictionary, last_arrival) =
            (journal.progress(), journal.dictionary(), journal.last_arrival());
        let throttled = journal.throttled();
        let (flow, results) = (Arc::new(Progress::new(0)), Arc::new(Progress::new(0)));
        let checkpoints = Arc::new(Written::new(clock.clone()));
        let (holders, snapshot, tally) = (holding(&journal), journal.newest_snapshot(), Tally::default());
        let flow_thread = FlowThread::start(FlowParts {
            disk,
            clock,
            checkpoints_dir: dir.checkpoints(),
            journal_dir: dir.journal(),
            results_dir: dir.results(),
            segment_bytes_max: options.segment_bytes_max,
            workers: options.workers,
            cadence: options.checkpoints,
            names: dictionary.clone(),
            journal: progress.clone(),
            flow: flow.clone(),
            results: results.clone(),
            written: checkpoints.clone(),
            holders: holders.clone(),
            tally: tally.clone(),
        })?;
        let (inputs, waiting) = mpsc::channel(INPUTS_WAITING_MAX);
        let running =
            journal.start(waiting, options.live).map_err(ServiceError::io("the journal's threads"))?;
        Ok(Self {
            inputs,
            journal: progress,
            flow,
            results,
            checkpoints,
            snapshot,
            holders,
            dictionary,
            last_arrival,
            throttled,
            journal_dir: dir.journal(),
            results_dir: dir.results(),
            tally,
            flow_thread,
            running,
            _dir: dir,
        })
    }

    /// Folder of the journal.
    #[must_use]
    pub fn journal_dir(&self) -> &Path {
        &self.journal_dir
    }

    /// A reader of the journal from `epoch` on.
    #[must_use]
    pub fn batches(&self, epoch: u64) -> BatchReader {
        BatchReader::new(Arc::new(FsDisk), &self.journal_dir, epoch)
    }

    /// A reader of the results log from `frame` on.
    #[must_use]
    pub fn rows(&self, frame: u64) -> ResultReader {
        ResultReader::new(Arc::new(FsDisk), &self.results_dir, frame)
    }

    /// What removes old segments of both logs.
    #[must_use]
    pub fn retention(&self, keep: Span, behind_max: Span) -> Retention {
        Retention {
            disk: Arc::new(FsDisk),
            journal_dir: self.journal_dir.clone(),
            results_dir: self.results_dir.clone(),
            keep,
            behind_max,
            holders: self.holders.clone(),
        }
    }

    /// What became of events in windows.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Waits until the flow has begun: from then on [`Core::results`] says what the results log holds.
    pub fn wait_for_flow(&self) {
        self.flow_thread.wait();
    }

    /// Waits until the flow has worked through everything that is journalled.
    pub fn settle(&self) {
        loop {
            let written = self.journal.now().written;
            self.journal.wait(Duration::from_secs(60), |durable| durable.synced >= written);
            self.flow.wait(Duration::from_secs(60), |flow| flow.written >= written);
            if self.flow.now().written >= self.journal.now().written {
                return;
            }
        }
    }

    /// Ends the threads: everything handed over before is journalled and synced.
    ///
    /// # Errors
    /// [`ServiceError::Log`] when the last writes failed.
    pub fn stop(self) -> Result<(), ServiceError> {
        let Self { inputs, running, flow_thread, .. } = self;
        // The sequencer stops at the word or at the channel's end, whichever comes first.
        let _ = inputs.blocking_send(Input::Stop);
        running.join()?;
        flow_thread.stop();
        Ok(())
    }
}

/// Who holds back collection after a start: recomputes that the journal holds may have to be made, or
/// made once more from the older checkpoint.
fn holding(journal: &Journal) -> Arc<Holders> {
    let holders = journal.holders();
    holders.hold_until(journal.progress().now().written);
    holders
}

/// The thread that owns state stops the service rather than carry on in doubt.
pub(super) fn stop_in_doubt(failure: &dyn std::error::Error) -> ! {
    error!(error = %failure, "stopping: the data on disk cannot be relied on");
    std::process::exit(EXIT_DATA)
}
