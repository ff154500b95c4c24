//! What the journal holds: records in batches, with the accounts of what became of each message.

use std::sync::Arc;

use bytes::Bytes;

use super::arrival::Reason;
use super::control::Control;
use super::dictionary::{DeviceId, Entry, FeedId};
use super::event::{Event, Reading};
use super::packet::Packet;
use super::time::Timestamp;

/// Records that were appended together. Nothing may depend on where batches are cut.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Journal sequence of the first record; the others follow without gaps.
    pub first: u64,
    /// Arrival clock when the batch was begun; all its records arrived in the same hour.
    pub arrived_at: Timestamp,
    /// The records.
    pub records: Vec<Record>,
    /// The readings of all events.
    pub readings: Vec<Reading>,
    /// What became of the messages that led to this batch.
    pub accounts: Vec<FeedAccounts>,
    /// What became of events that are not records of this batch, by device where known. They are
    /// in `accounts` too; a device's stored events are its records.
    pub devices: Vec<DeviceAccounts>,
    /// The packets that brought its messages, as far as a later one may be told by them.
    pub packets: Vec<Packet>,
}

impl Batch {
    /// Records with their sequence numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Record)> {
        self.records.iter().enumerate().map(|(n, record)| (self.first + n as u64, record))
    }

    /// The readings of one of this batch's events.
    #[must_use]
    pub fn readings_of(&self, event: &Event) -> &[Reading] {
        self.readings.get(event.readings.start as usize..event.readings.end as usize).unwrap_or_default()
    }

    /// The sequence after the last record.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An accepted event.
    Event(Event),
    /// A change of feeds or pipelines.
    Control(Arc<Control>),
    /// A feed's watermark has reached a whole second.
    Step {
        /// The feed.
        feed: FeedId,
        /// Its watermark.
        watermark: Timestamp,
    },
    /// Every whole second from `from` to `to` of the arrival clock has passed, nothing between.
    Tick {
        /// First second.
        from: Timestamp,
        /// Last second; the only one that is not `from` when nothing came in between.
        to: Timestamp,
        /// Feeds observed during all of it.
        observed: Arc<[FeedId]>,
    },
    /// A new name.
    Entry(Entry),
    /// Something that was not taken in.
    Refusal(Box<Refusal>),
    /// An event that this journal no longer held, as the store held it: a copy for a recompute. It was
    /// counted when it came, so that nothing else may take it for something that arrives.
    Restored {
        /// The journal sequence that the event had when it came.
        sequence: u64,
        /// The event.
        event: Event,
    },
}

impl Record {
    /// When it arrived, where it says so itself: controls, steps and names do not, and what is
    /// restored arrived long ago.
    #[must_use]
    pub fn arrived_at(&self) -> Option<Timestamp> {
        match self {
            Self::Event(event) => Some(event.arrived_at),
            Self::Refusal(refusal) => Some(refusal.arrived_at),
            Self::Tick { to, .. } => Some(*to),
            Self::Control(_) | Self::Step { .. } | Self::Entry(_) | Self::Restored { .. } => None,
        }
    }
}

/// A message, or part of one, in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Feed it came by.
    pub feed: FeedId,
    /// When.
    pub arrived_at: Timestamp,
    /// Why, for machines.
    pub reason: Reason,
    /// Why, for people.
    pub detail: Box<str>,
    /// Topic.
    pub topic: Arc<str>,
    /// The first bytes of the payload, at most [`PAYLOAD_KEPT_BYTES_MAX`].
    pub payload: Bytes,
    /// Length of the whole payload.
    pub payload_bytes: u64,
}

/// Bytes of a refused payload that the journal keeps.
pub const PAYLOAD_KEPT_BYTES_MAX: usize = 64 * 1024;

/// A feed's part in a batch's accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedAccounts {
    /// The feed.
    pub feed: FeedId,
    /// What is added to its accounts.
    pub delta: Accounts,
}

/// A device's part in a batch's accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceAccounts {
    /// The device.
    pub device: DeviceId,
    /// What is added to its accounts: only counters of events and readings.
    pub delta: Accounts,
}

macro_rules! accounts {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// What became of messages, events and readings. For messages: received = decoded +
        /// partly_decoded + quarantined + repeated + ignored + refused. For events: found =
        /// stored + duplicate + conflicting + quarantined + refused; for readings likewise.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Accounts { $($(#[$doc])* pub $field: u64,)* }

        impl Accounts {
            /// Names of the counters, in journal order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field),)*];

            /// The counters, in journal order.
            #[must_use]
            pub fn to_array(&self) -> [u64; Self::NAMES.len()] {
                [$(self.$field,)*]
            }

            /// From counters in journal order.
            #[must_use]
            pub fn from_array(counts: [u64; Self::NAMES.len()]) -> Self {
                let [$($field,)*] = counts;
                Self { $($field,)* }
            }

            /// Adds another's counters to these.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

accounts! {
    /// Messages that came in.
    messages_received,
    /// All of the message became events.
    messages_decoded,
    /// Some of it did.
    messages_partly_decoded,
    /// None of it did; it lies in quarantine.
    messages_quarantined,
    /// Recognised as a redelivery before decoding.
    messages_repeated,
    /// Of a kind that carries no measurement.
    messages_ignored,
    /// Beyond a quota.
    messages_refused,
    /// Events that decoders found.
    events_found,
    /// Events in the journal.
    events_stored,
    /// Known already.
    events_duplicate,
    /// Known with another value.
    events_conflicting,
    /// In quarantine for their time or content.
    events_quarantined,
    /// Beyond a quota.
    events_refused,
    /// Readings in found events.
    readings_found,
    /// Readings in stored events.
    readings_stored,
    /// Readings known already.
    readings_duplicate,
    /// Readings known with another value.
    readings_conflicting,
    /// Readings of quarantined events.
    readings_quarantined,
    /// Readings of refused events.
    readings_refused,
    /// Single readings that a decoder refused while their siblings lived (not in readings_found).
    readings_rejected,
}

impl Accounts {
    /// Whether the equations of messages, events and readings hold.
    #[must_use]
    pub fn balanced(&self) -> bool {
        let messages = self.messages_decoded
            + self.messages_partly_decoded
            + self.messages_quarantined
            + self.messages_repeated
            + self.messages_ignored
            + self.messages_refused;
        let events = self.events_stored
            + self.events_duplicate
            + self.events_conflicting
            + self.events_quarantined
            + self.events_refused;
        let readings = self.readings_stored
            + self.readings_duplicate
            + self.readings_conflicting
            + self.readings_quarantined
            + self.readings_refused;
        self.messages_received == messages && self.events_found == events && self.readings_found == readings
    }
}
