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

/// Keys by number, each with the period between two checkpoints in which it last changed.
#[derive(Debug)]
pub struct KeyRuns<T> {
    runs: Vec<T>,
    changed: Vec<u32>,
    period: u32,
}

impl<T> Default for KeyRuns<T> {
    fn default() -> Self {
        Self { runs: Vec::new(), changed: Vec::new(), period: UNDATED }
    }
}

impl<T> KeyRuns<T> {
    /// Adds the next key.
    pub fn push(&mut self, run: T) {
        self.push_marked(run, self.period);
    }

    /// Adds a key that last changed in `period`.
    pub fn push_marked(&mut self, run: T, period: u32) {
        self.runs.push(run);
        self.changed.push(period);
    }

    /// A key to look at.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&T> {
        self.runs.get(number)
    }

    /// A key to change.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        *self.changed.get_mut(number)? = self.period;
        self.runs.get_mut(number)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// All keys by number, each with the period in which it last changed.
    pub fn marked(&self) -> impl Iterator<Item = (&T, u32)> {
        self.runs.iter().zip(self.changed.iter().copied())
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
    type IntoIter = std::slice::IterMut<'a, T>;

    /// All keys, to change.
    fn into_iter(self) -> Self::IntoIter {
        self.changed.fill(self.period);
        self.runs.iter_mut()
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
}
