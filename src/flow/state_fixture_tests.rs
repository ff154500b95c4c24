//! The state that this version of it was first written with, kept as a file: whoever changes the
//! shape of a type in a checkpoint without raising [`STATE_VERSION`] is told here.
//!
//! `SERENO_BLESS=1` writes the file of a version that has none. A file that is there stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::groups::{GroupReader, Item};
use super::shared::Shared;
use super::*;
use crate::flow::Interpreter;
use crate::flow::testing::{feed, message, names, pipeline};
use crate::journal::Sequencer;
use crate::model::arrival::Quantity;
use crate::model::key::KEY_GROUPS;
use crate::model::time::SECOND;
use crate::model::{Batch, Control, Dictionary, Entry, FeedId, Timestamp};

/// Everything a start from a checkpoint is given; bytes as base64.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Fixture {
    feeds: Vec<Arc<str>>,
    devices: Vec<(u16, Arc<str>)>,
    tags: Vec<Vec<(Arc<str>, Arc<str>)>>,
    quantities: Vec<(String, String, u8)>,
    shared: String,
    /// By key group that has keys.
    groups: BTreeMap<u8, String>,
}

fn file() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format");
    folder.join(format!("state-v{STATE_VERSION}.json"))
}

/// The test pipeline, with the aggregates that it lacks.
fn defined(variant: usize) -> Control {
    let Control::Pipeline { mut pipeline } = pipeline(variant) else { panic!("a pipeline") };
    for (name, call) in
        [("e", "energy_mean(pm25)"), ("c", "circular_mean(pm25)"), ("m", "median(pm25)"), ("r", "rate(pm25)")]
    {
        pipeline.windows[1].fields.insert(name.into(), call.into());
    }
    Control::Pipeline { pipeline }
}

/// Sensors that go on, alerts that wait, fire and were annulled, a definition that is ending, sensors
/// that are registered and silent.
fn story() -> Vec<Batch> {
    let at = |seconds: i64| Timestamp((1_000_000 + seconds) * SECOND);
    let mut sequencer = Sequencer::default();
    sequencer.configure(vec![feed(2), defined(0)], at(0));
    sequencer.connected(&"air".into(), true, at(0));
    for second in 1..=400 {
        sequencer.pass(at(second));
        if second == 330 {
            sequencer.configure(vec![defined(1)], at(second));
        }
        let sensor = (second % 7) as usize;
        let quiet = sensor == 6 && second > 100;
        if second % 3 == 0 && !quiet {
            let value = if sensor == 1 && second > 250 { 10 } else { 60 + second % 31 };
            sequencer.accept(vec![message(sensor, 1_000_000 + second, value, at(second))], at(second));
        }
        if second == 280 {
            sequencer.accept(vec![message(0, 1_000_000 + 200, 1, at(second))], at(second));
        }
    }
    sequencer.take().into_iter().map(|finished| finished.batch).collect()
}

fn saved(fold: &mut Interpreter) -> Saved {
    let request = Request { next: 1, period: 3, since: vec![None; KEY_GROUPS] };
    Saved::of(&[fold.save(&request).unwrap()])
}

fn groups(saved: &Saved) -> BTreeMap<u8, String> {
    let bases = (0_u8..=u8::MAX).zip(&saved.groups).filter(|(_, group)| !group.0.is_empty());
    bases.map(|(number, group)| (number, BASE64_STANDARD.encode(&group.0))).collect()
}

fn written() -> Fixture {
    let batches = story();
    let mut fold = Interpreter::new(0, 1);
    batches.iter().for_each(|batch| drop(fold.apply(batch)));
    let (saved, names) = (saved(&mut fold), names(&batches));
    Fixture {
        feeds: names.feeds().to_vec(),
        devices: names.devices().iter().map(|(feed, name)| (feed.0, name.clone())).collect(),
        tags: names.tag_sets().iter().map(|tags| tags.to_vec()).collect(),
        quantities: names
            .quantities()
            .iter()
            .map(|q| (q.name.to_string(), q.unit.to_string(), q.decimals))
            .collect(),
        shared: BASE64_STANDARD.encode(&saved.shared),
        groups: groups(&saved),
    }
}

impl Fixture {
    fn names(&self) -> Dictionary {
        let mut names = Dictionary::default();
        self.feeds.iter().for_each(|name| names.insert(&Entry::Feed(name.clone())));
        for (name, unit, decimals) in &self.quantities {
            let (name, unit) = (name.as_str().into(), unit.as_str().into());
            names.insert(&Entry::Quantity(Arc::new(Quantity { name, unit, decimals: *decimals })));
        }
        self.tags.iter().for_each(|tags| names.insert(&Entry::Tags(tags.as_slice().into())));
        for (feed, name) in &self.devices {
            names.insert(&Entry::Device(FeedId(*feed), name.clone()));
        }
        names
    }

    fn saved(&self) -> Saved {
        let mut saved = Saved { groups: vec![Default::default(); KEY_GROUPS], ..Saved::default() };
        saved.shared = BASE64_STANDARD.decode(&self.shared).unwrap();
        for (number, bytes) in &self.groups {
            saved.groups[usize::from(*number)].0 = BASE64_STANDARD.decode(bytes).unwrap();
        }
        saved
    }
}

const ADVICE: &str = "the state has another shape than its version's first checkpoint: raise STATE_VERSION, \
    say so in CHANGELOG.md, and write the new version's fixture with SERENO_BLESS=1";

#[test]
fn a_changed_shape_of_the_state_has_another_version() {
    if std::env::var_os("SERENO_BLESS").is_some() && !file().exists() {
        let text = serde_json::to_string_pretty(&written()).unwrap() + "\n";
        std::fs::write(file(), text).unwrap();
    }
    let text = std::fs::read_to_string(file()).unwrap_or_else(|_| panic!("{ADVICE}"));
    let fixture: Fixture = serde_json::from_str(&text).unwrap();
    let old = fixture.saved();
    // The definitions in it are text, and stay what they are.
    let shared: Shared = read("the flow", &mut old.shared.as_slice()).unwrap_or_else(|_| panic!("{ADVICE}"));
    let mut again = Vec::new();
    write("the flow", &shared, &mut again).unwrap();
    assert!(again == old.shared, "{ADVICE}");
    let folds = Interpreter::load(&old, &fixture.names(), 1);
    let mut fold = folds.unwrap_or_else(|failure| panic!("{failure}: {ADVICE}")).remove(0);
    assert!(items(&saved(&mut fold)) == items(&old), "{ADVICE}");
}

/// What stands in each group, in whichever order its runs come.
fn items(saved: &Saved) -> Vec<String> {
    let mut all = Vec::new();
    for (group, (base, _)) in saved.groups.iter().enumerate() {
        let (mut reader, mut of_run) = (GroupReader(base), String::new());
        while let Some(item) = reader.item().unwrap() {
            match item {
                Item::Run(name) => of_run = format!("{name:?}"),
                Item::Key(key, state) => all.push(format!("{group} {of_run} {key:?} {state:?}")),
            }
        }
    }
    all.sort();
    all
}

#[test]
fn the_story_of_the_fixture_holds_every_kind_of_state() {
    let batches = story();
    let mut fold = Interpreter::new(0, 1);
    let mut states = Vec::new();
    for row in batches.iter().flat_map(|batch| fold.apply(batch)) {
        if let crate::model::ResultRow::Transition(row) = row {
            states.push((row.rule.to_string(), row.to, row.reason));
        }
    }
    for (rule, reason) in
        [("high", "condition met"), ("spike", "condition met"), ("spike", "condition ended")]
    {
        assert!(
            states.iter().any(|(own, _, why)| own == rule && &**why == reason),
            "{rule} {reason} {states:?}"
        );
    }
    let shared: Shared = read("the flow", &mut saved(&mut fold).shared.as_slice()).unwrap();
    let windows = &shared.pipelines[0].windows;
    assert!(windows.iter().any(|window| window.bounds.ends_at < Timestamp::MAX), "one is ending");
    assert!(windows.iter().any(|window| window.tick_closed_to > Timestamp::MIN));
}
