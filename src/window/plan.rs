//! A window as it runs: its grid, its accumulators and the functions of its fields.

use std::sync::Arc;

use super::feed_set::FeedSet;
use super::function::Function;
use super::grid::Grid;
use super::held::Rules;
use super::slot::{Slot, SlotKind};
use super::value::value;
use crate::model::result::PlanDescription;
use crate::model::{Span, Timestamp};

/// One field: a function over one quantity, or over events (`count(*)`).
#[derive(Clone, Copy, Debug)]
pub struct FieldPlan {
    /// Function; of a nested call the outer one, over sensors.
    pub function: Function,
    /// Of a nested call the inner one, over one sensor's readings.
    pub inner: Option<Function>,
    /// Column of its quantity; `None`: the events themselves.
    pub column: Option<u16>,
    /// Decimals of the quantity.
    pub decimals: u8,
    /// The count at which the quantity starts over at 0, as a mantissa.
    pub wrap: Option<i64>,
}

impl FieldPlan {
    /// A function over the readings of a column.
    #[must_use]
    pub fn new(function: Function, column: Option<u16>, decimals: u8) -> Self {
        Self { function, inner: None, column, decimals, wrap: None }
    }

    /// The function over one sensor's readings, where sensors are told apart.
    #[must_use]
    pub fn of_sensor(&self) -> Option<Function> {
        self.inner.or_else(|| self.function.per_sensor().then_some(self.function))
    }
}

/// Accumulators of one quantity, as positions in a pane's slots.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnPlan {
    /// Column of the quantity.
    pub column: u16,
    /// First of its slots.
    pub first: usize,
    /// Kinds of its slots; [`SlotKind::Sum`] first.
    pub kinds: Vec<SlotKind>,
    /// Decimals of the quantity.
    pub decimals: u8,
}

impl ColumnPlan {
    /// Its slots among those of a pane.
    #[must_use]
    pub fn of<'a>(&self, slots: &'a [Slot]) -> &'a [Slot] {
        slots.get(self.first..self.first + self.kinds.len()).unwrap_or_default()
    }

    /// Its slots among those of a pane, to be changed.
    #[must_use]
    pub fn of_mut<'a>(&self, slots: &'a mut [Slot]) -> &'a mut [Slot] {
        slots.get_mut(self.first..self.first + self.kinds.len()).unwrap_or_default()
    }
}

/// What a plan keeps of each sensor by itself: for nested calls, and for functions that follow
/// one sensor's readings. Empty for most plans.
#[derive(Clone, Debug, Default)]
pub struct SensorsPlan {
    /// Accumulators by quantity.
    pub columns: Vec<ColumnPlan>,
    /// What counters and held time of each of the columns follow.
    pub rules: Vec<Rules>,
    /// Expected interval of a sensor, by position of its feed among those of the pipeline.
    pub intervals: Vec<Option<Span>>,
    /// Share of a sensor's expected events below which it does not count in nested calls.
    pub capture_min: Option<f64>,
}

impl SensorsPlan {
    /// Lays out the accumulators that the fields need of each sensor.
    #[must_use]
    pub fn of(fields: &[FieldPlan], hold_max: Span) -> Self {
        let own = fields.iter().filter_map(|field| field.of_sensor().map(|function| (field, function)));
        let columns = layout(own.clone());
        let asked = |column: u16, of: fn(Function) -> bool| {
            own.clone().any(|(field, function)| field.column == Some(column) && of(function))
        };
        let rules = columns.iter().map(|plan| Rules {
            wrap: own.clone().find(|(field, _)| field.column == Some(plan.column)).and_then(|(f, _)| f.wrap),
            hold_max,
            gains: asked(plan.column, |function| matches!(function, Function::Increase | Function::Rate)),
            holds: asked(plan.column, |function| function == Function::TimeMean),
        });
        Self { rules: rules.collect(), columns, intervals: Vec::new(), capture_min: None }
    }

    /// Whether readings are followed from one to the next.
    #[must_use]
    pub fn follow(&self) -> bool {
        self.rules.iter().any(Rules::follow)
    }

    /// Whether sensors are not told apart.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Empty accumulators for one pane of one sensor.
    #[must_use]
    pub fn empty_slots(&self) -> Box<[Slot]> {
        self.columns.iter().flat_map(|column| column.kinds.iter().map(|kind| kind.empty())).collect()
    }

    /// Whether a sensor with so many events in `[start, end)`, by those feeds, counts.
    #[must_use]
    pub fn sufficient(&self, feeds: FeedSet, events: u64, start: Timestamp, end: Timestamp) -> bool {
        let Some(least) = self.capture_min else { return true };
        let intervals = feeds.iter().map(|feed| self.intervals.get(feed).copied().flatten());
        let expected = WindowPlan::expected_events(end.since(start), intervals);
        WindowPlan::capture(events, expected).is_none_or(|share| share >= least)
    }
}

/// A compiled window.
#[derive(Clone, Debug)]
pub struct WindowPlan {
    /// What it is called and carries.
    pub description: Arc<PlanDescription>,
    /// Where its windows begin and end.
    pub grid: Grid,
    /// Its fields, in the description's order.
    pub fields: Vec<FieldPlan>,
    /// Accumulators by quantity, over all readings of a key; without slots for quantities of
    /// which only the sensors' own are asked.
    pub columns: Vec<ColumnPlan>,
    /// What is kept of each sensor.
    pub sensors: SensorsPlan,
    /// Own readings amend a window until the watermark is this far past its end.
    pub allowed_lateness: Span,
    /// A silent key's window closes by tick this long after its end.
    pub close_after: Span,
    /// By tick, a window is sealed this long after its end.
    pub open_max: Span,
    /// Expected time between two events of one key by a feed, by position of the feed among those
    /// of the pipeline; `None` where none is expected.
    pub expected: Vec<Option<Span>>,
    /// Share of them below which the window is no basis for a verdict.
    pub capture_min: f64,
}

impl WindowPlan {
    /// Whether sealing forgets what came ahead of a period of the day, where no window holds it.
    #[must_use]
    pub fn forgets_between(&self) -> bool {
        self.grid.period().is_some() && self.sensors.follow()
    }

    /// Lays out the accumulators that the fields need of all readings of a key.
    #[must_use]
    pub fn columns_of(fields: &[FieldPlan]) -> Vec<ColumnPlan> {
        let mut columns =
            layout(fields.iter().filter(|field| field.of_sensor().is_none()).map(|f| (f, f.function)));
        for field in fields {
            if let Some(column) = field.column
                && !columns.iter().any(|plan| plan.column == column)
            {
                columns.push(ColumnPlan { column, first: 0, kinds: Vec::new(), decimals: field.decimals });
            }
        }
        columns
    }

    /// Empty accumulators for one pane.
    #[must_use]
    pub fn empty_slots(&self) -> Box<[Slot]> {
        self.columns.iter().flat_map(|column| column.kinds.iter().map(|kind| kind.empty())).collect()
    }

    /// The fields' values from merged accumulators and the number of events; those of single
    /// sensors are left to [`super::sensors::Sensors::fill`].
    #[must_use]
    pub fn values(&self, slots: &[Slot], events: u64) -> Vec<Option<f64>> {
        self.fields
            .iter()
            .map(|field| {
                let Some(column) = field.column else {
                    return (field.function == Function::Count).then_some(events as f64);
                };
                let plan = self.columns.iter().find(|plan| plan.column == column)?;
                let answer = value(field.function, plan.of(slots), field.decimals)?;
                Some(answer.to_f64(field.decimals))
            })
            .collect()
    }

    /// Events expected in a window of `length` by feeds with these intervals between two of a key,
    /// lowest position first; `None` where there is no feed, or one that expects nothing.
    #[must_use]
    pub fn expected_events(length: Span, intervals: impl Iterator<Item = Option<Span>>) -> Option<f64> {
        let mut expected = None;
        for interval in intervals {
            let interval = interval.filter(|interval| interval.0 > 0)?;
            expected = Some(expected.unwrap_or(0.0) + length.0 as f64 / interval.0 as f64);
        }
        expected
    }

    /// Share of the events expected that `count` is; capped at nothing: more than 1 is possible.
    #[must_use]
    pub fn capture(count: u64, expected: Option<f64>) -> Option<f64> {
        Some(count as f64 / expected?)
    }

    /// Fills in the fields that are the capture in percent.
    pub fn fill_capture(&self, fields: &mut [Option<f64>], capture: Option<f64>) {
        for (plan, value) in self.fields.iter().zip(fields) {
            if plan.function == Function::CapturePercent {
                *value = capture.map(|share| share * 100.0);
            }
        }
    }
}

fn layout<'a>(fields: impl Iterator<Item = (&'a FieldPlan, Function)>) -> Vec<ColumnPlan> {
    let mut columns: Vec<ColumnPlan> = Vec::new();
    for (field, function) in fields {
        let Some(column) = field.column else { continue };
        let at = columns.iter().position(|plan| plan.column == column).unwrap_or_else(|| {
            let kinds = vec![SlotKind::Sum];
            columns.push(ColumnPlan { column, first: 0, kinds, decimals: field.decimals });
            columns.len() - 1
        });
        if let Some(plan) = columns.get_mut(at) {
            for kind in function.slots() {
                if !plan.kinds.contains(kind) {
                    plan.kinds.push(*kind);
                }
            }
        }
    }
    let mut first = 0;
    for plan in &mut columns {
        plan.first = first;
        first += plan.kinds.len();
    }
    columns
}
