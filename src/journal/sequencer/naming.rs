//! Names to ids: quotas are checked before any id is given, and every new name is journalled before
//! the first record that uses it.

use std::sync::Arc;

use super::{QUANTITIES_MAX, Sequencer, TAG_SETS_MAX, read};
use crate::model::{
    DecodedEvent, DecodedReading, DeviceId, Entry, FeedId, QuantityId, Reading, Record, TagSetId,
};

impl Sequencer {
    /// Ids of an event's names; `None` when a quota is used up. Quotas are checked before any id
    /// is given.
    pub(super) fn names(
        &mut self,
        feed: FeedId,
        found: &DecodedEvent,
    ) -> Option<(DeviceId, TagSetId, Vec<Reading>)> {
        let (device, tags, known) = {
            let dictionary = read(&self.dictionary);
            let state = self.feeds.get(feed.index())?;
            let id = |reading: &DecodedReading| {
                state.recall(&reading.quantity).or_else(|| dictionary.quantity_id(&reading.quantity))
            };
            let quantities: Vec<Option<QuantityId>> = found.readings.iter().map(id).collect();
            let new = quantities.iter().filter(|id| id.is_none()).count();
            if new > 0 && dictionary.quantities().len() + new > QUANTITIES_MAX {
                return None;
            }
            let tags = dictionary.tag_set_id(&found.tags);
            if tags.is_none() && dictionary.tag_sets().len() >= TAG_SETS_MAX {
                return None;
            }
            (dictionary.device_id(feed, &found.sensor), tags, quantities)
        };
        let device = match device {
            Some(device) => device,
            None => self.new_device(feed, &found.sensor)?,
        };
        let tags = match tags {
            Some(tags) => tags,
            None => {
                let id = TagSetId(read(&self.dictionary).tag_sets().len() as u32);
                self.enter(Entry::Tags(found.tags.clone().into()));
                id
            }
        };
        let mut readings = Vec::with_capacity(found.readings.len());
        for (reading, id) in found.readings.iter().zip(known) {
            let quantity = match id.or_else(|| read(&self.dictionary).quantity_id(&reading.quantity)) {
                Some(id) => id,
                None => {
                    let id = QuantityId(read(&self.dictionary).quantities().len() as u16);
                    self.enter(Entry::Quantity(reading.quantity.clone()));
                    id
                }
            };
            self.with_feed(feed, |state| state.note(&reading.quantity, quantity));
            readings.push(Reading { quantity, value: reading.value });
        }
        Some((device, tags, readings))
    }

    fn new_device(&mut self, feed: FeedId, name: &Arc<str>) -> Option<DeviceId> {
        let allowed = self.definition(feed, |definition| definition.devices_max).unwrap_or(u32::MAX);
        if self.feeds.get(feed.index())?.devices >= allowed {
            return None;
        }
        let id = DeviceId(self.rings.len() as u32);
        self.enter(Entry::Device(feed, name.clone()));
        Some(id)
    }

    pub(super) fn feed_id(&mut self, name: &Arc<str>) -> FeedId {
        let known = read(&self.dictionary).feed_id(name);
        known.unwrap_or_else(|| {
            let id = FeedId(self.feeds.len() as u16);
            self.enter(Entry::Feed(name.clone()));
            id
        })
    }

    pub(super) fn enter(&mut self, entry: Entry) {
        self.learn(&entry);
        self.push(Record::Entry(entry));
    }
}
