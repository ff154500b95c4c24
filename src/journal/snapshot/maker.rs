//! Makes snapshots beside the sequencer: it reads the synced journal for names and events, so that
//! the sequencer gives no more than [`Kept`]: a copy of a few kilobytes, and of what each feed remembers
//! behind its rings (up to 65,536 events, some milliseconds a feed).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use tracing::warn;

use super::gathered::Gathered;
use super::manifest::{self, Manifest};
use super::merge::{Merge, RUNS_MAX};
use super::names::Names;
use super::restore::State;
use super::run::{self, RunName};
use super::{Kept, Restored};
use crate::journal::disk::Disk;
use crate::journal::feed_state::KeptFeed;
use crate::journal::log::{LogError, at};
use crate::journal::packets::Packets;
use crate::journal::reader::BatchReader;
use crate::journal::sequencer::{SharedDictionary, seen};
use crate::model::crash::Point;
use crate::model::definition::Identity;
use crate::model::{Batch, Control, Event, FeedId, Record};

/// Events gathered before a run is written.
const RUN_EVENTS_MAX: usize = 500_000;
/// Snapshots that are kept.
const KEPT: usize = 2;

/// Makes snapshots, one after another. After an error it is in doubt and another is to be made.
pub struct Maker {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    journal: PathBuf,
    reader: BatchReader,
    /// Epoch of the last snapshot.
    epoch: u64,
    /// Dictionary entries read so far.
    names_read: u64,
    /// Absent until the first snapshot of a maker that begins anew.
    names: Option<Names>,
    runs: Vec<RunName>,
    merging: Option<Merge>,
    dictionary: SharedDictionary,
    identities: HashMap<FeedId, Identity>,
    /// What sessions brought last, before the epoch that is read next.
    packets: Packets,
    events: Gathered,
}

impl Maker {
    /// Goes on from the snapshot that the sequencer was restored from (its names log and runs), or
    /// begins anew and reads the journal from its beginning. Removes what one that failed left behind:
    /// the disk may be full of it.
    #[must_use]
    pub fn new(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        journal: &Path,
        dictionary: SharedDictionary,
        from: Option<Base>,
    ) -> Self {
        if let Err(failure) = sweep(&**disk, dir) {
            warn!(error = %failure, "what an earlier snapshot left behind could not be removed; the next one does");
        }
        let base = from.unwrap_or_default();
        Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            journal: journal.to_owned(),
            reader: BatchReader::new(disk.clone(), journal, base.epoch),
            epoch: base.epoch,
            names_read: base.names_read,
            names: base.names,
            runs: base.runs,
            merging: None,
            dictionary,
            identities: base.identities,
            packets: base.packets,
            events: Gathered::default(),
        }
    }

    /// Another maker after an error of this one, from what is on disk.
    ///
    /// # Errors
    /// [`LogError`] when the folder cannot be used.
    pub fn again(self) -> Result<Self, LogError> {
        let Self { disk, dir, journal, dictionary, epoch, .. } = self;
        let base = Restored::newest(&disk, &dir, 0, epoch)?.map(|restored| Base::of(restored).0);
        Ok(Self::new(&disk, &dir, &journal, dictionary, base))
    }

    /// Makes the snapshot of `kept`, whose epochs are synced; the epoch of the oldest snapshot that
    /// a start may need, 0 while there is only one.
    ///
    /// # Errors
    /// [`LogError`]: the snapshots before still hold.
    pub fn make(&mut self, kept: Kept) -> Result<u64, LogError> {
        if self.names.is_none() {
            self.names = Some(begin(&self.disk, &self.dir)?);
        }
        while let Some((epoch, batch)) = self.reader.next(kept.epoch)? {
            self.gather(&batch, &kept.feeds)?;
            if self.events.len() >= RUN_EVENTS_MAX {
                self.write_run(epoch + 1)?;
            }
        }
        self.write_run(kept.epoch)?;
        Point::SnapshotRunWritten.pass();
        if let Some(names) = &mut self.names {
            names.sync(&self.dir)?;
        }
        let manifest = Manifest { kept, runs: self.runs.clone(), packets: self.packets.all() };
        Point::SnapshotWritten.pass();
        manifest.write(&*self.disk, &self.dir)?;
        Point::SnapshotNamed.pass();
        self.clean()
    }

    fn gather(&mut self, batch: &Batch, feeds: &[KeptFeed]) -> Result<(), LogError> {
        batch.packets.iter().for_each(|packet| self.packets.take(packet));
        for record in &batch.records {
            match record {
                Record::Entry(entry) => {
                    if let Some(names) = &mut self.names {
                        names.add(self.names_read, entry)?;
                    }
                    self.names_read += 1;
                }
                Record::Control(control) => {
                    if let Control::Feed { feed } = &**control {
                        let names = self.dictionary.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                        if let Some(id) = names.feed_id(&feed.name) {
                            self.identities.insert(id, feed.identity);
                        }
                    }
                }
                Record::Event(event) => self.remember(batch, event, feeds),
                _ => {}
            }
        }
        Ok(())
    }

    fn remember(&mut self, batch: &Batch, event: &Event, feeds: &[KeptFeed]) {
        let identity = self.identities.get(&event.feed).copied().unwrap_or(Identity::Time);
        let Some(feed) = feeds.get(event.feed.index()).filter(|_| identity != Identity::Protocol) else {
            return;
        };
        self.events.add(event.device.0, &seen(&feed.quantities, identity, batch, event));
    }

    /// Writes what was gathered as the run up to `to`.
    fn write_run(&mut self, to: u64) -> Result<(), LogError> {
        if !self.events.is_empty() {
            let range = (self.epoch, to);
            self.runs.push(run::write(&*self.disk, &self.dir, range, &mut self.events)?);
            self.events.clear();
        }
        self.epoch = to;
        Ok(())
    }

    /// Takes one step of merging runs; the next snapshot names what comes of it. Whether there is more to
    /// do. To be called after a snapshot and until there is not; others may be made meanwhile.
    ///
    /// # Errors
    /// [`LogError`]: the snapshots before still hold.
    pub fn merge_step(&mut self) -> Result<bool, LogError> {
        let Some(merge) = &mut self.merging else {
            self.merging = Merge::begin(&*self.disk, &self.dir, &self.runs)?;
            return Ok(self.merging.is_some());
        };
        match merge.step() {
            Ok(None) => {}
            Ok(Some(whole)) => {
                merge.replace(&mut self.runs, whole);
                self.merging = None;
            }
            Err(failure) => {
                self.stop_merging();
                return Err(failure);
            }
        }
        Ok(true)
    }

    /// Whether there are so many runs that merging comes before the next snapshot.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.runs.len() >= RUNS_MAX
    }

    /// Gives up a merge that is not whole: nothing will name it.
    pub fn stop_merging(&mut self) {
        if let Some(merge) = self.merging.take() {
            merge.remove(&*self.disk);
        }
    }

    /// Removes manifests but the newest two, and runs that neither names nor a merge writes.
    fn clean(&mut self) -> Result<u64, LogError> {
        let (disk, dir) = (&*self.disk, &*self.dir);
        let (mut kept, mut needed) = (Vec::new(), Vec::new());
        for epoch in manifest::list(disk, dir)?.into_iter().rev() {
            let wanted = kept.len() < KEPT && epoch <= self.epoch;
            match Manifest::read(disk, dir, epoch) {
                Ok(manifest) if wanted && manifest.holds(disk, dir) => {
                    needed.extend(manifest.runs.iter().map(RunName::file));
                    kept.push(epoch);
                }
                _ => {
                    let path = dir.join(manifest::file(epoch));
                    disk.remove(&path).map_err(|source| at(&path, source))?;
                }
            }
        }
        needed.extend(self.merging.as_ref().map(Merge::file));
        remove_others(disk, dir, &needed)?;
        disk.sync_dir(dir).map_err(|source| at(dir, source))?;
        Ok(if kept.len() < KEPT { 0 } else { kept.last().copied().unwrap_or(0) })
    }
}

/// Removes runs that no manifest names, and manifests that were never put in place.
fn sweep(disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
    let mut needed = Vec::new();
    for epoch in manifest::list(disk, dir)? {
        match Manifest::read(disk, dir, epoch) {
            Ok(manifest) => needed.extend(manifest.runs.iter().map(RunName::file)),
            // What it named cannot be found by it any more.
            Err(LogError::Damaged { .. }) => {}
            Err(failure) => return Err(failure),
        }
    }
    remove_others(disk, dir, &needed)
}

/// Removes the files of runs that are not needed, and manifests that were never put in place.
fn remove_others(disk: &dyn Disk, dir: &Path, needed: &[String]) -> Result<(), LogError> {
    let names = disk.list(dir).map_err(|source| at(dir, source))?;
    let unnamed = |name: &&String| name.ends_with(".rings") && !needed.contains(*name);
    let mut removed = false;
    for name in names.iter().filter(|name| unnamed(name) || name.ends_with(".manifest.tmp")) {
        let path = dir.join(name);
        disk.remove(&path).map_err(|source| at(&path, source))?;
        removed = true;
    }
    if removed {
        disk.sync_dir(dir).map_err(|source| at(dir, source))?;
    }
    Ok(())
}

/// Begins anew: nothing of what is in `dir` counts.
fn begin(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Names, LogError> {
    for epoch in manifest::list(&**disk, dir)? {
        let path = dir.join(manifest::file(epoch));
        disk.remove(&path).map_err(|source| at(&path, source))?;
    }
    Names::begin(disk, &dir.join("names"))
}

/// Where a maker goes on.
#[derive(Default)]
pub struct Base {
    epoch: u64,
    names_read: u64,
    names: Option<Names>,
    runs: Vec<RunName>,
    identities: HashMap<FeedId, Identity>,
    packets: Packets,
}

impl Base {
    /// Takes out of a snapshot what the maker goes on with; the rest is the sequencer's.
    #[must_use]
    pub fn of(restored: Restored) -> (Self, State) {
        let Restored { state, runs, names_log } = restored;
        let feeds = state.kept.definitions.iter().filter_map(|control| match &**control {
            Control::Feed { feed } => state.names.feed_id(&feed.name).map(|id| (id, feed.identity)),
            _ => None,
        });
        let identities = feeds.collect();
        let (epoch, names_read) = (state.kept.epoch, state.kept.names);
        let packets = state.packets.clone();
        (Self { epoch, names_read, names: Some(names_log), runs, identities, packets }, state)
    }
}
