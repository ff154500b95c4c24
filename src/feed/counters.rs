//! What a source of feeds counts: plain atomics that telemetry reads when it is asked.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one source, the listener or one broker, since the start.
#[derive(Debug, Default)]
pub struct FeedCounters {
    /// Connections accepted (listener) or made (broker).
    pub connections_opened: AtomicU64,
    /// Connections that ended.
    pub connections_closed: AtomicU64,
    /// Connections refused before CONNECT: too many at once.
    pub connections_refused: AtomicU64,
    /// Logins refused: credentials, client id or will.
    pub logins_refused: AtomicU64,
    /// Messages received.
    pub messages: AtomicU64,
    /// Payload bytes received.
    pub bytes: AtomicU64,
    /// Messages that the connection itself recognised as redelivered.
    pub repeated: AtomicU64,
    /// Messages whose topic no feed takes.
    pub unrouted: AtomicU64,
    /// Messages on topics that no client may publish.
    pub forbidden: AtomicU64,
    /// Acknowledgements that left.
    pub acknowledged: AtomicU64,
    /// Connections ended for what the peer sent: malformed, too large, against the protocol.
    pub faults: AtomicU64,
    /// Subscribers dropped because their queue was full.
    pub subscribers_dropped: AtomicU64,
    /// Messages published to subscribers.
    pub published: AtomicU64,
}

impl FeedCounters {
    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> u64 {
        let closed = self.connections_closed.load(Ordering::Relaxed);
        self.connections_opened.load(Ordering::Relaxed).saturating_sub(closed)
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Adds `many`.
pub(super) fn count_many(counter: &AtomicU64, many: usize) {
    counter.fetch_add(many as u64, Ordering::Relaxed);
}
