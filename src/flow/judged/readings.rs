//! Rules on readings asked again, by all events of a range.

use std::sync::Arc;

use super::{Judged, Standing};
use crate::alert::Inquiry;
use crate::flow::compile::PipelinePlan;
use crate::flow::keys::{KeyTable, SENSOR, Share};
use crate::flow::mapping::Mapping;
use crate::flow::moment::{Cause, Seen};
use crate::flow::past::Past;
use crate::flow::rules::RulePlan;
use crate::model::{Dictionary, Event, FeedId, Key, ResultRow, Span, Timestamp};
use crate::rule::Row;

/// A nanosecond: what is before an instant ends there.
const JUST: Span = Span(1);

/// The rules on readings of one pipeline, and the events of a range.
pub struct Asked<'a> {
    rules: Vec<Arc<RulePlan>>,
    /// Names of the numbers of a row.
    names: Vec<Arc<str>>,
    mapping: Mapping,
    past: &'a Past,
    /// In order.
    events: &'a [(u64, &'a Event)],
    dictionary: &'a Dictionary,
}

impl<'a> Asked<'a> {
    /// Those of a plan that reads `feeds`.
    #[must_use]
    pub fn new(
        (plan, feeds): (&PipelinePlan, &[FeedId]),
        (past, events): (&'a Past, &'a [(u64, &'a Event)]),
        dictionary: &'a Dictionary,
    ) -> Self {
        Self {
            rules: plan.readings.iter().filter(|rule| rule.is_plain()).cloned().collect(),
            names: plan.columns.keys().cloned().collect(),
            mapping: Mapping::new(plan, feeds.to_vec()),
            past,
            events,
            dictionary,
        }
    }

    /// Judges the events that these feeds have of this worker's keys, and lets `standing` say what changes.
    pub fn judge(
        mut self,
        feeds: &[FeedId],
        share: Share,
        cause: Cause,
        standing: &mut dyn Standing,
    ) -> Vec<ResultRow> {
        let mut transitions = Vec::new();
        if self.rules.is_empty() {
            return transitions;
        }
        for (key, places) in self.keys(feeds, share) {
            for judged in self.episodes(&key, &places) {
                for step in standing.judge_again(&judged) {
                    let (names, seen) = self.seen(&judged.rule, &places, step.episode.raised_at);
                    let transition = judged.rule.recorded(&step, &key, seen.named(&names), cause);
                    transitions.push(ResultRow::Transition(Box::new(transition)));
                }
            }
        }
        transitions
    }

    /// The keys in their order, with the places of their events.
    fn keys(&self, feeds: &[FeedId], share: Share) -> Vec<(Key, Vec<usize>)> {
        let mut table = KeyTable::new(&[SENSOR.into()], None, share);
        let mut keys: Vec<(Key, Vec<usize>)> = Vec::new();
        let own = self.events.iter().enumerate().filter(|(_, (_, event))| feeds.contains(&event.feed));
        for (place, (_, event)) in own {
            let Some((number, new)) = table.of(event, self.dictionary) else { continue };
            keys.extend(new.map(|key| (key, Vec::new())));
            if let Some((_, places)) = keys.get_mut(number as usize) {
                places.push(place);
            }
        }
        keys.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        keys
    }

    /// The episodes of every rule on a key. What begins before a verdict from before the first event has
    /// grown stale may have begun earlier, and what would end at the range's end may go on with an event of
    /// that very instant, which is not of the range: both are left alone.
    fn episodes(&mut self, key: &Key, places: &[usize]) -> Vec<Judged> {
        let rules = self.rules.clone();
        let mut inquiries = vec![Inquiry::default(); rules.len()];
        for place in places {
            self.look(*place, |event, row| {
                for (rule, inquiry) in rules.iter().zip(&mut inquiries) {
                    if let Some(verdict) = rule.says(row) {
                        inquiry.one_of(event.event_at, (event.counter, verdict), &rule.timing);
                    }
                }
            });
        }
        let (from, to) = (self.past.asked.from, self.past.asked.to.minus(JUST));
        let covered = self.past.known_from(false);
        let judged = rules.into_iter().zip(inquiries).map(|(rule, inquiry)| {
            let sure = rule.timing.stale.at(covered);
            let episodes = inquiry.episodes(to, &rule.timing);
            Judged { window: None, rule, key: key.clone(), episodes, range: (from.max(sure), to) }
        });
        judged.collect()
    }

    /// What the last event by `at` that says something to a rule holds, with its names.
    fn seen(&mut self, rule: &RulePlan, places: &[usize], at: Timestamp) -> (Vec<Arc<str>>, Seen) {
        let names = self.names.clone();
        let by =
            places.partition_point(|place| self.events.get(*place).is_some_and(|(_, e)| e.event_at <= at));
        let evidence = |event: &Event, row: &Row<'_>| {
            rule.says(row)?;
            let said = names.iter().zip(row.numbers).filter(|field| field.1.is_some());
            let (names, values): (Vec<_>, Vec<_>) = said.map(|(name, value)| (name.clone(), *value)).unzip();
            let mut seen = Seen::default();
            seen.now(&values, (event.event_at, event.event_at));
            Some((names, seen))
        };
        let places = places.iter().take(by).rev();
        let mut found = places.filter_map(|place| self.look(*place, evidence).flatten());
        found.next().unwrap_or_else(|| {
            let mut seen = Seen::default();
            seen.now(&[], (at, at));
            (Vec::new(), seen)
        })
    }

    /// An event with its row, unless the pipeline excludes it.
    fn look<T>(&mut self, place: usize, look: impl FnOnce(&Event, &Row<'_>) -> T) -> Option<T> {
        let (sequence, event) = *self.events.get(place)?;
        let readings = self.past.readings_of(event);
        let mapped = self.mapping.read(event, readings, self.dictionary, sequence)?;
        (!mapped.excluded).then(|| look(event, &self.mapping.row(&mapped.texts)))
    }
}
