//! What the store holds at one moment: tables, tails, files and cursors, under one lock.
//!
//! A flush freezes the tails; until its commit, queries read the frozen rows from memory, after it
//! from the new files. Both changes happen under the lock, so that a snapshot has every row once.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use hashbrown::HashMap;

use super::aggregate::PlanIndex;
use super::cursors::{Cursors, Whole};
use super::error::StoreError;
use super::file::StoredFile;
use super::manifest::{Content, Progress};
use super::raw::RawIndex;
use super::table::{Subject, Table, Tables};
use super::tail::Tail;
use super::transition::TransitionRows;
use crate::model::{Batch, Dictionary, Record, ResultRow};

/// The store's changing part.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// All tables.
    pub(super) tables: Tables,
    tails: HashMap<usize, Tail>,
    frozen: HashMap<usize, Vec<RecordBatch>>,
    files: HashMap<i64, Arc<Vec<Arc<StoredFile>>>>,
    raw: RawIndex,
    plans: PlanIndex,
    /// What was taken in.
    pub(super) applied: Cursors,
    /// From where on nothing was passed over.
    pub(super) whole: Whole,
    ordinal: u64,
    tail_bytes: u64,
    frozen_bytes: u64,
    oldest: Option<Instant>,
}

/// Rows on their way into files, and how far they reach.
#[derive(Debug)]
pub(super) struct Frozen {
    /// Rows by table number.
    pub(super) rows: Vec<(usize, Vec<RecordBatch>)>,
    /// All tables and columns the rows use.
    pub(super) tables: Tables,
    /// What the manifest will say; the number of the next file is the writer's business.
    pub(super) progress: Progress,
}

/// One table as a query sees it.
#[derive(Clone, Debug)]
pub(super) struct TableView {
    /// What it is.
    pub(super) table: Arc<Table>,
    /// Rows in memory; older ones may lack the newest columns.
    pub(super) batches: Vec<RecordBatch>,
    /// Files.
    pub(super) files: Arc<Vec<Arc<StoredFile>>>,
}

impl Live {
    /// As the manifest says.
    pub(super) fn load(content: Content, root: &Arc<Path>) -> Self {
        let mut files: HashMap<i64, Vec<Arc<StoredFile>>> = HashMap::new();
        for entry in content.files {
            files.entry(entry.table).or_default().push(StoredFile::new(root, entry));
        }
        Self {
            tables: content.tables,
            files: files.into_iter().map(|(table, files)| (table, Arc::new(files))).collect(),
            applied: content.progress.cursors,
            whole: content.progress.whole,
            ordinal: content.progress.ordinal,
            ..Self::default()
        }
    }

    /// Bytes in memory, by estimate.
    pub(super) fn bytes(&self) -> u64 {
        self.tail_bytes + self.frozen_bytes
    }

    /// Bytes that the next flush will write, and since when its oldest waits.
    pub(super) fn waiting(&self) -> (u64, Option<Instant>) {
        (self.tail_bytes, self.oldest)
    }

    /// All files.
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<StoredFile>> {
        self.files.values().flat_map(|files| files.iter())
    }

    /// Takes in the events of an epoch, unless it has.
    pub(super) fn apply_batch(
        &mut self,
        epoch: u64,
        batch: &Batch,
        dictionary: &Dictionary,
    ) -> Result<(), StoreError> {
        if epoch < self.applied.journal {
            return Ok(());
        }
        if epoch > self.applied.journal {
            // What comes between was removed from the journal before it was read.
            self.whole = Whole { sequence: batch.first, arrived_at: batch.arrived_at };
        }
        for (sequence, record) in batch.iter() {
            let Record::Event(event) = record else { continue };
            let table = self
                .raw
                .table(event.feed, &mut self.tables, dictionary)
                .ok_or(StoreError::Dictionary { sequence, what: "feed" })?;
            let rows = &mut self.tails.entry(table).or_default().open.raw;
            let tables = &mut self.tables;
            self.tail_bytes += self.raw.push((sequence, event), (batch, dictionary), tables, rows)?;
        }
        self.apply_accounts(batch, dictionary);
        self.applied.journal = epoch + 1;
        self.oldest.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn apply_accounts(&mut self, batch: &Batch, dictionary: &Dictionary) {
        if batch.accounts.is_empty() && batch.devices.is_empty() {
            return;
        }
        let table = self.tables.find_or_add(Subject::Accounts);
        let rows = &mut self.tails.entry(table).or_default().open.accounts;
        self.tail_bytes += rows.push(batch, dictionary);
    }

    /// Takes in rows of the results log up to `position`, unless it has.
    pub(super) fn apply_results(&mut self, position: u64, rows: &[ResultRow]) {
        if position <= self.applied.results {
            return;
        }
        for row in rows {
            self.ordinal += u64::from(!matches!(row, ResultRow::Plan(..)));
            self.tail_bytes += self.apply_row(row).unwrap_or(0);
        }
        self.applied.results = position;
        self.oldest.get_or_insert_with(Instant::now);
    }

    fn apply_row(&mut self, row: &ResultRow) -> Option<u64> {
        let plan = match row {
            ResultRow::Plan(_, plan) => plan,
            ResultRow::Aggregate(row) => &row.plan,
            ResultRow::Retraction(row) => &row.plan,
            ResultRow::Transition(row) => {
                let (table, keys) = TransitionRows::columns(row, &mut self.tables)?;
                return Some(self.tails.entry(table).or_default().open.transitions.push(row, keys));
            }
        };
        let columns = self.plans.columns(plan, &mut self.tables)?;
        let rows = &mut self.tails.entry(columns.table).or_default().open.windows;
        match row {
            ResultRow::Aggregate(row) => Some(rows.push_aggregate(row, &columns, self.ordinal)),
            ResultRow::Retraction(row) => Some(rows.push_retraction(row, &columns, self.ordinal)),
            ResultRow::Plan(..) | ResultRow::Transition(_) => None,
        }
    }

    /// Everything that a query can read, as of now.
    pub(super) fn snapshot(&mut self) -> Result<Vec<TableView>, ArrowError> {
        let mut views = Vec::with_capacity(self.tables.list().len());
        for (number, table) in self.tables.list().iter().enumerate() {
            let mut batches = self.frozen.get(&number).cloned().unwrap_or_default();
            if let Some(tail) = self.tails.get_mut(&number) {
                batches.extend_from_slice(tail.batches(table)?);
            }
            let files = self.files.get(&table.id).cloned().unwrap_or_default();
            views.push(TableView { table: table.clone(), batches, files });
        }
        Ok(views)
    }

    /// Takes the tails out for writing; they stay readable.
    pub(super) fn freeze(&mut self) -> Result<Frozen, ArrowError> {
        let mut rows = Vec::new();
        for (number, table) in self.tables.list().iter().enumerate() {
            if let Some(tail) = self.tails.get_mut(&number) {
                let batches = tail.batches(table)?.to_vec();
                if !batches.is_empty() {
                    rows.push((number, batches));
                }
            }
        }
        self.tails.clear();
        self.frozen = rows.iter().cloned().collect();
        self.frozen_bytes = std::mem::take(&mut self.tail_bytes);
        self.oldest = None;
        let progress =
            Progress { cursors: self.applied, ordinal: self.ordinal, next_file: 0, whole: self.whole };
        Ok(Frozen { rows, tables: self.tables.clone(), progress })
    }

    /// The frozen rows could not be written: they wait for the next flush.
    pub(super) fn put_back(&mut self) {
        for (number, batches) in std::mem::take(&mut self.frozen) {
            self.tails.entry(number).or_default().put_back(batches);
        }
        self.tail_bytes += std::mem::take(&mut self.frozen_bytes);
        self.oldest.get_or_insert_with(Instant::now);
    }

    /// The frozen rows are in these files now.
    pub(super) fn thaw(&mut self, files: Vec<Arc<StoredFile>>) {
        self.frozen.clear();
        self.frozen_bytes = 0;
        self.add(files);
    }

    /// A merge put `added` in the place of `removed`.
    pub(super) fn exchange(&mut self, removed: &[Arc<StoredFile>], added: Vec<Arc<StoredFile>>) {
        for file in removed {
            if let Some(files) = self.files.get_mut(&file.entry.table) {
                Arc::make_mut(files).retain(|other| other.entry.id != file.entry.id);
            }
            file.replace();
        }
        self.add(added);
    }

    fn add(&mut self, files: Vec<Arc<StoredFile>>) {
        for file in files {
            Arc::make_mut(self.files.entry(file.entry.table).or_default()).push(file);
        }
    }
}
