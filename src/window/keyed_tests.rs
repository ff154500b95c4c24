//! What becomes of one key's windows: closed, amended, sealed.

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
