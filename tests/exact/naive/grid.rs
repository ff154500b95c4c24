//! Where windows begin and end, naively, after `docs/reference/pipeline.md`, "Calendar and clocks".

use std::rc::Rc;

use sereno::model::{DailyPeriod, WindowLength};

use super::calendar::{Clock, DAY, later, piece};

/// The windows of one definition, or of one of its periods of the day.
#[derive(Clone)]
pub struct Grid {
    clock: Rc<Clock>,
    size: WindowLength,
    slide: WindowLength,
    period: Option<DailyPeriod>,
}

/// How lengths are laid out.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Counted from 1970-01-01T00:00Z.
    Universal,
    /// From local midnight, and every move of the clock is a multiple: evenly.
    Even,
    /// Along the wall clock.
    Local,
}

impl Grid {
    /// The windows of a size and slide, or of a period of the day, in a zone.
    pub fn new(size: WindowLength, slide: WindowLength, period: Option<DailyPeriod>, zone: &str) -> Self {
        Self { clock: Clock::of(zone), size, slide, period }
    }

    fn way(&self, length: WindowLength) -> Way {
        let nanos = length.nominal().0;
        if self.size.unit().is_none() && DAY % self.size.nominal().0 != 0 {
            return Way::Universal;
        }
        let even = DAY % nanos == 0 && self.clock.moves().all(|by| by % nanos == 0);
        if even { Way::Even } else { Way::Local }
    }

    /// Beginning and end of the slide that holds `at`.
    fn pane(&self, at: i64) -> (i64, i64) {
        let length = self.slide.nominal().0;
        let ahead = match self.way(self.slide) {
            Way::Universal => 0,
            Way::Even => self.clock.offset(),
            Way::Local => {
                let (begin, end) = piece(self.slide, self.clock.shows(at));
                return (self.clock.first(begin), self.clock.first(end));
            }
        };
        let begin = at - (at + ahead).rem_euclid(length);
        (begin, begin + length)
    }

    /// The period of the date that lies `days` after that of `at`, unless no clock ever shows it.
    fn daily(&self, period: DailyPeriod, at: i64, days: i64) -> Option<(i64, i64)> {
        let shows = self.clock.shows(at);
        let midnight = shows - shows.rem_euclid(DAY) + days * DAY;
        let begin = self.clock.first(midnight + period.begin().0);
        let end = self.clock.first(midnight + period.end().0);
        (begin < end).then_some((begin, end))
    }

    /// End of the window that begins at `start`.
    pub fn end(&self, start: i64) -> i64 {
        if let Some(period) = self.period {
            let mut near = (-2..=1).filter_map(|days| self.daily(period, start, days));
            return near.find(|window| window.0 == start).expect("a period begins here").1;
        }
        if self.size == self.slide {
            return self.pane(start).1;
        }
        if self.way(self.size) != Way::Local {
            return start + self.size.nominal().0;
        }
        let shows = self.clock.shows(start);
        let begin = if self.way(self.slide) == Way::Local { piece(self.slide, shows).0 } else { shows };
        self.from(self.clock.first(later(self.size, begin)))
    }

    /// The first window that begins at or after `at`.
    pub fn from(&self, at: i64) -> i64 {
        match self.period {
            Some(period) => {
                let mut near = (-2..=3).filter_map(|days| self.daily(period, at, days));
                near.find(|window| window.0 >= at).expect("there is one each day").0
            }
            None => {
                let (begin, end) = self.pane(at);
                if begin == at { begin } else { end }
            }
        }
    }

    /// The last window that begins before `at`.
    pub fn before(&self, at: i64) -> i64 {
        match self.period {
            Some(period) => {
                let mut near = (-3..=1).rev().filter_map(|days| self.daily(period, at, days));
                near.find(|window| window.0 < at).expect("there is one each day").0
            }
            None => self.pane(at - 1).0,
        }
    }

    /// Beginnings of the windows that hold `at`, latest first.
    pub fn holding(&self, at: i64) -> Vec<i64> {
        if let Some(period) = self.period {
            let near = (-2..=1).filter_map(|days| self.daily(period, at, days));
            return near.filter(|(begin, end)| (*begin..*end).contains(&at)).map(|window| window.0).collect();
        }
        let mut starts = vec![self.pane(at).0];
        loop {
            let before = self.before(starts[starts.len() - 1]);
            if self.end(before) <= at {
                return starts;
            }
            starts.push(before);
        }
    }

    /// End of the window that ends first after `at`.
    pub fn end_after(&self, at: i64) -> i64 {
        let ends = self.holding(at).into_iter().map(|start| self.end(start));
        ends.min().unwrap_or_else(|| self.end(self.from(at)))
    }

    /// What no window is longer than, as plans that have ended are forgotten by it.
    pub fn longest(&self) -> i64 {
        let put_back = self.clock.moves().map(|by| -by).max().unwrap_or(0).max(0);
        if let Some(period) = self.period {
            return period.end().0 - period.begin().0 + put_back;
        }
        let longer = if self.size == self.slide { self.slide } else { self.size };
        match self.way(longer) {
            Way::Local => self.size.nominal().0 + put_back + self.slide.nominal().0,
            Way::Even | Way::Universal => self.size.nominal().0,
        }
    }
}

#[test]
fn days_of_23_and_25_hours_and_nights_over_midnight() {
    use sereno::model::time::SECOND;
    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_second() * SECOND;
    let length = |text| WindowLength::parse(text).expect("a length");
    let day = Grid::new(length("day"), length("day"), None, "America/Santiago");
    // Put forward at 24:00 on 2025-09-06, back at 24:00 on 2025-04-05.
    let start = day.holding(at("2025-09-07T12:00:00Z"))[0];
    assert_eq!((start, day.end(start)), (at("2025-09-07T04:00:00Z"), at("2025-09-08T03:00:00Z")));
    let start = day.holding(at("2025-04-05T12:00:00Z"))[0];
    assert_eq!((start, day.end(start)), (at("2025-04-05T03:00:00Z"), at("2025-04-06T04:00:00Z")));
    let night = DailyPeriod::parse("21:01-07:00").expect("a period");
    let nights = Grid::new(length("day"), length("day"), Some(night), "America/Bogota");
    let start = nights.holding(at("2025-03-02T05:00:00Z"))[0];
    assert_eq!((start, nights.end(start)), (at("2025-03-02T02:01:00Z"), at("2025-03-02T12:01:00Z")));
    assert!(nights.holding(at("2025-03-02T17:00:00Z")).is_empty());
    let hopping = Grid::new(length("20s"), length("10s"), None, "UTC");
    assert_eq!(hopping.holding(25 * SECOND), [20 * SECOND, 10 * SECOND]);
}
