//! `sereno.toml` and `pipelines/*/pipeline.toml`: reading, checking, diagnostics.
//!
//! [`load`] reads the files and gives either a [`Configuration`] in which everything fits together
//! or every mistake found, each a [`Diagnostic`] with file, line, excerpt and remedy. Reading is in
//! [`load`], the rest is pure: [`Configuration::from_files`] takes texts.

pub mod broker;
pub mod byte_size;
mod check;
mod configuration;
mod control;
pub mod diagnostic;
mod estimate;
pub mod listener;
mod load;
mod mend;
mod place;
pub mod receiver;
pub mod schema;
pub mod sereno;
pub mod sink;
#[cfg(test)]
mod tests;

pub use byte_size::ByteSize;
pub use configuration::{Configuration, SourceFile};
pub use control::controls;
pub use diagnostic::{Diagnostic, Level, Style};
pub use estimate::Estimate;
pub use load::load;
pub use sereno::{LISTENER, Language, Sereno};
