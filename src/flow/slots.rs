//! The rules of one window as they run: which definition of each judges which key.
//!
//! A changed condition judges what is closed after the change. A changed `for` judges the windows
//! that begin after it, each key from its first such window on: until then there are two
//! definitions of the rule.

use std::sync::Arc;

use super::compile::Origin;
use super::course::Course;
use super::rules::RulePlan;
use crate::model::Timestamp;

/// A compiled rule and what it was compiled from.
#[derive(Clone)]
pub struct Judge {
    /// The rule.
    pub rule: Arc<RulePlan>,
    /// Where it stands.
    pub origin: Arc<Origin>,
}

/// One rule of a window.
#[derive(Clone)]
pub struct Slot {
    /// What judges keys that no other definition judges.
    pub now: Judge,
    /// Another `for`, and the first start of a window that it judges.
    pub next: Option<(Judge, Timestamp)>,
    /// In a window that is ending: a rule of that name goes on with the same keys elsewhere.
    pub succeeded: bool,
    /// It judges nothing any more.
    pub over: bool,
}

/// What a new definition of a rule does to the course of each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Stays,
    /// Those still judged by an earlier definition go over to the one that judges others already.
    CatchesUp,
    /// All are judged by another condition.
    Changes,
}

impl Slot {
    /// A rule that has judged nothing.
    #[must_use]
    pub fn new(now: Judge) -> Self {
        Self { now, next: None, succeeded: false, over: false }
    }

    /// What judges a key.
    #[must_use]
    pub fn rule(&self, course: &Course) -> &RulePlan {
        match &self.next {
            Some((next, _)) if course.has_moved() => &next.rule,
            _ => &self.now.rule,
        }
    }

    /// The course of a key that is new.
    #[must_use]
    pub fn course(&self) -> Course {
        if self.over { Course::over() } else { Course::default() }
    }

    /// Whether it judges a key: in a window that is ending, one that it never judged is left to the
    /// window that comes after.
    #[must_use]
    pub fn judges(&self, course: &Course) -> bool {
        !self.succeeded || course.has_begun()
    }

    /// Whether its courses may be one with those of other rules that say so: until another definition
    /// judges some of the keys.
    #[must_use]
    pub fn shares(&self) -> bool {
        self.now.rule.is_plain() && self.next.is_none()
    }

    /// The rule defined anew; another `for` judges windows that start at `begins_at` or later.
    #[must_use]
    pub fn followed_by(&self, new: Judge, begins_at: Timestamp) -> (Self, Turn) {
        let newest = self.next.as_ref().map_or(&self.now, |next| &next.0);
        let in_new_words = |judge: &Judge| Judge {
            rule: Arc::new(judge.rule.in_words_of(&new.rule)),
            origin: judge.origin.clone(),
        };
        if newest.rule.judges_as(&new.rule) {
            let slot = match &self.next {
                Some((_, at)) => {
                    Self { now: in_new_words(&self.now), next: Some((new, *at)), ..self.clone() }
                }
                None => Self { now: new, ..self.clone() },
            };
            return (slot, Turn::Stays);
        }
        if newest.rule.timing.hold == new.rule.timing.hold {
            return (Self::new(new), Turn::Changes);
        }
        let now = in_new_words(newest);
        (Self { next: Some((new, begins_at)), ..Self::new(now) }, Turn::CatchesUp)
    }

    /// Brings a key's course over to what [`Self::followed_by`] made of this.
    pub fn turn(&self, course: &mut Course, turn: Turn) {
        let behind = self.next.is_some() && !course.has_moved();
        match turn {
            Turn::Stays => {}
            Turn::CatchesUp if behind => course.change(),
            Turn::CatchesUp => course.stay(),
            Turn::Changes => course.change(),
        }
    }
}
