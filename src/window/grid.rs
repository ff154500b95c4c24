//! The grid of windows: where panes and windows begin and end.

use jiff::tz::TimeZone;

use crate::model::time::SECOND;
use crate::model::{Span, Timestamp};

const DAY: i64 = 86_400 * SECOND;

/// Windows of one size and slide, aligned to local midnight of a zone if the size divides a day,
/// otherwise to 1970-01-01T00:00Z.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Length of a window.
    pub size: Span,
    /// Distance of two windows' starts; the length of a pane.
    pub slide: Span,
    /// Offsets from UTC in nanoseconds, each with the instant from which it holds.
    offsets: Vec<(i64, i64)>,
}

impl Grid {
    /// The grid of `size` by `slide` in `zone`; both must be positive and slide divide size.
    #[must_use]
    pub fn new(size: Span, slide: Span, zone: &TimeZone) -> Self {
        let local = size.0 > 0 && DAY % size.0 == 0;
        let offsets = if local { zone_offsets(zone) } else { vec![(i64::MIN, 0)] };
        Self { size, slide, offsets }
    }

    /// Start of the pane that holds `at`.
    #[must_use]
    pub fn pane(&self, at: Timestamp) -> Timestamp {
        let offset = self.offset(at);
        let local = at.0.saturating_add(offset);
        Timestamp(local.saturating_sub(local.rem_euclid(self.slide.0)).saturating_sub(offset))
    }

    /// Windows that a pane belongs to.
    #[must_use]
    pub fn windows_per_pane(&self) -> i64 {
        self.size.0 / self.slide.0
    }

    /// Starts of the windows that the pane at `pane` belongs to, earliest first.
    pub fn windows(&self, pane: Timestamp) -> impl Iterator<Item = Timestamp> + use<> {
        let (count, slide) = (self.windows_per_pane(), self.slide.0);
        (0..count).rev().map(move |n| Timestamp(pane.0.saturating_sub(n * slide)))
    }

    /// End of the window that starts at `start`.
    #[must_use]
    pub fn end(&self, start: Timestamp) -> Timestamp {
        start.plus(self.size)
    }

    /// The first pane that begins at or after `at`.
    #[must_use]
    pub fn pane_from(&self, at: Timestamp) -> Timestamp {
        let pane = self.pane(at);
        if pane < at { pane.plus(self.slide) } else { pane }
    }

    fn offset(&self, at: Timestamp) -> i64 {
        let after = self.offsets.partition_point(|entry| entry.0 <= at.0);
        self.offsets.get(after.saturating_sub(1)).map_or(0, |entry| entry.1)
    }
}

/// Every offset of a zone from 1970 to 2100, so that the hot path never asks the tz database.
fn zone_offsets(zone: &TimeZone) -> Vec<(i64, i64)> {
    let nanos = |seconds: i32| i64::from(seconds) * SECOND;
    let mut offsets = vec![(i64::MIN, nanos(zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds()))];
    let last = jiff::Timestamp::from_second(4_102_444_800).unwrap_or(jiff::Timestamp::MAX);
    for transition in zone.following(jiff::Timestamp::UNIX_EPOCH).take_while(|t| t.timestamp() < last) {
        let from = i64::try_from(transition.timestamp().as_nanosecond()).unwrap_or(i64::MAX);
        offsets.push((from, nanos(transition.offset().seconds())));
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn bogota(size: &str, slide: &str) -> Grid {
        let zone = TimeZone::get("America/Bogota").unwrap();
        Grid::new(Span::parse(size).unwrap(), Span::parse(slide).unwrap(), &zone)
    }

    #[test]
    fn days_begin_at_local_midnight() {
        let grid = bogota("1d", "1d");
        assert_eq!(grid.pane(at("2025-01-21T04:59:59Z")), at("2025-01-20T05:00:00Z"));
        assert_eq!(grid.pane(at("2025-01-21T05:00:00Z")), at("2025-01-21T05:00:00Z"));
        // Bogota was at -04:00 from May 1992 to February 1993.
        assert_eq!(grid.pane(at("1992-07-01T04:30:00Z")), at("1992-07-01T04:00:00Z"));
    }

    #[test]
    fn sizes_that_do_not_divide_a_day_begin_at_1970() {
        let grid = bogota("7m", "7m");
        assert_eq!(grid.pane(Timestamp(8 * 60 * SECOND)), Timestamp(7 * 60 * SECOND));
        assert_eq!(grid.pane(Timestamp(-SECOND)), Timestamp(-7 * 60 * SECOND));
    }

    #[test]
    fn a_pane_belongs_to_size_by_slide_windows() {
        let grid = bogota("5m", "1m");
        let windows: Vec<_> = grid.windows(Timestamp(0)).collect();
        assert_eq!(windows.len(), 5);
        assert_eq!(windows.first(), Some(&Timestamp(-4 * 60 * SECOND)));
        assert_eq!(windows.last(), Some(&Timestamp(0)));
    }
}
