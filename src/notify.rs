//! The alert ledger, its outbox and the receivers.
//!
//! The ledger folds the results log into what every alert is now and how it came there. In the
//! same transaction it puts one row into the outbox for every receiver that wants the transition,
//! so that a notification is owed exactly when the alert is known. The dispatcher drains the
//! outbox: delivery is at least once, with an id per transition and receiver by which the other
//! side recognises a repeat, and in order for each rule and key.
//!
//! All of it can be derived from the results log again; SQLite therefore need not sync each commit.

pub mod alert;
pub mod backoff;
mod database;
pub mod dispatch;
pub mod history;
pub mod lane;
pub mod ledger;
pub mod mqtt;
pub mod outbox;
pub mod receiver;
pub mod signature;
pub mod standing;
pub mod webhook;

#[cfg(test)]
pub(crate) mod testing;

pub use alert::{Alert, AlertChange, Step, Text};
pub use backoff::Backoff;
pub use database::LedgerError;
pub use dispatch::{Dispatcher, Route};
pub use history::{Counts, StateFilter};
pub use ledger::Ledger;
pub use mqtt::{Mqtt, Publish};
pub use outbox::{Outbox, ReceiverAccount};
pub use receiver::{Clock, Notification, Receiver, SendError, Subscription};
pub use webhook::{Webhook, WebhookError, WebhookOptions};
