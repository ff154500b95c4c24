//! How long nothing could come to a feed, in the eyes of its quotas: so that what a broker or a gateway
//! kept meanwhile passes, and nothing beyond that.
//!
//! Beside its hour's worth a quota holds the worth of the last outage, until [`LASTS`] after the backlog
//! has drained. Then it is taken away together with what was used up of it: the clock of the quotas
//! jumps ahead by the length of the outage, so that who used no more than that has a full hour's worth
//! again.

use crate::model::{Span, Timestamp};

/// An outage longer than this counts as this long.
const LONGEST: Span = Span::seconds(7 * 24 * 3_600);
/// How long its worth counts after the backlog has drained.
const LASTS: Span = Span::seconds(3_600);

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// What quotas hold for it.
    worth: Span,
    /// All earlier ones together: how far the clock of the quotas is ahead.
    ahead: Span,
    drained_at: Option<Timestamp>,
}

impl Outage {
    /// What may come now was kept for `span`. An outage whose backlog has not drained goes on.
    pub fn ends(&mut self, span: Span, now: Timestamp) {
        self.pass(now);
        self.worth = Span(self.worth.0.saturating_add(span.0).clamp(0, LONGEST.0));
        self.drained_at = None;
    }

    /// Its backlog has drained.
    pub fn drained(&mut self, now: Timestamp) {
        self.drained_at.get_or_insert(now);
    }

    /// Time has come to `now`.
    pub fn pass(&mut self, now: Timestamp) {
        if self.drained_at.is_some_and(|at| now.since(at) >= LASTS) {
            self.ahead = Span(self.ahead.0.saturating_add(self.worth.0));
            self.worth = Span::ZERO;
            self.drained_at = None;
        }
    }

    /// What quotas hold for it beside their hour's worth, as the time in which that fills.
    #[must_use]
    pub fn worth(&self) -> Span {
        self.worth
    }

    /// How far the clock of the quotas is ahead.
    #[must_use]
    pub fn ahead(&self) -> Span {
        self.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::SECOND;

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * SECOND)
    }

    #[test]
    fn its_worth_counts_until_an_hour_after_its_backlog_has_drained() {
        let mut outage = Outage::default();
        outage.ends(Span::seconds(7_200), s(0));
        outage.pass(s(100_000));
        assert_eq!((outage.worth(), outage.ahead()), (Span::seconds(7_200), Span::ZERO), "it drains still");
        outage.drained(s(100_000));
        outage.drained(s(103_000));
        outage.pass(s(103_599));
        assert_eq!((outage.worth(), outage.ahead()), (Span::seconds(7_200), Span::ZERO));
        outage.pass(s(103_600));
        assert_eq!((outage.worth(), outage.ahead()), (Span::ZERO, Span::seconds(7_200)));
        outage.pass(s(200_000));
        outage.drained(s(200_000));
        outage.pass(s(300_000));
        assert_eq!((outage.worth(), outage.ahead()), (Span::ZERO, Span::seconds(7_200)), "once");
    }

    #[test]
    fn one_that_has_not_drained_goes_on_and_none_is_longer_than_a_week() {
        let mut outage = Outage::default();
        outage.ends(Span::seconds(100), s(0));
        outage.ends(Span::seconds(50), s(60));
        assert_eq!((outage.worth(), outage.ahead()), (Span::seconds(150), Span::ZERO));
        outage.ends(Span(i64::MAX), s(70));
        assert_eq!(outage.worth(), LONGEST);
        outage.drained(s(80));
        outage.ends(Span::seconds(-5), s(80 + 3_600));
        assert_eq!((outage.worth(), outage.ahead()), (Span::ZERO, LONGEST));
    }
}
