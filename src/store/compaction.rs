//! Merging small files.
//!
//! Files of one day and table are merged when there are too many small ones: a flush every half
//! minute leaves 2,880 a day. A day that is over ends in a few files. A merge keeps the last revision of each window (retractions too:
//! an older revision may lie in a file that is not part of the merge) and every event once. What
//! it writes and what it replaces change places in one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use datafusion::arrow::compute::{partition, take_record_batch};
use datafusion::arrow::error::ArrowError;

use super::file::StoredFile;
use super::options::StoreOptions;
use super::table::{Subject, Table};

/// What a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files merged.
    pub merged: u64,
    /// Files they became.
    pub written: u64,
    /// Rows that were repeats or earlier revisions.
    pub rows_dropped: u64,
    /// Damaged files, left alone.
    pub damaged: Vec<super::file::Damage>,
}

/// Groups of small files that are worth a merge: of one table and day, more than the bound. The
/// newest day is that of small files: a day whose files are all large has nothing to merge.
pub(super) fn due<'a>(
    files: impl Iterator<Item = &'a Arc<StoredFile>>,
    options: &StoreOptions,
) -> Vec<Vec<Arc<StoredFile>>> {
    let mut groups: BTreeMap<(i64, i64), Vec<Arc<StoredFile>>> = BTreeMap::new();
    for file in files.filter(|file| file.entry.rows < options.small_rows) {
        groups.entry((file.entry.table, file.entry.day)).or_default().push(file.clone());
    }
    let mut newest_days: BTreeMap<i64, i64> = BTreeMap::new();
    for (table, day) in groups.keys() {
        newest_days.insert(*table, *day);
    }
    groups.retain(|(table, day), group| {
        let newest = newest_days.get(table) == Some(day);
        group.len() > if newest { options.small_files_max } else { options.past_files_max }
    });
    for group in groups.values_mut() {
        group.sort_by_key(|file| file.entry.id);
        let mut rows = 0;
        group.retain(|file| {
            rows += file.entry.rows;
            rows <= options.merge_rows_max
        });
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

/// The rows of a merge that stay, of a batch sorted as files are.
pub(super) fn kept(table: &Table, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (same, last) = match &table.subject {
        Subject::Raw { .. } => (vec!["sensor", "time", "counter", "sequence"], false),
        Subject::Window { .. } => ([table.key_columns(), vec!["time"]].concat(), true),
        Subject::Transitions | Subject::Accounts => return Ok(batch.clone()),
    };
    let columns: Vec<ArrayRef> = same.iter().filter_map(|name| batch.column_by_name(name).cloned()).collect();
    let ranges = partition(&columns)?.ranges();
    if ranges.len() == batch.num_rows() {
        return Ok(batch.clone());
    }
    let rows = ranges.iter().map(|range| if last { range.end - 1 } else { range.start } as u64);
    take_record_batch(batch, &UInt64Array::from_iter_values(rows))
}
