//! `GET /api/v1/live`: what happens now, as server-sent events (WHATWG HTML section 9.2).
//!
//! `reading`: a sensor's latest values, at most once a second each. `alert`: an alert that
//! changed, with an id; a reader that comes back with `Last-Event-ID` first gets every alert that
//! changed since. `status`: each second. A reader too slow for the queue gets a comment that says
//! so and is dropped; its browser comes back by itself.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Sse;
use axum::response::sse::Event;
use futures::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, broadcast, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::error::{ApiError, ErrorBody};
use super::live::hub::{LiveEvent, STREAMS_MAX};
use super::params::Params;
use super::state::ApiState;
use super::status::status;
use super::stopped;
use crate::telemetry::Metrics;

/// Alerts that a reader coming back is told of, the newest.
pub const REPLAYED_MAX: usize = 1_000;
/// How often readers get the status; it also keeps the connection alive.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// How long a browser waits before it comes back.
const COME_BACK_AFTER: Duration = Duration::from_secs(2);

/// The live stream.
#[utoipa::path(get, path = "/api/v1/live", params(
    ("Last-Event-ID" = Option<u64>, Header, description = "id of the last alert event seen"),
), responses(
    (status = 200, content_type = "text/event-stream", body = String,
     description = "events `reading` (LiveReadings), `alert` (Alert) and `status` (Status)"),
    (status = 503, body = ErrorBody),
))]
pub(super) async fn live(
    State(state): State<ApiState>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    Params::read(&uri, &[])?;
    let place = state.live.hub().places.clone().try_acquire_owned().map_err(|error| no_place(&error))?;
    let seen = last_event_id(&headers)?;
    // Listen first, look back second: nothing falls between.
    let events = state.live.hub().listen();
    let mut waiting = VecDeque::new();
    let mut last_alert = 0;
    if let Some(seen) = seen {
        // An id beyond the last change is of another ledger: this reader has seen none of ours.
        let is_ours = seen <= *state.ledger.changed().borrow();
        let seen = if is_ours { seen } else { 0 };
        let missed = state.ask_ledger(move |ledger| ledger.changes_after(seen, REPLAYED_MAX)).await?;
        last_alert = missed.last().map_or(seen, |change| change.change);
        waiting.extend(missed.iter().filter_map(LiveEvent::alert));
    }
    waiting.extend(LiveEvent::new("status", None, &status(&state).await?));
    let reader = Reader { events, waiting, last_alert, open: Open::new(&state, place), greeted: false };
    Ok(Sse::new(futures::stream::unfold(Some(reader), next)))
}

/// The task behind all streams: each second it sends the status and what thinning held back.
/// Ends when `stop` says true or its sender is gone.
pub(super) async fn run(state: ApiState, stop: watch::Receiver<bool>) {
    let mut seconds = interval(STATUS_EVERY);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ticking = async {
        loop {
            seconds.tick().await;
            state.live.flush_readings((state.clock)());
            if !state.live.hub().is_watched() {
                continue;
            }
            if let Ok(now) = status(&state).await {
                state.live.hub().send(LiveEvent::new("status", None, &now).into_iter().collect());
            }
        }
    };
    tokio::select! {
        () = ticking => {}
        () = stopped(stop) => state.live.hub().close(),
    }
}

/// One open stream.
struct Reader {
    events: broadcast::Receiver<LiveEvent>,
    /// To be sent before anything new.
    waiting: VecDeque<LiveEvent>,
    /// Number of the last alert change sent.
    last_alert: u64,
    open: Open,
    greeted: bool,
}

/// Its place among the streams, given back when the reader goes.
struct Open {
    _place: OwnedSemaphorePermit,
    metrics: std::sync::Arc<Metrics>,
}

impl Open {
    fn new(state: &ApiState, place: OwnedSemaphorePermit) -> Self {
        state.metrics.live_streams.inc();
        Self { _place: place, metrics: state.metrics.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.live_streams.dec();
    }
}

/// The next event, and the reader unless it is to be dropped.
async fn next(reader: Option<Reader>) -> Option<(Result<Event, Infallible>, Option<Reader>)> {
    let mut reader = reader?;
    if !reader.greeted {
        reader.greeted = true;
        return Some((Ok(Event::default().retry(COME_BACK_AFTER)), Some(reader)));
    }
    loop {
        let event = match reader.waiting.pop_front() {
            Some(event) => event,
            None => match reader.events.recv().await {
                Ok(event) if event.kind == LiveEvent::CLOSE => return None,
                // Sent already: it was in the ledger when this reader looked back.
                Ok(event) if event.id.is_some_and(|id| id <= reader.last_alert) => continue,
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => {
                    tracing::info!(missed, "live stream dropped: its reader is too slow");
                    let farewell = Event::default().comment(format!("dropped: {missed} events behind"));
                    drop(reader.open);
                    return Some((Ok(farewell), None));
                }
                Err(RecvError::Closed) => return None,
            },
        };
        reader.last_alert = reader.last_alert.max(event.id.unwrap_or_default());
        let mut out = Event::default().event(event.kind).data(&*event.data);
        if let Some(id) = event.id {
            out = out.id(id.to_string());
        }
        return Some((Ok(out), Some(reader)));
    }
}

fn no_place(error: &TryAcquireError) -> ApiError {
    match error {
        TryAcquireError::Closed => ApiError::busy("stopping", "the service stops", "come back in a moment"),
        TryAcquireError::NoPermits => {
            let message = format!("{STREAMS_MAX} live streams are open already");
            ApiError::busy("too_many_streams", message, "close some, or ask /api/v1/status instead")
        }
    }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        ApiError::bad_request("`Last-Event-ID` is no number", "send the id of the last alert event, or none")
    })
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
