//! What tests of several modules share: seeded chance, a disk that fails, and logs of ten days.

mod chance;
mod days;
mod disk;

pub use chance::Chance;
pub use days::{at_day, ten_days};
pub use disk::{Loss, SimDisk};
