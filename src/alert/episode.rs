//! From verdicts to episodes: `for`, `keep_firing_for`, the clear condition and staleness.

use serde::{Deserialize, Serialize};

use crate::model::{Span, Timestamp};

/// What a rule says at one event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The condition: `None` is no data, never "not met".
    pub met: Option<bool>,
    /// The separate clear condition; without one, the condition not being met.
    pub cleared: Option<bool>,
}

/// When verdicts turn into alerts.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The condition must hold this long (`for`).
    pub hold: Span,
    /// The alert goes on this long after the condition ended (`keep_firing_for`).
    pub keep: Span,
    /// A verdict stands this long without the next; then it is no data.
    pub stale_after: Span,
}

/// One stretch of time in which a condition held long enough to raise an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// When the condition began to hold.
    pub began_at: Timestamp,
    /// When the alert was raised.
    pub raised_at: Timestamp,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
}

/// Where a life stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Nothing.
    #[default]
    Inactive,
    /// The condition holds since then, not yet for long enough.
    Pending {
        /// Since when.
        since: Timestamp,
    },
    /// Raised.
    Firing {
        /// When the condition began to hold.
        began_at: Timestamp,
        /// When it was raised.
        raised_at: Timestamp,
        /// Since when the condition no longer holds.
        ended: Option<Timestamp>,
    },
}

/// The fold's state: where the life stands and the last verdict's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Where the life stands.
    pub state: State,
    /// Time of the last verdict.
    pub last_at: Option<Timestamp>,
}

impl Fold {
    /// Lets time pass to `to` without a verdict; an episode that ends thereby is returned.
    pub fn advance(&mut self, to: Timestamp, timing: &Timing) -> Option<Episode> {
        match self.state {
            State::Inactive => None,
            State::Pending { since } => {
                // The verdict stands from its time until just before it is stale: exactly then the
                // next one is due, and it decides.
                let stale_at = self.last_at.map_or(since, |at| at.plus(timing.stale_after));
                let due = since.plus(timing.hold);
                if due < stale_at && due <= to {
                    self.state = State::Firing { began_at: since, raised_at: due, ended: None };
                } else if stale_at < to {
                    self.state = State::Inactive;
                }
                None
            }
            State::Firing { began_at, raised_at, ended } => {
                let resolved_at = ended?.plus(timing.keep);
                if resolved_at > to {
                    return None;
                }
                self.state = State::Inactive;
                Some(Episode { began_at, raised_at, resolved_at: Some(resolved_at) })
            }
        }
    }

    /// Takes in the verdict at `at`, not before the last one; an episode that ends thereby is
    /// returned (at most one: a verdict right after a resolution begins the next).
    pub fn verdict(&mut self, at: Timestamp, verdict: Verdict, timing: &Timing) -> Option<Episode> {
        let ended = self.advance(at, timing);
        self.last_at = Some(at);
        let over = match (self.state, verdict.met) {
            (State::Inactive, Some(true)) => {
                self.state = State::Pending { since: at };
                self.raise_if_due(at, timing);
                None
            }
            (State::Pending { .. }, Some(true)) => {
                self.raise_if_due(at, timing);
                None
            }
            (State::Pending { .. }, _) => {
                self.state = State::Inactive;
                None
            }
            (State::Firing { began_at, raised_at, ended }, _) => {
                self.while_firing(at, verdict, began_at, raised_at, ended, timing)
            }
            (State::Inactive, _) => None,
        };
        ended.or(over)
    }

    fn raise_if_due(&mut self, at: Timestamp, timing: &Timing) {
        if let State::Pending { since } = self.state {
            let due = since.plus(timing.hold);
            if due <= at {
                self.state = State::Firing { began_at: since, raised_at: due, ended: None };
            }
        }
    }

    fn while_firing(
        &mut self,
        at: Timestamp,
        verdict: Verdict,
        began_at: Timestamp,
        raised_at: Timestamp,
        ended: Option<Timestamp>,
        timing: &Timing,
    ) -> Option<Episode> {
        let ended = match verdict.cleared {
            Some(true) => Some(ended.unwrap_or(at)),
            Some(false) => None,
            // No data: nothing changes.
            None => ended,
        };
        self.state = State::Firing { began_at, raised_at, ended };
        self.advance(at, timing)
    }

    /// The episode that is firing now.
    #[must_use]
    pub fn firing(&self) -> Option<Episode> {
        match self.state {
            State::Firing { began_at, raised_at, .. } => {
                Some(Episode { began_at, raised_at, resolved_at: None })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    fn run(timing: &Timing, verdicts: &[(i64, Option<bool>)]) -> (Vec<Episode>, Fold) {
        let mut fold = Fold::default();
        let episodes = verdicts
            .iter()
            .filter_map(|(at, met)| {
                fold.verdict(s(*at), Verdict { met: *met, cleared: met.map(|m| !m) }, timing)
            })
            .collect();
        (episodes, fold)
    }

    fn timing(hold: i64, keep: i64, stale: i64) -> Timing {
        Timing { hold: Span::seconds(hold), keep: Span::seconds(keep), stale_after: Span::seconds(stale) }
    }

    #[test]
    fn two_minutes_on_one_minute_windows_raise_at_the_third_in_a_row() {
        let timing = timing(120, 0, 60);
        let (_, fold) = run(&timing, &[(60, Some(true)), (120, Some(true))]);
        assert_eq!(fold.firing(), None);
        let (_, fold) = run(&timing, &[(60, Some(true)), (120, Some(true)), (180, Some(true))]);
        assert_eq!(fold.firing().map(|e| e.raised_at), Some(s(180)));
    }

    #[test]
    fn a_missing_window_is_no_data_and_breaks_the_row() {
        let (_, fold) = run(&timing(120, 0, 60), &[(60, Some(true)), (120, Some(true)), (240, Some(true))]);
        assert_eq!(fold.firing(), None);
    }

    #[test]
    fn time_alone_raises_between_readings_while_the_verdict_stands() {
        let timing = timing(600, 0, 3_600);
        let (_, mut fold) = run(&timing, &[(0, Some(true))]);
        fold.advance(s(599), &timing);
        assert_eq!(fold.firing(), None);
        fold.advance(s(700), &timing);
        assert_eq!(fold.firing().map(|e| e.raised_at), Some(s(600)));
    }

    #[test]
    fn keep_firing_for_outlasts_a_dip_and_then_resolves() {
        let timing = timing(0, 120, 60);
        let (over, fold) = run(&timing, &[(0, Some(true)), (60, Some(false)), (120, Some(true))]);
        assert!(over.is_empty() && fold.firing().is_some());
        let (over, _) =
            run(&timing, &[(0, Some(true)), (60, Some(false)), (120, Some(false)), (180, Some(false))]);
        assert_eq!(over, [Episode { began_at: s(0), raised_at: s(0), resolved_at: Some(s(180)) }]);
    }

    #[test]
    fn no_data_holds_a_firing_alert() {
        let (over, fold) = run(&timing(0, 0, 60), &[(0, Some(true)), (60, None)]);
        assert!(over.is_empty() && fold.firing().is_some());
    }
}
