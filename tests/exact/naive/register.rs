//! Registered sensors, naively: who is expected to report, since when, and how often.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use sereno::model::definition::FeedDefinition;

/// What the feeds of a pipeline say of a sensor: the place of the feed, from, to and own interval of
/// each stretch of its service.
pub type Register = BTreeMap<String, Vec<(usize, i64, i64, Option<i64>)>>;

/// Reads the registers of some feeds.
pub fn read(feeds: &[&FeedDefinition]) -> Register {
    let mut register = Register::new();
    for (place, feed) in feeds.iter().enumerate() {
        for sensor in &feed.registered {
            let instant = |text: &Option<String>, open| {
                text.as_ref().map_or(open, |text| instant(text, &feed.timezone))
            };
            let (from, to) = (instant(&sensor.from, i64::MIN), instant(&sensor.to, i64::MAX));
            let interval = sensor.expected_interval.map(|span| span.0);
            register.entry(sensor.name.clone()).or_default().push((place, from, to, interval));
        }
    }
    register
}

fn instant(text: &str, zone: &str) -> i64 {
    let instant = match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() == 10 => {
            let zone = TimeZone::get(zone).expect("a zone of the tz database");
            date.to_zoned(zone).expect("a midnight").timestamp()
        }
        _ => text.parse().expect("an instant"),
    };
    i64::try_from(instant.as_nanosecond()).expect("a time of ours")
}

/// One stretch of a sensor's service, as it was registered.
#[derive(Clone, Debug)]
struct Stretch {
    /// Place of the feed that registers it.
    feed: usize,
    from: i64,
    to: i64,
    /// The first tick after its registration.
    since: Option<i64>,
    /// When it left the register.
    until: i64,
    /// Own intervals, each with the arrival clock from which it holds.
    intervals: Vec<(i64, Option<i64>)>,
}

impl Stretch {
    fn begin(&self) -> Option<i64> {
        self.since.map(|since| since.max(self.from))
    }

    fn end(&self) -> i64 {
        self.to.min(self.until)
    }

    fn interval(&self, at: i64) -> Option<i64> {
        self.intervals.iter().rfind(|(since, _)| *since <= at)?.1
    }
}

/// All that was ever registered of one sensor, for one plan.
#[derive(Clone, Debug, Default)]
pub struct Registered(Vec<Stretch>);

impl Registered {
    /// The register says so at `at` of the arrival clock: a stretch that still begins where it did
    /// goes on, others are new, or end.
    pub fn write(&mut self, services: &[(usize, i64, i64, Option<i64>)], at: i64) {
        for own in self.0.iter_mut().filter(|own| own.until == i64::MAX) {
            match services.iter().find(|service| (service.0, service.1) == (own.feed, own.from)) {
                None => own.until = at,
                Some((_, _, to, interval)) => {
                    own.to = *to;
                    if own.intervals[own.intervals.len() - 1].1 != *interval {
                        own.intervals.push((at, *interval));
                    }
                }
            }
        }
        for (feed, from, to, interval) in services {
            let known = |own: &Stretch| own.until == i64::MAX && (own.feed, own.from) == (*feed, *from);
            if !self.0.iter().any(known) {
                let intervals = vec![(i64::MIN, *interval)];
                let (feed, from, to) = (*feed, *from, *to);
                self.0.push(Stretch { feed, from, to, since: None, until: i64::MAX, intervals });
            }
        }
    }

    /// The arrival clock ticks.
    pub fn tick(&mut self, from: i64) {
        self.0.iter_mut().for_each(|own| own.since = own.since.or(Some(from)));
    }

    /// When its earliest stretch begins.
    pub fn begin(&self) -> Option<i64> {
        self.0.iter().filter_map(Stretch::begin).min()
    }

    fn serving(&self, at: i64) -> impl Iterator<Item = &Stretch> {
        let serves = move |own: &&Stretch| own.begin().is_some_and(|begin| begin <= at) && at < own.end();
        self.0.iter().filter(serves)
    }

    /// Places of the feeds that list the sensor at the start of a window, each with its own interval.
    pub fn feeds(&self, start: i64) -> BTreeMap<usize, Option<i64>> {
        let mut feeds = BTreeMap::new();
        for own in self.serving(start) {
            feeds.entry(own.feed).or_insert(own.interval(start));
        }
        feeds
    }

    /// Whether a window without events is published; `usual` are the feeds' intervals.
    pub fn misses(&self, (start, end): (i64, i64), usual: &[Option<i64>]) -> bool {
        self.serving(start).any(|own| {
            let interval = own.interval(start).or(usual[own.feed]);
            end <= own.end() && interval.is_some_and(|interval| interval <= end - start)
        })
    }
}
