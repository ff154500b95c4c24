//! Message-rate quotas: how many messages a feed and a device may send in an hour of arrival time.
//!
//! A quota is a token bucket that holds an hour's worth and fills evenly, kept as one time (the
//! generic cell rate algorithm, ITU-T I.371, annex A, in its virtual scheduling form): what was used
//! up is back at `back_at`. A device that was silent for an hour may say all of it at once; after an
//! outage of the feed the bucket holds the outage's worth too, so that a broker's backlog passes.
//!
//! Who is refused stands in [`Throttled`], where decoders look first: a flood costs no decoding when
//! its topic names the device. Buckets are not kept over a restart; what was refused is journalled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use crate::model::definition::FeedDefinition;
use crate::model::{Reason, Rejected, Span, Throttle, Timestamp, UsedUp};

/// What a bucket holds when it is full, as the time in which it fills.
const HOUR: Span = Span::seconds(3_600);
/// An outage longer than this counts as this long.
const OUTAGE_MAX: Span = Span::seconds(7 * 24 * 3_600);
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
    /// Takes `units` of `per_hour` at `now`; `outage` is the time before in which nothing could come.
    ///
    /// # Errors
    /// There is not enough: the time at which there will be. Nothing was taken.
    pub fn take(&mut self, now: Timestamp, units: u64, per_hour: u64, outage: Span) -> Result<(), Timestamp> {
        let hour = u128::from(HOUR.0.unsigned_abs());
        let cost = u128::from(units) * hour / u128::from(per_hour.max(1));
        let cost = Span(i64::try_from(cost).unwrap_or(i64::MAX));
        let reach = Span(HOUR.0 + outage.0.clamp(0, OUTAGE_MAX.0));
        let back_at = self.back_at.max(now).plus(cost);
        if back_at > now.plus(reach) {
            return Err(back_at.minus(reach));
        }
        self.back_at = back_at;
        Ok(())
    }
}

/// Feeds and devices whose messages are refused for the time being. The sequencer writes, decoders
/// read.
#[derive(Debug, Default)]
pub struct Throttled {
    /// Whether `feeds` holds anything: the look of every decoder at usual times.
    any: AtomicBool,
    feeds: RwLock<HashMap<Arc<str>, Refused>>,
}

#[derive(Debug, Default)]
struct Refused {
    /// The whole feed, until then.
    feed: Option<Timestamp>,
    sensors: HashMap<Arc<str>, Timestamp>,
}

impl Throttled {
    /// Messages of the feed, or of its sensor, are refused until `until`.
    pub fn refuse(&self, feed: &Arc<str>, sensor: Option<&Arc<str>>, until: Timestamp) {
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        let refused = feeds.entry(feed.clone()).or_default();
        match sensor {
            None => refused.feed = Some(until),
            Some(sensor) if refused.sensors.len() < TOLD_MAX || refused.sensors.contains_key(sensor) => {
                refused.sensors.insert(sensor.clone(), until);
            }
            Some(_) => {}
        }
        self.any.store(true, Ordering::Release);
    }

    /// Time has come to `now`: who may speak again is forgotten.
    pub fn pass(&self, now: Timestamp) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut feeds = self.feeds.write().unwrap_or_else(PoisonError::into_inner);
        feeds.retain(|_, refused| {
            refused.feed = refused.feed.filter(|until| now < *until);
            refused.sensors.retain(|_, until| now < *until);
            refused.feed.is_some() || !refused.sensors.is_empty()
        });
        self.any.store(!feeds.is_empty(), Ordering::Release);
    }
}

impl Throttle for Throttled {
    fn is_idle(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    fn refuses(&self, feed: &str, sensor: Option<&str>) -> Option<UsedUp> {
        if self.is_idle() {
            return None;
        }
        let feeds = self.feeds.read().unwrap_or_else(PoisonError::into_inner);
        let refused = feeds.get(feed)?;
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

    fn taken(bucket: &mut Bucket, now: Timestamp, tries: usize, outage: Span) -> usize {
        (0..tries).filter(|_| bucket.take(now, 1, 3_600, outage).is_ok()).count()
    }

    #[test]
    fn a_bucket_holds_an_hours_worth_and_fills_evenly() {
        let mut bucket = Bucket::default();
        assert_eq!(taken(&mut bucket, s(0), 10_000, Span::ZERO), 3_600);
        assert_eq!(taken(&mut bucket, s(10), 10_000, Span::ZERO), 10);
        assert_eq!(taken(&mut bucket, s(100_000), 10_000, Span::ZERO), 3_600, "no more than an hour's worth");
    }

    #[test]
    fn a_backlog_of_an_outage_passes() {
        let mut bucket = Bucket::default();
        assert_eq!(taken(&mut bucket, s(0), 20_000, Span::seconds(7_200)), 3 * 3_600);
    }

    #[test]
    fn it_says_when_there_will_be_enough() {
        let mut bucket = Bucket::default();
        taken(&mut bucket, s(5), 3_600, Span::ZERO);
        assert_eq!(bucket.take(s(5), 1, 3_600, Span::ZERO), Err(s(6)));
        assert_eq!(bucket.take(s(6), 1, 3_600, Span::ZERO), Ok(()));
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
        throttled.refuse(&air, None, s(20));
        assert_eq!(throttled.refuses("air", None), Some(UsedUp::Feed));
    }
}
