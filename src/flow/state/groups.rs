//! The keys of groups as bytes: see the form in [`super`].

use serde::{Deserialize, Serialize};

use super::{GroupState, Request, RunName, StateError, read, write};
use crate::flow::key_runs::KeyRuns;
use crate::flow::keys::Share;
use crate::model::Key;
use crate::model::key::{KEY_GROUPS, KeyGroup};

const RUN: u8 = 1;
const KEY: u8 = 2;

/// Writes the keys of a worker's groups.
pub struct GroupWriter<'a> {
    since: &'a [Option<u32>],
    groups: Vec<Open>,
    state: Vec<u8>,
}

#[derive(Default)]
struct Open {
    bytes: Vec<u8>,
    keys: u64,
    /// Number of the run whose keys come last; 0 before the first.
    run: usize,
}

impl<'a> GroupWriter<'a> {
    /// Writes what `request` asks for.
    #[must_use]
    pub fn new(request: &'a Request) -> Self {
        let groups = (0..KEY_GROUPS).map(|_| Open::default()).collect();
        Self { since: &request.since, groups, state: Vec::new() }
    }

    /// Writes the keys of a run, the `number`th from 1 on; `key` and `state` look into one key.
    ///
    /// # Errors
    /// [`StateError::Form`].
    pub fn run<'k, T: 'k, S: Serialize>(
        &mut self,
        number: usize,
        name: &RunName,
        keys: &'k KeyRuns<T>,
        key: impl Fn(&'k T) -> &'k Key,
        state: impl Fn(usize, &'k T) -> S,
    ) -> Result<(), StateError> {
        for (at, (run, period)) in keys.marked().enumerate() {
            let own = key(run);
            let group = usize::from(own.group().0);
            let in_base = self.since.get(group).copied().flatten().is_some_and(|base| period <= base);
            let Some(open) = self.groups.get_mut(group).filter(|_| !in_base) else { continue };
            if open.run != number {
                open.run = number;
                open.bytes.push(RUN);
                write("a run", name, &mut open.bytes)?;
            }
            self.state.clear();
            write("a key", &state(at, run), &mut self.state)?;
            open.bytes.push(KEY);
            write("a key", own, &mut open.bytes)?;
            write("a key", self.state.as_slice(), &mut open.bytes)?;
            open.keys += 1;
        }
        Ok(())
    }

    /// The groups of `share`, those without keys among them.
    #[must_use]
    pub fn finish(self, share: Share) -> Vec<GroupState> {
        let since = self.since;
        let groups =
            (0_u8..=u8::MAX).zip(self.groups).filter(|(group, _)| share.owns_group(KeyGroup(*group)));
        let state = |(group, open): (u8, Open)| {
            let base = since.get(usize::from(group)).copied().flatten().is_none();
            GroupState { group, base, keys: open.keys, bytes: open.bytes }
        };
        groups.map(state).collect()
    }
}

/// What stands next in a group.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The keys that follow are this run's.
    Run(RunName),
    /// A key with its state.
    Key(Key, &'a [u8]),
}

/// Reads what [`GroupWriter`] wrote.
#[derive(Debug)]
pub struct GroupReader<'a>(pub &'a [u8]);

impl<'a> GroupReader<'a> {
    /// What stands next; `None` at the end.
    ///
    /// # Errors
    /// [`StateError::Form`].
    pub fn item(&mut self) -> Result<Option<Item<'a>>, StateError> {
        let Some((tag, rest)) = self.0.split_first() else { return Ok(None) };
        self.0 = rest;
        match *tag {
            RUN => Ok(Some(Item::Run(read("a run", &mut self.0)?))),
            KEY => Ok(Some(Item::Key(read("a key", &mut self.0)?, read("a key", &mut self.0)?))),
            _ => Err(StateError::Form { what: "a group", why: "a mark that is not known".into() }),
        }
    }
}

/// Reads the whole of a key's state.
///
/// # Errors
/// [`StateError::Form`], also when bytes are left.
pub fn whole<'a, T: Deserialize<'a>>(mut state: &'a [u8]) -> Result<T, StateError> {
    let value = read("a key", &mut state)?;
    if state.is_empty() {
        Ok(value)
    } else {
        Err(StateError::Form { what: "a key", why: "bytes are left".into() })
    }
}
