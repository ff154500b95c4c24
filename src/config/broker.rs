//! `[broker.NAME]`: a city's MQTT broker, which feeds subscribe at and alerts are published to.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::byte_size::ByteSize;

/// One external broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// `mqtt://host:1883`, or `mqtts://host:8883` with TLS.
    pub url: String,
    /// Client identifier, unique at the broker: its session is kept under this name. By default
    /// `sereno-` and the broker's name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// User name, if the broker wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// File that holds the password, its last line break not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) trusted beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Messages published to the broker and not yet acknowledged by it, at most.
    #[serde(default = "default_inflight")]
    pub inflight: u16,
    /// The largest packet taken from the broker. A larger one ends the connection, and would again
    /// after each reconnect.
    #[serde(default = "default_packet_bytes_max")]
    pub packet_bytes_max: ByteSize,
}

fn default_inflight() -> u16 {
    100
}
fn default_packet_bytes_max() -> ByteSize {
    ByteSize::mib(16)
}

/// A broker's address, out of its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl Broker {
    /// Host, port and TLS from the URL; `None` when it is no `mqtt://` or `mqtts://` address.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        let (scheme, rest) = self.url.split_once("://")?;
        let (tls, default_port) = match scheme {
            "mqtt" | "tcp" => (false, 1883),
            "mqtts" | "ssl" => (true, 8883),
            _ => return None,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']')?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, Some("")),
            },
        };
        let port = match port? {
            "" if rest.ends_with(':') => return None,
            "" => default_port,
            digits => digits.parse().ok().filter(|port| *port != 0)?,
        };
        let plain = |c: char| !c.is_whitespace() && !matches!(c, '/' | '@' | '?' | '#');
        (!host.is_empty() && host.chars().all(plain)).then(|| Address { host: host.to_owned(), port, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_out_of_urls() {
        let address = |url: &str| {
            let broker: Broker = toml::from_str(&format!("url = \"{url}\"")).unwrap();
            broker.address().map(|address| (address.host, address.port, address.tls))
        };
        assert_eq!(address("mqtt://broker"), Some(("broker".into(), 1883, false)));
        assert_eq!(
            address("mqtts://broker.example.org:8884/"),
            Some(("broker.example.org".into(), 8884, true))
        );
        assert_eq!(address("mqtt://[::1]:1884"), Some(("::1".into(), 1884, false)));
        for url in
            ["broker:1883", "http://broker", "mqtt://", "mqtt://a:b", "mqtt://u:p@host:1883", "mqtt://h:0"]
        {
            assert_eq!(address(url), None, "{url}");
        }
    }
}
