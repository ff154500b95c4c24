//! The order in which rows of several files are played, and how it is shuffled.

use super::PlayError;
use super::rows::{Row, Rows};
use super::times::TimeReader;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use std::collections::BTreeMap;

/// Something and when to play it, milliseconds since 1970 UTC.
#[derive(Clone, Debug)]
pub(super) struct Timed<T> {
    pub(super) at_ms: i64,
    pub(super) value: T,
}

/// Interleaves files by time and keeps the order within each: a row is due at the latest time seen so far in
/// its file, for recorded data is not always in the order of its times.
pub(super) struct Merge {
    sources: Vec<(Rows, Option<TimeReader>)>,
    /// The next row of each file, by (when it is due, file).
    heads: BTreeMap<(i64, usize), Row>,
    is_open: bool,
    latest_ms: Vec<Option<i64>>,
    /// Rows played without times so far.
    count: i64,
    start_ms: i64,
    untimed: u64,
}

impl Merge {
    pub(super) fn new(sources: Vec<(Rows, Option<TimeReader>)>, start_ms: i64) -> Self {
        let latest_ms = vec![None; sources.len()];
        Self { sources, heads: BTreeMap::new(), is_open: false, latest_ms, count: 0, start_ms, untimed: 0 }
    }

    /// Rows whose time could not be read.
    pub(super) fn untimed(&self) -> u64 {
        self.untimed
    }

    pub(super) fn next_row(&mut self) -> Result<Option<Timed<Row>>, PlayError> {
        if !self.is_open {
            self.is_open = true;
            for file in 0..self.sources.len() {
                self.refill(file)?;
            }
        }
        let Some(((at_ms, file), value)) = self.heads.pop_first() else { return Ok(None) };
        self.refill(file)?;
        let is_timed = self.sources.get(file).is_some_and(|(_, times)| times.is_some());
        let at_ms = if is_timed { at_ms } else { self.start_ms.saturating_add(self.count) };
        self.count += 1;
        Ok(Some(Timed { at_ms, value }))
    }

    fn refill(&mut self, file: usize) -> Result<(), PlayError> {
        let (Some((rows, times)), Some(latest_ms)) =
            (self.sources.get_mut(file), self.latest_ms.get_mut(file))
        else {
            return Ok(());
        };
        let Some(row) = rows.next_row()? else { return Ok(()) };
        let due_ms = match times {
            // Files without times are played one after the other.
            None => i64::MIN,
            Some(times) => {
                let own = times.read(&row);
                self.untimed += u64::from(own.is_none());
                *latest_ms = own.max(*latest_ms);
                latest_ms.unwrap_or(self.start_ms)
            }
        };
        self.heads.insert((due_ms, file), row);
        Ok(())
    }
}

/// Delays each item by a draw below `within_ms`: none is overtaken by one that much younger.
pub(super) struct Shuffle<T = crate::message::Message> {
    within_ms: i64,
    dice: ChaCha8Rng,
    held: BTreeMap<(i64, u64), T>,
    count: u64,
    latest_ms: i64,
}

impl<T> Shuffle<T> {
    pub(super) fn new(within_ms: i64, seed: u64) -> Self {
        // Another stream than that which decides what is dropped.
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        dice.set_stream(1);
        Self { within_ms, dice, held: BTreeMap::new(), count: 0, latest_ms: i64::MIN }
    }

    pub(super) fn push(&mut self, item: Timed<T>) {
        self.latest_ms = self.latest_ms.max(item.at_ms);
        let delay_ms = match self.within_ms {
            0 => 0,
            within_ms => (self.dice.next_u64() % within_ms.unsigned_abs()).cast_signed(),
        };
        let key = (item.at_ms.saturating_add(delay_ms), self.count);
        self.count += 1;
        self.held.insert(key, item.value);
    }

    /// The next item that nothing still to come can precede; any item at the end.
    pub(super) fn pop(&mut self, is_end: bool) -> Option<Timed<T>> {
        let entry = self.held.first_entry()?;
        let (at_ms, _) = *entry.key();
        let is_due = is_end || at_ms <= self.latest_ms;
        is_due.then(|| Timed { at_ms, value: entry.remove() })
    }

    /// Forgets everything held.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shuffled(within_ms: i64, seed: u64) -> Vec<Timed<i64>> {
        let mut shuffle = Shuffle::new(within_ms, seed);
        let mut out = Vec::new();
        for at_ms in (0..10_000).step_by(10) {
            shuffle.push(Timed { at_ms, value: at_ms });
            out.extend(std::iter::from_fn(|| shuffle.pop(false)));
        }
        out.extend(std::iter::from_fn(|| shuffle.pop(true)));
        out
    }

    #[test]
    fn a_shuffle_moves_things_but_never_further_than_its_bound() {
        let out = shuffled(500, 1);
        assert_eq!(out.len(), 1_000);
        let mut latest = i64::MIN;
        for item in &out {
            let overtaken_ms = latest.saturating_sub(item.value);
            assert!(overtaken_ms < 500, "overtaken by {overtaken_ms} ms");
            latest = latest.max(item.value);
        }
        assert!(out.windows(2).any(|pair| pair[1].value < pair[0].value));
        assert!(out.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms), "sent in order of sending");
        let values = |items: &[Timed<i64>]| items.iter().map(|item| item.value).collect::<Vec<_>>();
        assert_eq!(values(&out), values(&shuffled(500, 1)));
        assert_ne!(values(&out), values(&shuffled(500, 2)));
    }

    #[test]
    fn without_a_bound_the_order_stays() {
        assert!(shuffled(0, 1).windows(2).all(|pair| pair[0].value < pair[1].value));
    }
}
