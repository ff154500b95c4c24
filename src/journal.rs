//! The two logs and the sequencer: what came in, in one order, and what became of it.
//!
//! [`log`] writes down the format byte by byte; [`sequencer`] decides what a message becomes;
//! [`steps`] is the order of append, sync and acknowledgement, [`writer`] the threads that take
//! those steps; [`results`] is the flow's only sink.

pub mod batch_codec;
pub mod checkpoint;
pub mod clock;
pub mod disk;
pub mod ends;
pub mod feed_state;
#[cfg(test)]
mod format_tests;
pub mod holders;
pub mod identity;
pub mod log;
pub mod mark;
#[cfg(test)]
mod memory_disk;
pub mod outage;
pub mod packets;
pub mod progress;
pub mod quota;
pub mod reader;
#[cfg(test)]
mod restored_tests;
pub mod result_codec;
pub mod results;
pub mod retention;
pub mod sequencer;
pub mod snapshot;
pub mod snapshots;
pub mod steps;
#[cfg(test)]
pub mod testing;
pub mod verify;
pub mod wire;
pub mod writer;

pub use clock::{ArrivalClock, Clock, SystemClock};
pub use disk::{Disk, FsDisk};
pub use holders::{Holder, Holders, RecomputeHold};
pub use log::{LogError, LogKind};
pub use progress::{Progress, Upon};
pub use reader::{BatchReader, LogReader, ResultReader};
pub use results::{ResultsLog, ResultsPosition};
pub use retention::Retention;
pub use sequencer::Sequencer;
pub use writer::{Journal, JournalOptions, Linked};
