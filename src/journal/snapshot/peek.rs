//! Looking into a snapshot beside the process that writes it: names and definitions, nothing opened for
//! writing.

use std::path::Path;
use std::sync::Arc;

use super::manifest::{self, Manifest};
use super::names::Names;
use crate::journal::disk::Disk;
use crate::journal::log::{self, LogError};
use crate::model::{Control, Dictionary, Entry};

/// What a journal's part before an epoch says beside events.
#[derive(Debug, Default)]
pub struct Known {
    /// The first epoch that is not in it.
    pub epoch: u64,
    /// Names.
    pub names: Dictionary,
    /// Definitions in force.
    pub definitions: Vec<Arc<Control>>,
}

impl Known {
    /// By the newest snapshot of the journal in `dir` that reads; nothing before epoch 0 when there is
    /// none and the journal reaches back to its beginning.
    ///
    /// # Errors
    /// [`LogError::NoSnapshot`] when none reads and the journal's beginning is gone.
    pub fn newest(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Self, LogError> {
        let folder = dir.join("snapshot");
        let first = log::segments(&**disk, dir)?.first().map_or(0, |segment| segment.0);
        let epochs = manifest::list(&**disk, &folder)?.into_iter().rev().filter(|epoch| *epoch >= first);
        for epoch in epochs {
            if let Ok(known) = Self::read(disk, &folder, epoch) {
                return Ok(known);
            }
        }
        if first > 0 { Err(LogError::NoSnapshot { path: folder, first }) } else { Ok(Self::default()) }
    }

    fn read(disk: &Arc<dyn Disk>, folder: &Path, epoch: u64) -> Result<Self, LogError> {
        let Manifest { kept, .. } = Manifest::read(&**disk, folder, epoch)?;
        let names = Names::peek(disk, &folder.join("names"), kept.names)?;
        Ok(Self { epoch: kept.epoch, names, definitions: kept.definitions })
    }

    /// The names as a journal has them; those of a kind in their order.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let names = &self.names;
        let feeds = names.feeds().iter().cloned().map(Entry::Feed);
        let devices = names.devices().iter().cloned().map(|(feed, name)| Entry::Device(feed, name));
        let tags = names.tag_sets().iter().cloned().map(Entry::Tags);
        let quantities = names.quantities().iter().cloned().map(Entry::Quantity);
        feeds.chain(devices).chain(tags).chain(quantities).collect()
    }
}
