//! Which feeds of a pipeline have part in something, as their positions among those it reads.
//!
//! What is expected of a key is a sum over its feeds: a set has no order, so that it does not
//! matter by which feed a device's name was heard first.

use serde::{Deserialize, Serialize};

/// Feeds that one pipeline can read; `config` refuses more.
pub const FEEDS_MAX: usize = 64;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedSet(u64);

impl FeedSet {
    /// Adds the feed at `position`; one beyond [`FEEDS_MAX`] has no part in anything.
    pub fn add(&mut self, position: usize) {
        if position < FEEDS_MAX {
            self.0 |= 1 << position;
        }
    }

    /// Those of either set.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Their positions, lowest first.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..FEEDS_MAX).filter(move |position| self.0 & (1 << position) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_no_order_and_names_each_once() {
        let (mut one, mut other) = (FeedSet::default(), FeedSet::default());
        [3, 0, 63, 3, 64].into_iter().for_each(|position| one.add(position));
        [63, 0].into_iter().for_each(|position| other.add(position));
        assert_eq!(one.iter().collect::<Vec<_>>(), [0, 3, 63]);
        assert_eq!(one.or(other), one);
    }
}
