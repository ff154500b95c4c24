//! The names that a state was made with: how many of each kind, and their sum.
//!
//! The journal's dictionary only grows and never reuses an id, so its first so many names are those
//! that the flow knew; the sum holds that they are.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::StateError;
use crate::model::{Dictionary, Entry};

/// Names of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    count: u64,
    sum: u64,
}

impl Known {
    fn add(&mut self, hash: u64) {
        self.count += 1;
        self.sum = xxh3_64_with_seed(&hash.to_le_bytes(), self.sum);
    }
}

/// Names read at once from a dictionary that others write to.
const NAMES_AT_ONCE: usize = 4_096;

/// Kinds of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Feeds.
    Feeds,
    /// Quantities.
    Quantities,
    /// Sets of tags.
    TagSets,
    /// Devices.
    Devices,
}

/// Every name of a journal, by kind and place; it may grow while it is read.
pub trait AllNames {
    /// Up to `most` names of a kind from a place on; none behind the last.
    fn some(&self, kind: Kind, from: usize, most: usize) -> Vec<Entry>;
}

impl AllNames for Dictionary {
    fn some(&self, kind: Kind, from: usize, most: usize) -> Vec<Entry> {
        fn part<T>(all: &[T], from: usize, most: usize, entry: impl Fn(&T) -> Entry) -> Vec<Entry> {
            all.iter().skip(from).take(most).map(entry).collect()
        }
        match kind {
            Kind::Feeds => part(self.feeds(), from, most, |name| Entry::Feed(name.clone())),
            Kind::Quantities => part(self.quantities(), from, most, |one| Entry::Quantity(one.clone())),
            Kind::TagSets => part(self.tag_sets(), from, most, |tags| Entry::Tags(tags.clone())),
            Kind::Devices => {
                part(self.devices(), from, most, |(feed, name)| Entry::Device(*feed, name.clone()))
            }
        }
    }
}

/// All names that were known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    feeds: Known,
    devices: Known,
    tag_sets: Known,
    quantities: Known,
}

impl Names {
    /// One more.
    pub fn add(&mut self, entry: &Entry) {
        let mut hash = Xxh3::new();
        let mut text = |text: &str| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        match entry {
            Entry::Feed(name) => text(name),
            Entry::Device(feed, name) => {
                text(name);
                hash.update(&feed.0.to_le_bytes());
            }
            Entry::Tags(tags) => tags.iter().for_each(|(name, value)| {
                text(name);
                text(value);
            }),
            Entry::Quantity(quantity) => {
                text(&quantity.name);
                text(&quantity.unit);
                hash.update(&[quantity.decimals]);
            }
        }
        let hash = hash.digest();
        match entry {
            Entry::Feed(_) => self.feeds.add(hash),
            Entry::Device(..) => self.devices.add(hash),
            Entry::Tags(_) => self.tag_sets.add(hash),
            Entry::Quantity(_) => self.quantities.add(hash),
        }
    }

    /// The first so many names of `all`.
    ///
    /// # Errors
    /// [`StateError::Names`] when they are not those that were known.
    pub fn first_of(&self, all: &impl AllNames) -> Result<Dictionary, StateError> {
        let mut dictionary = Dictionary::default();
        let mut names = Self::default();
        let wanted = [
            (Kind::Feeds, self.feeds),
            (Kind::Quantities, self.quantities),
            (Kind::TagSets, self.tag_sets),
            (Kind::Devices, self.devices),
        ];
        for (kind, known) in wanted {
            let count = usize::try_from(known.count).unwrap_or(usize::MAX);
            let mut taken = 0;
            while taken < count {
                let some = all.some(kind, taken, NAMES_AT_ONCE.min(count - taken));
                if some.is_empty() {
                    break;
                }
                taken += some.len();
                for entry in some {
                    names.add(&entry);
                    dictionary.insert(&entry);
                }
            }
        }
        for (kind, found, known) in [
            ("feeds", names.feeds, self.feeds),
            ("devices", names.devices, self.devices),
            ("tags", names.tag_sets, self.tag_sets),
            ("quantities", names.quantities, self.quantities),
        ] {
            if found != known {
                return Err(StateError::Names { kind });
            }
        }
        Ok(dictionary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FeedId;

    #[test]
    fn a_longer_dictionary_gives_the_names_known_then_and_another_one_is_refused() {
        let entries = [
            Entry::Feed("air".into()),
            Entry::Device(FeedId(0), "aire-1".into()),
            Entry::Tags(vec![("zone".into(), "comuna-01".into())].into()),
            Entry::Device(FeedId(0), "aire-2".into()),
        ];
        let (mut known, mut all) = (Names::default(), Dictionary::default());
        for (at, entry) in entries.iter().enumerate() {
            all.insert(entry);
            if at < 3 {
                known.add(entry);
            }
        }
        let first = known.first_of(&all).unwrap();
        assert_eq!((first.feeds().len(), first.devices().len(), first.tag_sets().len()), (1, 1, 1));

        let mut other = Dictionary::default();
        other.insert(&Entry::Feed("air".into()));
        assert_eq!(known.first_of(&other).unwrap_err(), StateError::Names { kind: "devices" });
        other.insert(&Entry::Device(FeedId(0), "aire-9".into()));
        assert_eq!(known.first_of(&other).unwrap_err(), StateError::Names { kind: "devices" });
    }
}
