//! When snapshots are made, and the thread that makes them. What the sequencer's thread does for one
//! is a copy of its small state; everything else is read from the synced journal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::warn;

use super::clock::Clock;
use super::holders::Holders;
use super::log::{self, LogError};
use super::progress::Progress;
use super::sequencer::Sequencer;
use super::snapshot::maker::Base;
use super::snapshot::{Kept, Maker, Restored};
use super::steps::Appender;
use super::writer::JournalOptions;

/// A snapshot is due after so many records, and
const RECORDS: u64 = 250_000;
/// after this many nanoseconds in which anything was journalled.
const EVERY: i64 = 7_000_000_000;
/// The sync thread is waited for in steps of this.
const WAIT: Duration = Duration::from_millis(200);

/// The folder of the snapshots of a journal.
fn folder(options: &JournalOptions) -> PathBuf {
    options.dir.join("snapshot")
}

/// The sequencer as the newest snapshot has it, what makes the next ones, and the epoch from which the
/// journal is to be folded in.
///
/// # Errors
/// [`LogError::NoSnapshot`] when none reads and the journal does not reach back to its beginning.
pub fn restore(options: &JournalOptions, end: u64) -> Result<(Sequencer, Maker, u64), LogError> {
    let (disk, dir) = (&options.disk, folder(options));
    let first = log::segments(&**disk, &options.dir)?.first().map_or(0, |segment| segment.0);
    let (sequencer, base, from) = match Restored::newest(disk, &dir, first, end)? {
        Some(restored) => {
            let epoch = restored.state.kept.epoch;
            let (base, state) = Base::of(restored);
            (Sequencer::restored(state), Some(base), epoch)
        }
        None if first > 0 => return Err(LogError::NoSnapshot { path: dir, first }),
        None => (Sequencer::default(), None, 0),
    };
    let maker = Maker::new(disk, &dir, &options.dir, sequencer.dictionary(), base);
    Ok((sequencer, maker, from))
}

/// The sequencer's end: offers its small state when a snapshot is due. One that is still being made
/// is not waited for.
pub struct Offers {
    sender: SyncSender<Kept>,
    clock: Arc<dyn Clock>,
    offered_at: i64,
    records: u64,
}

impl Offers {
    /// Both ends; `records` are in the journal.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, records: u64) -> (Self, Receiver<Kept>) {
        let (sender, receiver) = sync_channel(1);
        (Self { sender, offered_at: clock.monotonic(), clock, records }, receiver)
    }

    /// Offers what is to be kept, if it is time.
    pub fn offer(&mut self, appender: &Appender) {
        let fresh = appender.records().saturating_sub(self.records);
        let waited = self.clock.monotonic() - self.offered_at;
        let due = fresh >= RECORDS || fresh > 0 && waited >= EVERY;
        if due && let Some(kept) = appender.kept() {
            self.offered_at = self.clock.monotonic();
            if self.sender.try_send(kept).is_ok() {
                self.records = appender.records();
            }
        }
    }

    /// Offers what a clean stop leaves.
    pub fn last(&self, appender: &Appender) {
        if appender.records() > self.records
            && let Some(kept) = appender.kept()
        {
            // The receiver only goes with the process.
            let _ = self.sender.send(kept);
        }
    }
}

/// Starts the thread that makes snapshots; it ends with the offers.
///
/// # Errors
/// When it cannot be started.
pub fn spawn(
    maker: Maker,
    offered: Receiver<Kept>,
    progress: Arc<Progress>,
    holders: Arc<Holders>,
) -> io::Result<JoinHandle<()>> {
    let work = move || {
        let mut maker = maker;
        while let Ok(kept) = offered.recv() {
            while progress.wait(WAIT, |durable| durable.synced >= kept.epoch).synced < kept.epoch {}
            match maker.make(kept) {
                Ok(oldest) => holders.snapshot.advance(oldest, u64::MAX),
                Err(failure) => {
                    warn!(error = %failure, "the snapshot could not be written; tried again");
                    maker = match maker.again() {
                        Ok(maker) => maker,
                        Err(failure) => {
                            warn!(error = %failure, "no more snapshots until the next start, which takes longer");
                            return;
                        }
                    };
                }
            }
        }
    };
    std::thread::Builder::new().name("snapshot".into()).spawn(work)
}
