//! The windows of a registered sensor in which nothing arrived.
//!
//! They are published with count 0 and without values, by the same closes as every other window,
//! if all of the window lies in the sensor's service and after its registration, and its expected
//! interval is at most the window. A gap is not made up for without end: of what closes at once,
//! the last [`VACANT_MAX`] windows.

use serde::{Deserialize, Serialize};

use super::feed_set::FeedSet;
use super::grid::Grid;
use super::keyed::{Bounds, Publication};
use super::plan::WindowPlan;
use crate::model::{Span, Timestamp};

/// Empty windows of one key that one close publishes at most: a day of minutes. Of a longer gap
/// the latest ones are published, and those before are not.
pub const VACANT_MAX: usize = 1_440;

/// One stretch of a sensor's service, as the register of a feed says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Position of the feed among those of the pipeline.
    pub feed: usize,
    /// Event time from which it is in service.
    pub from: Timestamp,
    /// Event time from which it no longer is.
    pub to: Timestamp,
    /// Expected time between two events, if not its feed's.
    pub interval: Option<Span>,
}

/// What a register said, and from when on it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Position of the feed that registers it.
    feed: usize,
    from: Timestamp,
    to: Timestamp,
    /// Arrival clock of the first tick after the registration; windows that began before were
    /// not waited for. `None` until then.
    since: Option<Timestamp>,
    /// Arrival clock at which it left the register.
    until: Timestamp,
    /// Own intervals, each with the arrival clock from which it holds.
    intervals: Vec<(Timestamp, Option<Span>)>,
}

impl Entry {
    fn begins_at(&self) -> Option<Timestamp> {
        self.since.map(|since| since.max(self.from))
    }

    fn ends_at(&self) -> Timestamp {
        self.to.min(self.until)
    }

    /// The own interval in force at `at`.
    fn interval(&self, at: Timestamp) -> Option<Span> {
        let after = self.intervals.partition_point(|entry| entry.0 <= at);
        self.intervals.get(after.saturating_sub(1)).and_then(|entry| entry.1)
    }
}

/// A sensor's place in the registers of the pipeline's feeds, for one window plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    entries: Vec<Entry>,
    /// It says what is expected, and misses no window.
    #[serde(skip)]
    expects_only: bool,
}

impl Registration {
    /// What a register says, for all times, of a sensor whose empty windows nobody misses.
    #[must_use]
    pub fn expecting(services: &[Service]) -> Self {
        let mut registration = Self { expects_only: true, ..Self::default() };
        registration.write(services, Timestamp::MIN);
        registration.tick(Timestamp::MIN);
        registration
    }

    /// The register was written anew at `at` of the arrival clock: stretches it still has go on,
    /// others begin with the next tick, those it no longer has end. Whether anything changed.
    pub fn write(&mut self, services: &[Service], at: Timestamp) -> bool {
        let before = self.entries.clone();
        for entry in self.entries.iter_mut().filter(|entry| entry.until == Timestamp::MAX) {
            match services.iter().find(|service| (service.feed, service.from) == (entry.feed, entry.from)) {
                None => entry.until = at,
                Some(service) => {
                    entry.to = service.to;
                    if entry.intervals.last().is_none_or(|last| last.1 != service.interval) {
                        entry.intervals.push((at, service.interval));
                    }
                }
            }
        }
        for service in services {
            let same = |entry: &Entry| (entry.feed, entry.from) == (service.feed, service.from);
            let known = |entry: &Entry| entry.until == Timestamp::MAX && same(entry);
            if !self.entries.iter().any(known) {
                let intervals = vec![(Timestamp::MIN, service.interval)];
                let Service { feed, from, to, .. } = *service;
                self.entries.push(Entry { feed, from, to, since: None, until: Timestamp::MAX, intervals });
            }
        }
        self.entries != before
    }

    /// Whether a stretch waits for the next tick.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.entries.iter().any(|entry| entry.since.is_none())
    }

    /// The arrival clock ticked: what was registered before counts from here on.
    pub fn tick(&mut self, at: Timestamp) {
        self.entries.iter_mut().for_each(|entry| entry.since = entry.since.or(Some(at)));
    }

    /// Forgets stretches that ended at or before `to`.
    pub fn forget(&mut self, to: Timestamp) {
        self.entries.retain(|entry| entry.ends_at() > to);
    }

    /// The sensor's own interval in a feed for a window that starts at `start`.
    #[must_use]
    pub fn interval(&self, feed: usize, start: Timestamp) -> Option<Span> {
        self.serving(start).find(|entry| entry.feed == feed).and_then(|entry| entry.interval(start))
    }

    /// The feeds in whose registers it is in service at `at`.
    #[must_use]
    pub fn feeds(&self, at: Timestamp) -> FeedSet {
        self.serving(at).fold(FeedSet::default(), |mut feeds, entry| {
            feeds.add(entry.feed);
            feeds
        })
    }

    fn serving(&self, at: Timestamp) -> impl Iterator<Item = &Entry> {
        let serves =
            move |entry: &&Entry| entry.begins_at().is_some_and(|from| from <= at) && at < entry.ends_at();
        self.entries.iter().filter(serves)
    }

    /// Whether a feed misses the window [start, end) when nothing arrives in it; `usual` are the
    /// intervals expected in the feeds.
    fn misses(&self, start: Timestamp, end: Timestamp, usual: &[Option<Span>]) -> bool {
        self.serving(start).any(|entry| {
            let interval = entry.interval(start).or(usual.get(entry.feed).copied().flatten());
            end <= entry.ends_at() && interval.is_some_and(|interval| interval <= end.since(start))
        })
    }

    /// End of the earliest window that ends after `closed_to` and may be missed.
    #[must_use]
    pub fn next_close(&self, grid: &Grid, closed_to: Timestamp) -> Option<Timestamp> {
        let next = |entry: &Entry| {
            let mut start = grid.pane_from(entry.begins_at()?);
            if closed_to > start {
                start = grid.first_open(closed_to).max(start);
            }
            Some(grid.end(start)).filter(|end| *end <= entry.ends_at())
        };
        if self.expects_only {
            return None;
        }
        self.entries.iter().filter_map(next).min()
    }

    /// Adds the windows that closed by the step of the clock from `from` to `to` and in which
    /// nothing arrived to those in which something did; all of them earliest first. `sequence` is
    /// the closing record's.
    pub fn fill(
        &self,
        plan: &WindowPlan,
        bounds: Bounds,
        (from, to): (Timestamp, Timestamp),
        sequence: u64,
        published: &mut Vec<Publication>,
    ) {
        if self.expects_only {
            return;
        }
        let Some(earliest) = self.entries.iter().filter_map(Entry::begins_at).min() else { return };
        let held = published.len();
        let mut start = plan.grid.pane_before(plan.grid.first_open(to));
        for _ in 0..VACANT_MAX {
            if start < earliest || plan.grid.end(start) <= from {
                break;
            }
            let known = published.get(..held).unwrap_or_default();
            let missed = bounds.hold(start)
                && self.misses(start, plan.grid.end(start), &plan.expected)
                && known.binary_search_by_key(&start, |publication| publication.start).is_err();
            if missed {
                published.push(Publication::empty(plan, start, sequence));
            }
            let before = plan.grid.pane_before(start);
            if before >= start {
                break;
            }
            start = before;
        }
        published.sort_by_key(|publication| publication.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * crate::model::time::SECOND)
    }

    fn service(interval_s: i64) -> Service {
        Service { feed: 2, from: s(0), to: s(1_000), interval: Some(Span::seconds(interval_s)) }
    }

    /// In service from second 5 on, with another interval from second 100 on.
    fn registration() -> Registration {
        let mut registration = Registration::default();
        assert!(registration.write(&[service(10)], s(1)) && registration.is_fresh());
        registration.tick(s(5));
        assert!(!registration.is_fresh());
        assert!(!registration.write(&[service(10)], s(50)), "it says the same");
        assert!(registration.write(&[service(20)], s(100)) && !registration.is_fresh());
        registration
    }

    #[test]
    fn an_own_interval_holds_from_when_it_was_written() {
        let registration = registration();
        let seconds = [4, 5, 99, 100, 999, 1_000].map(|at| registration.interval(2, s(at)));
        let [ten, twenty] = [10, 20].map(|seconds| Some(Span::seconds(seconds)));
        assert_eq!(seconds, [None, ten, ten, twenty, twenty, None]);
        assert_eq!(registration.interval(1, s(50)), None, "of another feed");
    }

    #[test]
    fn a_stretch_that_left_the_register_ends_there_and_is_forgotten_after_it() {
        let mut registration = registration();
        assert!(registration.write(&[], s(300)) && !registration.write(&[], s(400)));
        let serves = |registration: &Registration, at: i64| registration.feeds(s(at)).iter().eq([2]);
        assert!(serves(&registration, 299) && !serves(&registration, 300));
        registration.forget(s(299));
        assert!(serves(&registration, 299));
        registration.forget(s(300));
        assert_eq!(registration, Registration::default());
    }
}
