//! Alerts as timelines: absence, silence, late readings, what an outage does not do.

use super::timeline_testing::Timeline;
use crate::model::AlertState;

const ABSENT: &str =
    r#"[{"name": "dead", "on": "readings", "absent_for": "10m", "severity": "warning", WORDS}]"#;

fn rule(rest: &str) -> String {
    format!(r#"[{{"name": "high", "severity": "warning", WORDS, {rest}}}]"#)
}

fn absent() -> Timeline {
    Timeline::new("[]", ABSENT)
}

#[test]
fn a_dead_sensor_is_one_alert_at_the_right_second_and_over_when_it_is_back() {
    let mut city = absent();
    city.says_each((10, 70, 20), "aire-1", 1);
    city.until(669);
    assert_eq!(city.lines(), [""; 0]);
    city.until(5_000);
    let rows = city.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].decided_at, rows[0].at);
    assert!(rows[0].notify);
    city.says(5_010, "aire-1", 1);
    city.until(5_100);
    assert_eq!(city.lines(), ["dead aire-1: firing -> resolved at 5010, data again"]);
    city.until(5_700);
    assert_eq!(city.lines(), ["dead aire-1: inactive -> firing at 5610, no data"]);
}

#[test]
fn of_two_sensors_only_the_dead_one_is_told() {
    let mut city = absent();
    for at in 0..100 {
        city.says(10 + 20 * at, "aire-1", 1);
        if at < 3 {
            city.late("aire-2", 1, 10 + 20 * at);
        }
    }
    assert_eq!(city.lines(), ["dead aire-2: inactive -> firing at 650, no data"]);
}

#[test]
fn an_outage_and_its_backlog_raise_no_absence() {
    let mut city = absent();
    city.says_each((10, 100, 30), "aire-1", 1);
    city.outage(7_300);
    for minute in 0..7 {
        city.until(7_300 + minute);
        city.late("aire-1", 1, 200 + 1_000 * minute);
    }
    city.says_each((7_330, 7_900, 30), "aire-1", 1);
    assert_eq!(city.lines(), [""; 0]);
}

#[test]
fn only_observed_time_counts_towards_absence() {
    let mut city = absent();
    city.says(100, "aire-1", 1);
    // Five minutes observed, two hours down, a second to drain: five minutes are left.
    city.until(400);
    city.outage(7_600);
    city.until(7_700);
    city.says(7_710, "aire-2", 1);
    city.until(9_000);
    let lines = city.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], "dead aire-1: inactive -> firing at 7901, no data");
}

#[test]
fn a_feed_that_lost_its_connection_says_nothing_of_its_sensors() {
    let mut city = absent();
    city.says_each((10, 100, 30), "aire-1", 1);
    city.late("rio-1", 1, 100);
    city.feed("aire", false);
    city.until(4_000);
    assert_eq!(city.lines(), ["dead rio-1: inactive -> firing at 700, no data"]);
}

#[test]
fn what_fires_goes_on_without_data_unless_the_rule_says_otherwise() {
    for (no_data, lines) in [
        ("hold", &["high aire-1: inactive -> firing at 100, condition met"][..]),
        (
            "resolve",
            &[
                "high aire-1: inactive -> firing at 100, condition met",
                "high aire-1: firing -> resolved at 220, no data",
            ],
        ),
    ] {
        let rest =
            format!(r#""on": "readings", "when": "level > 50", "stale_after": "2m", "no_data": "{no_data}""#);
        let mut city = Timeline::new("[]", &rule(&rest));
        city.says(100, "aire-1", 80);
        city.until(3_000);
        assert_eq!(city.lines(), lines, "{no_data}");
    }
}

#[test]
fn no_data_can_be_the_condition_and_an_outage_is_none() {
    let rest = r#""on": "readings", "when": "level > 50", "stale_after": "2m", "no_data": "alert""#;
    let mut city = Timeline::new("[]", &rule(rest));
    city.says(100, "aire-1", 10);
    city.outage(7_300);
    city.says(7_310, "aire-1", 10);
    city.until(7_425);
    assert_eq!(city.lines(), [""; 0]);
    // The tick less out_of_orderness and five seconds.
    city.until(7_440);
    let rows = city.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].decided_at.since(rows[0].at).0 / 1_000_000_000, 10);
    city.says(7_500, "aire-1", 20);
    assert_eq!(city.lines(), ["high aire-1: firing -> resolved at 7500, condition ended"]);
}

#[test]
fn data_that_comes_late_annuls_a_silence() {
    let rest = r#""on": "readings", "when": "level > 50", "stale_after": "2m", "no_data": "alert""#;
    let mut city = Timeline::new("[]", &rule(rest));
    city.says(100, "aire-1", 10);
    city.until(240);
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 220, no data"]);
    city.late("aire-1", 10, 200);
    assert_eq!(city.lines(), ["high aire-1: firing -> inactive at 220, annulled by late data"]);
    city.until(400);
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 320, no data"]);
}

#[test]
fn a_window_that_is_missing_is_no_data_for_its_rules() {
    let windows = r#"[{"name": "minute", "size": "1m", "fields": {"top": "max(level)"}}]"#;
    let rest = r#""on": "minute", "when": "top > 50", "no_data": "resolve""#;
    let mut city = Timeline::new(windows, &rule(rest));
    city.says_each((10, 110, 10), "aire-1", 80);
    city.until(600);
    assert_eq!(
        city.lines(),
        [
            "high aire-1: inactive -> firing at 60, condition met",
            "high aire-1: firing -> resolved at 180, no data",
        ]
    );
}

#[test]
fn waiting_without_data_counts_observed_time_only() {
    let rest = r#""on": "readings", "when": "level > 50", "for": "10m", "stale_after": "3h""#;
    let mut city = Timeline::new("[]", &rule(rest));
    city.says(100, "aire-1", 80);
    city.until(160);
    city.outage(7_360);
    city.until(7_800);
    assert_eq!(city.lines(), ["high aire-1: inactive -> pending at 100, condition met"]);
    // A minute before the outage, nine after it, ten seconds for what comes out of order, one to
    // drain.
    city.until(7_910);
    assert_eq!(city.lines(), [""; 0]);
    city.until(7_911);
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 700, condition met"]);
}

#[test]
fn a_reading_is_too_late_for_a_rule_by_its_own_sensor_only() {
    let rest = r#""on": "readings", "when": "level > 50", "stale_after": "3h""#;
    let mut city = Timeline::new("[]", &rule(rest));
    city.says(100, "aire-1", 10);
    city.says_each((1_000, 3_000, 100), "aire-2", 10);
    // Its own watermark stands at 95: nothing is too late after that less ten minutes.
    city.late("aire-1", 80, 50);
    assert_eq!(
        city.lines(),
        [
            "high aire-1: inactive -> firing at 50, condition met",
            "high aire-1: firing -> resolved at 100, condition ended",
        ]
    );
    city.late("aire-2", 80, 2_396);
    assert_eq!(city.lines().len(), 2);
    city.late("aire-2", 80, 2_395);
    assert_eq!(city.lines(), [""; 0]);
}

#[test]
fn a_backlog_in_order_leads_to_the_alerts_in_the_order_of_events_and_sends_none() {
    let rest = r#""on": "readings", "when": "level > 50""#;
    let mut city = Timeline::new("[]", &rule(rest));
    city.says(100, "aire-1", 10);
    city.outage(7_300);
    for (at, value) in [(200, 80), (300, 10), (400, 80), (500, 10)] {
        city.late("aire-1", value, at);
    }
    let rows = city.rows();
    assert!(rows.iter().all(|row| !row.notify));
    let at: Vec<i64> = rows.iter().map(|row| row.at.0 / 1_000_000_000 - 1_000_020).collect();
    assert_eq!(at, [200, 300, 400, 500]);
}

#[test]
fn time_does_not_pass_ahead_of_a_backlog_that_drains() {
    let rest = r#""on": "readings", "when": "level > 50", "for": "1m", "stale_after": "3h""#;
    let mut city = Timeline::new("[]", &rule(rest));
    city.says(100, "aire-1", 10);
    city.until(160);
    city.outage(7_300);
    // Each second another reading, in the order of their times: the feed has not drained.
    for (n, value) in [(0, 80), (1, 80), (2, 10), (3, 80), (4, 10)] {
        city.until(7_301 + n);
        city.late("aire-1", value, 7_000 + 40 * n);
    }
    // The first episode lasts 80 s and is raised at its minute; the second lasts 40 s.
    assert_eq!(
        city.lines(),
        [
            "high aire-1: inactive -> pending at 7000, condition met",
            "high aire-1: inactive -> firing at 7060, condition met",
            "high aire-1: firing -> resolved at 7080, condition ended",
            "high aire-1: inactive -> pending at 7120, condition met",
            "high aire-1: pending -> inactive at 7120, condition ended before its time",
        ]
    );
}

#[test]
fn a_silence_that_is_due_while_another_feed_is_away_is_noted_once_that_is_gone() {
    let rest = r#""on": "readings", "when": "level > 50", "no_data": "alert", "stale_after": "1m""#;
    let mut city = Timeline::new("[]", &rule(rest));
    city.says(10, "aire-1", 10);
    city.until(60);
    city.feed("rio", false);
    city.until(110);
    assert_eq!(city.lines(), [""; 0], "due at 80, and rio could still bring something");
    city.until(200);
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 70, no data"]);
}

#[test]
fn a_silence_counts_at_once_for_what_time_has_passed() {
    let rest =
        r#""on": "readings", "when": "level > 50", "no_data": "alert", "stale_after": "1m", "for": "20s""#;
    let mut city = Timeline::new("[]", &rule(rest));
    city.says(10, "aire-1", 10);
    city.until(60);
    // The other feed drains until 120, when the silence of 70 is noted: its 20 s are long over.
    city.feed("rio", false);
    city.until(200);
    let rows = city.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].to, AlertState::Firing);
}

#[test]
fn a_late_verdict_finds_the_time_that_has_come() {
    let rest = r#""on": "readings", "when": "level > 50", "keep_firing_for": "10s", "stale_after": "3h""#;
    let mut city = Timeline::new("[]", &rule(rest));
    city.says(10, "aire-1", 80);
    city.until(200);
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 10, condition met"]);
    // Second 190 has come for it, and its ten seconds are over.
    city.late("aire-1", 10, 100);
    assert_eq!(city.lines(), ["high aire-1: firing -> resolved at 110, condition ended"]);
}

#[test]
fn a_window_of_too_little_capture_says_nothing_to_rules_alike() {
    let windows =
        r#"[{"name": "minute", "size": "1m", "capture_min": 0.5, "fields": {"top": "max(level)"}}]"#;
    let high = |name: &str, limit: i64| {
        format!(
            r#"{{"name": "{name}", "on": "minute", "when": "top > {limit}", "severity": "warning", WORDS}}"#
        )
    };
    let mut city = Timeline::new(windows, &format!("[{}, {}]", high("high", 50), high("higher", 90)));
    city.says_each((10, 50, 10), "aire-1", 10);
    // One of three readings, and two minutes without one: no window says that anything is over.
    city.says(70, "aire-1", 10);
    city.until(250);
    city.late("aire-1", 80, 35);
    city.until(260);
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 60, condition met"]);
    city.says_each((310, 370, 20), "aire-1", 10);
    assert_eq!(city.lines(), ["high aire-1: firing -> resolved at 360, condition ended"]);
}
