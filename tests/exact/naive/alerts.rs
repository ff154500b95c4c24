//! The alerts, naively: who tells which rule what, and the rows that follow. Each rule on each key
//! is a [`Life`].

use std::collections::BTreeMap;
use std::sync::Arc;

use sereno::model::definition::{LocalText, PipelineDefinition, RuleDefinition, WindowDefinition};
use sereno::model::{Aggregate, AlertId, AlertState, Key, ResultRow, Transition};

use super::fields;
use super::grid::Grid;
use super::life::{Episode, Life, Stale, Step, Timing, Verdict, id};
use super::world::{Said, World, stamp};
use crate::condition::Condition;

/// What the windows and the events of a pipeline tell its rules, in order.
pub enum Note {
    /// The pipeline is as defined, from here on.
    Defined(Box<PipelineDefinition>),
    /// It is gone.
    Removed(String),
    /// A window was published, of a plan and key both known from that record on; whether by its
    /// closing.
    Published(String, Box<Aggregate>, u64, bool),
    /// A watermark has come so far for a window's key.
    Passed(String, String, Key, i64),
    /// A drained tick less `close_after`, for a window's key, whose last event came by that feed.
    Ticked(String, String, Key, i64, usize),
    /// An event, whether it is excluded, and whether it is too late for rules on readings.
    Said(String, Box<Said>, bool, bool),
}

type Evidence = (Vec<(Arc<str>, Option<f64>)>, (i64, i64));

#[derive(Default)]
struct Held {
    life: Life,
    /// Verdicts before are none of its rule's.
    begins_at: Option<i64>,
    /// What was unobserved of each feed when the last verdict with data came in.
    unobserved: Vec<i64>,
}

/// All rules of all pipelines.
pub struct Alerts {
    conditions: BTreeMap<String, Condition>,
    pipelines: BTreeMap<String, PipelineDefinition>,
    /// By pipeline, rule and key.
    lives: BTreeMap<(String, String, Key), Held>,
    /// When each rule came.
    since: BTreeMap<(String, String), u64>,
    /// A window of a plan and key known from that record on is being judged, by its closing or an
    /// amendment: a rule that came later begins, for each key, with a close, and judges nothing
    /// before it.
    judging: Option<(u64, bool)>,
    /// What was seen last, by pipeline, window (or `readings`) and key: of windows the last verdict,
    /// of readings the last at which a rule made a step or waited.
    evidence: BTreeMap<(String, String, Key), Evidence>,
}

impl Alerts {
    /// Nothing told yet.
    pub fn new(conditions: BTreeMap<String, Condition>) -> Self {
        Self {
            conditions,
            pipelines: BTreeMap::new(),
            lives: BTreeMap::new(),
            since: BTreeMap::new(),
            judging: None,
            evidence: BTreeMap::new(),
        }
    }

    /// Takes in what a record told; the transitions it caused.
    pub fn hear(&mut self, notes: Vec<Note>, world: &World, cause: u64) -> Vec<ResultRow> {
        let mut out = Vec::new();
        for note in notes {
            match note {
                Note::Defined(definition) => self.define(*definition, world, cause, &mut out),
                Note::Removed(name) => {
                    if let Some(gone) = self.pipelines.remove(&name) {
                        self.end(&gone, &|_| true, world, cause, &mut out);
                    }
                }
                Note::Published(pipeline, row, since, closes) => {
                    self.judging = Some((since, closes));
                    self.published(&pipeline, &row, world, cause, &mut out);
                    self.judging = None;
                }
                Note::Passed(pipeline, on, key, to) => {
                    self.pass(&pipeline, &on, &key, &|_| to, world, cause, &mut out);
                }
                Note::Ticked(pipeline, on, key, limit, feed) => {
                    let now = world.feeds[feed].unobserved;
                    let to = |held: &Held| limit - (now - held.unobserved.get(feed).copied().unwrap_or(0));
                    self.pass(&pipeline, &on, &key, &to, world, cause, &mut out);
                }
                Note::Said(pipeline, said, excluded, too_late) => {
                    if !excluded && !too_late {
                        self.said(&pipeline, &said, world, cause, &mut out);
                    }
                }
            }
        }
        out
    }

    fn define(
        &mut self,
        definition: PipelineDefinition,
        world: &World,
        cause: u64,
        out: &mut Vec<ResultRow>,
    ) {
        if let Some(old) = self.pipelines.get(&definition.name).cloned() {
            let gone = |rule: &RuleDefinition| !definition.rules.iter().any(|new| new.name == rule.name);
            self.end(&old, &gone, world, cause, out);
        }
        let kept = self.pipelines.get(&definition.name).map(|old| old.rules.clone()).unwrap_or_default();
        for rule in definition.rules.iter().filter(|rule| !kept.iter().any(|old| old.name == rule.name)) {
            self.since.insert((definition.name.clone(), rule.name.clone()), cause);
        }
        self.pipelines.insert(definition.name.clone(), definition);
    }

    fn end(
        &mut self,
        pipeline: &PipelineDefinition,
        gone: &dyn Fn(&RuleDefinition) -> bool,
        world: &World,
        cause: u64,
        out: &mut Vec<ResultRow>,
    ) {
        for rule in pipeline.rules.iter().filter(|rule| gone(rule)) {
            let own = |place: &(String, String, Key)| place.0 == pipeline.name && place.1 == rule.name;
            let keys: Vec<_> = self.lives.keys().filter(|place| own(place)).cloned().collect();
            for place in keys {
                let mut held = self.lives.remove(&place).expect("just seen");
                let steps = held.life.end(world.arrival);
                let seen = (pipeline.name.clone(), rule.on.clone(), place.2.clone());
                rows(
                    pipeline,
                    rule,
                    &place.2,
                    &self.evidence.get(&seen).cloned().unwrap_or_default(),
                    steps,
                    world,
                    cause,
                    out,
                );
            }
        }
    }

    /// Tells the rules on something; `verdict` is `None` where it says nothing to a rule.
    #[allow(clippy::too_many_arguments, reason = "one place for windows and readings")]
    fn tell(
        &mut self,
        pipeline: &str,
        on: &str,
        key: &Key,
        at: i64,
        rank: Option<u64>,
        evidence: &Evidence,
        verdict: &dyn Fn(&RuleDefinition) -> Option<Verdict>,
        world: &World,
        cause: u64,
        out: &mut Vec<ResultRow>,
    ) {
        let Some(pipeline) = self.pipelines.get(pipeline) else { return };
        for rule in pipeline.rules.iter().filter(|rule| rule.on == on) {
            let Some(verdict) = verdict(rule) else { continue };
            let place = (pipeline.name.clone(), rule.name.clone(), key.clone());
            let came = self.since.get(&(pipeline.name.clone(), rule.name.clone())).copied().unwrap_or(0);
            let joined = self.judging.is_some_and(|(plan, _)| came > plan);
            let fresh = !self.lives.contains_key(&place);
            if joined && fresh && self.judging.is_some_and(|(_, closes)| !closes) {
                continue;
            }
            let held = self.lives.entry(place).or_default();
            if joined && fresh {
                held.begins_at = Some(at);
            }
            if held.begins_at.is_some_and(|begins_at| at < begins_at) {
                continue;
            }
            if verdict != (None, None) {
                held.unobserved = world.feeds.iter().map(|feed| feed.unobserved).collect();
            }
            let timing = timing(pipeline, rule, key);
            let steps = if on == "readings" {
                held.life.tell_one_of(at, rank, verdict, &timing)
            } else {
                held.life.tell(at, rank, verdict, &timing)
            };
            if on != "readings" || !steps.is_empty() || held.life.waits {
                let seen = (pipeline.name.clone(), on.to_owned(), key.clone());
                self.evidence.insert(seen, evidence.clone());
            }
            rows(pipeline, rule, key, evidence, steps, world, cause, out);
        }
    }

    fn judge(&self, rule: &RuleDefinition, column: &dyn Fn(&str) -> Option<f64>) -> Verdict {
        let met = self.conditions[&rule.when].of(column);
        let cleared = match &rule.clear {
            Some(sql) => self.conditions[sql].of(column),
            None => met.map(|met| !met),
        };
        (met, cleared)
    }

    fn published(
        &mut self,
        pipeline: &str,
        row: &Aggregate,
        world: &World,
        cause: u64,
        out: &mut Vec<ResultRow>,
    ) {
        let mut columns: Vec<(Arc<str>, Option<f64>)> = row
            .plan
            .fields
            .iter()
            .zip(&row.fields)
            .map(|(field, value)| (field.name.clone(), *value))
            .collect();
        columns.push(("count".into(), Some(row.count as f64)));
        columns.push(("capture".into(), row.capture));
        let column = |name: &str| columns.iter().find(|own| *own.0 == *name).and_then(|own| own.1);
        let verdicts: BTreeMap<String, Verdict> = self.pipelines[pipeline]
            .rules
            .iter()
            .filter(|rule| rule.on == *row.plan.window)
            .map(|rule| {
                let verdict = if row.sufficient { self.judge(rule, &column) } else { (None, None) };
                (rule.name.clone(), verdict)
            })
            .collect();
        let verdict = |rule: &RuleDefinition| verdicts.get(&rule.name).copied();
        let evidence = (columns.clone(), (row.start.0, row.end.0));
        let on = row.plan.window.to_string();
        self.tell(pipeline, &on, &row.key, row.end.0, None, &evidence, &verdict, world, cause, out);
    }

    fn said(&mut self, pipeline: &str, said: &Said, world: &World, cause: u64, out: &mut Vec<ResultRow>) {
        let mut columns: Vec<(Arc<str>, Option<f64>)> = said
            .readings
            .iter()
            .map(|(q, m)| {
                let value = fields::quotient(i128::from(*m), 10_i128.pow(u32::from(q.decimals)));
                ((&*q.name).into(), Some(value))
            })
            .collect();
        columns.sort_by(|one, other| one.0.cmp(&other.0));
        let column = |name: &str| columns.iter().find(|own| *own.0 == *name).and_then(|own| own.1);
        let speaks = |rule: &RuleDefinition| {
            let named = [Some(&rule.when), rule.clear.as_ref()].into_iter().flatten();
            let mut named = named.flat_map(|sql| self.conditions[sql].columns());
            named.any(|name| column(name).is_some())
        };
        let rules = self.pipelines[pipeline].rules.iter().filter(|rule| rule.on == "readings");
        let verdicts: BTreeMap<String, Verdict> = rules
            .filter(|rule| speaks(rule))
            .map(|rule| (rule.name.clone(), self.judge(rule, &column)))
            .collect();
        let verdict = |rule: &RuleDefinition| verdicts.get(&rule.name).copied();
        let key = Key([said.device.clone()].into());
        let evidence = (columns.clone(), (said.event_at, said.event_at));
        self.tell(
            pipeline,
            "readings",
            &key,
            said.event_at,
            said.counter,
            &evidence,
            &verdict,
            world,
            cause,
            out,
        );
    }

    #[allow(clippy::too_many_arguments, reason = "two call sites, above each other")]
    fn pass(
        &mut self,
        pipeline: &str,
        on: &str,
        key: &Key,
        to: &dyn Fn(&Held) -> i64,
        world: &World,
        cause: u64,
        out: &mut Vec<ResultRow>,
    ) {
        let Some(pipeline) = self.pipelines.get(pipeline) else { return };
        for rule in pipeline.rules.iter().filter(|rule| rule.on == on) {
            let place = (pipeline.name.clone(), rule.name.clone(), key.clone());
            let Some(held) = self.lives.get_mut(&place) else { continue };
            let to = to(held);
            let steps = held.life.pass(to, &timing(pipeline, rule, key));
            let seen = (pipeline.name.clone(), on.to_owned(), key.clone());
            let evidence = self.evidence.get(&seen).cloned().unwrap_or_default();
            rows(pipeline, rule, key, &evidence, steps, world, cause, out);
        }
    }
}

fn timing(pipeline: &PipelineDefinition, rule: &RuleDefinition, key: &Key) -> Timing {
    let window = pipeline.windows.iter().find(|window| window.name == rule.on);
    let grid = |window: &WindowDefinition| {
        let period = window.periods.get(key.0.last().map_or("", |name| &**name)).copied();
        Stale::NextEnd(Box::new(Grid::new(window.size, window.step(), period, &pipeline.timezone)))
    };
    let stale = window.map_or(Stale::After(rule.stale_after.0), grid);
    Timing { hold: rule.hold.0, keep: rule.keep_firing_for.0, stale }
}

#[allow(clippy::too_many_arguments, reason = "everything that a row is made of")]
fn rows(
    pipeline: &PipelineDefinition,
    rule: &RuleDefinition,
    key: &Key,
    evidence: &Evidence,
    steps: Vec<Step>,
    world: &World,
    cause: u64,
    out: &mut Vec<ResultRow>,
) {
    let by: Vec<Arc<str>> = match pipeline.windows.iter().find(|window| window.name == rule.on) {
        Some(window) => window.key_names().map(Into::into).collect(),
        None => vec!["sensor".into()],
    };
    let texts: Vec<String> = key.0.iter().map(ToString::to_string).collect();
    let named = |name| AlertId(id(&pipeline.name, &rule.name, &texts, name));
    for (what, name, episode, into) in steps {
        let (from, to, at) = told(what, &episode);
        let reason = match (what, into) {
            ("pending", _) => "condition met".into(),
            (_, Some(into)) => format!("merged into {}", named(into)),
            (what, None) => what.to_owned(),
        };
        let before = to == AlertState::Pending || from == AlertState::Pending;
        out.push(ResultRow::Transition(Box::new(Transition {
            cause,
            id: named(name),
            pipeline: pipeline.name.as_str().into(),
            rule: rule.name.as_str().into(),
            severity: rule.severity,
            by: by.clone(),
            key: key.clone(),
            from,
            to,
            began_at: stamp(episode.began),
            raised_at: (!before).then_some(stamp(episode.raised)),
            resolved_at: episode.resolved.map(stamp),
            at: stamp(at),
            decided_at: stamp(world.arrival),
            notify: world.arrival - at <= rule.notify_within.0,
            reason: reason.into(),
            title: rule.title.clone(),
            message: message(rule, &by, key),
            labels: rule.labels.clone(),
            evidence: evidence.0.clone(),
            window: (stamp(evidence.1.0), stamp(evidence.1.1)),
        })));
    }
}

fn told(what: &str, episode: &Episode) -> (AlertState, AlertState, i64) {
    use AlertState::{Firing, Inactive, Pending, Resolved};
    let stands = if episode.resolved.is_some() { Resolved } else { Firing };
    let over = episode.resolved.unwrap_or(episode.raised);
    match what {
        "pending" => (Inactive, Pending, episode.began),
        "condition ended before its time" => (Pending, Inactive, episode.began),
        "condition met" | "raised again by late data" => (Inactive, Firing, episode.raised),
        "condition ended" | "rule changed" => (Firing, Resolved, over),
        "times changed by late data" => (stands, stands, over),
        "still holds by late data" => (Resolved, Firing, episode.raised),
        "annulled by late data" => (stands, Inactive, episode.raised),
        "merged into" => (stands, Resolved, over),
        _ => panic!("no such step: {what}"),
    }
}

fn message(rule: &RuleDefinition, by: &[Arc<str>], key: &Key) -> LocalText {
    let fill = |text: &str| {
        let parts = by.iter().zip(key.0.iter());
        parts.fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    };
    LocalText { es: fill(&rule.message.es), en: fill(&rule.message.en) }
}
