//! Identity rings that a snapshot holds, read when the first message of a device needs them.

use std::sync::Arc;

use tracing::warn;

use super::run::{CHUNK_DEVICES, Chunk, Run};
use crate::journal::disk::Disk;
use crate::journal::identity::{Held, RING_EVENTS_MAX, Ring};
use crate::journal::log::LogError;
use crate::model::DeviceId;

/// The rings of a snapshot. Its files stay readable as long as it lives, also once later snapshots
/// have replaced them.
pub struct Past {
    /// Oldest first.
    runs: Vec<Run>,
    disk: Arc<dyn Disk>,
    /// A chunk each.
    recalled: Vec<bool>,
}

impl Past {
    /// The rings in these runs, oldest first.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, runs: Vec<Run>) -> Self {
        let chunks = runs.iter().map(Run::chunks).max().unwrap_or(0);
        Self { runs, disk, recalled: vec![false; chunks as usize] }
    }

    /// Has the ring of `device` whole, with those of the devices around it: what the runs hold is put
    /// before what came since. Gives back what rings forget by that.
    ///
    /// # Errors
    /// [`LogError`] when the snapshot is damaged there: the service stops. The damaged file is put
    /// aside, so that the next start takes another snapshot or folds the journal.
    pub fn recall(
        &mut self,
        device: DeviceId,
        rings: &mut [Ring],
    ) -> Result<Vec<(DeviceId, Held)>, LogError> {
        let chunk = device.0 / CHUNK_DEVICES;
        let Some(recalled) = self.recalled.get_mut(chunk as usize).filter(|recalled| !**recalled) else {
            return Ok(Vec::new());
        };
        let mut found = Chunk::new();
        for run in &self.runs {
            if let Err(failure) = run.read(chunk, &mut found) {
                let aside = run.path().with_extension("damaged");
                if matches!(failure, LogError::Damaged { .. })
                    && let Err(source) = self.disk.rename(run.path(), &aside)
                {
                    warn!(file = %run.path().display(), error = %source, "the damaged file could not be put aside; remove it");
                }
                return Err(failure);
            }
        }
        let from = chunk as usize * CHUNK_DEVICES as usize;
        let mut forgotten = Vec::new();
        for (at, mut events) in found {
            let device = from + usize::from(at);
            // Several runs may hold more than a ring: what it had forgotten stays so.
            events.drain(..events.len().saturating_sub(RING_EVENTS_MAX));
            if let Some(ring) = rings.get_mut(device) {
                let beyond = ring.prepend(events).into_iter();
                forgotten.extend(beyond.map(|held| (DeviceId(device as u32), held)));
            }
        }
        *recalled = true;
        Ok(forgotten)
    }
}
