//! The ledger: what every alert is now, folded from the transitions of the results log.
//!
//! One call of [`Ledger::apply`] is one transaction: alerts, their steps, what the receivers are
//! owed, and the cursor. A crash loses all of it or nothing, and applying the same rows again
//! changes nothing: batches before the cursor are skipped, and a step is known by its cause.
//!
//! A loss of power may take back the latest of these transactions; they are applied again, as long
//! as the log holds them. So the log may be collected up to [`Ledger::durable_cursor`] only.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{OptionalExtension, Transaction as SqlTransaction, params};
use tokio::sync::watch;

use super::alert::AlertChange;
use super::database::{Database, LedgerError, number, set_number, signed};
use super::history::{self, Counts, StateFilter};
use super::outbox::{self, Outbox};
use super::receiver::Subscription;
use crate::model::crash::Point;
use crate::model::{AlertState, ResultRow, Timestamp, Transition};

/// Alerts that are over and stay in the ledger; older ones leave it (the store keeps all
/// transitions).
pub const OVER_KEPT_MAX: u64 = 50_000;
/// Pending alerts that never fired and are remembered, so that a live stream that reconnects
/// learns that they are gone.
pub const NEVER_FIRED_KEPT_MAX: u64 = 1_000;
/// Bounds are enforced once in so many changes.
const PRUNE_EVERY: u64 = 256;

/// Name of the cursor in the file.
const CURSOR: &str = "results_cursor";
/// Name of the number of the last change.
const CHANGE: &str = "change";

/// The ledger of alerts. Shared by the reader of the results log, the dispatcher and the API.
#[derive(Debug)]
pub struct Ledger {
    database: Arc<Database>,
    receivers: Mutex<Arc<[Subscription]>>,
    owed_since: Timestamp,
    /// The cursor that a loss of power cannot take back.
    durable: AtomicU64,
    changed: watch::Sender<u64>,
}

impl Ledger {
    /// Opens or makes the file. Without [`Ledger::subscribe`] nobody is owed a notification.
    ///
    /// # Errors
    /// [`LedgerError`]: the service does not start.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let database = Arc::new(Database::open(path)?);
        let change = number(&database.reader(), CHANGE)?;
        let ledger = Self {
            database,
            receivers: Mutex::new(Arc::from([])),
            owed_since: Timestamp::MIN,
            durable: AtomicU64::new(0),
            changed: watch::Sender::new(change),
        };
        // What a killed process committed may be in the system's memory only.
        match ledger.secure() {
            // Until there is room it counts as nothing secured: the logs keep everything for it.
            Err(full) if full.is_disk_full() => Ok(ledger),
            secured => secured.map(|()| ledger),
        }
    }

    /// The same ledger, but transitions decided before `at` are recorded without being sent. A
    /// ledger that is rebuilt from a long log does not tell everybody of last year's alerts.
    #[must_use]
    pub fn owing_since(self, at: Timestamp) -> Self {
        Self { owed_since: at, ..self }
    }

    /// Sets who wants to be told, from the next transition on. What was owed to a receiver that
    /// is no longer named is given up and counted.
    ///
    /// # Errors
    /// [`LedgerError`]: the service does not start.
    pub fn subscribe(&self, receivers: Vec<Subscription>) -> Result<(), LedgerError> {
        outbox::keep_receivers(&mut self.database.writer(), &receivers)?;
        *self.receivers.lock().unwrap_or_else(PoisonError::into_inner) = receivers.into();
        Ok(())
    }

    /// The results-log position of the last [`Ledger::apply`]; 0 before the first.
    ///
    /// # Errors
    /// [`LedgerError`]: the service stops.
    pub fn cursor(&self) -> Result<u64, LedgerError> {
        number(&self.database.reader(), CURSOR)
    }

    /// The cursor that a loss of power cannot take back: what the log holds before it is needed no
    /// more. It follows [`Ledger::cursor`] when [`Ledger::secure`] is called.
    #[must_use]
    pub fn durable_cursor(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Makes everything taken in so far survive a loss of power; costs a sync of the disk.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing is lost; unless the disk is full, the service stops.
    pub fn secure(&self) -> Result<(), LedgerError> {
        // Read before: a commit that comes between is synced too, and counted the next time.
        let cursor = self.cursor()?;
        self.database.secure()?;
        self.durable.store(cursor, Ordering::Release);
        Ok(())
    }

    /// Folds in the rows of one batch of the results log and moves the cursor to `position`.
    /// Positions never fall from batch to batch; a batch before the cursor is known already.
    /// Returns what changed, in the order of the log.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing was changed; the service stops.
    pub fn apply(&self, position: u64, rows: &[ResultRow]) -> Result<Vec<AlertChange>, LedgerError> {
        self.take(Some(position), rows)
    }

    /// Takes in a step of an alert of Sereno about itself, which no log holds. A step that is
    /// known changes nothing.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing was changed; the service stops.
    pub fn observe(&self, step: Transition) -> Result<Vec<AlertChange>, LedgerError> {
        self.take(None, &[ResultRow::Transition(Box::new(step))])
    }

    fn take(&self, position: Option<u64>, rows: &[ResultRow]) -> Result<Vec<AlertChange>, LedgerError> {
        let receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut connection = self.database.writer();
        let transaction = connection.transaction()?;
        if let Some(position) = position
            && position < number(&transaction, CURSOR)?
        {
            return Ok(Vec::new());
        }
        let before = number(&transaction, CHANGE)?;
        let mut change = before;
        let mut changes = Vec::new();
        for row in rows {
            let ResultRow::Transition(step) = row else { continue };
            let Some(number) = record(&transaction, step, change + 1)? else { continue };
            change += 1;
            let alert = history::alert(&transaction, &step.id.to_string())?
                .ok_or(LedgerError::Damaged { what: "an alert just written" })?;
            if step.decided_at >= self.owed_since {
                outbox::enqueue(&transaction, &receivers, step, &alert, number, change)?;
            }
            changes.push(AlertChange { change, alert });
        }
        if change / PRUNE_EVERY != before / PRUNE_EVERY {
            prune(&transaction)?;
        }
        if change != before {
            set_number(&transaction, CHANGE, change)?;
        }
        if let Some(position) = position {
            set_number(&transaction, CURSOR, position)?;
        }
        Point::LedgerCommitting.pass();
        transaction.commit()?;
        Point::LedgerCommitted.pass();
        drop(connection);
        if change != before {
            self.changed.send_replace(change);
        }
        Ok(changes)
    }

    /// Alerts in a state, the last changed first, at most `limit`.
    ///
    /// # Errors
    /// [`LedgerError`]: answer with an error.
    pub fn alerts(&self, filter: StateFilter, limit: usize) -> Result<Vec<super::Alert>, LedgerError> {
        history::alerts(&self.database.reader(), filter, limit)
    }

    /// The firing alerts of one rule.
    ///
    /// # Errors
    /// [`LedgerError`]: the service does not start.
    pub fn firing_of(&self, pipeline: &str, rule: &str) -> Result<Vec<super::Alert>, LedgerError> {
        history::firing_of(&self.database.reader(), pipeline, rule)
    }

    /// One alert by its id.
    ///
    /// # Errors
    /// [`LedgerError`]: answer with an error.
    pub fn alert(&self, id: &str) -> Result<Option<super::Alert>, LedgerError> {
        history::alert(&self.database.reader(), id)
    }

    /// The alerts that changed after change number `after`, in the order of their last change,
    /// at most the newest `limit`.
    ///
    /// # Errors
    /// [`LedgerError`]: answer with an error.
    pub fn changes_after(&self, after: u64, limit: usize) -> Result<Vec<AlertChange>, LedgerError> {
        history::changes_after(&self.database.reader(), after, limit)
    }

    /// How many alerts are in each state and severity.
    ///
    /// # Errors
    /// [`LedgerError`]: answer with an error.
    pub fn counts(&self) -> Result<Counts, LedgerError> {
        history::counts(&self.database.reader())
    }

    /// What is owed to the receivers.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.database.clone())
    }

    /// Number of the last change; it wakes whoever waits on it as soon as rows were applied.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// Writes one transition; its number in the alert's life, or `None` when it is known already.
fn record(
    transaction: &SqlTransaction<'_>,
    step: &Transition,
    change: u64,
) -> Result<Option<u64>, LedgerError> {
    let id = step.id.to_string();
    let known: bool = transaction
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM step WHERE alert = ?1 AND cause = ?2 AND from_state = ?3
             AND to_state = ?4 AND at = ?5)",
        )?
        .query_row(
            params![id, signed(step.cause), step.from.as_str(), step.to.as_str(), step.at.0],
            |row| row.get(0),
        )?;
    if known {
        return Ok(None);
    }
    let held: Option<(i64, Option<i64>)> = transaction
        .prepare_cached("SELECT steps, raised_at FROM alert WHERE id = ?1")?
        .query_row([&id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (steps, raised_before) = held.unwrap_or_default();
    let number = steps + 1;
    write_alert(transaction, step, &Life { id: &id, number, raised_before, change })?;
    transaction.prepare_cached("INSERT INTO step VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(
        params![
            id,
            number,
            signed(step.cause),
            step.from.as_str(),
            step.to.as_str(),
            step.at.0,
            step.decided_at.0,
            &*step.reason
        ],
    )?;
    Ok(Some(super::database::unsigned(number)))
}

/// What the row of an alert says beside its transition.
struct Life<'a> {
    id: &'a str,
    number: i64,
    raised_before: Option<i64>,
    change: u64,
}

fn write_alert(
    transaction: &SqlTransaction<'_>,
    step: &Transition,
    life: &Life<'_>,
) -> Result<(), LedgerError> {
    let raised_at = step.raised_at.map(|at| at.0).or(life.raised_before);
    // An annulled alert that still fired was never over of itself: it ends where it was annulled.
    let annulled = step.to == AlertState::Inactive && raised_at.is_some();
    let resolved_at = step.resolved_at.map(|at| at.0).or(annulled.then_some(step.at.0));
    transaction
        .prepare_cached(
            "INSERT INTO alert VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
             ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, state = excluded.state,
             labels = excluded.labels, title_es = excluded.title_es, title_en = excluded.title_en,
             message_es = excluded.message_es, message_en = excluded.message_en,
             began_at = excluded.began_at, raised_at = excluded.raised_at,
             resolved_at = excluded.resolved_at, decided_at = excluded.decided_at,
             value = excluded.value, steps = excluded.steps, changed = excluded.changed",
        )?
        .execute(params![
            life.id,
            &*step.pipeline,
            &*step.rule,
            step.severity.as_str(),
            step.to.as_str(),
            history::key_json(step),
            history::labels_json(step),
            step.title.es,
            step.title.en,
            step.message.es,
            step.message.en,
            step.began_at.0,
            raised_at,
            resolved_at,
            step.decided_at.0,
            history::value_json(step),
            life.number,
            signed(life.change)
        ])?;
    Ok(())
}

/// Enforces both bounds; the steps of an alert go with it.
fn prune(transaction: &SqlTransaction<'_>) -> Result<(), LedgerError> {
    for (fired, kept) in [(true, OVER_KEPT_MAX), (false, NEVER_FIRED_KEPT_MAX)] {
        transaction.execute(
            "DELETE FROM alert WHERE id IN (
                SELECT id FROM alert
                WHERE state IN ('resolved', 'inactive') AND (raised_at IS NOT NULL) = ?1
                ORDER BY changed DESC LIMIT -1 OFFSET ?2)",
            params![fired, signed(kept)],
        )?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
