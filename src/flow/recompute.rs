//! Windows of the past computed again: all journaled readings of a range, in order, none too late,
//! by the definitions in force.
//!
//! A reading that came after its window was sealed counts here, and a definition that is newer
//! than the readings reaches back. Only windows that lie in the range as a whole are published,
//! and not those that may still be amended: these hold every reading anyway, and amend themselves.
//! Rules are not asked: a recompute raises and ends no alert.

use super::compile::PipelinePlan;
use super::feeds::FeedClocks;
use super::keys::Share;
use super::moment::{Cause, Moment};
use super::past::Past;
use super::pipeline::PipelineRun;
use crate::model::{Aggregate, Dictionary, Event, FeedId, ResultRow, Timestamp};

/// The windows of one pipeline over a range, as revisions of the record that asked for them.
/// `live` is the pipeline as it runs; the events are those of the range in order.
#[must_use]
pub fn recompute(
    mut plan: PipelinePlan,
    feeds: Vec<FeedId>,
    share: Share,
    live: Option<&PipelineRun>,
    (past, events): (&Past, &[(u64, &Event)]),
    dictionary: &Dictionary,
) -> Vec<Aggregate> {
    plan.windows.iter_mut().for_each(|(_, rules)| rules.clear());
    plan.readings.clear();
    let until = past.to.plus(plan.close_after);
    let mut run = PipelineRun::new(plan, feeds, share, past.sequence, None);
    let mut rows = Vec::new();
    // There are no rules, so that nobody asks for the clocks of feeds.
    let (feeds, ticked) = (FeedClocks::default(), Timestamp::MIN);
    for &(sequence, event) in events {
        if run.feeds.contains(&event.feed) {
            // No watermark: nothing closes before everything was counted.
            let own = Cause { sequence, arrived_at: event.arrived_at };
            let mut moment = Moment::new(own, ticked, &feeds, &mut rows);
            run.event(event, past.readings_of(event), Timestamp::MIN, dictionary, &mut moment);
        }
    }
    let cause = Cause { sequence: past.sequence, arrived_at: past.to };
    run.tick(until, true, &mut Moment::new(cause, ticked, &feeds, &mut rows));
    let within = |row: &Aggregate| past.from <= row.start && row.end <= past.to;
    let settled = |row: &Aggregate| live.is_none_or(|live| !live.may_amend(row));
    let published = rows.into_iter().filter_map(|row| match row {
        ResultRow::Aggregate(row) if within(&row) && settled(&row) => {
            Some(Aggregate { cause: past.sequence, revision: past.sequence, ..row })
        }
        _ => None,
    });
    published.collect()
}

#[cfg(test)]
#[path = "recompute_tests.rs"]
mod tests;
