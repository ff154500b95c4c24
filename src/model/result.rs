//! What the flow publishes: aggregates, retractions and alert transitions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::calendar::CalendarUnit;
use super::definition::{LocalText, Severity};
use super::key::Key;
use super::time::{Span, Timestamp};

/// What a window plan is called and carries; every aggregate names its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDescription {
    /// Hash of the definition that made it: xxh3-64 of its canonical JSON.
    pub hash: u64,
    /// Pipeline.
    pub pipeline: Arc<str>,
    /// Window.
    pub window: Arc<str>,
    /// Size in nanoseconds; of a unit of the calendar the nominal one
    /// ([`CalendarUnit::nominal`]), of a daily period its own.
    pub size_ns: i64,
    /// Slide in nanoseconds; the size for a tumbling window, a day for a daily period.
    pub slide_ns: i64,
    /// The unit of the calendar that the size is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<CalendarUnit>,
    /// Names of the tags it groups by, in order; `sensor` is the device.
    pub by: Vec<Arc<str>>,
    /// Names of its fields, in order, and the unit of each.
    pub fields: Vec<Field>,
}

impl PlanDescription {
    /// The size as a person writes it: `month`, `1h`.
    #[must_use]
    pub fn size(&self) -> String {
        self.unit.map_or_else(|| Span(self.size_ns).to_string(), |unit| unit.as_str().to_owned())
    }
}

/// One field of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Name, as conditions and columns spell it.
    pub name: Arc<str>,
    /// Unit.
    pub unit: Arc<str>,
}

/// One published row.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultRow {
    /// A plan that later rows name.
    Plan(u64, Arc<PlanDescription>),
    /// A window's values.
    Aggregate(Aggregate),
    /// A window that no longer exists.
    Retraction(Retraction),
    /// An alert changed.
    Transition(Box<Transition>),
}

impl ResultRow {
    /// Journal sequence of the record that caused it.
    #[must_use]
    pub fn cause(&self) -> u64 {
        match self {
            Self::Plan(cause, _) => *cause,
            Self::Aggregate(row) => row.cause,
            Self::Retraction(row) => row.cause,
            Self::Transition(row) => row.cause,
        }
    }
}

/// One revision of one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Journal sequence of the record that had it published.
    pub cause: u64,
    /// Its plan.
    pub plan: Arc<PlanDescription>,
    /// Its key.
    pub key: Key,
    /// Start, inclusive; the `time` of the row.
    pub start: Timestamp,
    /// End, exclusive.
    pub end: Timestamp,
    /// Journal sequence of the last record that changed the window.
    pub revision: u64,
    /// Events counted.
    pub count: u64,
    /// Counted share of the expected events, if an interval is expected.
    pub capture: Option<f64>,
    /// Whether it is a basis for verdicts: the capture reaches the window's `capture_min`, and if the
    /// window is empty somebody listened.
    pub sufficient: bool,
    /// Values in the order of the plan's fields; `None`: no data.
    pub fields: Vec<Option<f64>>,
}

/// Takes a published window back. The flow publishes none: nothing that was counted is ever
/// uncounted, and a window that an amendment left empty would have count 0. The row is reserved for
/// a recompute under another grid, whose range holds windows of the plan before; readers know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Retraction {
    /// Journal sequence of the record that caused it.
    pub cause: u64,
    /// Its plan.
    pub plan: Arc<PlanDescription>,
    /// Its key.
    pub key: Key,
    /// Start of the window.
    pub start: Timestamp,
    /// Journal sequence of the last record that changed the window.
    pub revision: u64,
}

/// Identity of an alert: a hash of rule name, key and the event time at which the episode was
/// first seen to begin; frozen at the first raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertId(pub u128);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Nothing is wrong, or what was seemed wrong was annulled.
    Inactive,
    /// The condition holds, not yet for long enough.
    Pending,
    /// The alert is raised.
    Firing,
    /// It was raised and is over.
    Resolved,
}

impl AlertState {
    /// The word in API, topics and ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One step in an alert's life.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Journal sequence of the record that decided it.
    pub cause: u64,
    /// Which alert.
    pub id: AlertId,
    /// Pipeline and rule.
    pub pipeline: Arc<str>,
    /// Rule.
    pub rule: Arc<str>,
    /// How grave.
    pub severity: Severity,
    /// Names of the key's tags.
    pub by: Vec<Arc<str>>,
    /// Key.
    pub key: Key,
    /// State before.
    pub from: AlertState,
    /// State after.
    pub to: AlertState,
    /// Event time at which the condition of this episode began to hold.
    pub began_at: Timestamp,
    /// Event time from which it is firing; `None` while it is only pending.
    pub raised_at: Option<Timestamp>,
    /// Event time at which it was over; `None` while it lasts.
    pub resolved_at: Option<Timestamp>,
    /// Event time from which this step counts.
    pub at: Timestamp,
    /// Arrival time of the deciding record.
    pub decided_at: Timestamp,
    /// Whether `decided_at` is close enough to `at` to tell people (`notify_within`).
    pub notify: bool,
    /// Why: `condition met`, `condition cleared`, `annulled by late data`, ...
    pub reason: Arc<str>,
    /// Rendered title.
    pub title: LocalText,
    /// Rendered message.
    pub message: LocalText,
    /// Labels for routing.
    pub labels: BTreeMap<String, String>,
    /// What the verdict saw: the fields of the window or event, by name.
    pub evidence: Vec<(Arc<str>, Option<f64>)>,
    /// Start and end of the window that decided; for an event both are its time.
    pub window: (Timestamp, Timestamp),
}
