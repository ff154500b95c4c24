//! The courses of one key's rules, and how time that changes nothing is kept from them.
//!
//! Time passes for a key with every event of it. While none of its rules is pending or firing, that moves
//! two clocks in each course and nothing else. So it is only noted, and the courses are told of all of it
//! at once before anybody asks them anything: [`Courses::told`] is the only way to change them.

use serde::{Deserialize, Serialize};

use crate::flow::bundle::Bundle;
use crate::flow::slots::Slot;
use crate::model::{FeedId, Span, Timestamp};

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Courses {
    bundle: Bundle,
    /// How far observed time had come when time last passed that the courses were not told of.
    owed: Option<(Timestamp, Span)>,
    /// Time alone changes nothing in them, as far as it is known.
    #[serde(skip)]
    quiet: bool,
}

/// How far time has come for a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    /// Its watermark.
    pub(super) watermark: Timestamp,
    /// Its windows that end at or before are sealed.
    pub(super) sealed_to: Timestamp,
    /// End of the last window of its plan.
    pub(super) last_end: Timestamp,
}

impl Reached {
    /// How far time goes for a rule: those that nobody succeeds end with the last window.
    pub(super) fn until(self, slot: &Slot) -> Timestamp {
        if slot.succeeded { Timestamp::MAX } else { self.last_end }
    }
}

impl Courses {
    /// Those of a key that was not judged yet.
    pub(super) fn new(rules: &[Slot]) -> Self {
        let bundle = Bundle::new(rules.iter().map(Slot::course).collect(), shares(rules));
        Self { bundle, ..Self::default() }
    }

    /// To look at what time does not change while nothing is pending or firing.
    pub(super) fn look(&self) -> &Bundle {
        &self.bundle
    }

    /// To ask or change anything: they are told first of the time that passed.
    pub(super) fn told(&mut self, rules: &[Slot], reached: Reached) -> &mut Bundle {
        self.quiet = false;
        if let Some(observed) = self.owed.take() {
            for (place, course) in self.bundle.each_mut() {
                let Some(slot) = rules.get(place) else { continue };
                let rule = slot.rule(course);
                course.let_pass(rule.close_after, (reached.watermark, reached.until(slot)), observed);
                course.seal(reached.sealed_to, slot.rule(course));
            }
        }
        &mut self.bundle
    }

    /// The flags of their rules are others: what was one may no longer be.
    pub(super) fn regroup(&mut self, rules: &[Slot], reached: Reached) {
        self.bundle.set_all_apart();
        self.told(rules, reached).gather(shares(rules));
    }

    /// Others in their place.
    pub(super) fn replace(&mut self, bundle: Bundle) {
        *self = Self { bundle, ..Self::default() };
    }

    /// They were told of everything: whether the next time that passes can be kept from them. What they
    /// heard last came by `feed`.
    pub(super) fn rest(&mut self, feed: FeedId) {
        self.quiet = self.bundle.each().all(|(_, course)| course.is_quiet(feed));
    }

    /// They have something to be told at once from here on.
    pub(super) fn stir(&mut self) {
        self.quiet = false;
    }

    /// Whether time that passes can be kept from them.
    pub(super) fn are_quiet(&self) -> bool {
        self.quiet
    }

    /// Keeps from them that time passes, as far as it was `observed`.
    pub(super) fn owe(&mut self, observed: (Timestamp, Span)) {
        if !self.bundle.is_empty() {
            self.owed = Some(observed);
        }
    }
}

/// Whether the course of a rule in that place may be one with those of others: they end with the same window.
pub(super) fn shares(rules: &[Slot]) -> impl Fn(usize) -> bool {
    let succeeded = rules.first().is_some_and(|slot| slot.succeeded);
    move |place| rules.get(place).is_some_and(|slot| slot.shares() && slot.succeeded == succeeded)
}
