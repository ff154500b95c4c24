//! Message-rate quotas: how many messages a feed and a device may send in an hour of arrival time.
//!
//! A quota is a token bucket that holds an hour's worth and fills evenly, kept as one time (the
//! generic cell rate algorithm, ITU-T I.371, annex A, in its virtual scheduling form): what was used
//! up is back at `back_at`. A device that was silent for an hour may say all of it at once; after an
//! outage of the feed the bucket holds the outage's worth too ([`Outage`]), so that a broker's backlog
//! passes.
//!
//! Who is refused stands in [`Throttled`], where decoders look first: a flood costs no decoding when
//! its topic names the device. Buckets are not kept over a restart; what was refused is journalled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use super::outage::Outage;
use crate::model::definition::FeedDefinition;
use crate::model::{Reason, Rejected, Span, Throttle, Timestamp, UsedUp};

/// What a bucket holds when it is full, as the time in which it fills.
const HOUR: Span = Span::seconds(3_600);
/// Devices of one feed that decoders are told of; others are refused behind their decoding.
const TOLD_MAX: usize = 10_000;
/// Bytes of refusals that a feed may add to the quarantine in an hour; further ones are only counted.
pub const QUARANTINE_BYTES_PER_HOUR: u64 = 64 * 1_024 * 1_024;

/// One quota's use.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// When all that was used up is back.
    back_at: Timestamp,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { back_at: Timestamp::MIN }
    }
}

impl Bucket {
    /// Takes `units` of `per_hour` at `now`, after an outage.
    ///
    /// # Errors
    /// There is not enough: the time at which there will be. Nothing was taken.
    pub fn take(
        &mut self,
        now: Timestamp,
        units: u64,
        per_hour: u64,
        outage: &Outage,
    ) -> Result<(), Timestamp> {
        let hour = u128::from(HOUR.0.unsigned_abs());
        let cost = u128::from(units) * hour / u128::from(per_hour.max(1));
        let cost = Span(i64::try_from(cost).unwrap_or(i64::MAX));
        let reach = Span(HOUR.0 + outage.worth().0);
        let now = now.plus(outage.ahead());
        let back_at = self.back_at.max(now).plus(cost);
        if back_at > now.plus(reach) {
            return Err(back_at.minus(reach).minus(outage.ahead()));
        }
        self.back_at = back_at;
        Ok(())
    }
}

/// Feeds and devices whose messages are refused for the time being. The sequencer writes, decoders
/// read; while nobody may speak again, time passes without a look at who is refused.
#[derive(Debug)]
pub struct Throttled {
    /// When the first of them may speak again: the look of every decoder at usual times.
    due_at: AtomicI64,
    table: RwLock<Table>,
}

/// Of [`Throttled::due_at`]: nobody is refused.
const NOBODY: i64 = i64::MAX;

#[derive(Debug, Default)]
struct Table {
    feeds: HashMap<Arc<str>, Refused>,
    /// Each refused feed and sensor once, by a time at which it may speak again or earlier.
    due: BinaryHeap<Reverse<Due>>,
}

/// Until then the feed is refused, or its sensor.
type Due = (Timestamp, Arc<str>, Option<Arc<str>>);

#[derive(Debug, Default)]
struct Refused {
    /// The whole feed, until then.
    feed: Option<Timestamp>,
    sensors: HashMap<Arc<str>, Timestamp>,
}

impl Default for Throttled {
    fn default() -> Self {
        Self { due_at: AtomicI64::new(NOBODY), table: RwLock::default() }
    }
}

impl Throttled {
    /// Messages of the feed, or of its sensor, are refused until `until`.
    pub fn refuse(&self, feed: &Arc<str>, sensor: Option<&Arc<str>>, until: Timestamp) {
        let until = until.min(Timestamp(NOBODY - 1));
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let refused = table.feeds.entry(feed.clone()).or_default();
        let known = match sensor {
            None => refused.feed.replace(until).is_some(),
            Some(sensor) if refused.sensors.len() < TOLD_MAX || refused.sensors.contains_key(sensor) => {
                refused.sensors.insert(sensor.clone(), until).is_some()
            }
            Some(_) => true,
        };
        if !known {
            table.due.push(Reverse((until, feed.clone(), sensor.cloned())));
            self.due_at.fetch_min(until.0, Ordering::AcqRel);
        }
    }

    /// Time has come to `now`: who may speak again is forgotten.
    pub fn pass(&self, now: Timestamp) {
        if now.0 < self.due_at.load(Ordering::Acquire) {
            return;
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        while table.forget_one(now) {}
        let next = table.due.peek().map_or(NOBODY, |Reverse(due)| due.0.0);
        self.due_at.store(next, Ordering::Release);
    }
}

impl Table {
    /// Looks at the one that is due first, if its time has come.
    fn forget_one(&mut self, now: Timestamp) -> bool {
        let is_due = self.due.peek().is_some_and(|Reverse(due)| due.0 <= now);
        let Some(Reverse((_, feed, sensor))) = is_due.then(|| self.due.pop()).flatten() else { return false };
        let Some(refused) = self.feeds.get_mut(&feed) else { return true };
        let until = match &sensor {
            None => refused.feed,
            Some(sensor) => refused.sensors.get(sensor).copied(),
        };
        if let Some(later) = until.filter(|until| now < *until) {
            // It was refused again meanwhile.
            self.due.push(Reverse((later, feed, sensor)));
            return true;
        }
        match &sensor {
            None => refused.feed = None,
            Some(sensor) => _ = refused.sensors.remove(sensor),
        }
        if refused.feed.is_none() && refused.sensors.is_empty() {
            self.feeds.remove(&feed);
        }
        true
    }
}

impl Throttle for Throttled {
    fn is_idle(&self) -> bool {
        self.due_at.load(Ordering::Acquire) == NOBODY
    }

    fn refuses(&self, feed: &str, sensor: Option<&str>) -> Option<UsedUp> {
        if self.is_idle() {
            return None;
        }
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let refused = table.feeds.get(feed)?;
        if refused.feed.is_some() {
            return Some(UsedUp::Feed);
        }
        refused.sensors.contains_key(sensor?).then_some(UsedUp::Sensor)
    }
}

/// The refusal of a message beyond the quota of its device, or of the feed.
#[must_use]
pub fn refusal(feed: &FeedDefinition, sensor: Option<&str>) -> Rejected {
    let detail = match sensor {
        Some(sensor) => format!(
            "{sensor} sends more than {} messages an hour; mend the device or raise device_messages_per_hour_max of feed {}",
            feed.device_messages_per_hour_max, feed.name
        ),
        None => format!(
            "more than {} messages an hour; find who sends them or raise messages_per_hour_max of feed {}",
            feed.messages_per_hour_max, feed.name
        ),
    };
    Rejected::message(Reason::OverRate, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::SECOND;

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * SECOND)
    }

    fn taken(bucket: &mut Bucket, now: Timestamp, tries: usize, outage: Outage) -> usize {
        (0..tries).filter(|_| bucket.take(now, 1, 3_600, &outage).is_ok()).count()
    }

    #[test]
    fn a_bucket_holds_an_hours_worth_and_fills_evenly() {
        let mut bucket = Bucket::default();
        assert_eq!(taken(&mut bucket, s(0), 10_000, Outage::default()), 3_600);
        assert_eq!(taken(&mut bucket, s(10), 10_000, Outage::default()), 10);
        assert_eq!(
            taken(&mut bucket, s(100_000), 10_000, Outage::default()),
            3_600,
            "no more than an hour's worth"
        );
    }

    #[test]
    fn a_backlog_of_an_outage_passes_and_costs_nothing_of_what_comes_later() {
        let (mut frugal, mut greedy) = (Bucket::default(), Bucket::default());
        let mut outage = Outage::default();
        outage.ends(Span::seconds(72_000), s(0));
        assert_eq!(taken(&mut frugal, s(0), 50_000, outage), 50_000);
        assert_eq!(taken(&mut greedy, s(0), 100_000, outage), 21 * 3_600);
        outage.drained(s(1));
        outage.pass(s(3_601));
        // What the first used up is within the outage's worth.
        assert_eq!(taken(&mut frugal, s(3_601), 10_000, outage), 3_600, "an hour's worth and no more");
        assert_eq!(taken(&mut greedy, s(3_601), 10_000, outage), 3_600, "filled since");
        assert_eq!(greedy.take(s(3_601), 1, 3_600, &outage), Err(s(3_602)));
    }

    #[test]
    fn it_says_when_there_will_be_enough() {
        let mut bucket = Bucket::default();
        taken(&mut bucket, s(5), 3_600, Outage::default());
        assert_eq!(bucket.take(s(5), 1, 3_600, &Outage::default()), Err(s(6)));
        assert_eq!(bucket.take(s(6), 1, 3_600, &Outage::default()), Ok(()));
    }

    #[test]
    fn who_is_refused_is_told_until_it_may_speak_again() {
        let throttled = Throttled::default();
        let (air, flood): (Arc<str>, Arc<str>) = ("air".into(), "flood".into());
        throttled.refuse(&air, Some(&flood), s(10));
        assert_eq!(throttled.refuses("air", Some("flood")), Some(UsedUp::Sensor));
        assert_eq!(throttled.refuses("air", Some("neighbour")), None);
        assert_eq!(throttled.refuses("water", Some("flood")), None);
        throttled.pass(s(9));
        assert_eq!(throttled.refuses("air", Some("flood")), Some(UsedUp::Sensor));
        throttled.pass(s(10));
        assert_eq!(throttled.refuses("air", Some("flood")), None);
        assert!(throttled.is_idle());
        throttled.refuse(&air, None, s(20));
        throttled.pass(s(19));
        assert_eq!(throttled.refuses("air", None), Some(UsedUp::Feed));
        throttled.pass(s(20));
        assert_eq!(throttled.refuses("air", None), None);
    }

    #[test]
    fn decoders_are_told_of_so_many_devices_and_those_stay_told() {
        let (throttled, air) = (Throttled::default(), Arc::<str>::from("air"));
        let sensors: Vec<Arc<str>> = (0..=TOLD_MAX).map(|n| format!("s{n}").into()).collect();
        sensors.iter().for_each(|sensor| throttled.refuse(&air, Some(sensor), s(10)));
        assert_eq!(throttled.refuses("air", Some(&sensors[TOLD_MAX - 1])), Some(UsedUp::Sensor));
        assert_eq!(throttled.refuses("air", Some(&sensors[TOLD_MAX])), None, "refused behind its decoding");
        throttled.refuse(&air, Some(&sensors[0]), s(20));
        throttled.pass(s(10));
        assert_eq!(throttled.refuses("air", Some(&sensors[0])), Some(UsedUp::Sensor), "told anew");
        assert_eq!(throttled.refuses("air", Some(&sensors[1])), None);
    }

    #[test]
    fn decoders_are_not_kept_out_while_nobody_may_speak_again() {
        let throttled = Arc::new(Throttled::default());
        throttled.refuse(&"air".into(), Some(&"flood".into()), s(10));
        let _decoding = throttled.table.read().unwrap();
        let (passing, (tell, told)) = (throttled.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            passing.pass(s(9));
            tell.send(()).unwrap();
        });
        told.recv_timeout(std::time::Duration::from_secs(30)).expect("it waits for decoders");
    }

    #[test]
    fn each_who_may_speak_again_is_looked_at_once_whatever_their_number() {
        let throttled = Throttled::default();
        let air: Arc<str> = "air".into();
        for n in 0..12_000 {
            let sensor: Arc<str> = format!("s{n}").into();
            // The second refusal tells nothing new; one of the first may come later than it did.
            throttled.refuse(&air, Some(&sensor), s(10 + n));
            throttled.refuse(&air, Some(&sensor), s(if n == 0 { 500 } else { 10 + n }));
        }
        let look = |now: i64| {
            let mut table = throttled.table.write().unwrap();
            std::iter::from_fn(|| table.forget_one(s(now)).then_some(())).count()
        };
        assert_eq!(throttled.table.read().unwrap().due.len(), TOLD_MAX);
        assert_eq!((look(9), look(10), look(11), look(40)), (0, 1, 1, 29));
        assert_eq!(throttled.refuses("air", Some("s0")), Some(UsedUp::Sensor), "until 500");
        assert_eq!(throttled.refuses("air", Some("s30")), None);
        assert_eq!(throttled.refuses("air", Some("s31")), Some(UsedUp::Sensor));
        assert_eq!(throttled.refuses("air", Some("s11000")), None, "decoders are told of so many");
        throttled.pass(s(500));
        assert_eq!(throttled.refuses("air", Some("s0")), None);
        assert!(!throttled.is_idle());
        throttled.pass(s(20_000));
        assert!(throttled.is_idle() && throttled.table.read().unwrap().feeds.is_empty());
    }
}
