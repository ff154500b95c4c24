//! The absence of one sensor: nothing came from it for too long. On the arrival clock, so that no
//! late data changes it; only time in which its feed was observed counts.

use serde::{Deserialize, Serialize};

use super::episode::{Because, Episode};
use super::life::{Identify, Step, StepKind};
use crate::model::{AlertId, Span, Timestamp};

/// One absence rule on one sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// When it was last heard.
    heard_at: Option<Timestamp>,
    open: Option<(AlertId, Episode)>,
}

impl Absence {
    /// It was heard at `at`: an open alert is over.
    pub fn heard(&mut self, at: Timestamp) -> Option<Step> {
        self.heard_at = Some(at);
        let (id, episode) = self.open.take()?;
        let episode = Episode { resolved_at: Some(at), ..episode };
        Some(Step { id, episode, kind: StepKind::Resolved })
    }

    /// When it counts as absent if nothing comes until then and `unobserved` is all the time since
    /// it was heard in which its feed was not observed; `None` when it was never heard, or counts
    /// already.
    #[must_use]
    pub fn due(&self, limit: Span, unobserved: Span) -> Option<Timestamp> {
        let heard_at = self.heard_at.filter(|_| self.open.is_none())?;
        Some(heard_at.plus(limit).plus(unobserved))
    }

    /// Lets the arrival clock reach `to`.
    pub fn advance(
        &mut self,
        to: Timestamp,
        limit: Span,
        unobserved: Span,
        identify: Identify<'_>,
    ) -> Option<Step> {
        let raised_at = self.due(limit, unobserved).filter(|due| *due <= to)?;
        let began_at = self.heard_at?;
        let raised = Because::NoData;
        let episode =
            Episode { began_at, raised_at, resolved_at: None, raised, ended: Because::DataAgain, changes: 0 };
        let id = identify(began_at, 0);
        self.open = Some((id, episode));
        Some(Step { id, episode, kind: StepKind::Raised })
    }

    /// Closes it for good; the step that resolves an open alert at `at`.
    pub fn close(&mut self, at: Timestamp) -> Option<Step> {
        let step = self.heard(at);
        *self = Self::default();
        step.map(|step| Step { episode: Episode { ended: Because::RuleChanged, ..step.episode }, ..step })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    fn id(at: Timestamp, _: u64) -> AlertId {
        AlertId(at.0 as u128)
    }

    const LIMIT: Span = Span::seconds(600);

    #[test]
    fn a_sensor_is_absent_at_the_very_second_once_and_until_it_is_heard() {
        let mut absence = Absence::default();
        assert_eq!(absence.advance(s(9_999), LIMIT, Span::ZERO, &id), None, "never heard");
        absence.heard(s(100));
        assert_eq!(absence.advance(s(699), LIMIT, Span::ZERO, &id), None);
        let raised = absence.advance(s(5_000), LIMIT, Span::ZERO, &id).unwrap();
        assert_eq!((raised.episode.began_at, raised.episode.raised_at), (s(100), s(700)));
        assert_eq!(absence.advance(s(6_000), LIMIT, Span::ZERO, &id), None);
        let over = absence.heard(s(6_100)).unwrap();
        assert_eq!((over.id, over.episode.resolved_at), (raised.id, Some(s(6_100))));
        assert_eq!(absence.heard(s(6_200)), None);
    }

    #[test]
    fn time_unobserved_does_not_count() {
        let mut absence = Absence::default();
        absence.heard(s(100));
        assert_eq!(absence.advance(s(7_800), LIMIT, Span::seconds(7_200), &id), None);
        let raised = absence.advance(s(7_900), LIMIT, Span::seconds(7_200), &id).unwrap();
        assert_eq!(raised.episode.raised_at, s(7_900));
    }

    #[test]
    fn a_rule_that_is_taken_away_ends_what_is_open_and_forgets() {
        let mut absence = Absence::default();
        absence.heard(s(100));
        assert_eq!(absence.close(s(200)), None, "nothing is open");
        assert_eq!(absence.advance(s(9_999), LIMIT, Span::ZERO, &id), None, "and nothing was heard");
        absence.heard(s(10_000));
        let raised = absence.advance(s(11_000), LIMIT, Span::ZERO, &id).unwrap();
        let over = absence.close(s(11_500)).unwrap();
        let ended = Episode { resolved_at: Some(s(11_500)), ended: Because::RuleChanged, ..raised.episode };
        assert_eq!(over, Step { id: raised.id, episode: ended, kind: StepKind::Resolved });
    }
}
