//! CPU time an event, and rule evaluations a second, with 1, 100 and 10,000 rules: on one field of a
//! window, each for another sensor's windows, on what is computed from a field, and on readings.
//!
//! A rule judges every key of what it is on; one for another key says so in its condition. Which of many
//! comparisons with literals a row may meet is found without evaluating each; what is computed has to be,
//! for every rule and window.
//!
//! No rule is ever met: a transition would be a fault.

use std::fmt::Write as _;

use super::crowd::Crowd;
use super::figures::{Must, Report};
use super::scale::{self, INTERVAL_MS, WARM_UP_ROUNDS};
use super::stretch;

const RUNS: usize = 3;
const RULES: [usize; 3] = [1, 100, 10_000];
const SENSORS: u32 = 100;
/// Of each number of rules: in steady state, so that more of the quick ones only say it more precisely.
/// The last is ten minutes.
const EVENTS: [u64; 3] = [300_000, 60_000, 60 * SENSORS as u64];
/// Evaluations a second with the most rules.
const EVALUATIONS: f64 = 15e6;
/// The slowest over the best.
const RATIO: f64 = 2.0;

/// What the rules are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OneField,
    AnotherKey,
    Computed,
    Readings,
}

impl Kind {
    const ALL: [Self; 4] = [Self::OneField, Self::AnotherKey, Self::Computed, Self::Readings];

    /// Names of the figures: an event by number of rules, the ratio, the evaluations.
    fn names(self) -> ([&'static str; 3], &'static str, &'static str) {
        match self {
            Self::OneField => (
                ["1 rule on a window's field", "100 of them", "10,000 of them"],
                "rules on a window's field, slowest over best",
                "evaluations, 10,000 on a window's field",
            ),
            Self::AnotherKey => (
                ["1 rule on one key's windows", "100, each on another key", "10,000 on 100 keys"],
                "rules each on another key, slowest over best",
                "evaluations, 10,000 on 100 keys",
            ),
            Self::Computed => (
                ["1 rule on what is computed from a field", "100 of them", "10,000 of them"],
                "rules on what is computed, slowest over best",
                "evaluations, 10,000 on what is computed",
            ),
            Self::Readings => (
                ["1 rule on readings", "100 of them on one quantity", "10,000 of them on one quantity"],
                "rules on readings, slowest over best",
                "evaluations, 10,000 on readings",
            ),
        }
    }

    /// CITY-1's queries with so many rules in the place of its own.
    fn pipeline(self, rules: usize) -> String {
        let whole = scale::pipeline();
        let (rest, _) = whole.split_once("[[rule]]").expect("CITY-1 has a rule");
        let mut text = rest.to_owned();
        for number in 0..rules {
            // Values end at 55.0.
            let over = 55.0 + number as f64 / 1_000.0;
            let (on, when) = match self {
                Self::OneField => ("a", format!("pm25_mean > {over}")),
                Self::AnotherKey => {
                    ("a", format!("sensor = 'aire-{:05}' AND pm25_mean > {over}", number as u32 % SENSORS))
                }
                Self::Computed => ("a", format!("pm25_mean - {over} > 0.0")),
                Self::Readings => ("readings", format!("pm25 > {over}")),
            };
            let _ = write!(
                text,
                "[[rule]]\nname = \"r-{number}\"\non = \"{on}\"\nwhen = \"{when}\"\nseverity = \"warning\"\n\
                 title = {{ es = \"Alto\", en = \"High\" }}\nmessage = {{ es = \"{{sensor}}\", en = \"{{sensor}}\" }}\n"
            );
        }
        text
    }
}

/// Measures.
pub fn measure(report: &mut Report) {
    report.begin("rules");
    for kind in Kind::ALL {
        let mut micros = [const { Vec::new() }; RULES.len()];
        let (mut ratios, mut evaluations) = (Vec::new(), Vec::new());
        for number in 1..=RUNS {
            let run = [0, 1, 2].map(|place| {
                let mut crowd = Crowd::new(SENSORS, INTERVAL_MS);
                let pipeline = kind.pipeline(RULES[place]);
                stretch::run(&pipeline, &mut crowd, WARM_UP_ROUNDS, EVENTS[place])
            });
            let own = run.map(|stretch| stretch.micros());
            let most = run[RULES.len() - 1];
            let judged = if kind == Kind::Readings { most.lines } else { most.windows };
            assert!(judged >= most.lines / 6, "windows of a minute closed");
            let evaluated = (judged * RULES[RULES.len() - 1] as u64) as f64;
            evaluations.push(evaluated / (most.cpu_ns as f64 / 1e9));
            println!("  {kind:?}, run {number}: {own:.2?} us/event, {judged} times judged by the most");
            micros.iter_mut().zip(own).for_each(|(all, own)| all.push(own));
            ratios.push(own.into_iter().fold(0.0, f64::max) / own.into_iter().fold(f64::MAX, f64::min));
        }
        let (names, ratio, rate) = kind.names();
        for (name, values) in names.into_iter().zip(micros) {
            report.add(name, "us/event", values, None);
        }
        // What is computed is beyond the must, which speaks of rules on fields.
        let must = (kind != Kind::Computed).then_some(Must::Below(RATIO));
        report.add(ratio, "x", ratios, must);
        report.add(rate, "1/s", evaluations, Some(Must::AtLeast(EVALUATIONS)));
    }
}
