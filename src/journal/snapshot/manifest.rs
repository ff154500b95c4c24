//! The manifest of a snapshot as bytes; see the format in [`super`].

use std::path::Path;
use std::sync::Arc;

use super::Kept;
use super::run::{self, Run, RunName};
use crate::journal::disk::{self, Disk};
use crate::journal::feed_state::KeptFeed;
use crate::journal::log::{LogError, at};
use crate::journal::packets;
use crate::journal::wire::{BadContent, Reader, Writer};
use crate::model::{Packet, QuantityId, Timestamp};

const MAGIC: &[u8; 8] = b"SERENOSN";
const VERSION: u32 = 3;
/// The version that keeps no packets.
const WITHOUT_PACKETS: u32 = 2;
/// The version that keeps nothing behind the rings.
const WITHOUT_RECENT: u32 = 1;
const SUFFIX: &str = ".manifest";

/// One snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What it keeps itself.
    pub kept: Kept,
    /// Where the rings are, oldest first.
    pub runs: Vec<RunName>,
    /// What sessions brought last ([`Packets::all`](crate::journal::packets::Packets::all)).
    pub packets: Vec<Packet>,
}

/// Epochs of the manifests in a folder, oldest first.
///
/// # Errors
/// [`LogError::Disk`].
pub fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, LogError> {
    let names = disk.list(dir).map_err(|source| at(dir, source))?;
    let mut epochs: Vec<u64> =
        names.iter().filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok()).collect();
    epochs.sort_unstable();
    Ok(epochs)
}

/// Name of a manifest's file.
#[must_use]
pub fn file(epoch: u64) -> String {
    format!("{epoch:020}{SUFFIX}")
}

impl Manifest {
    /// Puts it in place.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
        let content = self.encode();
        let mut bytes = Vec::with_capacity(content.len() + 16);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&content).to_le_bytes());
        bytes.extend_from_slice(&content);
        let path = dir.join(file(self.kept.epoch));
        disk::replace(disk, &path, &bytes).map_err(|source| at(&path, source))
    }

    /// Reads the manifest of `epoch`.
    ///
    /// # Errors
    /// [`LogError`] when it does not read, or was written by another version.
    pub fn read(disk: &dyn Disk, dir: &Path, epoch: u64) -> Result<Self, LogError> {
        let path = dir.join(file(epoch));
        let bytes = disk::read_all(disk, &path).map_err(|source| at(&path, source))?;
        let damaged = |what| LogError::Damaged { path: path.clone(), offset: 0, ordinal: epoch, what };
        let (version, rest) = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_first_chunk::<4>())
            .ok_or_else(|| damaged("it is no manifest of a snapshot"))?;
        let (sum, content) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("it ends too early"))?;
        let (version, sum) = (u32::from_le_bytes(*version), u32::from_le_bytes(*sum));
        if crc32c::crc32c(content) != sum {
            return Err(damaged("its check sum is wrong"));
        }
        if ![VERSION, WITHOUT_PACKETS, WITHOUT_RECENT].contains(&version) {
            return Err(LogError::Version { path, found: version });
        }
        match Self::decode(content, version) {
            Ok(manifest) if manifest.kept.epoch == epoch => Ok(manifest),
            _ => Err(damaged("it does not read")),
        }
    }

    /// Whether its runs are there.
    #[must_use]
    pub fn holds(&self, disk: &dyn Disk, dir: &Path) -> bool {
        self.runs.iter().all(|run| Run::open(disk, dir, *run).is_ok())
    }

    fn encode(&self) -> Vec<u8> {
        let Kept { epoch, next, arrived_at, ticked, names, feeds, definitions } = &self.kept;
        let mut out = Writer::default();
        out.uint(*epoch);
        out.uint(*next);
        out.int(arrived_at.0);
        out.optional_time(*ticked);
        out.uint(*names);
        out.uint(feeds.len() as u64);
        for feed in feeds {
            out.uint(u64::from(feed.devices));
            out.optional_time(feed.latest);
            out.optional_time(feed.stepped);
            out.uint(feed.quantities.len() as u64);
            feed.quantities.iter().for_each(|quantity| out.uint(u64::from(quantity.0)));
            out.uint(feed.recent.len() as u64);
            let mut before = 0;
            for (device, held) in &feed.recent {
                out.uint(u64::from(*device));
                run::write_event(held, &mut before, &mut out);
            }
        }
        out.uint(definitions.len() as u64);
        for control in definitions {
            // As in the journal: definitions hold no map with other keys than text.
            out.bytes(&serde_json::to_vec(&**control).unwrap_or_default());
        }
        out.uint(self.runs.len() as u64);
        for run in &self.runs {
            [run.from, run.to, run.bytes, u64::from(run.head)].iter().for_each(|number| out.uint(*number));
        }
        packets::encode(&self.packets, &mut out);
        out.0
    }

    fn decode(content: &[u8], version: u32) -> Result<Self, BadContent> {
        let mut input = Reader(content);
        let (epoch, next, arrived_at) = (input.uint()?, input.uint()?, Timestamp(input.int()?));
        let (ticked, names) = (input.optional_time()?, input.uint()?);
        let count = input.count()?;
        let feeds: Result<Vec<KeptFeed>, BadContent> =
            (0..count).map(|_| feed(&mut input, version)).collect();
        let count = input.count()?;
        let definitions: Result<Vec<_>, BadContent> = (0..count)
            .map(|_| serde_json::from_slice(input.bytes()?).map(Arc::new).map_err(|_| BadContent))
            .collect();
        let count = input.count()?;
        let runs: Result<Vec<RunName>, BadContent> = (0..count)
            .map(|_| {
                let (from, to, bytes) = (input.uint()?, input.uint()?, input.uint()?);
                Ok(RunName { from, to, bytes, head: input.small()? })
            })
            .collect();
        let (feeds, definitions, runs) = (feeds?, definitions?, runs?);
        let packets = if version == VERSION { packets::decode(&mut input)? } else { Vec::new() };
        input.end()?;
        let kept = Kept { epoch, next, arrived_at, ticked, names, feeds, definitions };
        Ok(Self { kept, runs, packets })
    }
}

fn feed(input: &mut Reader<'_>, version: u32) -> Result<KeptFeed, BadContent> {
    let devices = input.small()?;
    let (latest, stepped) = (input.optional_time()?, input.optional_time()?);
    let count = input.count()?;
    let quantities: Result<Vec<QuantityId>, BadContent> =
        (0..count).map(|_| input.small().map(QuantityId)).collect();
    let quantities = quantities?;
    let count = if version == WITHOUT_RECENT { 0 } else { input.count()? };
    let mut before = 0;
    let recent: Result<Vec<_>, BadContent> =
        (0..count).map(|_| Ok((input.small()?, run::read_event(input, &mut before, true)?))).collect();
    Ok(KeptFeed { devices, quantities, latest, stepped, recent: recent? })
}
