//! The flow from its first moment: a thread of its own loads the latest checkpoint and then starts the
//! workers, while ingest is open already. A checkpoint of many sensors takes seconds to load, and
//! nothing that is acknowledged depends on it.
//!
//! Until it has begun, the flow stands at epoch 0 and the results log holds nothing that a reader may
//! read; the checkpoints' holder stands at 0, so that nothing is collected.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use super::ServiceError;
use super::core::stop_in_doubt;
use crate::flow::{Engine, Tally};
use crate::journal::checkpoint::{Beginning, Cadence, Keeper, Written};
use crate::journal::ends::Ends;
use crate::journal::sequencer::SharedDictionary;
use crate::journal::{BatchReader, Clock, Disk, Holders, Progress};

/// Exit code when the service cannot start, as of the command line.
const EXIT_FAILED: i32 = 1;

/// What a flow is made from and what it tells.
pub(super) struct FlowParts {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) checkpoints_dir: PathBuf,
    pub(super) journal_dir: PathBuf,
    pub(super) results_dir: PathBuf,
    pub(super) segment_bytes_max: u64,
    pub(super) workers: usize,
    pub(super) cadence: Cadence,
    pub(super) names: SharedDictionary,
    pub(super) journal: Arc<Progress>,
    pub(super) flow: Arc<Progress>,
    pub(super) results: Arc<Progress>,
    pub(super) written: Arc<Written>,
    pub(super) holders: Arc<Holders>,
    pub(super) tally: Tally,
}

/// See the module.
pub(super) struct FlowThread {
    thread: Option<JoinHandle<Option<Engine>>>,
    begun: Arc<OnceLock<()>>,
    abandoned: Arc<AtomicBool>,
}

impl FlowThread {
    /// Starts the thread. What it cannot begin with ends the process, as a start that fails does.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(parts: FlowParts) -> Result<Self, ServiceError> {
        let (begun, abandoned) = (Arc::<OnceLock<()>>::default(), Arc::<AtomicBool>::default());
        // The journal's end as it is now: what comes in meanwhile is in no checkpoint.
        let written = parts.journal.now().written;
        let (tell, stop) = (begun.clone(), abandoned.clone());
        let work = move || match begin(parts, written, &stop) {
            Ok(engine) => {
                let _ = tell.set(());
                engine
            }
            Err(failure) => fail(&failure),
        };
        let thread = std::thread::Builder::new().name("flow-start".into()).spawn(work);
        let thread = thread.map_err(ServiceError::io("the thread that starts the flow"))?;
        Ok(Self { thread: Some(thread), begun, abandoned })
    }

    /// Waits until the flow has begun.
    pub(super) fn wait(&self) {
        self.begun.wait();
    }

    /// Lets the workers finish what they took, and ends them.
    pub(super) fn stop(self) {
        drop(self);
    }
}

impl Drop for FlowThread {
    // A start that is refused halfway waits for what is being loaded, so that nothing works on in a
    // folder that is no longer locked.
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::SeqCst);
        // A panic ends the process through the hook of `main`.
        drop(self.thread.take().and_then(|thread| thread.join().ok()));
    }
}

/// Loads and starts; `None` if nobody wants it any more.
fn begin(parts: FlowParts, written: u64, abandoned: &AtomicBool) -> Result<Option<Engine>, ServiceError> {
    let begun = Beginning {
        disk: &parts.disk,
        checkpoints: &parts.checkpoints_dir,
        journal: &parts.journal_dir,
        written,
        results: &parts.results_dir,
        segment_bytes_max: parts.segment_bytes_max,
        names: &parts.names,
        workers: parts.workers,
    }
    .begin()?;
    if abandoned.load(Ordering::SeqCst) {
        return Ok(None);
    }
    let next = begun.next;
    let holder = parts.holders.checkpoint.clone();
    let keeper = Keeper::start(begun.checkpoints, next, parts.cadence, parts.clock, holder, parts.written)
        .map_err(ServiceError::io("the thread of checkpoints"))?;
    parts.flow.begun(next);
    let ends = Ends {
        disk: parts.disk.clone(),
        reader: BatchReader::new(parts.disk, &parts.journal_dir, next),
        journal_dir: parts.journal_dir,
        journal: parts.journal,
        flow: parts.flow,
        results: begun.results.telling(parts.results),
        keeper,
        holders: parts.holders,
        handed: VecDeque::new(),
        stop_in_doubt: |failure| stop_in_doubt(failure),
    };
    Engine::resume(begun.folds, next, Box::new(ends), parts.tally).map(Some).map_err(ServiceError::Setting)
}

/// Ends the process as a start that fails does: nothing is known of the flow, and what came in
/// meanwhile is in the journal.
fn fail(failure: &ServiceError) -> ! {
    eprintln!("sereno: {failure}");
    std::process::exit(EXIT_FAILED)
}
