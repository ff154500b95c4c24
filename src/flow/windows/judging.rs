//! A window's revision judged by its rules.

use std::sync::Arc;

use super::courses::Reached;
use super::{KeyRun, handover};
use crate::alert::Verdict;
use crate::flow::course::Whose;
use crate::flow::moment::{Heard, Moment, numbers_of_window};
use crate::flow::slots::Slot;
use crate::model::Timestamp;
use crate::rule::{self, Guards};
use crate::window::Publication;

/// The rules of a window.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    /// Each in its place.
    pub(super) slots: &'a [Slot],
    /// Which of them a row may meet.
    pub(super) guards: &'a Guards,
    /// Names of what they see.
    pub(super) names: &'a [Arc<str>],
    /// Names of the key's tags.
    pub(super) by: &'a [Arc<str>],
    /// Start of the first window of the plan.
    pub(super) begins_at: Timestamp,
}

/// What they judge.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// A window's revision.
    pub(super) publication: &'a Publication,
    /// How much of what was expected came.
    pub(super) capture: Option<f64>,
    /// Whether that is enough to say anything.
    pub(super) sufficient: bool,
}

/// The guards of the rules of a window.
pub(super) fn guards(rules: &[Slot]) -> Guards {
    Guards::new(rules.iter().map(|slot| slot.now.rule.guards(false)))
}

impl KeyRun {
    /// Lets every rule judge a revision.
    pub(super) fn judge(
        &mut self,
        rules: Rules<'_>,
        reached: Reached,
        judged: Row<'_>,
        moment: &mut Moment<'_>,
    ) {
        let Row { publication, capture, sufficient } = judged;
        // The texts of `Schema::of_window` are the key.
        let numbers = numbers_of_window(&publication.fields, publication.count, capture);
        let texts: Vec<Option<&str>> = self.key.0.iter().map(|value| Some(&**value)).collect();
        let row = rule::Row { numbers: &numbers, texts: &texts };
        self.seen.now(&numbers, (publication.start, publication.end));
        let heard = Heard::now(self.heard_by, moment.feeds);
        let (key, at) = (&self.key, publication.end);
        let bundle = self.courses.told(rules.slots, reached);
        let alone = moment.newer.is_empty() && moment.ending.is_empty();
        if !alone && bundle.common_mut().is_some_and(|(_, course)| !course.has_begun()) {
            // Each may have been judged elsewhere.
            bundle.set_all_apart();
        }
        let says = |slot: &Slot| if sufficient { slot.now.rule.verdict(&row) } else { Verdict::NO_DATA };
        let most = if sufficient {
            bundle.part(rules.guards, &row, |place| rules.slots.get(place).map(says))
        } else {
            Some(Verdict::NO_DATA)
        };
        if let (Some(verdict), Some((place, course))) = (most, bundle.common_mut())
            && let Some(slot) = rules.slots.get(place)
            && slot.judges(course)
        {
            if course.begins() {
                course.knows_from(rules.begins_at);
            }
            // It is met by nothing, and so leads to no steps.
            let _ = course.verdict(&slot.now.rule, key, (at, verdict), heard);
        }
        for (place, course) in bundle.own_mut() {
            let Some(slot) = rules.slots.get(place).filter(|slot| slot.judges(course)) else { continue };
            let name = &slot.now.rule.name;
            if !course.has_begun() && handover::is_judged_since(rules.by, name, key, moment) {
                continue;
            }
            if course.begins() {
                match handover::taken(rules.by, name, key, moment) {
                    Some(before) => course.goes_on_from(before),
                    None => course.knows_from(rules.begins_at),
                }
            }
            let next = slot.next.as_ref();
            if next.is_some_and(|next| !course.has_moved() && publication.start >= next.1) {
                course.move_on();
            }
            let rule = slot.rule(course);
            let verdict = if sufficient { rule.verdict(&row) } else { Verdict::NO_DATA };
            let steps = course.verdict(rule, key, (at, verdict), heard).unwrap_or_default();
            Whose { rule, key, evidence: self.seen.named(rules.names) }.tell(steps, moment);
        }
    }
}
