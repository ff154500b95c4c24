//! Names to small numbers: feeds, devices, tag sets and quantities.
//!
//! An entry is journaled before the first record that uses its id; ids count up from 0 per kind
//! and are never reused, so that folding the journal gives every reader the same dictionary.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use serde::{Deserialize, Serialize};

use super::arrival::Quantity;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub struct $name(pub $inner);

        impl $name {
            /// Position in tables indexed by this id.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// A feed.
    FeedId, u16
);
id!(
    /// A device of one feed.
    DeviceId, u32
);
id!(
    /// A set of tags.
    TagSetId, u32
);
id!(
    /// A quantity with its unit and decimals.
    QuantityId, u16
);

/// Tags in the order of their names.
pub type TagSet = Arc<[(Arc<str>, Arc<str>)]>;

/// One new name, as a journal record carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The next feed id stands for this name.
    Feed(Arc<str>),
    /// The next device id stands for this device.
    Device(FeedId, Arc<str>),
    /// The next tag set id stands for these tags.
    Tags(TagSet),
    /// The next quantity id stands for this quantity.
    Quantity(Arc<Quantity>),
}

/// All names known at one position of the journal.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    feeds: Vec<Arc<str>>,
    devices: Vec<(FeedId, Arc<str>)>,
    tag_sets: Vec<TagSet>,
    quantities: Vec<Arc<Quantity>>,
    feed_ids: HashMap<Arc<str>, FeedId>,
    device_ids: DeviceIds,
    tag_set_ids: HashMap<TagSet, TagSetId>,
    quantity_ids: HashMap<Arc<Quantity>, QuantityId>,
}

/// Devices by their names, which stand elsewhere: eight bytes each.
#[derive(Clone, Debug, Default)]
struct DeviceIds {
    hasher: DefaultHashBuilder,
    table: HashTable<Place>,
}

/// A device with the hash of its feed and name, so that no name is read again when the table grows.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    id: DeviceId,
}

impl Place {
    /// The hash over all 64 bits: the table takes the lowest and the highest of them.
    fn spread(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}

impl DeviceIds {
    fn hash(&self, feed: FeedId, name: &str) -> u32 {
        self.hasher.hash_one((feed, name)) as u32
    }

    fn reserve(&mut self, count: usize) {
        self.table.reserve(count, |place| Place::spread(place.hash));
    }

    fn insert(&mut self, feed: FeedId, name: &str, id: DeviceId) {
        let hash = self.hash(feed, name);
        self.table.insert_unique(Place::spread(hash), Place { hash, id }, |place| Place::spread(place.hash));
    }

    fn find(&self, feed: FeedId, name: &str, is_it: impl Fn(DeviceId) -> bool) -> Option<DeviceId> {
        let hash = self.hash(feed, name);
        let found = self.table.find(Place::spread(hash), |place| place.hash == hash && is_it(place.id));
        found.map(|place| place.id)
    }
}

impl Dictionary {
    /// Makes room for so many devices, so that nothing is moved while they come.
    pub fn reserve_devices(&mut self, count: usize) {
        self.devices.reserve(count);
        self.device_ids.reserve(count);
    }

    /// Takes in the entry of one record; the id it gets is the next of its kind.
    pub fn insert(&mut self, entry: &Entry) {
        match entry {
            Entry::Feed(name) => {
                self.feed_ids.insert(name.clone(), FeedId(self.feeds.len() as u16));
                self.feeds.push(name.clone());
            }
            Entry::Device(feed, name) => {
                self.device_ids.insert(*feed, name, DeviceId(self.devices.len() as u32));
                self.devices.push((*feed, name.clone()));
            }
            Entry::Tags(tags) => {
                self.tag_set_ids.insert(tags.clone(), TagSetId(self.tag_sets.len() as u32));
                self.tag_sets.push(tags.clone());
            }
            Entry::Quantity(quantity) => {
                self.quantity_ids.insert(quantity.clone(), QuantityId(self.quantities.len() as u16));
                self.quantities.push(quantity.clone());
            }
        }
    }

    /// The name of a feed.
    #[must_use]
    pub fn feed(&self, id: FeedId) -> Option<&Arc<str>> {
        self.feeds.get(id.index())
    }

    /// The feed and name of a device.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&(FeedId, Arc<str>)> {
        self.devices.get(id.index())
    }

    /// The tags of a set.
    #[must_use]
    pub fn tags(&self, id: TagSetId) -> Option<&TagSet> {
        self.tag_sets.get(id.index())
    }

    /// A quantity.
    #[must_use]
    pub fn quantity(&self, id: QuantityId) -> Option<&Arc<Quantity>> {
        self.quantities.get(id.index())
    }

    /// The id of a feed.
    #[must_use]
    pub fn feed_id(&self, name: &str) -> Option<FeedId> {
        self.feed_ids.get(name).copied()
    }

    /// The id of a feed's device.
    #[must_use]
    pub fn device_id(&self, feed: FeedId, name: &str) -> Option<DeviceId> {
        let is_it = |id: DeviceId| self.device(id).is_some_and(|held| held.0 == feed && *held.1 == *name);
        self.device_ids.find(feed, name, is_it)
    }

    /// The id of a tag set.
    #[must_use]
    pub fn tag_set_id(&self, tags: &[(Arc<str>, Arc<str>)]) -> Option<TagSetId> {
        self.tag_set_ids.get(tags).copied()
    }

    /// The id of a quantity.
    #[must_use]
    pub fn quantity_id(&self, quantity: &Arc<Quantity>) -> Option<QuantityId> {
        self.quantity_ids.get(quantity).copied()
    }

    /// All feeds by id.
    #[must_use]
    pub fn feeds(&self) -> &[Arc<str>] {
        &self.feeds
    }

    /// All devices by id.
    #[must_use]
    pub fn devices(&self) -> &[(FeedId, Arc<str>)] {
        &self.devices
    }

    /// All tag sets by id.
    #[must_use]
    pub fn tag_sets(&self) -> &[TagSet] {
        &self.tag_sets
    }

    /// All quantities by id.
    #[must_use]
    pub fn quantities(&self) -> &[Arc<Quantity>] {
        &self.quantities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_per_kind_and_find_their_names_again() {
        let mut dictionary = Dictionary::default();
        dictionary.insert(&Entry::Feed("air".into()));
        dictionary.insert(&Entry::Device(FeedId(0), "aire-1".into()));
        dictionary.insert(&Entry::Device(FeedId(0), "aire-2".into()));
        let tags: TagSet = Arc::from(vec![("zone".into(), "comuna-01".into())]);
        dictionary.insert(&Entry::Tags(tags.clone()));
        assert_eq!(dictionary.device_id(FeedId(0), "aire-2"), Some(DeviceId(1)));
        assert_eq!(dictionary.device_id(FeedId(1), "aire-2"), None);
        assert_eq!(dictionary.tag_set_id(&tags), Some(TagSetId(0)));
        assert_eq!(dictionary.tags(TagSetId(0)), Some(&tags));
    }
}
