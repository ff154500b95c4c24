//! The record that is being folded, for whoever decides something by it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::feeds::FeedClocks;
use super::windows::WindowRun;
use crate::model::result::PlanDescription;
use crate::model::{FeedId, ResultRow, Span, Timestamp};

/// The record that decides: its journal sequence and arrival time.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// Journal sequence.
    pub sequence: u64,
    /// The arrival clock at it.
    pub arrived_at: Timestamp,
}

/// What a verdict saw, as it is told: names and values, and the window or moment they are of.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Names of fields or quantities.
    names: &'a [Arc<str>],
    /// A value for each.
    values: &'a [Option<f64>],
    /// Start and end; for an event both are its time.
    pub window: (Timestamp, Timestamp),
}

impl<'a> Evidence<'a> {
    /// No values, of a stretch of time.
    #[must_use]
    pub fn of_nothing(window: (Timestamp, Timestamp)) -> Self {
        Self { names: &[], values: &[], window }
    }

    /// Names and values.
    pub fn fields(self) -> impl Iterator<Item = (&'a Arc<str>, Option<f64>)> {
        self.names.iter().zip(self.values.iter().copied())
    }
}

/// The names of what rules of a window see: its fields, `count` and `capture`, in the places of
/// [`crate::rule::Schema::of_window`].
#[must_use]
pub fn names_of_window(plan: &PlanDescription) -> Arc<[Arc<str>]> {
    let fields = plan.fields.iter().map(|field| field.name.clone());
    fields.chain(["count".into(), "capture".into()]).collect()
}

/// The numbers of a window in the places of [`names_of_window`].
#[must_use]
pub fn numbers_of_window(fields: &[Option<f64>], count: u64, capture: Option<f64>) -> Vec<Option<f64>> {
    let mut numbers = Vec::with_capacity(fields.len() + 2);
    numbers.extend_from_slice(fields);
    numbers.extend([Some(count as f64), capture]);
    numbers
}

/// What the last verdict saw, kept without the names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    values: Box<[Option<f64>]>,
    window: (Timestamp, Timestamp),
}

impl Seen {
    /// Takes the place of what was seen before.
    pub fn now(&mut self, values: &[Option<f64>], window: (Timestamp, Timestamp)) {
        self.window = window;
        if self.values.len() == values.len() {
            self.values.copy_from_slice(values);
        } else {
            self.values = values.into();
        }
    }

    /// With its names.
    #[must_use]
    pub fn named<'a>(&'a self, names: &'a [Arc<str>]) -> Evidence<'a> {
        Evidence { names, values: &self.values, window: self.window }
    }
}

/// A record as it is folded: what it finds and what it leaves.
pub struct Moment<'a> {
    /// The record.
    pub cause: Cause,
    /// The last tick.
    pub ticked: Timestamp,
    /// Clocks of all feeds.
    pub feeds: &'a FeedClocks,
    /// By feed, the last tick at which the pipeline's feeds had drained and the time unobserved
    /// until then; see [`FeedClocks::passed`]. Nothing outside a pipeline.
    pub passed: &'a [(Timestamp, Span)],
    /// Newer windows of the pipeline: what a rule judges there, no older one judges.
    pub newer: &'a [WindowRun],
    /// Older windows of the pipeline, newest first: courses of rules are handed over from them.
    pub ending: &'a mut [WindowRun],
    /// Rows caused.
    pub out: &'a mut Vec<ResultRow>,
}

impl<'a> Moment<'a> {
    /// A record as it comes, outside any pipeline.
    pub fn new(cause: Cause, ticked: Timestamp, feeds: &'a FeedClocks, out: &'a mut Vec<ResultRow>) -> Self {
        Self { cause, ticked, feeds, passed: &[], newer: &[], ending: &mut [], out }
    }

    /// The same record for one window, with the newer and the older ones.
    pub fn between<'b>(&'b mut self, newer: &'b [WindowRun], ending: &'b mut [WindowRun]) -> Moment<'b> {
        let Self { cause, ticked, feeds, passed, .. } = *self;
        Moment { cause, ticked, feeds, passed, newer, ending, out: &mut *self.out }
    }

    /// The same record for one pipeline, whose feeds' observed time has `passed` so far.
    pub fn within<'b>(&'b mut self, passed: &'b [(Timestamp, Span)]) -> Moment<'b> {
        let Self { cause, ticked, feeds, .. } = *self;
        Moment { cause, ticked, feeds, passed, newer: &[], ending: &mut [], out: &mut *self.out }
    }
}

/// Where a feed's clock stood when something was heard by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    feed: FeedId,
    unobserved: Span,
}

impl Heard {
    /// Now, by `feed`.
    #[must_use]
    pub fn now(feed: FeedId, feeds: &FeedClocks) -> Self {
        Self { feed, unobserved: feeds.unobserved(feed) }
    }

    /// The same feed, with all the time until now counted.
    #[must_use]
    pub fn again(self, feeds: &FeedClocks) -> Self {
        Self::now(self.feed, feeds)
    }

    /// Whether the feed was observed at the last tick.
    #[must_use]
    pub fn is_observed(self, feeds: &FeedClocks) -> bool {
        feeds.get(self.feed).is_some_and(|clock| clock.observed)
    }

    /// The time since in which the feed was not observed.
    #[must_use]
    pub fn unobserved_since(self, feeds: &FeedClocks) -> Span {
        Span(feeds.unobserved(self.feed).0.saturating_sub(self.unobserved.0))
    }

    /// The last tick with drained feeds, less the time from here until then in which the feed was
    /// not observed; [`Timestamp::MIN`] before the first. What was heard after that tick adds
    /// nothing to it: time passes at ticks.
    #[must_use]
    pub fn passed(self, moment: &Moment<'_>) -> Timestamp {
        moment.passed.get(self.feed.index()).map_or(Timestamp::MIN, |passed| self.passed_by(*passed))
    }

    /// As [`Self::passed`], of what the moment's `passed` said of the feed.
    #[must_use]
    pub fn passed_by(self, (tick, unobserved): (Timestamp, Span)) -> Timestamp {
        tick.minus(Span(unobserved.0.saturating_sub(self.unobserved.0).max(0)))
    }

    /// Whether it was heard by this feed.
    #[must_use]
    pub fn is_by(self, feed: FeedId) -> bool {
        self.feed == feed
    }
}
