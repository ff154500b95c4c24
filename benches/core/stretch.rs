//! A stretch of a crowd's lines through the engine, after a warm-up that does not count.

use std::cell::Cell;

use sereno::model::ResultRow;

use super::crowd::{Crowd, Lines};
use super::engine::{Engine, Part};
use super::machine;

/// Lines made at once, outside the time that counts.
const CHUNK: u64 = 100_000;

/// What it led to.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Lines, each of which became an event.
    pub lines: u64,
    /// CPU nanoseconds of the engine.
    pub cpu_ns: u64,
    /// Published windows that are named `a`.
    pub windows: u64,
}

impl Stretch {
    /// CPU microseconds a line.
    pub fn micros(&self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.lines as f64
    }
}

/// Runs a pipeline, whose rules nothing meets, over whole rounds of the crowd, and then over the lines
/// that count.
pub fn run(pipeline: &str, crowd: &mut Crowd, warm_up_rounds: u64, lines: u64) -> Stretch {
    let windows = Cell::new(0);
    let mut take = |rows: Vec<ResultRow>| {
        for row in rows {
            match row {
                ResultRow::Aggregate(row) if &*row.plan.window == "a" => windows.set(windows.get() + 1),
                ResultRow::Aggregate(_) | ResultRow::Plan(..) => {}
                ResultRow::Transition(_) | ResultRow::Retraction(_) => panic!("nothing is met: {row:?}"),
            }
        }
    };
    let mut engine = Engine::new(pipeline, Part::Flow, &mut take);
    let warm_up = warm_up_rounds * crowd.sensors();
    feed(&mut engine, crowd, warm_up);
    let before = windows.get();
    let cpu_ns = feed(&mut engine, crowd, lines);
    assert_eq!(engine.stored(), warm_up + lines, "every line is an event");
    Stretch { lines, cpu_ns, windows: windows.get() - before }
}

/// Feeds so many lines; the engine's CPU nanoseconds.
pub fn feed(engine: &mut Engine<'_>, crowd: &mut Crowd, count: u64) -> u64 {
    let mut lines = Lines::default();
    let mut left = count;
    let mut cpu_ns = 0;
    while left > 0 {
        let chunk = left.min(CHUNK);
        crowd.write(chunk, &mut lines);
        let before = machine::thread_cpu_ns();
        lines.iter().for_each(|line| engine.line(line));
        left -= chunk;
        if left == 0 {
            engine.hand_over();
        }
        cpu_ns += machine::thread_cpu_ns() - before;
    }
    cpu_ns
}
