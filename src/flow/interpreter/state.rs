//! The fold as bytes and back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Interpreter;
use crate::flow::feeds::{FeedClock, FeedClocks};
use crate::flow::key_runs::{IN_BASE, IN_DELTA};
use crate::flow::keys::Share;
use crate::flow::pipeline::{Counts, PipelineRun};
use crate::flow::state::groups::{GroupReader, GroupWriter, Item};
use crate::flow::state::names::AllNames;
use crate::flow::state::shared::{Origins, Plans, Shared, from_text, unknown};
use crate::flow::state::{Part, Request, Saved, StateError, read, write};
use crate::model::Dictionary;
use crate::model::definition::{FeedDefinition, PipelineDefinition};
use crate::model::key::KeyGroup;
use crate::window::zone_rules;

impl Interpreter {
    /// This worker's part of a checkpoint, after every batch it was given.
    ///
    /// # Errors
    /// [`StateError`]: there is no checkpoint this time; nothing else comes of it.
    pub fn save(&mut self, request: &Request) -> Result<Part, StateError> {
        // Every field is named: one that is added must be thought of here.
        let Self {
            share,
            dictionary: _,
            names,
            feeds,
            definitions,
            pipelines,
            removed,
            readers: _,
            ticked,
            arrived_at,
            texts,
            out: _,
        } = self;
        let mut origins = Origins::default();
        let mut groups = GroupWriter::new(request);
        let mut runs = 0;
        let saved: Result<Vec<_>, StateError> = pipelines
            .values_mut()
            .map(|pipeline| pipeline.save(request, &mut origins, &mut groups, &mut runs))
            .collect();
        let saved = saved?;
        let counts = pipelines.iter().map(|(name, pipeline)| (name.clone(), pipeline.counts)).collect();
        let (mut shared, mut zones) = (Vec::new(), Vec::new());
        if share.index == 0 {
            zones = zones_of(definitions.values(), feeds.all());
            let definitions: Result<Vec<_>, _> =
                definitions.values().map(|pipeline| texts.of(&pipeline.name, pipeline)).collect();
            let mut feed_texts = Vec::with_capacity(feeds.all().len());
            for clock in feeds.all() {
                let definition = clock.definition.as_deref();
                let text = definition.map(|feed: &FeedDefinition| texts.of(&feed.name, feed)).transpose()?;
                feed_texts.push((clock, text));
            }
            let state = Shared {
                ticked: *ticked,
                arrived_at: *arrived_at,
                names: *names,
                feeds: feed_texts,
                definitions: definitions?,
                removed: removed.clone(),
                origins: origins.texts(texts)?,
                pipelines: saved,
            };
            write("the flow", &state, &mut shared)?;
            texts.look();
        }
        Ok(Part { shared, counts, groups: groups.finish(*share), zones, ..Part::default() })
    }

    /// The folds of `workers` workers that go on from a checkpoint; `names` are the journal's, at
    /// least all that were known then.
    ///
    /// # Errors
    /// [`StateError`]: take another checkpoint.
    pub fn load(saved: &Saved, names: &impl AllNames, workers: usize) -> Result<Vec<Self>, StateError> {
        let mut input = saved.shared.as_slice();
        let shared: Shared = read("the flow", &mut input)?;
        if !input.is_empty() {
            return Err(StateError::Form { what: "the flow", why: "bytes are left".into() });
        }
        let dictionary = shared.names.first_of(names)?;
        drop(shared);
        std::thread::scope(|scope| {
            let load = |index| {
                let (dictionary, share) = (dictionary.clone(), Share { index, workers });
                scope.spawn(move || Self::load_one(saved, dictionary, share))
            };
            let threads: Vec<_> = (0..workers.max(1)).map(load).collect();
            // A panic ends the process through the hook of `main`.
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err(unknown("a worker's thread")))
            };
            threads.into_iter().map(join).collect()
        })
    }

    fn load_one(saved: &Saved, dictionary: Dictionary, share: Share) -> Result<Self, StateError> {
        let shared: Shared = read("the flow", &mut saved.shared.as_slice())?;
        let mut plans = Plans::read(&shared.origins)?;
        let mut fold = Self::new(share.index, share.workers);
        fold.names = shared.names;
        fold.ticked = shared.ticked;
        fold.arrived_at = shared.arrived_at;
        fold.feeds = load_feeds(shared.feeds, &dictionary)?;
        fold.readers = vec![Vec::new(); dictionary.feeds().len()];
        fold.dictionary = dictionary;
        for text in &shared.definitions {
            let definition: PipelineDefinition = from_text(text)?;
            fold.definitions.insert(definition.name.clone(), definition);
        }
        // What became of events so far counts once: worker 0 goes on with it.
        let counts: BTreeMap<&str, Counts> = match share.index {
            0 => saved.counts.iter().map(|(name, counts)| (name.as_str(), *counts)).collect(),
            _ => BTreeMap::new(),
        };
        fold.removed = shared.removed;
        for pipeline in shared.pipelines {
            let counts = counts.get(pipeline.name.as_str()).copied().unwrap_or_default();
            let name = pipeline.name.clone();
            let run = PipelineRun::load(pipeline, counts, &mut plans, &fold.feeds, share)?;
            fold.pipelines.insert(name, run);
        }
        fold.index_readers();
        let own = (0_u8..=u8::MAX).zip(&saved.groups).filter(|(group, _)| share.owns_group(KeyGroup(*group)));
        for (_, (base, delta)) in own {
            fold.load_group(delta, IN_DELTA)?;
            fold.load_group(base, IN_BASE)?;
        }
        Ok(fold)
    }

    fn load_group(&mut self, bytes: &[u8], period: u32) -> Result<(), StateError> {
        let mut input = GroupReader(bytes);
        let mut into: Option<(&mut PipelineRun, usize)> = None;
        while let Some(item) = input.item()? {
            match item {
                Item::Run(name) => {
                    let pipeline = self.pipelines.get_mut(&name.pipeline);
                    into = pipeline.and_then(|pipeline| pipeline.find(&name).map(|at| (pipeline, at)));
                }
                Item::Key(key, state) => {
                    if let Some((pipeline, at)) = &mut into {
                        pipeline.load_key(*at, key, state, period)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The time zones that windows and registers go by, each with the sum of its rules.
fn zones_of<'a>(
    pipelines: impl Iterator<Item = &'a PipelineDefinition>,
    feeds: &[FeedClock],
) -> Vec<(String, u64)> {
    let of_feeds = feeds.iter().filter_map(|clock| Some(clock.definition.as_ref()?.timezone.as_str()));
    let names: BTreeSet<&str> =
        pipelines.map(|pipeline| pipeline.timezone.as_str()).chain(of_feeds).collect();
    names.into_iter().filter_map(|name| Some((name.to_owned(), zone_rules(name)?))).collect()
}

fn load_feeds(
    saved: Vec<(FeedClock, Option<Arc<str>>)>,
    dictionary: &Dictionary,
) -> Result<FeedClocks, StateError> {
    let mut feeds = FeedClocks::default();
    if saved.len() != dictionary.feeds().len() {
        return Err(StateError::Names { kind: "feeds" });
    }
    for (name, (mut clock, text)) in dictionary.feeds().iter().zip(saved) {
        clock.definition = text.as_deref().map(from_text).transpose()?.map(Box::new);
        feeds.learn(name);
        if let Some(own) = feeds.id(name).and_then(|id| feeds.get_mut(id)) {
            *own = clock;
        }
    }
    Ok(feeds)
}
