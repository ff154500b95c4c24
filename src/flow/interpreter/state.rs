//! The fold as bytes and back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Interpreter;
use crate::flow::feeds::{FeedClock, FeedClocks};
use crate::flow::key_runs::{IN_BASE, IN_DELTA};
use crate::flow::keys::Share;
use crate::flow::pipeline::{Counts, PipelineRun};
use crate::flow::state::groups::{GroupReader, Item, Written, of_share};
use crate::flow::state::names::AllNames;
use crate::flow::state::shared::{Origins, Plans, Shared, from_text, unknown};
use crate::flow::state::{Part, Request, Saved, StateError, read, write};
use crate::model::Dictionary;
use crate::model::definition::{FeedDefinition, PipelineDefinition};
use crate::model::key::{KEY_GROUPS, KeyGroup};
use crate::window::zone_rules;

/// A checkpoint of which not all is handed over.
pub(super) enum Saving {
    /// Keys are still to be written.
    UnderWay(Arc<Request>, Part),
    /// All of it is there.
    Done(Result<Part, StateError>),
}

impl Saving {
    fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl Interpreter {
    /// This worker's part of a checkpoint, after every batch it was given.
    ///
    /// # Errors
    /// [`StateError`]: there is no checkpoint this time; nothing else comes of it.
    pub fn save(&mut self, request: &Request) -> Result<Part, StateError> {
        self.begin_save(request);
        self.finish_save().unwrap_or_else(|| Err(unknown("a checkpoint")))
    }

    /// Begins its part of a checkpoint of this moment; the fold may go on before it is written. The one
    /// before must be finished.
    pub fn begin_save(&mut self, request: &Request) {
        let request = Arc::new(request.clone());
        self.saving = Some(match self.begin_part(&request) {
            Ok(part) => Saving::UnderWay(request, part),
            Err(failure) => Saving::Done(Err(failure)),
        });
    }

    /// Whether a checkpoint is under way.
    #[must_use]
    pub fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Writes some keys of the checkpoint that is under way, as many as `effort` allows (to look at a key
    /// is 1, to write it [`EFFORT_OF_A_KEY`]); its part, once it is whole.
    ///
    /// [`EFFORT_OF_A_KEY`]: crate::flow::key_runs::EFFORT_OF_A_KEY
    pub fn save_some(&mut self, effort: usize) -> Option<Result<Part, StateError>> {
        if let Some(Saving::UnderWay(..)) = &self.saving {
            let mut left = effort;
            for keys in self.pipelines.values_mut().flat_map(PipelineRun::keys_to_write) {
                left = keys.write_some(left);
                if left == 0 {
                    return None;
                }
            }
        }
        self.finish_save()
    }

    /// Writes all that is left of the checkpoint that is under way, if one is.
    pub fn finish_save(&mut self) -> Option<Result<Part, StateError>> {
        self.complete();
        match self.saving.take()? {
            Saving::Done(part) => Some(part),
            Saving::UnderWay(..) => None,
        }
    }

    /// Writes all keys that a checkpoint under way still lacks: some of them are about to go.
    pub(super) fn complete(&mut self) {
        if let Some(Saving::UnderWay(request, part)) = self.saving.take_if(|saving| !saving.is_done()) {
            self.saving = Some(Saving::Done(self.whole(&request, part)));
        }
    }

    fn whole(&mut self, request: &Request, part: Part) -> Result<Part, StateError> {
        let mut all = vec![Written::default(); KEY_GROUPS];
        for keys in self.pipelines.values_mut().flat_map(PipelineRun::keys_to_write) {
            let groups = keys.written()?.unwrap_or_default();
            all.iter_mut().zip(groups).for_each(|(group, own)| group.add(own));
        }
        Ok(Part { groups: of_share(all, &request.since, self.share), ..part })
    }

    /// What is not of keys, as it is now.
    fn begin_part(&mut self, request: &Arc<Request>) -> Result<Part, StateError> {
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
            saving: _,
            out: _,
        } = self;
        let mut origins = Origins::default();
        let saved: Result<Vec<_>, StateError> =
            pipelines.values_mut().map(|pipeline| pipeline.begin_save(request, &mut origins)).collect();
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
        Ok(Part { shared, counts, zones, ..Part::default() })
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
