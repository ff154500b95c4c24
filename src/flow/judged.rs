//! Rules asked again: the episodes of each key over windows that were computed anew, or over all its
//! [`readings`], and the transitions by which alerts of that time change.
//!
//! Rules that a silence decides (`absent_for`, `no_data`) are left out: when a sensor was silent
//! depends on when Sereno listened, and a recompute knows only what was said.

pub mod readings;

use std::sync::Arc;

use super::moment::{Cause, Seen, names_of_window, numbers_of_window};
use super::past::Past;
use super::rules::RulePlan;
use crate::alert::{Episode, Inquiry, Step, Verdict};
use crate::model::{Aggregate, Key, ResultRow, Timestamp};
use crate::rule::Row;
use crate::window::WindowPlan;

/// One rule on one key, over a range.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Hash of the window's plan; none for a rule on readings.
    pub window: Option<u64>,
    /// The rule.
    pub rule: Arc<RulePlan>,
    /// The key.
    pub key: Key,
    /// Its episodes, in order; the first may have begun before the range, the last may go on.
    pub episodes: Vec<Episode>,
    /// Episodes that begin after the first and end by the second are whole.
    pub range: (Timestamp, Timestamp),
}

/// Who knows what was published of the time that is judged again.
pub trait Standing {
    /// Whether a window is one that late readings can still amend.
    fn may_amend(&self, row: &Aggregate) -> bool;
    /// Puts the episodes in the place of the alerts that were published; the steps that this takes.
    fn judge_again(&mut self, judged: &Judged) -> Vec<Step>;
}

/// Whether what a window says depends on readings that are not known.
pub type IsOpen<'a> = &'a dyn Fn(&Aggregate) -> bool;

/// Judges the rows of one window, by key and start, and lets `standing` say what changes. Nothing is
/// judged of a key before the last of its rows that are left open.
pub fn judge(
    (window, rules): (&WindowPlan, &[Arc<RulePlan>]),
    (rows, is_open): (&[&Aggregate], IsOpen<'_>),
    past: &Past,
    cause: Cause,
    standing: &mut dyn Standing,
) -> Vec<ResultRow> {
    // What began with the first window that the readings cover may have begun before it.
    let covered = past.known_from(window.sensors.follow());
    let ends = |at| window.grid.end_after(at);
    let to = past.asked.to;
    let names = names_of_window(&window.description);
    let mut transitions = Vec::new();
    for rows in rows.chunk_by(|left, right| left.key == right.key) {
        let Some(key) = rows.first().map(|row| row.key.clone()) else { continue };
        let open = rows.iter().filter(|row| is_open(row)).map(|row| row.end);
        let covered = open.fold(covered, Timestamp::max);
        let sure = ends(ends(covered.plus(window.grid.longest())));
        let range = (past.asked.from.max(sure), to);
        let whole =
            |row: &&&Aggregate| covered <= row.start && row.end <= to && window.grid.is_longest(row.start);
        for rule in rules.iter().filter(|rule| rule.is_plain()) {
            let mut inquiry = Inquiry::default();
            for row in rows.iter().filter(whole) {
                inquiry.one_of(row.end, (None, verdict(rule, row)), &rule.timing);
            }
            let episodes = inquiry.episodes(to, &rule.timing);
            let hash = Some(window.description.hash);
            let judged = Judged { window: hash, rule: rule.clone(), key: key.clone(), episodes, range };
            for step in standing.judge_again(&judged) {
                let seen = seen(rows, step.episode.raised_at);
                let transition = rule.recorded(&step, &key, seen.named(&names), cause);
                transitions.push(ResultRow::Transition(Box::new(transition)));
            }
        }
    }
    transitions
}

/// What a rule says of a window.
fn verdict(rule: &RulePlan, row: &Aggregate) -> Verdict {
    if !row.sufficient {
        return Verdict::NO_DATA;
    }
    verdict_of(rule, &row.key, (&row.fields, row.count, row.capture))
}

/// Whether a rule says something of a window in which nothing arrived.
pub fn judges_the_empty(rule: &RulePlan, key: &Key, fields: usize) -> bool {
    let fields = vec![None; fields];
    let said = |capture| verdict_of(rule, key, (&fields, 0, capture)).has_data();
    said(None) || said(Some(0.0))
}

fn verdict_of(
    rule: &RulePlan,
    key: &Key,
    (fields, count, capture): (&[Option<f64>], u64, Option<f64>),
) -> Verdict {
    let numbers = numbers_of_window(fields, count, capture);
    let texts: Vec<Option<&str>> = key.0.iter().map(|value| Some(&**value)).collect();
    rule.verdict(&Row { numbers: &numbers, texts: &texts })
}

/// What the last window by `at` says.
fn seen(rows: &[&Aggregate], at: Timestamp) -> Seen {
    let mut seen = Seen::default();
    let after = rows.partition_point(|row| row.end <= at);
    match after.checked_sub(1).and_then(|last| rows.get(last)) {
        Some(row) => {
            seen.now(&numbers_of_window(&row.fields, row.count, row.capture), (row.start, row.end));
        }
        None => seen.now(&[], (at, at)),
    }
    seen
}
