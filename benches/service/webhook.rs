//! A webhook receiver: it keeps each request's body and its arrival time.

use super::http;
use super::inbox::Inbox;

/// Starts one, in a runtime: its port of 127.0.0.1. A request is in the inbox once its last byte was read.
pub async fn start(inbox: Inbox) -> u16 {
    http::start(move |body| inbox.push(body)).await
}
