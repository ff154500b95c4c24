//! Inbound connections: MQTT from the city's brokers and from devices that connect to Sereno itself.
//!
//! Every feed does the same four things with a message: find its [`Route`], have it decoded, hand
//! it to the sequencer in a batch, and acknowledge it through an [`OutputGate`] once the journal
//! that holds it is durable to the feed's `ack` level. Nothing here keeps a message longer than
//! that, and every queue on the way is bounded: a full sequencer channel stops the reading of
//! sockets, nothing else.
//!
//! - [`broker`]: a client of a broker the city runs (MQTT 3.1.1), and a publisher for alerts.
//! - `listener` (cargo feature `broker`): an MQTT 3.1.1 and 5 ingest listener of our own.

pub mod broker;
pub mod counters;
pub mod gate;
mod intake;
#[cfg(feature = "broker")]
pub mod listener;
mod redelivery;
pub mod route;

#[cfg(test)]
mod broker_tests;
#[cfg(feature = "broker")]
#[cfg(test)]
mod listener_tests;
#[cfg(test)]
mod simulation_tests;
#[cfg(feature = "broker")]
#[cfg(test)]
mod subscriber_tests;
#[cfg(test)]
mod testing;

pub use counters::FeedCounters;
pub use gate::OutputGate;
pub use route::{Decode, Filter, FilterError, Route, Routes};

use std::sync::Arc;

use crate::model::Timestamp;

/// The time of arrival that decoders are told; an argument, so that tests and simulation own it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The prefix of Sereno's own topics: published by Sereno, taken in by no feed.
pub const OWN_TOPICS: &str = "sereno/";

/// The most messages in one hand-over to the sequencer.
pub const BATCH_MESSAGES_MAX: usize = 1_000;
