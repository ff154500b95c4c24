//! How a broker is reached.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One broker of `sereno.toml`.
#[derive(Clone)]
pub struct BrokerOptions {
    /// Its name there.
    pub name: Arc<str>,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Client identifier, unique at the broker: its session is kept under this name.
    pub client_id: String,
    /// User name, if the broker wants one.
    pub user: Option<String>,
    /// Password of the user; never logged.
    pub password: Option<String>,
    /// TLS, if the broker speaks it.
    pub tls: Option<BrokerTls>,
    /// A ping after this much silence.
    pub keep_alive: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Most messages of ours the broker has not acknowledged ([`super::Publisher`]); what it sends
    /// us unacknowledged is bounded by its own `max_inflight_messages`.
    pub inflight_max: u16,
    /// The largest packet taken from the broker. A larger one ends the connection, and would
    /// again after each reconnect: generous by default.
    pub packet_bytes_max: usize,
    /// Larger payloads are quarantined unread.
    pub payload_bytes_max: usize,
    /// Shortest wait before a reconnect.
    pub backoff_min: Duration,
    /// Longest wait before a reconnect.
    pub backoff_max: Duration,
}

/// TLS towards a broker.
#[derive(Clone, Debug, Default)]
pub struct BrokerTls {
    /// Certificates (PEM) trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

impl BrokerOptions {
    /// A broker with everything else at its default.
    #[must_use]
    pub fn new(name: &str, host: &str, port: u16) -> Self {
        Self {
            name: name.into(),
            host: host.to_owned(),
            port,
            client_id: format!("sereno-{name}"),
            user: None,
            password: None,
            tls: None,
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            inflight_max: 100,
            packet_bytes_max: 16 * 1_024 * 1_024,
            payload_bytes_max: 1_024 * 1_024,
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for BrokerOptions {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerOptions")
            .field("name", &self.name)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("client_id", &self.client_id)
            .field("user", &self.user)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Why a broker's client could not be set up; mend the configuration.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The certificate file cannot be read.
    #[error("broker {broker}: cannot read {path}: {reason}; check brokers.{broker}.tls.ca_file")]
    CaFile {
        /// Broker name.
        broker: Arc<str>,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// The certificates are no PEM certificates, or TLS does not start.
    #[error(
        "broker {broker}: TLS cannot start: {reason}; check that brokers.{broker}.tls.ca_file holds PEM certificates"
    )]
    Tls {
        /// Broker name.
        broker: Arc<str>,
        /// Why.
        reason: native_tls::Error,
    },
    /// A persistent session needs a client identifier.
    #[error("broker {broker}: client_id is empty; set brokers.{broker}.client_id")]
    ClientId {
        /// Broker name.
        broker: Arc<str>,
    },
}
