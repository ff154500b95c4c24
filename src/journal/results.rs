//! The results log: the flow's only sink.
//!
//! Rows come in the order of (cause, plan, key, window), one frame for the rows of one epoch that
//! has any. After a restart the flow derives everything again from the journal; what the log
//! already holds is compared, byte for byte, and a difference stops the service: two runs over one
//! journal must not disagree.

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::disk::Disk;
use super::log::{LogError, LogKind, LogWriter};
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
}

/// The writing end of the results log.
pub struct ResultsLog {
    writer: LogWriter,
    /// Reads what earlier runs published, while the flow derives it again.
    check: Option<LogReader>,
    /// Frames that earlier runs published.
    held: u64,
    position: u64,
    plans: Vec<Arc<PlanDescription>>,
    segment_bytes_max: u64,
    segment_bytes: u64,
    progress: Arc<Progress>,
}

impl ResultsLog {
    /// Opens the log of `dir`, or begins it.
    ///
    /// # Errors
    /// [`ResultsError::Log`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, segment_bytes_max: u64) -> Result<Self, ResultsError> {
        // Segments are cut here, at sizes that follow from the rows alone, so that the plans
        // repeated at a segment's beginning stand at the same place in every run.
        let writer = LogWriter::open(disk.clone(), dir, LogKind::Results, u64::MAX)?;
        let held = writer.next();
        let check = (held > 0).then(|| LogReader::new(disk, dir, LogKind::Results, 0));
        let progress = Arc::new(Progress::new(held));
        Ok(Self {
            writer,
            check,
            held,
            position: 0,
            plans: Vec::new(),
            segment_bytes_max,
            segment_bytes: 0,
            progress,
        })
    }

    /// Frames that were published so far, by this run or earlier ones.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Publishes the rows of one epoch.
    ///
    /// # Errors
    /// [`ResultsError`]: the service stops.
    pub fn publish(&mut self, rows: &[ResultRow]) -> Result<(), ResultsError> {
        if rows.is_empty() {
            return Ok(());
        }
        let content = self.encode(rows);
        let frame = self.position;
        self.position += 1;
        if frame < self.held {
            let same = match &mut self.check {
                Some(check) => check.next(self.held)?.is_some_and(|(_, held)| held == content),
                None => false,
            };
            return if same { Ok(()) } else { Err(ResultsError::Differs { frame }) };
        }
        self.check = None;
        self.writer.append(&content)?;
        Point::ResultsAppended.pass();
        self.progress.written(self.writer.next());
        Ok(())
    }

    fn encode(&mut self, rows: &[ResultRow]) -> Vec<u8> {
        let repeat: Vec<ResultRow> = if self.segment_bytes >= self.segment_bytes_max {
            self.segment_bytes = 0;
            let cause = rows.first().map_or(0, ResultRow::cause);
            self.plans.iter().map(|plan| ResultRow::Plan(cause, plan.clone())).collect()
        } else {
            Vec::new()
        };
        for row in rows {
            if let ResultRow::Plan(_, plan) = row {
                self.plans.push(plan.clone());
            }
        }
        let mut out = Writer(Vec::with_capacity(rows.len() * 96));
        out.uint((repeat.len() + rows.len()) as u64);
        repeat.iter().chain(rows).for_each(|row| encode_row(&mut out, row));
        self.segment_bytes += out.0.len() as u64;
        out.0
    }
}
