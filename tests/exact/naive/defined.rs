//! What a pipeline's definition and its feeds say of its windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use sereno::model::definition::{FeedDefinition, PipelineDefinition, WindowDefinition};
use sereno::model::result::{Field, PlanDescription};
use sereno::model::{DailyPeriod, Quantity, Span};

use super::call::Call;
use super::grid::Grid;
use super::plan::Plan;
use super::sensors::Terms;
use super::windows::PlanNames;
use super::world::World;

/// A window, or one of its periods of the day.
pub type Written<'a> = (&'a WindowDefinition, Option<(&'a String, DailyPeriod)>);

/// See the module.
pub struct Defined<'a> {
    definition: &'a PipelineDefinition,
    /// The record that defined it.
    sequence: u64,
    names: &'a PlanNames,
    ids: &'a [usize],
    feeds: Vec<&'a FeedDefinition>,
    pub columns: BTreeMap<String, Arc<Quantity>>,
    /// Decimals, and where a counter starts over.
    counters: BTreeMap<String, (u8, Option<i128>)>,
    pub close_after: i64,
}

impl<'a> Defined<'a> {
    pub fn new(
        (definition, sequence): (&'a PipelineDefinition, u64),
        ids: &'a [usize],
        world: &'a World,
        names: &'a PlanNames,
    ) -> Self {
        let feeds: Vec<_> = ids.iter().filter_map(|id| world.feeds[*id].definition.as_ref()).collect();
        let mut columns = BTreeMap::new();
        let mut counters = BTreeMap::new();
        for (name, quantity) in feeds.iter().flat_map(|feed| &feed.quantities) {
            let unit = quantity.unit.clone().into_boxed_str();
            let own = Quantity { name: name.clone().into_boxed_str(), unit, decimals: quantity.decimals };
            columns.insert(name.clone(), Arc::new(own));
            let wrap =
                quantity.counter_max.map(|count| (count * 10_f64.powi(quantity.decimals.into())) as i128);
            counters.insert(name.clone(), (quantity.decimals, wrap));
        }
        let longest = feeds.iter().map(|feed| feed.out_of_orderness.0).max().unwrap_or(30_000_000_000);
        let close_after = definition.close_after.map_or(longest + 5_000_000_000, |span| span.0);
        Self { definition, sequence, names, ids, feeds, columns, counters, close_after }
    }

    /// The plan at a place of the pipeline.
    pub fn plan(&self, place: usize, (window, period): Written<'_>) -> Plan {
        let definition = self.definition;
        let size = period.map_or(window.size.nominal(), |own| Span(own.1.end().0 - own.1.begin().0));
        let name = period.map(|period| period.0.as_str());
        let by_sensor = window.by.iter().any(|name| name == "sensor");
        let calls = window.fields.values().map(|sql| Call::read(sql, by_sensor, window.of));
        let calls: Vec<Call> = calls.collect();
        Plan {
            identity: self.identity(window, name),
            description: Arc::new(self.description((window, period), size, &calls)),
            grid: Grid::new(window.size, window.step(), period.map(|own| own.1), &definition.timezone),
            terms: Terms { hold_max: window.hold_max.unwrap_or(size).0, quantities: self.counters.clone() },
            calls,
            period: name.map(str::to_owned),
            window: window.clone(),
            begins_at: i64::MIN,
            ends_at: i64::MAX,
            lateness: definition.allowed_lateness.0,
            close_after: self.close_after,
            open_max: definition.open_max.0,
            amend_every: definition.amend_every.0,
            since: self.sequence,
            place,
            feeds: self.ids.to_vec(),
            intervals: self.feeds.iter().map(|feed| feed.expected_interval.map(|span| span.0)).collect(),
            keys: BTreeMap::new(),
        }
    }

    /// All that the plan's values follow from: where it is the same, the plan goes on.
    fn identity(&self, window: &WindowDefinition, period: Option<&str>) -> String {
        let own = self.definition;
        let times = (own.allowed_lateness, own.close_after, own.open_max, &own.timezone);
        let clocks = self.feeds.iter().map(|f| (&f.name, f.out_of_orderness, f.expected_interval));
        let clocks: Vec<_> = clocks.collect();
        let texts = window.fields.values().chain(&own.exclude);
        let words: Vec<&str> =
            texts.flat_map(|sql| sql.split(|c: char| !c.is_alphanumeric() && c != '_')).collect();
        let used = self.columns.iter().filter(|(name, _)| words.contains(&name.as_str()));
        let used: Vec<_> = used.map(|(name, quantity)| (quantity, self.counters.get(name))).collect();
        format!("{window:?} {period:?} {:?} {times:?} {used:?} {clocks:?}", own.exclude)
    }

    fn description(&self, (window, period): Written<'_>, size: Span, calls: &[Call]) -> PlanDescription {
        let written = (self.sequence, self.definition.name.clone(), window.name.clone());
        let unit =
            |call: &Call| call.unit(self.columns.get(&call.quantity).map_or("", |own| &*own.unit)).into();
        let field = |(name, call): (&String, &Call)| Field { name: name.as_str().into(), unit: unit(call) };
        let period_name = (!window.periods.is_empty()).then_some("period");
        PlanDescription {
            hash: self.names.hash(&written, window, period.map(|own| own.0.as_str())),
            pipeline: self.definition.name.as_str().into(),
            window: window.name.as_str().into(),
            size_ns: size.0,
            slide_ns: window.step().nominal().0,
            unit: window.size.unit().filter(|_| period.is_none()),
            by: window.by.iter().map(String::as_str).chain(period_name).map(Into::into).collect(),
            fields: window.fields.keys().zip(calls).map(field).collect(),
        }
    }
}
