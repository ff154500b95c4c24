//! What a pipeline can see: the feeds it reads, their quantities and their tags.

use std::collections::{BTreeMap, BTreeSet};

use super::feed::Known;
use super::{Findings, In, at, key};
use crate::flow::compile::OWN_QUANTITIES;
use crate::model::Fault;
use crate::model::decimal::DECIMALS;
use crate::model::definition::{FeedDefinition, PipelineDefinition, QuantityDefinition};
use crate::rule::{Schema, near};

/// What a pipeline can see.
pub(super) struct Scope<'a> {
    /// Feeds it reads.
    pub(super) feeds: Vec<&'a FeedDefinition>,
    quantities: BTreeMap<&'a str, &'a QuantityDefinition>,
    tags: BTreeSet<&'a str>,
}

impl<'a> Scope<'a> {
    /// The scope of one pipeline; unknown feeds, and quantities that do not mean the same in all
    /// feeds, are reported.
    pub(super) fn of(
        index: usize,
        pipeline: &'a PipelineDefinition,
        known: &'a [Known<'a>],
        findings: &mut Findings,
    ) -> Self {
        let file = In::Pipeline(index);
        let mut scope = Self { feeds: Vec::new(), quantities: BTreeMap::new(), tags: BTreeSet::new() };
        match &pipeline.reads {
            None => known
                .iter()
                .filter(|feed| feed.file == index)
                .for_each(|feed| scope.add(file, feed, findings)),
            Some(names) => {
                for (position, name) in names.iter().enumerate() {
                    match known.iter().find(|feed| feed.feed.name == *name) {
                        Some(feed) => scope.add(file, feed, findings),
                        None => {
                            let names: Vec<&str> = known.iter().map(|feed| feed.feed.name.as_str()).collect();
                            let remedy = near::suggest(name, names, "define it with [[feed]]");
                            let fault = Fault::new(format!("there is no feed `{name}`"), remedy);
                            findings.error(file, at([key("reads"), position.into()], fault));
                        }
                    }
                }
            }
        }
        if scope.feeds.is_empty() && pipeline.reads.as_ref().is_none_or(Vec::is_empty) {
            let remedy = "define one with [[feed]], or name those of other pipelines in `reads`";
            findings.error(file, at([key("reads")], Fault::new("the pipeline reads no feed", remedy)));
        }
        scope
    }

    fn add(&mut self, file: In, known: &'a Known<'a>, findings: &mut Findings) {
        self.feeds.push(known.feed);
        self.tags.extend(known.shape.tags.iter().map(String::as_str));
        for (name, quantity) in &known.feed.quantities {
            let Some(other) = self.quantities.insert(name, quantity) else { continue };
            let (what, here, there) = if other.unit != quantity.unit {
                ("units", format!("`{}`", quantity.unit), format!("`{}`", other.unit))
            } else if other.decimals != quantity.decimals {
                ("decimals", quantity.decimals.to_string(), other.decimals.to_string())
            } else if other.counter_max != quantity.counter_max {
                let count = |quantity: &QuantityDefinition| {
                    quantity.counter_max.map_or("none".to_owned(), |count| count.to_string())
                };
                ("counter_max", count(quantity), count(other))
            } else {
                continue;
            };
            let message = format!(
                "the feeds of one pipeline give `{name}` in different {what}: {there}, and {here} in feed `{}`",
                known.feed.name
            );
            let fault = Fault::new(message, format!("use the same {what}, or give one of them another name"));
            let path = if file == In::Pipeline(known.file) {
                vec![
                    key("feed"),
                    known.index.into(),
                    key("quantity"),
                    key(name),
                    key(if what == "units" { "unit" } else { what }),
                ]
            } else {
                vec![key("reads")]
            };
            findings.error(file, Fault { path, ..fault });
        }
    }

    /// The schema of readings: of rules on `readings`, and of `exclude`.
    pub(super) fn schema(&self) -> Schema {
        Schema::of_readings(self.quantities(), self.tags.iter().copied())
    }

    /// Unit and decimals of the quantity of that name, if one comes in.
    pub(super) fn quantity(&self, name: &str) -> Option<(&'a str, u8)> {
        let own = || OWN_QUANTITIES.iter().find(|(own, _)| *own == name).map(|(_, unit)| (*unit, DECIMALS));
        self.quantities.get(name).map(|quantity| (quantity.unit.as_str(), quantity.decimals)).or_else(own)
    }

    /// Names of the quantities, those that decoders add of themselves included.
    pub(super) fn quantities(&self) -> impl Iterator<Item = &'a str> + Clone {
        self.quantities.keys().copied().chain(OWN_QUANTITIES.iter().map(|(name, _)| *name))
    }

    /// Names that windows can group by: `sensor` and the tags.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + Clone {
        std::iter::once("sensor").chain(self.tags.iter().copied().filter(|tag| *tag != "sensor"))
    }
}
