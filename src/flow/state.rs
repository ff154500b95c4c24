//! The state of the flow as bytes, for checkpoints.
//!
//! A checkpoint at epoch `next` holds what the flow knows after every epoch before. Two kinds of
//! state are told apart: the **shared** one, the same on every worker (definitions, clocks of
//! feeds, bounds of windows), and that of **keys**, by key group. Plans are not state: a checkpoint
//! holds the definitions they were compiled from. Neither are names: a checkpoint says how many
//! there were and their sum, and they come from the journal's own dictionary.
//!
//! # Form
//!
//! Values are in [postcard's wire format](https://postcard.jamesmunns.com/wire-format). The shared
//! state is one [`shared::Shared`]. The state of a key group is a sequence of
//!
//! ```text
//! 1 run:RunName          what follows belongs to this run
//! 2 key:Key state:bytes  one key of it
//! ```
//!
//! A **base** holds every key of its group, a **delta** those that changed since the base; a key of
//! the delta stands in the place of the base's. Runs that no longer exist are passed over.

pub mod groups;
pub mod names;
pub mod shared;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::pipeline::Counts;

/// Version of what results mean. Raised by hand whenever the same journal leads to other results
/// than before: a checkpoint of another version is then no reason to stop at a difference.
pub const ENGINE_VERSION: u32 = 9;
/// Version of the form of the state. Raised whenever a type in it changes: a checkpoint of another
/// version is not read, and the flow folds the journal from its beginning. A fixture of each version
/// (`tests/fixtures/format/state-v*.json`) tells when it was forgotten.
pub const STATE_VERSION: u32 = 9;

/// What a checkpoint is to hold.
#[derive(Clone, Debug)]
pub struct Request {
    /// The first epoch that is not in it.
    pub next: u64,
    /// Changes after it are marked with this period.
    pub period: u32,
    /// By key group: the period in which its base was written, whose later changes make the delta;
    /// `None` asks for a new base.
    pub since: Vec<Option<u32>>,
}

/// One worker's part of a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The shared state, as worker 0 has it; empty from the others.
    pub shared: Vec<u8>,
    /// What became of events in its own keys' windows, by pipeline.
    pub counts: Vec<(String, Counts)>,
    /// Its groups.
    pub groups: Vec<GroupState>,
    /// The time zones in use and the sums of their rules, as worker 0 has them.
    pub zones: Vec<(String, u64)>,
    /// The longest time at a stretch in which they were written down: the worker folds nothing meanwhile.
    pub took: Duration,
}

/// Keys of one group.
#[derive(Clone, Debug)]
pub struct GroupState {
    /// Which group.
    pub group: u8,
    /// Whether it is a base; otherwise a delta.
    pub base: bool,
    /// Keys in it.
    pub keys: u64,
    /// The keys, in the form of the module.
    pub bytes: Vec<u8>,
}

/// A checkpoint read back: what a fold goes on from.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// The shared state.
    pub shared: Vec<u8>,
    /// What became of events, by pipeline.
    pub counts: Vec<(String, Counts)>,
    /// Base and delta of each group, by its number.
    pub groups: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Saved {
    /// What the workers' parts of a first checkpoint, all of them bases, amount to.
    #[must_use]
    pub fn of(parts: &[Part]) -> Self {
        let mut saved =
            Self { groups: vec![Default::default(); crate::model::key::KEY_GROUPS], ..Self::default() };
        saved.take(parts);
        saved
    }

    /// Takes in the parts of the next checkpoint.
    pub fn take(&mut self, parts: &[Part]) {
        self.counts = total(parts);
        for part in parts {
            if !part.shared.is_empty() {
                self.shared.clone_from(&part.shared);
            }
            for group in &part.groups {
                let Some(own) = self.groups.get_mut(usize::from(group.group)) else { continue };
                if group.base {
                    *own = (group.bytes.clone(), Vec::new());
                } else {
                    own.1.clone_from(&group.bytes);
                }
            }
        }
    }
}

/// What became of events in all workers' windows; every worker sees excluded events, one counts.
#[must_use]
pub fn total(parts: &[Part]) -> Vec<(String, Counts)> {
    let mut sums = std::collections::BTreeMap::<String, Counts>::new();
    for part in parts {
        for (name, counts) in &part.counts {
            let excluded = if part.shared.is_empty() { 0 } else { counts.excluded };
            sums.entry(name.clone()).or_default().add(Counts { excluded, ..*counts });
        }
    }
    sums.into_iter().collect()
}

/// Names a run for good: its pipeline, the definition it began with, and its place there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunName {
    /// Pipeline.
    pub pipeline: String,
    /// Journal sequence of the definition.
    pub since: u64,
    /// Place of the window in it; [`READINGS_PLACE`] for the rules on readings.
    pub place: u32,
}

/// Stands for the rules on readings in place of a window's place.
pub const READINGS_PLACE: u32 = u32::MAX;

/// Why state cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// A value has no form as bytes, or the bytes are no such value: take another checkpoint.
    #[error("the state of {what} does not read: {why}")]
    Form {
        /// Whose.
        what: &'static str,
        /// What the format says.
        why: String,
    },
    /// A definition that was in force does not compile any more: another version wrote it.
    #[error("the definition of pipeline {pipeline} in it is not one of this version: {why}")]
    Definition {
        /// Pipeline.
        pipeline: String,
        /// What is wrong.
        why: String,
    },
    /// The journal's names are not those that the state was made with.
    #[error("its names are not those of the journal ({kind})")]
    Names {
        /// Kind of names.
        kind: &'static str,
    },
}

/// Appends a value to `out`.
pub(super) fn write<T: Serialize + ?Sized>(
    what: &'static str,
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), StateError> {
    *out = postcard::to_extend(value, std::mem::take(out))
        .map_err(|why| StateError::Form { what, why: why.to_string() })?;
    Ok(())
}

/// Reads a value and leaves what follows it.
pub(super) fn read<'a, T: Deserialize<'a>>(
    what: &'static str,
    input: &mut &'a [u8],
) -> Result<T, StateError> {
    let (value, rest) =
        postcard::take_from_bytes(input).map_err(|why| StateError::Form { what, why: why.to_string() })?;
    *input = rest;
    Ok(value)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "state_fixture_tests.rs"]
mod fixture_tests;
