//! The keys of one run in the order of their numbers, each marked when it changes.
//!
//! Whoever asks for a key to change it has marked it, so that no change can escape the next
//! checkpoint; a key that was only looked at does not go into it.

/// The period in which keys that a checkpoint's base held count as changed.
pub const IN_BASE: u32 = 0;
/// The period in which keys that a checkpoint's delta held count as changed.
pub const IN_DELTA: u32 = 1;
/// The mark of changes before the first checkpoint that a run is part of: later than any base.
const UNDATED: u32 = u32::MAX;

/// Keys that lie together: a million of them are never moved, or held twice, when one more comes.
const CHUNK_KEYS: usize = 256;

/// Keys by number, each with the period between two checkpoints in which it last changed.
#[derive(Debug)]
pub struct KeyRuns<T> {
    chunks: Vec<Vec<T>>,
    changed: Vec<u32>,
    period: u32,
}

impl<T> Default for KeyRuns<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), changed: Vec::new(), period: UNDATED }
    }
}

impl<T> KeyRuns<T> {
    /// Adds the next key.
    pub fn push(&mut self, run: T) {
        self.push_marked(run, self.period);
    }

    /// Adds a key that last changed in `period`.
    pub fn push_marked(&mut self, run: T, period: u32) {
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
        *self.changed.get_mut(number)? = self.period;
        self.chunks.get_mut(number / CHUNK_KEYS)?.get_mut(number % CHUNK_KEYS)
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

    /// Changes from here on are marked with `period`, which is over [`IN_DELTA`] + 1.
    pub fn begin_period(&mut self, period: u32) {
        if self.period == UNDATED {
            let before = self.changed.iter_mut().filter(|mark| **mark == UNDATED);
            before.for_each(|mark| *mark = period - 1);
        }
        self.period = period;
    }
}

impl<'a, T> IntoIterator for &'a mut KeyRuns<T> {
    type Item = &'a mut T;
    type IntoIter = std::iter::Flatten<std::slice::IterMut<'a, Vec<T>>>;

    /// All keys, to change.
    fn into_iter(self) -> Self::IntoIter {
        self.changed.fill(self.period);
        self.chunks.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_marked_when_it_is_asked_for_to_change() {
        let mut keys = KeyRuns::default();
        ["a", "b", "c"].into_iter().for_each(|key| keys.push(key));
        assert!(keys.marked().all(|(_, period)| period == UNDATED));
        keys.begin_period(7);
        assert_eq!(keys.get(0), Some(&"a"));
        assert!(keys.get_mut(1).is_some() && keys.get_mut(9).is_none());
        let marks: Vec<u32> = keys.marked().map(|(_, period)| period).collect();
        assert_eq!(marks, [6, 7, 6]);
        assert_eq!((&mut keys).into_iter().count(), 3);
        assert!(keys.marked().all(|(_, period)| period == 7));
    }

    #[test]
    fn keys_keep_their_numbers_over_chunks() {
        let mut keys = KeyRuns::default();
        (0..1_000_u32).for_each(|key| keys.push(key));
        assert_eq!(keys.len(), 1_000);
        assert!((0..1_000).all(|at| keys.get(at).copied() == Some(at as u32)));
        assert!(keys.marked().map(|(key, _)| *key).eq(0..1_000));
        assert!(keys.get(1_000).is_none() && keys.get_mut(1_024).is_none());
        keys.begin_period(7);
        *keys.get_mut(700).unwrap() = 0;
        assert_eq!(
            keys.marked().filter(|marked| marked.1 == 7).map(|marked| *marked.0).collect::<Vec<_>>(),
            [0]
        );
        assert_eq!((&mut keys).into_iter().count(), 1_000);
    }
}
