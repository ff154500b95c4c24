//! The alerts of one life as they were published, beside the episodes that follow now.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Identify, Name, Step, StepKind};
use crate::alert::annals::Annals;
use crate::alert::episode::{Because, Episode, Fold, State, Timing};
use crate::model::{AlertId, Timestamp};

/// Ids remembered of alerts that were annulled or merged and could begin again.
const GONE_KEPT_MAX: usize = 256;

/// An alert that stands: raised, neither annulled nor merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alert {
    pub(super) id: AlertId,
    pub(super) name: Name,
    /// As it was last published.
    pub(super) episode: Episode,
}

impl Alert {
    fn step(&self, kind: StepKind) -> Step {
        Step { id: self.id, episode: self.episode, kind }
    }
}

/// An alert that no longer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gone {
    pub(super) name: Name,
    /// An annulled alert may be raised again; a merged one is closed for ever.
    pub(super) annulled: bool,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// Episodes that ended and are not final.
    pub(super) ended: Vec<Episode>,
    /// Alerts that stand and are not final, in the order of their episodes.
    pub(super) alerts: Vec<Alert>,
    /// Alerts that do not, and whose begin is not final.
    pub(super) gone: Vec<Gone>,
    /// What was published as pending.
    pub(super) pending: Option<Alert>,
    /// Alerts that are final.
    pub(super) annals: Option<Box<Annals>>,
}

impl Told {
    /// Whether there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        let Self { ended, alerts, gone, pending, annals } = self;
        ended.is_empty() && alerts.is_empty() && gone.is_empty() && pending.is_none() && annals.is_none()
    }

    /// The alert that is firing now.
    pub(super) fn open(&self) -> Option<&Alert> {
        self.alerts.last().filter(|alert| alert.episode.resolved_at.is_none())
    }

    /// The steps that resolve or drop what is open at `at`.
    pub(super) fn close(&self, at: Timestamp) -> Vec<Step> {
        let over = |alert: &Alert| {
            let episode = Episode { resolved_at: Some(at), ended: Because::RuleChanged, ..alert.episode };
            Step { id: alert.id, episode, kind: StepKind::Resolved }
        };
        let dropped = self.pending.iter().map(|pending| pending.step(StepKind::Dropped));
        dropped.chain(self.open().map(over)).collect()
    }

    /// Whether more ids are remembered than may be.
    pub(super) fn is_crowded(&self) -> bool {
        self.gone.len() > GONE_KEPT_MAX
    }

    /// Lets go of ids beyond those that may be remembered: of several that began at one time the oldest.
    pub(super) fn bound(&mut self) {
        let over = self.gone.len().saturating_sub(GONE_KEPT_MAX);
        self.gone.drain(..over);
    }

    /// Alerts that are final.
    pub(super) fn annals(&mut self) -> &mut Annals {
        self.annals.get_or_insert_default()
    }

    /// Moves what was published of episodes that are final to the annals. No episode that is not known yet
    /// can begin before `begin`.
    pub(super) fn forget(&mut self, begin: Option<Timestamp>) {
        let ended = &self.ended;
        let stays = |alert: &Alert| alert.episode.resolved_at.is_none() || ended.contains(&alert.episode);
        // A final alert may have been moved before the begin that it is named by: no later episode
        // that begins there takes its id.
        let over: Vec<Alert> = self.alerts.iter().filter(|alert| !stays(alert)).copied().collect();
        self.alerts.retain(stays);
        for alert in over {
            self.gone.push(Gone { name: alert.name, annulled: false });
            self.annals().add(alert.name, alert.episode);
        }
        let over = |gone: &Gone| Some(gone.name.first) < begin;
        let closed: Vec<Name> =
            self.gone.iter().filter(|gone| over(gone) && !gone.annulled).map(|gone| gone.name).collect();
        closed.into_iter().for_each(|name| self.annals().close(name));
        self.gone.retain(|gone| !over(gone));
    }

    /// Publishes the difference between the episodes and the alerts that stand.
    pub(super) fn reconcile(&mut self, fold: &Fold, timing: &Timing, identify: Identify<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut old: VecDeque<Alert> = std::mem::take(&mut self.alerts).into();
        let episodes: Vec<Episode> = self.ended.iter().copied().chain(fold.firing()).collect();
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
        self.reconcile_pending(fold, timing, identify, &mut steps);
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

    fn reconcile_pending(
        &mut self,
        fold: &Fold,
        timing: &Timing,
        identify: Identify<'_>,
        steps: &mut Vec<Step>,
    ) {
        let now = match fold.state {
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
