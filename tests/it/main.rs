//! The service from outside: the real `sereno` as a process, over real MQTT and HTTP, with real
//! peers beside it (mosquitto, VictoriaMetrics, Chromium).
//!
//! Nothing here links the library: a test knows what a city's operator knows. What a test needs
//! and does not find it says, and is skipped; with `SERENO_REQUIRE_PEERS=1` that is a failure.
//! The corpora are found by `SERENO_CORPORA`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that meets what it does not expect fails"
)]

mod backlog;
mod checkpoints;
mod clocks;
mod console;
mod crash;
mod crash_points;
mod demo;
mod disk_full;
mod flood;
mod golden;
mod harness;
mod influx;
mod listener;
mod lorawan;
mod mosquitto;
mod noise;
mod order;
mod power;
mod protocol;
mod quarantine;
mod recompute;
mod reload;
mod secured;
mod senml;
mod siata;
mod siata_level;
mod webhook;
