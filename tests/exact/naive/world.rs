//! What the journal says of names and feeds, record by record.

use std::sync::Arc;

use sereno::model::definition::FeedDefinition;
use sereno::model::dictionary::TagSet;
use sereno::model::time::SECOND;
use sereno::model::{Entry, Event, Quantity, Reading, Record, Span, Timestamp};

/// Unobserved stretches that a feed remembers.
const STRETCHES_MAX: usize = 256;

/// A record with its sequence and, for an event, its readings.
#[derive(Clone, Debug)]
pub struct Line {
    /// Journal sequence.
    pub sequence: u64,
    /// The record.
    pub record: Record,
    /// An event's readings.
    pub readings: Vec<Reading>,
}

/// One feed.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    /// Its name.
    pub name: String,
    /// Its definition in force.
    pub definition: Option<FeedDefinition>,
    /// Its last step.
    pub watermark: Option<i64>,
    /// Whether the last tick names it.
    pub observed: bool,
    /// All the time in which it was unobserved.
    pub unobserved: i64,
    /// When that was: the last stretches, those that touch being one.
    stretches: Vec<(i64, i64)>,
    /// Observed time since its last record.
    quiet: i64,
    /// Time unobserved since its last record, while Sereno ran.
    unseen: i64,
}

impl Feed {
    /// Unobserved for a minute: nothing waits for it.
    pub fn gone(&self) -> bool {
        !self.observed && self.unseen >= 60 * SECOND
    }

    /// How much of a span of the arrival clock it was observed.
    pub fn observed_within(&self, (start, end): (i64, i64)) -> i64 {
        let shared = |(from, to): &(i64, i64)| ((*to).min(end) - (*from).max(start)).max(0);
        end - start - self.stretches.iter().map(shared).sum::<i64>()
    }

    fn deaf(&mut self, from: i64, to: i64) {
        match self.stretches.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => self.stretches.push((from, to)),
        }
        let old = self.stretches.len().saturating_sub(STRETCHES_MAX);
        self.stretches.drain(..old);
    }

    fn idle_after(&self) -> i64 {
        self.definition.as_ref().map_or(60 * SECOND, |definition| definition.idle_after.0)
    }

    fn idle(&self) -> bool {
        self.gone() || self.observed && self.quiet >= self.idle_after()
    }

    fn out_of_orderness(&self) -> Span {
        self.definition.as_ref().map_or(Span::seconds(30), |definition| definition.out_of_orderness)
    }
}

/// Before everything, with room to take spans from it.
const NEVER: i64 = i64::MIN / 2;

/// Names, feeds and clocks at one position of the journal.
#[derive(Clone, Debug)]
pub struct World {
    /// By id.
    pub feeds: Vec<Feed>,
    devices: Vec<Arc<str>>,
    tags: Vec<TagSet>,
    quantities: Vec<Arc<Quantity>>,
    /// The last tick.
    pub tick: i64,
    /// Arrival time of the last record that has one.
    pub arrival: i64,
}

/// An event with names for ids.
#[derive(Clone, Debug)]
pub struct Said {
    /// Feed's id.
    pub feed: usize,
    /// Device.
    pub device: Arc<str>,
    /// Tags by name.
    pub tags: TagSet,
    /// When the device measured.
    pub event_at: i64,
    /// Its own counter.
    pub counter: Option<u64>,
    /// The watermark it gives its sensor.
    pub watermark: i64,
    /// Readings by quantity: name, unit, decimals.
    pub readings: Vec<(Arc<Quantity>, i64)>,
}

impl Default for World {
    fn default() -> Self {
        let (feeds, devices, tags, quantities) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { feeds, devices, tags, quantities, tick: NEVER, arrival: NEVER }
    }
}

impl World {
    /// Takes in what a record says of names and clocks; controls are for others.
    pub fn hear(&mut self, record: &Record) {
        match record {
            Record::Entry(Entry::Feed(name)) => {
                self.feeds.push(Feed { name: name.to_string(), ..Feed::default() });
            }
            Record::Entry(Entry::Device(_, name)) => self.devices.push(name.clone()),
            Record::Entry(Entry::Tags(tags)) => self.tags.push(tags.clone()),
            Record::Entry(Entry::Quantity(quantity)) => self.quantities.push(quantity.clone()),
            Record::Event(event) => {
                let feed = &mut self.feeds[event.feed.index()];
                (feed.quiet, feed.unseen) = (0, 0);
                self.arrival = self.arrival.max(event.arrived_at.0);
            }
            Record::Step { feed, watermark } => self.feeds[feed.index()].watermark = Some(watermark.0),
            Record::Tick { from, to, observed } => {
                let passed = to.0 - from.0 + SECOND;
                let outage = observed.is_empty() && passed > SECOND;
                for (id, feed) in self.feeds.iter_mut().enumerate() {
                    feed.observed = observed.iter().any(|seen| seen.index() == id);
                    if feed.observed {
                        feed.quiet += passed;
                    } else {
                        feed.unobserved += passed;
                        feed.deaf(from.0 - SECOND, to.0);
                        feed.unseen = if outage { 0 } else { feed.unseen + passed };
                    }
                }
                (self.tick, self.arrival) = (to.0, self.arrival.max(to.0));
            }
            Record::Refusal(refusal) => {
                let feed = &mut self.feeds[refusal.feed.index()];
                (feed.quiet, feed.unseen) = (0, 0);
                self.arrival = self.arrival.max(refusal.arrived_at.0);
            }
            Record::Control(_) | Record::Restored { .. } => {}
        }
    }

    /// An event in words.
    pub fn said(&self, event: &Event, readings: &[Reading]) -> Said {
        let feed = &self.feeds[event.feed.index()];
        Said {
            feed: event.feed.index(),
            device: self.devices[event.device.index()].clone(),
            tags: self.tags[event.tags.index()].clone(),
            event_at: event.event_at.0,
            counter: event.counter,
            watermark: event.event_at.min(event.arrived_at).0 - feed.out_of_orderness().0,
            readings: readings
                .iter()
                .map(|reading| (self.quantities[reading.quantity.index()].clone(), reading.value.0))
                .collect(),
        }
    }

    /// Watermark of keys that are not a single sensor: the least of the feeds that are not idle;
    /// when all are, the last tick less the longest `idle_after`.
    pub fn zone_watermark(&self, feeds: &[usize]) -> i64 {
        let feeds = || feeds.iter().map(|id| &self.feeds[*id]);
        let busy = feeds().filter(|feed| !feed.idle());
        let least = busy.map(|feed| feed.watermark.unwrap_or(i64::MIN)).min();
        least.unwrap_or_else(|| self.tick - feeds().map(Feed::idle_after).max().unwrap_or(0))
    }

    /// Whether every one of these feeds has drained, or is gone.
    pub fn drained(&self, feeds: &[usize]) -> bool {
        feeds.iter().map(|id| &self.feeds[*id]).all(|feed| feed.observed || feed.gone())
    }
}

/// As the rows spell instants.
pub fn stamp(at: i64) -> Timestamp {
    Timestamp(at)
}
