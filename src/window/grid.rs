//! The grid of windows: where panes and windows begin and end.
//!
//! A pane is one slide; every window begins where a pane begins and ends where a pane begins or
//! ends. Four kinds of panes: evenly spaced ones, pieces of the local calendar (days of 23 and 25
//! hours, weeks, months, years), and a period of each day, between which lies time that belongs
//! to no pane. Except for those, every instant belongs to exactly one pane.
//!
//! A length that divides a day begins at local midnight and follows the local clock: where the
//! clock is put forward or back by something that the slide does not divide, the pane over the
//! change is shorter or longer by it. One that divides every change (an hour, in most zones) runs
//! on evenly. All other spans are counted from 1970-01-01T00:00Z. See [`super::clock`] for how
//! times are read that a clock shows twice.

use std::iter::successors;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::calendar::{DAY, LocalLength};
use super::clock::LocalClock;
use crate::model::{DailyPeriod, Span, Timestamp, WindowLength};

/// Where the panes of a grid begin.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Every `length`, `phase` before a multiple of it since 1970-01-01T00:00Z.
    Even { length: i64, phase: i64 },
    /// With each piece of the local calendar.
    Local(LocalLength),
    /// At `from` after each local midnight, ending at `to` after it (which may be the next day).
    Daily { from: i64, to: i64 },
}

/// How far a window reaches from its start.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// To the end of its first pane.
    Pane,
    /// This far.
    Even(i64),
    /// This far on the local clock.
    Local(LocalLength),
}

/// Windows of one size and slide.
#[derive(Clone, Debug)]
pub struct Grid {
    step: Step,
    reach: Reach,
    clock: LocalClock,
    longest: Span,
    period: Option<Arc<str>>,
    block: Option<Span>,
}

/// Windows of fewer panes are made of the panes themselves.
const BLOCKS_FROM: i64 = 64;

impl Grid {
    /// The grid of spans `size` by `slide` in `zone`; both must be positive and slide divide size.
    #[must_use]
    pub fn new(size: Span, slide: Span, zone: &TimeZone) -> Self {
        Self::of(WindowLength::Span(size), WindowLength::Span(slide), zone)
    }

    /// The grid of `size` by `slide` in `zone`; [`nests`] must hold of them.
    #[must_use]
    pub fn of(size: WindowLength, slide: WindowLength, zone: &TimeZone) -> Self {
        let clock = LocalClock::new(zone);
        let nominal = size.nominal();
        // Weeks, months and years lie on the local clock whatever their length.
        let local = size.unit().is_some() || (nominal.0 > 0 && DAY % nominal.0 == 0);
        let step = |length: WindowLength| {
            let nanos = length.nominal().0;
            let divides_a_day = nanos > 0 && DAY % nanos == 0;
            match clock.even_phase(nanos.max(1)) {
                _ if !local => Step::Even { length: nanos.max(1), phase: 0 },
                Some(phase) if divides_a_day => Step::Even { length: nanos, phase },
                _ => Step::Local(LocalLength::of(length)),
            }
        };
        let panes = step(slide);
        let reach = match step(size) {
            _ if size == slide => Reach::Pane,
            Step::Even { length, .. } => Reach::Even(length),
            Step::Local(_) | Step::Daily { .. } => Reach::Local(LocalLength::of(size)),
        };
        let put_back = Span(if local { clock.put_back_max() } else { 0 });
        let longest = match reach {
            Reach::Even(length) => Span(length),
            Reach::Pane if matches!(panes, Step::Even { .. }) => nominal,
            // Its end is the next boundary of its panes.
            _ => Span(nominal.0.saturating_add(put_back.0).saturating_add(slide.nominal().0)),
        };
        let panes_a_window = nominal.0 / slide.nominal().0.max(1);
        let block = (panes_a_window >= BLOCKS_FROM).then(|| Span(nominal.0 / panes_a_window.isqrt()));
        Self { step: panes, reach, longest, clock, period: None, block }
    }

    /// The grid of one period of each day in `zone`, called `name`.
    #[must_use]
    pub fn daily(name: &str, period: DailyPeriod, zone: &TimeZone) -> Self {
        let clock = LocalClock::new(zone);
        let (from, to) = (period.begin(), period.end());
        let longest = Span(to.0 - from.0 + clock.put_back_max());
        let step = Step::Daily { from: from.0, to: to.0 };
        Self { step, reach: Reach::Pane, longest, clock, period: Some(name.into()), block: None }
    }

    /// End of the earliest window that ends after `at`: when the verdict on a window that ends
    /// there is missed if the next one says nothing. Days, weeks, months and years are as long as
    /// they are.
    #[must_use]
    pub fn end_after(&self, at: Timestamp) -> Timestamp {
        self.end(self.first_open(at))
    }

    /// Name of the period of the day whose windows these are.
    #[must_use]
    pub fn period(&self) -> Option<&Arc<str>> {
        self.period.as_ref()
    }

    /// How long the blocks are of whose panes windows of many panes are made: about as many blocks a
    /// window as panes a block.
    #[must_use]
    pub fn block(&self) -> Option<Span> {
        self.block
    }

    /// No window is longer.
    #[must_use]
    pub fn longest(&self) -> Span {
        self.longest
    }

    /// Start of the pane that holds `at`; `None` between the periods of a day.
    #[must_use]
    pub fn pane(&self, at: Timestamp) -> Option<Timestamp> {
        match self.step {
            Step::Even { length, phase } => {
                Some(Timestamp(at.0.saturating_sub(at.0.saturating_add(phase).rem_euclid(length))))
            }
            Step::Local(piece) => Some(self.clock.instant(piece.begin(self.clock.reading(at)))),
            Step::Daily { from, .. } => {
                self.date(at).map(|date| self.clock.instant(date.saturating_add(from)))
            }
        }
    }

    /// End of the pane that starts at `pane`.
    #[must_use]
    pub fn pane_end(&self, pane: Timestamp) -> Timestamp {
        match self.step {
            Step::Even { length, .. } => pane.plus(Span(length)),
            Step::Local(piece) => self.clock.instant(piece.after(piece.begin(self.clock.reading(pane)))),
            Step::Daily { to, .. } => {
                self.date(pane).map_or(pane, |date| self.clock.instant(date.saturating_add(to)))
            }
        }
    }

    /// Start of the pane after the one that starts at `pane`.
    #[must_use]
    pub fn next_pane(&self, pane: Timestamp) -> Timestamp {
        match self.step {
            Step::Daily { .. } => self.pane_from(Timestamp(pane.0.saturating_add(1))),
            _ => self.pane_end(pane),
        }
    }

    /// Start of the last pane that begins before `at`.
    #[must_use]
    pub fn pane_before(&self, at: Timestamp) -> Timestamp {
        let just_before = Timestamp(at.0.saturating_sub(1));
        match self.step {
            Step::Daily { .. } => self.pane(just_before).unwrap_or_else(|| {
                let mut date = self.midnight(just_before);
                while self.period_of(date).is_none_or(|(start, _)| start >= at) && date > i64::MIN {
                    date = date.saturating_sub(DAY);
                }
                self.period_of(date).map_or(at, |(start, _)| start)
            }),
            _ => self.pane(just_before).unwrap_or(at),
        }
    }

    /// The first pane that begins at or after `at`.
    #[must_use]
    pub fn pane_from(&self, at: Timestamp) -> Timestamp {
        match self.step {
            Step::Daily { .. } => {
                let mut date = self.midnight(at).saturating_sub(DAY);
                while self.period_of(date).is_none_or(|(start, _)| start < at) && date < i64::MAX {
                    date = date.saturating_add(DAY);
                }
                self.period_of(date).map_or(at, |(start, _)| start)
            }
            _ => match self.pane(at) {
                Some(pane) if pane < at => self.pane_end(pane),
                _ => at,
            },
        }
    }

    /// End of the window that starts at `start`.
    #[must_use]
    pub fn end(&self, start: Timestamp) -> Timestamp {
        match self.reach {
            Reach::Pane => self.pane_end(start),
            Reach::Even(size) => start.plus(Span(size)),
            Reach::Local(size) => {
                let shown = self.clock.reading(start);
                let begin = if let Step::Local(piece) = self.step { piece.begin(shown) } else { shown };
                self.pane_from(self.clock.instant(size.after(begin)))
            }
        }
    }

    /// Whether the window that starts at `start` is the longest of those that end when it does.
    /// Only where a clock is put forward or months are cut short do several end together.
    #[must_use]
    pub fn is_longest(&self, start: Timestamp) -> bool {
        match self.reach {
            Reach::Pane | Reach::Even(_) => true,
            Reach::Local(_) => {
                let before = self.pane_before(start);
                before >= start || self.end(before) < self.end(start)
            }
        }
    }

    /// Start of the earliest window that the pane at `pane` belongs to.
    #[must_use]
    pub fn first_window(&self, pane: Timestamp) -> Timestamp {
        match (self.reach, self.step) {
            (Reach::Pane, _) => pane,
            (Reach::Even(size), Step::Even { length, .. }) => Timestamp(pane.0.saturating_sub(size - length)),
            (Reach::Even(size), _) => self.settle(Timestamp(pane.0.saturating_sub(size)), pane),
            (Reach::Local(size), _) => {
                let near = size.before(self.clock.reading(pane));
                self.settle(self.clock.instant(near), pane)
            }
        }
    }

    /// The earliest window that ends after `pane`, looked for from `near`.
    fn settle(&self, near: Timestamp, pane: Timestamp) -> Timestamp {
        let mut start = self.pane(near).unwrap_or(near).min(pane);
        while start < pane && self.end(start) <= pane {
            start = self.next_pane(start);
        }
        loop {
            let before = self.pane_before(start);
            if before >= start || self.end(before) <= pane {
                return start;
            }
            start = before;
        }
    }

    /// Starts of the windows that the pane at `pane` belongs to, earliest first.
    pub fn windows(&self, pane: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        successors(Some(self.first_window(pane)), move |start| {
            Some(self.next_pane(*start)).filter(|next| *next <= pane && next > start)
        })
    }

    /// Start of the earliest window that ends after `at`.
    #[must_use]
    pub fn first_open(&self, at: Timestamp) -> Timestamp {
        self.pane(at).map_or_else(|| self.pane_from(at), |pane| self.first_window(pane))
    }

    /// Local midnight before `at`.
    fn midnight(&self, at: Timestamp) -> i64 {
        let shown = self.clock.reading(at);
        shown.saturating_sub(shown.rem_euclid(DAY))
    }

    /// Start and end of the daily period of a date; `None` where the calendar leaves it out.
    fn period_of(&self, date: i64) -> Option<(Timestamp, Timestamp)> {
        let Step::Daily { from, to } = self.step else { return None };
        let (start, end) =
            (self.clock.instant(date.saturating_add(from)), self.clock.instant(date.saturating_add(to)));
        (start < end).then_some((start, end))
    }

    /// The date, as its local midnight, whose daily period holds `at`.
    fn date(&self, at: Timestamp) -> Option<i64> {
        let Step::Daily { from, to } = self.step else { return None };
        let shown = self.clock.reading(at);
        let today = shown.saturating_sub(shown.rem_euclid(DAY));
        let held = |date: i64| (date.saturating_add(from)..date.saturating_add(to)).contains(&shown);
        [today, today.saturating_sub(DAY)].into_iter().find(|date| held(*date))
    }
}

/// Whether windows of `size` can be put together from steps of `slide`: spans that divide the
/// size, or a day where the size is a day or more of the calendar; and units of the calendar that
/// nest, which weeks do in neither months nor years.
#[must_use]
pub fn nests(size: WindowLength, slide: WindowLength) -> bool {
    use crate::model::CalendarUnit::{Day, Hour, Month, Week, Year};
    let (length, step) = (size.nominal().0, slide.nominal().0);
    if step <= 0 || length < step {
        return false;
    }
    match (size, slide) {
        (WindowLength::Span(_), WindowLength::Span(_)) => length % step == 0,
        (WindowLength::Span(_), WindowLength::Unit(_)) => false,
        (WindowLength::Unit(Hour), WindowLength::Span(_)) => length % step == 0,
        (WindowLength::Unit(_), WindowLength::Span(_)) => DAY % step == 0,
        (WindowLength::Unit(size), WindowLength::Unit(slide)) => match slide {
            Hour | Day => true,
            Week => size == Week,
            Month | Year => matches!(size, Month | Year),
        },
    }
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
