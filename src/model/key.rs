//! Keys of windows and alerts, and the groups they are spread by.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// Groups that keys are spread over; worker `g % workers` owns group `g`.
pub const KEY_GROUPS: usize = 256;

/// The values of the tags a window groups by, in the declared order; the names stand in its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(pub Arc<[Arc<str>]>);

impl Key {
    /// The group of this key: the top 8 bits of xxh3-64 (seed 0) over each value's UTF-8 bytes
    /// with their length before them as a little-endian u64.
    #[must_use]
    pub fn group(&self) -> KeyGroup {
        KeyGroup::of(self.0.iter().map(|value| &**value))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// One of [`KEY_GROUPS`] groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyGroup(pub u8);

impl KeyGroup {
    /// The group of tag values in their declared order.
    #[must_use]
    pub fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut hash = Xxh3::new();
        for value in values {
            hash.update(&(value.len() as u64).to_le_bytes());
            hash.update(value.as_bytes());
        }
        Self((hash.digest() >> 56) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test vectors; docs/reference/key-groups.md prints the same.
    #[test]
    fn groups_are_the_documented_vectors() {
        let group = |values: &[&str]| KeyGroup::of(values.iter().copied()).0;
        assert_eq!(group(&["rio-01"]), 82);
        assert_eq!(group(&["comuna-07", "alumbrado"]), 62);
        assert_eq!((group(&[]), group(&[""])), (45, 199));
        assert_ne!(group(&["ab", "c"]), group(&["a", "bc"]), "lengths keep values apart");
        let spread: std::collections::BTreeSet<u8> =
            (0..10_000).map(|n| group(&[&format!("aire-{n:05}")])).collect();
        assert_eq!(spread.len(), KEY_GROUPS);
    }
}
