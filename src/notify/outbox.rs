//! The outbox: what each receiver is owed, in the same file and transaction as the alerts.
//!
//! A row is one notification. It leaves when it was delivered; one that cannot be delivered stays
//! for a while with its error. Within a lane (rule and key) only the oldest row of a receiver is
//! ever due, so that order survives retries.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, Row, Transaction as SqlTransaction, params};
use serde::Serialize;

use super::alert::{Alert, Step};
use super::database::{Database, LedgerError, signed, unsigned};
use super::history::step_of;
use super::lane::lane;
use super::receiver::{Notification, Subscription};
use crate::model::crash::Point;
use crate::model::{AlertState, Timestamp, Transition};

/// Notifications waiting for one receiver; further ones are shed and counted. Its alerts are in
/// the ledger all the same.
pub const WAITING_MAX: u64 = 20_000;
/// Notifications given up for one receiver that are kept with their error.
pub const GIVEN_UP_KEPT_MAX: u64 = 1_000;
/// Bytes of an error that are kept.
const ERROR_BYTES_MAX: usize = 500;

/// What became of one receiver's notifications, since the ledger began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverAccount {
    /// The receiver.
    pub receiver: String,
    /// Waiting now.
    pub waiting: u64,
    /// Delivered.
    pub delivered: u64,
    /// Given up after a refusal or a day of failures.
    pub given_up: u64,
    /// Not taken in because [`WAITING_MAX`] were waiting.
    pub shed: u64,
}

/// What is due now, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// At most one per lane, in the order of the results log.
    pub notifications: Vec<Notification>,
    /// The next attempt that is not due yet.
    pub next_attempt_at: Option<Timestamp>,
}

/// The dispatcher's side of the outbox.
#[derive(Clone, Debug)]
pub struct Outbox {
    database: Arc<Database>,
}

/// A notification's JSON: the alert with two more fields.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    alert: &'a Alert,
    delivery_id: &'a str,
    transition: Step,
}

impl Outbox {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// What a receiver is to be sent at `now`, at most `limit` notifications.
    ///
    /// # Errors
    /// [`LedgerError`]: try again later.
    pub fn due(&self, receiver: &str, now: Timestamp, limit: usize) -> Result<Due, LedgerError> {
        let connection = self.database.dispatcher();
        let mut statement = connection.prepare_cached(
            "SELECT id, lane, state, body, attempts, failing_since FROM outbox AS head
             WHERE receiver = ?1 AND given_up = 0 AND next_attempt_at <= ?2 AND NOT EXISTS (
                SELECT 1 FROM outbox AS earlier WHERE earlier.receiver = ?1 AND earlier.given_up = 0
                AND earlier.lane = head.lane AND earlier.change < head.change)
             ORDER BY change LIMIT ?3",
        )?;
        let mut rows = statement.query(params![receiver, now.0, signed(limit as u64)])?;
        let mut notifications = Vec::new();
        while let Some(row) = rows.next()? {
            notifications.push(read(row)?);
        }
        let next: Option<i64> = connection
            .prepare_cached(
                "SELECT min(next_attempt_at) FROM outbox
                 WHERE receiver = ?1 AND given_up = 0 AND next_attempt_at > ?2",
            )?
            .query_row(params![receiver, now.0], |row| row.get(0))?;
        Ok(Due { notifications, next_attempt_at: next.map(Timestamp) })
    }

    /// The receiver has it: nothing is owed any more.
    ///
    /// # Errors
    /// [`LedgerError`]: it will be sent again, under the same id.
    pub fn delivered(&self, id: &str) -> Result<(), LedgerError> {
        let mut connection = self.database.writer();
        let transaction = connection.transaction()?;
        count(&transaction, "delivered", id)?;
        transaction.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id])?;
        transaction.commit()?;
        Point::OutboxMarked.pass();
        Ok(())
    }

    /// An attempt at `now` failed; the next comes after `wait`, or, with `None`, never.
    ///
    /// # Errors
    /// [`LedgerError`]: it will be tried again at once.
    pub fn failed(
        &self,
        id: &str,
        now: Timestamp,
        error: &str,
        wait: Option<Duration>,
    ) -> Result<(), LedgerError> {
        let mut connection = self.database.writer();
        let transaction = connection.transaction()?;
        let wait_ns = wait.map_or(0, |wait| i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX));
        transaction
            .prepare_cached(
                "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = ?2, last_error = ?3,
                 given_up = ?4, failing_since = coalesce(failing_since, ?5) WHERE id = ?1",
            )?
            .execute(params![id, now.0.saturating_add(wait_ns), shortened(error), wait.is_none(), now.0])?;
        if wait.is_none() {
            count(&transaction, "given_up", id)?;
            drop_given_up(&transaction, id)?;
        }
        Ok(transaction.commit()?)
    }

    /// The accounts of every receiver that was ever named.
    ///
    /// # Errors
    /// [`LedgerError`]: answer with an error.
    pub fn accounts(&self) -> Result<Vec<ReceiverAccount>, LedgerError> {
        let connection = self.database.reader();
        let mut statement = connection.prepare_cached(
            "SELECT name, delivered, given_up, shed, (SELECT count(*) FROM outbox
             WHERE receiver = name AND outbox.given_up = 0) FROM receiver ORDER BY name",
        )?;
        let accounts = statement.query_map([], |row| {
            Ok(ReceiverAccount {
                receiver: row.get(0)?,
                delivered: unsigned(row.get(1)?),
                given_up: unsigned(row.get(2)?),
                shed: unsigned(row.get(3)?),
                waiting: unsigned(row.get(4)?),
            })
        })?;
        Ok(accounts.collect::<Result<_, _>>()?)
    }
}

/// Puts one row in for every receiver that wants the transition.
pub(super) fn enqueue(
    transaction: &SqlTransaction<'_>,
    receivers: &[Subscription],
    step: &Transition,
    alert: &Alert,
    number: u64,
    change: u64,
) -> Result<(), LedgerError> {
    for subscription in receivers.iter().filter(|subscription| subscription.wants(step)) {
        let receiver = &*subscription.receiver;
        let waiting: i64 = transaction
            .prepare_cached("SELECT count(*) FROM outbox WHERE receiver = ?1 AND given_up = 0")?
            .query_row([receiver], |row| row.get(0))?;
        if unsigned(waiting) >= WAITING_MAX {
            transaction
                .prepare_cached("UPDATE receiver SET shed = shed + 1 WHERE name = ?1")?
                .execute([receiver])?;
            tracing::warn!(receiver, alert = %alert.id, "notification shed: too many wait for this receiver");
            continue;
        }
        let id = format!("{}:{number}:{receiver}", alert.id);
        let body = serde_json::to_string(&Body { alert, delivery_id: &id, transition: step_of(step) })
            .map_err(|_| LedgerError::Damaged { what: "an alert without a JSON form" })?;
        transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO outbox (id, receiver, lane, change, state, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![id, receiver, lane(step), signed(change), step.to.as_str(), body])?;
    }
    Ok(())
}

/// Makes the accounts of named receivers, and gives up what is owed to others.
pub(super) fn keep_receivers(
    connection: &mut Connection,
    receivers: &[Subscription],
) -> Result<(), LedgerError> {
    let transaction = connection.transaction()?;
    for subscription in receivers {
        transaction
            .execute("INSERT OR IGNORE INTO receiver (name) VALUES (?1)", [&*subscription.receiver])?;
    }
    let names: Vec<&str> = receivers.iter().map(|subscription| &*subscription.receiver).collect();
    let named = serde_json::to_string(&names).unwrap_or_else(|_| "[]".to_owned());
    let unnamed = "receiver NOT IN (SELECT value FROM json_each(?1)) AND outbox.given_up = 0";
    transaction.execute(
        &format!(
            "UPDATE receiver SET given_up = given_up +
             (SELECT count(*) FROM outbox WHERE receiver = name AND {unnamed})"
        ),
        [&named],
    )?;
    transaction.execute(
        &format!("UPDATE outbox SET given_up = 1, last_error = 'the receiver was removed' WHERE {unnamed}"),
        [&named],
    )?;
    Ok(transaction.commit()?)
}

fn read(row: &Row<'_>) -> Result<Notification, LedgerError> {
    let state: String = row.get(2)?;
    Ok(Notification {
        id: row.get(0)?,
        lane: row.get(1)?,
        state: [AlertState::Firing, AlertState::Resolved, AlertState::Inactive]
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or(LedgerError::Damaged { what: "a state in the outbox" })?,
        body: Bytes::from(row.get::<_, String>(3)?),
        attempts: row.get(4)?,
        failing_since: row.get::<_, Option<i64>>(5)?.map(Timestamp),
    })
}

/// Adds one to a counter of the receiver of a notification that is still in the outbox.
fn count(transaction: &SqlTransaction<'_>, counter: &'static str, id: &str) -> Result<(), LedgerError> {
    let sql = format!(
        "UPDATE receiver SET {counter} = {counter} + 1 WHERE name = (SELECT receiver FROM outbox WHERE id = ?1)"
    );
    transaction.prepare_cached(&sql)?.execute([id])?;
    Ok(())
}

fn drop_given_up(transaction: &SqlTransaction<'_>, id: &str) -> Result<(), LedgerError> {
    transaction
        .prepare_cached(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE given_up = 1
             AND receiver = (SELECT receiver FROM outbox WHERE id = ?1)
             ORDER BY change DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![id, signed(GIVEN_UP_KEPT_MAX)])?;
    Ok(())
}

fn shortened(error: &str) -> &str {
    let mut end = error.len().min(ERROR_BYTES_MAX);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    error.get(..end).unwrap_or_default()
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
