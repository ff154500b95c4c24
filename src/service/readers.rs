//! The readers of the two logs, each on its own thread with its own cursors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use tracing::warn;

use super::core::stop_in_doubt;
use super::gaps::Gaps;
use super::{Core, ServiceError};
use crate::journal::sequencer::SharedDictionary;
use crate::journal::{BatchReader, Holder, LogError, Progress, ResultReader, Upon};
use crate::model::{Batch, Dictionary, ResultRow};
use crate::telemetry::Metrics;

/// Batches taken before results are looked at, and the other way round.
const TURN: usize = 64;
/// A reader that nothing wakes looks around this often.
const PARK: Duration = Duration::from_millis(200);

/// A full disk is tried again after this long.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);

/// What a reader does with what it reads. An error means that nothing was taken; where the disk is
/// full, the same is asked again until there is room, and only this sink waits.
pub trait Sink: Send {
    /// Name in logs and metrics.
    fn name(&self) -> &'static str;
    /// Takes a batch of the journal.
    ///
    /// # Errors
    /// Unless the disk is full, the service stops: the sink is in doubt.
    fn batch(&mut self, _epoch: u64, _batch: &Batch, _dictionary: &Dictionary) -> Result<(), ServiceError> {
        Ok(())
    }
    /// Takes the rows of a frame of the results log.
    ///
    /// # Errors
    /// As [`Sink::batch`].
    fn rows(&mut self, _frame: u64, _rows: &[ResultRow]) -> Result<(), ServiceError> {
        Ok(())
    }
    /// Between turns and at least every 200 ms.
    ///
    /// # Errors
    /// As [`Sink::batch`].
    fn rest(&mut self) -> Result<(), ServiceError> {
        Ok(())
    }
    /// The epoch and the frame that it would go on from after a loss of power now, given those it
    /// takes next; `u64::MAX` of a log that it does not read. `None`: it keeps nothing and holds nothing.
    fn committed(&self, _next: (u64, u64)) -> Option<(u64, u64)> {
        None
    }
    /// Whether what it writes to is away and it will not wait for it any longer: nothing more is
    /// read for it, since it could only keep it in memory.
    fn is_away(&self) -> bool {
        false
    }
    /// How long it lets the logs go on once it has read all there is: a turn costs what is to be had in
    /// it, and waking for each batch of a busy journal would cost more.
    fn gathers(&self) -> Duration {
        Duration::ZERO
    }
    /// Once, after everything was read.
    ///
    /// # Errors
    /// As [`Sink::batch`].
    fn end(&mut self) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// Running readers.
#[derive(Default)]
pub struct Readers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Who raises an alert when a sink has a gap.
    gaps: Option<Arc<Gaps>>,
}

struct Follow {
    batches: BatchReader,
    rows: ResultReader,
    journal: Arc<Progress>,
    flow: Arc<Progress>,
    results: Arc<Progress>,
    dictionary: SharedDictionary,
    metrics: Arc<Metrics>,
    holder: Option<Arc<Holder>>,
    gaps: Option<Arc<Gaps>>,
    stop: Arc<AtomicBool>,
}

impl Readers {
    /// None yet; a gap of one will be an alert.
    #[must_use]
    pub fn telling(gaps: Arc<Gaps>) -> Self {
        Self { gaps: Some(gaps), ..Self::default() }
    }

    /// Starts a reader from its cursors: the epoch and the frame it takes next.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn start(
        &mut self,
        core: &Core,
        metrics: &Arc<Metrics>,
        (epoch, frame): (u64, u64),
        mut sink: impl Sink + 'static,
    ) -> Result<(), ServiceError> {
        let holder = sink.committed((epoch, frame)).map(|(e, f)| core.holders.sink(sink.name(), e, f));
        if let (Some(holder), Some(gaps)) = (&holder, &self.gaps) {
            gaps.recall(holder)?;
        }
        let mut follow = Follow {
            batches: core.batches(epoch),
            rows: core.rows(frame),
            journal: core.journal.clone(),
            flow: core.flow.clone(),
            results: core.results.clone(),
            dictionary: core.dictionary.clone(),
            metrics: metrics.clone(),
            holder,
            gaps: self.gaps.clone(),
            stop: self.stop.clone(),
        };
        follow.begin((epoch, frame), &sink)?;
        let thread = std::thread::Builder::new().name(sink.name().to_owned()).spawn(move || {
            follow.wake(&std::thread::current());
            match follow.run(&mut sink) {
                // What the disk did not take is read again after the next start.
                Err(full) if full.is_disk_full() => {
                    warn!(sink = sink.name(), error = %full, "stopped while the disk was full");
                }
                Err(failure) => stop_in_doubt(&failure),
                Ok(()) => {}
            }
        });
        self.threads.push(thread.map_err(ServiceError::io("a reader's thread"))?);
        Ok(())
    }

    /// Lets every reader finish what is in the logs, and ends them. The flow must have settled.
    pub fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.thread().unpark();
            // A panic ends the process through the hook of `main`.
            let _ = thread.join();
        }
    }
}

impl Follow {
    /// A sink that has taken nothing yet begins with what there is: nothing was removed before it read
    /// it.
    fn begin(&mut self, from: (u64, u64), sink: &dyn Sink) -> Result<(), ServiceError> {
        let is_new = [from.0, from.1].iter().all(|at| matches!(*at, 0 | u64::MAX));
        if is_new {
            let (epochs, frames) = (self.batches.skip_collected()?, self.rows.skip_collected()?);
            if epochs > 0 || frames > 0 {
                tracing::info!(sink = sink.name(), epochs, frames, "begins at the oldest segment left");
            }
        }
        self.read();
        Ok(())
    }

    /// Tells what is read next: collection takes nothing from a sink that lies before it.
    fn read(&self) {
        if let Some(holder) = &self.holder {
            holder.reads_next(self.batches.position(), self.rows.position());
        }
    }

    fn wake(&self, thread: &Thread) {
        if self.batches.position() != u64::MAX {
            self.journal.wake(thread.clone(), Upon::Synced);
        }
        self.results.wake(thread.clone(), Upon::Written);
    }

    fn run(&mut self, sink: &mut dyn Sink) -> Result<(), ServiceError> {
        let mut rested = true;
        loop {
            // Asked before reading: what came in until then is read before the end.
            let stopping = self.stop.load(Ordering::SeqCst);
            let moved = !sink.is_away() && self.turn(sink)?;
            self.patiently(sink, |sink, _| sink.rest())?;
            self.hold(sink);
            let lag = self.journal.now().synced.saturating_sub(self.batches.position());
            self.metrics.reader_lag(sink.name(), lag);
            if moved {
                rested = false;
                continue;
            }
            if stopping && sink.is_away() {
                // Its cursor stays behind what it could not write: that is read after the next start.
                return Ok(());
            }
            if stopping && self.flow.now().written >= self.journal.now().written {
                return self.patiently(sink, |sink, _| sink.end());
            }
            if std::mem::replace(&mut rested, true) {
                std::thread::park_timeout(PARK);
            } else {
                std::thread::sleep(sink.gathers());
            }
        }
    }

    fn turn(&mut self, sink: &mut dyn Sink) -> Result<bool, ServiceError> {
        let mut moved = false;
        for _ in 0..TURN {
            let next = match self.batches.next(self.journal.now().synced) {
                Err(LogError::Missing { .. }) if self.skip(sink)? => continue,
                next => next?,
            };
            let Some((epoch, batch)) = next else { break };
            self.read();
            self.patiently(sink, |sink, dictionary| {
                let dictionary = dictionary.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                sink.batch(epoch, &batch, &dictionary)
            })?;
            moved = true;
        }
        for _ in 0..TURN {
            let next = match self.rows.next(self.results.now().written) {
                Err(LogError::Missing { .. }) if self.skip(sink)? => continue,
                next => next?,
            };
            let Some((frame, rows)) = next else { break };
            self.read();
            self.patiently(sink, |sink, _| sink.rows(frame, &rows))?;
            moved = true;
        }
        Ok(moved)
    }

    /// Asks one thing of a sink, again and again while the disk is full. When the service is to
    /// stop meanwhile, that is an error: the cursor stays behind what the disk did not take.
    fn patiently(
        &self,
        sink: &mut dyn Sink,
        mut ask: impl FnMut(&mut dyn Sink, &SharedDictionary) -> Result<(), ServiceError>,
    ) -> Result<(), ServiceError> {
        let mut told = false;
        loop {
            match ask(sink, &self.dictionary) {
                Err(full) if full.is_disk_full() && !self.stop.load(Ordering::SeqCst) => {
                    if !told {
                        warn!(sink = sink.name(), error = %full, "the disk is full; this sink waits until there is room");
                        told = true;
                    }
                    std::thread::sleep(FULL_DISK_RETRY);
                }
                result => return result,
            }
        }
    }

    /// Tells collection what is committed.
    fn hold(&self, sink: &dyn Sink) {
        let next = (self.batches.position(), self.rows.position());
        if let (Some(holder), Some((epoch, frame))) = (&self.holder, sink.committed(next)) {
            holder.advance(epoch, frame);
        }
    }

    /// Goes on at the first segments left if those that come next were collected; whether they were.
    fn skip(&mut self, sink: &mut dyn Sink) -> Result<bool, ServiceError> {
        let (epochs, frames) = (self.batches.skip_collected()?, self.rows.skip_collected()?);
        if epochs == 0 && frames == 0 {
            return Ok(false);
        }
        match &self.holder {
            Some(holder) => {
                let begins = |skipped: u64, at: u64| if skipped > 0 { at } else { 0 };
                let gone = (begins(epochs, self.batches.position()), begins(frames, self.rows.position()));
                holder.note_gap(gone);
                warn!(
                    sink = sink.name(),
                    epochs,
                    frames,
                    "what comes next was removed from the logs; this sink goes on behind the gap and needs a backfill"
                );
                // Before its cursor passes the gap: afterwards nothing else tells of it.
                if let Some(gaps) = self.gaps.as_ref().filter(|_| holder.needs_backfill()) {
                    self.patiently(sink, |_, _| gaps.raise(holder))?;
                }
            }
            None => tracing::info!(reader = sink.name(), epochs, "begins at the oldest segment left"),
        }
        Ok(true)
    }
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
