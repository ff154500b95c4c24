//! What tells a message that comes again by the protocol alone: the packet that brought it.
//!
//! A sender that does not know whether it was heard sends again under the same packet identifier of the
//! same session, and says so (DUP). A message is taken for one that the session brought before if it says
//! so, its identifier is one that the session used last for the same content, and no other message came
//! under that identifier since.

/// A message's packet in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The session, 64 bits of a hash of what names it: the broker, or the client at the own listener.
    pub session: u64,
    /// Messages of the session that may be on their way unacknowledged; earlier ones never come again.
    pub in_flight_max: u16,
    /// The packet identifier.
    pub id: u16,
    /// 64 bits of a hash of topic and payload, never 0; 0 for a feed whose messages have an identity of
    /// their own: then the identifier is another message's from here on, and that is all.
    pub print: u64,
}

/// The packet that brought a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The packet.
    pub packet: Packet,
    /// Whether it may have been sent before (DUP).
    pub again: bool,
}
