//! The windows of one key: which panes still live, which windows are closed, amended or sealed.

use serde::{Deserialize, Serialize};

use super::plan::WindowPlan;
use super::slot::{Sample, Slot};
use crate::model::Timestamp;

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

    fn hold(self, start: Timestamp) -> bool {
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
    /// Values of the plan's fields.
    pub fields: Vec<Option<f64>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pane {
    start: Timestamp,
    changed: u64,
    events: u64,
    slots: Box<[Slot]>,
}

/// The windows of one key of one plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyWindows {
    /// Windows that end at or before are closed.
    closed_to: Timestamp,
    /// Windows that end at or before are sealed.
    sealed_to: Timestamp,
    /// By start.
    panes: Vec<Pane>,
    /// Starts of closed windows that changed since they were published, sorted.
    dirty: Vec<Timestamp>,
}

impl Default for KeyWindows {
    fn default() -> Self {
        Self { closed_to: Timestamp::MIN, sealed_to: Timestamp::MIN, panes: Vec::new(), dirty: Vec::new() }
    }
}

impl KeyWindows {
    /// Counts an event; `samples` are its readings by column.
    pub fn add(
        &mut self,
        plan: &WindowPlan,
        bounds: Bounds,
        event_at: Timestamp,
        sequence: u64,
        samples: &[(u16, Sample<'_>)],
    ) -> Outcome {
        let Some(start) = plan.grid.pane(event_at) else { return Outcome::Outside };
        let latest = if bounds == Bounds::ALL {
            Some(start)
        } else {
            plan.grid.windows(start).filter(|window| bounds.hold(*window)).last()
        };
        let Some(latest) = latest else { return Outcome::Outside };
        // A window that holds the pane ends after the event, so most need no second look.
        if event_at < self.sealed_to && plan.grid.end(latest) <= self.sealed_to {
            return Outcome::TooLate;
        }
        let pane = self.pane_mut(plan, start);
        pane.changed = sequence;
        pane.events += 1;
        for column in &plan.columns {
            let Some((_, sample)) = samples.iter().find(|(at, _)| *at == column.column) else { continue };
            let own = pane.slots.get_mut(column.first..column.first + column.kinds.len());
            own.into_iter().flatten().for_each(|slot| slot.add(sample));
        }
        if self.mark(plan, bounds, start) { Outcome::Late } else { Outcome::Counted }
    }

    fn pane_mut(&mut self, plan: &WindowPlan, start: Timestamp) -> &mut Pane {
        let at = match self.panes.binary_search_by_key(&start, |pane| pane.start) {
            Ok(at) => at,
            Err(at) => {
                self.panes.insert(at, Pane { start, changed: 0, events: 0, slots: plan.empty_slots() });
                at
            }
        };
        #[allow(clippy::indexing_slicing, reason = "found or inserted just above")]
        &mut self.panes[at]
    }

    /// Marks the closed windows of a pane as changed; whether there are any.
    fn mark(&mut self, plan: &WindowPlan, bounds: Bounds, pane: Timestamp) -> bool {
        if plan.grid.pane_end(pane) > self.closed_to {
            // Even the earliest window of the pane is open.
            return false;
        }
        let mut late = false;
        for start in plan.grid.windows(pane) {
            let end = plan.grid.end(start);
            let amended = bounds.hold(start) && end <= self.closed_to && end > self.sealed_to;
            late |= amended;
            if amended && let Err(at) = self.dirty.binary_search(&start) {
                self.dirty.insert(at, start);
            }
        }
        late
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
        let Some(mut start) = self.panes.first().map(|pane| plan.grid.first_window(pane.start)) else {
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
            let first = self.panes.partition_point(|pane| pane.start < start);
            match self.panes.get(first) {
                None => break,
                Some(pane) if pane.start >= end => start = plan.grid.first_window(pane.start),
                Some(_) => {
                    if bounds.hold(start) {
                        published.extend(self.publication(plan, start));
                    }
                    start = plan.grid.next_pane(start);
                }
            }
        }
        published
    }

    /// Publishes the closed windows that changed since, earliest first.
    pub fn amend(&mut self, plan: &WindowPlan) -> Vec<Publication> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().filter_map(|start| self.publication(plan, start)).collect()
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
        self.sealed_to = to;
        let gone = self.panes.partition_point(|pane| plan.grid.end(pane.start) <= to);
        self.panes.drain(..gone);
        published
    }

    /// End of the earliest window that is open and holds events.
    #[must_use]
    pub fn next_close(&self, plan: &WindowPlan) -> Option<Timestamp> {
        let first = self.panes.iter().find(|pane| plan.grid.end(pane.start) > self.closed_to)?;
        let mut start = plan.grid.first_window(first.start);
        if self.closed_to > start {
            start = plan.grid.first_open(self.closed_to).max(start);
        }
        Some(plan.grid.end(start))
    }

    /// What sealing waits for: the end of the earliest window that has something to publish, or of
    /// the last window that holds the earliest pane.
    #[must_use]
    pub fn next_seal(&self, plan: &WindowPlan) -> Option<Timestamp> {
        let pane = self.panes.first().map(|pane| plan.grid.end(pane.start));
        let changed = self.dirty.first().map(|start| plan.grid.end(*start));
        [pane, changed, self.next_close(plan)].into_iter().flatten().min()
    }

    fn publication(&self, plan: &WindowPlan, start: Timestamp) -> Option<Publication> {
        let end = plan.grid.end(start);
        let first = self.panes.partition_point(|pane| pane.start < start);
        let mut panes = self.panes.get(first..)?.iter().take_while(|pane| pane.start < end);
        let head = panes.next()?;
        let (mut revision, mut count) = (head.changed, head.events);
        let mut slots = head.slots.clone();
        for pane in panes {
            revision = revision.max(pane.changed);
            count += pane.events;
            slots.iter_mut().zip(&pane.slots).for_each(|(mine, other)| mine.merge(other));
        }
        Some(Publication { start, end, revision, count, fields: plan.values(&slots, count) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Span;
    use crate::model::result::{Field, PlanDescription};
    use crate::window::plan::FieldPlan;
    use crate::window::{Function, Grid};

    const BEGIN: Bounds = Bounds::ALL;

    fn plan(size_s: i64, slide_s: i64) -> WindowPlan {
        let fields = vec![FieldPlan { function: Function::Sum, column: Some(0), decimals: 0 }];
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
        windows.add(plan, BEGIN, s(at), sequence, &[(0, sample)])
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
