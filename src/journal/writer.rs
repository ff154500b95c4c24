//! The threads of the journal: one that sequences and writes, one that syncs.
//!
//! Acknowledgement waits for neither the dataflow nor a sink: a message is journalled, the sync
//! thread makes it durable, and the gates learn of it by [`Progress`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::batch_codec;
use super::clock::{ArrivalClock, Clock};
use super::disk::{Disk, LogFile};
use super::log::{LogError, LogKind, LogWriter};
use super::mark::Mark;
use super::progress::Progress;
use super::reader::BatchReader;
use super::sequencer::{Finished, Sequencer, SharedDictionary};
use crate::model::{Input, Timestamp};

/// Inputs taken from the channel at once.
const INPUTS_AT_ONCE: usize = 64;
/// Ticks are looked for this often when nothing comes in.
const IDLE: Duration = Duration::from_millis(200);
/// A full disk is tried again after this long.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);

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
}

/// Hears of feeds and their connections; must not block.
pub type Linked = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// An open journal, before its threads run.
pub struct Journal {
    options: JournalOptions,
    writer: LogWriter,
    sequencer: Sequencer,
    progress: Arc<Progress>,
}

/// A running journal.
pub struct Running {
    sequencer: JoinHandle<Result<(), LogError>>,
    syncer: JoinHandle<Result<(), LogError>>,
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
        let mut sequencer = Sequencer::default();
        let mut reader = BatchReader::new(options.disk.clone(), &options.dir, 0);
        while let Some((_, batch)) = reader.next(writer.next())? {
            sequencer.recover(&batch);
        }
        let progress = Arc::new(Progress::new(writer.next()));
        progress.arrived(sequencer.last_arrival());
        Ok(Self { options, writer, sequencer, progress })
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// The names it knows.
    #[must_use]
    pub fn dictionary(&self) -> SharedDictionary {
        self.sequencer.dictionary()
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

    /// Starts its threads. `live` makes ticks by the clock; without it arrival times come from the
    /// messages (`replay`).
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(self, inputs: mpsc::Receiver<Input>, live: bool) -> io::Result<Running> {
        let Self { options, writer, sequencer, progress } = self;
        let shared = Arc::new(Mutex::new(writer.file()));
        let (syncs, file) = (progress.clone(), shared.clone());
        let stopped = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stop = stopped.clone();
        let dir = options.dir.clone();
        let mark = Mark::open(&*options.disk, &dir).map_err(io::Error::other)?;
        let syncer = std::thread::Builder::new().name("journal-sync".into()).spawn(move || {
            let result = sync_loop(&syncs, &file, &mark, &stop, &dir);
            if let Err(failure) = &result {
                // After a failed sync nothing is known of what was written: carry on in no doubt.
                error!(error = %failure, "the journal cannot be made durable; stopping");
                std::process::exit(74);
            }
            result
        })?;
        let sequencer = std::thread::Builder::new().name("sequencer".into()).spawn(move || {
            let mut thread = Thread { options, writer, sequencer, progress, shared };
            let result = thread.run(inputs, live);
            stopped.store(true, std::sync::atomic::Ordering::SeqCst);
            // Wakes the sync thread for its last round.
            thread.progress.written(thread.writer.next());
            if let Err(failure) = &result {
                error!(error = %failure, "the journal cannot be written; stopping");
                std::process::exit(74);
            }
            result
        })?;
        Ok(Running { sequencer, syncer })
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
        Ok(())
    }
}

fn sync_loop(
    progress: &Progress,
    file: &Mutex<Arc<dyn LogFile>>,
    mark: &Mark,
    stopped: &std::sync::atomic::AtomicBool,
    dir: &Path,
) -> Result<(), LogError> {
    loop {
        let durable = progress.wait(IDLE, |durable| durable.synced < durable.written);
        if durable.synced < durable.written {
            // A segment is synced before the next begins, so the current file is all there is.
            let current = file.lock().unwrap_or_else(PoisonError::into_inner).clone();
            current.sync().map_err(|source| LogError::Disk { path: dir.to_owned(), source })?;
            // Recorded before anything is acknowledged.
            mark.write(durable.written)?;
            progress.synced(durable.written);
        } else if stopped.load(std::sync::atomic::Ordering::SeqCst) {
            return Ok(());
        }
    }
}

struct Thread {
    options: JournalOptions,
    writer: LogWriter,
    sequencer: Sequencer,
    progress: Arc<Progress>,
    shared: Arc<Mutex<Arc<dyn LogFile>>>,
}

impl Thread {
    fn run(&mut self, mut inputs: mpsc::Receiver<Input>, live: bool) -> Result<(), LogError> {
        let waiting = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|source| LogError::Disk { path: self.options.dir.clone(), source })?;
        let clock = self.options.clock.clone();
        let mut arrival = ArrivalClock::new(&*clock, self.sequencer.last_arrival());
        let mut taken = Vec::with_capacity(INPUTS_AT_ONCE);
        loop {
            let received =
                waiting.block_on(async { timeout(IDLE, inputs.recv_many(&mut taken, INPUTS_AT_ONCE)).await });
            let closed = received == Ok(0);
            let now = if live { arrival.now() } else { self.sequencer.last_arrival() };
            let mut flushes = Vec::new();
            let mut stop = closed;
            for input in taken.drain(..) {
                match input {
                    Input::Messages(messages) => {
                        messages.into_iter().for_each(|message| self.sequencer.accept(message, now))
                    }
                    Input::Connected { feed, up } => {
                        self.sequencer.connected(&feed, up, now);
                        (self.options.linked)(&feed, up);
                    }
                    Input::Control(controls) => self.sequencer.configure(controls, now),
                    Input::Flush(tell) => flushes.push(tell),
                    Input::Stop => stop = true,
                }
            }
            if live {
                self.sequencer.pass(now);
            }
            for finished in self.sequencer.take() {
                self.append(finished)?;
            }
            flushes.into_iter().for_each(|tell| tell(self.writer.next()));
            if stop {
                info!(epochs = self.writer.next(), records = self.sequencer.next(), "journal closed");
                return Ok(());
            }
        }
    }

    fn append(&mut self, finished: Finished) -> Result<(), LogError> {
        let content = batch_codec::encode(&finished.batch);
        let epoch = self.append_patiently(&content)?;
        for ack in finished.acks {
            ack.gate.journaled(ack.ticket, epoch);
        }
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = self.writer.file();
        self.progress.arrived(self.sequencer.last_arrival());
        self.progress.written(epoch + 1);
        Ok(())
    }

    /// Appends; while the disk is full, acknowledgements wait with it.
    fn append_patiently(&mut self, content: &[u8]) -> Result<u64, LogError> {
        loop {
            match self.writer.append(content) {
                Err(LogError::Disk { path, source }) if source.kind() == io::ErrorKind::StorageFull => {
                    warn!(path = %path.display(), "the disk is full; nothing is acknowledged until there is room");
                    std::thread::sleep(FULL_DISK_RETRY);
                }
                result => return result,
            }
        }
    }
}
