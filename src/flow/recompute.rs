//! Windows of the past computed again: all stored readings of a range, in order, none too late, by
//! the definitions in force.
//!
//! A reading that came after its window was sealed counts here, and a definition that is newer
//! than the readings reaches back. Only windows that lie in the range as a whole are published,
//! and not those that may still be amended: these hold every reading anyway, and amend themselves.
//! Nor those of which some reading is gone for ever, nor those in which what follows one reading to the
//! next begins with a sensor's first reading that is known here: what was published knew more.
//!
//! A registered sensor is expected at the interval that the register gives it today. Windows in which
//! nothing arrived are not published: whether they say anything depends on when Sereno listened.
//!
//! Rules are asked again ([`super::judged`]): alerts of the range that are over and final are recorded,
//! moved or annulled, and nobody is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::compile::PipelinePlan;
use super::feeds::FeedClocks;
use super::judged::readings::Asked;
use super::judged::{self, Standing};
use super::keys::Share;
use super::moment::{Cause, Moment};
use super::past::{BEFORE, Past};
use super::pipeline::PipelineRun;
use super::rules::RulePlan;
use super::windows::register::Register;
use crate::model::{Aggregate, Dictionary, Event, FeedId, Key, ResultRow, Timestamp};
use crate::window::{Firsts, WindowPlan};

/// Windows with the rules on them.
type Rules = Vec<(Arc<WindowPlan>, Vec<Arc<RulePlan>>)>;

/// The pipeline that is computed, over its feeds, and the share of its keys.
pub struct Whole {
    /// Its plan.
    pub plan: PipelinePlan,
    /// Feeds it reads that have an id.
    pub feeds: Vec<FeedId>,
    /// The registers of its feeds.
    pub register: Register,
    /// The keys.
    pub share: Share,
}

/// The windows of one pipeline over a range, as revisions of the record that asked for them, and the
/// transitions of its alerts. `standing` is what was published; the events are those of the range in
/// order.
#[must_use]
pub fn recompute(
    mut whole: Whole,
    (past, events): (&Past, &[(u64, &Event)]),
    dictionary: &Dictionary,
    cause: Cause,
    standing: &mut dyn Standing,
) -> Vec<ResultRow> {
    let of_rules = |(window, rules): &mut (Arc<WindowPlan>, Vec<_>)| (window.clone(), std::mem::take(rules));
    let rules: Rules = whole.plan.windows.iter_mut().map(of_rules).collect();
    let asked = Asked::new((&whole.plan, &whole.feeds), (past, events), dictionary);
    let on_readings = asked.judge(&whole.feeds, whole.share, cause, standing);
    let (mut rows, firsts) = windows(whole, past, events, dictionary);
    let is_open = |row: &Aggregate| {
        let own = firsts.get(&(row.plan.hash, row.key.clone()));
        own.is_some_and(|firsts| firsts.leave_open(row.start, row.end))
    };
    rows.sort_by(|left, right| {
        (left.plan.hash, &left.key, left.start).cmp(&(right.plan.hash, &right.key, right.start))
    });
    let mut transitions = Vec::new();
    for (window, rules) in rules.iter().filter(|window| !window.1.is_empty()) {
        let own = rows.iter().filter(|row| row.plan.hash == window.description.hash).collect::<Vec<_>>();
        transitions.extend(judged::judge((window, rules), (&own, &is_open), past, cause, standing));
    }
    let begins = |window: &WindowPlan| past.asked.from.max(past.known_from(window.sensors.follow()));
    let begins = rules.iter().map(|(window, _)| (window.description.hash, begins(window)));
    let begins: BTreeMap<u64, Timestamp> = begins.collect();
    rows.retain(|row| {
        let known = begins.get(&row.plan.hash).is_some_and(|begins| *begins <= row.start);
        known && row.end <= past.asked.to && !standing.may_amend(row) && !is_open(row)
    });
    let revision = past.sequence;
    let rows = rows.into_iter().map(|row| Aggregate { cause: revision, revision, ..row });
    rows.map(ResultRow::Aggregate).chain(transitions).chain(on_readings).collect()
}

/// All windows of the range and the time that was gathered before it, and the first readings in them.
fn windows(
    whole: Whole,
    past: &Past,
    events: &[(u64, &Event)],
    dictionary: &Dictionary,
) -> (Vec<Aggregate>, HashMap<(u64, Key), Firsts>) {
    let mut plan = whole.plan;
    plan.readings.clear();
    let until = past.asked.to.plus(plan.close_after);
    let mut run = PipelineRun::new(plan, whole.feeds, whole.share, past.sequence, None);
    run.expect(&Arc::new(whole.register));
    let mut rows = Vec::new();
    // There are no rules, so that nobody asks for the clocks of feeds.
    let (feeds, ticked) = (FeedClocks::default(), Timestamp::MIN);
    for &(sequence, event) in events {
        if run.feeds.contains(&event.feed) {
            // No watermark: nothing closes before everything was counted.
            let own = Cause { sequence, arrived_at: event.arrived_at };
            let mut moment = Moment::new(own, ticked, &feeds, &mut rows);
            run.event(event, past.readings_of(event), Timestamp::MIN, dictionary, &mut moment);
        }
    }
    let firsts = run.firsts(BEFORE);
    let cause = Cause { sequence: past.sequence, arrived_at: past.asked.to };
    run.tick(until, true, &mut Moment::new(cause, ticked, &feeds, &mut rows));
    let aggregate = |row| match row {
        ResultRow::Aggregate(row) => Some(row),
        _ => None,
    };
    (rows.into_iter().filter_map(aggregate).collect(), firsts)
}

#[cfg(test)]
#[path = "recompute_tests.rs"]
mod tests;
