//! Rules as they run: verdicts from fields, transitions from steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::course::{Course, Whose};
use super::moment::{Cause, Evidence, Moment};
use crate::alert::{Because, Stale, Step, StepKind, Timing, Verdict};
use crate::model::definition::{LocalText, NoData, RuleDefinition, Severity};
use crate::model::{AlertId, AlertState, Fault, Key, Span, Timestamp, Transition};
use crate::rule::{Expression, Guard, Locale, Part, Row, Schema, Template};

/// A compiled rule.
#[derive(Clone, Debug)]
pub struct RulePlan {
    /// Name.
    pub name: Arc<str>,
    /// When verdicts turn into alerts.
    pub timing: Timing,
    /// In the place of conditions: how long a sensor says nothing before it is absent.
    pub absent_for: Option<Span>,
    /// How long ticks wait for readings that come out of order.
    pub close_after: Span,
    /// Places of the numbers that the conditions read.
    pub numbers: Vec<usize>,
    pipeline: Arc<str>,
    by: Vec<Arc<str>>,
    /// None in an absence rule.
    when: Option<Expression>,
    clear: Option<Expression>,
    /// The conditions as they were written.
    written: (String, Option<String>),
    severity: Severity,
    labels: BTreeMap<String, String>,
    title: LocalText,
    message: (Template, Template),
    notify_within: Span,
}

impl RulePlan {
    /// Compiles a rule over rows of `schema`; `stale` is by the grid of its window, or the rule's own
    /// for readings, `close_after` the pipeline's.
    ///
    /// # Errors
    /// The first fault of its conditions or messages.
    pub fn compile(
        definition: &RuleDefinition,
        schema: &Schema,
        pipeline: &Arc<str>,
        by: &[Arc<str>],
        (stale, close_after): (Stale, Span),
    ) -> Result<Self, Fault> {
        let conditional = definition.absent_for.is_none();
        let when = conditional.then(|| Expression::compile(&definition.when, schema)).transpose()?;
        let clear = definition.clear.as_ref().map(|sql| Expression::compile(sql, schema)).transpose()?;
        let used = when.iter().chain(&clear).flat_map(Expression::columns);
        let mut numbers: Vec<usize> =
            used.filter(|column| column.kind != crate::rule::Kind::Text).map(|column| column.index).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Ok(Self {
            name: definition.name.as_str().into(),
            timing: Timing {
                hold: definition.hold,
                keep: definition.keep_firing_for,
                stale,
                no_data: definition.no_data,
            },
            absent_for: definition.absent_for,
            close_after,
            numbers,
            pipeline: pipeline.clone(),
            by: by.to_vec(),
            when,
            clear,
            written: (definition.when.clone(), definition.clear.clone()),
            severity: definition.severity,
            labels: definition.labels.clone(),
            title: definition.title.clone(),
            message: (Template::parse(&definition.message.es)?, Template::parse(&definition.message.en)?),
            notify_within: definition.notify_within,
        })
    }

    /// The values of a key by the names of its tags.
    #[must_use]
    pub fn named(&self, key: &Key) -> BTreeMap<String, String> {
        self.by.iter().zip(key.0.iter()).map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// Pipeline and name, as people write it: `air-quality.pm25-high`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}.{}", self.pipeline, self.name)
    }

    /// What the rule says of a row.
    #[must_use]
    pub fn verdict(&self, row: &Row<'_>) -> Verdict {
        let met = self.when.as_ref().and_then(|when| when.eval(row));
        let cleared = match &self.clear {
            Some(clear) => clear.eval(row),
            None => met.map(|met| !met),
        };
        Verdict { met, cleared }
    }

    /// What the rule says of an event: nothing at all of one that carries none of its quantities.
    #[must_use]
    pub fn says(&self, row: &Row<'_>) -> Option<Verdict> {
        let carried = |at: &usize| row.numbers.get(*at).is_some_and(Option::is_some);
        let speaks = self.numbers.is_empty() || self.numbers.iter().any(carried);
        speaks.then(|| self.verdict(row))
    }

    /// Whether silence says nothing to it: only what is met does.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.absent_for.is_none() && self.timing.no_data == NoData::Hold
    }

    /// What a row must be like for the verdict to be other than [`Verdict::NOT_MET`], texts first; for a rule
    /// on readings by numbers only if it reads any, so that an event that says nothing to it is told from one
    /// that does not meet it.
    #[must_use]
    pub fn guards(&self, on_readings: bool) -> Vec<Guard> {
        let Some(when) = self.when.as_ref().filter(|_| self.clear.is_none()) else { return Vec::new() };
        let mut all = Guard::all_of(when);
        if on_readings && !self.numbers.is_empty() {
            all.retain(|guard| !guard.is_of_text());
        }
        all.sort_by_key(|guard| !guard.is_of_text());
        all
    }

    /// Whether it judges as `other` does; words may differ.
    #[must_use]
    pub fn judges_as(&self, other: &Self) -> bool {
        // Grids need no look: a rule is compared with another on the same window.
        let times = |rule: &Self| (rule.timing.hold, rule.timing.keep, rule.timing.stale.span());
        let condition = |rule: &Self| (rule.timing.no_data, rule.absent_for, rule.written.clone());
        times(self) == times(other) && condition(self) == condition(other)
    }

    /// The same rule in the words of another: title, message, labels, severity, `notify_within`.
    #[must_use]
    pub fn in_words_of(&self, other: &Self) -> Self {
        Self {
            severity: other.severity,
            labels: other.labels.clone(),
            title: other.title.clone(),
            message: other.message.clone(),
            notify_within: other.notify_within,
            ..self.clone()
        }
    }

    /// The id of the alert whose episode was first seen to begin at `began_at`, and that is the
    /// `number`th of that beginning.
    #[must_use]
    pub fn identify(&self, key: &Key, began_at: Timestamp, number: u64) -> AlertId {
        let mut bytes = Vec::with_capacity(64);
        for part in [&self.pipeline, &self.name].into_iter().chain(key.0.iter()) {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes.extend_from_slice(&began_at.0.to_le_bytes());
        if number > 0 {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        AlertId(xxh3_128(&bytes))
    }

    /// The transition that a step is.
    #[must_use]
    pub fn transition(&self, step: &Step, key: &Key, evidence: Evidence<'_>, cause: Cause) -> Transition {
        let (from, to, at, reason) = describe(step, evidence);
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
            evidence: evidence.fields().map(|(name, value)| (name.clone(), value)).collect(),
            window: evidence.window,
        }
    }

    /// The transition that a step of a recompute is: for the record, never sent.
    #[must_use]
    pub fn recorded(&self, step: &Step, key: &Key, evidence: Evidence<'_>, cause: Cause) -> Transition {
        let transition = self.transition(step, key, evidence, cause);
        let reason = transition.reason.replace("late data", "a recompute");
        Transition { notify: false, reason: reason.into(), ..transition }
    }

    fn render(&self, template: &Template, key: &Key, evidence: Evidence<'_>, locale: Locale) -> String {
        template.render(
            |name| {
                let tag = self.by.iter().position(|by| &**by == name).and_then(|at| key.0.get(at));
                let field = || evidence.fields().find(|field| &**field.0 == name).and_then(|field| field.1);
                tag.map(|value| Part::Text(value)).or_else(|| field().map(Part::Number))
            },
            locale,
        )
    }
}

/// The courses of `new` rules: those that `old` had by the same name go on, changed if they judge
/// otherwise; what is open of those that are gone is resolved.
#[must_use]
pub fn take_over(
    courses: Vec<Course>,
    (old, new): (&[Arc<RulePlan>], &[Arc<RulePlan>]),
    key: &Key,
    evidence: Evidence<'_>,
    moment: &mut Moment<'_>,
) -> Vec<Course> {
    let mut courses: Vec<Option<Course>> = courses.into_iter().map(Some).collect();
    let mut kept = Vec::with_capacity(new.len());
    for rule in new {
        let goes_on = |before: &Arc<RulePlan>| {
            before.name == rule.name && before.absent_for.is_some() == rule.absent_for.is_some()
        };
        let before = old.iter().position(goes_on);
        let mut course = before.and_then(|at| courses.get_mut(at)).and_then(Option::take).unwrap_or_default();
        if before.and_then(|at| old.get(at)).is_some_and(|before| !before.judges_as(rule)) {
            course.change();
        }
        kept.push(course);
    }
    for (course, rule) in courses.into_iter().zip(old) {
        if let Some(mut course) = course {
            course.close(Whose { rule, key, evidence }, moment.cause.arrived_at, moment);
        }
    }
    kept
}

fn describe(step: &Step, evidence: Evidence<'_>) -> (AlertState, AlertState, Timestamp, String) {
    use AlertState::{Firing, Inactive, Pending, Resolved};
    let episode = &step.episode;
    let stands = if episode.resolved_at.is_some() { Resolved } else { Firing };
    let over = episode.resolved_at.unwrap_or(episode.raised_at);
    let met = match episode.raised {
        Because::NoData => "no data",
        _ => "condition met",
    };
    let ended = match episode.ended {
        Because::Condition => "condition ended",
        Because::NoData => "no data",
        Because::RuleChanged => "rule changed",
        Because::DataAgain => "data again",
    };
    match step.kind {
        StepKind::Pending => (Inactive, Pending, episode.began_at, met.into()),
        StepKind::Dropped => (Pending, Inactive, episode.began_at, "condition ended before its time".into()),
        StepKind::Raised => (Inactive, Firing, episode.raised_at, met.into()),
        StepKind::Resolved => (Firing, Resolved, over, ended.into()),
        StepKind::Moved => (stands, stands, over, "times changed by late data".into()),
        StepKind::Reopened => (Resolved, Firing, episode.raised_at, "still holds by late data".into()),
        StepKind::Annulled => (stands, Inactive, episode.raised_at, "annulled by late data".into()),
        StepKind::RaisedAgain => (Inactive, Firing, episode.raised_at, "raised again by late data".into()),
        StepKind::Merged(into) => (stands, Resolved, over, format!("merged into {into}")),
        StepKind::Recorded => (Inactive, Resolved, over, "found by a recompute".into()),
        StepKind::RuleChanged => (Firing, Firing, evidence.window.1, "rule changed".into()),
    }
}
