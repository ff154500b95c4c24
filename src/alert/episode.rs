//! From verdicts to episodes: `for`, `keep_firing_for`, the clear condition, staleness and silence.
//!
//! The fold of `docs/reference/semantics.md`, "From verdicts to episodes". At one instant a verdict
//! decides before time does.

use serde::{Deserialize, Serialize};

use crate::model::definition::NoData;
use crate::model::{Span, Timestamp};
use crate::window::Grid;

/// What a rule says at one event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The condition: `None` is no data, never "not met".
    pub met: Option<bool>,
    /// The separate clear condition; without one, the condition not being met.
    pub cleared: Option<bool>,
}

impl Verdict {
    /// Neither met nor cleared.
    pub const NO_DATA: Self = Self { met: None, cleared: None };
    /// The condition is not met, and so the alert is cleared.
    pub const NOT_MET: Self = Self { met: Some(false), cleared: Some(true) };

    /// Whether it says anything.
    #[must_use]
    pub fn has_data(self) -> bool {
        self != Self::NO_DATA
    }

    /// Of two verdicts at one instant the greater stands: met before not met before no data, then
    /// not cleared before cleared before no data.
    #[must_use]
    pub fn rank(self) -> (Option<bool>, Option<bool>) {
        (self.met, self.cleared.map(|cleared| !cleared))
    }
}

/// What a life folds, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// A verdict.
    Verdict(Verdict),
    /// Nothing had been heard for `stale_after` of observed time; after a verdict of its instant.
    Silence,
}

/// How long a verdict stands without the next; then it is no data.
#[derive(Clone, Debug)]
pub enum Stale {
    /// A verdict on readings: this long.
    After(Span),
    /// A verdict on a window: until the end of the next window of the grid, so that a day of 25
    /// hours or a month of 31 days is no gap.
    NextEnd(Grid),
}

impl Stale {
    /// When the verdict of `said` is no data without another.
    #[must_use]
    pub fn at(&self, said: Timestamp) -> Timestamp {
        match self {
            Self::After(span) => said.plus(*span),
            Self::NextEnd(grid) => grid.end_after(said),
        }
    }

    /// The span, if it is one.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::After(span) => Some(*span),
            Self::NextEnd(_) => None,
        }
    }
}

/// When verdicts turn into alerts.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The condition must hold this long (`for`).
    pub hold: Span,
    /// The alert goes on this long after the condition ended (`keep_firing_for`).
    pub keep: Span,
    /// How long a verdict stands.
    pub stale: Stale,
    /// What a silence does.
    pub no_data: NoData,
}

/// Why an alert was raised or is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Because {
    /// The condition began or ended.
    #[default]
    Condition,
    /// There was no data.
    NoData,
    /// The rule is another, and its condition does not hold.
    RuleChanged,
    /// There was data again.
    DataAgain,
}

/// One stretch of time, [began_at, resolved_at), in which a condition held long enough to raise an
/// alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// When the condition began to hold.
    pub began_at: Timestamp,
    /// When the alert was raised.
    pub raised_at: Timestamp,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// Why it was raised.
    pub raised: Because,
    /// Why it was over.
    pub ended: Because,
    /// How many changes of its rule it outlived.
    pub changes: u32,
}

impl Episode {
    /// Whether two episodes have an instant in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.lies_before(other.began_at) && !other.lies_before(self.began_at)
    }

    /// Whether it is over by `at`.
    #[must_use]
    pub fn lies_before(&self, at: Timestamp) -> bool {
        self.resolved_at.is_some_and(|end| end <= at)
    }
}

/// Where a life stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Nothing.
    #[default]
    Inactive,
    /// The condition holds since then, not yet for long enough.
    Pending {
        /// Since when.
        since: Timestamp,
        /// What began it.
        because: Because,
    },
    /// Raised; apart, since few lives are.
    Firing(Box<Firing>),
}

/// An alert that is raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// The episode, without an end.
    pub episode: Episode,
    /// Since when the condition no longer holds.
    pub ending: Option<Timestamp>,
    /// The rule was changed, and no verdict of the new one has decided.
    pub undecided: bool,
}

/// The fold's state: where the life stands and the last verdict's time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Where the life stands.
    pub state: State,
    /// Time of the last verdict with data.
    pub last_at: Option<Timestamp>,
    /// A silence since that verdict counted: nothing stands that could grow stale.
    silent: bool,
}

impl Fold {
    /// Lets time pass up to and with `to`; an episode that ends thereby is returned.
    pub fn advance(&mut self, to: Timestamp, timing: &Timing) -> Option<Episode> {
        self.pass(to, true, timing)
    }

    /// Takes in the mark at `at`, not before the last one; an episode that ends thereby is returned
    /// (at most one: what ends an episode begins none).
    pub fn enter(&mut self, at: Timestamp, mark: Mark, timing: &Timing) -> Option<Episode> {
        let by_time = self.pass(at, false, timing);
        let by_mark = match mark {
            Mark::Verdict(verdict) => {
                if verdict.has_data() {
                    self.last_at = Some(at);
                    self.silent = false;
                }
                self.verdict(at, verdict)
            }
            Mark::Silence => self.silence(at, timing),
        };
        let at_last = self.pass(at, true, timing);
        by_time.or(by_mark).or(at_last)
    }

    /// The rule is another from here on: what fires waits for the verdict that decides.
    pub fn change(&mut self) {
        if let State::Firing(firing) = &mut self.state {
            firing.undecided = true;
        }
    }

    fn pass(&mut self, to: Timestamp, with: bool, timing: &Timing) -> Option<Episode> {
        let come = |at: Timestamp| at < to || with && at == to;
        match &self.state {
            State::Inactive => None,
            &State::Pending { since, because } => {
                // A verdict stands until just before it is stale: exactly then the next one is due,
                // and it decides.
                let stale_at = match self.last_at {
                    Some(at) if !self.silent => timing.stale.at(at),
                    _ => Timestamp::MAX,
                };
                let due = since.plus(timing.hold);
                if due < stale_at && come(due) {
                    self.raise(since, due, because);
                } else if stale_at < to {
                    self.state = State::Inactive;
                }
                None
            }
            State::Firing(firing) => {
                let over = firing.ending?.plus(timing.keep);
                let episode = firing.episode;
                come(over).then(|| self.end(episode, over, Because::Condition))
            }
        }
    }

    fn verdict(&mut self, at: Timestamp, verdict: Verdict) -> Option<Episode> {
        match (&mut self.state, verdict.met) {
            (State::Inactive, Some(true)) => {
                self.state = State::Pending { since: at, because: Because::Condition };
            }
            (State::Inactive, _) | (State::Pending { .. }, Some(true)) => {}
            // The silence that began it goes on.
            (State::Pending { .. }, None) if self.silent => {}
            (State::Pending { .. }, _) => self.state = State::Inactive,
            (State::Firing(firing), _) => match verdict.cleared {
                Some(true) if firing.undecided => {
                    let episode = firing.episode;
                    return Some(self.end(episode, at, Because::RuleChanged));
                }
                Some(true) => firing.ending = firing.ending.or(Some(at)),
                Some(false) => {
                    firing.ending = None;
                    firing.episode.changes += u32::from(std::mem::take(&mut firing.undecided));
                }
                // No data: nothing changes.
                None => {}
            },
        }
        None
    }

    fn silence(&mut self, at: Timestamp, timing: &Timing) -> Option<Episode> {
        // Late data has filled the gap.
        let void = self.last_at.is_none_or(|last| timing.stale.at(last) > at);
        if void {
            return None;
        }
        self.silent = true;
        match (timing.no_data, &mut self.state) {
            (NoData::Hold, _) | (NoData::Resolve, State::Inactive) => {}
            (NoData::Resolve, State::Pending { .. }) => self.state = State::Inactive,
            (NoData::Resolve, State::Firing(firing)) => {
                let episode = firing.episode;
                return Some(self.end(episode, at, Because::NoData));
            }
            (NoData::Alert, State::Inactive) => {
                self.state = State::Pending { since: at, because: Because::NoData };
            }
            (NoData::Alert, State::Pending { .. }) => {}
            (NoData::Alert, State::Firing(firing)) => {
                firing.ending = None;
                firing.episode.changes += u32::from(std::mem::take(&mut firing.undecided));
            }
        }
        None
    }

    fn raise(&mut self, began_at: Timestamp, raised_at: Timestamp, raised: Because) {
        let ended = Because::Condition;
        let episode = Episode { began_at, raised_at, resolved_at: None, raised, ended, changes: 0 };
        self.state = State::Firing(Box::new(Firing { episode, ending: None, undecided: false }));
    }

    fn end(&mut self, episode: Episode, at: Timestamp, ended: Because) -> Episode {
        self.state = State::Inactive;
        Episode { resolved_at: Some(at), ended, ..episode }
    }

    /// The episode that is firing now.
    #[must_use]
    pub fn firing(&self) -> Option<Episode> {
        match &self.state {
            State::Firing(firing) => Some(firing.episode),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "episode_tests.rs"]
mod tests;
