//! Keys by number, their marks, and checkpoints that are written while keys change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::*;
use crate::flow::state::groups::{GroupReader, Item, whole};
use crate::flow::state::{Request, RunName};
use crate::model::key::KEY_GROUPS;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct One {
    #[serde(skip)]
    key: Key,
    value: u32,
}

impl Kept for One {
    fn key(&self) -> &Key {
        &self.key
    }
}

fn key(number: u32) -> Key {
    Key([number.to_string().as_str().into()].into())
}

fn keys(count: u32) -> KeyRuns<One> {
    let mut keys = KeyRuns::default();
    (0..count).for_each(|number| keys.push(One { key: key(number), value: number }));
    keys
}

fn writer(period: u32, since: Option<u32>) -> GroupWriter {
    let request = Request { next: 0, period, since: vec![since; KEY_GROUPS] };
    let name = RunName { pipeline: "air".into(), since: 0, place: 0 };
    GroupWriter::new(&Arc::new(request), &name).unwrap()
}

/// What was written: values by key.
fn values(groups: &Groups) -> Vec<(Key, u32)> {
    let mut all = Vec::new();
    for group in groups {
        let mut reader = GroupReader(&group.bytes);
        while let Some(item) = reader.item().unwrap() {
            if let Item::Key(key, state) = item {
                all.push((key, whole::<One>(state).unwrap().value));
            }
        }
    }
    all.sort_by_key(|(key, _)| key.0.first().map(|text| text.parse::<u32>().unwrap()));
    assert_eq!(all.len() as u64, groups.iter().map(|group| group.keys).sum::<u64>());
    all
}

#[test]
fn a_key_is_marked_when_it_is_asked_for_to_change() {
    let mut keys = keys(3);
    assert!(!keys.is_empty() && KeyRuns::<One>::default().is_empty());
    assert!(keys.marked().all(|(_, period)| period == UNDATED));
    keys.begin_period(7);
    assert_eq!(keys.get(0).map(|one| one.value), Some(0));
    assert!(keys.get_mut(1).is_some() && keys.get_mut(9).is_none());
    let marks: Vec<u32> = keys.marked().map(|(_, period)| period).collect();
    assert_eq!(marks, [6, 7, 6]);
    assert_eq!((&mut keys).into_iter().count(), 3);
    assert!(keys.marked().all(|(_, period)| period == 7));
}

#[test]
fn keys_of_a_checkpoint_that_was_read_keep_their_marks() {
    let mut keys = KeyRuns::default();
    for (number, period) in [(0, IN_BASE), (1, IN_DELTA)] {
        keys.push_marked(One { key: key(number), value: number }, period);
    }
    keys.push(One { key: key(2), value: 2 });
    keys.begin_period(7);
    assert!(keys.marked().map(|(_, period)| period).eq([IN_BASE, IN_DELTA, 6]));
}

#[test]
fn keys_keep_their_numbers_over_chunks() {
    let mut keys = keys(1_000);
    assert_eq!(keys.len(), 1_000);
    assert!((0..1_000).all(|at| keys.get(at).map(|one| one.value) == Some(at as u32)));
    assert!(keys.marked().map(|(one, _)| one.value).eq(0..1_000));
    assert!(keys.get(1_000).is_none() && keys.get_mut(1_024).is_none());
    keys.begin_period(7);
    keys.get_mut(700).unwrap().value = 0;
    let changed: Vec<u32> = keys.marked().filter(|marked| marked.1 == 7).map(|(one, _)| one.value).collect();
    assert_eq!(changed, [0]);
    assert_eq!((&mut keys).into_iter().count(), 1_000);
}

#[test]
fn a_checkpoint_holds_its_moment_whatever_changes_while_it_is_written() {
    let as_they_were: Vec<(Key, u32)> = (0..600).map(|number| (key(number), number)).collect();
    for all_at_once in [false, true] {
        let mut keys = keys(600);
        keys.begin_checkpoint(writer(5, None), 5);
        assert_eq!(keys.write_some(100 * EFFORT_OF_A_KEY), 0);
        // One that is written, one that is not, twice, one that comes new.
        for number in [50, 300, 300] {
            keys.get_mut(number).unwrap().value += 10_000;
        }
        keys.push(One { key: key(600), value: 600 });
        if all_at_once {
            (&mut keys).into_iter().for_each(|one| one.value += 10_000);
        }
        while keys.write_some(7 * EFFORT_OF_A_KEY) == 0 {}
        assert_eq!(values(&keys.written().unwrap().unwrap()), as_they_were);
        assert!(keys.written().unwrap().is_none(), "handed over once");
        // The next holds what changed since, and what came.
        keys.begin_checkpoint(writer(6, Some(4)), 6);
        let changed = values(&keys.written().unwrap().unwrap());
        assert_eq!(changed.len(), if all_at_once { 601 } else { 3 });
        assert!(changed.contains(&(key(600), if all_at_once { 10_600 } else { 600 })));
    }
}

#[test]
fn a_key_that_did_not_change_costs_a_look_and_is_not_written() {
    let mut keys = keys(600);
    keys.begin_checkpoint(writer(5, None), 5);
    assert_eq!(values(&keys.written().unwrap().unwrap()).len(), 600);
    keys.begin_checkpoint(writer(6, Some(4)), 6);
    keys.get_mut(599).unwrap().value = 0;
    let looks = std::iter::repeat_with(|| keys.write_some(100)).take_while(|left| *left == 0).count();
    assert_eq!(looks, 6);
    assert_eq!(values(&keys.written().unwrap().unwrap()), []);
}
