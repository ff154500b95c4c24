//! Rules as they run: verdicts from fields, transitions from steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::alert::{Episode, Life, Step, StepKind, Timing, Verdict};
use crate::model::definition::{LocalText, RuleDefinition, Severity};
use crate::model::{AlertId, AlertState, Fault, Key, ResultRow, Span, Timestamp, Transition};
use crate::rule::{Expression, Locale, Part, Row, Schema, Template};

/// A compiled rule.
#[derive(Clone, Debug)]
pub struct RulePlan {
    /// Name.
    pub name: Arc<str>,
    /// When verdicts turn into alerts.
    pub timing: Timing,
    /// Places of the numbers that the conditions read.
    pub numbers: Vec<usize>,
    pipeline: Arc<str>,
    by: Vec<Arc<str>>,
    when: Expression,
    clear: Option<Expression>,
    severity: Severity,
    labels: BTreeMap<String, String>,
    title: LocalText,
    message: (Template, Template),
    notify_within: Span,
}

/// What a verdict saw: names and values, and the window or moment they are of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Fields or quantities, by name.
    pub fields: Vec<(Arc<str>, Option<f64>)>,
    /// Start and end; for an event both are its time.
    pub window: (Timestamp, Timestamp),
}

/// The record that decides: its journal sequence and arrival time.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// Journal sequence.
    pub sequence: u64,
    /// Arrival time.
    pub arrived_at: Timestamp,
}

impl RulePlan {
    /// Compiles a rule over rows of `schema`; `stale_after` is the slide of its window, or the
    /// rule's own for readings.
    ///
    /// # Errors
    /// The first fault of its conditions or messages.
    pub fn compile(
        definition: &RuleDefinition,
        schema: &Schema,
        pipeline: &Arc<str>,
        by: &[Arc<str>],
        stale_after: Span,
    ) -> Result<Self, Fault> {
        let when = Expression::compile(&definition.when, schema)?;
        let clear = definition.clear.as_ref().map(|sql| Expression::compile(sql, schema)).transpose()?;
        let used = when.columns().iter().chain(clear.iter().flat_map(|clear| clear.columns()));
        let mut numbers: Vec<usize> =
            used.filter(|column| column.kind != crate::rule::Kind::Text).map(|column| column.index).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Self {
            name: definition.name.as_str().into(),
            timing: Timing { hold: definition.hold, keep: definition.keep_firing_for, stale_after },
            numbers,
            pipeline: pipeline.clone(),
            by: by.to_vec(),
            when,
            clear,
            severity: definition.severity,
            labels: definition.labels.clone(),
            title: definition.title.clone(),
            message: (Template::parse(&definition.message.es)?, Template::parse(&definition.message.en)?),
            notify_within: definition.notify_within,
        })
    }

    /// What the rule says of a row.
    #[must_use]
    pub fn verdict(&self, row: &Row<'_>) -> Verdict {
        let met = self.when.eval(row);
        let cleared = match &self.clear {
            Some(clear) => clear.eval(row),
            None => met.map(|met| !met),
        };
        Verdict { met, cleared }
    }

    /// The id of the alert whose episode began at `began_at`.
    #[must_use]
    pub fn identify(&self, key: &Key, began_at: Timestamp) -> AlertId {
        let mut bytes = Vec::with_capacity(64);
        for part in [&self.pipeline, &self.name].into_iter().chain(key.0.iter()) {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes.extend_from_slice(&began_at.0.to_le_bytes());
        AlertId(xxh3_128(&bytes))
    }

    /// The transition that a step is.
    #[must_use]
    pub fn transition(&self, step: &Step, key: &Key, evidence: &Evidence, cause: Cause) -> Transition {
        let (from, to, at, reason) = describe(step);
        let late = cause.arrived_at.since(at) > self.notify_within;
        Transition {
            cause: cause.sequence,
            id: step.id,
            pipeline: self.pipeline.clone(),
            rule: self.name.clone(),
            severity: self.severity,
            by: self.by.clone(),
            key: key.clone(),
            from,
            to,
            began_at: step.episode.began_at,
            raised_at: (to != AlertState::Pending && step.kind != StepKind::Dropped)
                .then_some(step.episode.raised_at),
            resolved_at: step.episode.resolved_at,
            at,
            decided_at: cause.arrived_at,
            notify: !late,
            reason: reason.into(),
            title: self.title.clone(),
            message: LocalText {
                es: self.render(&self.message.0, key, evidence, Locale::Es),
                en: self.render(&self.message.1, key, evidence, Locale::En),
            },
            labels: self.labels.clone(),
            evidence: evidence.fields.clone(),
            window: evidence.window,
        }
    }

    fn render(&self, template: &Template, key: &Key, evidence: &Evidence, locale: Locale) -> String {
        template.render(
            |name| {
                let tag = self.by.iter().position(|by| &**by == name).and_then(|at| key.0.get(at));
                let field =
                    || evidence.fields.iter().find(|field| &*field.0 == name).and_then(|field| field.1);
                tag.map(|value| Part::Text(value)).or_else(|| field().map(Part::Number))
            },
            locale,
        )
    }
}

/// The lives of `new` rules: those that `old` had by the same name go on, the open alerts of those
/// that are gone are resolved.
#[must_use]
pub fn take_over(
    lives: Vec<Life>,
    old: &[Arc<RulePlan>],
    new: &[Arc<RulePlan>],
    key: &Key,
    evidence: &Evidence,
    cause: Cause,
    out: &mut Vec<ResultRow>,
) -> Vec<Life> {
    let mut lives: Vec<Option<Life>> = lives.into_iter().map(Some).collect();
    let mut kept = Vec::with_capacity(new.len());
    for rule in new {
        let before = old.iter().position(|before| before.name == rule.name);
        kept.push(before.and_then(|at| lives.get_mut(at)).and_then(Option::take).unwrap_or_default());
    }
    for (life, rule) in lives.into_iter().zip(old) {
        let Some((id, episode)) = life.and_then(|life| life.open()) else { continue };
        let episode = Episode { resolved_at: Some(cause.arrived_at), ..episode };
        let step = Step { id, episode, kind: StepKind::Resolved };
        let mut transition = rule.transition(&step, key, evidence, cause);
        transition.reason = "rule changed".into();
        out.push(ResultRow::Transition(Box::new(transition)));
    }
    kept
}

fn describe(step: &Step) -> (AlertState, AlertState, Timestamp, String) {
    use AlertState::{Firing, Inactive, Pending, Resolved};
    let episode = &step.episode;
    let stands = if episode.resolved_at.is_some() { Resolved } else { Firing };
    let over = episode.resolved_at.unwrap_or(episode.raised_at);
    match step.kind {
        StepKind::Pending => (Inactive, Pending, episode.began_at, "condition met".into()),
        StepKind::Dropped => (Pending, Inactive, episode.began_at, "condition ended before its time".into()),
        StepKind::Raised => (Inactive, Firing, episode.raised_at, "condition met".into()),
        StepKind::Resolved => (Firing, Resolved, over, "condition ended".into()),
        StepKind::Moved => (stands, stands, over, "times changed by late data".into()),
        StepKind::RaisedAgain => (Resolved, Firing, episode.raised_at, "still holds by late data".into()),
        StepKind::Annulled => (stands, Inactive, episode.raised_at, "annulled by late data".into()),
        StepKind::Merged(into) => (stands, Resolved, over, format!("merged into {into}")),
    }
}
