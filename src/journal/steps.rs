//! What the journal's threads do, one step at a time and without a thread: [`super::writer`] drives
//! the steps on two threads, the simulation drives the same ones in any interleaving.
//!
//! A step ends where a crash or the other thread may come between. The order that everything rests
//! on stands here: append, sync, mark, and only then does [`Progress`] say so and acknowledgements
//! leave.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::batch_codec;
use super::disk::LogFile;
use super::log::{LogError, LogWriter, at};
use super::mark::Mark;
use super::progress::Progress;
use super::sequencer::{Finished, Sequencer};
use super::snapshot::Kept;
use super::snapshots::reach::Reach;
use super::writer::Linked;
use crate::model::crash::Point;
use crate::model::{Durable, Input, Timestamp};

/// The journal's current file: appended to by the one side, synced by the other.
type Current = Arc<Mutex<Arc<dyn LogFile>>>;

/// The sequencer's side: inputs to batches, batches to the journal.
pub struct Appender {
    writer: LogWriter,
    sequencer: Sequencer,
    progress: Arc<Progress>,
    current: Current,
    linked: Linked,
    finished: VecDeque<Finished>,
    /// What is in the journal.
    end: Reach,
}

/// What came with inputs and is not the sequencer's.
#[derive(Default)]
pub struct Taken {
    /// Told once everything taken so far is appended.
    pub flushes: Vec<Box<dyn FnOnce(u64) + Send>>,
    /// Nothing more will come.
    pub stop: bool,
}

/// What one step of appending did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Everything taken in is in the journal.
    Nothing,
    /// The batch of this epoch is.
    Epoch(u64),
    /// The disk is full: nothing was written, the batch and its acknowledgements wait.
    DiskFull,
}

impl Appender {
    /// The appending end over an open log and the state folded from it.
    #[must_use]
    pub fn new(writer: LogWriter, sequencer: Sequencer, progress: Arc<Progress>, linked: Linked) -> Self {
        let current = Arc::new(Mutex::new(writer.file()));
        let end = Reach { records: sequencer.next(), bytes: 0 };
        Self { writer, sequencer, progress, current, linked, finished: VecDeque::new(), end }
    }

    /// So many bytes of the journal are already counted.
    #[must_use]
    pub fn behind(mut self, bytes: u64) -> Self {
        self.end.bytes = bytes;
        self
    }

    /// The journal's end: everything appended lies before it.
    #[must_use]
    pub fn end(&self) -> Reach {
        self.end
    }

    /// The syncing end of the same journal.
    #[must_use]
    pub fn syncer(&self, mark: Mark, dir: PathBuf) -> Syncer {
        let progress = self.progress.clone();
        Syncer { progress, current: self.current.clone(), mark, dir, round: Round::Idle }
    }

    /// Arrival time of the last record.
    #[must_use]
    pub fn last_arrival(&self) -> Timestamp {
        self.sequencer.last_arrival()
    }

    /// Epoch of the next batch.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.writer.next()
    }

    /// Journals that the wall clock is so many whole seconds ahead of the arrival clock and not followed,
    /// or 0: followed; unless that is known. The record leaves with the next [`Appender::take`].
    pub fn host_clock(&mut self, ahead_seconds: i64, now: Timestamp) {
        self.sequencer.host_clock(ahead_seconds, now);
    }

    /// Takes inputs in at `now` and ends the batch. `live`: the arrival clock makes ticks.
    pub fn take(&mut self, inputs: impl IntoIterator<Item = Input>, now: Timestamp, live: bool) -> Taken {
        let mut taken = Taken::default();
        if live {
            self.sequencer.resume(now);
        }
        for input in inputs {
            match input {
                Input::Messages(messages) => self.sequencer.accept(messages, now),
                Input::Connected { feed, up } => {
                    self.sequencer.connected(&feed, up, now);
                    (self.linked)(&feed, up);
                }
                Input::Control(controls) => self.sequencer.configure(controls, now),
                Input::Restore(events) => self.sequencer.restore(events, now),
                Input::Recompute(recompute) => self.sequencer.recompute(recompute, now),
                Input::Flush(tell) => taken.flushes.push(tell),
                Input::Stop => taken.stop = true,
            }
        }
        if live {
            self.sequencer.pass(now);
        }
        self.finished.extend(self.sequencer.take());
        taken
    }

    /// Appends one batch and tells its gates the epoch.
    ///
    /// # Errors
    /// [`LogError`]: the journal cannot be written, the service stops.
    pub fn append(&mut self) -> Result<Appended, LogError> {
        if let Some(failure) = self.sequencer.fault() {
            return Err(failure);
        }
        let Some(finished) = self.finished.front() else { return Ok(Appended::Nothing) };
        let content = batch_codec::encode(&finished.batch);
        let epoch = match self.writer.append(&content) {
            Err(failure) if failure.is_disk_full() => return Ok(Appended::DiskFull),
            result => result?,
        };
        self.end.records = finished.batch.next();
        self.end.bytes += content.len() as u64;
        Point::JournalAppended.pass();
        self.progress.passed(finished.batch.next());
        let mut awaited = false;
        for ack in self.finished.pop_front().map(|finished| finished.acks).unwrap_or_default() {
            awaited |= ack.gate.journaled(ack.ticket, epoch);
        }
        Point::JournalTold.pass();
        // First the file, then the number: who reads the number syncs a file that holds it.
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = self.writer.file();
        self.progress.arrived(self.sequencer.last_arrival());
        self.progress.appended(epoch + 1, awaited);
        Ok(Appended::Epoch(epoch))
    }

    /// Whether a batch waits to be appended.
    #[must_use]
    pub fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// What a snapshot keeps of the sequencer; `None` while batches wait to be appended.
    #[must_use]
    pub fn kept(&self) -> Option<Kept> {
        (!self.has_finished()).then(|| self.sequencer.kept(self.writer.next()))
    }

    /// Wakes the syncing end for its last round.
    pub fn close(&self) {
        self.progress.written(self.writer.next());
    }

    /// Sequence of the next record.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.sequencer.next()
    }
}

/// The syncing end: makes durable what is written, and says so.
pub struct Syncer {
    progress: Arc<Progress>,
    current: Current,
    mark: Mark,
    dir: PathBuf,
    round: Round,
}

/// How far one round of syncing has come; the number is the epoch up to which it reaches.
enum Round {
    Idle,
    Begun(u64, Arc<dyn LogFile>),
    Synced(u64),
    Marked(u64),
}

impl Syncer {
    /// Where the journal stands.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes one step of a round; whether there was one to take.
    ///
    /// # Errors
    /// [`LogError`]: after a failed sync nothing is known of what was written, the service stops.
    pub fn step(&mut self) -> Result<bool, LogError> {
        self.round = match std::mem::replace(&mut self.round, Round::Idle) {
            Round::Idle => {
                let Durable { written, synced } = self.progress.now();
                if synced >= written {
                    return Ok(false);
                }
                // A segment is synced before the next begins, so the current file is all there is.
                Round::Begun(written, self.current.lock().unwrap_or_else(PoisonError::into_inner).clone())
            }
            Round::Begun(written, file) => {
                let began = Instant::now();
                file.sync().map_err(|source| at(&self.dir, source))?;
                self.progress.sync_completed(written, began.elapsed());
                Point::JournalSynced.pass();
                Round::Synced(written)
            }
            Round::Synced(written) => {
                // Recorded before anything is acknowledged.
                self.mark.write(written)?;
                Point::JournalMarked.pass();
                Round::Marked(written)
            }
            Round::Marked(written) => {
                self.progress.synced(written);
                Point::JournalDurable.pass();
                Round::Idle
            }
        };
        Ok(true)
    }
}
