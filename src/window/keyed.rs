//! The windows of one key: which panes still live, which windows are closed, amended or sealed.

use serde::{Deserialize, Serialize};

use super::feed_set::FeedSet;
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
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::result::{Field, PlanDescription};
    use crate::window::plan::{FieldPlan, SensorsPlan};
    use crate::window::{Function, Grid};

    const BEGIN: Bounds = Bounds::ALL;

    fn plan(size_s: i64, slide_s: i64) -> WindowPlan {
        let fields = vec![FieldPlan::new(Function::Sum, Some(0), 0)];
        WindowPlan {
            description: Arc::new(PlanDescription {
                hash: 0,
                pipeline: "p".into(),
                window: "w".into(),
                size_ns: size_s,
                slide_ns: slide_s,
                unit: None,
                by: vec!["sensor".into()],
                fields: vec![Field { name: "sum".into(), unit: "".into() }],
            }),
            grid: Grid::new(Span::seconds(size_s), Span::seconds(slide_s), &jiff::tz::TimeZone::UTC),
            columns: WindowPlan::columns_of(&fields),
            sensors: SensorsPlan::default(),
            fields,
            allowed_lateness: Span::seconds(100),
            close_after: Span::seconds(35),
            open_max: Span::seconds(1_000),
            expected: Vec::new(),
            capture_min: 0.0,
        }
    }

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    fn put(windows: &mut KeyWindows, plan: &WindowPlan, at: i64, value: i64, sequence: u64) -> Outcome {
        let device: Arc<str> = "d".into();
        let sample = Sample { mantissa: value, event_at: s(at), device: &device, counter: None, sequence };
        windows.add(plan, BEGIN, 0, s(at), sequence, &[(0, sample)])
    }

    fn seen(published: &[Publication]) -> Vec<(i64, u64, Option<f64>)> {
        published.iter().map(|p| (p.start.0 / 1_000_000_000, p.revision, p.fields[0])).collect()
    }

    #[test]
    fn tumbling_windows_close_once_and_late_readings_amend() {
        let (plan, mut windows) = (plan(60, 60), KeyWindows::default());
        put(&mut windows, &plan, 10, 1, 1);
        put(&mut windows, &plan, 50, 2, 2);
        put(&mut windows, &plan, 70, 4, 3);
        assert_eq!(seen(&windows.close(&plan, BEGIN, s(60))), [(0, 2, Some(3.0))]);
        assert!(windows.close(&plan, BEGIN, s(60)).is_empty());
        assert_eq!(put(&mut windows, &plan, 20, 8, 4), Outcome::Late);
        assert_eq!(seen(&windows.amend(&plan)), [(0, 4, Some(11.0))]);
        assert!(windows.amend(&plan).is_empty());
        windows.close(&plan, BEGIN, s(200));
        windows.seal(&plan, s(60));
        assert_eq!(put(&mut windows, &plan, 20, 8, 5), Outcome::TooLate);
        assert_eq!(put(&mut windows, &plan, 61, 8, 6), Outcome::Late);
    }

    #[test]
    fn hopping_windows_share_panes() {
        let (plan, mut windows) = (plan(120, 60), KeyWindows::default());
        put(&mut windows, &plan, 10, 1, 1);
        put(&mut windows, &plan, 70, 2, 2);
        let closed = windows.close(&plan, BEGIN, s(300));
        assert_eq!(seen(&closed), [(-60, 1, Some(1.0)), (0, 2, Some(3.0)), (60, 2, Some(2.0))]);
        put(&mut windows, &plan, 65, 4, 3);
        assert_eq!(seen(&windows.amend(&plan)), [(0, 3, Some(7.0)), (60, 3, Some(6.0))]);
    }

    #[test]
    fn long_windows_made_of_blocks_hold_what_their_panes_hold() {
        let (plan, mut windows) = (plan(7_200, 60), KeyWindows::default());
        let mut said: Vec<(i64, i64)> = Vec::new();
        let whole = |said: &[(i64, i64)], start: i64| -> f64 {
            said.iter().filter(|(at, _)| (start..start + 7_200).contains(at)).map(|one| one.1 as f64).sum()
        };
        let mut published = 0;
        for step in 0..1_000_i64 {
            // Every seventh comes up to 90 s late: after its first windows have closed.
            let at = 30 * step - if step % 7 == 0 { 37 * (step % 3) } else { 0 };
            put(&mut windows, &plan, at, step, step as u64);
            said.push((at, step));
            let mut rows = windows.close(&plan, BEGIN, s(30 * step - 20));
            rows.extend(windows.amend(&plan));
            rows.extend(windows.seal(&plan, s(30 * step - 120)));
            for (start, _, sum) in seen(&rows) {
                assert_eq!(sum, Some(whole(&said, start)), "window of {start} at {at}");
            }
            published += rows.len();
        }
        assert!(published > 510, "{published}: every window, and some again");
    }

    #[test]
    fn a_gap_of_decades_costs_nothing() {
        let (plan, mut windows) = (plan(60, 1), KeyWindows::default());
        put(&mut windows, &plan, 0, 1, 1);
        put(&mut windows, &plan, 1_700_000_000, 2, 2);
        assert_eq!(windows.close(&plan, BEGIN, s(1_800_000_000)).len(), 120);
    }

    #[test]
    fn next_close_is_the_first_open_end() {
        let (plan, mut windows) = (plan(120, 60), KeyWindows::default());
        assert_eq!(windows.next_close(&plan), None);
        put(&mut windows, &plan, 70, 1, 1);
        assert_eq!(windows.next_close(&plan), Some(s(120)));
        windows.close(&plan, BEGIN, s(120));
        assert_eq!(windows.next_close(&plan), Some(s(180)));
        windows.close(&plan, BEGIN, s(180));
        assert_eq!(windows.next_close(&plan), None);
    }
}
