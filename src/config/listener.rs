//! `[listener]`: the own MQTT listener, which devices and network servers publish to.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::byte_size::ByteSize;

/// The own MQTT listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// Whether it runs.
    pub enabled: bool,
    /// Address and port.
    pub bind: String,
    /// Whether `bind` may be reachable from other machines; needs `users`.
    pub allow_remote: bool,
    /// Whether clients without a name are let in; only on the loopback address. By default, where
    /// there are no users.
    pub allow_anonymous: Option<bool>,
    /// Connections at once.
    pub connections_max: u32,
    /// Bytes of one MQTT packet.
    pub packet_bytes_max: ByteSize,
    /// Who may connect.
    pub users: Vec<User>,
    /// TLS; absent: plain TCP.
    pub tls: Option<Tls>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            enabled: true,
            bind: "127.0.0.1:1883".into(),
            allow_remote: false,
            allow_anonymous: None,
            connections_max: 10_000,
            packet_bytes_max: ByteSize::mib(1),
            users: Vec::new(),
            tls: None,
        }
    }
}

impl Listener {
    /// Whether clients without a name are let in.
    #[must_use]
    pub fn anonymous(&self) -> bool {
        self.allow_anonymous.unwrap_or(self.users.is_empty())
    }
}

/// One user of the listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Name.
    pub name: String,
    /// File that holds the password, its last line break not counted.
    pub password_file: PathBuf,
}

/// TLS of the listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate and chain, PEM.
    pub cert_file: PathBuf,
    /// Private key, PEM, PKCS #8.
    pub key_file: PathBuf,
}
