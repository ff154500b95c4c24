//! One rule with `absent_for` on one sensor, naively: on the arrival clock, by observed time.

use super::life::{Episode, Step, What};
use super::world::World;

/// See the module.
#[derive(Default)]
pub struct Absence {
    /// Arrival of its last event, by which feed, and what was unobserved of it then.
    heard: Option<(i64, usize, i64)>,
    open: Option<Episode>,
}

impl Absence {
    /// An event came in: whoever was absent is back.
    pub fn heard(&mut self, arrival: i64, feed: usize, unobserved: i64) -> Option<Step> {
        self.heard = Some((arrival, feed, unobserved));
        self.over(arrival, "data again")
    }

    /// The rule is gone.
    pub fn end(&mut self, at: i64) -> Option<Step> {
        self.over(at, "rule changed")
    }

    fn over(&mut self, at: i64, why: &'static str) -> Option<Step> {
        let open = self.open.take()?;
        Some((What::Resolved, (open.began, 0), open.until(at, why)))
    }

    /// The arrival clock ticks: absent from the last event's arrival, the limit and the time
    /// unobserved since then, if the tick names the feed.
    pub fn tick(&mut self, limit: i64, world: &World) -> Option<Step> {
        let (arrival, feed, unobserved) = self.heard?;
        let feed = &world.feeds[feed];
        let absent_at = arrival + limit + feed.unobserved - unobserved;
        if self.open.is_some() || absent_at > world.tick || !feed.observed {
            return None;
        }
        let episode = Episode::open(arrival, absent_at, "no data");
        self.open = Some(episode.clone());
        Some((What::Raised(false), (arrival, 0), episode))
    }
}
