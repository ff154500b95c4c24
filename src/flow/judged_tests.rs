//! Alerts of the past judged again by a recompute, as timelines.

use std::collections::BTreeMap;

use super::timeline_testing::Timeline;
use crate::model::time::SECOND;
use crate::model::{AlertState, Timestamp, Transition};

const MINUTE: &str = r#"[{"name": "minute", "size": "1m", "fields": {"top": "max(level)"}}]"#;
const HIGH: &str = r#""when": "top > 50""#;

fn rule(rest: &str) -> String {
    format!(r#"[{{"name": "high", "on": "minute", "severity": "warning", WORDS, {rest}}}]"#)
}

/// Minutes of one sensor, each with the level that it had; the last ones, for an hour, are low.
fn city(rest: &str, levels: &[i64]) -> Timeline {
    let mut city = Timeline::new(MINUTE, &rule(rest));
    for (minute, level) in (0..).zip(levels) {
        city.says_each((60 * minute + 10, 60 * minute + 50, 20), "aire-1", *level);
    }
    let from = 60 * levels.len() as i64;
    city.says_each((from + 10, from + 3_600, 20), "aire-1", 10);
    city
}

#[test]
fn an_episode_that_only_late_readings_tell_of_is_recorded_once_and_never_sent() {
    let mut city = city(HIGH, &[10, 10, 10, 10]);
    city.late("aire-1", 80, 75);
    assert_eq!(city.lines(), [""; 0], "too late for its window");
    city.recompute(0, 1_200);
    let rows = city.rows();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(
        (row.from, row.to, &*row.reason),
        (AlertState::Inactive, AlertState::Resolved, "found by a recompute")
    );
    let seconds = |at: Option<Timestamp>| at.map(|at| at.0 / SECOND - 1_000_020);
    assert_eq!((seconds(row.raised_at), seconds(row.resolved_at)), (Some(120), Some(180)));
    assert!(!row.notify);
    assert_eq!(row.evidence[0], ("top".into(), Some(80.0)), "the window that raised it");
    city.recompute(0, 1_200);
    assert_eq!(city.lines(), [""; 0], "the second time nothing is different");
}

#[test]
fn an_alert_that_no_longer_holds_is_annulled_and_raised_again_under_its_id() {
    // The rule on the mean: late readings change it both ways.
    let mut city = {
        let windows = r#"[{"name": "minute", "size": "1m", "fields": {"top": "mean(level)"}}]"#;
        let mut city = Timeline::new(windows, &rule(HIGH));
        city.says(10, "aire-1", 10);
        city.says(70, "aire-1", 60);
        city.says_each((130, 3_600, 20), "aire-1", 10);
        city
    };
    let raised = city.rows();
    assert_eq!(raised.len(), 2);
    city.late("aire-1", 0, 75);
    city.recompute(0, 1_200);
    let annulled = city.rows();
    assert_eq!((annulled[0].to, &*annulled[0].reason), (AlertState::Inactive, "annulled by a recompute"));
    city.late("aire-1", 200, 80);
    city.recompute(0, 1_200);
    let again = city.rows();
    assert_eq!((again[0].to, again.len()), (AlertState::Resolved, 1));
    assert!([&raised[0], &annulled[0], &again[0]].iter().all(|row| row.id == raised[0].id));
}

#[test]
fn times_move_and_two_episodes_become_one() {
    let mut city = city(HIGH, &[10, 80, 10, 80, 10, 10, 80, 10]);
    let ids: Vec<_> =
        city.rows().iter().filter(|row| row.to == AlertState::Firing).map(|row| row.id).collect();
    assert_eq!(ids.len(), 3);
    city.late("aire-1", 80, 135);
    city.late("aire-1", 80, 315);
    city.recompute(0, 1_200);
    let rows = city.rows();
    let seen: Vec<_> = rows.iter().map(|row| (row.id, row.reason.to_string())).collect();
    let moved = "times changed by a recompute".to_owned();
    let merged = format!("merged into {}", ids[0]);
    assert_eq!(seen, [(ids[0], moved.clone()), (ids[1], merged), (ids[2], moved)]);
}

#[test]
fn what_reaches_over_an_edge_or_still_fires_is_left_alone() {
    let mut city = city(HIGH, &[80, 80, 80, 10, 10, 10, 10, 80, 80, 80, 10]);
    city.lines();
    // Would move both, were they whole.
    city.late("aire-1", 80, 195);
    city.late("aire-1", 80, 375);
    city.recompute(60, 480);
    assert_eq!(city.lines(), [""; 0]);
    city.recompute(-60, 600);
    assert_eq!(city.lines(), ["high aire-1: resolved -> resolved at 300, times changed by a recompute"]);
    city.recompute(-60, 1_200);
    assert_eq!(city.lines(), ["high aire-1: resolved -> resolved at 660, times changed by a recompute"]);
}

#[test]
fn an_alert_that_reaches_over_an_edge_is_left_alone_where_no_episode_does() {
    let mut city = city(HIGH, &[10, 80, 80, 80, 10]);
    city.lines();
    city.change(MINUTE, &rule(r#""when": "top > 500""#));
    city.recompute(120, 1_200);
    city.recompute(0, 240);
    assert_eq!(city.lines(), [""; 0]);
    city.recompute(0, 1_200);
    assert_eq!(city.lines(), ["high aire-1: resolved -> inactive at 120, annulled by a recompute"]);
}

#[test]
fn what_late_readings_may_still_change_is_left_to_them() {
    let mut city = city(HIGH, &[10]);
    city.says_each((3_670, 3_700, 10), "aire-1", 80);
    city.says_each((3_730, 3_800, 10), "aire-1", 10);
    assert_eq!(city.lines().len(), 2);
    city.recompute(0, 3_780);
    assert_eq!(city.lines(), [""; 0]);
}

#[test]
fn a_rule_that_silence_decides_is_left_out() {
    let mut city = city(r#""when": "top > 50", "no_data": "resolve""#, &[10, 10, 10]);
    city.late("aire-1", 80, 75);
    city.recompute(0, 1_200);
    assert_eq!(city.lines(), [""; 0]);
}

#[test]
fn a_changed_rule_reaches_back_over_the_range() {
    let mut city = city(HIGH, &[10, 80, 10, 30, 10]);
    assert_eq!(city.lines().len(), 2);
    city.change(MINUTE, &rule(r#""when": "top > 20 AND top < 50""#));
    city.recompute(0, 1_200);
    assert_eq!(
        city.lines(),
        [
            "high aire-1: resolved -> inactive at 120, annulled by a recompute",
            "high aire-1: inactive -> resolved at 300, found by a recompute",
        ]
    );
}

#[test]
fn what_began_before_the_range_is_known_from_the_day_before() {
    let mut city = city(r#""when": "top > 50", "for": "1m""#, &[10; 8]);
    [75, 135, 195, 255, 315].into_iter().for_each(|at| city.late("aire-1", 80, at));
    // It begins at 120; from 150 on it would seem to begin at 240.
    city.recompute(150, 1_200);
    assert_eq!(city.lines(), [""; 0]);
    city.recompute(0, 1_200);
    assert_eq!(city.lines(), ["high aire-1: inactive -> resolved at 420, found by a recompute"]);
}

#[test]
fn what_a_life_has_forgotten_is_not_judged_again() {
    let levels: Vec<i64> = (0..88).map(|n| if n % 2 == 0 { 10 } else { 80 }).collect();
    let mut city = city(HIGH, &levels);
    assert_eq!(city.lines().len(), 88);
    city.recompute(-600, 60 * 98);
    assert_eq!(city.lines(), [""; 0], "the first twelve of 44 are forgotten");
}

#[test]
fn a_rule_that_was_removed_and_came_back_is_left_out() {
    let mut city = city(HIGH, &[10, 80, 10]);
    city.lines();
    city.late("aire-1", 80, 15);
    city.change(MINUTE, "[]");
    city.change(MINUTE, &rule(HIGH));
    city.recompute(-600, 1_200);
    assert_eq!(city.lines(), [""; 0]);
}

/// A rule on readings that are too high.
fn on_readings_rule(rest: &str) -> String {
    let high = r#""on": "readings", "when": "level > 50""#;
    format!(r#"[{{"name": "high", "severity": "warning", WORDS, {high}{rest}}}]"#)
}

/// One sensor with a rule on its readings: what it says each 20 seconds from 10 on, then low for an hour.
fn river(rest: &str, levels: &[i64]) -> Timeline {
    let mut river = Timeline::new("[]", &on_readings_rule(rest));
    for (n, level) in (0..).zip(levels) {
        river.says(20 * n + 10, "rio-1", *level);
    }
    let from = 20 * levels.len() as i64;
    river.says_each((from + 10, from + 3_600, 20), "rio-1", 10);
    river
}

#[test]
fn a_rule_on_readings_is_judged_by_all_of_them() {
    let mut river = river("", &[10, 10, 10, 10]);
    river.late("rio-1", 80, 55);
    assert_eq!(river.lines(), [""; 0], "too late for the rule");
    river.recompute(0, 1_200);
    let rows = river.rows();
    assert_eq!((rows.len(), &*rows[0].reason, rows[0].notify), (1, "found by a recompute", false));
    let seconds = |at: Timestamp| at.0 / SECOND - 1_000_020;
    assert_eq!((rows[0].raised_at.map(seconds), rows[0].resolved_at.map(seconds)), (Some(55), Some(70)));
    assert_eq!(rows[0].evidence, [("level".into(), Some(80.0))], "the reading that raised it");
    assert_eq!((seconds(rows[0].window.0), seconds(rows[0].window.1)), (55, 55));
    river.recompute(0, 1_200);
    assert_eq!(river.lines(), [""; 0], "the second time nothing is different");
    river.restart();
    river.change("[]", &on_readings_rule(r#", "for": "1m""#));
    river.recompute(0, 1_200);
    assert_eq!(river.lines(), ["high rio-1: resolved -> inactive at 55, annulled by a recompute"]);
}

#[test]
fn of_readings_too_what_is_not_known_as_a_whole_is_left_alone() {
    let high = [10, 10, 80, 80, 10, 10, 80, 10];
    let mut river = river(r#", "stale_after": "30s""#, &high);
    let told = river.lines();
    assert_eq!(told.len(), 4);
    // Both would go.
    river.change("[]", &on_readings_rule(r#", "stale_after": "30s", "for": "1h""#));
    river.recompute(60, 1_200);
    assert_eq!(river.lines(), ["high rio-1: resolved -> inactive at 130, annulled by a recompute"]);
    river.recompute_known_from(0, 1_200, 30);
    assert_eq!(river.lines(), [""; 0], "a verdict of before second 30 may have stood until 60");
    river.recompute(0, 1_200);
    assert_eq!(river.lines(), ["high rio-1: resolved -> inactive at 50, annulled by a recompute"]);
}

#[test]
fn of_rules_on_readings_too_those_that_silence_decides_and_those_that_came_back_are_left_out() {
    let mut river = self::river(r#", "no_data": "resolve""#, &[10, 10]);
    river.late("rio-1", 80, 15);
    river.recompute(0, 1_200);
    assert_eq!(river.lines(), [""; 0], "silence decides");
    let mut river = self::river("", &[10, 10]);
    river.late("rio-1", 80, 15);
    river.change("[]", "[]");
    river.change("[]", &on_readings_rule(""));
    river.recompute(0, 1_200);
    assert_eq!(river.lines(), [""; 0], "it came back");
}

#[test]
fn of_readings_an_alert_that_ends_with_the_range_may_go_on_and_is_left_alone() {
    let mut river = river(r#", "keep_firing_for": "1m""#, &[10, 10, 10, 10, 10, 10, 80]);
    river.late("rio-1", 80, 55);
    assert_eq!(river.lines().len(), 2, "that of 130");
    // By what was said before 130 it would have ended then.
    river.recompute(0, 130);
    assert_eq!(river.lines(), [""; 0]);
    river.recompute(0, 1_200);
    let rows = river.rows();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    let seconds = |at: Timestamp| at.0 / SECOND - 1_000_020;
    assert_eq!(&*row.reason, "times changed by a recompute");
    assert_eq!((seconds(row.began_at), row.resolved_at.map(seconds)), (55, Some(210)));
}

#[test]
fn of_readings_of_one_instant_the_one_that_was_counted_last_stands() {
    let mut river = river("", &[10]);
    let now = 3_640;
    river.until(now);
    river.counted("rio-1", 80, (now, Some(3)));
    river.counted("rio-1", 10, (now, Some(7)));
    river.says_each((now + 20, now + 3_600, 20), "rio-1", 10);
    river.lines();
    river.recompute(0, now + 1_200);
    assert_eq!(river.lines(), [""; 0]);
}

#[test]
fn a_condition_that_was_an_absence_meanwhile_is_left_out() {
    let absence = on_readings_rule("").replace(r#""when": "level > 50""#, r#""absent_for": "2h""#);
    let mut river = self::river("", &[10, 80, 10]);
    assert_eq!(river.lines().len(), 2);
    river.late("rio-1", 80, 15);
    river.change("[]", &absence);
    river.change("[]", &on_readings_rule(""));
    river.recompute(0, 1_200);
    assert_eq!(river.lines(), [""; 0]);
}

#[test]
fn a_new_rule_on_readings_finds_final_what_late_ones_can_no_longer_change() {
    let other = on_readings_rule("").replace("high", "other").replace("> 50", "> 90");
    let both = format!("{},{}", &other[..other.len() - 1], &on_readings_rule("")[1..]);
    let mut river = Timeline::new("[]", &other);
    for at in (10..1_800).step_by(20) {
        river.says(at, "rio-1", if matches!(at, 890 | 1_490) { 80 } else { 10 });
    }
    river.change("[]", &both);
    river.recompute(0, 1_790);
    assert_eq!(river.lines(), ["high rio-1: inactive -> resolved at 910, found by a recompute"]);
    // That of 1,490 is not: it would be a second alert beside this one, which late data begins.
    river.late("rio-1", 80, 1_480);
    river.says_each((1_810, 3_600, 20), "rio-1", 10);
    assert_eq!(river.lines().len(), 2, "it fires and is over");
    river.recompute(0, 2_400);
    assert_eq!(river.lines(), ["high rio-1: resolved -> resolved at 1510, times changed by a recompute"]);
}

/// The episodes that stand after these steps: (began, raised, resolved) in seconds.
fn standing(rows: &[Transition]) -> Vec<(i64, i64, i64)> {
    let mut last: BTreeMap<_, &Transition> = BTreeMap::new();
    rows.iter().filter(|row| row.to != AlertState::Pending).for_each(|row| {
        last.insert(row.id, row);
    });
    let over =
        last.values().filter(|row| row.to == AlertState::Resolved && !row.reason.starts_with("merged"));
    let seconds = |at: Timestamp| at.0 / SECOND - 1_000_020;
    let mut episodes: Vec<_> = over
        .filter_map(|row| Some((seconds(row.began_at), seconds(row.raised_at?), seconds(row.resolved_at?))))
        .collect();
    episodes.sort_unstable();
    episodes
}

#[test]
fn after_a_recompute_the_same_alerts_stand_as_had_everything_come_in_time() {
    // A small generator of its own: levels that wander, and one of four readings comes too late.
    let mut state = 7_u64;
    let mut chance = move |of: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % of
    };
    let on_windows = ["", r#", "for": "2m""#, r#", "keep_firing_for": "90s""#, r#", "clear": "top < 30""#];
    let on_windows = on_windows.map(|rest| rule(&format!("{HIGH}{rest}")));
    let on_readings = [
        "",
        r#", "for": "1m""#,
        r#", "for": "30s", "stale_after": "25s""#,
        r#", "keep_firing_for": "50s""#,
        r#", "clear": "level < 30""#,
    ];
    let on_readings = on_readings.map(on_readings_rule);
    let mut found = 0;
    for (round, rule) in on_windows.iter().chain(&on_readings).cycle().take(54).enumerate() {
        let readings: Vec<(i64, i64, bool)> =
            (0..90).map(|n| (20 * n + 10, 20 + 10 * chance(6) as i64, chance(4) == 0)).collect();
        let mut whole = Timeline::new(MINUTE, rule);
        readings.iter().for_each(|(at, level, _)| whole.says(*at, "aire-1", *level));
        let mut late = Timeline::new(MINUTE, rule);
        readings.iter().filter(|r| !r.2).for_each(|(at, level, _)| late.says(*at, "aire-1", *level));
        for city in [&mut whole, &mut late] {
            city.says_each((1_810, 4_800, 10), "aire-1", 10);
        }
        let mut rows = late.rows();
        let before = standing(&rows);
        readings.iter().filter(|r| r.2).for_each(|(at, level, _)| late.late("aire-1", *level, *at));
        late.recompute(-600, 3_000);
        let steps = late.rows();
        assert!(steps.iter().all(|row| !row.notify));
        rows.extend(steps);
        let wanted = standing(&whole.rows());
        found += usize::from(before != wanted);
        assert_eq!(standing(&rows), wanted, "round {round}: {rule}");
        whole.recompute(-600, 3_000);
        assert_eq!(whole.lines(), [""; 0], "round {round}: nothing came too late");
        late.recompute(-600, 3_000);
        assert_eq!(late.lines(), [""; 0], "round {round}: a second time");
    }
    assert!(found > 35, "{found} rounds had something to mend");
}

#[test]
fn what_began_before_all_readings_are_there_is_not_judged() {
    let mut city = city(HIGH, &[10, 10, 80, 80, 10, 10, 10]);
    city.lines();
    city.late("aire-1", 80, 375);
    // The fold would see an episode that begins at 180, in the first window that is known.
    city.recompute_known_from(0, 1_200, 130);
    assert_eq!(city.lines(), ["high aire-1: inactive -> resolved at 480, found by a recompute"]);
    city.change(MINUTE, &rule(r#""when": "top > 500""#));
    city.recompute_known_from(0, 1_200, 130);
    assert_eq!(city.lines(), ["high aire-1: resolved -> inactive at 420, annulled by a recompute"]);
    city.recompute(0, 1_200);
    assert_eq!(city.lines(), ["high aire-1: resolved -> inactive at 180, annulled by a recompute"]);
}

#[test]
fn what_a_counter_gained_since_a_reading_that_nobody_looks_up_is_not_judged_again() {
    let day = 86_400;
    let windows = r#"[{"name": "minute", "size": "1h", "fields": {"top": "increase(level)"}}]"#;
    let mut city = Timeline::new(windows, &rule(HIGH));
    city.says(100, "aire-1", 0);
    for hour in 0..4 {
        city.says(day + 3_600 * hour + 1_000, "aire-1", 1_000 + hour);
    }
    city.until(day + 30_000);
    let told = city.lines();
    assert_eq!(told.len(), 2, "raised by the first hour of the day and resolved: {told:?}");
    city.recompute(200, day + 20_000);
    assert_eq!(city.lines(), [""; 0], "readings of a day before the range are known: it all stands");
    city.recompute(day + 200, day + 20_000);
    assert_eq!(city.lines(), [""; 0], "the reading that it was raised since lies further back");
}
