//! The panes of one key. Those that are being filled lie open; those that closed rest as bytes, a
//! fifth of the size, until a late reading wakes them.
//!
//! A pane that rests is the length of the rest (LEB128), the time since the pane before it, and what it
//! holds, in [postcard's wire format](https://postcard.jamesmunns.com/wire-format): whole numbers in as
//! few bytes as they need.
//!
//! Where windows hold many panes, what a block of them at rest comes to is remembered once it was asked
//! for, so that a window is made of its blocks and of the panes at its edges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::feed_set::FeedSet;
use super::slot::Slot;
use crate::model::time::SECOND;
use crate::model::{Span, Timestamp};

/// One pane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pane {
    /// Where it starts.
    pub(super) start: Timestamp,
    /// Journal sequence of the last record that changed it.
    pub(super) changed: u64,
    /// Events counted.
    pub(super) events: u64,
    /// The feeds by which they came.
    pub(super) feeds: FeedSet,
    /// Its accumulators.
    pub(super) slots: Box<[Slot]>,
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Panes {
    resting: Resting,
    /// By start, all after those that rest.
    open: Vec<Pane>,
    /// What blocks at rest come to; no state, since it is found again.
    #[serde(skip)]
    blocks: Option<Box<Blocks>>,
}

/// Blocks of panes that rest, all of each, as one pane.
#[derive(Clone, Debug, Default)]
struct Blocks {
    /// How long one is, counted from 1970-01-01T00:00Z.
    length: Span,
    /// By its number.
    sums: BTreeMap<i64, Pane>,
}

/// Panes by start, as bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Resting {
    bytes: Vec<u8>,
    /// Start of the first; of no meaning when there is none.
    first: Timestamp,
    /// Start of the last.
    last: Timestamp,
}

/// What a pane that rests holds, beside its start.
type Content = (u64, u64, FeedSet, Box<[Slot]>);

impl Panes {
    /// Starts of all of them, earliest first.
    pub(super) fn starts(&self) -> impl Iterator<Item = Timestamp> {
        self.resting.iter().map(|(start, _)| start).chain(self.open.iter().map(|pane| pane.start))
    }

    /// Start of the earliest.
    #[must_use]
    pub(super) fn first(&self) -> Option<Timestamp> {
        let resting = (!self.resting.is_empty()).then_some(self.resting.first);
        resting.or_else(|| self.open.first().map(|pane| pane.start))
    }

    /// Start of the earliest that starts at `start` or later.
    #[must_use]
    pub(super) fn from(&self, start: Timestamp) -> Option<Timestamp> {
        let resting = if self.resting.is_empty() || self.resting.last < start {
            None
        } else if start <= self.resting.first {
            Some(self.resting.first)
        } else {
            self.resting.iter().map(|(own, _)| own).find(|own| start <= *own)
        };
        resting.or_else(|| {
            let at = self.open.partition_point(|pane| pane.start < start);
            self.open.get(at).map(|pane| pane.start)
        })
    }

    /// Shows each pane that starts in [start, end), earliest first.
    pub(super) fn each(&self, (start, end): (Timestamp, Timestamp), show: &mut dyn FnMut(&Pane)) {
        if !self.resting.is_empty() && start <= self.resting.last {
            let within = self.resting.iter().skip_while(|(own, _)| *own < start);
            for pane in within.take_while(|(own, _)| *own < end).filter_map(|(own, bytes)| woken(own, bytes))
            {
                show(&pane);
            }
        }
        let first = self.open.partition_point(|pane| pane.start < start);
        let open = self.open.get(first..).unwrap_or_default();
        open.iter().take_while(|pane| pane.start < end).for_each(show);
    }

    /// Shows the panes that start in [start, end), those of whole blocks of this length as one.
    pub(super) fn each_block(
        &mut self,
        (start, end): (Timestamp, Timestamp),
        length: Option<Span>,
        show: &mut dyn FnMut(&Pane),
    ) {
        let Some(length) = length.filter(|_| !self.resting.is_empty()) else {
            return self.each((start, end), show);
        };
        let Self { resting, open, blocks } = self;
        let blocks = blocks.get_or_insert_default();
        if blocks.length != length {
            **blocks = Blocks { length, sums: BTreeMap::new() };
        }
        let mut last = None;
        let within = resting.iter().skip_while(|(own, _)| *own < start).take_while(|(own, _)| *own < end);
        let mut missing: Option<(i64, Pane)> = None;
        for (own, bytes) in within {
            let number = blocks.number(own);
            let (from, to) = blocks.bounds(number);
            if from < start || end < to || resting.last < to {
                blocks.take(&mut missing, show);
                woken(own, bytes).iter().for_each(&mut *show);
            } else if let Some((_, sum)) = missing.as_mut().filter(|(building, _)| *building == number) {
                woken(own, bytes).iter().for_each(|pane| sum.merge(pane));
            } else if last != Some(number) {
                last = Some(number);
                blocks.take(&mut missing, show);
                match blocks.sums.get(&number) {
                    Some(sum) => show(sum),
                    None => missing = woken(own, bytes).map(|pane| (number, pane)),
                }
            }
        }
        blocks.take(&mut missing, show);
        let first = open.partition_point(|pane| pane.start < start);
        let open = open.get(first..).unwrap_or_default();
        open.iter().take_while(|pane| pane.start < end).for_each(show);
    }

    /// The pane at `start`, made by `new` if there is none.
    pub(super) fn at(&mut self, start: Timestamp, new: impl FnOnce() -> Pane) -> &mut Pane {
        if !self.resting.is_empty() && start <= self.resting.last {
            self.wake(start);
        }
        let at = match self.open.binary_search_by_key(&start, |pane| pane.start) {
            Ok(at) => at,
            Err(at) => {
                if self.open.len() == self.open.capacity() {
                    // Most keys fill one pane at a time.
                    self.open.reserve_exact(1 + self.open.len() / 2);
                }
                self.open.insert(at, new());
                at
            }
        };
        #[allow(clippy::indexing_slicing, reason = "found or inserted just above")]
        &mut self.open[at]
    }

    /// Forgets the earliest panes for as long as `gone` says so of their starts; the last of them.
    pub(super) fn forget(&mut self, gone: impl Fn(Timestamp) -> bool) -> Option<Timestamp> {
        let rested = self.resting.forget(&gone);
        if let (Some(last), Some(blocks)) = (rested, &mut self.blocks) {
            blocks.sums = blocks.sums.split_off(&blocks.number(last).saturating_add(1));
        }
        if !self.resting.is_empty() {
            return rested;
        }
        let count = self.open.partition_point(|pane| gone(pane.start));
        self.open.drain(..count).next_back().map(|pane| pane.start).or(rested)
    }

    /// Lays the earliest open panes to rest, for as long as `closed` says so of their starts.
    pub(super) fn rest(&mut self, closed: impl Fn(Timestamp) -> bool) {
        let count = self.open.partition_point(|pane| closed(pane.start));
        for pane in self.open.drain(..count) {
            self.resting.push(pane);
        }
    }

    /// Opens those that start at `start` or later.
    fn wake(&mut self, start: Timestamp) {
        let Resting { bytes, .. } = &self.resting;
        let all = bytes.len();
        let mut woken_panes = Vec::new();
        let (mut kept, mut last) = (0, self.resting.first);
        let mut left = self.resting.iter();
        while let Some((own, content)) = left.next() {
            if own < start {
                (kept, last) = (all - left.rest.len(), own);
            } else {
                woken_panes.extend(woken(own, content));
            }
        }
        self.resting.bytes.truncate(kept);
        self.resting.last = last;
        if let Some(blocks) = &mut self.blocks {
            // Another pane may come behind the last that rests: its block is not whole any more.
            let whole = if kept == 0 { start } else { last.min(start) };
            blocks.sums.split_off(&blocks.number(whole));
        }
        self.open.splice(0..0, woken_panes);
    }
}

impl Pane {
    /// Adds what another holds; it stays where it is.
    pub(super) fn merge(&mut self, other: &Self) {
        self.changed = self.changed.max(other.changed);
        self.events += other.events;
        self.feeds = self.feeds.or(other.feeds);
        self.slots.iter_mut().zip(&other.slots).for_each(|(mine, other)| mine.merge(other));
    }
}

impl Blocks {
    fn number(&self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.length.0.max(1))
    }

    fn bounds(&self, number: i64) -> (Timestamp, Timestamp) {
        let start = number.saturating_mul(self.length.0);
        (Timestamp(start), Timestamp(start.saturating_add(self.length.0)))
    }

    /// Shows a block that is whole now, and remembers it.
    fn take(&mut self, whole: &mut Option<(i64, Pane)>, show: &mut dyn FnMut(&Pane)) {
        if let Some((number, sum)) = whole.take() {
            show(&sum);
            self.sums.insert(number, sum);
        }
    }
}

impl Resting {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Each with its start.
    fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.bytes, at: self.first, begun: false }
    }

    /// Adds a pane after all others.
    fn push(&mut self, pane: Pane) {
        let Pane { start, changed, events, feeds, slots } = pane;
        if self.is_empty() {
            self.first = start;
            self.last = start;
        }
        let content: Content = (changed, events, feeds, slots);
        let Ok(mut whole) = postcard::to_extend(&since(self.last, start), Vec::with_capacity(64))
            .and_then(|bytes| postcard::to_extend(&content, bytes))
        else {
            return;
        };
        self.last = start;
        let mut length = [0; 5];
        let mut value = whole.len();
        let mut used = 0;
        for byte in &mut length {
            used += 1;
            *byte = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                break;
            }
            *byte |= 0x80;
        }
        let more = used + whole.len();
        if self.bytes.capacity() - self.bytes.len() < more {
            self.bytes.reserve_exact(more + self.bytes.len() / 4);
        }
        self.bytes.extend_from_slice(length.get(..used).unwrap_or_default());
        self.bytes.append(&mut whole);
    }

    /// Forgets the earliest for as long as `gone` says so; the last of them.
    fn forget(&mut self, gone: impl Fn(Timestamp) -> bool) -> Option<Timestamp> {
        let mut last = None;
        let mut iter = self.iter();
        let mut keep = iter.rest.len();
        let mut next = None;
        while let Some((start, _)) = iter.next() {
            if !gone(start) {
                next = Some(start);
                break;
            }
            last = Some(start);
            keep = iter.rest.len();
        }
        if last.is_some() {
            let forgotten = self.bytes.len() - keep;
            self.bytes.drain(..if next.is_some() { forgotten } else { self.bytes.len() });
            self.first = next.unwrap_or(self.first);
        }
        last
    }
}

/// See [`Resting::iter`].
struct Iter<'a> {
    rest: &'a [u8],
    at: Timestamp,
    begun: bool,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Timestamp, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = postcard::take_from_bytes::<u32>(self.rest).ok()?;
        let (own, rest) = rest.split_at_checked(length as usize)?;
        let (passed, content) = postcard::take_from_bytes::<u64>(own).ok()?;
        // The first says how far it is from one that is gone.
        if self.begun {
            self.at = self.at.plus(span(passed));
        }
        self.begun = true;
        self.rest = rest;
        Some((self.at, content))
    }
}

/// A pane from its bytes.
fn woken(start: Timestamp, content: &[u8]) -> Option<Pane> {
    let (changed, events, feeds, slots): Content = postcard::from_bytes(content).ok()?;
    Some(Pane { start, changed, events, feeds, slots })
}

/// The time between two starts as one small number: seconds times two, or nanoseconds times two and one.
fn since(earlier: Timestamp, later: Timestamp) -> u64 {
    let passed = later.0.wrapping_sub(earlier.0) as u64;
    if passed.is_multiple_of(SECOND as u64) { passed / SECOND as u64 * 2 } else { passed << 1 | 1 }
}

fn span(passed: u64) -> Span {
    Span(if passed & 1 == 0 { (passed / 2).wrapping_mul(SECOND as u64) } else { passed >> 1 } as i64)
}

#[cfg(test)]
#[path = "panes_tests.rs"]
mod tests;
