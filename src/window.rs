//! Event-time windows and their aggregates. Pure: readings and clocks in, publications out.
//!
//! A window plan cuts event time into panes of one slide; each key keeps the panes that may still
//! change and merges them when a window closes or is amended. Every aggregate is a commutative
//! integer monoid, or follows the order of the semantics, so that the result depends on the
//! readings alone and never on the order in which they came.

pub mod answer;
mod calendar;
pub mod circular;
mod clock;
pub mod distinct;
pub mod energy;
pub mod exact;
pub mod feed_set;
pub mod firsts;
pub mod function;
pub mod grid;
pub mod held;
pub mod keyed;
mod panes;
pub mod plan;
pub mod sensors;
pub mod sketch;
pub mod slot;
pub mod vacant;
pub mod value;

pub use clock::zone_rules;
pub use feed_set::FeedSet;
pub use firsts::Firsts;
pub use function::Function;
pub use grid::Grid;
pub use keyed::{Bounds, KeyWindows, Outcome, Publication};
pub use plan::WindowPlan;
pub use sketch::Sketch;
pub use slot::{Sample, Slot};
