//! One rule on one key as it runs: its life, and how long it has heard nothing.
//!
//! Observed time is the tick less the time in which the key's feed was not observed since the last
//! verdict came in, so that neither an outage of Sereno nor a feed that lost its connection counts
//! for `for`, `keep_firing_for`, `no_data` and `absent_for`.

use serde::{Deserialize, Serialize};

use super::moment::{Evidence, Heard, Moment};
use super::rules::RulePlan;
use crate::alert::{Absence, Episode, Life, Step, Verdict};
use crate::model::definition::NoData;
use crate::model::{FeedId, Key, ResultRow, Span, Timestamp};

/// A nanosecond later: the next tick at the earliest.
const NEXT: Span = Span(1);

/// Bytes of a course, beside the verdicts that late data may still change and the alerts that stand.
pub const COURSE_BYTES: usize = size_of::<Course>();

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    life: Life,
    /// Of an absence rule.
    absence: Option<Box<Absence>>,
    /// When the last verdict with data came in, or the silence after it was noted; for an absence rule, when
    /// the last event came.
    heard: Option<Heard>,
    /// The silence after the last verdict with data is noted.
    noted: bool,
    /// It was judged before.
    begun: bool,
    /// The next definition of its rule judges it; see [`super::slots`].
    moved: bool,
}

/// Whose course it is, and what was seen last.
#[derive(Clone, Copy)]
pub struct Whose<'a> {
    /// The rule.
    pub rule: &'a RulePlan,
    /// The key.
    pub key: &'a Key,
    /// What the last verdict saw.
    pub evidence: Evidence<'a>,
}

impl Whose<'_> {
    /// Publishes steps as transitions.
    pub fn tell(self, steps: impl IntoIterator<Item = Step>, moment: &mut Moment<'_>) {
        for step in steps {
            let transition = self.rule.transition(&step, self.key, self.evidence, moment.cause);
            moment.out.push(ResultRow::Transition(Box::new(transition)));
        }
    }
}

impl Course {
    /// Takes in a window's verdict; the steps it leads to, or `None` when what was said of that time
    /// is final. `heard` is of the feed by which the key's last event came.
    pub fn verdict(
        &mut self,
        rule: &RulePlan,
        key: &Key,
        (at, verdict): (Timestamp, Verdict),
        heard: Heard,
    ) -> Option<Vec<Step>> {
        let identify = |began_at, number| rule.identify(key, began_at, number);
        let steps = self.life.verdict(at, verdict, &rule.timing, &identify)?;
        self.told(verdict, heard);
        Some(steps)
    }

    /// Takes in the verdict of an event with that frame counter, of which the greatest of its time
    /// stands; otherwise like [`Self::verdict`].
    pub fn one_of(
        &mut self,
        rule: &RulePlan,
        key: &Key,
        (at, counter, verdict): (Timestamp, Option<u64>, Verdict),
        heard: Heard,
    ) -> Option<Vec<Step>> {
        let identify = |began_at, number| rule.identify(key, began_at, number);
        let steps = self.life.one_of(at, (counter, verdict), &rule.timing, &identify)?;
        self.told(verdict, heard);
        Some(steps)
    }

    fn told(&mut self, verdict: Verdict, heard: Heard) {
        if verdict.has_data() {
            (self.heard, self.noted) = (Some(heard), false);
        }
    }

    /// An absence rule's sensor was heard.
    pub fn heard(&mut self, whose: Whose<'_>, heard: Heard, moment: &mut Moment<'_>) {
        self.heard = Some(heard);
        whose.tell(self.absence.get_or_insert_default().heard(moment.cause.arrived_at), moment);
    }

    /// Lets time pass to the key's own watermark and, as far as it was observed, to the last tick
    /// with drained feeds; no further than `until`. Says whether that changed anything.
    pub fn pass(
        &mut self,
        whose: Whose<'_>,
        (watermark, until): (Timestamp, Timestamp),
        moment: &mut Moment<'_>,
    ) -> bool {
        let to = self.reached(whose.rule.close_after, (watermark, until), |heard| heard.passed(moment));
        let identify = |began_at, number| whose.rule.identify(whose.key, began_at, number);
        let Some(steps) = self.life.advance(to, &whose.rule.timing, &identify) else { return false };
        whose.tell(steps, moment);
        true
    }

    fn reached(
        &self,
        close_after: Span,
        (watermark, until): (Timestamp, Timestamp),
        passed: impl FnOnce(Heard) -> Timestamp,
    ) -> Timestamp {
        let observed = self.heard.map(|heard| passed(heard).minus(close_after));
        observed.map_or(watermark, |observed| observed.max(watermark)).min(until)
    }

    /// As [`Self::pass`] of one that [`Self::is_quiet`]; `observed` is how far observed time had come for
    /// the feed that it heard.
    pub fn let_pass(
        &mut self,
        close_after: Span,
        limits: (Timestamp, Timestamp),
        observed: (Timestamp, Span),
    ) {
        let to = self.reached(close_after, limits, |heard| heard.passed_by(observed));
        self.life.let_pass(to);
    }

    /// Whether time alone changes nothing but how far it has come; what it heard last came by `feed`.
    #[must_use]
    pub fn is_quiet(&self, feed: FeedId) -> bool {
        self.life.is_quiet() && self.heard.is_none_or(|heard| heard.is_by(feed))
    }

    /// Whether, until something is met, it would go on in the same way under any other rule that is
    /// [plain](RulePlan::is_plain): what is not met makes no episode, also where it comes late, whatever
    /// `for` and `keep_firing_for` are.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.life.is_quiet() && self.absence.is_none() && !self.moved
    }

    /// The earliest tick at which it may be silent or absent.
    #[must_use]
    pub fn alarm(&self, rule: &RulePlan, moment: &Moment<'_>) -> Option<Timestamp> {
        if self.life.is_over() {
            return None;
        }
        let unobserved = self.heard?.unobserved_since(moment.feeds);
        if let Some(limit) = rule.absent_for {
            return self.absence.as_ref()?.due(limit, unobserved);
        }
        let silent = rule.timing.no_data != NoData::Hold && !self.noted;
        let last_at = self.life.last_at().filter(|_| silent)?;
        Some(rule.timing.stale.at(last_at).plus(unobserved).plus(rule.close_after))
    }

    /// Notes a silence or an absence that is due at the tick `to`; when to look again.
    pub fn ring(
        &mut self,
        whose: Whose<'_>,
        to: Timestamp,
        drained: bool,
        moment: &mut Moment<'_>,
    ) -> Option<Timestamp> {
        let due = self.alarm(whose.rule, moment)?;
        if due > to {
            return Some(due);
        }
        let heard = self.heard?;
        let identify = |began_at, number| whose.rule.identify(whose.key, began_at, number);
        if let Some(limit) = whose.rule.absent_for {
            if !heard.is_observed(moment.feeds) {
                return Some(to.plus(NEXT));
            }
            let unobserved = heard.unobserved_since(moment.feeds);
            let step = self.absence.as_mut()?.advance(to, limit, unobserved, &identify);
            let window = step.map_or((to, to), |step| (step.episode.began_at, step.episode.raised_at));
            Whose { evidence: Evidence::of_nothing(window), ..whose }.tell(step, moment);
            return None;
        }
        if !drained {
            return Some(to.plus(NEXT));
        }
        self.noted = true;
        self.heard = Some(heard.again(moment.feeds));
        let silent_at = due.minus(whose.rule.close_after);
        let steps = self.life.silence(silent_at, &whose.rule.timing, &identify);
        whose.tell(steps, moment);
        None
    }

    /// It begins without what windows of an earlier definition said before `at`.
    pub fn knows_from(&mut self, at: Timestamp) {
        if at > Timestamp::MIN {
            self.life.forget_past(at);
        }
    }

    /// See [`Life::is_judged_as`].
    #[must_use]
    pub fn is_judged_as(&self, judged: &[Episode], range: (Timestamp, Timestamp)) -> bool {
        self.life.is_judged_as(judged, range)
    }

    /// See [`Life::judge_again`].
    pub fn judge_again(
        &mut self,
        rule: &RulePlan,
        key: &Key,
        judged: &[Episode],
        range: (Timestamp, Timestamp),
    ) -> Vec<Step> {
        let identify = |began_at, number| rule.identify(key, began_at, number);
        self.life.judge_again(judged, range, &identify)
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.life.is_over()
    }

    /// Makes final what was said of times up to and with `to`.
    pub fn seal(&mut self, to: Timestamp, rule: &RulePlan) {
        let silence = rule.timing.no_data != NoData::Hold && !self.noted;
        self.life.seal(to, silence, &rule.timing);
    }

    /// Whether anything is final of it.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.life.is_sealed()
    }

    /// Whether the watermark or a tick may change it.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.life.is_waiting()
    }

    /// Whether the next definition of its rule judges it.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.moved
    }

    /// What judged it as the next definition is now the only one.
    pub fn stay(&mut self) {
        self.moved = false;
    }

    /// Another definition judges from here on; see [`Life::change`].
    pub fn change(&mut self) {
        self.life.change();
        self.moved = false;
    }

    /// The next definition judges from here on. What nobody judged has nothing to be final.
    pub fn move_on(&mut self) {
        if self.life.last_at().is_some() {
            self.life.change();
        }
        self.moved = true;
    }

    /// Whether it was judged before.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether it judged anything, also if it is over since.
    #[must_use]
    pub fn has_judged(&self) -> bool {
        self.begun && (self.heard.is_some() || !self.life.is_over())
    }

    /// Whether this is its first verdict: then it may go on with the course of a window before it.
    pub fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// A course of which nothing more comes.
    #[must_use]
    pub fn over() -> Self {
        let mut over = Self { begun: true, ..Self::default() };
        over.life.close(Timestamp::MAX);
        over
    }

    /// Hands it over to the window that comes after; `None` when it never began or is over.
    pub fn hand_over(&mut self) -> Option<Self> {
        let goes_on = self.begun && !self.life.is_over();
        goes_on.then(|| {
            let mut course = std::mem::replace(self, Self::over());
            course.change();
            course
        })
    }

    /// Takes the place of one that was handed over; how far time has come the window itself says.
    pub fn goes_on_from(&mut self, before: Self) {
        let fresh = std::mem::replace(self, before);
        self.life.set_clock_of(&fresh.life);
    }

    /// The rule is gone: what is open is resolved at `at`.
    pub fn close(&mut self, whose: Whose<'_>, at: Timestamp, moment: &mut Moment<'_>) {
        let steps = self.life.close(at);
        let absence = self.absence.as_mut().and_then(|absence| absence.close(at));
        whose.tell(steps.into_iter().chain(absence), moment);
        *self = Self { heard: self.heard, ..Self::over() };
    }
}
