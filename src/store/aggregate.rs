//! Revisions of windows in memory, and the view of their last ones.
//!
//! A retraction is a row too, with `retracted` set and no values: the view leaves its window out.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, TimestampNanosecondArray, UInt64Array,
};
use datafusion::arrow::error::ArrowError;

use super::column::Role;
use super::parquet::{instants, texts};
use super::table::{Subject, Table, Tables};
use crate::model::result::PlanDescription;
use crate::model::{Aggregate, Key, Retraction};

/// Bytes of a row beside its key and fields, by estimate.
const ROW_BYTES: u64 = 96;

/// The columns of a plan.
#[derive(Clone, Debug)]
pub(super) struct PlanColumns {
    /// Its table.
    pub(super) table: usize,
    keys: Arc<[usize]>,
    fields: Arc<[usize]>,
}

/// One revision or retraction.
#[derive(Debug)]
struct Row {
    time: i64,
    end: Option<i64>,
    count: Option<u64>,
    capture: Option<f64>,
    sufficient: Option<bool>,
    revision: u64,
    plan: u64,
    cause: u64,
    ordinal: u64,
    columns: PlanColumns,
    key: Key,
    fields: Vec<Option<f64>>,
}

/// Rows of one window, not yet columns.
#[derive(Debug, Default)]
pub(super) struct WindowRows(Vec<Row>);

impl WindowRows {
    /// Rows held.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a revision; returns its bytes, by estimate.
    pub(super) fn push_aggregate(&mut self, row: &Aggregate, columns: &PlanColumns, ordinal: u64) -> u64 {
        self.0.push(Row {
            time: row.start.0,
            end: Some(row.end.0),
            count: Some(row.count),
            capture: row.capture,
            sufficient: Some(row.sufficient),
            revision: row.revision,
            plan: row.plan.hash,
            cause: row.cause,
            ordinal,
            columns: columns.clone(),
            key: row.key.clone(),
            fields: row.fields.clone(),
        });
        bytes(&row.key, row.fields.len())
    }

    /// Adds a retraction; returns its bytes, by estimate.
    pub(super) fn push_retraction(&mut self, row: &Retraction, columns: &PlanColumns, ordinal: u64) -> u64 {
        self.0.push(Row {
            time: row.start.0,
            end: None,
            count: None,
            capture: None,
            sufficient: None,
            revision: row.revision,
            plan: row.plan.hash,
            cause: row.cause,
            ordinal,
            columns: columns.clone(),
            key: row.key.clone(),
            fields: Vec::new(),
        });
        bytes(&row.key, 0)
    }

    /// The rows as columns of the table.
    pub(super) fn batch(self, table: &Table) -> Result<RecordBatch, ArrowError> {
        let rows = &self.0;
        let numbers = |of: fn(&Row) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(of)))
        };
        let plans: Vec<String> = rows.iter().map(|row| format!("{:016x}", row.plan)).collect();
        let ends = TimestampNanosecondArray::from_iter(rows.iter().map(|row| row.end)).with_timezone("UTC");
        let retracted: Vec<bool> = rows.iter().map(|row| row.end.is_none()).collect();
        let fixed: [ArrayRef; 10] = [
            instants(rows.iter().map(|row| row.time).collect()),
            Arc::new(ends),
            Arc::new(UInt64Array::from_iter(rows.iter().map(|row| row.count))),
            Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.capture))),
            Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.sufficient))),
            numbers(|row| row.revision),
            texts(plans.iter().map(|plan| Some(plan.as_str()))),
            numbers(|row| row.cause),
            numbers(|row| row.ordinal),
            Arc::new(BooleanArray::from(retracted)),
        ];
        let more = table.columns.list().iter().enumerate().map(|(number, column)| -> ArrayRef {
            if column.role == Role::Key {
                return texts(rows.iter().map(|row| row.key_part(number)));
            }
            Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.field(number))))
        });
        let more: Vec<ArrayRef> = more.collect();
        RecordBatch::try_new(table.schema().clone(), fixed.into_iter().chain(more).collect())
    }
}

impl Row {
    fn key_part(&self, column: usize) -> Option<&str> {
        let place = self.columns.keys.iter().position(|own| *own == column)?;
        self.key.0.get(place).map(|part| &**part)
    }

    fn field(&self, column: usize) -> Option<f64> {
        let place = self.columns.fields.iter().position(|own| *own == column)?;
        self.fields.get(place).copied().flatten()
    }
}

fn bytes(key: &Key, fields: usize) -> u64 {
    let key: usize = key.0.iter().map(|part| part.len() + 4).sum();
    ROW_BYTES + (key + 9 * fields) as u64
}

/// Finds the columns of a plan without looking names up again.
#[derive(Debug, Default)]
pub(super) struct PlanIndex {
    /// By the hash of the definition and of the names: it says what is computed, not who it belongs to.
    known: HashMap<(u64, u64), PlanColumns>,
    /// The plan that was asked for last: most rows are of it.
    last: Option<(Arc<PlanDescription>, PlanColumns)>,
}

impl PlanIndex {
    /// The columns of a plan, given if need be.
    pub(super) fn columns(
        &mut self,
        plan: &Arc<PlanDescription>,
        tables: &mut Tables,
    ) -> Option<PlanColumns> {
        if let Some((_, columns)) = self.last.as_ref().filter(|last| Arc::ptr_eq(&last.0, plan)) {
            return Some(columns.clone());
        }
        let columns = self.find_or_give(plan, tables)?;
        self.last = Some((plan.clone(), columns.clone()));
        Some(columns)
    }

    fn find_or_give(&mut self, plan: &PlanDescription, tables: &mut Tables) -> Option<PlanColumns> {
        let id = (plan.hash, names_hash(plan));
        if let Some(known) = self.known.get(&id) {
            return Some(known.clone());
        }
        let subject = Subject::Window { pipeline: plan.pipeline.clone(), window: plan.window.clone() };
        let table = tables.find_or_add(subject);
        let no_unit = Arc::from("");
        let keys: Option<Vec<usize>> =
            plan.by.iter().map(|name| tables.column(table, Role::Key, name, &no_unit, 0)).collect();
        let fields: Option<Vec<usize>> = plan
            .fields
            .iter()
            .map(|field| tables.column(table, Role::Field, &field.name, &field.unit, 0))
            .collect();
        let columns = PlanColumns { table, keys: keys?.into(), fields: fields?.into() };
        self.known.insert(id, columns.clone());
        Some(columns)
    }
}

fn names_hash(plan: &PlanDescription) -> u64 {
    let names = format!("{}\0{}\0{:?}\0{:?}", plan.pipeline, plan.window, plan.by, plan.fields);
    xxhash_rust::xxh3::xxh3_64(names.as_bytes())
}
