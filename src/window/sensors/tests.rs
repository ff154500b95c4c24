//! Windows that tell sensors apart: timelines, and against an evaluation of sorted readings.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::result::PlanDescription;
use crate::model::time::SECOND;
use crate::window::exact::ratio;
use crate::window::{Bounds, Grid, KeyWindows, Outcome, Publication};

fn s(seconds: i64) -> Timestamp {
    Timestamp(seconds * SECOND)
}

fn plan(size_s: i64, slide_s: i64, hold_s: i64, fields: &[(Function, Option<Function>)]) -> WindowPlan {
    let field = |(function, inner): &(Function, Option<Function>)| FieldPlan {
        inner: *inner,
        ..FieldPlan::new(*function, Some(0), 1)
    };
    let fields: Vec<FieldPlan> = fields.iter().map(field).collect();
    WindowPlan {
        description: Arc::new(PlanDescription {
            hash: 0,
            pipeline: "p".into(),
            window: "w".into(),
            size_ns: size_s * SECOND,
            slide_ns: slide_s * SECOND,
            unit: None,
            by: Vec::new(),
            fields: Vec::new(),
        }),
        grid: Grid::new(Span::seconds(size_s), Span::seconds(slide_s), &jiff::tz::TimeZone::UTC),
        columns: WindowPlan::columns_of(&fields),
        sensors: SensorsPlan::of(&fields, Span::seconds(hold_s)),
        fields,
        allowed_lateness: Span::ZERO,
        close_after: Span::ZERO,
        open_max: Span::seconds(1_000),
        expected: Vec::new(),
        capture_min: 0.0,
    }
}

/// A key's windows under test: readings in, what is published out.
struct Told {
    plan: WindowPlan,
    bounds: Bounds,
    windows: KeyWindows,
    sequence: u64,
}

impl Told {
    fn new(plan: WindowPlan) -> Self {
        Self { plan, bounds: Bounds::ALL, windows: KeyWindows::default(), sequence: 0 }
    }

    fn put(&mut self, device: &str, at: i64, tenths: i64) -> Outcome {
        self.sequence += 1;
        let device: Arc<str> = device.into();
        let (event_at, sequence) = (s(at), self.sequence);
        let sample = Sample { mantissa: tenths, event_at, device: &device, counter: None, sequence };
        self.windows.add(&self.plan, self.bounds, 0, event_at, sequence, &[(0, sample)])
    }

    fn close(&mut self, to: i64) -> Vec<Publication> {
        self.windows.close(&self.plan, self.bounds, s(to))
    }

    fn seal(&mut self, to: i64) -> Vec<Publication> {
        self.windows.seal(&self.plan, s(to))
    }

    fn amend(&mut self) -> Vec<Publication> {
        self.windows.amend(&self.plan)
    }
}

/// (start in seconds, revision, fields)
fn seen(published: &[Publication]) -> Vec<(i64, u64, Vec<Option<f64>>)> {
    published.iter().map(|p| (p.start.0 / SECOND, p.revision, p.fields.clone())).collect()
}

const INCREASE: (Function, Option<Function>) = (Function::Increase, None);

#[test]
fn counters_of_two_devices_in_one_zone_are_counted_apart() {
    let mut told = Told::new(plan(60, 60, 60, &[INCREASE, (Function::Rate, None)]));
    for (device, at, tenths) in
        [("a", 10, 1_000), ("b", 20, 50), ("a", 30, 1_030), ("b", 40, 56), ("a", 70, 1_090), ("b", 80, 0)]
    {
        told.put(device, at, tenths);
    }
    // First readings have nothing to be counted from; b was reset to 0.
    let want = [(0, 4, vec![Some(3.6), Some(0.06)]), (60, 6, vec![Some(6.0), Some(0.1)])];
    assert_eq!(seen(&told.close(120)), want);
}

#[test]
fn the_first_reading_of_all_has_no_increase() {
    let mut told = Told::new(plan(60, 60, 60, &[INCREASE]));
    told.put("a", 10, 1_000);
    assert_eq!(seen(&told.close(60)), [(0, 1, vec![None])]);
}

#[test]
fn a_late_reading_amends_its_own_and_the_next_window_across_a_gap() {
    let mut told = Told::new(plan(60, 60, 60, &[INCREASE]));
    told.put("a", 10, 100);
    told.put("a", 610, 150);
    let want = [(0, 1, vec![None]), (600, 2, vec![Some(5.0)])];
    assert_eq!(seen(&told.close(700)), want);
    assert_eq!(told.put("a", 130, 110), Outcome::Late);
    assert_eq!(seen(&told.amend()), [(120, 3, vec![Some(1.0)]), (600, 3, vec![Some(4.0)])]);
    // Not the last of its pane: nothing follows from it elsewhere.
    told.put("a", 125, 105);
    assert_eq!(seen(&told.amend()), [(120, 4, vec![Some(1.0)])]);
}

#[test]
fn an_open_window_is_counted_from_a_reading_that_came_after_its_own() {
    let mut told = Told::new(plan(60, 60, 60, &[INCREASE]));
    told.put("a", 70, 150);
    told.put("a", 50, 130);
    let want = [(0, 2, vec![None]), (60, 2, vec![Some(2.0)])];
    assert_eq!(seen(&told.close(120)), want);
}

#[test]
fn the_last_reading_before_is_kept_when_its_pane_is_sealed() {
    let mut told = Told::new(plan(60, 60, 60, &[INCREASE]));
    told.put("a", 10, 100);
    told.close(400);
    told.seal(350);
    // Too late for its own window, and so for the next.
    assert_eq!(told.put("a", 20, 900), Outcome::TooLate);
    assert!(told.amend().is_empty());
    told.put("a", 410, 130);
    assert_eq!(seen(&told.close(500)), [(360, 3, vec![Some(3.0)])]);
}

#[test]
fn readings_ahead_of_the_first_window_are_counted_from() {
    let mut told = Told::new(plan(60, 60, 60, &[INCREASE]));
    told.bounds.begins_at = s(60);
    assert_eq!(told.put("a", 50, 100), Outcome::Outside);
    told.put("a", 70, 130);
    assert_eq!(seen(&told.close(120)), [(60, 2, vec![Some(3.0)])]);
    assert_eq!(told.put("a", 55, 110), Outcome::Outside);
    assert_eq!(seen(&told.amend()), [(60, 3, vec![Some(2.0)])]);
    assert_eq!(told.put("a", 52, 0), Outcome::Outside);
    assert!(told.amend().is_empty());
}

/// From 06:00 to 07:00 of each day, in UTC.
fn mornings(fields: &[(Function, Option<Function>)]) -> Told {
    let mut plan = plan(3_600, 3_600, 7_200, fields);
    let morning = crate::model::DailyPeriod::parse("06:00-06:59").unwrap();
    plan.grid = Grid::daily("morning", morning, &jiff::tz::TimeZone::UTC);
    Told::new(plan)
}

const HOUR: i64 = 3_600;

#[test]
fn a_period_is_counted_from_the_last_reading_ahead_of_it() {
    let mut told = mornings(&[INCREASE, (Function::TimeMean, None)]);
    told.put("a", 6 * HOUR + 1_800, 100);
    assert_eq!(told.put("a", 20 * HOUR, 500), Outcome::Outside);
    assert_eq!(told.put("a", 29 * HOUR, 700), Outcome::Outside);
    assert_eq!(told.put("a", 28 * HOUR, 600), Outcome::Outside);
    told.put("a", 30 * HOUR + 1_800, 730);
    let want = [
        (6 * HOUR, 1, vec![None, Some(10.0)]),
        // 70.0 holds for half of it.
        (30 * HOUR, 5, vec![Some(3.0), Some(71.5)]),
    ];
    assert_eq!(seen(&told.close(40 * HOUR)), want);
    // Late, and nearer to the period.
    assert_eq!(told.put("a", 29 * HOUR + 1_800, 720), Outcome::Outside);
    assert_eq!(seen(&told.amend()), [(30 * HOUR, 6, vec![Some(1.0), Some(72.5)])]);
    assert_eq!(told.put("a", 28 * HOUR + 1_800, 720), Outcome::Outside);
    assert!(told.amend().is_empty());
    // Of the first period again: what it is followed by lies in no window.
    assert_eq!(told.put("a", 6 * HOUR + 2_000, 130), Outcome::Late);
    let amended = told.amend();
    assert_eq!(
        amended.iter().map(|p| (p.start, p.fields[0])).collect::<Vec<_>>(),
        [(s(6 * HOUR), Some(3.0))]
    );
}

#[test]
fn what_came_ahead_of_periods_without_readings_is_forgotten() {
    let mut told = mornings(&[INCREASE]);
    for day in 0..100 {
        told.put("a", day * 24 * HOUR + 12 * HOUR, day * 10);
        told.close(day * 24 * HOUR);
        told.seal(day * 24 * HOUR - 24 * HOUR);
    }
    assert!(told.windows.sensors().0.values().all(|sensor| sensor.panes.len() < 4));
    told.put("a", 102 * 24 * HOUR + 6 * HOUR, 1_000);
    assert_eq!(seen(&told.close(103 * 24 * HOUR)), [(102 * 24 * HOUR + 6 * HOUR, 101, vec![Some(1.0)])]);
}

#[test]
fn a_held_reading_counts_for_its_time_in_windows_of_others() {
    let mut told = Told::new(plan(60, 60, 90, &[(Function::TimeMean, None)]));
    told.put("a", 30, 100);
    for at in [0, 60, 120, 180] {
        told.put("b", at, 200);
    }
    // a holds from 30 to 120, b always.
    let third = |tenths: i128, ns: i128| Some(ratio(tenths, ns * 10));
    let want = [
        (0, 2, vec![third(30 * 100 + 60 * 200, 90)]),
        (60, 3, vec![Some(15.0)]),
        (120, 4, vec![Some(20.0)]),
        (180, 5, vec![Some(20.0)]),
    ];
    assert_eq!(seen(&told.close(240)), want);
    // Now a holds from 100 to 190: the second window has it, and both behind it.
    told.put("a", 100, 300);
    let want = [
        (60, 6, vec![third(40 * 100 + 20 * 300 + 60 * 200, 120)]),
        (120, 6, vec![Some(25.0)]),
        (180, 6, vec![third(10 * 300 + 60 * 200, 70)]),
    ];
    assert_eq!(seen(&told.amend()), want);
}

#[test]
fn nested_calls_fold_each_sensor_once() {
    let fields = [
        (Function::Mean, Some(Function::Mean)),
        (Function::Max, Some(Function::Mean)),
        (Function::Count, Some(Function::Mean)),
        (Function::Sum, Some(Function::Increase)),
        (Function::Mean, None),
    ];
    let mut told = Told::new(plan(60, 60, 60, &fields));
    for (device, tenths) in [("a", 10), ("a", 20), ("a", 20), ("b", 40)] {
        told.put(device, tenths / 2, tenths);
    }
    // a's mean, 1.666..., is 1.7 at one decimal; b has no increase.
    let plain = ratio(90, 40);
    let want = vec![Some(2.85), Some(4.0), Some(2.0), Some(1.0), Some(plain)];
    assert_eq!(seen(&told.close(60)), [(0, 4, want)]);
}

#[test]
fn a_rate_of_each_sensor_is_folded_only_where_there_is_one() {
    let fields = [(Function::Max, Some(Function::Rate)), (Function::Count, Some(Function::Rate))];
    let mut told = Told::new(plan(60, 60, 60, &fields));
    for (device, at, tenths) in [("a", 5, 10), ("a", 35, 1_210), ("b", 20, 70), ("c", 10, 0), ("c", 50, 600)]
    {
        told.put(device, at, tenths);
    }
    // 120 and 60 in a minute; one reading is no rate.
    assert_eq!(seen(&told.close(60)), [(0, 5, vec![Some(2.0), Some(2.0)])]);
}

#[test]
fn a_sensor_of_low_capture_does_not_count() {
    let mut plan = plan(60, 60, 60, &[(Function::Count, Some(Function::Max))]);
    plan.sensors.intervals = vec![Some(Span::seconds(20))];
    plan.sensors.capture_min = Some(0.67);
    let mut told = Told::new(plan);
    for (device, at) in [("a", 10), ("a", 30), ("a", 50), ("b", 10), ("b", 30)] {
        told.put(device, at, 1);
    }
    assert_eq!(seen(&told.close(60)), [(0, 5, vec![Some(1.0)])]);
}

#[test]
fn too_many_readings_of_one_sensor_leave_its_neighbours_alone() {
    let mut told = Told::new(plan(600, 600, 600, &[INCREASE, (Function::Max, Some(Function::Increase))]));
    told.put("b", 10, 10);
    told.put("b", 20, 30);
    for n in 0..=crate::window::held::READINGS_MAX as i64 {
        told.put("a", 30 + n / 1_000, n);
    }
    let closed = told.close(600);
    assert_eq!(closed.first().map(|p| p.fields.clone()), Some(vec![Some(2.0), Some(2.0)]));
    // What it says next is counted from its last.
    told.put("a", 700, crate::window::held::READINGS_MAX as i64 + 50);
    let closed = told.close(1_200);
    assert_eq!(closed.first().map(|p| p.fields.clone()), Some(vec![Some(5.0), Some(5.0)]));
}

/// A reading as the evaluation below knows it.
#[derive(Clone, Debug)]
struct Known {
    device: usize,
    at: i64,
    sequence: u64,
    tenths: i64,
}

const DEVICES: [&str; 3] = ["a", "b", "c"];

const FIELDS: [(Function, Option<Function>); 9] = [
    (Function::Increase, None),
    (Function::Rate, None),
    (Function::Delta, None),
    (Function::TimeMean, None),
    (Function::Mean, Some(Function::Mean)),
    (Function::Max, Some(Function::Increase)),
    (Function::Count, Some(Function::TimeMean)),
    (Function::Sum, Some(Function::Range)),
    (Function::Last, None),
];

fn half_even(numerator: i128, denominator: i128) -> i128 {
    let (quotient, twice) = (numerator.div_euclid(denominator), 2 * numerator.rem_euclid(denominator));
    if twice > denominator || (twice == denominator && quotient % 2 != 0) { quotient + 1 } else { quotient }
}

/// One window from all readings that were counted, sorted: (revision, count, fields).
fn naive(known: &[Known], size: i64, hold: i64, start: i64) -> Option<(u64, u64, Vec<Option<f64>>)> {
    let end = start + size;
    let inside = |k: &&Known| start <= k.at && k.at < end;
    let mut revision = known.iter().filter(inside).map(|k| k.sequence).max()?;
    let (mut gains, mut gain, mut deltas, mut delta) = (0, 0, 0, 0);
    let (mut weighted, mut held) = (0_i128, 0_i128);
    let (mut means, mut tops, mut timed, mut ranges) = (Vec::new(), Vec::new(), 0, Vec::new());
    for device in 0..DEVICES.len() {
        let mut own: Vec<&Known> = known.iter().filter(|k| k.device == device && k.at < end).collect();
        own.sort_by_key(|k| (k.at, k.sequence));
        let (mut own_gain, mut own_gains, mut own_held) = (0, 0, 0);
        for (n, k) in own.iter().enumerate() {
            let next = own.get(n + 1).map_or(end, |next| next.at);
            let span = (next.min(k.at + hold) - k.at.max(start)).max(0);
            own_held += span;
            weighted += i128::from(span) * i128::from(k.tenths);
            let followed = own.get(n + 1).is_some_and(|next| next.at >= start);
            if k.at < start && (span > 0 || followed) {
                revision = revision.max(k.sequence);
            }
            if let Some(next) = own.get(n + 1).filter(|next| next.at >= start) {
                own_gain += if next.tenths >= k.tenths { next.tenths - k.tenths } else { next.tenths };
                own_gains += 1;
            }
        }
        held += i128::from(own_held);
        timed += u64::from(own_held > 0);
        (gain, gains) = (gain + own_gain, gains + own_gains);
        if own_gains > 0 {
            tops.push(own_gain);
        }
        let values: Vec<i64> = own.iter().filter(|k| k.at >= start).map(|k| k.tenths).collect();
        if let (Some(first), Some(last)) = (values.first(), values.last()) {
            (delta, deltas) = (delta + last - first, deltas + 1);
            means.push(half_even(values.iter().map(|v| i128::from(*v)).sum(), values.len() as i128));
            ranges.push(values.iter().max()? - values.iter().min()?);
        }
    }
    let last = known.iter().filter(inside).max_by_key(|k| (k.at, DEVICES[k.device], k.sequence))?;
    let tenths = |value: i64| ratio(value.into(), 10);
    let fields = vec![
        (gains > 0).then(|| tenths(gain)),
        (gains > 0).then(|| ratio(gain.into(), 10 * i128::from(size))),
        (deltas > 0).then(|| tenths(delta)),
        (held > 0).then(|| ratio(weighted, 10 * held)),
        Some(ratio(means.iter().sum(), 10 * means.len() as i128)),
        tops.iter().max().map(|top| tenths(*top)),
        Some(timed as f64),
        Some(tenths(ranges.iter().sum())),
        Some(tenths(last.tenths)),
    ];
    Some((revision, known.iter().filter(inside).count() as u64, fields))
}

/// What happens next to a key.
#[derive(Clone, Debug)]
enum Act {
    /// A reading, so many seconds from the time that windows are closed to.
    Read { device: usize, from: i64, tenths: i64 },
    /// Windows close so many seconds further.
    Close(i64),
    /// Windows are sealed up to so many seconds before.
    Seal(i64),
    /// Amendments are due.
    Amend,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (0..DEVICES.len(), -150_i64..60, 0_i64..500)
            .prop_map(|(device, from, tenths)| Act::Read { device, from, tenths }),
        2 => (1_i64..50).prop_map(Act::Close),
        1 => (0_i64..200).prop_map(Act::Seal),
        2 => Just(Act::Amend),
    ];
    prop::collection::vec(act, 1..80)
}

/// Readings that were counted, and each window as it was published last.
struct Checked {
    known: Vec<Known>,
    last: BTreeMap<i64, u64>,
    size: i64,
    hold: i64,
}

impl Checked {
    /// Each publication is what the readings say, and says something new.
    fn publish(&mut self, published: &[Publication]) {
        for p in published {
            let start = p.start.0 / SECOND;
            let want = naive(&self.known, self.size, self.hold, start);
            assert_eq!(Some((p.revision, p.count, p.fields.clone())), want, "window at {start}");
            let before = self.last.insert(start, p.revision);
            assert!(before.is_none_or(|before| before < p.revision), "window at {start} told twice");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn windows_equal_an_evaluation_of_sorted_readings(
        acts in acts(),
        (size, slide) in prop_oneof![Just((30, 30)), Just((40, 20)), Just((60, 10))],
        hold in prop_oneof![Just(5_i64), Just(40), Just(500)],
    ) {
        let mut told = Told::new(plan(size, slide, hold, &FIELDS));
        let mut checked = Checked { known: Vec::new(), last: BTreeMap::new(), size, hold };
        let (mut closed, mut sealed) = (0, -1_000);
        told.close(closed);
        for act in acts {
            match act {
                Act::Read { device, from, tenths } => {
                    let at = closed + from;
                    if told.put(DEVICES[device], at, tenths) != Outcome::TooLate {
                        checked.known.push(Known { device, at, sequence: told.sequence, tenths });
                    }
                }
                Act::Close(further) => {
                    closed += further;
                    let published = told.close(closed);
                    checked.publish(&published);
                }
                Act::Seal(ago) => {
                    sealed = sealed.max(closed - ago);
                    let published = told.seal(sealed);
                    checked.publish(&published);
                }
                Act::Amend => {
                    let published = told.amend();
                    checked.publish(&published);
                }
            }
        }
        let published = told.close(closed + 1_000);
        checked.publish(&published);
        let published = told.amend();
        checked.publish(&published);
        // Nothing that could still change was left as it was.
        for start in (-300..closed + 300).filter(|start| start % slide == 0 && start + size > sealed) {
            let want = naive(&checked.known, size, hold, start).map(|(revision, ..)| revision);
            prop_assert_eq!(checked.last.get(&start).copied(), want, "window at {}", start);
        }
    }
}
