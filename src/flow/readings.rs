//! Rules on readings: every event of a sensor is judged at its own event time.

mod state;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::key_runs::KeyRuns;
use super::keys::{KeyTable, SENSOR, Share};
use super::rules::{self, Cause, Evidence, RulePlan};
use crate::alert::Life;
use crate::model::{Dictionary, Event, Key, ResultRow, Span, Timestamp};
use crate::rule::Row;

/// The rules on readings of one pipeline.
pub struct ReadingsRun {
    /// The rules.
    pub rules: Vec<Arc<RulePlan>>,
    /// Names of the numbers of a row.
    names: Vec<Arc<str>>,
    allowed_lateness: Span,
    close_after: Span,
    table: KeyTable,
    keys: KeyRuns<KeyRun>,
    waiting: BTreeSet<u32>,
}

#[derive(Serialize, Deserialize)]
struct KeyRun {
    /// Stands before the rest of the state.
    #[serde(skip)]
    key: Key,
    watermark: Timestamp,
    lives: Vec<Life>,
    evidence: Evidence,
}

impl ReadingsRun {
    /// Rules that have judged nothing.
    #[must_use]
    pub fn new(
        rules: Vec<Arc<RulePlan>>,
        names: Vec<Arc<str>>,
        allowed_lateness: Span,
        close_after: Span,
        share: Share,
    ) -> Self {
        Self {
            rules,
            names,
            allowed_lateness,
            close_after,
            table: KeyTable::new(&[SENSOR.into()], None, share),
            keys: KeyRuns::default(),
            waiting: BTreeSet::new(),
        }
    }

    /// Goes on with the keys of an earlier definition: rules of the same name keep their alerts,
    /// open alerts of those that are gone are resolved.
    pub fn take_over(&mut self, old: Self, cause: Cause, out: &mut Vec<ResultRow>) {
        self.table = old.table;
        self.waiting = old.waiting;
        self.keys = old.keys;
        for run in &mut self.keys {
            let lives = std::mem::take(&mut run.lives);
            run.lives = rules::take_over(lives, &old.rules, &self.rules, &run.key, &run.evidence, cause, out);
        }
    }

    /// The pipeline is gone: open alerts are resolved.
    pub fn end(&mut self, cause: Cause, out: &mut Vec<ResultRow>) {
        for run in &mut self.keys {
            let lives = std::mem::take(&mut run.lives);
            let _ = rules::take_over(lives, &self.rules, &[], &run.key, &run.evidence, cause, out);
        }
    }

    /// Judges an event; `row` is `None` when the event is excluded and only its time counts.
    pub fn event(
        &mut self,
        event: &Event,
        watermark: Timestamp,
        row: Option<&Row<'_>>,
        dictionary: &Dictionary,
        cause: Cause,
        out: &mut Vec<ResultRow>,
    ) {
        let Some((number, new)) = self.table.of(event, dictionary) else { return };
        if let Some(key) = new {
            let lives = vec![Life::default(); self.rules.len()];
            self.keys.push(KeyRun { key, watermark: Timestamp::MIN, lives, evidence: Evidence::default() });
        }
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        if let Some(row) = row {
            judge(run, &self.rules, &self.names, event.event_at, row, cause, out);
        }
        if watermark > run.watermark {
            run.watermark = watermark;
            let sealed_to = watermark.minus(self.allowed_lateness);
            for (life, rule) in run.lives.iter_mut().zip(&self.rules) {
                life.seal(sealed_to, &rule.timing);
            }
            pass(run, &self.rules, watermark, cause, out);
        }
        note_waiting(&mut self.waiting, number, run);
    }

    /// Ticks have come to `to`.
    pub fn tick(&mut self, to: Timestamp, drained: bool, cause: Cause, out: &mut Vec<ResultRow>) {
        if !drained {
            return;
        }
        let waiting: Vec<u32> = self.waiting.iter().copied().collect();
        for number in waiting {
            let Some(run) = self.keys.get_mut(number as usize) else { continue };
            pass(run, &self.rules, to.minus(self.close_after), cause, out);
            note_waiting(&mut self.waiting, number, run);
        }
    }
}

fn judge(
    run: &mut KeyRun,
    rules: &[Arc<RulePlan>],
    names: &[Arc<str>],
    at: Timestamp,
    row: &Row<'_>,
    cause: Cause,
    out: &mut Vec<ResultRow>,
) {
    for (life, rule) in run.lives.iter_mut().zip(rules) {
        // An event that carries none of the rule's quantities says nothing to the rule.
        let speaks = rule.numbers.is_empty()
            || rule.numbers.iter().any(|at| row.numbers.get(*at).is_some_and(Option::is_some));
        if !speaks {
            continue;
        }
        let key = &run.key;
        let steps =
            life.verdict(at, rule.verdict(row), &rule.timing, &|began_at| rule.identify(key, began_at));
        let pending = life.is_waiting();
        if steps.is_empty() && !pending {
            continue;
        }
        let fields = names.iter().cloned().zip(row.numbers.iter().copied()).filter(|field| field.1.is_some());
        run.evidence = Evidence { fields: fields.collect(), window: (at, at) };
        for step in steps {
            out.push(ResultRow::Transition(Box::new(rule.transition(&step, key, &run.evidence, cause))));
        }
    }
}

fn pass(run: &mut KeyRun, rules: &[Arc<RulePlan>], to: Timestamp, cause: Cause, out: &mut Vec<ResultRow>) {
    for (life, rule) in run.lives.iter_mut().zip(rules) {
        let key = &run.key;
        for step in life.advance(to, &rule.timing, &|began_at| rule.identify(key, began_at)) {
            out.push(ResultRow::Transition(Box::new(rule.transition(&step, key, &run.evidence, cause))));
        }
    }
}

fn note_waiting(waiting: &mut BTreeSet<u32>, number: u32, run: &KeyRun) {
    if run.lives.iter().any(Life::is_waiting) {
        waiting.insert(number);
    } else {
        waiting.remove(&number);
    }
}
