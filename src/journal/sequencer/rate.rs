//! Message-rate quotas where they are applied: the feed's before anything of a message is looked at, a
//! device's before its event's names are.

use std::sync::Arc;

use super::Sequencer;
use crate::journal::quota::{Throttled, refusal};
use crate::model::{Accounts, DecodedEvent, DeviceId, FeedId, Rejected, Submission, Throttle as _, UsedUp};

impl Sequencer {
    /// Whose messages are refused for the time being.
    #[must_use]
    pub fn throttled(&self) -> Arc<Throttled> {
        self.throttled.clone()
    }

    /// Why the whole message is refused for its rate, if it is. A redelivery costs nothing, and a file
    /// has no rate.
    pub(super) fn over_rate(&mut self, id: FeedId, message: &Submission) -> Option<Rejected> {
        if message.repeated || message.arrived_at.is_some() {
            return None;
        }
        let at = self.arrived_at;
        if message.decoded.is_over_rate() {
            // Not decoded: it was known that it would be refused.
            if self.throttled.refuses(&message.feed, None) == Some(UsedUp::Feed) {
                self.with_feed(id, |feed| feed.drain_again(at));
            }
            return message.decoded.rejected.first().cloned();
        }
        let feed = self.feeds.get_mut(id.index())?;
        let definition = feed.definition.as_deref()?;
        let per_hour = u64::from(definition.messages_per_hour_max);
        let until = feed.messages.take(at, 1, per_hour, &feed.outage).err()?;
        let rejected = refusal(definition, None);
        feed.drain_again(at);
        self.throttled.refuse(&message.feed, None, until);
        Some(rejected)
    }

    /// Why an event is refused for the rate of its device, if it is; it is counted then. The first event
    /// of a device, which is not `known`, is within any quota.
    pub(super) fn device_over_rate(
        &mut self,
        id: FeedId,
        message: &Submission,
        found: &DecodedEvent,
        known: Option<DeviceId>,
    ) -> Option<Rejected> {
        if message.arrived_at.is_some() {
            return None;
        }
        let feed = self.feeds.get_mut(id.index())?;
        let definition = feed.definition.as_deref()?;
        let device = known?;
        if self.buckets.len() <= device.index() {
            self.buckets.resize_with(self.rings.len(), Default::default);
        }
        let bucket = self.buckets.get_mut(device.index())?;
        let per_hour = u64::from(definition.device_messages_per_hour_max);
        let until = bucket.take(self.arrived_at, 1, per_hour, &feed.outage).err()?;
        let rejected = refusal(definition, Some(&found.sensor));
        let count = found.readings.len() as u64;
        let delta = Accounts {
            events_found: 1,
            readings_found: count,
            events_refused: 1,
            readings_refused: count,
            ..Accounts::default()
        };
        feed.delta.add(&delta);
        self.not_stored(device, &delta);
        self.throttled.refuse(&message.feed, Some(&found.sensor), until);
        Some(rejected)
    }
}
