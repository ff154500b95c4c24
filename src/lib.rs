//! Sereno: exact event processing for smart territories.
//!
//! ARCHITECTURE.md walks the five stops of a reading: service, feed, journal, flow, readers.

pub mod alert;
pub mod api;
pub mod cli;
pub mod config;
pub mod decode;
pub mod feed;
pub mod flow;
pub mod journal;
pub mod model;
pub mod notify;
pub mod rule;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod window;
