//! The dataflow: journal batches in, result rows out, and nothing else.
//!
//! Everything that decides lives in [`interpreter`], a plain struct that folds batches and knows
//! nothing of threads; [`engine`] is the only place that names `timely`. Each worker folds every
//! batch and acts on the keys of its own groups, so no reading is copied between workers; the rows
//! of one epoch meet again in one place and leave in one order.

pub mod bundle;
pub mod compile;
pub mod course;
pub mod engine;
pub mod feeds;
pub mod folder;
pub mod interpreter;
pub mod judged;
pub mod key_runs;
pub mod keys;
pub mod mapping;
pub mod moment;
pub mod past;
pub mod pipeline;
pub mod readings;
pub mod recompute;
pub mod rules;
pub mod slices;
pub mod slots;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;
pub mod timers;
pub mod unobserved;
pub mod windows;

pub use engine::{Engine, Source, Tally};
pub use interpreter::Interpreter;
pub use pipeline::Counts;

#[cfg(test)]
mod alerts_tests;
#[cfg(test)]
mod calendar_tests;
#[cfg(test)]
mod changes_tests;
#[cfg(test)]
mod cuts_testing;
#[cfg(test)]
mod cuts_tests;
#[cfg(test)]
mod judged_tests;
#[cfg(test)]
mod timeline_testing;
