//! Changes while running, as timelines: what becomes of alerts that are open.

use std::collections::BTreeSet;

use super::timeline_testing::Timeline;
use crate::model::AlertState;
use crate::model::definition::Severity;

const MINUTE: &str = r#"[{"name": "level", "size": "1m", "fields": {"top": "max(level)"}}]"#;
const TWO_MINUTES: &str = r#"[{"name": "level", "size": "2m", "fields": {"top": "max(level)"}}]"#;
const ZONE: &str = r#"[{"name": "level", "size": "1m", "by": ["zone"], "fields": {"top": "max(level)"}}]"#;

fn rule(rest: &str) -> String {
    format!(r#"[{{"name": "high", "on": "level", "severity": "warning", WORDS, {rest}}}]"#)
}

fn over(limit: i64) -> String {
    rule(&format!(r#""when": "top > {limit}""#))
}

/// An alert is open since second 60; it is second 110.
fn firing() -> Timeline {
    let mut city = Timeline::new(MINUTE, &over(50));
    city.says_each((10, 110, 10), "aire-1", 80);
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 60, condition met"]);
    city
}

#[test]
fn other_words_apply_at_once_and_change_nothing_else() {
    let mut city = firing();
    city.change(MINUTE, &over(50).replace("warning", "critical"));
    city.says_each((120, 300, 10), "aire-1", 10);
    let rows = city.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].to, rows[0].severity), (AlertState::Resolved, Severity::Critical));
}

#[test]
fn an_alert_whose_new_condition_holds_goes_on_under_its_id() {
    let mut city = firing();
    city.change(MINUTE, &over(60));
    assert_eq!(city.lines(), [""; 0], "it applies to windows that close after it");
    city.says_each((120, 200, 10), "aire-1", 80);
    city.says_each((210, 400, 10), "aire-1", 10);
    let lines = city.lines();
    assert_eq!(
        lines,
        [
            "high aire-1: firing -> firing at 120, rule changed",
            "high aire-1: firing -> resolved at 300, condition ended",
        ]
    );
}

#[test]
fn an_alert_whose_new_condition_does_not_hold_ends_with_that_cause() {
    let mut city = firing();
    city.change(MINUTE, &over(90));
    city.says_each((120, 200, 10), "aire-1", 80);
    assert_eq!(city.lines(), ["high aire-1: firing -> resolved at 120, rule changed"]);
}

#[test]
fn a_rule_that_is_gone_resolves_its_alerts_at_once() {
    let mut city = firing();
    city.change(MINUTE, "[]");
    assert_eq!(city.lines(), ["high aire-1: firing -> resolved at 110, rule changed"]);
    city.change(MINUTE, &over(50));
    city.late("aire-1", 90, 20);
    city.says_each((120, 130, 10), "aire-1", 80);
    // What closed before the rule was there is not judged by it: no id is raised a second time.
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 120, condition met"]);
}

#[test]
fn what_the_clock_had_closed_for_an_idle_key_is_not_judged_by_another_condition() {
    let mut city = Timeline::new(MINUTE, &over(90));
    city.says(10, "aire-1", 80);
    city.until(1_000);
    city.change(MINUTE, &over(50));
    city.late("aire-1", 80, 910);
    city.until(1_050);
    assert_eq!(city.lines(), [""; 0]);
}

#[test]
fn another_for_begins_with_the_first_window_after_it() {
    let mut city = Timeline::new(MINUTE, &over(50));
    city.says_each((10, 50, 10), "aire-1", 10);
    city.says_each((60, 110, 10), "aire-1", 80);
    city.change(MINUTE, &rule(r#""when": "top > 50", "for": "10m""#));
    city.says_each((120, 260, 10), "aire-1", 80);
    assert_eq!(
        city.lines(),
        [
            "high aire-1: inactive -> firing at 120, condition met",
            "high aire-1: firing -> firing at 180, rule changed",
        ]
    );
    // Another sensor, whose first windows are late.
    city.says_each((130, 260, 10), "aire-2", 80);
    city.until(265);
    assert_eq!(city.lines(), ["high aire-2: inactive -> pending at 180, condition met"]);
}

#[test]
fn another_window_takes_over_the_alerts_of_the_one_before_it() {
    let mut city = firing();
    city.change(TWO_MINUTES, &over(50));
    // The old plan's last window begins before 180, the new plan's first one there.
    city.says_each((120, 300, 10), "aire-1", 80);
    assert_eq!(city.lines(), [""; 0]);
    city.says_each((310, 560, 10), "aire-1", 10);
    assert_eq!(
        city.lines(),
        [
            "high aire-1: firing -> firing at 300, rule changed",
            "high aire-1: firing -> resolved at 540, condition ended",
        ]
    );
}

#[test]
fn an_old_plan_speaks_in_the_new_words() {
    let mut city = firing();
    city.change(TWO_MINUTES, &over(50).replace("warning", "critical"));
    city.says_each((120, 170, 10), "aire-1", 10);
    city.says_each((180, 200, 10), "aire-1", 10);
    let rows = city.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].to, rows[0].severity), (AlertState::Resolved, Severity::Critical));
}

#[test]
fn an_alert_can_begin_and_end_in_the_last_windows_of_the_old_plan() {
    let mut city = Timeline::new(MINUTE, &over(50));
    city.says_each((10, 110, 10), "aire-1", 10);
    city.change(TWO_MINUTES, &over(50));
    city.says_each((120, 170, 10), "aire-1", 80);
    city.says_each((180, 310, 10), "aire-1", 10);
    assert_eq!(
        city.lines(),
        [
            "high aire-1: inactive -> firing at 180, condition met",
            "high aire-1: firing -> resolved at 300, rule changed",
        ]
    );
}

#[test]
fn alerts_of_another_grouping_end_with_the_last_window_of_the_old_plan() {
    let mut city = firing();
    city.change(ZONE, &over(50));
    city.says_each((120, 250, 10), "aire-1", 80);
    let lines = city.lines();
    assert_eq!(lines[0], "high aire-1: firing -> resolved at 120, rule changed");
    assert_eq!(lines[1], "high centro: inactive -> firing at 180, condition met");
    assert_eq!(lines.len(), 2);
}

/// Two rules alike on a window that ends at 180: one goes on with its sensors, the other with zones.
#[test]
fn where_only_some_rules_go_on_time_ends_for_the_others_with_the_last_window() {
    let rule = |name: &str, on: &str| {
        let when = r#""when": "top > 50", "for": "20s""#;
        format!(r#"{{"name": "{name}", "on": "{on}", "severity": "warning", WORDS, {when}}}"#)
    };
    for names in [["goes-on", "ends"], ["ends", "goes-on"]] {
        let rules = |other: &str| {
            let on = |name: &str| if name == "ends" { other.to_owned() } else { "level".to_owned() };
            format!("[{}, {}]", rule(names[0], &on(names[0])), rule(names[1], &on(names[1])))
        };
        let mut city = Timeline::new(MINUTE, &rules("level"));
        city.says_each((10, 110, 10), "aire-1", 10);
        let windows = r#"[{"name": "level", "size": "2m", "fields": {"top": "max(level)"}},
            {"name": "zone", "size": "2m", "by": ["zone"], "fields": {"top": "max(level)"}}]"#;
        city.change(windows, &rules("zone"));
        // With a feed that may still bring something no tick ends the window.
        city.says_each((120, 170, 10), "aire-1", 10);
        city.feed("rio", false);
        city.says_each((180, 220, 10), "aire-1", 10);
        city.late("aire-1", 80, 155);
        city.until(222);
        let lines: BTreeSet<String> = city.lines().into_iter().collect();
        let [goes_on, ends] = [
            "goes-on aire-1: inactive -> firing at 200, condition met".to_owned(),
            "ends aire-1: inactive -> pending at 180, condition met".to_owned(),
        ];
        assert_eq!(lines, BTreeSet::from([goes_on, ends]), "{names:?}");
    }
}

#[test]
fn the_last_windows_of_an_old_plan_read_the_quantities_that_it_knew() {
    let mut city = Timeline::new(MINUTE, &over(50));
    city.says_each((10, 90, 10), "aire-1", 10);
    // In the rows of the new definition `level` stands in another column.
    city.measure(&["depth", "level"], TWO_MINUTES, &over(50));
    city.says_each((100, 110, 10), "aire-1", 80);
    city.says_each((120, 130, 10), "aire-1", 10);
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 120, condition met"]);
}

#[test]
fn a_quantity_that_no_window_names_leaves_windows_and_alerts_as_they_are() {
    let mut city = Timeline::new(MINUTE, &rule(r#""when": "top > 50", "for": "2m""#));
    city.says_each((10, 90, 10), "aire-1", 80);
    city.lines();
    let plans = city.plans();
    // In the rows of the new definition `level` stands in another column, in the middle of a window.
    city.measure(&["depth", "level"], MINUTE, &rule(r#""when": "top > 50", "for": "2m""#));
    assert_eq!(city.plans(), plans);
    city.says_each((100, 110, 10), "aire-1", 10);
    city.says_each((120, 250, 10), "aire-1", 80);
    // Its window of the change holds what came before it, too.
    assert_eq!(city.lines(), ["high aire-1: inactive -> firing at 180, condition met"]);
    // Restarted, it reads the same columns.
    city.restart();
    city.says_each((260, 290, 10), "aire-1", 10);
    city.says_each((300, 370, 10), "aire-1", 10);
    assert_eq!(city.lines(), ["high aire-1: firing -> resolved at 360, condition ended"]);
}

#[test]
fn on_readings_every_event_after_the_change_is_judged_by_it() {
    let on = |limit: i64| {
        format!(
            r#"[{{"name": "high", "on": "readings", "when": "level > {limit}", "severity": "info", WORDS}}]"#
        )
    };
    let mut city = Timeline::new("[]", &on(50));
    city.says(10, "aire-1", 80);
    city.says(10, "aire-2", 60);
    city.lines();
    city.change("[]", &on(70));
    city.says(20, "aire-1", 80);
    city.says(20, "aire-2", 60);
    assert_eq!(
        city.lines(),
        [
            "high aire-1: firing -> firing at 20, rule changed",
            "high aire-2: firing -> resolved at 20, rule changed",
        ]
    );
}
