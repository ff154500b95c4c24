//! A window as it runs: its grid, its accumulators and the functions of its fields.

use std::sync::Arc;

use super::grid::Grid;
use super::slot::{self, Slot, SlotKind};
use crate::model::Span;
use crate::model::result::PlanDescription;

/// What is computed of a window's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// How many readings; of `*`: how many events.
    Count,
    /// Their sum.
    Sum,
    /// Their arithmetic mean.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The earliest, in the order of events.
    First,
    /// The latest, in the order of events.
    Last,
    /// Sample standard deviation (divided by n - 1); no data for fewer than two readings.
    Stddev,
    /// Quantile, in hundredths from 1 to 99: `p50`, `p95`; within
    /// [`super::sketch::RELATIVE_ERROR`].
    Quantile(u8),
}

impl Function {
    /// The accumulator it reads.
    #[must_use]
    pub fn slot(self) -> SlotKind {
        match self {
            Self::Count | Self::Sum | Self::Mean => SlotKind::Sum,
            Self::Min | Self::Max => SlotKind::Extremes,
            Self::First => SlotKind::First,
            Self::Last => SlotKind::Last,
            Self::Stddev => SlotKind::Squares,
            Self::Quantile(_) => SlotKind::Sketch,
        }
    }
}

/// One field: a function over one quantity, or over events (`count(*)`).
#[derive(Clone, Copy, Debug)]
pub struct FieldPlan {
    /// Function.
    pub function: Function,
    /// Column of its quantity; `None`: the events themselves.
    pub column: Option<u16>,
    /// Decimals of the quantity.
    pub decimals: u8,
}

/// Accumulators of one quantity, as positions in a pane's slots.
#[derive(Clone, Debug)]
pub struct ColumnPlan {
    /// Column of the quantity.
    pub column: u16,
    /// First of its slots.
    pub first: usize,
    /// Kinds of its slots; [`SlotKind::Sum`] first.
    pub kinds: Vec<SlotKind>,
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
    /// Accumulators by quantity.
    pub columns: Vec<ColumnPlan>,
    /// Own readings amend a window until the watermark is this far past its end.
    pub allowed_lateness: Span,
    /// A silent key's window closes by tick this long after its end.
    pub close_after: Span,
    /// By tick, a window is sealed this long after its end.
    pub open_max: Span,
    /// Expected time between two events of one key, by position of the key's feed among those of
    /// the pipeline; `None` where none is expected.
    pub expected: Vec<Option<Span>>,
    /// Share of them below which the window is no basis for a verdict.
    pub capture_min: f64,
}

impl WindowPlan {
    /// Lays out the accumulators that the fields need.
    #[must_use]
    pub fn columns_of(fields: &[FieldPlan]) -> Vec<ColumnPlan> {
        let mut columns: Vec<ColumnPlan> = Vec::new();
        for field in fields {
            let Some(column) = field.column else { continue };
            let at = columns.iter().position(|plan| plan.column == column).unwrap_or_else(|| {
                columns.push(ColumnPlan { column, first: 0, kinds: vec![SlotKind::Sum] });
                columns.len() - 1
            });
            if let Some(plan) = columns.get_mut(at) {
                let kind = field.function.slot();
                if !plan.kinds.contains(&kind) {
                    plan.kinds.push(kind);
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

    /// Empty accumulators for one pane.
    #[must_use]
    pub fn empty_slots(&self) -> Box<[Slot]> {
        self.columns.iter().flat_map(|column| column.kinds.iter().map(|kind| kind.empty())).collect()
    }

    /// The fields' values from merged accumulators and the number of events.
    #[must_use]
    pub fn values(&self, slots: &[Slot], events: u64) -> Vec<Option<f64>> {
        self.fields
            .iter()
            .map(|field| {
                let Some(column) = field.column else { return Some(events as f64) };
                let plan = self.columns.iter().find(|plan| plan.column == column)?;
                let own = slots.get(plan.first..plan.first + plan.kinds.len())?;
                slot::value(field.function, own, field.decimals)
            })
            .collect()
    }

    /// Share of the events expected in a window of `length`, one each `interval`, that `count` is;
    /// capped at nothing: more than 1 is possible.
    #[must_use]
    pub fn capture(count: u64, length: Span, interval: Option<Span>) -> Option<f64> {
        let expected = length.0 as f64 / interval.filter(|interval| interval.0 > 0)?.0 as f64;
        Some(count as f64 / expected)
    }
}
