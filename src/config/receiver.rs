//! `[[receiver]]`: where alerts are sent.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sereno::LISTENER;
use crate::model::definition::Severity;

/// One receiver: a webhook or MQTT topics, exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Name, unique; the ledger remembers what was sent under it.
    pub name: String,
    /// Alerts below are not sent.
    #[serde(default = "default_severity_min")]
    pub severity_min: Severity,
    /// HTTP requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Retained MQTT messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<MqttReceiver>,
}

/// Alerts as HTTP POST requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to, `http` or `https`.
    pub url: String,
    /// File with the shared secret that signs requests; absent: they are not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
}

/// Alerts as MQTT messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqttReceiver {
    /// `listener`, whose clients can subscribe to them, or the name of a broker.
    #[serde(default = "default_broker")]
    pub broker: String,
    /// First levels of their topics; pipeline, rule and key follow.
    #[serde(default = "default_topic_prefix")]
    pub topic_prefix: String,
}

fn default_severity_min() -> Severity {
    Severity::Info
}
fn default_broker() -> String {
    LISTENER.into()
}
fn default_topic_prefix() -> String {
    "sereno/alerts".into()
}
