//! What the sequencer knows of one feed: its definition, its watermark, whether it is observed.

use std::sync::Arc;

use tracing::warn;

use super::identity::{Held, Recent};
use super::outage::Outage;
use super::quota::{Bucket, QUARANTINE_BYTES_PER_HOUR};
use crate::model::arrival::Quantity;
use crate::model::definition::FeedDefinition;
use crate::model::time::SECOND;
use crate::model::{Accounts, QuantityId, Span, Timestamp};

/// After a connection, this long without a message means that the backlog has drained.
const QUIET: Span = Span::seconds(2);
/// So do this many messages in a row that are nearly live.
const LIVE_IN_A_ROW: u32 = 100;
/// And so does this long for a feed whose messages carry no time.
const TIMELESS: Span = Span::seconds(300);
/// Bytes of a refusal in the journal beside its texts and payload.
const REFUSAL_BYTES: usize = 32;
/// That refusals are only counted is logged at most this often.
const FULL_TOLD_EVERY: Span = Span::seconds(3_600);
/// Quantities recalled by identity; a feed with more looks the others up by name.
const RECALLED_MAX: usize = 64;

/// One feed.
#[derive(Debug, Default)]
pub struct FeedState {
    /// What was configured; `None` until a control says it.
    pub definition: Option<Box<FeedDefinition>>,
    /// What became of messages since the batch began.
    pub delta: Accounts,
    /// Devices it has named.
    pub devices: u32,
    /// Quantities it has used, each with its own bit.
    pub quantities: Vec<QuantityId>,
    /// The decoder's own quantities with their ids, found by identity without a look-up by name.
    recalled: Vec<(Arc<Quantity>, QuantityId)>,
    /// What its messages have used up of its quota.
    pub messages: Bucket,
    /// What its refusals have used up of the quarantine.
    quarantine: Bucket,
    full_told_at: Option<Timestamp>,
    /// How long nothing could come, before its connection came up.
    pub outage: Outage,
    down_since: Option<Timestamp>,
    /// What its devices' rings forgot last.
    pub recent: Recent,
    latest: Option<Timestamp>,
    stepped: Option<Timestamp>,
    link: Link,
}

/// What a snapshot keeps of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptFeed {
    /// Devices it has named.
    pub devices: u32,
    /// Quantities it has used, in the order of their bits.
    pub quantities: Vec<QuantityId>,
    /// The latest time that moved its watermark.
    pub latest: Option<Timestamp>,
    /// The watermark's last whole second.
    pub stepped: Option<Timestamp>,
    /// What its devices' rings forgot last, with the device, the oldest first.
    pub recent: Vec<(u32, Held)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Down,
    Draining {
        since: Timestamp,
        last_message: Timestamp,
        live: u32,
        timed: bool,
    },
    Drained,
}

impl FeedState {
    /// What a snapshot keeps of it. Its definition is a control; its connection ends with the process.
    #[must_use]
    pub fn kept(&self) -> KeptFeed {
        KeptFeed {
            devices: self.devices,
            quantities: self.quantities.clone(),
            latest: self.latest,
            stepped: self.stepped,
            recent: self.recent.iter().map(|(device, held)| (device, held.clone())).collect(),
        }
    }

    /// The feed as a snapshot kept it.
    #[must_use]
    pub fn restored(kept: KeptFeed) -> Self {
        let KeptFeed { devices, quantities, latest, stepped, recent: kept } = kept;
        let mut recent = Recent::default();
        kept.into_iter().for_each(|(device, held)| recent.add(device, held));
        Self { devices, quantities, latest, stepped, recent, ..Self::default() }
    }

    /// Out-of-orderness in force.
    #[must_use]
    pub fn out_of_orderness(&self) -> Span {
        self.definition.as_ref().map_or(Span::seconds(30), |definition| definition.out_of_orderness)
    }

    /// An event was taken in: the watermark's new whole second, if it reached one.
    pub fn saw(&mut self, event_at: Timestamp, arrived_at: Timestamp) -> Option<Timestamp> {
        let at = event_at.min(arrived_at);
        if self.latest.is_some_and(|latest| at <= latest) {
            return None;
        }
        self.latest = Some(at);
        let watermark = at.minus(self.out_of_orderness());
        let whole = Timestamp(watermark.0 - watermark.0.rem_euclid(SECOND));
        if self.stepped.is_some_and(|stepped| whole <= stepped) {
            return None;
        }
        self.stepped = Some(whole);
        Some(whole)
    }

    /// The journal says that the watermark had reached this second.
    pub fn recovered_step(&mut self, watermark: Timestamp) {
        self.stepped = Some(watermark);
    }

    /// The connection came up or went down.
    pub fn connected(&mut self, up: bool, now: Timestamp) {
        if up && self.link == Link::Down {
            // After a start, what has waited is about as old as the latest that came.
            let since = self.down_since.take().or(self.latest).unwrap_or(now);
            self.outage.ends(now.since(since), now);
        } else if !up && self.link != Link::Down {
            self.down_since = Some(now);
        }
        self.link = match (up, self.link) {
            (false, _) => Link::Down,
            (true, Link::Down) => Link::Draining { since: now, last_message: now, live: 0, timed: false },
            (true, link) => link,
        };
    }

    /// Messages come from a file, whose arrival times are its own: there is no backlog.
    pub fn replayed(&mut self) {
        self.link = Link::Drained;
    }

    /// Whether the quarantine has room for a refusal with `bytes` of texts and payload; takes it.
    pub fn has_room(&mut self, bytes: usize, now: Timestamp) -> bool {
        let bytes = (bytes + REFUSAL_BYTES) as u64;
        let room = self.quarantine.take(now, bytes, QUARANTINE_BYTES_PER_HOUR, &Outage::default()).is_ok();
        let told = self.full_told_at.is_some_and(|at| now.since(at) < FULL_TOLD_EVERY);
        if !room && !told {
            self.full_told_at = Some(now);
            let feed = self.definition.as_ref().map_or("", |definition| &definition.name);
            warn!(
                feed,
                "the quarantine has no more room for this feed's refusals; further ones are only counted"
            );
        }
        room
    }

    /// A connected feed counts as not observed until its backlog has drained: after a pause of Sereno,
    /// and while its messages are refused for the feed's rate, silence of a device says nothing.
    pub fn drain_again(&mut self, now: Timestamp) {
        if self.link != Link::Down {
            self.link = Link::Draining { since: now, last_message: now, live: 0, timed: false };
        }
    }

    /// A message came in; `event_at` is the time it carries, if any.
    pub fn message(&mut self, event_at: Option<Timestamp>, arrived_at: Timestamp) {
        let nearly_live = Span(self.out_of_orderness().0.saturating_mul(2));
        if let Link::Draining { last_message, live, timed, .. } = &mut self.link {
            *last_message = arrived_at;
            if let Some(event_at) = event_at {
                *timed = true;
                *live = if arrived_at.since(event_at) < nearly_live { *live + 1 } else { 0 };
            }
            if *live >= LIVE_IN_A_ROW {
                self.drained(arrived_at);
            }
        }
    }

    /// Whether the feed is observed at `now`: connected, subscribed and its backlog drained.
    pub fn observed(&mut self, now: Timestamp) -> bool {
        if let Link::Draining { since, last_message, timed, .. } = self.link {
            let quiet = now.since(last_message) >= QUIET;
            let timeless = !timed && now.since(since) >= TIMELESS;
            if quiet || timeless {
                self.drained(now);
            }
        }
        self.outage.pass(now);
        self.link == Link::Drained
    }

    fn drained(&mut self, now: Timestamp) {
        self.link = Link::Drained;
        self.outage.drained(now);
    }

    /// The id of a quantity that this very decoder named before. It is looked for at `near` first, which
    /// is then the place behind it: an event's quantities come in the order of earlier events.
    #[must_use]
    pub fn recall(&self, quantity: &Arc<Quantity>, near: &mut usize) -> Option<QuantityId> {
        let is_it = |known: &&(Arc<Quantity>, QuantityId)| Arc::ptr_eq(&known.0, quantity);
        if let Some(known) = self.recalled.get(*near).filter(is_it) {
            *near += 1;
            return Some(known.1);
        }
        let at = self.recalled.iter().position(|known| is_it(&known))?;
        *near = at + 1;
        self.recalled.get(at).map(|known| known.1)
    }

    /// Remembers the id of a decoder's quantity.
    pub fn note(&mut self, quantity: &Arc<Quantity>, id: QuantityId) {
        if self.recall(quantity, &mut 0).is_none() && self.recalled.len() < RECALLED_MAX {
            self.recalled.push((quantity.clone(), id));
        }
    }

    /// The bit of a quantity in the identity ring; the 64th and all further ones share the last. It is
    /// looked for as in [`Self::recall`].
    pub fn bit(&mut self, quantity: QuantityId, near: &mut usize) -> u64 {
        let at = match self.quantities.get(*near) {
            Some(known) if *known == quantity => *near,
            _ => self.quantities.iter().position(|known| *known == quantity).unwrap_or_else(|| {
                self.quantities.push(quantity);
                self.quantities.len() - 1
            }),
        };
        *near = at + 1;
        1 << at.min(63)
    }
}

/// The bit of one of a feed's quantities.
#[must_use]
pub fn quantity_bit(quantities: &[QuantityId], quantity: QuantityId) -> u64 {
    1 << quantities.iter().position(|known| *known == quantity).unwrap_or(63).min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * SECOND)
    }

    #[test]
    fn the_watermark_steps_by_whole_seconds_and_never_back() {
        let mut feed = FeedState::default();
        assert_eq!(feed.saw(Timestamp(100_500_000_000), s(200)), Some(s(70)));
        assert_eq!(feed.saw(Timestamp(100_900_000_000), s(200)), None);
        assert_eq!(feed.saw(s(90), s(200)), None);
        assert_eq!(feed.saw(s(102), s(200)), Some(s(72)));
        // A clock in 2099 moves it no further than arrival.
        assert_eq!(feed.saw(s(4_000_000_000), s(201)), Some(s(171)));
    }

    #[test]
    fn a_backlog_is_drained_by_quiet_or_by_live_messages() {
        let mut feed = FeedState::default();
        assert!(!feed.observed(s(0)));
        feed.connected(true, s(10));
        feed.message(Some(s(0)), s(11));
        assert!(!feed.observed(s(12)));
        assert!(feed.observed(s(13)));
        feed.connected(false, s(14));
        assert!(!feed.observed(s(20)));
        feed.connected(true, s(20));
        for n in 0..100 {
            assert!(!feed.observed(s(20)), "{n}");
            feed.message(Some(s(19)), s(20));
        }
        assert!(feed.observed(s(20)));
        assert!(feed.observed(s(3_619)));
        assert_eq!(feed.outage.worth(), Span::seconds(6), "it was down from 14 to 20");
        assert!(feed.observed(s(3_620)));
        assert_eq!(feed.outage.worth(), Span::ZERO);
    }

    #[test]
    fn what_is_sixty_seconds_old_is_not_nearly_live() {
        for (age, drained) in [(60, false), (59, true)] {
            let mut feed = FeedState::default();
            feed.connected(true, s(100));
            (0..LIVE_IN_A_ROW).for_each(|_| feed.message(Some(s(100 - age)), s(100)));
            assert_eq!(feed.observed(s(100)), drained, "{age}");
        }
    }

    #[test]
    fn messages_without_time_are_a_backlog_for_five_minutes_others_for_as_long_as_it_lasts() {
        let observed = |event_at: Option<Timestamp>, until: i64| {
            let mut feed = FeedState::default();
            feed.connected(true, s(1_000));
            (1_000..=until).for_each(|at| feed.message(event_at, s(at)));
            feed.observed(s(until))
        };
        assert!(!observed(None, 1_299));
        assert!(observed(None, 1_300));
        assert!(!observed(Some(s(10)), 2_000));
    }

    #[test]
    fn what_was_kept_goes_on_where_it_was() {
        let mut feed = FeedState { devices: 7, ..FeedState::default() };
        feed.bit(QuantityId(3), &mut 0);
        feed.saw(s(100), s(100));
        feed.recovered_step(s(90));
        let kept = feed.kept();
        let mut again = FeedState::restored(kept.clone());
        assert_eq!(again.kept(), kept);
        assert_eq!((kept.devices, kept.latest, kept.stepped), (7, Some(s(100)), Some(s(90))));
        assert_eq!(again.saw(s(119), s(119)), None, "its watermark had come further");
        assert_eq!(again.saw(s(121), s(121)), Some(s(91)));
    }

    #[test]
    fn a_file_is_observed_from_its_first_message() {
        let mut feed = FeedState::default();
        feed.replayed();
        assert!(feed.observed(s(0)));
    }

    #[test]
    fn bits_of_quantities_are_the_same_for_rings_and_snapshots() {
        let mut feed = FeedState::default();
        let bits: Vec<u64> = (0..70).map(|id| feed.bit(QuantityId(id * 3), &mut 0)).collect();
        assert_eq!(bits[..63], (0..63).map(|at| 1 << at).collect::<Vec<u64>>());
        assert!(bits[63..].iter().all(|bit| *bit == 1 << 63), "further ones share the last");
        let known: Vec<u64> = (0..70).map(|id| quantity_bit(&feed.quantities, QuantityId(id * 3))).collect();
        assert_eq!(known, bits);
    }

    #[test]
    fn quantities_are_found_in_any_order() {
        let mut feed = FeedState::default();
        let quantity =
            |n: u16| Arc::new(Quantity { name: format!("q{n}").into(), unit: "".into(), decimals: 0 });
        let quantities: Vec<Arc<Quantity>> = (0..5).map(quantity).collect();
        (0..).zip(&quantities).for_each(|(id, quantity)| feed.note(quantity, QuantityId(id)));
        (0..5).for_each(|id| assert_eq!(feed.bit(QuantityId(id), &mut 0), 1 << id));
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
            let (mut recalled, mut bits) = (0, 0);
            for id in order {
                let found = feed.recall(&quantities[usize::from(id)], &mut recalled);
                assert_eq!(found, Some(QuantityId(id)), "{order:?}");
                assert_eq!(feed.bit(QuantityId(id), &mut bits), 1 << id, "{order:?}");
            }
        }
        assert_eq!(feed.bit(QuantityId(7), &mut 4), 1 << 5, "a new one is behind them all");
    }

    #[test]
    fn so_many_quantities_of_decoders_are_recalled_and_each_is_held_once() {
        let mut feed = FeedState::default();
        let quantity =
            |n: usize| Arc::new(Quantity { name: format!("q{n}").into(), unit: "".into(), decimals: 0 });
        let quantities: Vec<Arc<Quantity>> = (0..=RECALLED_MAX).map(quantity).collect();
        for _ in 0..2 {
            (0..).zip(&quantities).for_each(|(id, quantity)| feed.note(quantity, QuantityId(id)));
        }
        assert_eq!(feed.recalled.len(), RECALLED_MAX);
        assert_eq!(
            feed.recall(&quantities[RECALLED_MAX - 1], &mut 0),
            Some(QuantityId(RECALLED_MAX as u16 - 1))
        );
        assert_eq!(feed.recall(&quantities[RECALLED_MAX], &mut 0), None);
        assert_eq!(feed.recall(&quantity(0), &mut 0), None, "of another decoder");
    }
}
