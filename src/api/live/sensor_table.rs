//! The latest reading of every sensor and quantity, and whose turn it is in the live stream. Pure.

use std::sync::Arc;

use super::super::sensors::{LatestReading, LiveReading, LiveReadings, Sensor, SensorFilter};
use super::recall::Recalled;
use crate::model::{
    DeviceId, Dictionary, Event, Quantity, QuantityId, Reading, Span, TagSet, TagSetId, Timestamp, Value,
};

/// Quantities kept per sensor; a device that names more shows the first ones.
const QUANTITIES_MAX: usize = 64;
/// A sensor is in the live stream at most once in this time.
const SEND_EVERY: Span = Span::seconds(1);

/// Sensors by device id.
#[derive(Debug, Default)]
pub(super) struct SensorTable {
    sensors: Vec<Option<Entry>>,
    count: u64,
    /// Touched since the stream was last served, each once.
    touched: Vec<DeviceId>,
    /// Touched too soon after their last turn.
    held: Vec<DeviceId>,
}

/// One sensor.
#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    feed: Arc<str>,
    tags_id: TagSetId,
    tags: TagSet,
    last_event_at: Timestamp,
    last_arrived_at: Timestamp,
    latest: Vec<Latest>,
    sent_at: Timestamp,
    waits: bool,
}

/// One quantity's latest reading.
#[derive(Debug)]
pub(super) struct Latest {
    pub(super) id: QuantityId,
    pub(super) quantity: Arc<Quantity>,
    pub(super) value: Value,
    pub(super) event_at: Timestamp,
}

impl Latest {
    fn value(&self) -> f64 {
        self.value.to_f64(self.quantity.decimals)
    }
}

impl SensorTable {
    /// Takes in an event; readings older than those held change nothing but the arrival time.
    pub(super) fn take(&mut self, event: &Event, readings: &[Reading], dictionary: &Dictionary) {
        let index = event.device.index();
        if index >= self.sensors.len() {
            self.sensors.resize_with(index + 1, || None);
        }
        let Some(slot) = self.sensors.get_mut(index) else { return };
        if slot.is_none() {
            *slot = Entry::of(event, dictionary);
            self.count += u64::from(slot.is_some());
        }
        let Some(entry) = slot else { return };
        entry.take(event, readings, dictionary);
        if !entry.waits {
            entry.waits = true;
            self.touched.push(event.device);
        }
    }

    /// Whether anything is known of a sensor.
    pub(super) fn knows(&self, device: DeviceId) -> bool {
        matches!(self.sensors.get(device.index()), Some(Some(_)))
    }

    /// Takes in a sensor of which nothing is known; nobody who watches is told.
    pub(super) fn recall(&mut self, sensor: &Recalled, latest: Vec<Latest>, dictionary: &Dictionary) {
        let index = sensor.device.index();
        if index >= self.sensors.len() {
            self.sensors.resize_with(index + 1, || None);
        }
        let Some(slot) = self.sensors.get_mut(index) else { return };
        if slot.is_none() {
            *slot = Entry::recalled(sensor, latest, dictionary);
            self.count += u64::from(slot.is_some());
        }
    }

    /// Sensors that sent at least one event.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The touched sensors whose turn it is at `now`; the others are held back.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<DeviceId> {
        let touched = std::mem::take(&mut self.touched);
        self.turns(touched, now)
    }

    /// The sensors that were held back and whose turn it is at `now`.
    pub(super) fn held_back(&mut self, now: Timestamp) -> Vec<DeviceId> {
        let held = std::mem::take(&mut self.held);
        self.turns(held, now)
    }

    /// Nobody watches: nothing is due, nothing waits.
    pub(super) fn forget_touched(&mut self) -> Vec<DeviceId> {
        for device in self.touched.drain(..).chain(self.held.drain(..)) {
            if let Some(Some(entry)) = self.sensors.get_mut(device.index()) {
                entry.waits = false;
            }
        }
        Vec::new()
    }

    fn turns(&mut self, devices: Vec<DeviceId>, now: Timestamp) -> Vec<DeviceId> {
        let mut due = Vec::new();
        for device in devices {
            let Some(Some(entry)) = self.sensors.get_mut(device.index()) else { continue };
            if now.since(entry.sent_at) >= SEND_EVERY {
                entry.sent_at = now;
                entry.waits = false;
                due.push(device);
            } else {
                self.held.push(device);
            }
        }
        due
    }

    /// What the live stream says of a sensor.
    pub(super) fn live(&self, device: DeviceId) -> Option<LiveReadings> {
        let entry = self.sensors.get(device.index())?.as_ref()?;
        let reading = |latest: &Latest| LiveReading {
            quantity: latest.quantity.name.to_string(),
            value: latest.value(),
            unit: latest.quantity.unit.to_string(),
            event_at: latest.event_at.to_string(),
        };
        Some(LiveReadings {
            sensor: entry.name.to_string(),
            feed: entry.feed.to_string(),
            event_at: entry.last_event_at.to_string(),
            latitude: entry.latitude(),
            longitude: entry.longitude(),
            readings: entry.measured().map(reading).collect(),
        })
    }

    /// Sensors after `filter.after`, by id, and the id to go on after if there are more.
    pub(super) fn page(&self, filter: &SensorFilter) -> (Vec<Sensor>, Option<u32>) {
        let first = filter.after.map_or(0, |id| id as usize + 1);
        let rest = self.sensors.iter().enumerate().skip(first);
        let mut matching = rest.filter_map(|(id, slot)| {
            slot.as_ref().filter(|entry| entry.matches(filter)).map(|entry| (id, entry))
        });
        let page: Vec<Sensor> =
            matching.by_ref().take(filter.limit).map(|(id, entry)| entry.sensor(id as u32)).collect();
        let next = matching.next().and(page.last()).map(|sensor| sensor.id);
        (page, next)
    }
}

impl Entry {
    fn of(event: &Event, dictionary: &Dictionary) -> Option<Self> {
        let (feed, name) = dictionary.device(event.device)?;
        Some(Self {
            name: name.clone(),
            feed: dictionary.feed(*feed)?.clone(),
            tags_id: event.tags,
            tags: dictionary.tags(event.tags)?.clone(),
            last_event_at: event.event_at,
            last_arrived_at: event.arrived_at,
            latest: Vec::new(),
            sent_at: Timestamp::MIN,
            waits: false,
        })
    }

    fn recalled(sensor: &Recalled, mut latest: Vec<Latest>, dictionary: &Dictionary) -> Option<Self> {
        let (feed, name) = dictionary.device(sensor.device)?;
        let tags_id = dictionary.tag_set_id(&sensor.tags)?;
        latest.truncate(QUANTITIES_MAX);
        Some(Self {
            name: name.clone(),
            feed: dictionary.feed(*feed)?.clone(),
            tags_id,
            tags: dictionary.tags(tags_id)?.clone(),
            last_event_at: sensor.event_at,
            last_arrived_at: sensor.arrived_at,
            latest,
            sent_at: Timestamp::MIN,
            waits: false,
        })
    }

    fn take(&mut self, event: &Event, readings: &[Reading], dictionary: &Dictionary) {
        self.last_arrived_at = self.last_arrived_at.max(event.arrived_at);
        if event.event_at >= self.last_event_at {
            self.last_event_at = event.event_at;
            if self.tags_id != event.tags
                && let Some(tags) = dictionary.tags(event.tags)
            {
                self.tags_id = event.tags;
                self.tags = tags.clone();
            }
        }
        for reading in readings {
            self.keep(reading, event.event_at, dictionary);
        }
    }

    fn keep(&mut self, reading: &Reading, event_at: Timestamp, dictionary: &Dictionary) {
        if let Some(latest) = self.latest.iter_mut().find(|latest| latest.id == reading.quantity) {
            if event_at >= latest.event_at {
                latest.value = reading.value;
                latest.event_at = event_at;
            }
            return;
        }
        let Some(quantity) = dictionary.quantity(reading.quantity).cloned() else { return };
        // The same name at other decimals or in another unit is the quantity redefined.
        self.latest.retain(|latest| latest.quantity.name != quantity.name);
        if self.latest.len() < QUANTITIES_MAX {
            self.latest.push(Latest { id: reading.quantity, quantity, value: reading.value, event_at });
        }
    }

    fn matches(&self, filter: &SensorFilter) -> bool {
        let tagged = |(name, value): (&String, &String)| {
            self.tags.iter().any(|(known, held)| **known == **name && **held == **value)
        };
        filter.feed.as_deref().is_none_or(|feed| feed == &*self.feed) && filter.tags.iter().all(tagged)
    }

    fn latitude(&self) -> Option<f64> {
        self.named("lat").filter(|degrees| degrees.abs() <= 90.0)
    }

    fn longitude(&self) -> Option<f64> {
        self.named("lon").filter(|degrees| degrees.abs() <= 180.0)
    }

    fn named(&self, name: &str) -> Option<f64> {
        self.latest.iter().find(|latest| *latest.quantity.name == *name).map(Latest::value)
    }

    /// All but the position.
    fn measured(&self) -> impl Iterator<Item = &Latest> {
        self.latest.iter().filter(|latest| !matches!(&*latest.quantity.name, "lat" | "lon"))
    }

    fn sensor(&self, id: u32) -> Sensor {
        let reading = |latest: &Latest| LatestReading {
            quantity: latest.quantity.name.to_string(),
            unit: latest.quantity.unit.to_string(),
            value: latest.value(),
            event_at: latest.event_at.to_string(),
        };
        Sensor {
            id,
            name: self.name.to_string(),
            feed: self.feed.to_string(),
            tags: self.tags.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            latitude: self.latitude(),
            longitude: self.longitude(),
            last_event_at: self.last_event_at.to_string(),
            last_arrived_at: self.last_arrived_at.to_string(),
            readings: self.measured().map(reading).collect(),
        }
    }
}
