//! Steps of alerts in memory.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use datafusion::arrow::error::ArrowError;

use super::column::Role;
use super::parquet::{instants, texts};
use super::table::{Subject, Table, Tables};
use crate::model::Transition;

/// Rows, not yet columns.
#[derive(Debug, Default)]
pub(super) struct TransitionRows(Vec<(Transition, Vec<usize>)>);

impl TransitionRows {
    /// Rows held.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The table of transitions, made if need be, and the columns of a row's key.
    pub(super) fn columns(row: &Transition, tables: &mut Tables) -> Option<(usize, Vec<usize>)> {
        let table = tables.find_or_add(Subject::Transitions);
        let no_unit = Arc::from("");
        let keys: Option<Vec<usize>> =
            row.by.iter().map(|name| tables.column(table, Role::Key, name, &no_unit, 0)).collect();
        Some((table, keys?))
    }

    /// Adds a step; returns its bytes, by estimate.
    pub(super) fn push(&mut self, row: &Transition, keys: Vec<usize>) -> u64 {
        let texts = [&row.title.es, &row.title.en, &row.message.es, &row.message.en];
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let named: usize = row.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
        let seen: usize = row.evidence.iter().map(|(name, _)| name.len() + 20).sum();
        self.0.push((row.clone(), keys));
        (400 + bytes + named + seen) as u64
    }

    /// The rows as columns of the table.
    pub(super) fn batch(self, table: &Table) -> Result<RecordBatch, ArrowError> {
        let rows = &self.0;
        let times = |of: fn(&Transition) -> i64| instants(rows.iter().map(|(row, _)| of(row)).collect());
        let words = |of: fn(&Transition) -> &str| texts(rows.iter().map(|(row, _)| Some(of(row))));
        let made = |of: fn(&Transition) -> String| {
            let made: Vec<String> = rows.iter().map(|(row, _)| of(row)).collect();
            texts(made.iter().map(|text| Some(text.as_str())))
        };
        let notify: Vec<bool> = rows.iter().map(|(row, _)| row.notify).collect();
        let fixed: [ArrayRef; 20] = [
            times(|row| row.at.0),
            made(|row| row.id.to_string()),
            words(|row| &row.pipeline),
            words(|row| &row.rule),
            words(|row| row.severity.as_str()),
            words(|row| row.from.as_str()),
            words(|row| row.to.as_str()),
            times(|row| row.began_at.0),
            times(|row| row.decided_at.0),
            Arc::new(BooleanArray::from(notify)),
            words(|row| &row.reason),
            words(|row| &row.title.es),
            words(|row| &row.title.en),
            words(|row| &row.message.es),
            words(|row| &row.message.en),
            made(|row| serde_json::to_string(&row.labels).unwrap_or_default()),
            made(evidence),
            times(|row| row.window.0.0),
            times(|row| row.window.1.0),
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(row, _)| row.cause))),
        ];
        let more = table.columns.list().iter().enumerate().map(|(number, column)| {
            debug_assert_eq!(column.role, Role::Key, "transitions have keys only");
            texts(rows.iter().map(|(row, keys)| {
                let place = keys.iter().position(|own| *own == number)?;
                row.key.0.get(place).map(|part| &**part)
            }))
        });
        let more: Vec<ArrayRef> = more.collect();
        RecordBatch::try_new(table.schema().clone(), fixed.into_iter().chain(more).collect())
    }
}

/// What the verdict saw, as a JSON object.
fn evidence(row: &Transition) -> String {
    let values = row.evidence.iter().map(|(name, value)| (name.to_string(), serde_json::Value::from(*value)));
    serde_json::Value::Object(values.collect()).to_string()
}
