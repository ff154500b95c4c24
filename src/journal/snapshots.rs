//! When snapshots are made, and the thread that makes them. What the sequencer's thread does for one
//! is a copy of its small state; everything else is read from the synced journal.
//!
//! One is made at a time. The newest is never further behind than [`reach::Bounds::behind_max`] and one
//! batch: what more there is to append waits for the one on its way ([`reach`]).

pub mod reach;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::warn;

use self::reach::{Bounds, Newest};
use super::clock::Clock;
use super::holders::Holders;
use super::log::{self, LogError};
use super::progress::Progress;
use super::sequencer::Sequencer;
use super::snapshot::maker::Base;
use super::snapshot::{Kept, Maker, Restored};
use super::steps::Appender;
use super::writer::JournalOptions;

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

/// The sequencer's end: offers its small state when a snapshot is due, and waits when the newest is too
/// far behind.
pub struct Offers {
    sender: SyncSender<Kept>,
    newest: Arc<Newest>,
    clock: Arc<dyn Clock>,
    every: i64,
    offered_at: i64,
    /// That nobody waits although the newest is too far behind was told.
    told: bool,
}

impl Offers {
    /// Both ends.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, newest: Arc<Newest>, bounds: &Bounds) -> (Self, Receiver<Kept>) {
        let (sender, receiver) = sync_channel(1);
        let (offered_at, every) = (clock.monotonic(), bounds.every);
        (Self { sender, newest, clock, every, offered_at, told: false }, receiver)
    }

    /// Offers what is to be kept, if it is time.
    pub fn offer(&mut self, appender: &Appender) {
        let end = appender.end();
        let rested = self.clock.monotonic() - self.offered_at >= self.every;
        if self.newest.is_due(end, rested) && self.give(appender) {
            self.offered_at = self.clock.monotonic();
        }
        self.tell(appender);
    }

    /// Whether the next batch has to wait for the snapshot that is on its way.
    #[must_use]
    pub fn hold_back(&self, appender: &Appender) -> bool {
        self.newest.holds_back(appender.end())
    }

    /// Waits until the next batch may be appended.
    pub fn wait(&self, appender: &Appender) {
        self.newest.wait(appender.end());
    }

    /// Offers what a clean stop leaves.
    pub fn last(&self, appender: &Appender) {
        if self.newest.is_behind(appender.end()) {
            self.give(appender);
        }
    }

    /// Gives what a snapshot keeps to the thread; false while batches wait to be appended.
    fn give(&self, appender: &Appender) -> bool {
        let Some(kept) = appender.kept() else { return false };
        self.newest.begun(appender.end());
        let given = self.sender.send(kept).is_ok();
        if !given {
            // The thread is gone: nobody is to wait for it.
            self.newest.failed(true);
        }
        given
    }

    fn tell(&mut self, appender: &Appender) {
        let left_behind = self.newest.is_left_behind(appender.end());
        if left_behind && !self.told {
            let behind = self.newest.figures().behind.records;
            warn!(behind, "no snapshot can be made; nothing waits for it, and the next start takes longer");
        }
        self.told = left_behind;
    }
}

/// Starts the thread that makes snapshots; it ends with the offers.
///
/// # Errors
/// When it cannot be started.
pub fn spawn(
    maker: Maker,
    offered: Receiver<Kept>,
    newest: Arc<Newest>,
    progress: Arc<Progress>,
    holders: Arc<Holders>,
) -> io::Result<JoinHandle<()>> {
    let work = move || {
        let mut maker = maker;
        while let Ok(kept) = offered.recv() {
            while progress.wait(WAIT, |durable| durable.synced >= kept.epoch).synced < kept.epoch {}
            let made = maker.make(kept);
            let merged = match made {
                Ok(oldest) => {
                    holders.snapshot.advance(oldest, u64::MAX);
                    newest.made();
                    maker.merge()
                }
                Err(failure) => {
                    newest.failed(false);
                    Err(failure)
                }
            };
            if let Err(failure) = merged {
                warn!(error = %failure, "the snapshot could not be written; tried again");
                maker = match maker.again() {
                    Ok(maker) => maker,
                    Err(failure) => {
                        newest.failed(true);
                        warn!(error = %failure, "no more snapshots until the next start, which takes longer");
                        return;
                    }
                };
            }
        }
    };
    std::thread::Builder::new().name("snapshot".into()).spawn(work)
}
