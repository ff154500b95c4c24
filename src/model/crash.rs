//! The instants at which a crash must change nothing, by name.
//!
//! Every layer marks its own with [`Point::pass`], which does nothing unless a point was armed: the
//! command line arms one from `SERENO_CRASH_AT=name[:nth]`, and the process aborts there, as if it
//! had been killed. Tests hook the points of their own thread instead. A point says where a crash
//! would fall; what must hold after it is the tests' matter.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One instant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Point { $($(#[$doc])* $variant,)* }

        impl Point {
            /// Every point.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that `SERENO_CRASH_AT` takes.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

points! {
    /// The journal's frame is written; nobody was told.
    JournalAppended = "journal.appended",
    /// The journal's gates know their epoch; the sync thread does not.
    JournalTold = "journal.told",
    /// The journal is synced; the mark does not say so.
    JournalSynced = "journal.synced",
    /// The mark is written; no acknowledgement may leave yet.
    JournalMarked = "journal.marked",
    /// Acknowledgements may leave.
    JournalDurable = "journal.durable",
    /// A segment is ended and synced; the next does not exist.
    SegmentEnded = "segment.ended",
    /// The next segment has a name and no header.
    SegmentNamed = "segment.named",
    /// The next segment has its header; no frame.
    SegmentBegun = "segment.begun",
    /// The rows of an epoch are in the results log; no reader was told.
    ResultsAppended = "results.appended",
    /// The results log is durable up to a checkpoint; none of its files exists.
    CheckpointResultsSynced = "checkpoint.results_synced",
    /// A checkpoint's files are written and synced; no manifest names them.
    CheckpointWritten = "checkpoint.written",
    /// Its manifest has its name; older files are still there.
    CheckpointNamed = "checkpoint.named",
    /// What is no longer needed is removed.
    CheckpointKept = "checkpoint.kept",
    /// A snapshot's new events are written and synced; nothing names them.
    SnapshotRunWritten = "snapshot.run_written",
    /// Everything that a snapshot names is durable; it has no manifest.
    SnapshotWritten = "snapshot.written",
    /// Its manifest has its name; older files are still there.
    SnapshotNamed = "snapshot.named",
    /// An old segment is removed; the next one that may go is still there.
    SegmentRemoved = "segment.removed",
    /// Acknowledgements have their turn; none has left.
    FeedAcknowledging = "feed.acknowledging",
    /// Acknowledgements have left, or stand in the connection's buffer.
    FeedAcknowledged = "feed.acknowledged",
    /// A Parquet file is written and synced; no manifest names it.
    StoreFileWritten = "store.file_written",
    /// Files and cursors stand in a transaction that is not committed.
    StoreCommitting = "store.committing",
    /// They are committed; memory still holds the rows.
    StoreCommitted = "store.committed",
    /// InfluxDB has the points; the cursor does not say so.
    InfluxWritten = "influx.written",
    /// The cursor says so.
    InfluxCommitted = "influx.committed",
    /// Alerts, outbox and cursor stand in a transaction that is not committed.
    LedgerCommitting = "ledger.committing",
    /// They are committed; nobody was told.
    LedgerCommitted = "ledger.committed",
    /// A notification is about to leave.
    OutboxSending = "outbox.sending",
    /// The receiver has it; the outbox does not say so.
    OutboxSent = "outbox.sent",
    /// The outbox says so.
    OutboxMarked = "outbox.marked",
}

/// The armed point, and how many passes are left until the crash.
static ARMED: OnceLock<(Point, AtomicU64)> = OnceLock::new();

/// Arms the crash that `setting`, `name[:nth]`, asks for. The first one armed holds.
///
/// # Errors
/// When no point is called so, or `nth` is no number from 1 on.
pub fn arm(setting: &str) -> Result<(), String> {
    let (name, nth) = setting.split_once(':').unwrap_or((setting, "1"));
    let Some(point) = Point::ALL.iter().find(|point| point.name() == name) else {
        let names: Vec<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        return Err(format!("no crash point is called {name}; there are {}", names.join(", ")));
    };
    let nth = nth.parse().ok().filter(|nth| *nth > 0);
    let nth: u64 = nth.ok_or_else(|| format!("{setting}: the number after the colon counts from 1"))?;
    ARMED.get_or_init(|| (*point, AtomicU64::new(nth)));
    Ok(())
}

impl Point {
    /// Marks that the process has come to this instant. Aborts it there if it was armed.
    #[inline]
    pub fn pass(self) {
        #[cfg(test)]
        testing::visit(self);
        if let Some((point, left)) = ARMED.get()
            && *point == self
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            std::process::abort();
        }
    }
}

/// Crashes within the process: a hooked point unwinds to [`testing::until_crash`].
#[cfg(test)]
pub mod testing {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::Point;

    type Hook = Box<dyn FnMut(Point) -> bool>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    struct Crashed(Point);

    pub(super) fn visit(point: Point) {
        let crash = HOOK.with_borrow_mut(|hook| hook.as_mut().is_some_and(|hook| hook(point)));
        if crash {
            // Without the panic's message: this is no failure.
            resume_unwind(Box::new(Crashed(point)));
        }
    }

    /// Runs `work`; where `hook` says so of a point that this thread passes, `work` ends there and
    /// the point is the error. What `work` held is dropped as it lies.
    pub fn until_crash<T>(
        hook: impl FnMut(Point) -> bool + 'static,
        work: impl FnOnce() -> T,
    ) -> Result<T, Point> {
        HOOK.set(Some(Box::new(hook)));
        let outcome = catch_unwind(AssertUnwindSafe(work));
        HOOK.set(None);
        outcome.map_err(|payload| match payload.downcast::<Crashed>() {
            Ok(crashed) => crashed.0,
            Err(payload) => resume_unwind(payload),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::until_crash;
    use super::*;

    #[test]
    fn a_hooked_point_ends_the_work_there() {
        let mut left = 2;
        let hook = move |point| {
            left -= u32::from(point == Point::JournalAppended);
            left == 0
        };
        let crashed = until_crash(hook, || {
            Point::JournalAppended.pass();
            Point::JournalSynced.pass();
            Point::JournalAppended.pass();
            panic!("it went on");
        });
        assert_eq!(crashed, Err(Point::JournalAppended));
    }

    #[test]
    fn names_are_unique_and_unknown_ones_are_refused() {
        let mut names: Vec<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Point::ALL.len());
        assert!(arm("journal.nowhere").is_err());
        assert!(arm("journal.synced:0").is_err());
    }
}
