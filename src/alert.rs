//! Alert lives: verdicts in event time in, transitions out. Pure.
//!
//! A life is a fold over its verdicts. When late data changes a verdict, the fold is made again
//! from the last sealed state, and the difference to what was published leaves as transitions:
//! confirmed, moved, annulled, raised again, merged.

pub mod absence;
mod annals;
pub mod episode;
pub mod life;

pub use absence::Absence;
pub use episode::{Because, Episode, Stale, Timing, Verdict};
pub use life::again::Inquiry;
pub use life::{Identify, Life, Step, StepKind};
