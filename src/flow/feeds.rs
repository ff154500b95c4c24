//! Feeds as the flow sees them: watermarks, idleness, observed time, from records in order.
//!
//! The journal says which feeds were observed in a tick, not which were connected: one that is
//! draining a backlog is neither observed nor gone. So a feed counts as gone after a minute of
//! ticks without it and without a record of it. Repeated messages leave no record: a feed that
//! sends nothing else for a minute while it drains counts as gone until its next event.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::unobserved::Unobserved;
use crate::model::definition::FeedDefinition;
use crate::model::{FeedId, Span, Timestamp};

/// A feed that is not connected for this long holds nothing back.
const GONE_AFTER: Span = Span::seconds(60);
/// What a tick stands for when nothing was merged into it.
const ONE_TICK: Span = Span::seconds(1);

/// One feed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FeedClock {
    /// Its definition in force; a checkpoint holds it apart, as text.
    #[serde(skip)]
    pub definition: Option<Box<FeedDefinition>>,
    /// Its watermark, in whole seconds.
    pub watermark: Option<Timestamp>,
    /// Whether the last tick named it observed.
    pub observed: bool,
    /// All the time in which it was not observed.
    pub unobserved: Span,
    /// When that was.
    stretches: Unobserved,
    /// Observed time since its last record.
    quiet: Span,
    /// Unobserved time since its last record, while Sereno ran.
    unseen: Span,
}

impl FeedClock {
    /// An event of it came in, or was refused.
    pub fn record(&mut self) {
        self.quiet = Span::ZERO;
        self.unseen = Span::ZERO;
    }

    /// The time from one instant to another went by with the feed observed or not. In an outage Sereno
    /// did not run: nobody could be connected, and everybody has a minute to connect again.
    fn tick(&mut self, observed: bool, (from, to): (Timestamp, Timestamp), outage: bool) {
        let passed = to.since(from);
        self.observed = observed;
        let add = |count: &mut Span| count.0 = count.0.saturating_add(passed.0);
        if observed {
            add(&mut self.quiet);
            return;
        }
        add(&mut self.unobserved);
        self.stretches.add(from, to);
        if outage {
            self.unseen = Span::ZERO;
        } else {
            add(&mut self.unseen);
        }
    }

    /// How far its devices' readings come out of order.
    #[must_use]
    pub fn out_of_orderness(&self) -> Span {
        self.definition.as_ref().map_or(Span::seconds(30), |definition| definition.out_of_orderness)
    }

    /// Not connected for so long that nothing waits for it.
    #[must_use]
    pub fn gone(&self) -> bool {
        !self.observed && self.unseen >= GONE_AFTER
    }

    fn idle_after(&self) -> Span {
        self.definition.as_ref().map_or(Span::seconds(60), |definition| definition.idle_after)
    }

    fn idle(&self) -> bool {
        self.gone() || self.observed && self.quiet >= self.idle_after()
    }
}

/// All feeds, by id.
#[derive(Clone, Debug, Default)]
pub struct FeedClocks {
    clocks: Vec<FeedClock>,
    ids: HashMap<String, FeedId>,
}

impl FeedClocks {
    /// A feed got its id.
    pub fn learn(&mut self, name: &str) {
        self.ids.insert(name.to_owned(), FeedId(self.clocks.len() as u16));
        self.clocks.push(FeedClock::default());
    }

    /// A feed's id.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<FeedId> {
        self.ids.get(name).copied()
    }

    /// All feeds by id.
    #[must_use]
    pub fn all(&self) -> &[FeedClock] {
        &self.clocks
    }

    /// One feed.
    #[must_use]
    pub fn get(&self, id: FeedId) -> Option<&FeedClock> {
        self.clocks.get(id.index())
    }

    /// One feed, to change.
    pub fn get_mut(&mut self, id: FeedId) -> Option<&mut FeedClock> {
        self.clocks.get_mut(id.index())
    }

    /// The ticks of the seconds that end at `from` to `to` went by. Ticks that name no feed and are
    /// longer than a second are an outage of Sereno itself.
    pub fn tick(&mut self, observed: &[FeedId], from: Timestamp, to: Timestamp) {
        let began = from.minus(ONE_TICK);
        let outage = observed.is_empty() && to.since(began) > ONE_TICK;
        for (id, clock) in (0_u16..).zip(&mut self.clocks) {
            clock.tick(observed.contains(&FeedId(id)), (began, to), outage);
        }
    }

    /// How much of [start, end) of the arrival clock a feed was observed.
    #[must_use]
    pub fn observed_within(&self, id: FeedId, start: Timestamp, end: Timestamp) -> Span {
        let unobserved = self.get(id).map_or(Span::ZERO, |clock| clock.stretches.within(start, end));
        Span(end.since(start).0.saturating_sub(unobserved.0))
    }

    /// All the time in which a feed was not observed.
    #[must_use]
    pub fn unobserved(&self, id: FeedId) -> Span {
        self.get(id).map_or(Span::ZERO, |clock| clock.unobserved)
    }

    /// How far time has come on each feed by `to`: `to`, and the time unobserved until then.
    #[must_use]
    pub fn passed(&self, to: Timestamp) -> Vec<(Timestamp, Span)> {
        self.clocks.iter().map(|clock| (to, clock.unobserved)).collect()
    }

    /// Watermark of the keys that are not a single sensor: the minimum over the feeds that are not
    /// idle; when all are, the tick less the longest `idle_after`.
    #[must_use]
    pub fn zone_watermark(&self, feeds: &[FeedId], tick: Timestamp) -> Timestamp {
        let clocks = || feeds.iter().filter_map(|id| self.get(*id));
        let busy = clocks().filter(|clock| !clock.idle());
        let lowest = busy.map(|clock| clock.watermark.unwrap_or(Timestamp::MIN)).min();
        lowest.unwrap_or_else(|| {
            let idle_after = clocks().map(FeedClock::idle_after).max().unwrap_or_default();
            tick.minus(idle_after)
        })
    }

    /// Whether silent keys may be closed by tick: every feed has drained, or is gone.
    #[must_use]
    pub fn drained(&self, feeds: &[FeedId]) -> bool {
        feeds.iter().filter_map(|id| self.get(*id)).all(|clock| clock.observed || clock.gone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEED: FeedId = FeedId(0);

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    fn one() -> FeedClocks {
        let mut feeds = FeedClocks::default();
        feeds.learn("aire");
        feeds
    }

    fn seconds(feeds: &mut FeedClocks, count: usize, observed: &[FeedId]) {
        (0..count).for_each(|_| feeds.tick(observed, s(0), s(0)));
    }

    fn outage(feeds: &mut FeedClocks, seconds: i64) {
        feeds.tick(&[], s(1), s(seconds));
    }

    #[test]
    fn a_feed_is_gone_after_a_minute_without_it() {
        let mut feeds = one();
        seconds(&mut feeds, 59, &[]);
        assert!(!feeds.drained(&[FEED]));
        seconds(&mut feeds, 1, &[]);
        assert!(feeds.drained(&[FEED]));
        feeds.get_mut(FEED).unwrap().record();
        assert!(!feeds.drained(&[FEED]), "it is back, and drains");
    }

    #[test]
    fn an_outage_of_sereno_gives_every_feed_a_minute_to_come_back() {
        let mut feeds = one();
        seconds(&mut feeds, 10, &[FEED]);
        outage(&mut feeds, 7_200);
        assert!(!feeds.drained(&[FEED]));
        assert_eq!(feeds.unobserved(FEED), Span::seconds(7_200));
        seconds(&mut feeds, 60, &[]);
        assert!(feeds.drained(&[FEED]));
        outage(&mut feeds, 3_600);
        assert!(!feeds.drained(&[FEED]));
    }

    #[test]
    fn idleness_counts_observed_time_only_and_ends_with_the_connection() {
        let mut feeds = one();
        feeds.get_mut(FEED).unwrap().watermark = Some(s(5));
        seconds(&mut feeds, 59, &[FEED]);
        assert_eq!(feeds.zone_watermark(&[FEED], s(1_000)), s(5));
        seconds(&mut feeds, 1, &[FEED]);
        assert_eq!(feeds.zone_watermark(&[FEED], s(1_000)), s(940), "idle: the tick less idle_after");
        outage(&mut feeds, 7_200);
        assert_eq!(feeds.zone_watermark(&[FEED], s(8_200)), s(5), "what came meanwhile is not known yet");
    }
}
