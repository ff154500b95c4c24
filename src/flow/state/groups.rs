//! The keys of groups as bytes: see the form in [`super`].

use std::sync::Arc;

use serde::Deserialize;

use super::{GroupState, Request, RunName, StateError, read, write};
use crate::flow::key_runs::Kept;
use crate::flow::keys::Share;
use crate::model::Key;
use crate::model::key::{KEY_GROUPS, KeyGroup};

const RUN: u8 = 1;
const KEY: u8 = 2;

/// What the keys of one run come to, by the number of their group.
pub type Groups = Vec<Written>;

/// Keys of one group.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// In the form of [`super`].
    pub bytes: Vec<u8>,
    /// How many there are.
    pub keys: u64,
}

impl Written {
    /// Adds the keys of another run.
    pub fn add(&mut self, mut other: Self) {
        if self.bytes.len() < other.bytes.len() {
            std::mem::swap(self, &mut other);
        }
        self.bytes.append(&mut other.bytes);
        self.keys += other.keys;
    }
}

/// Writes keys of one run, by their groups.
#[derive(Debug)]
pub struct GroupWriter {
    request: Arc<Request>,
    /// What stands before the keys.
    head: Vec<u8>,
    groups: Groups,
    state: Vec<u8>,
    failed: Option<StateError>,
}

impl GroupWriter {
    /// Writes what `request` asks for of the run of that name.
    ///
    /// # Errors
    /// [`StateError::Form`].
    pub fn new(request: &Arc<Request>, name: &RunName) -> Result<Self, StateError> {
        let mut head = vec![RUN];
        write("a run", name, &mut head)?;
        let groups = vec![Written::default(); KEY_GROUPS];
        Ok(Self { request: request.clone(), head, groups, state: Vec::new(), failed: None })
    }

    /// Whether a key of that group that last changed in `period` is to be written: its group's base does not
    /// hold it as it is.
    #[must_use]
    pub fn wants(&self, group: KeyGroup, period: u32) -> bool {
        let base = self.request.since.get(usize::from(group.0)).copied().flatten();
        base.is_none_or(|base| base < period)
    }

    /// Writes a key of that group, if it is wanted. One that has no form as bytes is told of at the end.
    pub fn key(&mut self, run: &impl Kept, group: KeyGroup, period: u32) {
        if self.wants(group, period)
            && let Err(failure) = self.write(run, group)
        {
            self.failed = Some(failure);
        }
    }

    fn write(&mut self, run: &impl Kept, group: KeyGroup) -> Result<(), StateError> {
        let own = run.key();
        let Some(written) = self.groups.get_mut(usize::from(group.0)) else { return Ok(()) };
        if written.keys == 0 {
            written.bytes.extend_from_slice(&self.head);
        }
        self.state.clear();
        write("a key", run, &mut self.state)?;
        written.bytes.push(KEY);
        write("a key", own, &mut written.bytes)?;
        write("a key", self.state.as_slice(), &mut written.bytes)?;
        written.keys += 1;
        Ok(())
    }

    /// What was written.
    ///
    /// # Errors
    /// [`StateError::Form`].
    pub fn finish(self) -> Result<Groups, StateError> {
        self.failed.map_or(Ok(self.groups), Err)
    }
}

/// The groups of `share`, those without keys among them; `since` as in [`Request`].
#[must_use]
pub fn of_share(groups: Groups, since: &[Option<u32>], share: Share) -> Vec<GroupState> {
    let groups = (0_u8..=u8::MAX).zip(groups).filter(|(group, _)| share.owns_group(KeyGroup(*group)));
    let state = |(group, written): (u8, Written)| {
        let base = since.get(usize::from(group)).copied().flatten().is_none();
        GroupState { group, base, keys: written.keys, bytes: written.bytes }
    };
    groups.map(state).collect()
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
