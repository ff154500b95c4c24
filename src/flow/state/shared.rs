//! The state that every worker has alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::StateError;
use super::names::Names;
use crate::flow::compile::{self, Origin, PipelinePlan};
use crate::flow::feeds::FeedClock;
use crate::flow::slots::{Judge, Slot};
use crate::model::definition::FeedDefinition;
use crate::model::{FeedId, Span, Timestamp};
use crate::window::Bounds;

/// Everything that does not belong to one key. Definitions are TOML, as people write them: its
/// numbers read back exactly as they were.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shared<F = FeedClock> {
    /// The last tick.
    pub ticked: Timestamp,
    /// Arrival time of the latest record.
    pub arrived_at: Timestamp,
    /// The names known.
    pub names: Names,
    /// The feeds by id, each with its definition in force.
    pub feeds: Vec<(F, Option<Arc<str>>)>,
    /// The pipelines' definitions in force.
    pub definitions: Vec<Arc<str>>,
    /// What plans were compiled from: a pipeline with its feeds.
    pub origins: Vec<(Arc<str>, Vec<Arc<str>>)>,
    /// The pipelines that run.
    pub pipelines: Vec<SharedPipeline>,
}

/// One pipeline.
#[derive(Debug, Serialize, Deserialize)]
pub struct SharedPipeline {
    /// Name.
    pub name: String,
    /// Which of the origins its plan was compiled from.
    pub origin: u32,
    /// Feeds it reads that had an id when it was defined.
    pub feeds: Vec<FeedId>,
    /// Journal sequence of the definition it began with.
    pub since: u64,
    /// Watermark of its feeds.
    pub zone_watermark: Timestamp,
    /// By feed, how far observed time had come at the last tick with drained feeds.
    pub passed: Vec<Timestamp>,
    /// Its windows, those that are ending among them.
    pub windows: Vec<SharedWindow>,
}

/// One window.
#[derive(Debug, Serialize, Deserialize)]
pub struct SharedWindow {
    /// Which of the origins its plan was compiled from.
    pub origin: u32,
    /// Hash of its plan.
    pub hash: u64,
    /// Journal sequence of the definition it began with.
    pub since: u64,
    /// Its place there.
    pub place: u32,
    /// Its rules.
    pub rules: Vec<SharedRule>,
    /// Which windows it publishes.
    pub bounds: Bounds,
    /// How often it is amended.
    pub amend_every: Span,
    /// How far the clock of keys that are not a single sensor has come.
    pub zone_watermark: Timestamp,
    /// Closed by tick, where the feeds had drained.
    pub tick_closed_to: Timestamp,
    /// Sealed by tick.
    pub tick_sealed_to: Timestamp,
}

/// One rule of a window.
#[derive(Debug, Serialize, Deserialize)]
pub struct SharedRule {
    /// Name.
    pub name: String,
    /// Which of the origins it was compiled from.
    pub origin: u32,
    /// Another definition of it: its origin, and the first start of a window that it judges.
    pub next: Option<(u32, Timestamp)>,
    /// See [`Slot::succeeded`].
    pub succeeded: bool,
    /// See [`Slot::over`].
    pub over: bool,
}

impl SharedRule {
    /// What a checkpoint holds of a slot.
    pub fn of(slot: &Slot, origins: &mut Origins) -> Self {
        Self {
            name: slot.now.rule.name.to_string(),
            origin: origins.place(&slot.now.origin),
            next: slot.next.as_ref().map(|(judge, at)| (origins.place(&judge.origin), *at)),
            succeeded: slot.succeeded,
            over: slot.over,
        }
    }

    /// The slot, for the window whose plan has `hash`.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn slot(&self, hash: u64, plans: &mut Plans) -> Result<Slot, StateError> {
        let mut now = plans.judge(self.origin, hash, &self.name)?;
        let next = match self.next {
            Some((origin, at)) => {
                let next = plans.judge(origin, hash, &self.name)?;
                now.rule = Arc::new(now.rule.in_words_of(&next.rule));
                Some((next, at))
            }
            None => None,
        };
        Ok(Slot { now, next, succeeded: self.succeeded, over: self.over })
    }
}

/// Collects what plans were compiled from, each once.
#[derive(Default)]
pub struct Origins(Vec<Arc<Origin>>);

impl Origins {
    /// The place of an origin.
    pub fn place(&mut self, origin: &Arc<Origin>) -> u32 {
        let known = self.0.iter().position(|held| Arc::ptr_eq(held, origin) || held == origin);
        known.unwrap_or_else(|| {
            self.0.push(origin.clone());
            self.0.len() - 1
        }) as u32
    }

    /// All of them as text.
    ///
    /// # Errors
    /// [`StateError::Definition`] when one does not read back.
    pub fn texts(&self, texts: &mut Texts) -> Result<Vec<(Arc<str>, Vec<Arc<str>>)>, StateError> {
        let mut text = |origin: &Arc<Origin>| {
            let name = &origin.pipeline.name;
            let feeds: Result<Vec<_>, _> = origin.feeds.iter().map(|feed| texts.of(name, feed)).collect();
            Ok((texts.of(name, &origin.pipeline)?, feeds?))
        };
        self.0.iter().map(&mut text).collect()
    }
}

/// Plans compiled again, each origin once.
pub struct Plans {
    origins: Vec<Arc<Origin>>,
    plans: BTreeMap<u32, PipelinePlan>,
}

impl Plans {
    /// Reads the origins.
    ///
    /// # Errors
    /// [`StateError::Definition`].
    pub fn read(texts: &[(Arc<str>, Vec<Arc<str>>)]) -> Result<Self, StateError> {
        let origin = |(pipeline, feeds): &(Arc<str>, Vec<Arc<str>>)| {
            let feeds: Result<Vec<FeedDefinition>, _> = feeds.iter().map(|feed| from_text(feed)).collect();
            Ok(Arc::new(Origin { pipeline: from_text(pipeline)?, feeds: feeds? }))
        };
        let origins: Result<Vec<_>, StateError> = texts.iter().map(origin).collect();
        Ok(Self { origins: origins?, plans: BTreeMap::new() })
    }

    /// The plan of an origin, for one pipeline's run.
    ///
    /// # Errors
    /// [`StateError::Definition`].
    pub fn compile(&self, place: u32) -> Result<PipelinePlan, StateError> {
        let origin = self.origins.get(place as usize).ok_or_else(|| unknown("an origin"))?;
        let feeds: Vec<&FeedDefinition> = origin.feeds.iter().collect();
        compile::compile(&origin.pipeline, &feeds).map_err(|fault| StateError::Definition {
            pipeline: origin.pipeline.name.clone(),
            why: fault.to_string(),
        })
    }

    /// A rule on the window whose plan has `hash`.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn judge(&mut self, place: u32, hash: u64, name: &str) -> Result<Judge, StateError> {
        let plan = self.get(place)?;
        let mut rules =
            plan.windows.iter().filter(|own| own.0.description.hash == hash).flat_map(|own| &own.1);
        let rule = rules.find(|rule| &*rule.name == name).ok_or_else(|| unknown("a rule"))?;
        Ok(Judge { rule: rule.clone(), origin: plan.origin.clone() })
    }

    /// The plan of an origin, to look at.
    ///
    /// # Errors
    /// [`StateError::Definition`].
    pub fn get(&mut self, place: u32) -> Result<&PipelinePlan, StateError> {
        if !self.plans.contains_key(&place) {
            let plan = self.compile(place)?;
            self.plans.insert(place, plan);
        }
        self.plans.get(&place).ok_or_else(|| unknown("an origin"))
    }
}

/// What is not where it must be.
pub(in crate::flow) fn unknown(what: &'static str) -> StateError {
    StateError::Form { what, why: "it is not in the checkpoint".into() }
}

/// Definitions as text, made once for each: a feed may register a hundred thousand sensors.
#[derive(Default)]
pub struct Texts {
    /// By a hash of the definition; with whether it was asked for since the last look.
    known: HashMap<u128, (bool, Arc<str>)>,
}

impl Texts {
    /// A definition as text that reads back as the same definition.
    ///
    /// # Errors
    /// [`StateError::Definition`] when it does not.
    pub fn of<T: Serialize + DeserializeOwned + PartialEq>(
        &mut self,
        pipeline: &str,
        definition: &T,
    ) -> Result<Arc<str>, StateError> {
        // Names, numbers and texts: writing them as JSON cannot fail.
        let hash = xxh3_128(&serde_json::to_vec(definition).unwrap_or_default());
        if let Some((asked, text)) = self.known.get_mut(&hash) {
            *asked = true;
            return Ok(text.clone());
        }
        let text: Arc<str> = to_text(pipeline, definition)?.into();
        self.known.insert(hash, (true, text.clone()));
        Ok(text)
    }

    /// Forgets what was not asked for since this was last called.
    pub fn look(&mut self) {
        self.known.retain(|_, (asked, _)| std::mem::take(asked));
    }
}

fn to_text<T: Serialize + DeserializeOwned + PartialEq>(
    pipeline: &str,
    definition: &T,
) -> Result<String, StateError> {
    let fault = |why: String| StateError::Definition { pipeline: pipeline.to_owned(), why };
    let text = toml::to_string(definition).map_err(|why| fault(why.to_string()))?;
    match toml::from_str::<T>(&text) {
        Ok(read) if read == *definition => Ok(text),
        Ok(_) => Err(fault("it reads back as another".into())),
        Err(why) => Err(fault(why.to_string())),
    }
}

/// A definition from its text.
pub(in crate::flow) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, StateError> {
    toml::from_str(text)
        .map_err(|why| StateError::Definition { pipeline: String::new(), why: why.to_string() })
}
