//! When snapshots are made, and the thread that makes them. What the sequencer's thread does for one
//! is a copy of its own state, without names and rings; everything else is read from the synced journal.
//!
//! One is made at a time, and runs are merged while none is to be made. The newest is never further behind than [`reach::Bounds::behind_max`] and one
//! portion of inputs: what more there is to append waits for the one on its way ([`reach`]).

pub mod reach;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
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

    /// Whether there is a batch that has to wait for the snapshot that is on its way.
    #[must_use]
    pub fn hold_back(&self, appender: &Appender) -> bool {
        appender.has_finished() && self.newest.holds_back(appender.end())
    }

    /// Waits until the next batch, if there is one, may be appended.
    pub fn wait(&self, appender: &Appender) {
        if self.hold_back(appender) {
            self.newest.wait(appender.end());
        }
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
            warn!(
                behind,
                "the newest snapshot is far behind; nothing waits for the next, and a start before it takes longer"
            );
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
        let mut merges = false;
        loop {
            let done = match next(&offered, merges, maker.is_crowded()) {
                Next::Make(kept) => {
                    while progress.wait(WAIT, |durable| durable.synced >= kept.epoch).synced < kept.epoch {}
                    let made = maker.make(kept);
                    match &made {
                        Ok(oldest) => {
                            holders.snapshot.advance(*oldest, u64::MAX);
                            newest.made();
                        }
                        Err(_) => newest.failed(false),
                    }
                    made.map(|_| true)
                }
                Next::Merge => maker.merge_step(),
                Next::End => return maker.stop_merging(),
            };
            merges = done.as_ref().is_ok_and(|more| *more);
            if let Err(failure) = done {
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

/// What the thread does next.
#[derive(Debug, PartialEq)]
enum Next {
    Make(Kept),
    Merge,
    End,
}

/// A snapshot that was offered comes before merging, unless there are too many runs, and so does a stop.
fn next(offered: &Receiver<Kept>, merges: bool, crowded: bool) -> Next {
    let waiting = match (merges, crowded) {
        (true, true) => return Next::Merge,
        (true, false) => offered.try_recv(),
        (false, _) => offered.recv().map_err(|_| TryRecvError::Disconnected),
    };
    match waiting {
        Ok(kept) => Next::Make(kept),
        Err(TryRecvError::Empty) => Next::Merge,
        Err(TryRecvError::Disconnected) => Next::End,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::Ordering;

    use super::reach::Reach;
    use super::*;
    use crate::journal::log::{LogKind, LogWriter};
    use crate::journal::memory_disk::MemoryDisk;
    use crate::journal::testing::Hands;
    use crate::journal::writer::Journal;
    use crate::model::control::Recompute;
    use crate::model::{Input, Timestamp};

    fn options(disk: &Arc<MemoryDisk>) -> JournalOptions {
        JournalOptions {
            dir: "journal".into(),
            segment_bytes_max: 1 << 30,
            disk: disk.clone(),
            clock: Arc::<Hands>::default(),
            linked: Arc::new(|_, _| {}),
            snapshots: Bounds::default(),
        }
    }

    /// Journals so many records; without `append` they wait.
    fn journals(appender: &mut Appender, records: usize, append: bool) {
        let now = Timestamp(0);
        let recompute = Recompute::of(now, Timestamp(1));
        appender.take((0..records).map(|_| Input::Recompute(recompute)), now, false);
        while append && appender.append().unwrap() != super::super::steps::Appended::Nothing {}
    }

    /// A journal in which something is, how many records that are, and its offers.
    fn begun(clock: &Arc<Hands>) -> (Appender, u64, Offers, Receiver<Kept>) {
        let mut appender = Journal::open(options(&Arc::default())).unwrap().ends().unwrap().0;
        journals(&mut appender, 1, true);
        let (held, end, bounds) = (appender.records(), appender.end(), Bounds::default());
        let newest = Arc::new(Newest::new(bounds, end, end));
        let (offers, offered) = Offers::new(clock.clone(), newest, &bounds);
        (appender, held, offers, offered)
    }

    #[test]
    fn a_snapshot_is_offered_after_a_time_or_so_many_records_if_there_are_any() {
        let clock = Arc::<Hands>::default();
        let (mut appender, held, mut offers, offered) = begun(&clock);
        let Bounds { every, due, .. } = Bounds::default();
        let mut offer = |appender: &Appender, wait: i64| {
            clock.0.fetch_add(wait, Ordering::Relaxed);
            offers.offer(appender);
            let next = offered.try_recv().ok().map(|kept| kept.next - held);
            if next.is_some() {
                offers.newest.made();
            }
            next
        };
        assert_eq!(offer(&appender, 2 * every), None, "nothing since the start");
        journals(&mut appender, 1, true);
        assert_eq!(offer(&appender, 0), Some(1), "long waited for");
        journals(&mut appender, 1, true);
        assert_eq!(offer(&appender, every - 1), None);
        assert_eq!(offer(&appender, 1), Some(2));
        assert_eq!(offer(&appender, 2 * every), None, "nothing since");
        journals(&mut appender, 1, true);
        assert_eq!(offer(&appender, 0), Some(3));
        journals(&mut appender, due.records as usize - 1, true);
        assert_eq!(offer(&appender, 0), None);
        journals(&mut appender, 1, true);
        assert_eq!(offer(&appender, 0), Some(3 + due.records));
        journals(&mut appender, 1, false);
        assert_eq!(offer(&appender, every), None, "a batch waits to be appended");
        journals(&mut appender, 0, true);
        assert_eq!(offer(&appender, 0), Some(4 + due.records));
    }

    #[test]
    fn one_is_made_at_a_time_and_a_clean_stop_leaves_what_is_new() {
        let clock = Arc::<Hands>::default();
        let (mut appender, held, mut offers, offered) = begun(&clock);
        let mut offer = |appender: &Appender| {
            clock.0.fetch_add(Bounds::default().every, Ordering::Relaxed);
            offers.offer(appender);
            offered.try_recv().ok().map(|kept| kept.next - held)
        };
        journals(&mut appender, 1, true);
        assert_eq!(offer(&appender), Some(1));
        journals(&mut appender, 1, true);
        assert_eq!(offer(&appender), None, "one is on its way");
        offers.newest.failed(false);
        let mut offer = |appender: &Appender| {
            clock.0.fetch_add(Bounds::default().every, Ordering::Relaxed);
            offers.offer(appender);
            offered.try_recv().ok().map(|kept| kept.next - held)
        };
        assert_eq!(offer(&appender), Some(2), "in the place of the one that failed");
        offers.last(&appender);
        assert!(offered.try_recv().is_err(), "nothing since");
        journals(&mut appender, 1, true);
        offers.last(&appender);
        assert_eq!(offered.try_recv().unwrap().next, held + 3);
    }

    #[test]
    fn only_what_is_to_be_appended_waits() {
        let (mut appender, _, offers, _offered) = begun(&Arc::default());
        let Reach { records, bytes } = appender.end();
        let bounds = Bounds { behind_max: Reach { records: 3, bytes: u64::MAX }, ..Bounds::default() };
        let newest = Newest::new(bounds, Reach { records, bytes }, Reach { records, bytes });
        let offers = Offers { newest: Arc::new(newest), ..offers };
        offers.newest.begun(appender.end());
        journals(&mut appender, 3, true);
        assert!(offers.newest.holds_back(appender.end()) && !offers.hold_back(&appender));
        // Returns: an answer to those who wait for what is appended leaves behind it.
        offers.wait(&appender);
        journals(&mut appender, 1, false);
        assert!(offers.hold_back(&appender));
        offers.newest.made();
        offers.wait(&appender);
    }

    #[test]
    fn a_snapshot_and_a_stop_come_before_merging_unless_there_are_too_many_runs() {
        let (appender, _, offers, offered) = begun(&Arc::default());
        assert_eq!(next(&offered, true, false), Next::Merge, "nothing waits");
        let kept = appender.kept().unwrap();
        for merges in [true, false] {
            offers.sender.send(kept.clone()).unwrap();
            assert_eq!(next(&offered, merges, !merges), Next::Make(kept.clone()));
        }
        offers.sender.send(kept.clone()).unwrap();
        assert_eq!(next(&offered, true, true), Next::Merge);
        assert_eq!(next(&offered, true, false), Next::Make(kept));
        drop(offers);
        assert_eq!([next(&offered, true, false), next(&offered, false, true)], [Next::End, Next::End]);
    }

    #[test]
    fn a_journal_whose_beginning_is_gone_needs_a_snapshot() {
        let disk = Arc::<MemoryDisk>::default();
        let dir = Path::new("journal");
        let mut log = LogWriter::open(disk.clone(), dir, LogKind::Journal, 1).unwrap();
        for _ in 0..3 {
            log.append(b"a batch").unwrap();
        }
        let files = disk.files();
        assert!(restore(&options(&disk), 3).is_ok(), "nothing is gone");
        let rest = files.into_iter().skip(1).collect();
        let found = restore(&options(&MemoryDisk::with(rest)), 3).err();
        assert!(matches!(found, Some(LogError::NoSnapshot { first: 1, .. })), "{found:?}");
    }
}
