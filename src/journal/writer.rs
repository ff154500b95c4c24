//! The threads of the journal: one that sequences and writes, one that syncs.
//!
//! Acknowledgement waits for neither the dataflow nor a sink: a message is journalled, the sync
//! thread makes it durable, and the gates learn of it by [`Progress`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::clock::{ArrivalClock, Clock};
use super::disk::Disk;
use super::holders::Holders;
use super::log::{LogError, LogKind, LogWriter};
use super::mark::Mark;
use super::progress::Progress;
use super::quota::Throttled;
use super::reader::BatchReader;
use super::sequencer::{Sequencer, SharedDictionary};
use super::snapshot::Maker;
use super::snapshots::reach::{Bounds, Newest, Reach};
use super::snapshots::{self, Offers};
use super::steps::{Appended, Appender, Syncer};
use crate::model::{Input, Timestamp};

/// Inputs taken from the channel at once.
const INPUTS_AT_ONCE: usize = 64;
/// Events, and messages without any, that are taken in before they are appended; the input that goes
/// beyond it is taken in whole. A snapshot can only be offered in between.
const EVENTS_AT_ONCE: usize = 4_096;
/// So long after a batch more is waited for before the next, unless there are so many messages.
const GATHERS: Duration = Duration::from_micros(500);
const GATHERED_MIN: usize = 512;
/// Ticks are looked for this often when nothing comes in.
const IDLE: Duration = Duration::from_millis(200);
/// A full disk is tried again after this long.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);
/// Exit code after the disk failed (`EX_IOERR` of sysexits).
const EXIT_IO: i32 = 74;
/// Exit code when what is on the disk cannot be relied on (`EX_DATAERR`).
const EXIT_DATA: i32 = 65;

/// How a journal is kept.
pub struct JournalOptions {
    /// Folder of its segments.
    pub dir: PathBuf,
    /// A segment is ended at this size.
    pub segment_bytes_max: u64,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Told of each feed that gets or loses its connection.
    pub linked: Linked,
    /// When snapshots are made, and who waits for them.
    pub snapshots: Bounds,
}

/// Hears of feeds and their connections; must not block.
pub type Linked = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// An open journal, before its threads run.
pub struct Journal {
    options: JournalOptions,
    writer: LogWriter,
    sequencer: Sequencer,
    maker: Maker,
    newest: Arc<Newest>,
    /// Bytes of the batches that were folded in.
    folded_bytes: u64,
    progress: Arc<Progress>,
    holders: Arc<Holders>,
}

/// A running journal.
pub struct Running {
    sequencer: JoinHandle<Result<(), LogError>>,
    syncer: JoinHandle<Result<(), LogError>>,
    snapshots: JoinHandle<()>,
}

impl Journal {
    /// Opens or begins the journal and folds it into the sequencer's state.
    ///
    /// # Errors
    /// [`LogError`] when the disk fails or the journal is damaged.
    pub fn open(options: JournalOptions) -> Result<Self, LogError> {
        let writer =
            LogWriter::open(options.disk.clone(), &options.dir, LogKind::Journal, options.segment_bytes_max)?;
        // What an earlier run wrote and did not sync becomes durable before anything builds on it.
        writer.file().sync().map_err(|source| LogError::Disk { path: options.dir.clone(), source })?;
        let (mut sequencer, maker, from) = snapshots::restore(&options, writer.next())?;
        let made = Reach { records: sequencer.next(), bytes: 0 };
        let mut reader = BatchReader::new(options.disk.clone(), &options.dir, from);
        while let Some((_, batch)) = reader.next(writer.next())? {
            sequencer.recover(&batch);
        }
        let progress = Arc::new(Progress::new(writer.next()));
        progress.arrived(sequencer.last_arrival());
        progress.passed(sequencer.next());
        let folded_bytes = reader.read_bytes();
        let end = Reach { records: sequencer.next(), bytes: folded_bytes };
        let newest = Arc::new(Newest::new(options.snapshots, made, end));
        let Reach { records, bytes } = end.since(made);
        info!(epochs = writer.next(), folded = records, bytes, "journal opened");
        Ok(Self {
            options,
            writer,
            sequencer,
            maker,
            newest,
            folded_bytes,
            progress,
            holders: Arc::default(),
        })
    }

    /// Where its newest snapshot stands.
    #[must_use]
    pub fn newest_snapshot(&self) -> Arc<Newest> {
        self.newest.clone()
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Who holds back the collection of its segments; its snapshots do.
    #[must_use]
    pub fn holders(&self) -> Arc<Holders> {
        self.holders.clone()
    }

    /// The names it knows.
    #[must_use]
    pub fn dictionary(&self) -> SharedDictionary {
        self.sequencer.dictionary()
    }

    /// Whose messages it refuses for their rate.
    #[must_use]
    pub fn throttled(&self) -> Arc<Throttled> {
        self.sequencer.throttled()
    }

    /// Arrival time of its last record; `Timestamp::MIN` when it is empty.
    #[must_use]
    pub fn last_arrival(&self) -> Timestamp {
        self.sequencer.last_arrival()
    }

    /// Folder of its segments.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// Its appending and its syncing end, for whoever drives them.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn ends(self) -> Result<(Appender, Syncer), LogError> {
        self.ends_and_maker().map(|(appender, syncer, _)| (appender, syncer))
    }

    /// As [`Journal::ends`], with what makes its snapshots.
    ///
    /// # Errors
    /// [`LogError::Disk`].
    pub fn ends_and_maker(self) -> Result<(Appender, Syncer, Maker), LogError> {
        let Self { options, writer, sequencer, maker, progress, folded_bytes, .. } = self;
        let mark = Mark::open(&*options.disk, &options.dir)?;
        let appender = Appender::new(writer, sequencer, progress, options.linked).behind(folded_bytes);
        let syncer = appender.syncer(mark, options.dir);
        Ok((appender, syncer, maker))
    }

    /// Starts its threads. `live` makes ticks by the clock; without it arrival times come from the
    /// messages (`replay`).
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(self, inputs: mpsc::Receiver<Input>, live: bool) -> io::Result<Running> {
        let clock = self.options.clock.clone();
        let (progress, holders, newest) = (self.progress.clone(), self.holders.clone(), self.newest.clone());
        let (offers, offered) = Offers::new(clock.clone(), newest.clone(), &self.options.snapshots);
        let (mut appender, mut syncer, maker) = self.ends_and_maker().map_err(io::Error::other)?;
        let snapshots = snapshots::spawn(maker, offered, newest, progress, holders)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        let syncer = std::thread::Builder::new().name("journal-sync".into()).spawn(move || {
            let result = sync_loop(&mut syncer, &stop);
            if let Err(failure) = &result {
                // After a failed sync nothing is known of what was written: carry on in no doubt.
                error!(error = %failure, "the journal cannot be made durable; stopping");
                std::process::exit(EXIT_IO);
            }
            result
        })?;
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let sequencer = std::thread::Builder::new().name("sequencer".into()).spawn(move || {
            let result = append_loop(&mut appender, inputs, &waiting, &*clock, (live, offers));
            stopped.store(true, Ordering::SeqCst);
            appender.close();
            if let Err(failure) = &result {
                error!(error = %failure, "the journal cannot be written; stopping");
                std::process::exit(exit_code(failure));
            }
            result
        })?;
        Ok(Running { sequencer, syncer, snapshots })
    }
}

impl Running {
    /// Waits until a stop has been worked off and everything is durable.
    ///
    /// # Errors
    /// [`LogError`] when the last writes failed.
    pub fn join(self) -> Result<(), LogError> {
        for thread in [self.sequencer, self.syncer] {
            // A panic ends the process through the hook of `main`.
            if let Ok(result) = thread.join() {
                result?;
            }
        }
        let _ = self.snapshots.join();
        Ok(())
    }
}

/// A snapshot may turn out damaged when a device comes back; everything else is the disk.
fn exit_code(failure: &LogError) -> i32 {
    if matches!(failure, LogError::Disk { .. }) { EXIT_IO } else { EXIT_DATA }
}

fn sync_loop(syncer: &mut Syncer, stopped: &AtomicBool) -> Result<(), LogError> {
    loop {
        syncer.progress().wait(IDLE, |durable| durable.synced < durable.written);
        let mut moved = false;
        while syncer.step()? {
            moved = true;
        }
        if !moved && stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
    }
}

fn append_loop(
    appender: &mut Appender,
    mut inputs: mpsc::Receiver<Input>,
    waiting: &Runtime,
    clock: &dyn Clock,
    (live, mut offers): (bool, Offers),
) -> Result<(), LogError> {
    let mut arrival = ArrivalClock::new(clock, appender.last_arrival());
    let mut received = Vec::with_capacity(INPUTS_AT_ONCE);
    let mut appended = Instant::now();
    loop {
        let count =
            waiting.block_on(async { timeout(IDLE, inputs.recv_many(&mut received, INPUTS_AT_ONCE)).await });
        let closed = count == Ok(0);
        if live {
            gather(&mut received, &mut inputs, appended + GATHERS);
        }
        let mut stop = closed;
        let mut taking = received.drain(..);
        loop {
            let now = if live { arrival.now() } else { appender.last_arrival() };
            if live {
                appender.host_clock(arrival.ahead_seconds(), now);
            }
            let taken = appender.take(portion(&mut taking), now, live);
            append_all(appender, &offers)?;
            appended = Instant::now();
            offers.offer(appender);
            taken.flushes.into_iter().for_each(|tell| tell(appender.next()));
            stop |= taken.stop;
            if taking.len() == 0 {
                break;
            }
        }
        if stop {
            offers.last(appender);
            info!(epochs = appender.next(), records = appender.records(), "journal closed");
            return Ok(());
        }
    }
}

/// Takes what else comes by `until`, unless enough is there for a batch: each batch costs a write, a share
/// of a sync, and everybody's look at it. Who comes alone waits for nobody.
fn gather(received: &mut Vec<Input>, inputs: &mut mpsc::Receiver<Input>, until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    let messages = |input: &Input| if let Input::Messages(these) = input { these.len() } else { 0 };
    if left.is_zero() || received.iter().map(messages).sum::<usize>() >= GATHERED_MIN {
        return;
    }
    std::thread::sleep(left);
    while received.len() < INPUTS_AT_ONCE
        && let Ok(input) = inputs.try_recv()
    {
        received.push(input);
    }
}

/// The inputs that come next, until they hold [`EVENTS_AT_ONCE`].
fn portion<'a>(inputs: &'a mut impl Iterator<Item = Input>) -> impl Iterator<Item = Input> + 'a {
    let mut events = 0;
    std::iter::from_fn(move || {
        let input = (events < EVENTS_AT_ONCE).then(|| inputs.next()).flatten()?;
        events += match &input {
            Input::Messages(these) => these.iter().map(|one| one.decoded.events.len().max(1)).sum(),
            Input::Restore(these) => these.len(),
            _ => 0,
        };
        Some(input)
    })
}

/// Appends what was taken in; while the disk is full, or the newest snapshot too far behind,
/// acknowledgements wait with it.
fn append_all(appender: &mut Appender, offers: &Offers) -> Result<(), LogError> {
    loop {
        offers.wait(appender);
        match appender.append()? {
            Appended::Epoch(_) => {}
            Appended::Nothing => return Ok(()),
            Appended::DiskFull => {
                warn!("the journal's disk is full; nothing is acknowledged until there is room");
                std::thread::sleep(FULL_DISK_RETRY);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decoded, DecodedEvent, Submission};

    fn message(events: usize) -> Submission {
        let event = DecodedEvent {
            sensor: "a".into(),
            tags: Vec::new().into(),
            event_at: None,
            counter: None,
            readings: Vec::new().into(),
        };
        let decoded = Decoded { events: vec![event; events].into(), ..Decoded::default() };
        Submission {
            feed: "air".into(),
            topic: "x".into(),
            payload: Default::default(),
            arrived_at: None,
            decoded,
            repeated: false,
            brought: None,
            ack: None,
        }
    }

    #[test]
    fn inputs_are_taken_in_until_they_hold_so_many_events() {
        let taken = |bursts: &[(usize, usize)]| -> Vec<usize> {
            let burst = |(messages, events): &(usize, usize)| {
                Input::Messages((0..*messages).map(|_| message(*events)).collect())
            };
            let mut inputs = bursts.iter().map(burst).peekable();
            let mut portions = Vec::new();
            while inputs.peek().is_some() {
                portions.push(portion(&mut inputs).count());
            }
            portions
        };
        assert_eq!(taken(&[(4_095, 1), (1_000, 1), (1, 1)]), [2, 1]);
        assert_eq!(taken(&[(10, 200), (10, 200), (10, 200), (10, 200)]), [3, 1], "each of many events");
        assert_eq!(taken(&[(4_095, 0), (1, 0), (1, 0)]), [2, 1], "of none");
    }

    #[test]
    fn what_comes_soon_after_a_batch_is_gathered_unless_there_is_enough() {
        let (sender, mut inputs) = mpsc::channel(8);
        let stop = || sender.try_send(Input::Stop).unwrap();
        let soon = || Instant::now() + Duration::from_millis(5);
        let mut received = vec![Input::Stop];
        stop();
        gather(&mut received, &mut inputs, Instant::now());
        assert_eq!(received.len(), 1, "the last batch was long ago");
        gather(&mut received, &mut inputs, soon());
        assert_eq!(received.len(), 2);
        stop();
        received.push(Input::Messages((0..GATHERED_MIN).map(|_| message(1)).collect()));
        gather(&mut received, &mut inputs, soon());
        assert_eq!(received.len(), 3);
    }

    #[test]
    fn a_disk_that_fails_and_data_that_cannot_be_relied_on_end_it_with_codes_of_their_own() {
        let path = PathBuf::from("journal");
        let disk = LogError::Disk { path: path.clone(), source: io::ErrorKind::PermissionDenied.into() };
        assert_eq!(exit_code(&disk), 74);
        assert_eq!(exit_code(&LogError::Missing { path, ordinal: 1 }), 65);
    }
}
