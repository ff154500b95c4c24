//! Courses held as one against courses of one rule each: the same follows.

use std::sync::Arc;

use super::*;
use crate::alert::Stale;
use crate::flow::feeds::FeedClocks;
use crate::flow::moment::{Cause, Heard, Moment};
use crate::flow::rules::RulePlan;
use crate::model::time::SECOND;
use crate::model::{FeedId, Key, Span, Timestamp};
use crate::rule::Schema;

/// Rules over one number, with other times each; of `silent` ones a silence says something.
fn rules(limits: &[i64], silent: bool) -> Vec<RulePlan> {
    let schema = Schema::new().number("v").text("sensor");
    let compile = |(number, limit): (usize, &i64)| {
        let no_data = if silent && number % 3 == 2 { "alert" } else { "hold" };
        let rule = serde_json::json!({
            "name": format!("r{number}"), "on": "w", "when": format!("v > {limit}"), "severity": "info",
            "for": format!("{}s", number * 30), "keep_firing_for": format!("{}s", number % 2 * 90),
            "no_data": no_data, "title": {"es": "t", "en": "t"}, "message": {"es": "m", "en": "m"},
        });
        let times = (Stale::After(Span::seconds(90)), Span::seconds(5));
        let rule = serde_json::from_value(rule).unwrap();
        RulePlan::compile(&rule, &schema, &"p".into(), &["sensor".into()], times).unwrap()
    };
    limits.iter().enumerate().map(compile).collect()
}

fn guards(rules: &[RulePlan]) -> Guards {
    Guards::new(rules.iter().map(|rule| rule.guards(false)))
}

fn fresh(rules: &[RulePlan]) -> Bundle {
    Bundle::new(vec![Course::default(); rules.len()], |place| rules[place].is_plain())
}

/// Lets rules judge a value, and time pass to it.
fn judge(bundle: &mut Bundle, rules: &[RulePlan], at_s: i64, value: Option<f64>) -> usize {
    let row = Row { numbers: &[value], texts: &[Some("s")] };
    let (key, at) = (Key(["s".into()].into()), Timestamp(at_s * SECOND));
    let feeds = FeedClocks::default();
    let heard = Heard::now(FeedId::default(), &feeds);
    let mut steps = 0;
    if let Some(verdict) = bundle.part(&guards(rules), &row, |place| Some(rules[place].verdict(&row)))
        && let Some((place, course)) = bundle.common_mut()
    {
        let common = course.verdict(&rules[place], &key, (at, verdict), heard);
        assert!(common.is_none_or(|steps| steps.is_empty()), "nothing is met");
    }
    for (place, course) in bundle.own_mut() {
        let verdict = rules[place].verdict(&row);
        steps += course.verdict(&rules[place], &key, (at, verdict), heard).unwrap_or_default().len();
    }
    steps
}

fn pass(bundle: &mut Bundle, rules: &[RulePlan], to_s: i64, sealed_s: i64) {
    let key = Key(["s".into()].into());
    let (feeds, mut out) = (FeedClocks::default(), Vec::new());
    let cause = Cause { sequence: 1, arrived_at: Timestamp(to_s * SECOND) };
    let mut moment = Moment::new(cause, cause.arrived_at, &feeds, &mut out);
    let names: Vec<Arc<str>> = Vec::new();
    let seen = crate::flow::moment::Seen::default();
    for (place, course) in bundle.each_mut() {
        let evidence = seen.named(&names);
        let whose = crate::flow::course::Whose { rule: &rules[place], key: &key, evidence };
        course.pass(whose, (Timestamp(to_s * SECOND), Timestamp::MAX), &mut moment);
        course.seal(Timestamp(sealed_s * SECOND), &rules[place]);
    }
}

/// Values in order and late ones, gaps in the data, seals: a bundle holds what courses of one rule each do.
#[test]
fn what_is_kept_once_goes_on_as_if_each_rule_had_its_own() {
    let [many, alike, two] =
        [rules(&[10, 20, 20, 30, 40, 50, 60, 90], true), rules(&[9; 6], false), rules(&[20; 2], false)];
    for seed in 0..1_500_u64 {
        let rules = [&many, &alike, &two][seed as usize % 3];
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut draw = |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % limit
        };
        let (mut bundle, mut apart) = (fresh(rules), fresh(rules));
        for step in 1..60_i64 {
            let late = if draw(4) == 0 { 60 * draw(5) as i64 } else { 0 };
            let value = (draw(12) > 0).then(|| draw(110) as f64 / if seed % 2 == 0 { 1.0 } else { 5.0 });
            judge(&mut bundle, rules, 60 * step - late, value);
            apart.set_all_apart();
            judge(&mut apart, rules, 60 * step - late, value);
            if draw(2) == 0 {
                let sealed = 60 * (step - 4);
                pass(&mut bundle, rules, 60 * step, sealed);
                pass(&mut apart, rules, 60 * step, sealed);
                bundle.gather(|place| rules[place].is_plain());
            }
            assert!(bundle.is_of(rules.len()));
            assert_eq!(bundle.clone().take(), apart.clone().take(), "seed {seed}, step {step}");
        }
    }
}

#[test]
fn rules_that_say_the_same_have_one_course() {
    let limits: Vec<i64> = (0..1_000).map(|number| 100 + number).collect();
    let rules = rules(&limits, false);
    let mut bundle = fresh(&rules);
    let own = |bundle: &Bundle| bundle.each().count() - 1;
    for step in 0..100 {
        judge(&mut bundle, &rules, 60 * step, Some(99.0));
    }
    assert_eq!(own(&bundle), 0);
    // What has no data has none for all of them.
    judge(&mut bundle, &rules, 6_000, None);
    assert_eq!(own(&bundle), 0);
    // Seven are met, of which the first has no `for`.
    assert_eq!(judge(&mut bundle, &rules, 6_060, Some(106.5)), 7);
    assert_eq!(own(&bundle), 7);
    // Once what was met is final, nothing tells them from the rest but the two alerts that there were.
    for step in 102..110 {
        judge(&mut bundle, &rules, 60 * step, Some(99.0));
    }
    pass(&mut bundle, &rules, 6_540, 6_480);
    bundle.gather(|_| true);
    assert_eq!(own(&bundle), 2);
}

#[test]
fn where_every_rule_is_met_none_has_the_common_course() {
    let rules = rules(&[1, 2, 3, 4], false);
    let mut bundle = fresh(&rules);
    judge(&mut bundle, &rules, 60, Some(9.0));
    assert!(bundle.common_mut().is_none());
    assert_eq!(bundle.each().count(), 4);
    assert!(bundle.get(3).is_some() && bundle.get(4).is_none());
}

#[test]
fn whoever_changes_a_rules_course_changes_no_others() {
    let rules = rules(&[10, 20, 30, 40], false);
    let mut bundle = fresh(&rules);
    for place in [2, 0, 2] {
        let course = bundle.get_mut(place).unwrap();
        course.knows_from(Timestamp(60 * SECOND));
        let _ = course.begins();
    }
    assert!(bundle.get_mut(4).is_none() && bundle.get(4).is_none());
    assert!(bundle.is_of(4) && !bundle.is_empty());
    let begun = |bundle: &Bundle| [0, 1, 2, 3].map(|place| bundle.get(place).unwrap().has_begun());
    assert_eq!(begun(&bundle), [true, false, true, false]);
    let each: Vec<usize> = bundle.each().map(|one| one.0).collect();
    assert_eq!(each, [1, 0, 2], "the common one by the first rule that has it");
    // Two are one, two the other.
    bundle.gather(|_| true);
    assert_eq!(begun(&bundle), [true, false, true, false]);
    assert_eq!(begun(&Bundle::new(bundle.take(), |_| true)), [true, false, true, false]);
    assert!(bundle.is_empty() && bundle.is_of(0));
}

#[test]
fn a_bundle_that_is_of_other_rules_is_told() {
    let course = Course::default;
    let own = |places: &[u32]| places.iter().map(|place| (*place, course())).collect::<Vec<_>>();
    let of = |count: u32, common: bool, places: &[u32]| Bundle {
        count,
        common: common.then(|| Box::new(course())),
        own: own(places),
    };
    assert!(of(3, true, &[0, 2]).is_of(3) && of(3, true, &[]).is_of(3) && of(2, false, &[0, 1]).is_of(2));
    assert!(!of(3, true, &[0, 2]).is_of(4) && !of(4, true, &[0, 2]).is_of(3), "another number");
    assert!(!of(3, false, &[0, 2]).is_of(3) && !of(2, true, &[0, 1]).is_of(2), "one too few or too many");
    assert!(!of(3, true, &[2, 0]).is_of(3) && !of(3, true, &[1, 1]).is_of(3), "out of order");
    assert!(!of(3, true, &[1, 3]).is_of(3), "of a place that there is not");
}

/// An event that carries none of a rule's quantities says nothing to it, whoever's it is.
#[test]
fn a_rule_that_reads_numbers_is_guarded_by_them_on_readings() {
    let schema = Schema::new().number("v").text("sensor");
    let guards = |when: &str, on_readings: bool| {
        let rule = serde_json::json!({
            "name": "r", "on": "w", "when": when, "severity": "info",
            "title": {"es": "t", "en": "t"}, "message": {"es": "m", "en": "m"},
        });
        let times = (Stale::After(Span::seconds(90)), Span::seconds(5));
        let rule = serde_json::from_value(rule).unwrap();
        let plan = RulePlan::compile(&rule, &schema, &"p".into(), &["sensor".into()], times).unwrap();
        plan.guards(on_readings).iter().map(crate::rule::Guard::is_of_text).collect::<Vec<bool>>()
    };
    assert_eq!(guards("v > 5 AND sensor = 's'", false), [true, false]);
    assert_eq!(guards("v > 5 AND sensor = 's'", true), [false]);
    assert_eq!(guards("sensor = 's'", true), [true]);
}
