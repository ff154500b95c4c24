//! A reader of both logs as the store and the ledger are: what it keeps and how far it has read
//! are committed together, and what lies before its cursors it knows already.

use super::core::Core;
use super::core::Stopped;
use crate::journal::testing::{Chance, Loss};
use crate::journal::{BatchReader, ResultReader};
use crate::model::{Event, Reading, Record, ResultRow};

/// Commits that a loss of power undoes at most, where they are not synced.
const UNDONE_MAX: usize = 2;

/// How far a reader has come: epoch, frame, and how much it keeps of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) journal: u64,
    pub(super) results: u64,
    events: usize,
    rows: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Reader {
    /// Whether a commit is synced; otherwise a loss of power may undo the last few.
    full: bool,
    /// Sequence, event and readings of each.
    pub(super) events: Vec<(u64, Event, Vec<Reading>)>,
    pub(super) rows: Vec<ResultRow>,
    now: Cursor,
    commits: Vec<Cursor>,
    open: Option<(BatchReader, ResultReader)>,
}

impl Reader {
    pub(super) fn new(full: bool) -> Self {
        Self { full, ..Self::default() }
    }

    /// What is committed and cannot be undone any more.
    pub(super) fn safe(&self) -> Cursor {
        let unsafe_commits = if self.full { 0 } else { UNDONE_MAX };
        let safe = self.commits.len().checked_sub(unsafe_commits + 1);
        safe.and_then(|at| self.commits.get(at)).copied().unwrap_or_default()
    }

    /// What is committed.
    pub(super) fn committed(&self) -> Cursor {
        self.commits.last().copied().unwrap_or_default()
    }

    /// The process is gone: what was not committed is too, and of unsynced commits some.
    pub(super) fn lose(&mut self, loss: Loss, chance: &mut Chance) {
        self.open = None;
        if !self.full && loss != Loss::Process {
            let undone = chance.below(UNDONE_MAX + 1).min(self.commits.len());
            self.commits.truncate(self.commits.len() - undone);
        }
        self.now = self.committed();
        self.events.truncate(self.now.events);
        self.rows.truncate(self.now.rows);
    }

    /// Takes a batch and a frame, if there are any; whether there was one.
    pub(super) fn read(&mut self, core: &Core) -> Result<bool, Stopped> {
        let now = self.now;
        let (batches, frames) =
            self.open.get_or_insert_with(|| (core.read_batches(now.journal), core.read_rows(now.results)));
        let mut moved = false;
        if let Some((epoch, batch)) = batches.next(core.journal.now().synced)? {
            moved = true;
            if epoch >= self.now.journal {
                for (sequence, record) in batch.iter() {
                    if let Record::Event(event) = record {
                        let readings = batch.readings_of(event).to_vec();
                        self.events.push((sequence, event.clone(), readings));
                    }
                }
                self.now.journal = epoch + 1;
            }
        }
        if let Some((frame, rows)) = frames.next(core.results.now().written)? {
            moved = true;
            if frame >= self.now.results {
                self.rows.extend(rows.into_iter().filter(|row| !matches!(row, ResultRow::Plan(..))));
                self.now.results = frame + 1;
            }
        }
        self.now.events = self.events.len();
        self.now.rows = self.rows.len();
        Ok(moved)
    }

    /// Commits content and cursors, in one transaction.
    pub(super) fn commit(&mut self) {
        if self.now != self.committed() {
            self.commits.push(self.now);
        }
    }
}
