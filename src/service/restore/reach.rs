//! How far back readings are there: where the journal begins, and from when on nothing is gone.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::api::RecomputeRefusal;
use crate::flow::past::BEFORE;
use crate::journal::{BatchReader, Disk, LogError};
use crate::model::{Event, Recompute, Record, Span, Timestamp};
#[cfg(feature = "store")]
use crate::store::Store;

/// Where the journal that is still there begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Its first epoch.
    pub epoch: u64,
    /// Its first sequence.
    pub since: u64,
    /// What is not in it arrived by then.
    pub arrived_at: Timestamp,
}

impl Reach {
    /// Looks into a journal of which `written` epochs are there to be read.
    ///
    /// # Errors
    /// [`LogError`] when its first segment does not read.
    pub fn of(disk: Arc<dyn Disk>, dir: &Path, written: u64) -> Result<Self, LogError> {
        let mut reader = BatchReader::new(disk, dir, 0);
        reader.skip_collected()?;
        let first = reader.next(written)?;
        let nothing = Self { epoch: 0, since: 0, arrived_at: Timestamp::MIN };
        Ok(first.map_or(nothing, |(epoch, batch)| Self {
            epoch,
            since: batch.first,
            arrived_at: batch.arrived_at,
        }))
    }

    /// From which event time on the journal alone has everything; `max_skew` is how far an event time
    /// may be ahead of its arrival.
    #[must_use]
    pub fn whole_from(&self, max_skew: Span) -> Timestamp {
        if self.since == 0 { Timestamp::MIN } else { after(self.arrived_at, max_skew) }
    }

    /// The same with what a store has of the time before.
    #[cfg(feature = "store")]
    #[must_use]
    pub fn whole_from_with(&self, store: &Store, max_skew: Span) -> Timestamp {
        let (whole, applied) = (store.whole(), store.applied());
        // One that lags has a gap ahead of it that it does not know of yet.
        if self.since == 0 || whole.sequence > self.since || applied.journal < self.epoch {
            return self.whole_from(max_skew);
        }
        if whole.sequence == 0 { Timestamp::MIN } else { after(whole.arrived_at, max_skew) }
    }

    /// What is computed of a range when everything is there from `whole_from` on.
    ///
    /// # Errors
    /// [`RecomputeRefusal::Gone`] when nothing can be.
    pub fn recompute(
        &self,
        (from, to): (Timestamp, Timestamp),
        whole_from: Timestamp,
    ) -> Result<Recompute, RecomputeRefusal> {
        let recompute = Recompute { from: from.max(whole_from), to, since: self.since, whole_from };
        let gone = recompute.from >= to;
        if gone { Err(RecomputeRefusal::Gone { readings_from: whole_from }) } else { Ok(recompute) }
    }
}

/// How many events a recompute is about, by what `written` epochs of the journal have: the whole journal is
/// read.
///
/// # Errors
/// [`LogError`] when the journal does not read.
pub(super) fn count(
    disk: Arc<dyn Disk>,
    dir: &Path,
    written: u64,
    recompute: &Recompute,
) -> Result<u64, LogError> {
    let from = recompute.begins_at(BEFORE);
    let is_within = |event: &Event| from <= event.event_at && event.event_at < recompute.to;
    let mut reader = BatchReader::new(disk, dir, 0);
    reader.skip_collected()?;
    let (mut came, mut restored) = (0, HashSet::new());
    while let Some((_, batch)) = reader.next(written)? {
        for (sequence, record) in batch.iter() {
            match record {
                Record::Event(event) if sequence >= recompute.since => came += u64::from(is_within(event)),
                Record::Restored { sequence, event } if is_within(event) && *sequence < recompute.since => {
                    restored.insert(*sequence);
                }
                _ => {}
            }
        }
    }
    Ok(came + restored.len() as u64)
}

/// The first event time that nothing has which arrived by `arrived_at`.
fn after(arrived_at: Timestamp, max_skew: Span) -> Timestamp {
    arrived_at.plus(max_skew).plus(Span(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_begins_where_nothing_is_gone() {
        let at = |second: i64| Timestamp(second * 1_000_000_000);
        let reach = Reach { epoch: 3, since: 40, arrived_at: at(100) };
        let whole_from = reach.whole_from(Span::seconds(5));
        assert_eq!(whole_from, Timestamp(at(105).0 + 1), "an event of 105 may have arrived at 100");
        let recompute = |from, to| reach.recompute((at(from), at(to)), whole_from);
        let asked = recompute(50, 200).unwrap();
        assert_eq!(
            (asked.from, asked.to, asked.since, asked.whole_from),
            (whole_from, at(200), 40, whole_from)
        );
        assert_eq!(recompute(150, 200).unwrap().from, at(150));
        assert_eq!(recompute(50, 105), Err(RecomputeRefusal::Gone { readings_from: whole_from }));
        let whole = Reach { since: 0, ..reach };
        assert_eq!(whole.whole_from(Span::seconds(5)), Timestamp::MIN);
    }
}
