//! Where a start goes on: at the latest checkpoint that can be used, else at the older one, else at
//! the journal's beginning.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use tracing::{info, warn};

use super::{CheckpointError, Checkpoints, Manifest};
use crate::flow::Interpreter;
use crate::flow::state::ENGINE_VERSION;
use crate::flow::state::names::{AllNames, Kind};
use crate::journal::disk::Disk;
use crate::journal::log;
use crate::journal::results::{ResultsError, ResultsLog, ResultsPosition};
use crate::journal::sequencer::SharedDictionary;
use crate::model::Entry;
use crate::window::zone_rules;

/// What a start is made from.
pub struct Beginning<'a> {
    /// The disk.
    pub disk: &'a Arc<dyn Disk>,
    /// Folder of checkpoints.
    pub checkpoints: &'a Path,
    /// Folder of the journal.
    pub journal: &'a Path,
    /// The journal's end: the epoch after its last.
    pub written: u64,
    /// Folder of the results log.
    pub results: &'a Path,
    /// Size at which a segment of the results log is full.
    pub segment_bytes_max: u64,
    /// Every name of the journal.
    pub names: &'a SharedDictionary,
    /// Dataflow workers.
    pub workers: usize,
}

/// What a start goes on from.
pub struct Begun {
    /// A fold a worker.
    pub folds: Vec<Interpreter>,
    /// The first epoch they have not seen.
    pub next: u64,
    /// The results log, at the same position.
    pub results: ResultsLog,
    /// The folder, with those that can be used.
    pub checkpoints: Checkpoints,
}

/// Why there is no start.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The results log.
    #[error(transparent)]
    Results(#[from] ResultsError),
}

impl Beginning<'_> {
    /// Finds the latest checkpoint that can be used and goes on from it.
    ///
    /// # Errors
    /// [`BeginError`] when the disk fails, when the results log cannot be used, or when no
    /// checkpoint can be used and the journal no longer reaches back to its beginning.
    pub fn begin(&self) -> Result<Begun, BeginError> {
        let mut other_version = false;
        let (mut checkpoints, numbers) = Checkpoints::open(self.disk.clone(), self.checkpoints)?;
        for (at, number) in numbers.iter().enumerate() {
            match self.try_from(&checkpoints, *number) {
                Ok((manifest, folds, results)) => {
                    let next = manifest.next;
                    info!(
                        number,
                        epoch = next,
                        engine_version = manifest.engine_version,
                        "going on from a checkpoint"
                    );
                    let older =
                        numbers.iter().skip(at + 1).find_map(|older| checkpoints.manifest(*older).ok());
                    checkpoints.keep(std::iter::once(manifest).chain(older).collect());
                    return Ok(Begun { folds, next, results, checkpoints });
                }
                Err(BeginError::Checkpoint(unusable))
                    if !matches!(unusable, CheckpointError::Disk { .. }) =>
                {
                    let manifest = checkpoints.manifest(*number);
                    other_version |= manifest.is_ok_and(|manifest| is_of_another_version(&manifest));
                    warn!(number, reason = %unusable, "a checkpoint cannot be used; the one before it is tried");
                }
                Err(failure) => return Err(failure),
            }
        }
        let first = self.first_epoch()?;
        if first > 0 {
            return Err(CheckpointError::NoneLeft { dir: self.checkpoints.to_owned(), first }.into());
        }
        if !numbers.is_empty() {
            warn!("no checkpoint can be used; everything is derived again from the journal's beginning");
        }
        let workers = self.workers.max(1);
        let folds = (0..workers).map(|index| Interpreter::new(index, workers)).collect();
        let results = self.results_at(ResultsPosition::default())?;
        let results = if other_version { results.of_another_version() } else { results };
        Ok(Begun { folds, next: 0, results, checkpoints })
    }

    fn try_from(
        &self,
        checkpoints: &Checkpoints,
        number: u64,
    ) -> Result<(Manifest, Vec<Interpreter>, ResultsLog), BeginError> {
        let manifest = checkpoints.manifest(number)?;
        let path = checkpoints.path(number, "manifest");
        let logs = |what: String| CheckpointError::Logs { path: path.clone(), what };
        let (first, next) = (self.first_epoch()?, manifest.next);
        if next < first || next > self.written {
            let end = self.written;
            return Err(logs(format!("it stands at epoch {next}, the journal holds {first} to {end}")).into());
        }
        let saved = checkpoints.read(&manifest)?;
        let folds = Interpreter::load(&saved, &Shared(self.names), self.workers.max(1))
            .map_err(|source| CheckpointError::State { path: path.clone(), source })?;
        drop(saved);
        match self.results_at(manifest.results.clone()) {
            Ok(results) if is_of_another_version(&manifest) => {
                Ok((manifest, folds, results.of_another_version()))
            }
            Ok(results) => Ok((manifest, folds, results)),
            Err(short @ ResultsError::Short { .. }) => Err(logs(short.to_string()).into()),
            Err(failure) => Err(failure.into()),
        }
    }

    fn results_at(&self, position: ResultsPosition) -> Result<ResultsLog, ResultsError> {
        ResultsLog::resume(self.disk.clone(), self.results, self.segment_bytes_max, position)
    }

    fn first_epoch(&self) -> Result<u64, ResultsError> {
        let segments = log::segments(&**self.disk, self.journal)?;
        Ok(segments.first().map_or(0, |segment| segment.0))
    }
}

/// Names that the sequencer adds to meanwhile: it never waits for more than a few thousand of them.
struct Shared<'a>(&'a SharedDictionary);

impl AllNames for Shared<'_> {
    fn some(&self, kind: Kind, from: usize, most: usize) -> Vec<Entry> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).some(kind, from, most)
    }
}

/// Whether what was published behind a checkpoint may differ from what this build derives: its engine
/// has another version, or its tz database other rules for a zone in use.
fn is_of_another_version(manifest: &Manifest) -> bool {
    let (found, own) = (manifest.engine_version, ENGINE_VERSION);
    if found != own {
        warn!(found, own, "the checkpoint was written by another engine version");
    }
    let moved = manifest.zones.iter().find(|(zone, rules)| zone_rules(zone) != Some(**rules));
    if let Some((zone, _)) = moved {
        warn!(%zone, "the tz database has other rules than when the checkpoint was written; what differs is published anew");
    }
    found != own || moved.is_some()
}
