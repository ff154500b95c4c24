//! The life of one rule on one key: verdicts in, steps to publish out, amended by late data.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::episode::{Episode, Fold, State, Timing, Verdict};
use crate::model::{AlertId, Timestamp};

/// Verdicts a life keeps to make its fold again; older ones count as sealed.
const VERDICTS_KEPT_MAX: usize = 4_096;

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
    /// The alert is raised.
    Raised,
    /// It is over.
    Resolved,
    /// Late data: it began or was raised at another time, and still fires.
    Moved,
    /// Late data: what was over goes on.
    RaisedAgain,
    /// Late data: it never was.
    Annulled,
    /// Late data: it is one with the earlier alert.
    Merged(AlertId),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Known {
    id: AlertId,
    episode: Episode,
}

/// One rule on one key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Life {
    /// The fold over everything sealed.
    base: Fold,
    /// Verdicts that late data may still change, by time.
    verdicts: VecDeque<(Timestamp, Verdict)>,
    /// The fold over everything.
    fold: Fold,
    /// How far time has passed.
    clock: Option<Timestamp>,
    /// Episodes that ended and are not sealed.
    ended: Vec<Episode>,
    /// What was published of episodes that are not sealed.
    known: Vec<Known>,
    /// What was published as pending.
    pending: Option<Known>,
}

impl Life {
    /// Takes in the verdict at `at`; a verdict at the same time is replaced. `identify` makes an
    /// id from the time an episode began.
    pub fn verdict(
        &mut self,
        at: Timestamp,
        verdict: Verdict,
        timing: &Timing,
        identify: &dyn Fn(Timestamp) -> AlertId,
    ) -> Vec<Step> {
        let in_order = self.verdicts.back().is_none_or(|last| last.0 < at)
            && self.fold.last_at.is_none_or(|last| last < at)
            && self.clock.is_none_or(|clock| clock <= at);
        if in_order {
            let idle = self.fold.state == State::Inactive && verdict.met != Some(true);
            self.verdicts.push_back((at, verdict));
            self.ended.extend(self.fold.verdict(at, verdict, timing));
            self.bound(timing);
            if idle && self.known.is_empty() {
                return Vec::new();
            }
        } else {
            if self.base.last_at.is_some_and(|sealed| at <= sealed) {
                return Vec::new();
            }
            match self.verdicts.binary_search_by_key(&at, |entry| entry.0) {
                Ok(found) => {
                    if let Some(entry) = self.verdicts.get_mut(found) {
                        if entry.1 == verdict {
                            return Vec::new();
                        }
                        entry.1 = verdict;
                    }
                }
                Err(place) => self.verdicts.insert(place, (at, verdict)),
            }
            self.fold_again(timing);
        }
        self.reconcile(timing, identify)
    }

    /// Lets time pass to `to`.
    pub fn advance(
        &mut self,
        to: Timestamp,
        timing: &Timing,
        identify: &dyn Fn(Timestamp) -> AlertId,
    ) -> Vec<Step> {
        if self.clock.is_some_and(|clock| clock >= to) {
            return Vec::new();
        }
        self.clock = Some(to);
        let before = self.fold.state;
        self.ended.extend(self.fold.advance(to, timing));
        if self.fold.state == before { Vec::new() } else { self.reconcile(timing, identify) }
    }

    /// Forgets what late data can no longer change: verdicts before `to`.
    pub fn seal(&mut self, to: Timestamp, timing: &Timing) {
        while self.verdicts.front().is_some_and(|entry| entry.0 < to) {
            self.seal_one(timing);
        }
        self.forget();
    }

    /// Whether time alone may still change it.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        match self.fold.state {
            State::Inactive => false,
            State::Pending { .. } => true,
            State::Firing { ended, .. } => ended.is_some(),
        }
    }

    /// The alert that is firing now, with its episode.
    #[must_use]
    pub fn open(&self) -> Option<(AlertId, Episode)> {
        let open = self.known.iter().find(|known| known.episode.resolved_at.is_none())?;
        Some((open.id, open.episode))
    }

    fn bound(&mut self, timing: &Timing) {
        if self.verdicts.len() > VERDICTS_KEPT_MAX {
            self.seal_one(timing);
            self.forget();
        }
    }

    fn seal_one(&mut self, timing: &Timing) {
        if let Some((at, verdict)) = self.verdicts.pop_front()
            && self.base.verdict(at, verdict, timing).is_some()
            && !self.ended.is_empty()
        {
            self.ended.remove(0);
        }
    }

    /// Drops what was published of episodes that are sealed.
    fn forget(&mut self) {
        let ended = &self.ended;
        self.known.retain(|known| known.episode.resolved_at.is_none() || ended.contains(&known.episode));
    }

    fn fold_again(&mut self, timing: &Timing) {
        self.fold = self.base;
        self.ended.clear();
        for (at, verdict) in &self.verdicts {
            self.ended.extend(self.fold.verdict(*at, *verdict, timing));
        }
        if let Some(clock) = self.clock {
            self.ended.extend(self.fold.advance(clock, timing));
        }
    }

    /// Publishes the difference between the episodes and what is known of them.
    fn reconcile(&mut self, timing: &Timing, identify: &dyn Fn(Timestamp) -> AlertId) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut old: VecDeque<Known> = std::mem::take(&mut self.known).into();
        let episodes: Vec<Episode> = self.ended.iter().copied().chain(self.fold.firing()).collect();
        for episode in episodes {
            // Everything known that lies wholly before this episode never was.
            while let Some(gone) = old.pop_front_if(|known| ends_before(&known.episode, episode.began_at)) {
                steps.push(Step { kind: StepKind::Annulled, ..gone.step() });
            }
            let id = match old.pop_front_if(|known| overlap(&known.episode, &episode)) {
                Some(known) => {
                    steps.extend(changed(&known, &episode));
                    known.id
                }
                None => {
                    let id = identify(episode.began_at);
                    let raised = Episode { resolved_at: None, ..episode };
                    steps.push(Step { id, episode: raised, kind: StepKind::Raised });
                    if episode.resolved_at.is_some() {
                        steps.push(Step { id, episode, kind: StepKind::Resolved });
                    }
                    id
                }
            };
            while let Some(joined) = old.pop_front_if(|known| overlap(&known.episode, &episode)) {
                steps.push(Step { kind: StepKind::Merged(id), ..joined.step() });
            }
            self.known.push(Known { id, episode });
        }
        steps.extend(old.iter().map(|gone| Step { kind: StepKind::Annulled, ..gone.step() }));
        self.reconcile_pending(timing, identify, &mut steps);
        steps
    }

    fn reconcile_pending(
        &mut self,
        timing: &Timing,
        identify: &dyn Fn(Timestamp) -> AlertId,
        steps: &mut Vec<Step>,
    ) {
        let now = match self.fold.state {
            State::Pending { since } => {
                Some(Episode { began_at: since, raised_at: since.plus(timing.hold), resolved_at: None })
            }
            _ => None,
        };
        let before = self.pending.take();
        if let Some(held) = before {
            if now == Some(held.episode) {
                self.pending = before;
                return;
            }
            let raised = self.known.iter().any(|known| known.id == held.id);
            if !raised {
                steps.insert(0, Step { kind: StepKind::Dropped, ..held.step() });
            }
        }
        if let Some(episode) = now {
            let known = Known { id: identify(episode.began_at), episode };
            self.pending = Some(known);
            steps.push(Step { kind: StepKind::Pending, ..known.step() });
        }
    }
}

impl Known {
    fn step(&self) -> Step {
        Step { id: self.id, episode: self.episode, kind: StepKind::Annulled }
    }
}

fn changed(known: &Known, now: &Episode) -> Option<Step> {
    let kind = match (known.episode.resolved_at, now.resolved_at) {
        (None, Some(_)) => StepKind::Resolved,
        (Some(_), None) => StepKind::RaisedAgain,
        _ if known.episode != *now => StepKind::Moved,
        _ => return None,
    };
    Some(Step { id: known.id, episode: *now, kind })
}

fn ends_before(episode: &Episode, at: Timestamp) -> bool {
    episode.resolved_at.is_some_and(|end| end < at)
}

fn overlap(a: &Episode, b: &Episode) -> bool {
    !ends_before(a, b.began_at) && !ends_before(b, a.began_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    const TIMING: Timing = Timing { hold: Span::ZERO, keep: Span::ZERO, stale_after: Span::seconds(3_600) };

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    fn id(at: Timestamp) -> AlertId {
        AlertId(at.0 as u128)
    }

    fn tell(life: &mut Life, at: i64, met: bool) -> Vec<(StepKind, u128)> {
        let verdict = Verdict { met: Some(met), cleared: Some(!met) };
        life.verdict(s(at), verdict, &TIMING, &id)
            .iter()
            .map(|step| (step.kind, step.id.0 / 1_000_000_000))
            .collect()
    }

    #[test]
    fn raises_once_and_resolves_once() {
        let mut life = Life::default();
        assert!(tell(&mut life, 1, false).is_empty());
        assert_eq!(tell(&mut life, 2, true), [(StepKind::Raised, 2)]);
        assert!(tell(&mut life, 3, true).is_empty());
        assert_eq!(tell(&mut life, 4, false), [(StepKind::Resolved, 2)]);
        assert!(tell(&mut life, 5, false).is_empty());
        assert_eq!(tell(&mut life, 6, true), [(StepKind::Raised, 6)]);
    }

    #[test]
    fn a_late_verdict_annuls_an_alert_that_never_was() {
        let mut life = Life::default();
        tell(&mut life, 2, true);
        assert_eq!(tell(&mut life, 2, false), [(StepKind::Annulled, 2)]);
        assert_eq!(tell(&mut life, 2, true), [(StepKind::Raised, 2)]);
    }

    #[test]
    fn a_late_verdict_joins_two_episodes_into_the_earlier() {
        let mut life = Life::default();
        tell(&mut life, 2, true);
        tell(&mut life, 3, false);
        tell(&mut life, 4, true);
        let steps = tell(&mut life, 3, true);
        assert_eq!(steps, [(StepKind::RaisedAgain, 2), (StepKind::Merged(id(s(2))), 4)]);
    }

    #[test]
    fn a_late_verdict_splits_an_episode_and_the_later_part_is_new() {
        let mut life = Life::default();
        tell(&mut life, 2, true);
        tell(&mut life, 4, true);
        assert_eq!(tell(&mut life, 3, false), [(StepKind::Resolved, 2), (StepKind::Raised, 4)]);
    }

    #[test]
    fn an_earlier_start_keeps_the_id() {
        let mut life = Life::default();
        tell(&mut life, 4, true);
        assert_eq!(tell(&mut life, 3, true), [(StepKind::Moved, 4)]);
    }

    #[test]
    fn sealed_verdicts_no_longer_change() {
        let mut life = Life::default();
        tell(&mut life, 2, true);
        tell(&mut life, 5, false);
        life.seal(s(6), &TIMING);
        assert!(tell(&mut life, 3, false).is_empty());
        assert_eq!(tell(&mut life, 7, true), [(StepKind::Raised, 7)]);
    }

    #[test]
    fn pending_is_told_and_dropped_or_raised_under_one_id() {
        let timing = Timing { hold: Span::seconds(10), ..TIMING };
        let mut life = Life::default();
        let met = |met: bool| Verdict { met: Some(met), cleared: Some(!met) };
        let kinds = |steps: Vec<Step>| steps.iter().map(|step| step.kind).collect::<Vec<_>>();
        assert_eq!(kinds(life.verdict(s(1), met(true), &timing, &id)), [StepKind::Pending]);
        assert_eq!(kinds(life.verdict(s(5), met(false), &timing, &id)), [StepKind::Dropped]);
        assert_eq!(kinds(life.verdict(s(6), met(true), &timing, &id)), [StepKind::Pending]);
        assert_eq!(kinds(life.verdict(s(16), met(true), &timing, &id)), [StepKind::Raised]);
    }
}
