//! Each shipped pipeline, and each pipeline of `tests/fixtures`, run alone on its sample, gives what
//! its independent program computed.

use crate::harness::golden::Golden;
use crate::harness::peers::root;

fn check_shipped(name: &str) {
    Golden::replayed(name, &root().join("pipelines").join(name)).check();
}

#[test]
fn air_quality_gives_the_golden_answer() {
    check_shipped("air-quality");
}

#[test]
fn river_level_gives_the_golden_answer() {
    check_shipped("river-level");
}

#[test]
fn parking_gives_the_golden_answer() {
    check_shipped("parking");
}

#[test]
fn service_requests_give_the_golden_answer() {
    check_shipped("service-requests");
}

/// Weeks, months, days of 25 hours, periods of the day, every aggregate, registered sensors, silences.
#[test]
fn a_week_in_which_a_clock_is_put_back_gives_the_golden_answer() {
    Golden::replayed("noise", &root().join("tests/fixtures/calendar")).check();
}
