//! The life of one rule on one key: verdicts in, steps to publish out, amended by late data.
//!
//! What was published is compared with the episodes that now follow from the verdicts, as
//! `docs/reference/semantics.md`, "Identity of alerts", says.

pub mod again;
mod told;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use self::told::Told;
use super::episode::{Episode, Fold, Mark, State, Timing, Verdict};
use crate::model::{AlertId, Timestamp};

/// Verdicts a life keeps to make its fold again; older ones are final.
pub const VERDICTS_KEPT_MAX: usize = 4_096;
/// Bytes that one of them takes, with a counter.
pub const VERDICT_BYTES: usize = size_of::<Entry>() + size_of::<(Timestamp, u64)>();
/// Bytes that a life keeps of alerts that are final, at most.
pub const FINAL_BYTES_MAX: usize = super::annals::BYTES_MAX;

/// Makes the id of an episode from when it was first seen to begin and its number among those of
/// the same beginning.
pub type Identify<'a> = &'a dyn Fn(Timestamp, u64) -> AlertId;

/// One step to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which alert.
    pub id: AlertId,
    /// The episode as it now stands (for a pending alert `raised_at` is when it will be due).
    pub episode: Episode,
    /// What happened.
    pub kind: StepKind,
}

/// What happened to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// The condition began to hold.
    Pending,
    /// It stopped before the alert was due.
    Dropped,
    /// The alert is raised; once for an id.
    Raised,
    /// It is over.
    Resolved,
    /// Late data: it began, was raised or was over at another time.
    Moved,
    /// Late data: what was over goes on.
    Reopened,
    /// Late data: it never was.
    Annulled,
    /// Late data: it was after all, and it had been annulled.
    RaisedAgain,
    /// Late data: it is one with the earlier alert.
    Merged(AlertId),
    /// The rule is another, and it goes on.
    RuleChanged,
    /// A recompute: it was, and is over; nobody was told.
    Recorded,
}

/// A verdict, or a silence, at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    at: Timestamp,
    mark: Mark,
}

impl Entry {
    /// Order of the fold: a silence comes after the verdict of its instant.
    fn order(&self) -> (Timestamp, bool) {
        (self.at, self.mark == Mark::Silence)
    }
}

/// How an id is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Name {
    /// The begin when it was first raised.
    pub(super) first: Timestamp,
    /// Its number among the ids of that begin.
    pub(super) number: u64,
}

/// One rule on one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The fold over everything final.
    base: Fold,
    /// Verdicts at or before are final.
    final_to: Option<Timestamp>,
    /// Verdicts that late data may still change, in order.
    entries: VecDeque<Entry>,
    /// By the time of such a verdict, the frame counter of the event that said it: of several at one
    /// time the highest stands. Few rules are on events that count.
    #[allow(clippy::box_collection, reason = "most lives have none")]
    counters: Option<Box<BTreeMap<Timestamp, u64>>>,
    /// The fold over everything.
    fold: Fold,
    /// How far time has passed.
    clock: Option<Timestamp>,
    /// Its episodes and alerts; most lives have none.
    told: Option<Box<Told>>,
}

impl Life {
    /// Takes in the verdict at `at`, in the place of an earlier one of that time; `None` when what
    /// was said of that time is final.
    pub fn verdict(
        &mut self,
        at: Timestamp,
        verdict: Verdict,
        timing: &Timing,
        identify: Identify<'_>,
    ) -> Option<Vec<Step>> {
        self.enter(Entry { at, mark: Mark::Verdict(verdict) }, None, timing, identify)
    }

    /// Takes in one of several verdicts of a time, of which that of the highest frame counter
    /// stands, and of several of one counter the greatest; `None` when what was said of that time
    /// is final.
    pub fn one_of(
        &mut self,
        at: Timestamp,
        (counter, verdict): (Option<u64>, Verdict),
        timing: &Timing,
        identify: Identify<'_>,
    ) -> Option<Vec<Step>> {
        let rank = (counter, verdict.rank());
        // What is kept for a silence is final all the same.
        let said = self.said_at(at).filter(|_| self.final_to.is_none_or(|sealed| sealed < at));
        if said.is_some_and(|(counter, said)| (counter, said.rank()) >= rank) {
            return Some(Vec::new());
        }
        self.enter(Entry { at, mark: Mark::Verdict(verdict) }, counter, timing, identify)
    }

    /// Notes that nothing had been heard for so long at `at`.
    pub fn silence(&mut self, at: Timestamp, timing: &Timing, identify: Identify<'_>) -> Vec<Step> {
        self.enter(Entry { at, mark: Mark::Silence }, None, timing, identify).unwrap_or_default()
    }

    fn said_at(&self, at: Timestamp) -> Option<(Option<u64>, Verdict)> {
        let found = self.entries.binary_search_by_key(&(at, false), Entry::order).ok()?;
        let entry = self.entries.get(found)?;
        match entry.mark {
            Mark::Verdict(verdict) => {
                let counter = self.counters.as_ref().and_then(|counters| counters.get(&at));
                Some((counter.copied(), verdict))
            }
            Mark::Silence => None,
        }
    }

    fn enter(
        &mut self,
        entry: Entry,
        counter: Option<u64>,
        timing: &Timing,
        identify: Identify<'_>,
    ) -> Option<Vec<Step>> {
        // A silence is never too late: it says what nothing has been said of.
        let verdict = entry.mark != Mark::Silence;
        if verdict && self.final_to.is_some_and(|sealed| entry.at <= sealed) {
            return None;
        }
        if verdict {
            self.count(entry.at, counter);
        }
        let in_order = self.entries.back().is_none_or(|last| last.order() < entry.order())
            && self.clock.is_none_or(|clock| clock < entry.at);
        if in_order {
            let idle = self.fold.state == State::Inactive;
            self.entries.push_back(entry);
            let ended = self.fold.enter(entry.at, entry.mark, timing);
            self.ended(ended);
            if idle && self.fold.state == State::Inactive {
                self.bound(timing);
                return Some(Vec::new());
            }
        } else {
            match self.entries.binary_search_by_key(&entry.order(), Entry::order) {
                Ok(found) => match self.entries.get_mut(found) {
                    Some(held) if *held != entry => *held = entry,
                    _ => return Some(Vec::new()),
                },
                Err(place) => self.entries.insert(place, entry),
            }
            self.fold_again(timing);
        }
        let steps = self.reconcile(timing, identify);
        self.bound(timing);
        Some(steps)
    }

    /// Keeps the counter of the event that said the verdict of `at`.
    fn count(&mut self, at: Timestamp, counter: Option<u64>) {
        match (counter, &mut self.counters) {
            (Some(counter), counters) => {
                counters.get_or_insert_default().insert(at, counter);
            }
            (None, Some(counters)) => {
                counters.remove(&at);
            }
            (None, None) => {}
        }
    }

    fn told(&mut self) -> &mut Told {
        self.told.get_or_insert_default()
    }

    fn ended(&mut self, episode: Option<Episode>) {
        if let Some(episode) = episode {
            self.told().ended.push(episode);
        }
    }

    /// Lets time pass to `to`; `None` when that changes nothing.
    pub fn advance(&mut self, to: Timestamp, timing: &Timing, identify: Identify<'_>) -> Option<Vec<Step>> {
        if self.clock.is_some_and(|clock| clock >= to) {
            return None;
        }
        self.clock = Some(to);
        if self.fold.state == State::Inactive {
            // Time begins nothing.
            return None;
        }
        let before = self.fold.state.clone();
        let ended = self.fold.advance(to, timing);
        self.ended(ended);
        (self.fold.state != before).then(|| self.reconcile(timing, identify))
    }

    /// Whether time alone changes nothing but how far it has come, and nobody was told anything.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.fold.state == State::Inactive && self.told.is_none()
    }

    /// As [`Self::advance`] of one that [`Self::is_quiet`].
    pub fn let_pass(&mut self, to: Timestamp) {
        self.clock = self.clock.max(Some(to));
    }

    /// Makes final what was said of times up to and with `to`. With a `silence` still to be noted
    /// what came after the last verdict with data is kept: the silence stands among it.
    pub fn seal(&mut self, to: Timestamp, silence: bool, timing: &Timing) {
        if self.final_to.is_some_and(|sealed| to <= sealed) {
            return;
        }
        self.final_to = Some(to);
        let to = self.fold.last_at.filter(|_| silence).map_or(to, |last| last.min(to));
        self.seal_entries(to, timing);
    }

    /// Whether [`Self::seal`] has said up to where anything is final.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.final_to.is_some()
    }

    fn seal_entries(&mut self, to: Timestamp, timing: &Timing) {
        let mut sealed = false;
        while self.entries.front().is_some_and(|entry| entry.at <= to) {
            self.seal_one(timing);
            sealed = true;
        }
        if sealed {
            self.forget();
        }
    }

    /// The rule is another from here on: everything up to the last verdict is final, what is pending goes on
    /// pending, and the next verdict with data decides on an open alert.
    pub fn change(&mut self) {
        self.final_to = self.final_to.max(self.entries.back().map(|entry| entry.at));
        self.fold.change();
        self.base = self.fold.clone();
        self.entries.clear();
        self.counters = None;
        if let Some(told) = &mut self.told {
            told.ended.clear();
        }
        self.forget();
    }

    /// Time has come as far as for another.
    pub fn set_clock_of(&mut self, other: &Self) {
        self.clock = other.clock;
    }

    /// Whether time alone may still change it.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        match &self.fold.state {
            State::Inactive => false,
            State::Pending { .. } => true,
            State::Firing(firing) => firing.ending.is_some(),
        }
    }

    /// Time of the latest verdict with data.
    #[must_use]
    pub fn last_at(&self) -> Option<Timestamp> {
        self.fold.last_at
    }

    /// The alert that is firing now, with its episode.
    #[must_use]
    pub fn open(&self) -> Option<(AlertId, Episode)> {
        let open = self.told.as_ref()?.open()?;
        Some((open.id, open.episode))
    }

    /// Closes it for good; the steps that resolve or drop what was open at `at`.
    pub fn close(&mut self, at: Timestamp) -> Vec<Step> {
        let steps = self.told.take().map(|told| told.close(at)).unwrap_or_default();
        *self = Self { final_to: Some(Timestamp::MAX), ..Self::default() };
        steps
    }

    /// Whether it was closed for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.final_to == Some(Timestamp::MAX)
    }

    fn bound(&mut self, timing: &Timing) {
        let crowded = |life: &Self| life.told.as_ref().is_some_and(|told| told.is_crowded());
        while self.entries.len() > VERDICTS_KEPT_MAX || crowded(self) && !self.entries.is_empty() {
            let first = self.entries.front().map(|entry| entry.at);
            if let Some(first) = first {
                self.final_to = self.final_to.max(Some(first));
                self.seal_entries(first, timing);
            }
        }
        if let Some(told) = &mut self.told {
            told.bound();
        }
    }

    fn seal_one(&mut self, timing: &Timing) {
        let Some(entry) = self.entries.pop_front() else { return };
        if let Some(counters) = &mut self.counters {
            counters.remove(&entry.at);
        }
        if self.base.enter(entry.at, entry.mark, timing).is_some()
            && let Some(told) = self.told.as_mut().filter(|told| !told.ended.is_empty())
        {
            told.ended.remove(0);
        }
    }

    /// Moves what was published of episodes that are final to the annals.
    fn forget(&mut self) {
        let Some(told) = &mut self.told else { return };
        // The earliest time at which an episode that is not known yet could begin.
        let begin = match &self.base.state {
            State::Pending { since, .. } => Some(*since),
            State::Firing(firing) => Some(firing.episode.began_at),
            State::Inactive => self.final_to,
        };
        told.forget(begin);
        if told.is_empty() {
            self.told = None;
        }
    }

    fn fold_again(&mut self, timing: &Timing) {
        self.fold = self.base.clone();
        let mut ended = Vec::new();
        for entry in &self.entries {
            ended.extend(self.fold.enter(entry.at, entry.mark, timing));
        }
        if let Some(clock) = self.clock {
            ended.extend(self.fold.advance(clock, timing));
        }
        self.told().ended = ended;
    }

    /// Publishes the difference between the episodes and the alerts that stand.
    fn reconcile(&mut self, timing: &Timing, identify: Identify<'_>) -> Vec<Step> {
        let mut told = self.told.take().unwrap_or_default();
        let steps = told.reconcile(&self.fold, timing, identify);
        self.told = (!told.is_empty()).then_some(told);
        steps
    }
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
