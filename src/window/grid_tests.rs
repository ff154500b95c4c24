//! The grid against another calendar: every boundary, and no instant left out or held twice.

use jiff::civil::Date;
use proptest::prelude::*;

use super::*;
use crate::model::time::SECOND;

const ZONES: [&str; 6] = [
    "America/Bogota",
    "America/Santiago",
    "Europe/Madrid",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
];

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn length(text: &str) -> WindowLength {
    WindowLength::parse(text).unwrap()
}

fn grid(zone: &str, size: &str, slide: &str) -> Grid {
    assert!(nests(length(size), length(slide)), "{size} by {slide}");
    Grid::of(length(size), length(slide), &TimeZone::get(zone).unwrap())
}

fn daily(zone: &str, period: &str) -> Grid {
    Grid::daily("p", DailyPeriod::parse(period).unwrap(), &TimeZone::get(zone).unwrap())
}

fn stamp(zoned: &jiff::Zoned) -> Timestamp {
    Timestamp(i64::try_from(zoned.timestamp().as_nanosecond()).unwrap())
}

/// Windows from `from`, in number `count`, as lengths in hours.
fn hours(grid: &Grid, from: &str, count: usize) -> Vec<f64> {
    let starts = successors(Some(grid.pane_from(at(from))), |start| Some(grid.next_pane(*start)));
    let length = |start: Timestamp| grid.end(start).since(start).0 as f64 / 3.6e12;
    starts.take(count).map(length).collect()
}

#[test]
fn days_begin_at_local_midnight() {
    let grid = grid("America/Bogota", "1d", "1d");
    assert_eq!(grid.pane(at("2025-01-21T04:59:59Z")), Some(at("2025-01-20T05:00:00Z")));
    assert_eq!(grid.pane(at("2025-01-21T05:00:00Z")), Some(at("2025-01-21T05:00:00Z")));
    // Bogota was at -04:00 from the first days of May 1992 to the next year (sources differ on the
    // day).
    assert_eq!(grid.pane(at("1992-07-01T04:30:00Z")), Some(at("1992-07-01T04:00:00Z")));
    let lengths = hours(&grid, "1992-05-01T05:00:00Z", 4);
    assert_eq!(lengths.iter().filter(|length| **length == 23.0).count(), 1);
    assert_eq!(lengths.iter().filter(|length| **length == 24.0).count(), 3);
}

#[test]
fn sizes_that_do_not_divide_a_day_begin_at_1970() {
    let grid = grid("America/Bogota", "7m", "7m");
    assert_eq!(grid.pane(Timestamp(8 * 60 * SECOND)), Some(Timestamp(7 * 60 * SECOND)));
    assert_eq!(grid.pane(Timestamp(-SECOND)), Some(Timestamp(-7 * 60 * SECOND)));
}

#[test]
fn a_pane_belongs_to_size_by_slide_windows() {
    let grid = grid("America/Bogota", "5m", "1m");
    let windows: Vec<_> = grid.windows(Timestamp(0)).collect();
    assert_eq!(windows.len(), 5);
    assert_eq!(windows.first(), Some(&Timestamp(-4 * 60 * SECOND)));
    assert_eq!(windows.last(), Some(&Timestamp(0)));
}

#[test]
fn days_have_23_and_25_hours_where_clocks_are_moved() {
    let madrid = grid("Europe/Madrid", "day", "day");
    assert_eq!(hours(&madrid, "2025-03-28T23:00:00Z", 3), [24.0, 23.0, 24.0]);
    assert_eq!(hours(&madrid, "2025-10-24T22:00:00Z", 3), [24.0, 25.0, 24.0]);
    // Santiago puts its clock forward at midnight: the day begins at one o'clock.
    let santiago = grid("America/Santiago", "day", "day");
    assert_eq!(santiago.pane(at("2025-09-07T12:00:00Z")), Some(at("2025-09-07T04:00:00Z")));
    assert_eq!(hours(&santiago, "2025-09-06T04:00:00Z", 2), [24.0, 23.0]);
    // Apia left out 30 December 2011.
    let apia = grid("Pacific/Apia", "day", "day");
    assert_eq!(hours(&apia, "2011-12-29T10:00:00Z", 2), [24.0, 24.0]);
    assert_eq!(apia.end(at("2011-12-29T10:00:00Z")), at("2011-12-30T10:00:00Z"));
}

#[test]
fn short_windows_run_on_evenly_through_a_change_that_they_divide() {
    for size in ["1m", "15m", "1h", "hour"] {
        let grid = grid("Europe/Madrid", size, size);
        let lengths = hours(&grid, "2025-10-25T22:00:00Z", 300);
        assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{size}");
    }
    // Lord Howe moves its clock by half an hour: the hour over it has 30 minutes more, or there
    // is one of 30 minutes.
    let island = grid("Australia/Lord_Howe", "1h", "1h");
    assert_eq!(hours(&island, "2025-04-05T13:00:00Z", 4), [1.0, 1.5, 1.0, 1.0]);
    assert_eq!(hours(&island, "2025-10-04T14:30:00Z", 4), [1.0, 0.5, 1.0, 1.0]);
}

#[test]
fn windows_of_hours_follow_the_clock_through_a_change_they_do_not_divide() {
    let madrid = grid("Europe/Madrid", "6h", "6h");
    assert_eq!(hours(&madrid, "2025-10-25T16:00:00Z", 3), [6.0, 7.0, 6.0]);
    assert_eq!(hours(&madrid, "2025-03-29T17:00:00Z", 3), [6.0, 5.0, 6.0]);
    // A day that begins each hour is the local day, whichever hour it begins with.
    let rolling = grid("Europe/Madrid", "day", "1h");
    assert_eq!(hours(&rolling, "2025-10-25T21:00:00Z", 3), [25.0, 25.0, 25.0]);
    assert_eq!(rolling.windows(at("2025-10-26T12:00:00Z")).count(), 25);
}

#[test]
fn months_hop_by_days_and_always_hold_their_first_pane() {
    let grid = grid("America/Bogota", "month", "day");
    let end = |date: &str| grid.end(at(&format!("{date}T05:00:00Z"))).to_string();
    assert_eq!(end("2025-01-28"), "2025-02-28T05:00:00Z");
    assert_eq!(end("2025-01-31"), "2025-03-01T05:00:00Z");
    assert_eq!(end("2025-02-01"), "2025-03-01T05:00:00Z");
    assert_eq!(grid.windows(at("2025-02-28T05:00:00Z")).count(), 31);
}

#[test]
fn of_windows_that_end_together_the_first_is_the_longest() {
    let longest = |grid: &Grid, from: &str| -> Vec<(String, bool)> {
        let starts = std::iter::successors(Some(at(from)), |start| Some(grid.next_pane(*start)));
        starts.take(5).map(|start| (grid.end(start).to_string(), grid.is_longest(start))).collect()
    };
    let told = |rows: [(&str, bool); 5]| rows.map(|(end, is)| (end.to_owned(), is)).to_vec();
    // Put forward from two to three o'clock: none begins at two, and none ends at four.
    let madrid = longest(&grid("Europe/Madrid", "2h", "1h"), "2025-03-29T22:00:00Z");
    assert_eq!(
        madrid,
        told([
            ("2025-03-30T00:00:00Z", true),
            ("2025-03-30T01:00:00Z", true),
            ("2025-03-30T01:00:00Z", false),
            ("2025-03-30T03:00:00Z", true),
            ("2025-03-30T04:00:00Z", true),
        ])
    );
    let months = longest(&grid("America/Bogota", "month", "day"), "2025-01-28T05:00:00Z");
    assert_eq!(
        months,
        told([
            ("2025-02-28T05:00:00Z", true),
            ("2025-03-01T05:00:00Z", true),
            ("2025-03-01T05:00:00Z", false),
            ("2025-03-01T05:00:00Z", false),
            ("2025-03-01T05:00:00Z", false),
        ])
    );
}

#[test]
fn the_night_of_a_norm_belongs_to_the_date_on_which_it_begins() {
    let (day, night) = (daily("America/Bogota", "07:01-21:00"), daily("America/Bogota", "21:01-07:00"));
    let local = |text: &str| at(&format!("{text}-05:00"));
    assert_eq!(day.pane(local("2025-06-10T07:00:59.999")), None);
    assert_eq!(day.pane(local("2025-06-10T07:01:00")), Some(local("2025-06-10T07:01:00")));
    assert_eq!(day.pane(local("2025-06-10T21:00:59.999")), Some(local("2025-06-10T07:01:00")));
    assert_eq!(night.pane(local("2025-06-11T07:00:59")), Some(local("2025-06-10T21:01:00")));
    assert_eq!(night.end(local("2025-06-10T21:01:00")), local("2025-06-11T07:01:00"));
    assert_eq!(night.next_pane(local("2025-06-10T21:01:00")), local("2025-06-11T21:01:00"));
    assert_eq!(night.pane_before(local("2025-06-10T21:01:00")), local("2025-06-09T21:01:00"));
    assert_eq!(day.first_open(local("2025-06-10T22:00:00")), local("2025-06-11T07:01:00"));
    // The night in which Madrid puts its clock back has eleven hours.
    assert_eq!(hours(&daily("Europe/Madrid", "21:01-07:00"), "2025-10-25T12:00:00Z", 2), [11.0, 10.0]);
}

#[test]
fn a_period_that_the_clock_leaves_out_is_no_window() {
    // On 30 March 2025 the clock of Madrid goes from two to three.
    let madrid = daily("Europe/Madrid", "02:00-02:59");
    let (before, after) = (at("2025-03-29T01:00:00Z"), at("2025-03-31T00:00:00Z"));
    assert_eq!(madrid.pane_from(before), before);
    assert_eq!((madrid.next_pane(before), madrid.pane_before(after)), (after, before));
    assert_eq!(madrid.pane_from(at("2025-03-29T02:00:00Z")), after);
}

#[test]
fn no_night_is_longer_than_is_said_by_more_than_what_a_clock_is_put_back() {
    let hours = daily("Europe/Madrid", "21:01-07:00").longest().0 as f64 / 3.6e12;
    assert!((11.0..=12.0).contains(&hours), "{hours}");
}

#[test]
fn nothing_is_put_together_from_longer_steps() {
    for (size, slide) in
        [("hour", "day"), ("month", "year"), ("month", "week"), ("1m", "2m"), ("1d", "month")]
    {
        assert!(!nests(length(size), length(slide)), "{size} by {slide}");
    }
}

#[test]
fn boundaries_agree_with_another_calendar_from_1970_to_2100() {
    for name in ZONES {
        let zone = TimeZone::get(name).unwrap();
        let units = ["day", "week", "month", "year"].map(|unit| grid(name, unit, unit));
        let mut date = Date::constant(1971, 1, 1);
        while date.year() < 2100 {
            let midnight = stamp(&date.to_zoned(zone.clone()).unwrap().start_of_day().unwrap());
            let monday = date.weekday().to_monday_zero_offset() == 0;
            let begins = [true, monday, date.day() == 1, date.day_of_year() == 1];
            for (grid, begins) in units.iter().zip(begins) {
                if begins {
                    assert_eq!(grid.pane(midnight), Some(midnight), "{name} {date}");
                    assert_eq!(grid.pane_from(midnight), midnight, "{name} {date}");
                } else {
                    assert_ne!(grid.pane(midnight), Some(midnight), "{name} {date}");
                }
                let before = Timestamp(midnight.0 - 1);
                assert_eq!(grid.pane_end(grid.pane(before).unwrap()) == midnight, begins, "{name} {date}");
            }
            date = date.tomorrow().unwrap();
            // The day that Apia left out begins and ends with the next.
            if name == "Pacific/Apia" && date == Date::constant(2011, 12, 30) {
                date = date.tomorrow().unwrap();
            }
        }
    }
}

/// Sizes and slides of every kind.
const GRIDS: [(&str, &str); 17] = [
    ("1m", "1m"),
    ("1h", "1h"),
    ("2h", "2h"),
    ("40m", "40m"),
    ("1d", "1d"),
    ("7m", "7m"),
    ("6h", "2h"),
    ("1d", "1h"),
    ("1d", "6h"),
    ("hour", "15m"),
    ("day", "day"),
    ("day", "45m"),
    ("week", "day"),
    ("month", "day"),
    ("month", "6h"),
    ("year", "month"),
    ("year", "year"),
];

fn check(grid: &Grid, instant: Timestamp, what: &str) {
    let pane = grid.pane(instant).unwrap();
    let end = grid.pane_end(pane);
    assert!(pane <= instant && instant < end, "{what} {instant}");
    assert_eq!(grid.pane(pane), Some(pane), "{what} {instant}");
    assert_eq!(grid.pane(Timestamp(end.0 - 1)), Some(pane), "{what} {instant}");
    assert_eq!((grid.pane(end), grid.next_pane(pane)), (Some(end), end), "{what} {instant}");
    assert_eq!((grid.pane_before(end), grid.pane_from(end)), (pane, end), "{what} {instant}");
    let windows: Vec<Timestamp> = grid.windows(pane).collect();
    assert_eq!(windows.last(), Some(&pane), "{what} {instant}");
    assert!(windows.windows(2).all(|pair| pair[0] < pair[1]), "{what} {instant}");
    let ends: Vec<Timestamp> = windows.iter().map(|start| grid.end(*start)).collect();
    assert!(ends.windows(2).all(|pair| pair[0] <= pair[1]), "{what} {instant}: {ends:?}");
    assert!(ends.iter().all(|window_end| *window_end >= end), "{what} {instant}");
    assert!(ends.iter().all(|window_end| grid.pane(*window_end) == Some(*window_end)), "{what} {instant}");
    let first = windows[0];
    assert_eq!(grid.first_open(instant), first, "{what} {instant}");
    assert!(grid.end(grid.pane_before(first)) <= pane, "{what} {instant}");
    assert!(grid.end(pane).since(pane) <= grid.longest(), "{what} {instant}");
}

#[test]
fn every_change_of_a_clock_leaves_no_instant_out_and_holds_none_twice() {
    for name in ZONES {
        let zone = TimeZone::get(name).unwrap();
        let last: jiff::Timestamp = "2040-01-01T00:00:00Z".parse().unwrap();
        let changes = zone.following(jiff::Timestamp::UNIX_EPOCH).take_while(|t| t.timestamp() < last);
        let changes: Vec<i64> =
            changes.map(|t| i64::try_from(t.timestamp().as_nanosecond()).unwrap()).collect();
        for (size, slide) in GRIDS.into_iter().filter(|grid| *grid != ("1m", "1m")) {
            let grid = grid(name, size, slide);
            for change in changes.iter().step_by(3) {
                for minutes in [-1_441, -61, -60, -31, -1, 0, 1, 29, 30, 59, 60, 119, 1_440] {
                    let instant = Timestamp(change + minutes * 60 * SECOND);
                    check(&grid, instant, &format!("{name} {size} {slide}"));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn every_instant_belongs_to_one_pane(
        seconds in 0_i64..4_102_444_800,
        zone in 0_usize..ZONES.len(),
        kind in 0_usize..GRIDS.len(),
    ) {
        let (size, slide) = GRIDS[kind];
        check(&grid(ZONES[zone], size, slide), Timestamp(seconds * SECOND), &format!("{} {size} {slide}", ZONES[zone]));
    }

    #[test]
    fn periods_that_fill_a_day_hold_every_instant_once(
        seconds in 0_i64..4_102_444_800,
        zone in 0_usize..ZONES.len(),
    ) {
        let instant = Timestamp(seconds * SECOND);
        let grids = ["07:01-21:00", "21:01-07:00"].map(|period| daily(ZONES[zone], period));
        let held: Vec<&Grid> = grids.iter().filter(|grid| grid.pane(instant).is_some()).collect();
        prop_assert_eq!(held.len(), 1);
        for grid in &grids {
            let next = grid.pane_from(instant);
            prop_assert!(next >= instant && grid.pane(next) == Some(next));
            prop_assert_eq!(grid.pane_before(Timestamp(next.0 + 1)), next);
            prop_assert!(grid.pane_before(next) < instant);
            prop_assert_eq!(grid.next_pane(grid.pane_before(next)), next);
        }
    }
}

#[test]
fn the_end_after_an_end_is_the_next_windows() {
    let zone = "Europe/Madrid";
    let grids = [
        grid(zone, "day", "day"),
        grid(zone, "week", "day"),
        grid(zone, "month", "month"),
        grid(zone, "year", "month"),
        grid(zone, "6h", "2h"),
        grid(zone, "7m", "7m"),
        grid("Australia/Lord_Howe", "1h", "20m"),
        daily(zone, "07:01-21:00"),
        daily(zone, "21:01-07:00"),
    ];
    for (number, grid) in grids.iter().enumerate() {
        let mut start = grid.pane_from(at("2025-03-20T00:00:00Z"));
        for _ in 0..300 {
            let next = grid.next_pane(start);
            let (end, end_of_next) = (grid.end(start), grid.end(next));
            assert!(end <= end_of_next);
            if end < end_of_next {
                assert_eq!(grid.end_after(end), end_of_next, "grid {number}, window {start}");
                assert_eq!(grid.end_after(Timestamp(end.0 - 1)), end, "grid {number}, window {start}");
            }
            start = next;
        }
    }
    let day = grid(zone, "day", "day");
    assert_eq!(day.end_after(at("2025-10-25T22:00:00Z")), at("2025-10-26T23:00:00Z"), "25 hours");
}
