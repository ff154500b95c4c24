//! Finding a snapshot to start from.

use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use super::manifest::{self, Manifest};
use super::names::Names;
use super::run::{Run, RunName};
use super::{Kept, Past};
use crate::journal::disk::Disk;
use crate::journal::log::LogError;
use crate::journal::packets::Packets;
use crate::model::Dictionary;

/// The sequencer's part of a snapshot.
pub struct State {
    /// What it keeps itself.
    pub kept: Kept,
    /// Its names.
    pub names: Dictionary,
    /// Its rings.
    pub past: Past,
    /// What sessions brought last.
    pub packets: Packets,
}

/// A snapshot as it was found.
pub struct Restored {
    /// The sequencer's part.
    pub state: State,
    /// Its runs, for the next snapshot.
    pub runs: Vec<RunName>,
    /// The writing end of its names, for the next snapshot.
    pub names_log: Names,
}

impl Restored {
    /// The newest snapshot in `dir` that reads and joins onto a journal of the epochs `first..end`;
    /// those that do not are reported.
    ///
    /// # Errors
    /// [`LogError::Disk`] when the folder cannot be read.
    pub fn newest(disk: &Arc<dyn Disk>, dir: &Path, first: u64, end: u64) -> Result<Option<Self>, LogError> {
        for epoch in manifest::list(&**disk, dir)?.into_iter().rev() {
            if epoch < first || epoch > end {
                warn!(epoch, first, end, "a snapshot does not join onto the journal; passed over");
                continue;
            }
            match Self::read(disk, dir, epoch) {
                Ok(restored) => {
                    info!(epoch, devices = restored.state.names.devices().len(), "snapshot read");
                    return Ok(Some(restored));
                }
                Err(failure) => {
                    warn!(epoch, error = %failure, "a snapshot does not read; an older one, or the journal, is read instead");
                }
            }
        }
        Ok(None)
    }

    fn read(disk: &Arc<dyn Disk>, dir: &Path, epoch: u64) -> Result<Self, LogError> {
        let Manifest { kept, runs, packets } = Manifest::read(&**disk, dir, epoch)?;
        let devices = kept.feeds.iter().map(|feed| feed.devices as usize).sum();
        let opened: Result<Vec<Run>, LogError> =
            runs.iter().map(|run| Run::open(&**disk, dir, *run)).collect();
        let (names_log, names) = Names::open(disk, &dir.join("names"), (kept.names, devices))?;
        let (past, packets) = (Past::new(disk.clone(), opened?), packets.iter().collect());
        Ok(Self { state: State { kept, names, past, packets }, runs, names_log })
    }
}
