//! The sequencer's snapshot: what a start needs so that ingest is open within a second, however
//! long the journal and however many the devices.
//!
//! A snapshot stands at an epoch and holds what folding every earlier batch gives. It has three
//! parts, in the folder `snapshot/`, and is incremental: each writes only what came since the last.
//!
//! - **Names**: every dictionary entry in its order, in a log of its own (`names/`, framed as
//!   [`super::log`] says, magic `SERENONA`). A frame is `first:uint count:uint { entry }`, where
//!   `first` counts the entries before and `entry` is that of [`super::batch_codec`].
//! - **Runs**: the events that identity rings remember, sorted by device ([`run`]). A snapshot adds
//!   one run; four and more are merged so that there are only about as many as the number of events
//!   has binary digits. After a start, a device's ring is read when its first message comes
//!   ([`Past`]).
//! - **Manifest** (`EPOCH.manifest`): the rest, and which runs count.
//!
//! # Manifest, version 3
//!
//! `SERENOSN`, version u32, CRC-32C u32 of what follows (both little-endian); then, with integers as
//! in [`super::wire`]:
//!
//! ```text
//! manifest   = epoch:uint next:uint arrived_at:time ticked:time? names:uint
//!              feeds:uint { devices:uint latest:time? stepped:time? quantities:uint { uint }
//!                           recent:uint { device:uint event } }   event as in a run
//!              definitions:uint { json:bytes } runs:uint { run } packets
//! run        = from:uint to:uint bytes:uint head:uint     epochs, length, CRC-32C of its head
//! time?      = byte 0, or byte 1 and the time
//! packets    = those that may come again, as in [`super::packets`]
//! ```
//!
//! Version 2 has no `packets`, version 1 no `recent` either; both are read.
//!
//! A manifest is put in place by a rename once everything it names is durable, and it names synced
//! epochs only. Two are kept. One that does not read, or names a file that is not what it says, is
//! passed over for the older; without any, the journal is folded from its beginning, if it reaches
//! back to it.

pub mod gathered;
pub mod maker;
pub mod manifest;
pub mod merge;
pub mod names;
pub mod past;
pub mod peek;
pub mod restore;
pub mod run;

use std::sync::Arc;

use super::feed_state::KeptFeed;
use crate::model::{Control, Timestamp};

pub use maker::Maker;
pub use past::Past;
pub use restore::Restored;

/// What a snapshot keeps beside names and rings.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Everything before this epoch is in it.
    pub epoch: u64,
    /// Sequence of the next record.
    pub next: u64,
    /// Arrival time of the last record.
    pub arrived_at: Timestamp,
    /// The last tick.
    pub ticked: Option<Timestamp>,
    /// Dictionary entries.
    pub names: u64,
    /// Feeds by id.
    pub feeds: Vec<KeptFeed>,
    /// Definitions in force.
    pub definitions: Vec<Arc<Control>>,
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
