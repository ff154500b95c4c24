//! A seeded, fictional city that speaks MQTT like real devices, and a player of recorded data.
//!
//! [`City`] is a pure function of its seed and of time: it holds no clock and no sequential state, so
//! the messages of any span are the same in whatever pieces they are asked for.
//!
//! Every place, name and shape is invented.
//!
//! ```
//! let city = sereno_simulators::City::new(1);
//! let noon_ms = 1_772_384_400_000;
//! let minute: Vec<_> = city.messages(noon_ms, noon_ms + 60_000).collect();
//! assert!(minute.iter().all(|message| message.sent_at_ms >= noon_ms));
//! ```

mod air;
mod chirpstack;
mod city;
mod clock;
mod device;
mod episodes;
mod geography;
mod geojson;
mod message;
mod names;
mod noise;
mod parking;
mod requests;
mod river;
mod sound;
mod things_stack;
mod weather;

pub use city::{City, Messages};
pub use message::Message;
