//! The language of conditions: SQL expressions over a window's fields or an event's quantities,
//! the aggregate calls of window fields, and the templates of alert messages. Pure.
//!
//! The grammar is `sqlparser`'s; what of it has a meaning, and which, is decided here, so that a
//! stored rule means the same after every upgrade. [`Expression`] is the entry.

pub mod aggregate;
mod call;
pub mod expression;
pub mod guard;
pub mod locale;
mod lower;
pub mod message;
pub mod near;
mod operand;
mod parse;
mod program;
pub mod schema;

pub use aggregate::AggregateCall;
pub use expression::Expression;
pub use guard::{Guard, Guards};
pub use locale::Locale;
pub use message::{Part, Template};
pub use parse::is_reserved;
pub use program::Row;
pub use schema::{Column, Kind, Schema};
