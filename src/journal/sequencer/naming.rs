//! Names to ids: quotas are checked before any id is given, and every new name is journalled before
//! the first record that uses it.

use std::sync::Arc;

use super::{QUANTITIES_MAX, Sequencer, TAG_SETS_MAX, read};
use crate::model::{
    DecodedEvent, DeviceId, Entry, FeedId, FoundReading, Quantity, QuantityId, Reading, Record, TagSetId,
};

impl Sequencer {
    /// Ids of an event's names, those of its readings in a list that [`Sequencer::give_back`] takes
    /// again; `None` when a quota is used up. Quotas are checked before any id is given. `known` is the
    /// device, if it has an id.
    pub(super) fn names(
        &mut self,
        feed: FeedId,
        found: &DecodedEvent,
        known: Option<DeviceId>,
    ) -> Option<(DeviceId, TagSetId, Vec<Reading>)> {
        let mut readings = std::mem::take(&mut self.spare);
        readings.clear();
        let mut all_recalled = true;
        let tags = {
            let dictionary = read(&self.dictionary);
            let state = self.feeds.get(feed.index())?;
            let (mut near, mut new) = (0, 0);
            for FoundReading { quantity, value } in found.readings.iter() {
                let recalled = state.recall(quantity, &mut near);
                all_recalled &= recalled.is_some();
                let id = recalled.or_else(|| dictionary.quantity_id(quantity));
                new += usize::from(id.is_none());
                readings.extend(id.map(|quantity| Reading { quantity, value }));
            }
            if new > 0 && dictionary.quantities().len() + new > QUANTITIES_MAX {
                return None;
            }
            let before = known.and_then(|device| self.tagged.get(device.index()).copied());
            let same = before.filter(|id| {
                dictionary
                    .tags(*id)
                    .is_some_and(|tags| Arc::ptr_eq(tags, &found.tags) || **tags == *found.tags)
            });
            let tags = same.or_else(|| dictionary.tag_set_id(&found.tags));
            if tags.is_none() && dictionary.tag_sets().len() >= TAG_SETS_MAX {
                return None;
            }
            tags
        };
        let device = match known {
            Some(device) => device,
            None => self.new_device(feed, &found.sensor)?,
        };
        let tags = match tags {
            Some(tags) => tags,
            None => {
                let id = TagSetId(read(&self.dictionary).tag_sets().len() as u32);
                self.enter(Entry::Tags(found.tags.clone()));
                id
            }
        };
        if self.tagged.len() <= device.index() {
            // As many as there are devices: one that has said nothing yet counts as said with the first.
            self.tagged.resize(self.rings.len(), TagSetId::default());
        }
        if let Some(tagged) = self.tagged.get_mut(device.index()) {
            *tagged = tags;
        }
        if readings.len() < found.readings.len() {
            readings.clear();
            for FoundReading { quantity, value } in found.readings.iter() {
                readings.push(Reading { quantity: self.quantity_id(quantity), value });
            }
        }
        if !all_recalled {
            self.with_feed(feed, |state| {
                let read = found.readings.iter().zip(&readings);
                read.for_each(|(of, own)| state.note(of.quantity, own.quantity));
            });
        }
        Some((device, tags, readings))
    }

    /// Takes back the list of an event's readings for the next event.
    pub(super) fn give_back(&mut self, readings: Vec<Reading>) {
        self.spare = readings;
    }

    fn quantity_id(&mut self, quantity: &Arc<Quantity>) -> QuantityId {
        let known = read(&self.dictionary).quantity_id(quantity);
        known.unwrap_or_else(|| {
            let id = QuantityId(read(&self.dictionary).quantities().len() as u16);
            self.enter(Entry::Quantity(quantity.clone()));
            id
        })
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

    /// Messages of one connection carry one and the same name.
    pub(super) fn known_feed(&self, name: &Arc<str>) -> Option<FeedId> {
        self.last_feed.as_ref().filter(|(last, _)| Arc::ptr_eq(last, name)).map(|(_, id)| *id)
    }

    pub(super) fn feed_id(&mut self, name: &Arc<str>) -> FeedId {
        if let Some(id) = self.known_feed(name) {
            return id;
        }
        let known = read(&self.dictionary).feed_id(name);
        let id = known.unwrap_or_else(|| {
            let id = FeedId(self.feeds.len() as u16);
            self.enter(Entry::Feed(name.clone()));
            id
        });
        self.last_feed = Some((name.clone(), id));
        id
    }

    pub(super) fn enter(&mut self, entry: Entry) {
        self.learn(&entry);
        self.push(Record::Entry(entry));
    }
}
