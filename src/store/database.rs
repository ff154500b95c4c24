//! The embedded store: opened, fed, flushed, asked.
//!
//! One thread feeds and flushes it; queries run beside it on tokio. A row is readable as soon as
//! it was taken in, and once. Cursors say what is committed: after a restart the store is fed
//! again from there.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::execution::runtime_env::RuntimeEnv;
use tokio::sync::mpsc::Sender;
use tracing::info;

use super::accounts::{self, AccountRow, AccountsFilter};
use super::cursors::{Cursors, Whole};
use super::error::StoreError;
use super::events::{self, EventRow, EventsFilter};
use super::file::Damage;
use super::live::{Live, TableView};
use super::manifest::{Content, Manifest, Progress};
use super::options::{QueryLimits, StoreOptions};
use super::output::QueryResult;
use super::readings::{self, ReadingRow, ReadingsFilter};
use super::recall::{self, FeedHour, LastFilter, LastRow};
use super::runner::Runner;
use super::session::{self, Session};
use super::windows::{self, AggregateRow, AggregatesFilter};
use super::{directory, query};
use crate::model::{Batch, Dictionary, ResultRow, Timestamp};

/// How often a reader beside the writer starts again because files were merged away under it.
const READ_ATTEMPTS: usize = 4;

/// How often a query was tried, and on which manifest.
#[derive(Default)]
struct Attempt {
    number: usize,
    next_file: i64,
}

/// The embedded store.
#[derive(Debug)]
pub struct Store {
    pub(super) root: Arc<Path>,
    pub(super) options: StoreOptions,
    runtime: RuntimeEnv,
    runner: Runner,
    pub(super) live: Mutex<Live>,
    pub(super) manifest: Mutex<Manifest>,
    /// What the manifest says; a lock of its own, so that nobody waits for a flush to learn it.
    pub(super) committed: Mutex<Progress>,
    /// A commit ended in doubt: nothing more is taken in.
    pub(super) poisoned: AtomicBool,
    /// Held for as long as this process writes.
    lock: Option<File>,
}

impl Store {
    /// Opens a directory for writing, or makes it; removes files that a crash left without a
    /// place in the manifest.
    ///
    /// # Errors
    /// [`StoreError`]: the directory is held, or cannot be read. Damaged files are no reason:
    /// [`Store::verify`] names them.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let lock = directory::lock(dir)?;
        let mut manifest = Manifest::open(dir)?;
        let content = manifest.load()?;
        let named = content.files.iter().map(|file| file.path.as_str()).collect();
        let orphans = directory::remove_orphans(dir, &named)?;
        if orphans > 0 {
            info!(orphans, "removed store files of an unfinished flush");
        }
        Self::with(dir, options, manifest, content, Some(lock))
    }

    /// Opens a directory for reading, beside the process that writes it: what is in its files.
    ///
    /// # Errors
    /// [`StoreError`]: there is no store, or it cannot be read.
    pub fn open_read_only(dir: &Path) -> Result<Self, StoreError> {
        let mut manifest = Manifest::open_read_only(dir)?;
        let content = manifest.load()?;
        Self::with(dir, StoreOptions::default(), manifest, content, None)
    }

    fn with(
        dir: &Path,
        options: StoreOptions,
        manifest: Manifest,
        content: Content,
        lock: Option<File>,
    ) -> Result<Self, StoreError> {
        let root: Arc<Path> = dir.into();
        let runtime = session::runtime(&root, &options).map_err(|error| StoreError::of_query(error, 0))?;
        let runner = Runner::start().map_err(StoreError::io(&root))?;
        let (manifest, committed) = (Mutex::new(manifest), Mutex::new(content.progress));
        let live = Mutex::new(Live::load(content, &root));
        Ok(Self {
            root,
            options,
            runtime,
            runner,
            live,
            manifest,
            committed,
            poisoned: AtomicBool::new(false),
            lock,
        })
    }

    /// What the committed files cover: feed the store from here.
    #[must_use]
    pub fn cursors(&self) -> Cursors {
        self.committed().cursors
    }

    /// What was taken in, committed or not.
    #[must_use]
    pub fn applied(&self) -> Cursors {
        guard(&self.live).applied
    }

    /// From where on it has all events of the journal, taken in or committed.
    #[must_use]
    pub fn whole(&self) -> Whole {
        guard(&self.live).whole
    }

    /// Takes in the events of a journal epoch; an epoch that it has is passed over.
    ///
    /// # Errors
    /// [`StoreError::TailFull`]: nothing was taken, flush and try again. Others: see their docs.
    pub fn apply_batch(&self, epoch: u64, batch: &Batch, dictionary: &Dictionary) -> Result<(), StoreError> {
        self.writable_live()?.apply_batch(epoch, batch, dictionary)
    }

    /// Takes in rows of the results log; `position` is where to read on after them. Rows that it
    /// has are passed over.
    ///
    /// # Errors
    /// [`StoreError::TailFull`]: nothing was taken, flush and try again. Others: see their docs.
    pub fn apply_results(&self, position: u64, rows: &[ResultRow]) -> Result<(), StoreError> {
        self.writable_live()?.apply_results(position, rows);
        Ok(())
    }

    fn writable_live(&self) -> Result<MutexGuard<'_, Live>, StoreError> {
        self.writable()?;
        let live = guard(&self.live);
        match live.bytes() {
            bytes if bytes >= self.options.tail_bytes_max => Err(StoreError::TailFull { bytes }),
            _ => Ok(live),
        }
    }

    pub(super) fn writable(&self) -> Result<(), StoreError> {
        match (&self.lock, self.poisoned.load(Ordering::Acquire)) {
            (None, _) => Err(StoreError::ReadOnly),
            (_, true) => Err(StoreError::Poisoned),
            _ => Ok(()),
        }
    }

    /// Reads every file and names those that are not what the manifest says.
    #[must_use]
    pub fn verify(&self) -> Vec<Damage> {
        let files: Vec<_> = guard(&self.live).files().cloned().collect();
        let mut damaged: Vec<Damage> = files
            .iter()
            .filter_map(|file| match file.check_anew() {
                Err(StoreError::Damaged(damage)) => Some(damage),
                _ => None,
            })
            .collect();
        damaged.sort_by(|a, b| a.path.cmp(&b.path));
        damaged
    }

    /// Runs one SQL statement that reads.
    ///
    /// # Errors
    /// [`StoreError::NotAllowed`] for a statement that would change something,
    /// [`StoreError::Query`] for one that is wrong, [`StoreError::TimeUp`] and
    /// [`StoreError::MemoryUp`] beyond the limits, [`StoreError::Damaged`] when it needs a file
    /// that is damaged, [`StoreError::Engine`] when the engine fails on it.
    pub async fn query(&self, sql: &str, limits: QueryLimits) -> Result<QueryResult, StoreError> {
        let sql = Arc::<str>::from(sql);
        self.ask(limits, move |session| async move { query::run_sql(&session, &sql, &limits).await }).await
    }

    /// The newest readings that match, oldest first, and whether older ones were cut off.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn readings(
        &self,
        filter: &ReadingsFilter,
        limits: QueryLimits,
    ) -> Result<(Vec<ReadingRow>, bool), StoreError> {
        let filter = Arc::new(filter.clone());
        self.ask(limits, move |session| async move { readings::read(&session, &filter, &limits).await }).await
    }

    /// The last revisions of the newest windows that match, oldest first, and whether older ones
    /// were cut off.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] for a key part that the window does not have; else as
    /// [`Store::query`].
    pub async fn aggregates(
        &self,
        filter: &AggregatesFilter,
        limits: QueryLimits,
    ) -> Result<(Vec<AggregateRow>, bool), StoreError> {
        let filter = Arc::new(filter.clone());
        self.ask(limits, move |session| async move { windows::read(&session, &filter, &limits).await }).await
    }

    /// A sensor's accounts by hour of arrival, the newest first, and whether older ones were cut
    /// off.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn sensor_accounts(
        &self,
        filter: &AccountsFilter,
        limits: QueryLimits,
    ) -> Result<(Vec<AccountRow>, bool), StoreError> {
        let filter = Arc::new(filter.clone());
        self.ask(limits, move |session| async move { accounts::read(&session, &filter, &limits).await }).await
    }

    /// The last that is stored of some sensors of a feed, of those that have anything.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn last_rows(
        &self,
        filter: LastFilter,
        limits: QueryLimits,
    ) -> Result<Vec<LastRow>, StoreError> {
        let filter = Arc::new(filter);
        self.ask(limits, move |session| async move { recall::last_rows(&session, &filter, &limits).await })
            .await
    }

    /// How many events of a range of event time there are.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn count_events(
        &self,
        (from, to): (Timestamp, Timestamp),
        limits: QueryLimits,
    ) -> Result<u64, StoreError> {
        self.ask(limits, move |session| async move { events::count(&session, (from, to), &limits).await })
            .await
    }

    /// Hands over the events of a range of event time that came before a journal sequence, in no
    /// order and at most a thousand at once; it goes no faster than they are taken. Opened for
    /// reading beside the process that writes, it may hand some over twice. Their number.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn events(
        &self,
        wanted: EventsFilter,
        pieces: Sender<Vec<EventRow>>,
        limits: QueryLimits,
    ) -> Result<u64, StoreError> {
        self.ask(limits, move |session| async move { events::read(&session, wanted, &pieces, &limits).await })
            .await
    }

    /// The accounts of the feeds in the hours of arrival from `from` to `to`, both included.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn feed_hours(
        &self,
        (from, to): (Timestamp, Timestamp),
        limits: QueryLimits,
    ) -> Result<Vec<FeedHour>, StoreError> {
        self.ask(
            limits,
            move |session| async move { recall::feed_hours(&session, (from, to), &limits).await },
        )
        .await
    }

    /// Asks one snapshot a question, on the threads of queries.
    async fn ask<T: Send + 'static, F>(
        &self,
        limits: QueryLimits,
        question: impl FnOnce(Session) -> F + Clone + Send + 'static,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let mut attempt = Attempt::default();
        loop {
            let views = self.snapshot()?;
            attempt.next_file = self.committed().next_file;
            let (shared, question) = (self.runtime.clone(), question.clone());
            let query = async move { question(Session::open(&shared, views, &limits).await?).await };
            let outcome = self.runner.run(limits.time_max, query).await;
            if outcome.is_ok() || !self.worth_another(&mut attempt)? {
                return outcome;
            }
        }
    }

    /// Whether a failed query may have failed because the writer beside this reader merged files
    /// away meanwhile: then a newer snapshot is asked.
    fn worth_another(&self, attempt: &mut Attempt) -> Result<bool, StoreError> {
        attempt.number += 1;
        if self.lock.is_some() || attempt.number == READ_ATTEMPTS {
            return Ok(false);
        }
        self.refresh()?;
        Ok(self.committed().next_file != attempt.next_file)
    }

    pub(super) fn committed(&self) -> Progress {
        *guard(&self.committed)
    }

    fn snapshot(&self) -> Result<Vec<TableView>, StoreError> {
        if self.lock.is_none() {
            self.refresh()?;
        }
        guard(&self.live).snapshot().map_err(StoreError::encode(&self.root))
    }

    /// Reads the manifest again, beside the process that writes it.
    fn refresh(&self) -> Result<(), StoreError> {
        let content = guard(&self.manifest).load()?;
        if content.progress != self.committed() {
            *guard(&self.committed) = content.progress;
            *guard(&self.live) = Live::load(content, &self.root);
        }
        Ok(())
    }
}

/// The lock's content; a thread that panicked with it ended the process.
pub(super) fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
