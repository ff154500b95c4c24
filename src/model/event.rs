//! An event: what one device says at one event time.

use std::ops::Range;

use super::decimal::Value;
use super::dictionary::{DeviceId, FeedId, QuantityId, TagSetId};
use super::time::Timestamp;

/// One event of a batch; its readings lie in the batch's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Feed it came by.
    pub feed: FeedId,
    /// Device that measured.
    pub device: DeviceId,
    /// Tags it carried.
    pub tags: TagSetId,
    /// When the device measured.
    pub event_at: Timestamp,
    /// When the message came in.
    pub arrived_at: Timestamp,
    /// Frame counter or the device's own sequence number.
    pub counter: Option<u64>,
    /// Its readings in [`super::record::Batch::readings`].
    pub readings: Range<u32>,
}

/// One value of one quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which quantity; its decimals are in the dictionary.
    pub quantity: QuantityId,
    /// The exact value.
    pub value: Value,
}
