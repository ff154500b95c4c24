//! How the listener listens, and the bounds it keeps.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::authority::Authority;

/// What an operator configures.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// Address and port.
    pub bind: SocketAddr,
    /// TLS, if wanted.
    pub tls: Option<TlsFiles>,
    /// Who may connect.
    pub authority: Authority,
    /// Bounds.
    pub limits: ListenerLimits,
}

impl ListenerOptions {
    /// The listener at `bind` with default bounds and no TLS.
    #[must_use]
    pub fn new(bind: SocketAddr, authority: Authority) -> Self {
        Self { bind, tls: None, authority, limits: ListenerLimits::default() }
    }
}

/// Certificate and key of the listener, both PEM, the key in PKCS #8.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate chain, the listener's own first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Every bound the listener keeps.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    /// Connections at once, logged in or not.
    pub connections_max: usize,
    /// New connections a second; more wait in the system's backlog.
    pub connects_per_second_max: u32,
    /// From the TCP connection to a complete CONNECT.
    pub connect_timeout: Duration,
    /// Size of a CONNECT, its will included, in bytes.
    pub connect_bytes_max: u32,
    /// Size of any later packet, in bytes: 1 MiB of payload, a topic and properties by default.
    pub packet_bytes_max: u32,
    /// Messages of one connection that are not yet acknowledged. Told to MQTT 5 clients as their
    /// receive maximum; from others nothing more is read.
    pub receive_max: u16,
    /// A connection that takes none of what it is sent for this long is closed.
    pub stall_timeout: Duration,
    /// At shutdown, how long connections wait for acknowledgements still to come.
    pub drain_timeout: Duration,
    /// Sessions kept, connected or not; the longest away goes first.
    pub sessions_max: usize,
    /// How long a persistent session is kept without a connection.
    pub session_keep_max: Duration,
    /// Subscriptions of one session.
    pub subscriptions_max: usize,
    /// Packets of a session that are remembered to recognise redeliveries, the last ones.
    pub redeliveries_max: u16,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connects_per_second_max: 1_000,
            connect_timeout: Duration::from_secs(5),
            connect_bytes_max: 64 * 1_024,
            packet_bytes_max: 1_024 * 1_024 + 2 * 1_024,
            receive_max: 1_000,
            stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            sessions_max: 20_000,
            session_keep_max: Duration::from_secs(24 * 3_600),
            subscriptions_max: 16,
            redeliveries_max: 4_000,
        }
    }
}
