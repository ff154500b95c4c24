//! A seeded, fictional city that speaks MQTT like real devices, and a player of recorded data.
//!
//! [`City`] is a pure function of its seed and of time: it holds no clock and no sequential state, so
//! the messages of any span are the same in whatever pieces they are asked for. [`publish`] sends them
//! over real MQTT connections, one for each gateway; [`play::Player`] does the same for recorded files,
//! and [`city1::Load`] writes the CITY-1 load.
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
pub mod city1;
mod clock;
mod device;
mod episodes;
mod geography;
mod geojson;
mod link;
mod message;
mod names;
mod noise;
mod parking;
pub mod play;
mod publish;
mod requests;
mod river;
mod sound;
mod things_stack;
mod weather;

pub use city::{City, Messages};
pub use message::Message;
pub use publish::{PublishError, PublishOptions, Published, publish, publish_all};
