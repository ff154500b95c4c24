//! A results log that another engine version wrote: what this one derives otherwise is published
//! anew, behind what is there.
//!
//! Both are in the order of their causes, so that they are compared as a merge: no more of the log
//! is held in memory than the rows of one epoch's causes. A row that is derived again as it stands
//! is not published twice. A row that is not derived any more stays where it is, and is counted.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;
use tracing::warn;

use super::{LogError, ResultRow, encode_row};
use crate::journal::disk::Disk;
use crate::journal::reader::ResultReader;
use crate::journal::wire::Writer;

/// See the module.
pub(super) struct OtherVersion {
    reader: ResultReader,
    /// Frames that it wrote.
    held: u64,
    /// Rows that were read and whose cause has not come.
    waiting: VecDeque<ResultRow>,
    published: u64,
    not_derived: u64,
}

impl OtherVersion {
    /// Compares with the frames of `dir` from `from` to `held`.
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, from: u64, held: u64) -> Self {
        let reader = ResultReader::new(disk, dir, from);
        Self { reader, held, waiting: VecDeque::new(), published: 0, not_derived: 0 }
    }

    /// What of an epoch's rows is not in the log as it is derived now. Plans are described again.
    pub(super) fn differing(&mut self, rows: &[ResultRow]) -> Result<Vec<ResultRow>, LogError> {
        let last = rows.last().map_or(0, ResultRow::cause);
        let mut held: HashMap<Vec<u8>, u64> = HashMap::new();
        for row in self.caused_until(last)? {
            *held.entry(bytes_of(&row)).or_default() += 1;
        }
        let mut differing = Vec::new();
        for row in rows {
            let plan = matches!(row, ResultRow::Plan(..));
            match held.get_mut(&bytes_of(row)).filter(|left| **left > 0) {
                Some(left) => {
                    *left -= 1;
                    if plan {
                        differing.push(row.clone());
                    }
                }
                None => {
                    self.published += u64::from(!plan);
                    differing.push(row.clone());
                }
            }
        }
        self.not_derived += held.values().sum::<u64>();
        Ok(differing)
    }

    fn caused_until(&mut self, last: u64) -> Result<Vec<ResultRow>, LogError> {
        while self.waiting.back().is_none_or(|row| row.cause() <= last) {
            let Some((_, rows)) = self.reader.next(self.held)? else { break };
            self.waiting.extend(rows);
        }
        let due = self.waiting.partition_point(|row| row.cause() <= last);
        Ok(self.waiting.drain(..due).collect())
    }

    /// Whether all of it was compared; then what came of it is said.
    pub(super) fn is_over(&self) -> bool {
        let over = self.waiting.is_empty() && self.reader.position() >= self.held;
        if over && self.published + self.not_derived > 0 {
            let (published, not_derived) = (self.published, self.not_derived);
            warn!(
                published,
                not_derived,
                "this version derives other results than the one before: they were published anew"
            );
        }
        over
    }
}

fn bytes_of(row: &ResultRow) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(96));
    encode_row(&mut out, row);
    out.0
}
