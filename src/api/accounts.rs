//! `GET /api/v1/accounts`: what became of every message, by feed and hour of arrival.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::reads::AccountsQuery;
use super::state::ApiState;
use crate::model::time::SECOND;
use crate::model::{Accounts as Counters, Timestamp};

const HOUR: i64 = 3_600 * SECOND;
/// Hours of one sensor in one answer: 31 days.
const HOURS_MAX: usize = 744;

/// Accounts of the last 31 days; of one sensor, of all that is stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accounts {
    /// The newest hour first.
    pub accounts: Vec<Account>,
}

/// One feed in one hour of arrival.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Account {
    /// Feed.
    pub feed: String,
    /// The sensor, when its accounts were asked for: then messages are not counted, as they are
    /// the feed's, and events are those of which the sensor is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor: Option<String>,
    /// Start of the hour.
    pub hour: String,
    /// `received` is the sum of the others.
    pub messages: MessageCounts,
    /// `found` is the sum of the others.
    pub events: ItemCounts,
    /// `found` is the sum of the others.
    pub readings: ItemCounts,
    /// Single readings that a decoder refused while their siblings lived; not in `readings.found`.
    pub readings_rejected: u64,
}

/// Messages by what became of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageCounts {
    /// Came in.
    pub received: u64,
    /// All of it became events.
    pub decoded: u64,
    /// Some of it did.
    pub partly_decoded: u64,
    /// None of it did.
    pub quarantined: u64,
    /// A redelivery, recognised before decoding.
    pub repeated: u64,
    /// Of a kind that carries no measurement.
    pub ignored: u64,
    /// Beyond a quota.
    pub refused: u64,
}

/// Events or readings by what became of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ItemCounts {
    /// Found by decoders.
    pub found: u64,
    /// In the journal.
    pub stored: u64,
    /// Known already.
    pub duplicate: u64,
    /// Known with another value.
    pub conflicting: u64,
    /// In quarantine.
    pub quarantined: u64,
    /// Beyond a quota.
    pub refused: u64,
}

/// Accounts, the newest hour first.
#[utoipa::path(get, path = "/api/v1/accounts", params(
    ("feed" = Option<String>, Query, description = "feed name"),
    ("sensor" = Option<String>, Query, description = "of this sensor instead of whole feeds"),
    ("hour" = Option<String>, Query, description = "any time in the hour"),
), responses((status = 200, body = Accounts), (status = 400, body = ErrorBody)))]
pub(super) async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Json<Accounts>, ApiError> {
    let params = Params::read(&uri, &["feed", "sensor", "hour"])?;
    let (feed, hour) = (params.text("feed"), params.time("hour")?);
    let accounts = match params.text("sensor") {
        None => state.live.accounts(feed, hour),
        Some(sensor) => {
            let hour = hour.map(|at| Timestamp(at.0 - at.0.rem_euclid(HOUR)));
            let (sensor, feed) = (sensor.to_owned(), feed.map(str::to_owned));
            let wanted = AccountsQuery { sensor, feed, hour, limit: HOURS_MAX };
            state.reads.sensor_accounts(wanted).await?
        }
    };
    Ok(Json(Accounts { accounts }))
}

impl Account {
    /// The outward form of one feed's counters.
    #[must_use]
    pub fn of(feed: &str, hour: Timestamp, counters: &Counters) -> Self {
        Self {
            feed: feed.to_owned(),
            sensor: None,
            hour: hour.to_string(),
            messages: MessageCounts {
                received: counters.messages_received,
                decoded: counters.messages_decoded,
                partly_decoded: counters.messages_partly_decoded,
                quarantined: counters.messages_quarantined,
                repeated: counters.messages_repeated,
                ignored: counters.messages_ignored,
                refused: counters.messages_refused,
            },
            events: ItemCounts {
                found: counters.events_found,
                stored: counters.events_stored,
                duplicate: counters.events_duplicate,
                conflicting: counters.events_conflicting,
                quarantined: counters.events_quarantined,
                refused: counters.events_refused,
            },
            readings: ItemCounts {
                found: counters.readings_found,
                stored: counters.readings_stored,
                duplicate: counters.readings_duplicate,
                conflicting: counters.readings_conflicting,
                quarantined: counters.readings_quarantined,
                refused: counters.readings_refused,
            },
            readings_rejected: counters.readings_rejected,
        }
    }
}
