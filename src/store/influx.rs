//! InfluxDB 2 as a second place for results and raw events.
//!
//! Schema, fixed: a point's tag set is the same for every point of its measurement, and no tag is
//! named like a field (a tag that would be gets the prefix `tag_`).
//!
//! | measurement | tags | fields | time |
//! |---|---|---|---|
//! | `<pipeline>_<window>`, plain as in SQL | the key's parts, `size` | the window's fields, `count`, `capture`, `revision`, `end` (ns) | start |
//! | `<feed>` | `sensor`, the event's tags | the quantities | event time |
//! | `alerts` | `pipeline`, `rule`, `severity`, the key's parts | `id`, `state`, `from`, `message_es` | `at` |
//!
//! A point is overwritten by its next revision. Where a revision takes a field's value away, and
//! where a window is taken back, the point is deleted first.

mod cursor;
pub mod known;
pub mod line;
pub mod lines;
pub mod points;
pub mod sink;

pub use line::{FieldValue, LineError};
pub use lines::{Delete, LineBatch, Step};
pub use points::Points;
pub use sink::{InfluxOptions, InfluxSink, OpenError, SendError, Written};
