//! The keys of one run in the order of their numbers, each marked when it changes.
//!
//! Whoever asks for a key to change it has marked it, so that no change can escape the next
//! checkpoint; a key that was only looked at does not go into it.
//!
//! A checkpoint is of one moment, and is written bit by bit while the flow goes on: a key that is asked
//! for to be changed, and is not written yet, is written first as it was.

use serde::Serialize;

use super::state::StateError;
use super::state::groups::{GroupWriter, Groups};
use crate::model::Key;
use crate::model::key::KeyGroup;

/// The period in which keys that a checkpoint's base held count as changed.
pub const IN_BASE: u32 = 0;
/// The period in which keys that a checkpoint's delta held count as changed.
pub const IN_DELTA: u32 = 1;
/// The mark of changes before the first checkpoint that a run is part of: later than any base.
const UNDATED: u32 = u32::MAX;

/// Keys that lie together: a million of them are never moved, or held twice, when one more comes.
const CHUNK_KEYS: usize = 256;

/// Keys that are looked at in the time that it takes to write one.
pub const EFFORT_OF_A_KEY: usize = 200;

/// What a run keeps of a key.
pub trait Kept: Serialize {
    /// The key, which stands before its state.
    fn key(&self) -> &Key;
}

/// Keys of one run that go into a checkpoint.
pub trait Writes {
    /// Writes some more of them, as many as `effort` allows; what is left of it. All are written once
    /// something is.
    fn write_some(&mut self, effort: usize) -> usize;

    /// Writes the rest; what they all come to, by group. Nothing where no checkpoint is under way.
    ///
    /// # Errors
    /// [`StateError::Form`].
    fn written(&mut self) -> Result<Option<Groups>, StateError>;
}

/// A checkpoint under way: the keys from `next` up to `end`, which was their number at its moment, are
/// still to be written, but for those that changed since.
#[derive(Debug)]
struct Writing {
    writer: GroupWriter,
    next: usize,
    end: usize,
}

/// Keys by number, each with the period between two checkpoints in which it last changed.
#[derive(Debug)]
pub struct KeyRuns<T> {
    chunks: Vec<Vec<T>>,
    changed: Vec<u32>,
    /// By number, the key's group: to look for those that changed touches no key.
    groups: Vec<KeyGroup>,
    period: u32,
    writing: Option<Box<Writing>>,
}

impl<T> Default for KeyRuns<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), changed: Vec::new(), groups: Vec::new(), period: UNDATED, writing: None }
    }
}

impl<T: Kept> KeyRuns<T> {
    /// Adds the next key.
    pub fn push(&mut self, run: T) {
        self.push_marked(run, self.period);
    }

    /// Adds a key that last changed in `period`.
    pub fn push_marked(&mut self, run: T, period: u32) {
        self.groups.push(run.key().group());
        match self.chunks.last_mut().filter(|last| last.len() < CHUNK_KEYS) {
            Some(last) => last.push(run),
            None => {
                // The first grows as it needs to: most pipelines have few keys.
                let room = if self.chunks.is_empty() { 1 } else { CHUNK_KEYS };
                let mut chunk = Vec::with_capacity(room);
                chunk.push(run);
                self.chunks.push(chunk);
            }
        }
        self.changed.push(period);
    }

    /// A key to look at.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&T> {
        self.chunks.get(number / CHUNK_KEYS)?.get(number % CHUNK_KEYS)
    }

    /// A key to change.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        let changed = self.changed.get_mut(number)?;
        let run = self.chunks.get_mut(number / CHUNK_KEYS)?.get_mut(number % CHUNK_KEYS)?;
        if *changed != self.period {
            if let Some(writing) = &mut self.writing
                && (writing.next..writing.end).contains(&number)
            {
                let group = self.groups.get(number).copied();
                writing.writer.key(run, group.unwrap_or_else(|| run.key().group()), *changed);
            }
            *changed = self.period;
        }
        Some(run)
    }

    /// A key's group.
    #[must_use]
    pub fn group(&self, number: usize) -> Option<KeyGroup> {
        self.groups.get(number).copied()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changed.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }

    /// All keys by number, each with the period in which it last changed.
    pub fn marked(&self) -> impl Iterator<Item = (&T, u32)> {
        self.chunks.iter().flatten().zip(self.changed.iter().copied())
    }

    /// A checkpoint of this moment begins, for `writer`. Changes from here on are marked with `period`,
    /// which is over [`IN_DELTA`] + 1.
    pub fn begin_checkpoint(&mut self, writer: GroupWriter, period: u32) {
        self.begin_period(period);
        self.writing = Some(Box::new(Writing { writer, next: 0, end: self.len() }));
    }

    fn begin_period(&mut self, period: u32) {
        if self.period == UNDATED {
            let before = self.changed.iter_mut().filter(|mark| **mark == UNDATED);
            before.for_each(|mark| *mark = period - 1);
        }
        self.period = period;
    }
}

impl<T: Kept> Writes for KeyRuns<T> {
    fn write_some(&mut self, mut effort: usize) -> usize {
        let Some(Writing { writer, next, end }) = self.writing.as_deref_mut() else { return effort };
        while *next < *end && effort > 0 {
            let number = *next;
            *next += 1;
            effort -= 1;
            let Some((changed, group)) = self.changed.get(number).zip(self.groups.get(number)) else { break };
            // What changed since its moment was written then.
            if *changed == self.period || !writer.wants(*group, *changed) {
                continue;
            }
            let run = self.chunks.get(number / CHUNK_KEYS).and_then(|chunk| chunk.get(number % CHUNK_KEYS));
            if let Some(run) = run {
                writer.key(run, *group, *changed);
                effort = effort.saturating_sub(EFFORT_OF_A_KEY);
            }
        }
        effort
    }

    fn written(&mut self) -> Result<Option<Groups>, StateError> {
        self.write_some(usize::MAX);
        self.writing.take().map(|writing| writing.writer.finish()).transpose()
    }
}

impl<'a, T: Kept> IntoIterator for &'a mut KeyRuns<T> {
    type Item = &'a mut T;
    type IntoIter = std::iter::Flatten<std::slice::IterMut<'a, Vec<T>>>;

    /// All keys, to change.
    fn into_iter(self) -> Self::IntoIter {
        self.write_some(usize::MAX);
        self.changed.fill(self.period);
        self.chunks.iter_mut().flatten()
    }
}

#[cfg(test)]
#[path = "key_runs_tests.rs"]
mod tests;
