//! What tests of several modules share: seeded chance, a disk that fails, a clock that is set by hand, and
//! logs of ten days.

mod chance;
mod days;
mod disk;
mod hands;

pub use chance::Chance;
pub use days::{at_day, ten_days};
pub use disk::{Loss, SimDisk};
pub use hands::Hands;
