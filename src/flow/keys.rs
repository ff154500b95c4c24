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
    Single(Vec<Place>),
    /// By device and tag set, where both do; `None` is another worker's.
    Pairs(HashMap<(u32, u32), Option<u32>>),
}

/// What is known of the key of one device or tag set.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// Nothing yet.
    #[default]
    New,
    /// It is another worker's.
    Others,
    /// Its number here.
    Own(u32),
}

impl Known {
    fn find(&self, device: u32, tags: u32, by_sensor: bool) -> Option<Option<u32>> {
        match self {
            Self::Single(places) => match *places.get(if by_sensor { device } else { tags } as usize)? {
                Place::New => None,
                Place::Others => Some(None),
                Place::Own(number) => Some(Some(number)),
            },
            Self::Pairs(pairs) => pairs.get(&(device, tags)).copied(),
        }
    }

    fn note(&mut self, device: u32, tags: u32, by_sensor: bool, number: Option<u32>) {
        match self {
            Self::Single(places) => {
                // Ids count up without gaps, so that this is no longer than the dictionary.
                let at = if by_sensor { device } else { tags } as usize;
                if places.len() <= at {
                    places.resize(at + 1, Place::New);
                }
                if let Some(place) = places.get_mut(at) {
                    *place = number.map_or(Place::Others, Place::Own);
                }
            }
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
            known: if both { Known::Pairs(HashMap::new()) } else { Known::Single(Vec::new()) },
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
