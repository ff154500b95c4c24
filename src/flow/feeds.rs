//! Feed watermarks as the flow sees them: steps, idleness and ticks, from records in order.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::model::definition::FeedDefinition;
use crate::model::{FeedId, Span, Timestamp};

/// A feed that is not connected for this long holds nothing back.
const GONE_AFTER: Span = Span::seconds(60);

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
    /// Observed time without an event.
    quiet: Span,
    /// Unobserved time without an event.
    unseen: Span,
}

impl FeedClock {
    /// An event came in.
    pub fn event(&mut self) {
        self.quiet = Span::ZERO;
        self.unseen = Span::ZERO;
    }

    /// `passed` went by with the feed observed or not.
    pub fn tick(&mut self, observed: bool, passed: Span) {
        self.observed = observed;
        let count = if observed { &mut self.quiet } else { &mut self.unseen };
        count.0 = count.0.saturating_add(passed.0);
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
        self.gone() || self.quiet >= self.idle_after()
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

    /// A span of ticks went by.
    pub fn tick(&mut self, observed: &[FeedId], passed: Span) {
        for (id, clock) in (0_u16..).zip(&mut self.clocks) {
            clock.tick(observed.contains(&FeedId(id)), passed);
        }
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
