//! What a person writes: feeds, quantities, windows and rules, as `pipeline.toml` spells them and
//! as control records carry them (JSON of the same types).
//!
//! These types say only what was written; `decode`, `window` and `rule` check and compile them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calendar::{DailyPeriod, WindowLength};
use super::register::SensorDefinition;
use super::time::Span;

/// A text in the two languages of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalText {
    /// Spanish.
    pub es: String,
    /// English.
    pub en: String,
}

/// One runnable pipeline: `pipelines/<name>/pipeline.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineDefinition {
    /// Format version of the file; 1.
    pub version: u32,
    /// Name, unique in the installation: lower-case letters, digits and `-`.
    pub name: String,
    /// What people see it called.
    pub title: LocalText,
    /// One sentence for planners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<LocalText>,
    /// Time zone of the windows, by its tz database name.
    #[serde(default = "default_timezone")]
    pub timezone: String,
    /// Feeds the pipeline reads; by default those that the same file defines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Vec<String>>,
    /// Condition over one event's fields; events that meet it are counted as excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<String>,
    /// How long after a window's end its key's own readings may still amend it.
    #[serde(default = "default_lateness")]
    pub allowed_lateness: Span,
    /// How long after its end a silent key's window closes by tick; by default the largest
    /// out_of_orderness of its feeds and 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_after: Option<Span>,
    /// A window is amended at most this often.
    #[serde(default = "default_amend_every")]
    pub amend_every: Span,
    /// Windows are sealed by tick this long after their end at the latest.
    #[serde(default = "default_open_max")]
    pub open_max: Span,
    /// Inbound connections.
    #[serde(default, rename = "feed", skip_serializing_if = "Vec::is_empty")]
    pub feeds: Vec<FeedDefinition>,
    /// Windows.
    #[serde(default, rename = "window", skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowDefinition>,
    /// Alert rules.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleDefinition>,
}

/// How a payload is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DecoderKind {
    /// Any JSON object, by the mapping of the feed.
    Json,
    /// SenML JSON packs, RFC 8428.
    Senml,
    /// ChirpStack v4 uplink events.
    Chirpstack,
    /// The Things Stack v3 uplink messages.
    Tts,
    /// The payload is one number.
    Scalar,
}

/// What tells a repeated event from a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// Device, event time, frame counter and quantities carried.
    #[default]
    Time,
    /// Device and its own sequence number.
    Sequence,
    /// The MQTT redelivery itself: connection, packet id, DUP, topic and payload.
    Protocol,
}

/// What happens to a second value of a quantity a device already reported for the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// The first stays, the second goes to quarantine.
    #[default]
    First,
}

/// When a message is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AckLevel {
    /// After fdatasync: survives power loss.
    #[default]
    Synced,
    /// After write: survives the process, not the power.
    Written,
}

/// One configured inbound connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedDefinition {
    /// Name, unique in the installation.
    pub name: String,
    /// `listener` (the own MQTT listener) or the name of a broker in `sereno.toml`; by default
    /// what `sereno.toml` says in `default_source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Topics: MQTT levels, `+`, a last `#`, and `{name}` levels that become tags; `{sensor}`
    /// names the device.
    pub topic: String,
    /// How payloads are read.
    pub decoder: DecoderKind,
    /// Where the device's name stands in the payload (JSON Pointer), if not in the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,
    /// Where and how the event time stands; absent: the decoder's own, or the arrival time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeDefinition>,
    /// Where the device's own sequence number stands (JSON Pointer), for `identity = "sequence"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// Tag name to JSON Pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Quantities by name.
    #[serde(default, rename = "quantity", skip_serializing_if = "BTreeMap::is_empty")]
    pub quantities: BTreeMap<String, QuantityDefinition>,
    /// Zone of local times without an offset.
    #[serde(default = "default_timezone")]
    pub timezone: String,
    /// How far a device's readings come out of order.
    #[serde(default = "default_out_of_orderness")]
    pub out_of_orderness: Span,
    /// Event times further ahead of arrival than this are quarantined.
    #[serde(default = "default_max_skew")]
    pub max_skew: Span,
    /// A feed without messages for this long no longer holds zone watermarks back.
    #[serde(default = "default_idle_after")]
    pub idle_after: Span,
    /// Expected time between two events of one device; gives windows their capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_interval: Option<Span>,
    /// What tells a repeat.
    #[serde(default)]
    pub identity: Identity,
    /// What happens to a conflicting second value.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// When messages are acknowledged.
    #[serde(default)]
    pub ack: AckLevel,
    /// The most devices the feed may name; further ones are refused and counted.
    #[serde(default = "default_devices_max")]
    pub devices_max: u32,
    /// The most messages an hour of the whole feed; further ones are refused and counted.
    #[serde(default = "default_messages_per_hour_max")]
    pub messages_per_hour_max: u32,
    /// The most events an hour of one device; further ones are refused and counted.
    #[serde(default = "default_device_messages_per_hour_max")]
    pub device_messages_per_hour_max: u32,
    /// Sensors that are expected to report: windows of theirs in which nothing arrives are
    /// published too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registered: Vec<SensorDefinition>,
}

/// Where and how an event time is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeDefinition {
    /// JSON Pointer.
    pub path: String,
    /// `rfc3339`, `s`, `ms`, `us`, `ns`, or a strptime pattern such as `%Y-%m-%d %H:%M:%S`.
    #[serde(default = "default_time_format")]
    pub format: String,
}

/// One quantity of a feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantityDefinition {
    /// JSON Pointer (`json`), field of the decoded object (`chirpstack`, `tts`) or record name
    /// (`senml`); by default the quantity's own name. Unused by `scalar`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Unit, in UCUM spelling where there is one: `ug/m3`, `Cel`, `%`, `dB[A]`, `cm`.
    #[serde(default)]
    pub unit: String,
    /// Decimals kept.
    #[serde(default = "default_decimals")]
    pub decimals: u8,
    /// Readings below are quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Readings above are quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Of a counter: the count at which it starts over at 0, as in 65536 for 16 bits. `increase`
    /// and `rate` then take a smaller value for a wrap, not for a restart at 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_max: Option<f64>,
    /// What people see it called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LocalText>,
}

/// One window over the pipeline's events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowDefinition {
    /// Name, unique in the pipeline: lower-case letters, digits and `_`.
    pub name: String,
    /// Length: a span, or `hour`, `day`, `week`, `month`, `year` of the pipeline's time zone.
    pub size: WindowLength,
    /// Step of a hopping window; must divide the size. Absent: tumbling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slide: Option<WindowLength>,
    /// Named periods of a day, as in `noche = "21:01-07:00"`: for each of them a window a day
    /// instead of one over the whole day. Their names are the key `period`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub periods: BTreeMap<String, DailyPeriod>,
    /// Grouping: `sensor`, any tags, or nothing for the whole pipeline.
    #[serde(default = "default_by")]
    pub by: Vec<String>,
    /// Field name to aggregate of a quantity, as in `pm25_mean = "mean(pm25)"`: `count`, `sum`,
    /// `mean`, `min`, `max`, `range`, `first`, `last`, `delta`, `variance`, `stddev`, `median`,
    /// `p01` to `p99`, `quantile(pm25, 0.999)`, `distinct`, `increase`, `rate`, `time_mean`,
    /// `energy_mean`, `circular_mean`; of `*`: `count`, `capture_percent`. In a window over
    /// several sensors also nested, as in `max(mean(pm25))`: the inner one is of each sensor.
    pub fields: BTreeMap<String, String>,
    /// What a plain `f(quantity)` folds: all `readings` of the key (the default), or the values of
    /// its `sensors`, each once, as `f(f(quantity))` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<FoldOf>,
    /// How long a reading holds in `time_mean`, if no other follows; by default the window's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_max: Option<Span>,
    /// Share of a sensor's expected readings below which it does not count in nested aggregates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor_capture_min: Option<f64>,
    /// Share of the expected readings below which the window is no basis for a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_min: Option<f64>,
}

/// What plain aggregates of a window fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FoldOf {
    /// Every reading of the key, as SQL's `GROUP BY` does.
    Readings,
    /// Each sensor's value over the window, once.
    Sensors,
}

/// How grave an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To be informed.
    Info,
    /// To prepare.
    Warning,
    /// To act.
    Critical,
}

impl Severity {
    /// The word used in configuration, API and topics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What no data means to a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoData {
    /// Nothing: what fires goes on firing.
    #[default]
    Hold,
    /// A firing alert is over once there was no data for `stale_after`.
    Resolve,
    /// No data for `stale_after` is itself the condition.
    Alert,
}

/// One alert rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleDefinition {
    /// Name, unique in the pipeline; the alert's identity starts from it.
    pub name: String,
    /// A window's name, or `readings` for the events themselves.
    pub on: String,
    /// SQL condition over the window's fields, `count` and `capture`, or the event's quantities.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub when: String,
    /// In the place of `when`: a sensor from which nothing came for this long, while its feed was
    /// observed. Only on `readings`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_for: Option<Span>,
    /// SQL condition that ends a firing alert; by default `when` not met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<String>,
    /// How long the condition holds before the alert fires.
    #[serde(default, rename = "for")]
    pub hold: Span,
    /// How long the alert goes on firing after the condition stopped.
    #[serde(default)]
    pub keep_firing_for: Span,
    /// How long a verdict on readings stands without a new reading; then it is no data.
    #[serde(default = "default_stale_after")]
    pub stale_after: Span,
    /// What no data for `stale_after` does to an alert.
    #[serde(default)]
    pub no_data: NoData,
    /// Transitions decided later than this after they took effect are recorded, not sent.
    #[serde(default = "default_notify_within")]
    pub notify_within: Span,
    /// How grave.
    pub severity: Severity,
    /// Labels for routing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What people see it called.
    pub title: LocalText,
    /// Message with `{field}`, `{sensor}` and `{tag}` placeholders.
    pub message: LocalText,
}

/// The key that tells the periods of one window apart.
pub const PERIOD: &str = "period";

impl WindowDefinition {
    /// Names of its key's parts, in order: `by`, and [`PERIOD`] where it has periods.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        let period = (!self.periods.is_empty()).then_some(PERIOD);
        self.by.iter().map(String::as_str).chain(period)
    }

    /// Its step: the slide, or the size.
    #[must_use]
    pub fn step(&self) -> WindowLength {
        self.slide.unwrap_or(self.size)
    }
}

fn default_timezone() -> String {
    "America/Bogota".into()
}
fn default_lateness() -> Span {
    Span::seconds(2 * 3_600)
}
fn default_amend_every() -> Span {
    Span::seconds(10)
}
fn default_open_max() -> Span {
    Span::seconds(7 * 86_400)
}
fn default_out_of_orderness() -> Span {
    Span::seconds(30)
}
fn default_max_skew() -> Span {
    Span::seconds(300)
}
fn default_idle_after() -> Span {
    Span::seconds(60)
}
fn default_devices_max() -> u32 {
    1_000_000
}
/// About 55,000 a second.
fn default_messages_per_hour_max() -> u32 {
    200_000_000
}
/// About 280 a second.
fn default_device_messages_per_hour_max() -> u32 {
    1_000_000
}
fn default_time_format() -> String {
    "rfc3339".into()
}
fn default_decimals() -> u8 {
    super::decimal::DECIMALS
}
fn default_by() -> Vec<String> {
    vec!["sensor".into()]
}
fn default_stale_after() -> Span {
    Span::seconds(3_600)
}
fn default_notify_within() -> Span {
    Span::seconds(3_600)
}

impl FeedDefinition {
    /// Names of the tags that its events carry: `{name}` levels of the topic and the `tags` table.
    pub fn tag_names(&self) -> impl Iterator<Item = &str> {
        let captured = self.topic.split('/').filter_map(|level| level.strip_prefix('{')?.strip_suffix('}'));
        captured.filter(|name| *name != "sensor").chain(self.tags.keys().map(String::as_str))
    }
}
