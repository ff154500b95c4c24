//! What the ledger answers: alerts with their steps, and counts.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::alert::{Alert, AlertChange, Step, Text};
use super::database::{LedgerError, signed, unsigned};
use crate::model::definition::Severity;
use crate::model::{AlertState, Timestamp, Transition};

/// Steps that an alert shows, the newest; the ledger keeps all.
pub const STEPS_SHOWN_MAX: usize = 200;

/// Columns that [`read`] wants, in its order.
const COLUMNS: &str = "id, pipeline, rule, severity, state, key, labels, title_es, title_en, message_es,
    message_en, began_at, raised_at, resolved_at, decided_at, value, changed";

/// Which alerts a list shows. Pending ones that never fired leave every list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    /// All that are pending, or fired at any time.
    All,
    /// Those in one state.
    In(AlertState),
}

/// Alerts by state and severity; those that never fired count only while pending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<(&'static str, Severity), u64>);

impl Counts {
    /// Alerts in a state, of any severity.
    #[must_use]
    pub fn of(&self, state: AlertState) -> u64 {
        self.0.iter().filter(|((word, _), _)| *word == state.as_str()).map(|(_, count)| count).sum()
    }
}

pub(super) fn alerts(
    connection: &Connection,
    filter: StateFilter,
    limit: usize,
) -> Result<Vec<Alert>, LedgerError> {
    let state = match filter {
        StateFilter::All => None,
        StateFilter::In(state) => Some(state.as_str()),
    };
    let listed = if state.is_some() { "state = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT {COLUMNS} FROM alert WHERE {listed} AND (state <> 'inactive' OR raised_at IS NOT NULL)
         ORDER BY changed DESC LIMIT ?2"
    );
    collect(connection, &sql, params![state, signed(limit as u64)]).map(without_numbers)
}

pub(super) fn firing_of(
    connection: &Connection,
    pipeline: &str,
    rule: &str,
) -> Result<Vec<Alert>, LedgerError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM alert WHERE state = 'firing' AND pipeline = ?1 AND rule = ?2 ORDER BY changed"
    );
    collect(connection, &sql, params![pipeline, rule]).map(without_numbers)
}

pub(super) fn alert(connection: &Connection, id: &str) -> Result<Option<Alert>, LedgerError> {
    let sql = format!("SELECT {COLUMNS} FROM alert WHERE id = ?1");
    Ok(without_numbers(collect(connection, &sql, params![id])?).pop())
}

pub(super) fn changes_after(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<AlertChange>, LedgerError> {
    let sql = format!("SELECT {COLUMNS} FROM alert WHERE changed > ?1 ORDER BY changed DESC LIMIT ?2");
    let mut changes = collect(connection, &sql, params![signed(after), signed(limit as u64)])?;
    changes.reverse();
    Ok(changes)
}

pub(super) fn counts(connection: &Connection) -> Result<Counts, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT state, severity, count(*) FROM alert
         WHERE state <> 'inactive' OR raised_at IS NOT NULL GROUP BY state, severity",
    )?;
    let mut rows = statement.query([])?;
    let mut counts = Counts::default();
    while let Some(row) = rows.next()? {
        let key = (state_of(row, 0)?.as_str(), severity_of(row, 1)?);
        counts.0.insert(key, unsigned(row.get(2)?));
    }
    Ok(counts)
}

fn without_numbers(changes: Vec<AlertChange>) -> Vec<Alert> {
    changes.into_iter().map(|change| change.alert).collect()
}

fn collect(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<AlertChange>, LedgerError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        changes.push(read(row)?);
    }
    for change in &mut changes {
        change.alert.transitions = steps(connection, &change.alert.id)?;
    }
    Ok(changes)
}

fn read(row: &Row<'_>) -> Result<AlertChange, LedgerError> {
    let alert = Alert {
        id: row.get(0)?,
        pipeline: row.get(1)?,
        rule: row.get(2)?,
        severity: severity_of(row, 3)?,
        state: state_of(row, 4)?,
        key: from_json(&row.get::<_, String>(5)?, "the key of an alert")?,
        labels: from_json(&row.get::<_, String>(6)?, "the labels of an alert")?,
        title: Text { es: row.get(7)?, en: row.get(8)? },
        message: Text { es: row.get(9)?, en: row.get(10)? },
        started_at: time(row.get(11)?),
        raised_at: row.get::<_, Option<i64>>(12)?.map(time),
        resolved_at: row.get::<_, Option<i64>>(13)?.map(time),
        decided_at: time(row.get(14)?),
        value: from_json(&row.get::<_, String>(15)?, "the values of an alert")?,
        transitions: Vec::new(),
    };
    Ok(AlertChange { change: unsigned(row.get(16)?), alert })
}

fn steps(connection: &Connection, id: &str) -> Result<Vec<Step>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT from_state, to_state, at, decided_at, reason FROM step WHERE alert = ?1
         ORDER BY number DESC LIMIT ?2",
    )?;
    let mut rows = statement.query(params![id, signed(STEPS_SHOWN_MAX as u64)])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        steps.push(Step {
            from: state_of(row, 0)?,
            to: state_of(row, 1)?,
            at: time(row.get(2)?),
            decided_at: time(row.get(3)?),
            cause: row.get(4)?,
        });
    }
    steps.reverse();
    Ok(steps)
}

/// The step of one number, to say in a notification what it is about.
pub(super) fn step_of(transition: &Transition) -> Step {
    Step {
        from: transition.from,
        to: transition.to,
        at: transition.at.to_string(),
        decided_at: transition.decided_at.to_string(),
        cause: transition.reason.to_string(),
    }
}

fn time(nanoseconds: i64) -> String {
    Timestamp(nanoseconds).to_string()
}

fn state_of(row: &Row<'_>, column: usize) -> Result<AlertState, LedgerError> {
    let word: String = row.get(column)?;
    [AlertState::Inactive, AlertState::Pending, AlertState::Firing, AlertState::Resolved]
        .into_iter()
        .find(|state| state.as_str() == word)
        .ok_or(LedgerError::Damaged { what: "a state" })
}

fn severity_of(row: &Row<'_>, column: usize) -> Result<Severity, LedgerError> {
    let word: String = row.get(column)?;
    [Severity::Info, Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|severity| severity.as_str() == word)
        .ok_or(LedgerError::Damaged { what: "a severity" })
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(
    text: &str,
    what: &'static str,
) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|_| LedgerError::Damaged { what })
}

/// The key as an object of tag names and values.
pub(super) fn key_json(transition: &Transition) -> String {
    let names = transition.by.iter().map(|name| &**name);
    let values = transition.key.0.iter().map(|value| &**value);
    json(&names.zip(values).collect::<BTreeMap<_, _>>())
}

/// The labels as an object.
pub(super) fn labels_json(transition: &Transition) -> String {
    json(&transition.labels)
}

/// What the verdict saw as an object; what is no finite number is null.
pub(super) fn value_json(transition: &Transition) -> String {
    json(&transition.evidence.iter().map(|(name, value)| (&**name, value)).collect::<BTreeMap<_, _>>())
}

/// Maps of text and numbers always have a JSON form; should one ever not, it is empty.
fn json<K: serde::Serialize, V: serde::Serialize>(map: &BTreeMap<K, V>) -> String {
    serde_json::to_string(map).unwrap_or_else(|_| "{}".to_owned())
}
