//! Asks the journal for recomputes, and restores to it what it no longer holds of their range: events
//! that the store has are journaled again, as copies, before the recompute that reads them.
//!
//! Results stay a function of the journal alone. The journal from its first segment on is held from
//! before it is looked at, so that what is not restored is still there when the flow comes to the
//! recompute. Copies are handed over a thousand at a time, each lot once the one before is journaled, so
//! that live messages wait for at most one. One recompute is handed over at a time.
//!
//! What is gone for ever (there is no store, or it was not there yet) is said: windows that begin before
//! all readings are there are left as they were published, and the range begins later.

mod reach;
#[cfg(feature = "store")]
pub mod stored;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};
use tracing::error;

pub use self::reach::Reach;
use super::Core;
use crate::api::{RecomputeRefusal, Recomputes, Recomputing};
use crate::flow::past::EVENTS_MAX;
#[cfg(feature = "store")]
use crate::journal::sequencer::SharedDictionary;
use crate::journal::{FsDisk, Holders, LogError, Progress, RecomputeHold};
use crate::model::{Input, Recompute, Span, Timestamp};
#[cfg(feature = "store")]
use crate::store::Store;

/// An answer does not wait longer for copies to be journaled.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Clone)]
pub struct Recomputer {
    /// Where inputs go.
    inputs: mpsc::Sender<Input>,
    /// Holds back collection.
    holders: Arc<Holders>,
    /// How far the journal has come.
    journal: Arc<Progress>,
    journal_dir: PathBuf,
    /// Every name.
    #[cfg(feature = "store")]
    dictionary: SharedDictionary,
    /// How far event times may be ahead of arrival, in any feed.
    max_skew: Arc<dyn Fn() -> Span + Send + Sync>,
    #[cfg(feature = "store")]
    store: Option<Arc<Store>>,
    one: Arc<Mutex<()>>,
    events_max: u64,
}

/// What was handed to the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is computed.
    pub recompute: Recompute,
    /// The batch after the one that holds the request.
    pub epoch: u64,
    /// Copies that were journaled for it.
    pub restored: u64,
}

/// A recompute that can be made.
struct Prepared {
    recompute: Recompute,
    hold: RecomputeHold,
    _one: OwnedMutexGuard<()>,
}

impl Recomputer {
    /// Asks the journal of a running core.
    #[must_use]
    pub fn new(core: &Core, max_skew: Arc<dyn Fn() -> Span + Send + Sync>) -> Self {
        Self {
            inputs: core.inputs.clone(),
            holders: core.holders.clone(),
            journal: core.journal.clone(),
            journal_dir: core.journal_dir().to_owned(),
            #[cfg(feature = "store")]
            dictionary: core.dictionary.clone(),
            max_skew,
            #[cfg(feature = "store")]
            store: None,
            one: Arc::default(),
            events_max: EVENTS_MAX as u64,
        }
    }

    /// With a store that has what the journal no longer holds.
    #[cfg(feature = "store")]
    #[must_use]
    pub fn with_store(self, store: Option<Arc<Store>>) -> Self {
        Self { store, ..self }
    }

    /// Has the windows of a range computed again, and returns once the journal holds the request.
    ///
    /// # Errors
    /// [`RecomputeRefusal`]: nothing is computed. Copies that were journaled until then say nothing.
    pub async fn ask(&self, range: (Timestamp, Timestamp)) -> Result<Asked, RecomputeRefusal> {
        let prepared = self.prepare(range).await?;
        self.hand_over(prepared).await
    }

    /// Holds the journal, and finds out what can be computed.
    async fn prepare(&self, (from, to): (Timestamp, Timestamp)) -> Result<Prepared, RecomputeRefusal> {
        let one = self.one.clone().try_lock_owned().map_err(|_| RecomputeRefusal::Busy)?;
        let (holders, dir) = (self.holders.clone(), self.journal_dir.clone());
        let written = self.journal.now().written;
        // A removal of segments that is under way is waited for, which takes a sync of their folder.
        let looked = tokio::task::spawn_blocking(move || {
            let hold = holders.hold();
            let reach = Reach::of(Arc::new(FsDisk), &dir, written)?;
            hold.begin_at(reach.epoch);
            Ok((hold, reach))
        });
        let looked: Result<_, LogError> = looked.await.map_err(|_| RecomputeRefusal::Stopping)?;
        let (hold, reach) = looked.map_err(|failure| RecomputeRefusal::Unreadable(failure.to_string()))?;
        let recompute = reach.recompute((from, to), self.whole_from(&reach))?;
        let (events, most) = (self.count(&reach, recompute, written).await?, self.events_max);
        if events > most {
            return Err(RecomputeRefusal::TooMany { events, most });
        }
        Ok(Prepared { recompute, hold, _one: one })
    }

    /// How many events a recompute is about: as many as the store has, or the journal without one. Of a
    /// short journal the records say enough.
    async fn count(
        &self,
        reach: &Reach,
        recompute: Recompute,
        written: u64,
    ) -> Result<u64, RecomputeRefusal> {
        #[cfg(feature = "store")]
        if let Some(store) = &self.store {
            return stored::count(store, &recompute).await;
        }
        let records = self.journal.records().saturating_sub(reach.since);
        if records <= self.events_max {
            return Ok(records);
        }
        let dir = self.journal_dir.clone();
        let counted =
            tokio::task::spawn_blocking(move || reach::count(Arc::new(FsDisk), &dir, written, &recompute));
        let counted = counted.await.map_err(|_| RecomputeRefusal::Stopping)?;
        counted.map_err(|failure| RecomputeRefusal::Unreadable(failure.to_string()))
    }

    fn whole_from(&self, reach: &Reach) -> Timestamp {
        #[cfg(feature = "store")]
        if let Some(store) = &self.store {
            return reach.whole_from_with(store, (self.max_skew)());
        }
        reach.whole_from((self.max_skew)())
    }

    async fn hand_over(&self, prepared: Prepared) -> Result<Asked, RecomputeRefusal> {
        let Prepared { recompute, hold, _one } = prepared;
        #[cfg(feature = "store")]
        let restored = self.restore(&recompute).await?;
        #[cfg(not(feature = "store"))]
        let restored = 0;
        self.send(Input::Recompute(recompute)).await?;
        let epoch = self.flush().await?;
        let held = tokio::task::spawn_blocking(move || hold.journaled(epoch));
        held.await.map_err(|_| RecomputeRefusal::Stopping)?;
        Ok(Asked { recompute, epoch, restored })
    }

    #[cfg(feature = "store")]
    async fn restore(&self, recompute: &Recompute) -> Result<u64, RecomputeRefusal> {
        let Some(store) = self.store.as_ref().filter(|_| recompute.since > 0) else { return Ok(0) };
        let mut pieces = stored::Pieces::of(store, recompute, &self.dictionary);
        let mut restored = 0;
        while let Some(events) = pieces.next().await? {
            restored += events.len() as u64;
            // The next are handed over once these are written.
            self.send(Input::Restore(events)).await?;
            self.flush().await?;
        }
        Ok(restored)
    }

    async fn send(&self, input: Input) -> Result<(), RecomputeRefusal> {
        self.inputs.send(input).await.map_err(|_| RecomputeRefusal::Stopping)
    }

    /// The epoch of the next batch, once everything handed over is journaled.
    async fn flush(&self) -> Result<u64, RecomputeRefusal> {
        let (tell, told) = oneshot::channel();
        // Nobody hears it when the caller has gone.
        self.send(Input::Flush(Box::new(move |epoch| tell.send(epoch).unwrap_or_default()))).await?;
        told.await.map_err(|_| RecomputeRefusal::Stopping)
    }
}

impl Recomputes for Recomputer {
    fn recompute(
        &self,
        range: (Timestamp, Timestamp),
    ) -> BoxFuture<'_, Result<Recomputing, RecomputeRefusal>> {
        async move {
            let prepared = self.prepare(range).await?;
            let recompute = prepared.recompute;
            let own = self.clone();
            // It goes on although the caller is gone, or is answered before it is done.
            let handing = tokio::spawn(async move {
                let handed = own.hand_over(prepared).await;
                if let Err(refusal) = &handed {
                    error!(error = %refusal, from = %recompute.from, to = %recompute.to, "a recompute was given up");
                }
                handed
            });
            let epoch = match tokio::time::timeout(ANSWER_WITHIN, handing).await {
                Ok(handed) => Some(handed.map_err(|_| RecomputeRefusal::Stopping)??.epoch),
                Err(_) => None,
            };
            Ok(Recomputing {
                epoch,
                from: recompute.from.to_string(),
                to: recompute.to.to_string(),
                readings_from: (recompute.whole_from > Timestamp::MIN)
                    .then(|| recompute.whole_from.to_string()),
            })
        }
        .boxed()
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
