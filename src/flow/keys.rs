//! Which key an event belongs to, and whether this worker owns it.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::model::key::KeyGroup;
use crate::model::{Dictionary, Event, Key};

/// The tag that names the device.
pub const SENSOR: &str = "sensor";

/// This worker's share of the keys.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Index of the worker.
    pub index: usize,
    /// Number of workers.
    pub workers: usize,
}

impl Share {
    /// Whether this worker owns a key.
    #[must_use]
    pub fn owns(self, key: &Key) -> bool {
        self.owns_group(key.group())
    }

    /// Whether this worker owns a group.
    #[must_use]
    pub fn owns_group(self, group: KeyGroup) -> bool {
        usize::from(group.0) % self.workers.max(1) == self.index
    }
}

/// Finds and numbers the keys of one plan.
#[derive(Clone, Debug)]
pub struct KeyTable {
    by: Vec<Arc<str>>,
    /// The period of the day whose windows the keys have, the last part of each.
    period: Option<Arc<str>>,
    by_sensor: bool,
    share: Share,
    keys: HashMap<Key, Option<u32>>,
    known: Known,
    owned: u32,
}

/// The keys of what was seen: events come in any order, and most of them of what is known.
#[derive(Clone, Debug)]
enum Known {
    /// By device or by tag set, where one of them decides.
    Single(Places),
    /// By device and tag set, where both do; `None` is another worker's.
    Pairs(HashMap<(u32, u32), Option<u32>>),
}

/// Ids on one page.
const PAGE_IDS: usize = 512;
/// Nothing is known of the id yet.
const NEW: u32 = 0;
/// Its key is another worker's.
const OTHERS: u32 = 1;
/// The mark of the key with number 0.
const OWN: u32 = 2;

/// What is known of ids, in pages: they count up without gaps over all feeds, and a pipeline on a few of
/// many devices has the pages of those.
#[derive(Clone, Debug, Default)]
struct Places(Vec<Option<Box<[u32; PAGE_IDS]>>>);

impl Places {
    fn find(&self, id: usize) -> Option<Option<u32>> {
        let page = self.0.get(id / PAGE_IDS)?.as_ref()?;
        match *page.get(id % PAGE_IDS)? {
            NEW => None,
            mark => Some(mark.checked_sub(OWN)),
        }
    }

    fn note(&mut self, id: usize, number: Option<u32>) {
        if self.0.len() <= id / PAGE_IDS {
            self.0.resize(id / PAGE_IDS + 1, None);
        }
        let Some(page) = self.0.get_mut(id / PAGE_IDS) else { return };
        let page = page.get_or_insert_with(|| Box::new([NEW; PAGE_IDS]));
        if let Some(place) = page.get_mut(id % PAGE_IDS) {
            *place = number.map_or(OTHERS, |number| number + OWN);
        }
    }
}

impl Known {
    fn find(&self, device: u32, tags: u32, by_sensor: bool) -> Option<Option<u32>> {
        match self {
            Self::Single(places) => places.find(if by_sensor { device } else { tags } as usize),
            Self::Pairs(pairs) => pairs.get(&(device, tags)).copied(),
        }
    }

    fn note(&mut self, device: u32, tags: u32, by_sensor: bool, number: Option<u32>) {
        match self {
            Self::Single(places) => places.note(if by_sensor { device } else { tags } as usize, number),
            Self::Pairs(pairs) => {
                pairs.insert((device, tags), number);
            }
        }
    }
}

impl KeyTable {
    /// A table for keys of these tags; `period` is the value of the last of them, where windows
    /// are of a period of the day.
    #[must_use]
    pub fn new(by: &[Arc<str>], period: Option<&Arc<str>>, share: Share) -> Self {
        let by =
            by.get(..by.len().saturating_sub(usize::from(period.is_some()))).unwrap_or_default().to_vec();
        let by_sensor = by.iter().any(|name| &**name == SENSOR);
        let both = by_sensor && by.len() > 1;
        Self {
            by,
            period: period.cloned(),
            by_sensor,
            share,
            keys: HashMap::new(),
            known: if both { Known::Pairs(HashMap::new()) } else { Known::Single(Places::default()) },
            owned: 0,
        }
    }

    /// Whether a key is a single sensor, whose own readings are its clock.
    #[must_use]
    pub fn by_sensor(&self) -> bool {
        self.by_sensor
    }

    /// The number of an event's key, `None` when another worker owns it; with it the key itself
    /// when it is seen for the first time.
    pub fn of(&mut self, event: &Event, dictionary: &Dictionary) -> Option<(u32, Option<Key>)> {
        let (device, tags) = (event.device.0, event.tags.0);
        if let Some(known) = self.known.find(device, tags, self.by_sensor) {
            return known.map(|number| (number, None));
        }
        let key = self.key(event, dictionary);
        let found = self.admit(key);
        self.known.note(device, tags, self.by_sensor, found.as_ref().map(|found| found.0));
        found
    }

    /// Whether keys are a sensor and nothing else (but the period of the day).
    #[must_use]
    pub fn is_sensor_alone(&self) -> bool {
        self.by_sensor && self.by.len() == 1
    }

    /// The number of a registered sensor's key, like [`Self::of`], where keys are a sensor alone.
    pub fn register(&mut self, sensor: &str) -> Option<(u32, Option<Key>)> {
        self.admit(Key(std::iter::once(sensor.into()).chain(self.period.clone()).collect()))
    }

    fn admit(&mut self, key: Key) -> Option<(u32, Option<Key>)> {
        if let Some(known) = self.keys.get(&key) {
            return known.map(|number| (number, None));
        }
        if !self.share.owns(&key) {
            self.keys.insert(key, None);
            return None;
        }
        let number = self.owned;
        self.owned += 1;
        self.keys.insert(key.clone(), Some(number));
        Some((number, Some(key)))
    }

    /// Whether a key of this worker is numbered.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        self.keys.get(key).is_some_and(Option::is_some)
    }

    /// The number of a key of this worker, if it has one.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<u32> {
        self.keys.get(key).copied().flatten()
    }

    /// Numbers a key of this worker that a checkpoint held.
    pub fn restore(&mut self, key: Key) -> u32 {
        let number = self.owned;
        self.owned += 1;
        self.keys.insert(key, Some(number));
        number
    }

    fn key(&self, event: &Event, dictionary: &Dictionary) -> Key {
        let tags = dictionary.tags(event.tags);
        let empty: Arc<str> = "".into();
        let value = |name: &Arc<str>| {
            if &**name == SENSOR {
                return dictionary.device(event.device).map(|device| device.1.clone());
            }
            tags.and_then(|tags| tags.iter().find(|tag| tag.0 == *name)).map(|tag| tag.1.clone())
        };
        let values = self.by.iter().map(|name| value(name).unwrap_or_else(|| empty.clone()));
        Key(values.chain(self.period.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_far_apart_take_a_page_each() {
        let mut places = Places::default();
        let noted = [(0, Some(0)), (511, None), (512, Some(1)), (1_000_000, Some(u32::MAX - OWN))];
        for (id, number) in noted {
            assert_eq!(places.find(id), None);
            places.note(id, number);
        }
        for (id, number) in noted {
            assert_eq!(places.find(id), Some(number));
        }
        assert_eq!(places.find(1_000_001), None);
        assert_eq!(places.0.iter().flatten().count(), 3);
        places.note(511, Some(7));
        assert_eq!(places.find(511), Some(Some(7)));
    }
}
