//! Decoders: the bytes of one message to events. Pure: no clock, no IO, no locks.
//!
//! [`Decoder::new`] checks a feed's definition and compiles it; [`Decoder::decode`] then makes
//! [`crate::model::Decoded`] of each [`crate::model::Arrival`]. Bad input is data, never a
//! failure: whatever cannot be read is in `rejected` with its reason, and no input panics.
//!
//! One file a noun. What is shared: [`template`] (topics), `pointer`, `trie`, `layout`, `scan` and
//! `words` (JSON in one pass), `token` (one JSON scalar), `number` (exact decimals), `time`, `measure` (one
//! quantity), `labels` and `tag_sets` (sensor and tags), `mapping` (all of these for one feed). What reads a
//! format: `json`, [`senml`] over `pack` and `record`, `chirpstack` and `tts` over `uplink`, `scalar`.
//!
//! Rules that all formats share:
//! - Numbers are read from their own text, never through a binary float. Of equal keys in one
//!   JSON object the last counts.
//! - A quantity that is missing or `null` is no reading and no fault. `true` is 1, `false` is 0.
//!   A string that spells a plain decimal is that number; other text is refused as `not_a_number`,
//!   an object or a list as `wrong_type`, and the siblings live.
//! - The topic wins: a tag or the sensor that both topic and payload name is the topic's, which
//!   the broker's access rules have checked. A tag missing in the payload is no tag.
//! - An event has at least one reading, each quantity at most once.

mod chirpstack;
#[cfg(test)]
mod corpora_tests;
mod decoder;
mod json;
mod labels;
mod layout;
mod mapping;
mod measure;
mod number;
mod pack;
mod pointer;
mod record;
#[cfg(test)]
mod robust_tests;
mod scalar;
mod scan;
#[cfg(test)]
mod scan_tests;
pub mod senml;
#[cfg(test)]
mod senml_tests;
mod tag_sets;
pub mod template;
#[cfg(test)]
mod testing;
mod time;
mod token;
mod trie;
mod tts;
mod uplink;
mod words;

pub use decoder::{Decoder, PAYLOAD_BYTES_MAX};
pub use number::Decimal;
pub use template::{Captures, Template};
