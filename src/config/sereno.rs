//! `sereno.toml`: the service itself. Every setting has a default; an empty file is a valid one.
//!
//! Paths are relative to the folder of the file; secrets stand in files of their own, never here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::broker::Broker;
use super::byte_size::ByteSize;
use super::listener::Listener;
use super::receiver::Receiver;
use super::sink::{Influx, Store};
use crate::journal::checkpoint::Cadence;
use crate::model::Span;
use crate::rule::Locale;

/// The service's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sereno {
    /// Format version of the file; 1.
    pub version: u32,
    /// Folder of journal, results, store and ledger.
    pub data_dir: PathBuf,
    /// Folder with one folder a pipeline.
    pub pipelines: PathBuf,
    /// Language of messages where only one is shown.
    pub language: Language,
    /// Time zone of reports and of the console, by its tz database name.
    pub timezone: String,
    /// Where feeds without `from` come from: `listener`, or the name of a broker.
    pub default_source: String,
    /// GeoJSON file of zones, rivers and roads for the map.
    pub zones: Option<PathBuf>,
    /// HTTP API and console.
    pub http: Http,
    /// The own MQTT listener.
    pub listener: Listener,
    /// External MQTT brokers by name.
    #[serde(rename = "broker")]
    pub brokers: BTreeMap<String, Broker>,
    /// The embedded time-series store.
    pub store: Store,
    /// Results and raw events to InfluxDB 2; absent: not used.
    pub influx: Option<Influx>,
    /// Where alerts are sent.
    #[serde(rename = "receiver")]
    pub receivers: Vec<Receiver>,
    /// Bounds of the service.
    pub limits: Limits,
    /// The journal.
    pub journal: Journal,
    /// Checkpoints of the dataflow.
    pub checkpoint: Checkpoint,
    /// The log on standard error.
    pub log: Log,
}

impl Default for Sereno {
    fn default() -> Self {
        Self {
            version: 1,
            data_dir: "data".into(),
            pipelines: "pipelines".into(),
            language: Language::Es,
            timezone: "America/Bogota".into(),
            default_source: LISTENER.into(),
            zones: None,
            http: Http::default(),
            listener: Listener::default(),
            brokers: BTreeMap::new(),
            store: Store::default(),
            influx: None,
            receivers: Vec::new(),
            limits: Limits::default(),
            journal: Journal::default(),
            checkpoint: Checkpoint::default(),
            log: Log::default(),
        }
    }
}

/// The name of the own listener among the sources of feeds.
pub const LISTENER: &str = "listener";

/// A language of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Spanish.
    #[default]
    Es,
    /// English.
    En,
}

impl From<Language> for Locale {
    fn from(language: Language) -> Self {
        match language {
            Language::Es => Self::Es,
            Language::En => Self::En,
        }
    }
}

/// HTTP API and console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port.
    pub listen: String,
    /// Whether `listen` may be reachable from other machines. There are no users yet: put a
    /// reverse proxy with authentication before it.
    pub allow_remote: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".into(), allow_remote: false }
    }
}

/// Bounds of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The state that all windows may need, by estimate; more is refused at start.
    pub state_bytes_max: ByteSize,
    /// Rows of one query's answer.
    pub query_rows_max: u32,
    /// Time of one query.
    pub query_time_max: Span,
    /// Memory of one query.
    pub query_bytes_max: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            state_bytes_max: ByteSize::mib(2_048),
            query_rows_max: 10_000,
            query_time_max: Span::seconds(30),
            query_bytes_max: ByteSize::mib(256),
        }
    }
}

/// The journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// Size at which a segment is full and the next one begins.
    pub segment_bytes: ByteSize,
    /// Segments older than this go, once checkpoint and every reader are past them.
    pub keep: Span,
    /// A sink whose next record is older than this no longer holds its segment; it then needs a
    /// backfill.
    pub behind_max: Span,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            segment_bytes: ByteSize::mib(64),
            keep: Span::seconds(7 * 86_400),
            behind_max: Span::seconds(14 * 86_400),
        }
    }
}

/// Checkpoints of the dataflow: a start goes on from the latest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// One is taken after this long.
    pub every: Span,
    /// One is taken after this many records of the journal, if that is sooner.
    pub records: u64,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every: Span::seconds(30), records: 600_000 }
    }
}

impl From<&Checkpoint> for Cadence {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self { every: checkpoint.every, records: checkpoint.records }
    }
}

/// The log on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,sereno::feed=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line a message.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(toml::from_str::<Sereno>("").unwrap(), Sereno::default());
        let written = toml::to_string(&Sereno::default()).unwrap();
        assert_eq!(toml::from_str::<Sereno>(&written).unwrap(), Sereno::default(), "{written}");
    }
}
