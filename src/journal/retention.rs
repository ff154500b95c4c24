//! Collection: whole segments of the two logs go once nobody needs them.
//!
//! A segment of the journal goes when it is older than `keep`, behind the checkpoint and the
//! sequencer's snapshot, and read by every sink, except by those further behind than `behind_max`:
//! these are marked as in need of a backfill and hold no longer, once what they would read next has
//! gone. A gap that a person has acknowledged is news again only once more of it is gone. A segment of
//! the results log goes under the same conditions once the journal that caused its rows has gone. What a
//! recompute that was asked for may still read stays. The last segment of a log always stays. Age is
//! counted in arrival time, which no jump of the host's clock moves.
//!
//! Segments go oldest first and each removal is durable before the next, so that what is left after
//! a crash in the middle has no hole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};

use super::disk::Disk;
use super::holders::{Holder, Holders};
use super::log::{self, LogError, LogKind, at};
use super::reader::{BatchReader, LogReader};
use super::wire::Reader;
use crate::model::crash::Point;
use crate::model::{Span, Timestamp};

/// What collection needs to know.
pub struct Retention {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Folder of the journal's segments.
    pub journal_dir: PathBuf,
    /// Folder of the results log's segments.
    pub results_dir: PathBuf,
    /// Younger segments stay in any case.
    pub keep: Span,
    /// A sink whose next record is older than this no longer holds its segment.
    pub behind_max: Span,
    /// Who holds.
    pub holders: Arc<Holders>,
}

/// What one collection did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Segments of the journal removed.
    pub journal_segments: usize,
    /// Segments of the results log removed.
    pub results_segments: usize,
    /// Sinks that now need a backfill and did not before, or lost more than was acknowledged.
    pub gaps: Vec<&'static str>,
}

impl Retention {
    /// Removes what nobody needs; `now` is the arrival time of the journal's end.
    ///
    /// # Errors
    /// [`LogError`] when a segment cannot be read or removed; what was removed before stays so.
    pub fn collect(&self, now: Timestamp) -> Result<Collected, LogError> {
        let sinks = self.holders.sinks();
        let mut collected = Collected::default();
        let (first, removed) = self.collect_journal(now, &sinks)?;
        collected.journal_segments = removed;
        collected.note_gaps(&sinks, |sink| (sink.next().0 < first).then_some((first, 0)));
        let (first, removed) = self.collect_results(now, &sinks)?;
        collected.results_segments = removed;
        collected.note_gaps(&sinks, |sink| (sink.next().1 < first).then_some((0, first)));
        if collected.journal_segments + collected.results_segments > 0 {
            let (journal, results) = (collected.journal_segments, collected.results_segments);
            info!(journal, results, "old segments removed");
        }
        Ok(collected)
    }

    /// The first epoch left, and the number of segments removed.
    fn collect_journal(&self, now: Timestamp, sinks: &[Arc<Holder>]) -> Result<(u64, usize), LogError> {
        let needed = self.holders.checkpoint.position().0.min(self.holders.snapshot.position().0);
        let segments = log::segments(&*self.disk, &self.journal_dir)?;
        let (kept_from, held_from) = (now.minus(self.keep), now.minus(self.behind_max));
        let mut first = segments.first().map_or(0, |segment| segment.0);
        let mut removed = 0;
        for (old, next) in segments.iter().zip(segments.iter().skip(1)) {
            if next.0 > needed {
                break;
            }
            // Everything in the old segment arrived before the next one's first record.
            let Some((arrived_at, _)) = self.begin_of(next.0)? else { break };
            let held = arrived_at >= held_from && sinks.iter().any(|sink| sink.position().0 < next.0);
            if arrived_at >= kept_from || held {
                break;
            }
            let mut recomputes = self.holders.recomputes();
            if next.0 > recomputes.first(self.holders.checkpoint.position().0) {
                break;
            }
            remove(&*self.disk, &self.journal_dir, &old.1)?;
            drop(recomputes);
            first = next.0;
            removed += 1;
        }
        Ok((first, removed))
    }

    /// The first frame left, and the number of segments removed.
    fn collect_results(&self, now: Timestamp, sinks: &[Arc<Holder>]) -> Result<(u64, usize), LogError> {
        let needed = self.holders.checkpoint.position().1;
        let segments = log::segments(&*self.disk, &self.results_dir)?;
        let mut first = segments.first().map_or(0, |segment| segment.0);
        let mut removed = 0;
        if segments.len() < 2 || segments.get(1).is_some_and(|segment| segment.0 > needed) {
            return Ok((first, removed));
        }
        // Rows are as old as what caused them. What the journal still holds keeps them; where it left
        // the journal early, nobody can say that they are too old for a sink that is not too far
        // behind in the journal.
        let (kept_from, ages_unknown) = match self.journal_begins()? {
            Some((arrived_at, sequence)) => (sequence, arrived_at > now.minus(self.behind_max)),
            None => (0, true),
        };
        for (old, next) in segments.iter().zip(segments.iter().skip(1)) {
            if next.0 > needed {
                break;
            }
            let Some(cause) = self.cause_of(next.0)? else { break };
            // Rows of the old segment were caused before this one.
            let held =
                ages_unknown && sinks.iter().any(|sink| sink.position().1 < next.0 && !sink.needs_backfill());
            if cause > kept_from || held {
                break;
            }
            remove(&*self.disk, &self.results_dir, &old.1)?;
            first = next.0;
            removed += 1;
        }
        Ok((first, removed))
    }

    /// Arrival time and sequence of the journal's first record.
    fn journal_begins(&self) -> Result<Option<(Timestamp, u64)>, LogError> {
        let segments = log::segments(&*self.disk, &self.journal_dir)?;
        let Some((epoch, _)) = segments.first() else { return Ok(None) };
        self.begin_of(*epoch)
    }

    /// Arrival time and sequence at which the journal's segment beginning at `epoch` begins; `None`
    /// when nothing is in it.
    fn begin_of(&self, epoch: u64) -> Result<Option<(Timestamp, u64)>, LogError> {
        let mut reader = BatchReader::new(self.disk.clone(), &self.journal_dir, epoch);
        match reader.next(epoch + 1) {
            Ok(batch) => Ok(batch.map(|(_, batch)| (batch.arrived_at, batch.first))),
            Err(LogError::Missing { .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Sequence of the record that caused the first row of `frame`; `None` when it is not there.
    fn cause_of(&self, frame: u64) -> Result<Option<u64>, LogError> {
        let mut reader = LogReader::new(self.disk.clone(), &self.results_dir, LogKind::Results, frame);
        match reader.next(frame + 1) {
            Ok(Some((ordinal, content))) => {
                // Every kind of row begins with its kind and its cause.
                let mut row = Reader(content);
                let cause = row.uint().and_then(|_| row.byte()).and_then(|_| row.uint());
                Ok(Some(cause.map_err(|source| LogError::Content { ordinal, source })?))
            }
            Ok(None) | Err(LogError::Missing { .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

impl Collected {
    /// `gone` says before which epoch and frame a sink lost what it had not read, if it did.
    fn note_gaps(&mut self, sinks: &[Arc<Holder>], gone: impl Fn(&Holder) -> Option<(u64, u64)>) {
        for sink in sinks {
            if gone(sink).is_some_and(|to| sink.note_gap(to)) {
                warn!(
                    sink = sink.name(),
                    "fell further behind than journal.behind_max: what it has not read is removed, and it needs a backfill"
                );
                self.gaps.push(sink.name());
            }
        }
    }
}

fn remove(disk: &dyn Disk, dir: &Path, path: &Path) -> Result<(), LogError> {
    disk.remove(path).map_err(|source| at(path, source))?;
    disk.sync_dir(dir).map_err(|source| at(dir, source))?;
    Point::SegmentRemoved.pass();
    Ok(())
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
