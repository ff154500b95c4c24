//! Feeds as last defined, and how they fare. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::feeds::{Feed, FeedQuantity};
use crate::model::definition::{DecoderKind, FeedDefinition};
use crate::model::{FeedId, Span, Timestamp};
use crate::notify::Text;

/// The table.
#[derive(Debug, Default)]
pub(super) struct FeedTable {
    definitions: BTreeMap<String, FeedDefinition>,
    connected: BTreeSet<String>,
    /// By feed id.
    names: Vec<Arc<str>>,
    /// By feed id.
    last_arrived_at: Vec<Option<Timestamp>>,
    observed: Arc<[FeedId]>,
}

impl FeedTable {
    /// Takes over new names of the dictionary.
    pub(super) fn know(&mut self, names: &[Arc<str>]) {
        if names.len() > self.names.len() {
            self.names = names.to_vec();
            self.last_arrived_at.resize(names.len(), None);
        }
    }

    pub(super) fn define(&mut self, feed: &FeedDefinition) {
        self.definitions.insert(feed.name.clone(), feed.clone());
    }

    pub(super) fn max_skew(&self) -> Span {
        self.definitions.values().map(|feed| feed.max_skew).max().unwrap_or_default()
    }

    pub(super) fn set_connected(&mut self, feed: &str, up: bool) {
        if up {
            self.connected.insert(feed.to_owned());
        } else {
            self.connected.remove(feed);
        }
    }

    pub(super) fn arrived(&mut self, feed: FeedId, at: Timestamp) {
        if let Some(last) = self.last_arrived_at.get_mut(feed.index()) {
            *last = (*last).max(Some(at));
        }
    }

    pub(super) fn observe(&mut self, observed: &Arc<[FeedId]>) {
        self.observed = observed.clone();
    }

    /// Unit of a quantity in the first of some feeds that has it.
    pub(super) fn unit(&self, feeds: &[String], quantity: &str) -> Option<String> {
        let definitions = feeds.iter().filter_map(|feed| self.definitions.get(feed));
        let mut found = definitions.filter_map(|feed| feed.quantities.get(quantity));
        found.next().map(|quantity| quantity.unit.clone())
    }

    pub(super) fn list(&self, default_source: &str) -> Vec<Feed> {
        let one = |definition| self.feed(definition, default_source);
        self.definitions.values().map(one).collect()
    }

    fn feed(&self, definition: &FeedDefinition, default_source: &str) -> Feed {
        let position = self.names.iter().position(|name| **name == *definition.name);
        let arrived = position.and_then(|at| self.last_arrived_at.get(at).copied().flatten());
        let is_observed = self.observed.iter().any(|feed| Some(feed.index()) == position);
        Feed {
            name: definition.name.clone(),
            source: definition.from.clone().unwrap_or_else(|| default_source.to_owned()),
            topic: definition.topic.clone(),
            decoder: decoder_word(definition.decoder).to_owned(),
            connected: self.connected.contains(&definition.name),
            observed: is_observed,
            last_arrived_at: arrived.map(|at| at.to_string()),
            quantities: quantities(definition),
        }
    }
}

fn quantities(definition: &FeedDefinition) -> Vec<FeedQuantity> {
    let one = |(name, quantity): (&String, &crate::model::definition::QuantityDefinition)| FeedQuantity {
        name: name.clone(),
        unit: quantity.unit.clone(),
        label: quantity
            .label
            .as_ref()
            .map_or_else(|| Text { es: name.clone(), en: name.clone() }, Text::from),
    };
    definition.quantities.iter().map(one).collect()
}

/// The word that configuration uses.
fn decoder_word(decoder: DecoderKind) -> &'static str {
    match decoder {
        DecoderKind::Json => "json",
        DecoderKind::Senml => "senml",
        DecoderKind::Chirpstack => "chirpstack",
        DecoderKind::Tts => "tts",
        DecoderKind::Scalar => "scalar",
    }
}
