//! What a checkpoint consists of; its frame stands in [`super`].

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{CheckpointError, VERSION};
use crate::flow::Counts;
use crate::journal::results::ResultsPosition;

const MAGIC: &[u8; 8] = b"SERENOCM";
const HEAD_BYTES: usize = 32;

/// Where bytes stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Number of the checkpoint in whose file.
    pub file: u64,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// Their check sum.
    pub crc: u32,
    /// Keys in them.
    pub keys: u64,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of the checkpoint; in the frame.
    #[serde(skip)]
    pub number: u64,
    /// Version of the form of the state.
    pub state_version: u32,
    /// Version of what results mean.
    pub engine_version: u32,
    /// The time zones in use, each with a sum of its rules ([`crate::window::zone_rules`]): another
    /// tz database may say otherwise. Absent in manifests of earlier versions.
    #[serde(default)]
    pub zones: BTreeMap<String, u64>,
    /// The first epoch that is not in it.
    pub next: u64,
    /// Where the results log stood.
    pub results: ResultsPosition,
    /// What became of events, by pipeline.
    pub counts: Vec<(String, Counts)>,
    /// The shared state, in a delta file.
    pub shared: Block,
    /// The base of each key group that has keys, by its number.
    pub bases: BTreeMap<u8, Block>,
    /// What changed since, where anything did.
    pub deltas: BTreeMap<u8, Block>,
}

impl Manifest {
    /// The whole file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Names and numbers: writing them as JSON cannot fail.
        let content = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = head(self.number, VERSION, &content).to_vec();
        bytes.extend_from_slice(&content);
        bytes
    }

    /// Reads a file back.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`], or [`CheckpointError::Version`] of a sound one.
    pub fn decode(bytes: &[u8], number: u64, path: &Path) -> Result<Self, CheckpointError> {
        let damaged = |offset, what| CheckpointError::Damaged { path: path.to_owned(), offset, what };
        let Some((found, content)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return Err(damaged(0, "the manifest is cut short"));
        };
        let version = u32::from_le_bytes([found[8], found[9], found[10], found[11]]);
        if *found != head(number, version, content) {
            return Err(damaged(0, "the manifest's check sum is wrong"));
        }
        if version != VERSION {
            let path = path.to_owned();
            return Err(CheckpointError::Version { path, what: "manifest", found: version, read: VERSION });
        }
        let manifest: Self = serde_json::from_slice(content)
            .map_err(|_| damaged(HEAD_BYTES as u64, "the manifest says nothing that is known"))?;
        Ok(Self { number, ..manifest })
    }
}

fn head(number: u64, version: u32, content: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&version.to_le_bytes());
    head[12..16].copy_from_slice(&(content.len() as u32).to_le_bytes());
    head[16..24].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..24]), content);
    head[24..28].copy_from_slice(&crc.to_le_bytes());
    head
}
