//! The results log: the flow's only sink.
//!
//! Rows come in the order of (cause, plan, key, window), one frame for the rows of one epoch that
//! has any. After a restart the flow derives again what followed its checkpoint; what the log
//! already holds is compared, byte for byte, and a difference stops the service: two runs over one
//! journal must not disagree.
//!
//! # Segments
//!
//! A segment ends before the first frame at which its rows have reached `segment_bytes_max`: a
//! function of the rows alone. The first frame of a segment begins with every plan known by then,
//! so that a reader can begin at any segment and old segments can go. Frames that earlier runs
//! published keep their segments, also if the configured size has changed since.

mod other_version;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::other_version::OtherVersion;
use super::disk::{Disk, LogFile};
use super::log::{self, LogError, LogKind, LogWriter};
use super::mark::Mark;
use super::progress::Progress;
use super::reader::LogReader;
use super::result_codec::encode_row;
use super::wire::Writer;
use crate::model::ResultRow;
use crate::model::crash::Point;
use crate::model::result::PlanDescription;

/// Why results cannot be published; the service stops.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// The log cannot be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The flow derived something else than it once published.
    #[error(
        "results frame {frame}: derived again from the journal, it differs from what was published; keep the data folder and report this"
    )]
    Differs {
        /// Which frame.
        frame: u64,
    },
    /// A checkpoint stands behind frames that the log does not hold.
    #[error(
        "the results log ends at frame {held}, the checkpoint needs it to frame {frame}; restore the results folder from the same backup as the checkpoint, or remove the checkpoints so that results are derived again from the journal"
    )]
    Short {
        /// Frames it holds.
        held: u64,
        /// Frame at which the checkpoint goes on.
        frame: u64,
    },
}

impl ResultsError {
    /// Whether there was no room: nothing is damaged, and the same may be tried again later.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Log(failure) if failure.is_disk_full())
    }
}

/// Where a results log stands between two epochs: state of the flow, kept in its checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsPosition {
    /// Ordinal of the next frame.
    pub frame: u64,
    /// Bytes of rows since the segment began.
    pub segment_bytes: u64,
    /// Plans described so far, in the order in which a new segment repeats them.
    pub plans: Vec<Arc<PlanDescription>>,
}

/// What of the results log is written and not known to be durable; made durable on any thread.
pub struct Unsynced {
    file: Arc<dyn LogFile>,
    dir: PathBuf,
    next: u64,
    mark: Arc<Mark>,
    progress: Arc<Progress>,
}

impl Unsynced {
    /// Makes durable every frame published before it was asked for; the frame after the last one.
    ///
    /// # Errors
    /// [`LogError::Disk`]: nothing is known of what was written, the service stops.
    pub fn sync(self) -> Result<u64, LogError> {
        let began = Instant::now();
        self.file.sync().map_err(|source| LogError::Disk { path: self.dir, source })?;
        self.progress.sync_completed(self.next, began.elapsed());
        self.mark.write(self.next)?;
        self.progress.synced(self.next);
        Ok(self.next)
    }
}

/// The writing end of the results log.
pub struct ResultsLog {
    writer: LogWriter,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Reads what earlier runs published, while the flow derives it again.
    check: Option<LogReader>,
    /// Set while what another version published is compared.
    other: Option<OtherVersion>,
    /// Frames that earlier runs published.
    held: u64,
    /// First frames of the segments that earlier runs began.
    begun: BTreeSet<u64>,
    position: ResultsPosition,
    /// Encoded, and not in the log yet.
    pending: Option<Pending>,
    segment_bytes_max: u64,
    mark: Arc<Mark>,
    progress: Arc<Progress>,
}

/// A frame that is to be appended.
struct Pending {
    frame: u64,
    begins: bool,
    content: Vec<u8>,
}

impl ResultsLog {
    /// Opens the log of `dir`, or begins it, for a flow that derives everything from the journal's
    /// beginning.
    ///
    /// # Errors
    /// [`ResultsError::Log`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, segment_bytes_max: u64) -> Result<Self, ResultsError> {
        Self::resume(disk, dir, segment_bytes_max, ResultsPosition::default())
    }

    /// Opens the log of `dir` for a flow that goes on from a checkpoint, at the position kept in it.
    ///
    /// # Errors
    /// [`ResultsError::Short`] when the log ends before `position`, [`ResultsError::Log`].
    pub fn resume(
        disk: Arc<dyn Disk>,
        dir: &Path,
        segment_bytes_max: u64,
        position: ResultsPosition,
    ) -> Result<Self, ResultsError> {
        // The log's own bound is off: segments end here, where the rows say so.
        let writer = LogWriter::open(disk.clone(), dir, LogKind::Results, u64::MAX)?;
        let held = writer.next();
        if held < position.frame {
            return Err(ResultsError::Short { held, frame: position.frame });
        }
        // What an earlier run wrote and did not sync becomes durable before anything builds on it.
        writer.file().sync().map_err(|source| LogError::Disk { path: dir.to_owned(), source })?;
        let begun = log::segments(&*disk, dir)?.into_iter().map(|segment| segment.0).collect();
        let mark = Arc::new(Mark::open(&*disk, dir)?);
        mark.write(held)?;
        let check = (held > position.frame)
            .then(|| LogReader::new(disk.clone(), dir, LogKind::Results, position.frame));
        let progress = Arc::new(Progress::new(held));
        let dir = dir.to_owned();
        let (other, pending) = (None, None);
        Ok(Self {
            writer,
            disk,
            dir,
            check,
            other,
            held,
            begun,
            position,
            pending,
            segment_bytes_max,
            mark,
            progress,
        })
    }

    /// Of a log that another engine version wrote: what differs is published anew in place of being
    /// refused.
    #[must_use]
    pub fn of_another_version(mut self) -> Self {
        if self.check.take().is_some() {
            let from = self.position.frame;
            self.other = Some(OtherVersion::new(self.disk.clone(), &self.dir, from, self.held));
            self.position.frame = self.held;
            // What is published anew begins a segment: how full the last one is, nobody counted.
            self.position.segment_bytes = u64::MAX;
        }
        self
    }

    /// Has `progress` say how far it has come, from here on, in place of one of its own.
    #[must_use]
    pub fn telling(self, progress: Arc<Progress>) -> Self {
        progress.begun(self.progress.now().written);
        Self { progress, ..self }
    }

    /// Whether its position is one that a checkpoint can keep: not while another version's rows are
    /// compared.
    #[must_use]
    pub fn has_position(&self) -> bool {
        self.other.is_none()
    }

    /// Frames that were published so far, by this run or earlier ones, and how many are synced.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Where it stands; what a checkpoint keeps.
    #[must_use]
    pub fn position(&self) -> &ResultsPosition {
        &self.position
    }

    /// What is to be synced before a checkpoint at this position is written.
    #[must_use]
    pub fn unsynced(&self) -> Unsynced {
        Unsynced {
            // A segment is synced before the next begins, so the current file is all there is.
            file: self.writer.file(),
            dir: self.dir.clone(),
            next: self.writer.next(),
            mark: self.mark.clone(),
            progress: self.progress.clone(),
        }
    }

    /// Publishes the rows of one epoch.
    ///
    /// # Errors
    /// [`ResultsError`]: the service stops, unless [`ResultsError::is_disk_full`]: then the rows are
    /// kept for [`ResultsLog::publish_again`].
    pub fn publish(&mut self, rows: &[ResultRow]) -> Result<(), ResultsError> {
        if rows.is_empty() {
            return Ok(());
        }
        let Some(other) = &mut self.other else { return self.publish_all(rows) };
        let differing = other.differing(rows)?;
        if other.is_over() {
            self.other = None;
        }
        self.publish_all(&differing)
    }

    fn publish_all(&mut self, rows: &[ResultRow]) -> Result<(), ResultsError> {
        if rows.is_empty() {
            return Ok(());
        }
        let frame = self.position.frame;
        let begins = self.begins_segment();
        let content = self.encode(rows, begins);
        self.position.frame += 1;
        if frame < self.held {
            let same = match &mut self.check {
                Some(check) => check.next(self.held)?.is_some_and(|(_, held)| held == content),
                None => false,
            };
            return if same { Ok(()) } else { Err(ResultsError::Differs { frame }) };
        }
        self.check = None;
        self.pending = Some(Pending { frame, begins, content });
        self.publish_again()
    }

    /// Publishes what [`ResultsLog::publish`] had no room for on a full disk; nothing if it had.
    ///
    /// # Errors
    /// [`ResultsError`]: the service stops, unless the disk is still full.
    pub fn publish_again(&mut self) -> Result<(), ResultsError> {
        let Some(Pending { frame, begins, content }) = &self.pending else { return Ok(()) };
        if *begins && !self.begun.contains(frame) {
            self.writer.begin_next_segment()?;
            self.begun.insert(*frame);
        }
        self.writer.append(content)?;
        self.pending = None;
        Point::ResultsAppended.pass();
        self.progress.written(self.writer.next());
        Ok(())
    }

    /// Whether the next frame is the first of a segment after the first.
    fn begins_segment(&self) -> bool {
        let frame = self.position.frame;
        let by_an_earlier_run = frame > 0 && self.begun.contains(&frame);
        let full = frame >= self.held && self.position.segment_bytes >= self.segment_bytes_max;
        by_an_earlier_run || full
    }

    fn encode(&mut self, rows: &[ResultRow], begins: bool) -> Vec<u8> {
        let repeat: Vec<ResultRow> = if begins {
            self.position.segment_bytes = 0;
            let cause = rows.first().map_or(0, ResultRow::cause);
            self.position.plans.iter().map(|plan| ResultRow::Plan(cause, plan.clone())).collect()
        } else {
            Vec::new()
        };
        for row in rows {
            if let ResultRow::Plan(_, plan) = row {
                self.position.describe(plan);
            }
        }
        let mut out = Writer(Vec::with_capacity(rows.len() * 96));
        out.uint((repeat.len() + rows.len()) as u64);
        repeat.iter().chain(rows).for_each(|row| encode_row(&mut out, row));
        self.position.segment_bytes += out.0.len() as u64;
        out.0
    }
}

impl ResultsPosition {
    /// A plan that was described again (its pipeline came back) is repeated once.
    fn describe(&mut self, plan: &Arc<PlanDescription>) {
        match self.plans.iter_mut().find(|known| known.hash == plan.hash) {
            Some(known) => *known = plan.clone(),
            None => self.plans.push(plan.clone()),
        }
    }
}

#[cfg(test)]
#[path = "results_tests.rs"]
mod tests;
