//! An alert as people and programs outside see it: the same object in the HTTP API, the live
//! stream, webhooks and MQTT.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::AlertState;
use crate::model::definition::{LocalText, Severity};

/// What one alert is now, and how it came there. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Alert {
    /// Identity, 32 hexadecimal digits; stable for ever.
    pub id: String,
    /// Pipeline of the rule.
    pub pipeline: String,
    /// Rule.
    pub rule: String,
    /// How grave: `info`, `warning` or `critical`.
    #[schema(value_type = String, example = "warning")]
    pub severity: Severity,
    /// Where it stands: `pending`, `firing`, `resolved`, or `inactive` when late data annulled it.
    #[schema(value_type = String, example = "firing")]
    pub state: AlertState,
    /// What it is about: tag names to values, `sensor` for a single device.
    pub key: BTreeMap<String, String>,
    /// Labels of the rule.
    pub labels: BTreeMap<String, String>,
    /// One line for people.
    pub title: Text,
    /// What happened, for people.
    pub message: Text,
    /// Event time at which the condition began to hold.
    pub started_at: String,
    /// Event time from which it is firing; null while it is only pending.
    pub raised_at: Option<String>,
    /// Event time at which it was over or annulled; null while it lasts.
    pub resolved_at: Option<String>,
    /// Arrival time of the record that decided its last step.
    pub decided_at: String,
    /// What the last verdict saw: fields of the window or event; null where there was no data.
    pub value: BTreeMap<String, Option<f64>>,
    /// Its steps, oldest first; the newest [`super::history::STEPS_SHOWN_MAX`].
    pub transitions: Vec<Step>,
}

/// One step in an alert's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    /// State before.
    #[schema(value_type = String, example = "pending")]
    pub from: AlertState,
    /// State after.
    #[schema(value_type = String, example = "firing")]
    pub to: AlertState,
    /// Event time from which the step counts.
    pub at: String,
    /// Arrival time of the record that decided it.
    pub decided_at: String,
    /// Why.
    pub cause: String,
}

/// A text in the two languages of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Text {
    /// Spanish.
    pub es: String,
    /// English.
    pub en: String,
}

impl From<&LocalText> for Text {
    fn from(text: &LocalText) -> Self {
        Self { es: text.es.clone(), en: text.en.clone() }
    }
}

/// An alert that has just changed.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertChange {
    /// Number of the change, counting up over all alerts in the order of the results log; the
    /// live stream's event id.
    pub change: u64,
    /// The alert after it.
    pub alert: Alert,
}
