//! The life of one rule on one key: verdicts in, steps to publish out, amended by late data.
//!
//! What was published is compared with the episodes that now follow from the verdicts, as
//! `docs/reference/semantics.md`, "Identity of alerts", says.

pub mod again;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::annals::Annals;
use super::episode::{Episode, Fold, Mark, Stale, State, Timing, Verdict};
use crate::model::{AlertId, Timestamp};

/// Verdicts a life keeps to make its fold again; older ones are final.
pub const VERDICTS_KEPT_MAX: usize = 4_096;
/// Bytes that one of them takes.
pub const VERDICT_BYTES: usize = size_of::<Entry>();
/// Bytes that a life keeps of alerts that are final, at most.
pub const FINAL_BYTES_MAX: usize = super::annals::BYTES_MAX;
/// Ids a life remembers of alerts that were annulled or merged and could begin again.
const GONE_KEPT_MAX: usize = 256;

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
    /// The frame counter of the event that said it: of several at one time the highest stands.
    counter: Option<u64>,
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

/// An alert that stands: raised, neither annulled nor merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Alert {
    id: AlertId,
    name: Name,
    /// As it was last published.
    episode: Episode,
}

impl Alert {
    fn step(&self, kind: StepKind) -> Step {
        Step { id: self.id, episode: self.episode, kind }
    }
}

/// An alert that no longer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gone {
    name: Name,
    /// An annulled alert may be raised again; a merged one is closed for ever.
    annulled: bool,
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
    /// The fold over everything.
    fold: Fold,
    /// How far time has passed.
    clock: Option<Timestamp>,
    /// Episodes that ended and are not final.
    ended: Vec<Episode>,
    /// Alerts that stand and are not final, in the order of their episodes.
    alerts: Vec<Alert>,
    /// Alerts that do not, and whose begin is not final.
    gone: Vec<Gone>,
    /// What was published as pending.
    pending: Option<Alert>,
    /// Alerts that are final.
    annals: Option<Box<Annals>>,
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
        self.enter(Entry { at, mark: Mark::Verdict(verdict), counter: None }, timing, identify)
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
        self.enter(Entry { at, mark: Mark::Verdict(verdict), counter }, timing, identify)
    }

    /// Notes that nothing had been heard for so long at `at`.
    pub fn silence(&mut self, at: Timestamp, timing: &Timing, identify: Identify<'_>) -> Vec<Step> {
        self.enter(Entry { at, mark: Mark::Silence, counter: None }, timing, identify).unwrap_or_default()
    }

    fn said_at(&self, at: Timestamp) -> Option<(Option<u64>, Verdict)> {
        let found = self.entries.binary_search_by_key(&(at, false), Entry::order).ok()?;
        let entry = self.entries.get(found)?;
        match entry.mark {
            Mark::Verdict(verdict) => Some((entry.counter, verdict)),
            Mark::Silence => None,
        }
    }

    fn enter(&mut self, entry: Entry, timing: &Timing, identify: Identify<'_>) -> Option<Vec<Step>> {
        // A silence is never too late: it says what nothing has been said of.
        let verdict = entry.mark != Mark::Silence;
        if verdict && self.final_to.is_some_and(|sealed| entry.at <= sealed) {
            return None;
        }
        let in_order = self.entries.back().is_none_or(|last| last.order() < entry.order())
            && self.clock.is_none_or(|clock| clock < entry.at);
        if in_order {
            let idle = self.fold.state == State::Inactive;
            self.entries.push_back(entry);
            self.ended.extend(self.fold.enter(entry.at, entry.mark, timing));
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

    /// Lets time pass to `to`; `None` when that changes nothing.
    pub fn advance(&mut self, to: Timestamp, timing: &Timing, identify: Identify<'_>) -> Option<Vec<Step>> {
        if self.clock.is_some_and(|clock| clock >= to) {
            return None;
        }
        self.clock = Some(to);
        let before = self.fold.state;
        self.ended.extend(self.fold.advance(to, timing));
        (self.fold.state != before).then(|| self.reconcile(timing, identify))
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

    fn seal_entries(&mut self, to: Timestamp, timing: &Timing) {
        let mut sealed = false;
        while self.entries.front().is_some_and(|entry| entry.at <= to) {
            self.seal_one(timing);
            sealed = true;
        }
        if sealed {
            // No recompute judges rules on readings again.
            self.forget(matches!(timing.stale, Stale::NextEnd(_)));
        }
    }

    /// The rule is another from here on: everything up to the last verdict is final, what is pending goes on
    /// pending, and the next verdict with data decides on an open alert.
    pub fn change(&mut self) {
        self.final_to = self.final_to.max(self.entries.back().map(|entry| entry.at));
        self.fold.change();
        self.base = self.fold;
        self.entries.clear();
        self.ended.clear();
        self.forget(true);
    }

    /// Time has come as far as for another.
    pub fn set_clock_of(&mut self, other: &Self) {
        self.clock = other.clock;
    }

    /// Whether time alone may still change it.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        match self.fold.state {
            State::Inactive => false,
            State::Pending { .. } => true,
            State::Firing { ending, .. } => ending.is_some(),
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
        let open = self.alerts.last().filter(|alert| alert.episode.resolved_at.is_none())?;
        Some((open.id, open.episode))
    }

    /// Closes it for good; the steps that resolve or drop what was open at `at`.
    pub fn close(&mut self, at: Timestamp) -> Vec<Step> {
        let open = self.alerts.last().filter(|alert| alert.episode.resolved_at.is_none());
        let over = |alert: &Alert| {
            let ended = super::episode::Because::RuleChanged;
            let episode = Episode { resolved_at: Some(at), ended, ..alert.episode };
            Step { id: alert.id, episode, kind: StepKind::Resolved }
        };
        let dropped = self.pending.iter().map(|pending| pending.step(StepKind::Dropped));
        let steps = dropped.chain(open.map(over)).collect();
        *self = Self { final_to: Some(Timestamp::MAX), ..Self::default() };
        steps
    }

    /// Whether it was closed for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.final_to == Some(Timestamp::MAX)
    }

    fn bound(&mut self, timing: &Timing) {
        while self.entries.len() > VERDICTS_KEPT_MAX
            || self.gone.len() > GONE_KEPT_MAX && !self.entries.is_empty()
        {
            let first = self.entries.front().map(|entry| entry.at);
            if let Some(first) = first {
                self.final_to = self.final_to.max(Some(first));
                self.seal_entries(first, timing);
            }
        }
        // Of several that began at one time the oldest goes.
        let over = self.gone.len().saturating_sub(GONE_KEPT_MAX);
        self.gone.drain(..over);
    }

    fn seal_one(&mut self, timing: &Timing) {
        if let Some(entry) = self.entries.pop_front()
            && self.base.enter(entry.at, entry.mark, timing).is_some()
            && !self.ended.is_empty()
        {
            self.ended.remove(0);
        }
    }

    fn annals(&mut self) -> &mut Annals {
        self.annals.get_or_insert_default()
    }

    /// Moves what was published of episodes that are final to the annals, or lets it go.
    fn forget(&mut self, to_annals: bool) {
        let ended = &self.ended;
        let stays = |alert: &Alert| alert.episode.resolved_at.is_none() || ended.contains(&alert.episode);
        // A final alert may have been moved before the begin that it is named by: no later episode
        // that begins there takes its id.
        let over: Vec<Alert> = self.alerts.iter().filter(|alert| !stays(alert)).copied().collect();
        self.alerts.retain(stays);
        for alert in over {
            self.gone.push(Gone { name: alert.name, annulled: false });
            if to_annals {
                self.annals().add(alert.name, alert.episode);
            }
        }
        // The earliest time at which an episode that is not known yet could begin.
        let begin = match self.base.state {
            State::Pending { since, .. } => Some(since),
            State::Firing { episode, .. } => Some(episode.began_at),
            State::Inactive => self.final_to,
        };
        let over = |gone: &Gone| Some(gone.name.first) < begin;
        let closed: Vec<Name> =
            self.gone.iter().filter(|gone| over(gone) && !gone.annulled).map(|gone| gone.name).collect();
        if to_annals {
            closed.into_iter().for_each(|name| self.annals().close(name));
        }
        self.gone.retain(|gone| !over(gone));
    }

    fn fold_again(&mut self, timing: &Timing) {
        self.fold = self.base;
        self.ended.clear();
        for entry in &self.entries {
            self.ended.extend(self.fold.enter(entry.at, entry.mark, timing));
        }
        if let Some(clock) = self.clock {
            self.ended.extend(self.fold.advance(clock, timing));
        }
    }

    /// Publishes the difference between the episodes and the alerts that stand.
    fn reconcile(&mut self, timing: &Timing, identify: Identify<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut old: VecDeque<Alert> = std::mem::take(&mut self.alerts).into();
        let episodes: Vec<Episode> = self.ended.iter().copied().chain(self.fold.firing()).collect();
        for episode in episodes {
            while let Some(alert) = old.pop_front_if(|alert| alert.episode.lies_before(episode.began_at)) {
                self.annul(&alert, &mut steps);
            }
            let alert = match old.pop_front_if(|alert| alert.episode.overlaps(&episode)) {
                Some(alert) => {
                    steps.extend(changed(&alert, &episode));
                    Alert { episode, ..alert }
                }
                None => self.raise(episode, &old, identify, &mut steps),
            };
            while let Some(joined) = old.pop_front_if(|alert| alert.episode.overlaps(&episode)) {
                self.gone.push(Gone { name: joined.name, annulled: false });
                steps.push(joined.step(StepKind::Merged(alert.id)));
            }
            self.alerts.push(alert);
        }
        for alert in old {
            self.annul(&alert, &mut steps);
        }
        self.reconcile_pending(timing, identify, &mut steps);
        steps
    }

    fn annul(&mut self, alert: &Alert, steps: &mut Vec<Step>) {
        self.gone.push(Gone { name: alert.name, annulled: true });
        steps.push(alert.step(StepKind::Annulled));
    }

    fn raise(
        &mut self,
        episode: Episode,
        old: &VecDeque<Alert>,
        identify: Identify<'_>,
        steps: &mut Vec<Step>,
    ) -> Alert {
        let (name, annulled) = self.free_name(episode.began_at, old);
        if let Some(at) = annulled {
            self.gone.remove(at);
        }
        let alert = Alert { id: identify(name.first, name.number), name, episode };
        let kind = if annulled.is_some() { StepKind::RaisedAgain } else { StepKind::Raised };
        let raised = Episode { resolved_at: None, ..episode };
        steps.push(Step { id: alert.id, episode: raised, kind });
        if episode.resolved_at.is_some() {
            steps.push(alert.step(StepKind::Resolved));
        }
        alert
    }

    /// The first name of a begin that was never raised, or was annulled: then with its place among
    /// those that are gone. `old` are alerts that still stand.
    fn free_name(&self, first: Timestamp, old: &VecDeque<Alert>) -> (Name, Option<usize>) {
        let mut number = 0;
        loop {
            let name = Name { first, number };
            let stands = self.alerts.iter().chain(old).any(|alert| alert.name == name);
            let gone = self.gone.iter().position(|gone| gone.name == name);
            match gone.and_then(|at| Some((at, self.gone.get(at)?.annulled))) {
                Some((at, true)) => return (name, Some(at)),
                None if !stands => return (name, None),
                _ => number += 1,
            }
        }
    }

    fn reconcile_pending(&mut self, timing: &Timing, identify: Identify<'_>, steps: &mut Vec<Step>) {
        let now = match self.fold.state {
            State::Pending { since, because } => {
                let raised_at = since.plus(timing.hold);
                let (name, _) = self.free_name(since, &VecDeque::new());
                let episode = Episode {
                    began_at: since,
                    raised_at,
                    resolved_at: None,
                    raised: because,
                    ended: because,
                    changes: 0,
                };
                Some(Alert { id: identify(name.first, name.number), name, episode })
            }
            _ => None,
        };
        let before = std::mem::replace(&mut self.pending, now);
        // Another `for` makes it due at another time, which nobody was told.
        let told = |pending: Option<Alert>| pending.map(|alert| (alert.id, alert.episode.began_at));
        if told(before) == told(now) {
            return;
        }
        let raised = |id| self.alerts.iter().any(|alert| alert.id == id);
        let dropped = before.filter(|before| !raised(before.id));
        if let Some(dropped) = dropped {
            steps.insert(0, dropped.step(StepKind::Dropped));
        }
        steps.extend(now.map(|now| now.step(StepKind::Pending)));
    }
}

fn changed(alert: &Alert, now: &Episode) -> Option<Step> {
    let was = &alert.episode;
    let moved =
        (was.began_at, was.raised_at, was.resolved_at) != (now.began_at, now.raised_at, now.resolved_at);
    let kind = match (was.resolved_at, now.resolved_at) {
        (None, Some(_)) => StepKind::Resolved,
        (Some(_), None) => StepKind::Reopened,
        (None, None) if now.changes > was.changes => StepKind::RuleChanged,
        _ if moved => StepKind::Moved,
        _ => return None,
    };
    Some(Step { id: alert.id, episode: *now, kind })
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
