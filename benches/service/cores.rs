//! How far a second core and a second worker go: a replay with the store pinned to one core beside one
//! on all of them, and the fold of a journal by one worker beside one by two; each in turn.

use std::process::Command;

use super::city1::City1;
use super::figures::{Must, Report};
use super::fold::Journal;
use super::replay;

const PAIRS: usize = 5;
/// Events a second with two over those with one.
const TIMES: f64 = 1.5;
/// Becomes what follows, on one core.
const ONE_CORE: [&str; 3] = ["taskset", "-c", "0"];

/// Measures.
pub fn measure(city: &City1, report: &mut Report) {
    report.begin("cores");
    if Command::new(ONE_CORE[0]).arg("--version").output().is_ok() {
        let pinned = city.with_site(City1::site("").behind(&ONE_CORE));
        let names = ["replay on one core", "replay on all cores", "  all cores over one"];
        pairs(report, names, || [&pinned, city].map(rate));
    } else {
        println!("  one core passed over: there is no {}", ONE_CORE[0]);
    }
    let journal = Journal::write();
    let names = ["fold by one worker", "fold by two workers", "  two workers over one"];
    pairs(report, names, || [1, 2].map(|workers| journal.fold(workers)));
}

fn pairs(report: &mut Report, [one, two, over]: [&'static str; 3], run: impl Fn() -> [f64; 2]) {
    let [mut ones, mut twos, mut ratios] = [const { Vec::new() }; 3];
    for number in 1..=PAIRS {
        let [with_one, with_two] = run();
        println!("  run {number}: {with_one:.0} and {with_two:.0} events/s");
        ratios.push(with_two / with_one);
        ones.push(with_one);
        twos.push(with_two);
    }
    report.add(one, "events/s", ones, None);
    report.add(two, "events/s", twos, None);
    report.add(over, "x", ratios, Some(Must::AtLeast(TIMES)));
}

fn rate(city: &City1) -> f64 {
    let data = city.site.data();
    replay::number_of(&replay::run(city, &data), "events_per_second")
}
