//! The flow's two ends: it reads the synced journal, publishes to the results log, and has its
//! state kept.

use std::collections::VecDeque;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

use tracing::warn;

use super::checkpoint::Keeper;
use super::disk::Disk;
use super::holders::Holders;
use super::progress::{Progress, Upon};
use super::reader::{BatchReader, gather};
use super::results::{ResultsError, ResultsLog};
use crate::flow::Source;
use crate::flow::past::Past;
use crate::flow::state::{Part, Request, StateError};
use crate::model::{Batch, ResultRow};

/// A full disk is tried again after this long.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);

/// See the module.
pub struct Ends {
    /// The disk of the journal.
    pub disk: Arc<dyn Disk>,
    /// Its folder, where a recompute reads what is past.
    pub journal_dir: PathBuf,
    /// Reads the journal, from where the flow goes on.
    pub reader: BatchReader,
    /// How far the journal has come.
    pub journal: Arc<Progress>,
    /// How far the flow has come, in epochs.
    pub flow: Arc<Progress>,
    /// The results log, where the flow goes on.
    pub results: ResultsLog,
    /// Takes checkpoints.
    pub keeper: Keeper,
    /// Who holds back the collection of the journal.
    pub holders: Arc<Holders>,
    /// Epochs handed over and not published, each with the record after its last.
    pub handed: VecDeque<(u64, u64)>,
    /// Stops the service: what is on disk cannot be relied on.
    pub stop_in_doubt: fn(&dyn Error) -> !,
}

impl Source for Ends {
    fn next(&mut self) -> Option<(u64, Batch)> {
        // Only what is synced: no reader passes a result whose journal could still be lost.
        match self.reader.next(self.journal.now().synced) {
            Ok(next) => {
                self.keeper.passed(next.as_ref().map_or(0, |(_, batch)| batch.records.len()));
                if let Some((_, batch)) = &next
                    && self.flow.records() == 0
                {
                    self.flow.passed(batch.first);
                }
                self.handed.extend(next.as_ref().map(|(epoch, batch)| (*epoch, batch.next())));
                next
            }
            Err(failure) => (self.stop_in_doubt)(&failure),
        }
    }

    fn past(&mut self, epoch: u64, batch: &Batch) -> Vec<Past> {
        let mut asked = Past::asked_by(batch);
        if !asked.is_empty() {
            let gathered = gather(self.disk.clone(), &self.journal_dir, epoch + 1, &mut asked);
            gathered.unwrap_or_else(|failure| (self.stop_in_doubt)(&failure));
            // Until both checkpoints kept lie behind it, the same segments may be needed again.
            self.holders.hold_until(epoch + 1);
            self.keeper.hurry();
        }
        asked
    }

    fn wake(&mut self, worker: Thread) {
        self.journal.wake(worker, Upon::Synced);
    }

    fn publish(&mut self, epoch: u64, rows: Vec<ResultRow>) {
        let mut outcome = self.results.publish(&rows);
        while outcome.as_ref().is_err_and(ResultsError::is_disk_full) {
            warn!("the results log's disk is full; results wait until there is room");
            std::thread::sleep(FULL_DISK_RETRY);
            outcome = self.results.publish_again();
        }
        if let Err(failure) = outcome {
            (self.stop_in_doubt)(&failure);
        }
        while let Some((_, next)) = self.handed.pop_front_if(|(handed, _)| *handed <= epoch) {
            self.flow.passed(next);
        }
        self.flow.written(epoch + 1);
    }

    fn wants_checkpoint(&mut self, next: u64, last: bool) -> Option<Request> {
        if self.results.has_position() { self.keeper.wants(next, last) } else { None }
    }

    fn checkpoint_begins(&mut self, next: u64) {
        self.keeper.begins(next, &self.results);
    }

    fn checkpoint(&mut self, next: u64, parts: Result<Vec<Part>, StateError>) {
        self.keeper.take(next, parts, &self.results);
    }
}
