//! One worker's fold, and the checkpoint that it writes down while it goes on.
//!
//! A checkpoint is of the moment after the batch that it was asked for with. Its keys are written a few at
//! a time, with a rest after each time that does not depend on how many batches come meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::interpreter::Interpreter;
use super::key_runs::EFFORT_OF_A_KEY;
use super::past::Past;
use super::state::{Part, Request, StateError};
use crate::model::{Batch, ResultRow};

/// What a worker writes of a checkpoint before it looks for batches again: half a millisecond.
const EFFORT_AT_ONCE: usize = 250 * EFFORT_OF_A_KEY;
/// For so long it then does no more of it, however many batches come: each of them would wait as long, and
/// they may be thousands a second.
const EFFORT_REST: Duration = Duration::from_millis(1);
/// Where batches take longer than that, as they do in a replay and while it catches up, it writes so much
/// for each rest that they took, up to this many: a third of the time, and the checkpoint is whole in time.
const EFFORTS_MAX: usize = 10;

/// What worker 0 hands to every worker under one epoch.
pub struct Given {
    /// The batch; absent at the end, where checkpoints are written at once.
    pub batch: Option<Batch>,
    /// What its recomputes are about.
    pub past: Vec<Past>,
    /// The checkpoint to take after it.
    pub request: Option<Request>,
}

/// What a worker made of it.
#[derive(Clone)]
pub struct Answer {
    /// Whether there was a batch.
    pub batch: bool,
    /// Its rows.
    pub rows: Vec<ResultRow>,
    /// A checkpoint that began after it: the first epoch that is not in it.
    pub checkpoint: Option<u64>,
}

/// Parts of checkpoints that are whole, by the first epoch that is not in them; for all workers.
pub type Parts = Arc<Mutex<BTreeMap<u64, Vec<Result<Part, StateError>>>>>;

/// A worker's fold, and the checkpoint that it writes down.
pub struct Folder {
    fold: Interpreter,
    /// The checkpoint under way.
    next: u64,
    /// The longest time at a stretch in which nothing was folded for it.
    pause: Duration,
    /// When it was last worked at.
    left: Instant,
    /// Somebody looks at it again after [`EFFORT_REST`].
    awaited: bool,
    parts: Parts,
}

impl Folder {
    /// A worker that hands its parts over to `parts`.
    #[must_use]
    pub fn new(fold: Interpreter, parts: Parts) -> Self {
        Self { fold, next: 0, pause: Duration::ZERO, left: Instant::now(), awaited: false, parts }
    }

    /// The fold.
    #[must_use]
    pub fn fold(&self) -> &Interpreter {
        &self.fold
    }

    /// Where all workers' parts are.
    #[must_use]
    pub fn parts(&self) -> Parts {
        self.parts.clone()
    }

    /// Works some more at a checkpoint that is under way; when to come again at the latest, unless that is
    /// arranged.
    pub fn go_on(&mut self) -> Option<Duration> {
        if !self.fold.is_saving() {
            self.awaited = false;
            return None;
        }
        let rests = self.left.elapsed().as_nanos() / EFFORT_REST.as_nanos();
        if rests > 0 {
            let efforts = usize::try_from(rests).unwrap_or(usize::MAX).min(EFFORTS_MAX);
            self.write(|fold| fold.save_some(efforts * EFFORT_AT_ONCE));
            self.awaited = false;
        }
        (!std::mem::replace(&mut self.awaited, true)).then_some(EFFORT_REST)
    }

    /// Folds a batch, and begins the checkpoint that is to be of the moment after it.
    pub fn answer(&mut self, given: &Given) -> Answer {
        let rows = given.batch.as_ref().map(|batch| self.fold.apply_with(batch, &given.past));
        let last = given.batch.is_none();
        if last || given.request.is_some() {
            // At the end one may be on its way.
            self.write(Interpreter::finish_save);
        }
        if let Some(request) = &given.request {
            (self.next, self.pause) = (request.next, Duration::ZERO);
            self.write(|fold| {
                fold.begin_save(request);
                if last { fold.finish_save() } else { None }
            });
        }
        let checkpoint = given.request.as_ref().map(|request| request.next);
        Answer { batch: rows.is_some(), rows: rows.unwrap_or_default(), checkpoint }
    }

    /// Works at the checkpoint; hands over the part once it is whole.
    fn write(&mut self, work: impl FnOnce(&mut Interpreter) -> Option<Result<Part, StateError>>) {
        let began = Instant::now();
        let part = work(&mut self.fold);
        self.left = Instant::now();
        self.pause = self.pause.max(self.left - began);
        if let Some(part) = part {
            let part = part.map(|part| Part { took: self.pause, ..part });
            lock(&self.parts).entry(self.next).or_default().push(part);
        }
    }
}

/// Takes out a checkpoint of which all parts are there, if everything before it `is_published`.
pub fn whole(
    parts: &Parts,
    workers: usize,
    is_published: impl Fn(u64) -> bool,
) -> Option<(u64, Result<Vec<Part>, StateError>)> {
    let mut parts = lock(parts);
    let first =
        parts.first_entry().filter(|first| first.get().len() == workers && is_published(*first.key()))?;
    let (next, parts) = first.remove_entry();
    Some((next, parts.into_iter().collect()))
}

fn lock(parts: &Parts) -> MutexGuard<'_, BTreeMap<u64, Vec<Result<Part, StateError>>>> {
    parts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
