//! What tests of several modules share: seeded chance and a disk that fails.

mod chance;
mod disk;

pub use chance::Chance;
pub use disk::{Loss, SimDisk};
