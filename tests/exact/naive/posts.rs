//! Where a rule judges, naively: on which plan, by which of its definitions; and what it holds of
//! each key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use sereno::model::Key;
use sereno::model::definition::RuleDefinition;

use super::absence::Absence;
use super::grid::Grid;
use super::life::{Life, Timing, Verdict};
use crate::condition::Condition;

/// A pipeline, and a plan of it (the record that defined it, its place there), or its readings.
pub type Place = (String, Option<(u64, usize)>);

/// One rule where it judges: on a plan, or on readings.
pub struct Post {
    pub place: Place,
    /// What the parts of its keys are called.
    pub names: Vec<Arc<str>>,
    /// As last defined: its words.
    pub words: RuleDefinition,
    /// What judges keys that no other definition judges.
    pub now: RuleDefinition,
    /// Another `for`, and the first start of a window that it judges.
    pub next: Option<(RuleDefinition, i64)>,
    /// The grid of its windows.
    pub grid: Option<Grid>,
    /// The ends after verdicts, as far as they were asked for.
    pub known: RefCell<BTreeMap<i64, i64>>,
    /// By key: what had been closed when it came.
    pub closed_to: BTreeMap<Key, i64>,
    /// Where the plan is ending: the end of its last window, and whether a rule of that name goes
    /// on with the same keys.
    pub ends: Option<(i64, bool)>,
    /// Newer plans come first.
    pub age: usize,
}

/// A rule on a key: pipeline, rule, the names of its key's parts, key.
pub type Whose = (String, String, Vec<Arc<str>>, Key);

/// What a rule holds of a key.
pub struct Held {
    pub place: Place,
    pub life: Life,
    pub absence: Absence,
    /// The next definition judges it.
    pub moved: bool,
    /// When the last verdict with data came in: by which feed, and what was unobserved of it.
    pub heard: Option<(usize, i64)>,
    /// The silence after it is noted.
    pub noted: bool,
}

impl Held {
    pub fn new(place: &Place) -> Self {
        let (life, absence) = (Life::default(), Absence::default());
        Self { place: place.clone(), life, absence, moved: false, heard: None, noted: false }
    }

    pub fn told(&mut self, verdict: Verdict, feed: usize, unobserved: i64) {
        if verdict != (None, None) {
            (self.heard, self.noted) = (Some((feed, unobserved)), false);
        }
    }
}

impl Post {
    pub fn new(place: Place, rule: &RuleDefinition) -> Self {
        let (names, next, grid, ends, age) = (Vec::new(), None, None, None, 0);
        let (words, now, closed_to) = (rule.clone(), rule.clone(), BTreeMap::new());
        Self { place, names, words, now, next, grid, known: RefCell::default(), closed_to, ends, age }
    }

    /// A rule on readings and one on windows by the sensor are two.
    pub fn whose(&self, key: &Key) -> Whose {
        let names = if self.place.1.is_some() { self.names.clone() } else { vec!["readings".into()] };
        (self.place.0.clone(), self.words.name.clone(), names, key.clone())
    }

    pub fn holds(&self, whose: &Whose, held: &Held) -> bool {
        held.place == self.place && whose.1 == self.words.name
    }

    /// Time passes no further here.
    pub fn until(&self) -> i64 {
        self.ends.filter(|ends| !ends.1).map_or(i64::MAX, |ends| ends.0)
    }

    /// What it holds of a key before the first verdict: time has passed for it all the same.
    pub fn fresh(&self, passed: Option<i64>) -> Held {
        let mut held = Held::new(&self.place);
        let stale = self.stale(&held);
        let timing = self.timing(&held, &stale);
        if let Some(passed) = passed {
            held.life.pass(passed.min(self.until()), &timing);
        }
        held
    }

    /// The definition that judges a key.
    pub fn rule(&self, held: &Held) -> &RuleDefinition {
        self.next.as_ref().filter(|_| held.moved).map_or(&self.now, |next| &next.0)
    }

    /// When a verdict of that time on a key is no data without another: at the end of the next
    /// window, or after `stale_after`.
    pub fn stale<'a>(&'a self, held: &Held) -> impl Fn(i64) -> i64 + use<'a> {
        let rule = self.rule(held);
        move |said| match &self.grid {
            Some(grid) => *self.known.borrow_mut().entry(said).or_insert_with(|| grid.end_after(said)),
            None => said + rule.stale_after.0,
        }
    }

    /// The times of what judges a key; `stale` as [`Self::stale`] gives it.
    pub fn timing<'a>(&self, held: &Held, stale: &'a dyn Fn(i64) -> i64) -> Timing<'a> {
        let rule = self.rule(held);
        Timing { hold: rule.hold.0, keep: rule.keep_firing_for.0, stale, no_data: rule.no_data }
    }
}

/// Whether two definitions differ in words only; `stale_after` is nothing to windows.
pub fn judges_as(one: &RuleDefinition, other: &RuleDefinition, readings: bool) -> bool {
    let stale = |rule: &RuleDefinition| readings.then_some(rule.stale_after);
    let times =
        |rule: &RuleDefinition| (rule.hold, rule.keep_firing_for, rule.no_data, rule.absent_for, stale(rule));
    (&one.when, &one.clear, times(one)) == (&other.when, &other.clear, times(other))
}

/// What a definition says of these columns.
pub fn judge(
    conditions: &BTreeMap<String, Condition>,
    rule: &RuleDefinition,
    columns: &[(Arc<str>, Option<f64>)],
) -> Verdict {
    let column = |name: &str| columns.iter().find(|own| *own.0 == *name).and_then(|own| own.1);
    let met = conditions[&rule.when].of(&column);
    let cleared = match &rule.clear {
        Some(sql) => conditions[sql].of(&column),
        None => met.map(|met| !met),
    };
    (met, cleared)
}
