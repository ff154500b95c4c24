//! A life's final past judged again: the episodes that follow from verdicts computed anew, in the
//! place of the alerts that were published of that time.

use super::told::{Gone, Told};
use super::{Identify, Life, Name, Step, StepKind};
use crate::alert::annals::{Annals, Change, Known, changes};
use crate::alert::episode::{Episode, Fold, Mark, Timing, Verdict};
use crate::model::{Span, Timestamp};

/// A nanosecond: what is before an instant ends there.
const JUST: Span = Span(1);

/// A rule asked anew of one key: verdicts in the order of time go in, episodes come out.
#[derive(Clone, Debug, Default)]
pub struct Inquiry {
    fold: Fold,
    found: Vec<Episode>,
    /// The verdict of the latest instant, with its frame counter: a greater one may take its place.
    last: Option<(Timestamp, (Option<u64>, Verdict))>,
}

impl Inquiry {
    /// Takes in a verdict, none of an earlier instant than those before it. Of several of one instant
    /// the same one stands as in [`Life::one_of`].
    pub fn one_of(&mut self, at: Timestamp, said: (Option<u64>, Verdict), timing: &Timing) {
        let rank = |(counter, verdict): (Option<u64>, Verdict)| (counter, verdict.rank());
        match &mut self.last {
            Some((last, held)) if *last == at => {
                if rank(*held) < rank(said) {
                    *held = said;
                }
            }
            _ => {
                self.settle(timing);
                self.last = Some((at, said));
            }
        }
    }

    /// The episodes, once time has passed to `to` after the last verdict; the one that still fires then
    /// has no end.
    #[must_use]
    pub fn episodes(mut self, to: Timestamp, timing: &Timing) -> Vec<Episode> {
        self.settle(timing);
        self.found.extend(self.fold.advance(to, timing));
        self.found.extend(self.fold.firing());
        self.found
    }

    fn settle(&mut self, timing: &Timing) {
        if let Some((at, (_, verdict))) = self.last.take() {
            self.found.extend(self.fold.enter(at, Mark::Verdict(verdict), timing));
        }
    }
}

impl Life {
    /// A life of which only final alerts are known: when each was first seen to begin, its number
    /// among those of that begin, and its episode, in order.
    #[must_use]
    pub fn of_alerts(alerts: impl IntoIterator<Item = (Timestamp, u64, Episode)>) -> Self {
        let mut annals = Annals::default();
        for (first, number, episode) in alerts {
            annals.add(Name { first, number }, episode);
        }
        let told = Told { annals: Some(Box::new(annals)), ..Told::default() };
        Self { told: Some(Box::new(told)), ..Self::default() }
    }

    /// Alerts that were over at or before `at` are not known here: of that time nothing is judged
    /// again.
    pub fn forget_past(&mut self, at: Timestamp) {
        self.told().annals().forget_to(at);
    }

    /// Whether the alerts of its final past in (after, to] are those that `judged` episodes say, in
    /// order and of a time that may be longer.
    #[must_use]
    pub fn is_judged_as(&self, judged: &[Episode], range: (Timestamp, Timestamp)) -> bool {
        self.is_over() || self.changes(judged, range).is_empty()
    }

    /// Puts the episodes in the place of the alerts of its final past in (after, to]; the steps to
    /// record. What reaches over an edge, what late data may still change, and whatever touches
    /// those, stays.
    pub fn judge_again(
        &mut self,
        judged: &[Episode],
        range: (Timestamp, Timestamp),
        identify: Identify<'_>,
    ) -> Vec<Step> {
        if self.is_over() {
            return Vec::new();
        }
        let changes = self.changes(judged, range);
        if changes.is_empty() {
            return Vec::new();
        }
        let told = self.told();
        changes.into_iter().map(|change| told.change_past(change, identify)).collect()
    }

    fn changes(&self, judged: &[Episode], (after, to): (Timestamp, Timestamp)) -> Vec<Change> {
        let told = self.told.as_deref();
        let annals = told.and_then(|told| told.annals.as_deref());
        let past = annals.into_iter().flat_map(Annals::alerts);
        let past = past.map(|(name, episode)| Known { name, episode, is_final: true });
        let live = told.into_iter().flat_map(|told| told.alerts.iter().chain(&told.pending));
        let live = live.map(|alert| Known { name: alert.name, episode: alert.episode, is_final: false });
        let known: Vec<Known> = past.chain(live).collect();
        let first = self.entries.front().map(|entry| entry.at.minus(JUST));
        let final_to = self.final_to.or(first).unwrap_or(Timestamp::MAX);
        let forgotten_to = annals.and_then(Annals::forgotten_to).unwrap_or(Timestamp::MIN);
        changes(&known, judged, (after.max(forgotten_to), to.min(final_to)))
    }
}

impl Told {
    fn change_past(&mut self, change: Change, identify: Identify<'_>) -> Step {
        let (name, episode, kind) = match change {
            Change::New(episode) => {
                let name = self.name_of_past(episode.began_at);
                self.gone.retain(|gone| gone.name != name);
                self.annals().add(name, episode);
                (name, episode, StepKind::Recorded)
            }
            Change::Moved(name, episode) => {
                self.annals().moved(name, episode);
                (name, episode, StepKind::Moved)
            }
            Change::Annulled(name, episode) => {
                self.annals().remove(name);
                let own = |gone: &&mut Gone| gone.name == name;
                self.gone.iter_mut().filter(own).for_each(|gone| gone.annulled = true);
                (name, episode, StepKind::Annulled)
            }
            Change::Joined(name, episode, into) => {
                self.annals().remove(name);
                self.annals().close(name);
                (name, episode, StepKind::Merged(identify(into.first, into.number)))
            }
        };
        Step { id: identify(name.first, name.number), episode, kind }
    }

    /// The first name of a begin that no alert has: one that was annulled is raised again by it.
    fn name_of_past(&self, first: Timestamp) -> Name {
        let taken = |name: Name| {
            let gone = self.gone.iter().any(|gone| gone.name == name && !gone.annulled);
            let live = self.alerts.iter().chain(&self.pending).any(|alert| alert.name == name);
            gone || live || self.annals.as_deref().is_some_and(|annals| annals.holds(name))
        };
        let mut name = Name { first, number: 0 };
        while taken(name) {
            name.number += 1;
        }
        name
    }
}

#[cfg(test)]
#[path = "again_tests.rs"]
mod tests;
