//! The edge between feeds and the sequencer: what a feed hands over, and how it learns that an
//! acknowledgement may leave.

use std::sync::Arc;

use bytes::Bytes;

use super::arrival::Decoded;
use super::control::{Control, Recompute};
use super::event::{Event, Reading};
use super::packet::Brought;
use super::time::Timestamp;

/// What reaches the sequencer.
pub enum Input {
    /// Messages of one feed's connection, in the order they came in.
    Messages(Vec<Submission>),
    /// A feed got or lost its connection and subscription.
    Connected {
        /// Feed name.
        feed: Arc<str>,
        /// Whether it is now connected and subscribed.
        up: bool,
    },
    /// Feeds and pipelines changed.
    Control(Vec<Control>),
    /// Events that the journal no longer holds, for the recompute that follows; a thousand at most.
    Restore(Vec<StoredEvent>),
    /// Windows of a range are to be computed again.
    Recompute(Recompute),
    /// Everything handed over before is in the journal when the sender learns of it.
    Flush(Box<dyn FnOnce(u64) + Send>),
    /// Stop: nothing more will come.
    Stop,
}

/// An event as the store holds it, by the ids of the dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The journal sequence that it had when it came.
    pub sequence: u64,
    /// The event; its range of readings says nothing.
    pub event: Event,
    /// Its readings.
    pub readings: Vec<Reading>,
}

/// One message with what its decoder made of it.
pub struct Submission {
    /// Feed name.
    pub feed: Arc<str>,
    /// Topic.
    pub topic: Arc<str>,
    /// Payload, kept for quarantine.
    pub payload: Bytes,
    /// Arrival time from a file (`replay`, `demo` history); absent: the sequencer's clock.
    pub arrived_at: Option<Timestamp>,
    /// What the decoder found.
    pub decoded: Decoded,
    /// A redelivery that the connection itself recognised: at QoS 2 the identifier was not released.
    pub repeated: bool,
    /// The packet that brought it; none at QoS 0 and from a file.
    pub brought: Option<Brought>,
    /// Whom to tell once the journal holds it.
    pub ack: Option<Ack>,
}

/// Whom to tell about one message.
#[derive(Clone)]
pub struct Ack {
    /// The connection's gate.
    pub gate: Arc<dyn Gate>,
    /// The connection's own number of the message, counting up.
    pub ticket: u64,
}

/// A connection's side of acknowledgement.
pub trait Gate: Send + Sync {
    /// The journal's epoch `epoch` holds message `ticket`, or its refusal; it may be acknowledged
    /// once [`Durable`] has passed that epoch. Whether it waits for the epoch to be written and no more:
    /// of a write that nobody waits for no connection is told. Called by the sequencer: must not block.
    fn journaled(&self, ticket: u64, epoch: u64) -> bool;

    /// An event of one of its messages was refused, since its feed may use no more names: who invents
    /// them without end may be listened to less often. Called by the sequencer: must not block.
    fn overdrawn(&self) {}
}

/// What the sequencer refuses for its rate, for whoever decodes: what is refused anyway need not be
/// decoded.
pub trait Throttle: Send + Sync {
    /// Whether nobody is refused: the first look, and the only one at usual times.
    fn is_idle(&self) -> bool;

    /// Whose quota refuses a message of `feed`, and of `sensor` where its topic names one, at present.
    fn refuses(&self, feed: &str, sensor: Option<&str>) -> Option<UsedUp>;
}

/// Whose message-rate quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedUp {
    /// The whole feed's.
    Feed,
    /// The device's.
    Sensor,
}

/// How far the journal is durable, in epochs: everything before the number is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// Written: survives kill -9.
    pub written: u64,
    /// Synced: survives power loss.
    pub synced: u64,
}
