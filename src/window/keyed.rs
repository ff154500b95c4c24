//! The windows of one key: which panes still live, which windows are closed, amended or sealed.

use serde::{Deserialize, Serialize};

use super::feed_set::FeedSet;
use super::firsts::Firsts;
use super::panes::{Pane, Panes};
use super::plan::WindowPlan;
use super::sensors::{Follower, Sensors};
use super::slot::Sample;
use crate::model::{Span, Timestamp};

/// What became of an event for one window plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Counted before any of its windows was closed.
    Counted,
    /// Counted, and at least one closed window is amended by it.
    Late,
    /// All its windows are sealed.
    TooLate,
    /// It lies outside the plan's life (before a changed definition's first window), or between the
    /// periods of a day.
    Outside,
}

/// Which windows a plan publishes: those that start in [begins_at, ends_at). A changed definition
/// begins with the first window after the change, and the old one ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// First start.
    pub begins_at: Timestamp,
    /// Starts from here on are another plan's.
    pub ends_at: Timestamp,
}

impl Bounds {
    /// All of time.
    pub const ALL: Self = Self { begins_at: Timestamp::MIN, ends_at: Timestamp::MAX };

    /// Whether the window that starts there is published.
    #[must_use]
    pub fn hold(self, start: Timestamp) -> bool {
        self.begins_at <= start && start < self.ends_at
    }
}

/// One revision of one window, ready to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Start of the window.
    pub start: Timestamp,
    /// End of the window.
    pub end: Timestamp,
    /// Journal sequence of the last record that changed it.
    pub revision: u64,
    /// Events counted.
    pub count: u64,
    /// The feeds by which they came.
    pub feeds: FeedSet,
    /// Values of the plan's fields.
    pub fields: Vec<Option<f64>>,
}

impl Publication {
    /// A window without any event: its counts are 0, its other fields are no data.
    #[must_use]
    pub fn empty(plan: &WindowPlan, start: Timestamp, revision: u64) -> Self {
        let fields = plan.values(&plan.empty_slots(), 0);
        let (end, feeds) = (plan.grid.end(start), FeedSet::default());
        Self { start, end, revision, count: 0, feeds, fields }
    }
}

/// The windows of one key of one plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyWindows {
    /// Windows that end at or before are closed.
    closed_to: Timestamp,
    /// Windows that end at or before are sealed.
    sealed_to: Timestamp,
    panes: Panes,
    /// Starts of closed windows that changed since they were published, sorted.
    dirty: Vec<Timestamp>,
    /// Its sensors, each by itself; empty unless the plan tells them apart.
    sensors: Sensors,
}

impl Default for KeyWindows {
    fn default() -> Self {
        Self {
            closed_to: Timestamp::MIN,
            sealed_to: Timestamp::MIN,
            panes: Panes::default(),
            dirty: Vec::new(),
            sensors: Sensors::default(),
        }
    }
}

impl KeyWindows {
    /// Counts an event; `samples` are its readings by column, `feed` is the position of its feed
    /// among those of the pipeline.
    pub fn add(
        &mut self,
        plan: &WindowPlan,
        bounds: Bounds,
        feed: usize,
        event_at: Timestamp,
        sequence: u64,
        samples: &[(u16, Sample<'_>)],
    ) -> Outcome {
        let Some(start) = plan.grid.pane(event_at) else {
            self.pass(plan, bounds, event_at, samples);
            return Outcome::Outside;
        };
        let latest = if bounds.hold(start) {
            Some(start)
        } else {
            plan.grid.windows(start).filter(|window| bounds.hold(*window)).last()
        };
        let Some(latest) = latest else {
            if start < bounds.begins_at {
                self.pass(plan, bounds, event_at, samples);
            }
            return Outcome::Outside;
        };
        // A window that holds the pane ends after the event, so most need no second look.
        if event_at < self.sealed_to && plan.grid.end(latest) <= self.sealed_to {
            return Outcome::TooLate;
        }
        let pane = self.pane_mut(plan, start);
        pane.changed = sequence;
        pane.events += 1;
        pane.feeds.add(feed);
        for column in &plan.columns {
            let Some((_, sample)) = samples.iter().find(|(at, _)| *at == column.column) else { continue };
            column.of_mut(&mut pane.slots).iter_mut().for_each(|slot| slot.add(sample, column.decimals));
        }
        let mut late = self.mark(plan, bounds, start);
        if !plan.sensors.is_empty() {
            let followers = self.sensors.add(&plan.sensors, feed, (start, late), samples);
            late |= self.mark_followers(plan, bounds, start, &followers);
        }
        if late { Outcome::Late } else { Outcome::Counted }
    }

    /// Takes note of an event that no window holds, ahead of the first one or between the periods
    /// of a day: the next window counts from it.
    fn pass(
        &mut self,
        plan: &WindowPlan,
        bounds: Bounds,
        event_at: Timestamp,
        samples: &[(u16, Sample<'_>)],
    ) {
        if !plan.sensors.follow() {
            return;
        }
        let next = plan.grid.pane_from(event_at).max(bounds.begins_at);
        if next >= bounds.ends_at || plan.grid.end(next) <= self.sealed_to {
            return;
        }
        let ahead = next.minus(Span(1));
        let followers = self.sensors.pass(&plan.sensors, ahead, samples);
        self.mark_followers(plan, bounds, ahead, &followers);
    }

    fn pane_mut(&mut self, plan: &WindowPlan, start: Timestamp) -> &mut Pane {
        self.panes.at(start, || Pane {
            start,
            changed: 0,
            events: 0,
            feeds: FeedSet::default(),
            slots: plan.empty_slots(),
        })
    }

    /// Marks the closed windows of a pane as changed; whether there are any.
    fn mark(&mut self, plan: &WindowPlan, bounds: Bounds, pane: Timestamp) -> bool {
        if plan.grid.pane_end(pane) > self.closed_to {
            // Even the earliest window of the pane is open.
            return false;
        }
        let mut late = false;
        for start in plan.grid.windows(pane) {
            late |= self.mark_window(plan, bounds, start);
        }
        late
    }

    /// Windows that end at or before are closed.
    #[must_use]
    pub fn closed_to(&self) -> Timestamp {
        self.closed_to
    }

    /// Windows that end at or before are sealed.
    #[must_use]
    pub fn sealed_to(&self) -> Timestamp {
        self.sealed_to
    }

    /// As [`Self::close`] and [`Self::seal`] where no window ends, and nothing is to be forgotten, until
    /// then: where [`Self::next_close`] and [`Self::next_seal`] lie behind.
    pub fn let_pass(&mut self, closed_to: Timestamp, sealed_to: Timestamp) {
        self.closed_to = self.closed_to.max(closed_to);
        self.sealed_to = self.sealed_to.max(sealed_to);
    }

    /// Marks a window as changed if it is closed and not sealed; whether it is.
    fn mark_window(&mut self, plan: &WindowPlan, bounds: Bounds, start: Timestamp) -> bool {
        let end = plan.grid.end(start);
        let amended = bounds.hold(start) && end <= self.closed_to && end > self.sealed_to;
        if amended && let Err(at) = self.dirty.binary_search(&start) {
            self.dirty.insert(at, start);
        }
        amended
    }

    /// Marks the closed windows that a reading in `pane` changes without lying in them; whether
    /// there are any.
    fn mark_followers(
        &mut self,
        plan: &WindowPlan,
        bounds: Bounds,
        pane: Timestamp,
        followers: &[Follower],
    ) -> bool {
        let mut starts: Vec<Timestamp> = Vec::new();
        for follower in followers {
            match follower {
                Follower::Gain(next) => starts.extend(plan.grid.windows(*next)),
                Follower::Hold(until) => {
                    // Windows without any event are not published, and so not amended.
                    for held in self.panes.starts().skip_while(|held| *held <= pane) {
                        let before = starts.len();
                        starts.extend(plan.grid.windows(held).filter(|start| start < until));
                        if starts.len() == before {
                            break;
                        }
                    }
                }
            }
        }
        starts.retain(|start| *start > pane);
        starts.iter().fold(false, |late, start| self.mark_window(plan, bounds, *start) | late)
    }

    /// Closes the windows that end at or before `to` and publishes those that hold events,
    /// earliest first.
    pub fn close(&mut self, plan: &WindowPlan, bounds: Bounds, to: Timestamp) -> Vec<Publication> {
        let from = self.closed_to;
        if to <= from {
            return Vec::new();
        }
        self.closed_to = to;
        let mut published = Vec::new();
        let Some(mut start) = self.panes.first().map(|pane| plan.grid.first_window(pane)) else {
            return published;
        };
        if from > start {
            start = plan.grid.first_open(from).max(start);
        }
        loop {
            let end = plan.grid.end(start);
            if end > to {
                break;
            }
            match self.panes.from(start) {
                None => break,
                Some(pane) if pane >= end => start = plan.grid.first_window(pane),
                Some(_) => {
                    if bounds.hold(start) {
                        published.extend(self.publication(plan, start));
                    }
                    start = plan.grid.next_pane(start);
                }
            }
        }
        self.panes.rest(|pane| plan.grid.pane_end(pane) <= to);
        published
    }

    /// Publishes the closed windows that changed since, earliest first.
    pub fn amend(&mut self, plan: &WindowPlan) -> Vec<Publication> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().filter_map(|start| self.publication(plan, start)).collect()
    }

    /// Its sensors.
    #[cfg(test)]
    pub(super) fn sensors(&self) -> &Sensors {
        &self.sensors
    }

    /// Whether closed windows changed since they were published.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Seals the windows that end at or before `to`: their readings are too late from here on, and
    /// panes that no other window needs are forgotten. Changes not yet published are published
    /// first.
    pub fn seal(&mut self, plan: &WindowPlan, to: Timestamp) -> Vec<Publication> {
        if to <= self.sealed_to {
            return Vec::new();
        }
        let last: Vec<Timestamp> =
            self.dirty.iter().copied().filter(|start| plan.grid.end(*start) <= to).collect();
        self.dirty.retain(|start| plan.grid.end(*start) > to);
        let published = last.into_iter().filter_map(|start| self.publication(plan, start)).collect();
        let before = std::mem::replace(&mut self.sealed_to, to);
        let last = self.panes.forget(|pane| plan.grid.end(pane) <= to);
        if let Some(up_to) = last.or_else(|| passed_over(plan, before, to))
            && !plan.sensors.is_empty()
        {
            self.sensors.forget(&plan.sensors, up_to);
        }
        published
    }

    /// The first readings of its sensors, where one that is older than `known` before them would count
    /// too. Nothing of it was sealed.
    #[must_use]
    pub fn firsts(&self, plan: &WindowPlan, known: Span) -> Firsts {
        self.sensors.firsts(&plan.sensors, known)
    }

    /// Whether the window that ends at `end` is sealed.
    #[must_use]
    pub fn is_sealed(&self, end: Timestamp) -> bool {
        end <= self.sealed_to
    }

    /// End of the earliest window that is open and holds events.
    #[must_use]
    pub fn next_close(&self, plan: &WindowPlan) -> Option<Timestamp> {
        let begun = self.closed_to > Timestamp::MIN;
        let open = if begun { plan.grid.first_open(self.closed_to) } else { Timestamp::MIN };
        // The window that starts with a pane is the last of those that hold it.
        let first = self.panes.from(open)?;
        Some(plan.grid.end(plan.grid.first_window(first).max(open)))
    }

    /// What sealing waits for beside [`Self::next_close`]: the end of the earliest closed window that has
    /// something to publish, or of the last window that holds the earliest pane.
    #[must_use]
    pub fn next_seal(&self, plan: &WindowPlan) -> Option<Timestamp> {
        let first = self.panes.first().into_iter().chain(self.dirty.first().copied());
        first.map(|start| plan.grid.end(start)).min()
    }

    fn publication(&mut self, plan: &WindowPlan, start: Timestamp) -> Option<Publication> {
        let end = plan.grid.end(start);
        let mut merged: Option<Pane> = None;
        self.panes.each_block((start, end), plan.grid.block(), &mut |pane| match &mut merged {
            Some(sum) => sum.merge(pane),
            none => *none = Some(pane.clone()),
        });
        let Pane { changed, events: count, feeds, slots, .. } = merged?;
        let (mut revision, mut fields) = (changed, plan.values(&slots, count));
        if !plan.sensors.is_empty() {
            revision = revision.max(self.sensors.fill(plan, start, end, &mut fields));
        }
        Some(Publication { start, end, revision, count, feeds, fields })
    }
}

/// The last period of a day that is sealed by `to` and was not by `before`: what came ahead of it
/// is over, also where nothing came in it.
fn passed_over(plan: &WindowPlan, before: Timestamp, to: Timestamp) -> Option<Timestamp> {
    if !plan.forgets_between() {
        return None;
    }
    let sealed = |at: Timestamp| {
        let last = plan.grid.pane_before(at);
        if plan.grid.end(last) <= at { last } else { plan.grid.pane_before(last) }
    };
    Some(sealed(to)).filter(|last| before == Timestamp::MIN || *last > sealed(before))
}

#[cfg(test)]
#[path = "keyed_tests.rs"]
mod tests;
