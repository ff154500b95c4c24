//! The words every part of Sereno shares: times, values, dictionary ids, events, journal records
//! and results. Pure: no clock, no IO, no locks.
//!
//! The bottom layer: it names no other module.

pub mod arrival;
pub mod calendar;
pub mod control;
pub mod crash;
pub mod decimal;
pub mod definition;
pub mod dictionary;
pub mod event;
pub mod fault;
pub mod ingest;
pub mod key;
pub mod packet;
pub mod readings;
pub mod record;
pub mod register;
pub mod result;
pub mod time;

pub use arrival::{Arrival, Decoded, DecodedEvent, DecodedReading, Events, Quantity, Reason, Rejected};
pub use calendar::{CalendarUnit, DailyPeriod, WindowLength};
pub use control::{Control, Recompute};
pub use decimal::{DecimalError, Value};
pub use dictionary::{DeviceId, Dictionary, Entry, FeedId, QuantityId, TagSet, TagSetId};
pub use event::{Event, Reading};
pub use fault::Fault;
pub use ingest::{Ack, Durable, Gate, Input, StoredEvent, Submission, Throttle, UsedUp};
pub use key::{Key, KeyGroup};
pub use packet::{Brought, Packet};
pub use readings::{FoundReading, QuantityTable, Readings};
pub use record::{Accounts, Batch, DeviceAccounts, FeedAccounts, Record, Refusal};
pub use result::{Aggregate, AlertId, AlertState, Field, ResultRow, Retraction, Transition};
pub use time::{Span, Timestamp};
