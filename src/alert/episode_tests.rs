//! Episodes as timelines.

use super::*;

fn s(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000_000)
}

fn timing(hold: i64, keep: i64, stale: i64, no_data: NoData) -> Timing {
    Timing {
        hold: Span::seconds(hold),
        keep: Span::seconds(keep),
        stale: Stale::After(Span::seconds(stale)),
        no_data,
    }
}

fn met(met: Option<bool>) -> Mark {
    Mark::Verdict(Verdict { met, cleared: met.map(|met| !met) })
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

fn run_marks(timing: &Timing, marks: &[(i64, Mark)]) -> (Vec<Episode>, Fold) {
    let mut fold = Fold::default();
    let episodes = marks.iter().filter_map(|(at, mark)| fold.enter(s(*at), *mark, timing)).collect();
    (episodes, fold)
}

fn run(timing: &Timing, verdicts: &[(i64, Option<bool>)]) -> (Vec<Episode>, Fold) {
    let marks: Vec<(i64, Mark)> = verdicts.iter().map(|(at, said)| (*at, met(*said))).collect();
    run_marks(timing, &marks)
}

fn times(episodes: &[Episode]) -> Vec<(Timestamp, Timestamp, Option<Timestamp>)> {
    episodes.iter().map(|e| (e.began_at, e.raised_at, e.resolved_at)).collect()
}

fn raised_at(fold: &Fold) -> Option<Timestamp> {
    fold.firing().map(|episode| episode.raised_at)
}

#[test]
fn two_minutes_on_one_minute_windows_raise_at_the_third_in_a_row() {
    let timing = timing(120, 0, 60, NoData::Hold);
    let (_, mut fold) = run(&timing, &[(60, YES), (120, YES)]);
    fold.advance(s(180), &timing);
    assert_eq!(fold.firing(), None);
    let (_, fold) = run(&timing, &[(60, YES), (120, YES), (180, YES)]);
    assert_eq!(raised_at(&fold), Some(s(180)));
}

#[test]
fn a_missing_window_is_no_data_and_breaks_the_row() {
    let timing = timing(120, 0, 60, NoData::Hold);
    let (_, fold) = run(&timing, &[(60, YES), (120, YES), (240, YES)]);
    assert_eq!(fold.firing(), None);
}

#[test]
fn time_alone_raises_between_readings_while_the_verdict_stands() {
    let timing = timing(600, 0, 3_600, NoData::Hold);
    let (_, mut fold) = run(&timing, &[(0, YES)]);
    fold.advance(s(599), &timing);
    assert_eq!(fold.firing(), None);
    fold.advance(s(600), &timing);
    assert_eq!(raised_at(&fold), Some(s(600)));
}

#[test]
fn at_one_instant_the_verdict_decides_before_time_does() {
    let (over, fold) = run(&timing(600, 0, 3_600, NoData::Hold), &[(0, YES), (600, NO)]);
    assert!(over.is_empty() && fold.firing().is_none(), "not met at the very end of `for`");
    let (over, fold) = run(&timing(0, 60, 3_600, NoData::Hold), &[(0, YES), (10, NO), (70, YES)]);
    assert!(over.is_empty() && fold.firing().is_some(), "met at the very end of `keep_firing_for`");
}

#[test]
fn keep_firing_for_outlasts_a_dip_and_then_resolves() {
    let timing = timing(0, 120, 60, NoData::Hold);
    let (over, fold) = run(&timing, &[(0, YES), (60, NO), (120, YES)]);
    assert!(over.is_empty() && fold.firing().is_some());
    let (over, _) = run(&timing, &[(0, YES), (60, NO), (120, NO), (180, NO)]);
    assert_eq!(times(&over), [(s(0), s(0), Some(s(180)))]);
}

#[test]
fn a_verdict_after_an_end_by_time_begins_the_next_at_once() {
    let (over, fold) = run(&timing(0, 60, 3_600, NoData::Hold), &[(0, YES), (10, NO), (200, YES)]);
    assert_eq!(times(&over), [(s(0), s(0), Some(s(70)))]);
    assert_eq!(fold.firing().map(|e| (e.began_at, e.raised_at)), Some((s(200), s(200))));
}

#[test]
fn the_verdict_that_ends_an_episode_begins_none() {
    let both = Mark::Verdict(Verdict { met: YES, cleared: YES });
    let (over, fold) = run_marks(&timing(0, 0, 60, NoData::Hold), &[(0, met(YES)), (10, both)]);
    assert_eq!(times(&over), [(s(0), s(0), Some(s(10)))]);
    assert_eq!(fold.state, State::Inactive);
}

#[test]
fn no_data_holds_a_firing_alert_and_ends_the_wait_of_a_pending_one() {
    let (over, fold) = run(&timing(0, 0, 60, NoData::Hold), &[(0, YES), (60, None)]);
    assert!(over.is_empty() && fold.firing().is_some());
    let (_, fold) = run(&timing(90, 0, 60, NoData::Hold), &[(0, YES), (60, None), (100, YES)]);
    assert_eq!(fold.state, State::Pending { since: s(100), because: Because::Condition });
}

#[test]
fn a_silence_resolves_or_is_the_condition_as_the_rule_says() {
    let marks = [(0, met(YES)), (60, Mark::Silence)];
    let (over, fold) = run_marks(&timing(0, 0, 60, NoData::Hold), &marks);
    assert!(over.is_empty() && fold.firing().is_some());
    let (over, _) = run_marks(&timing(0, 30, 60, NoData::Resolve), &marks);
    assert_eq!(times(&over), [(s(0), s(0), Some(s(60)))]);
    assert_eq!(over[0].ended, Because::NoData);

    let alert = timing(30, 0, 60, NoData::Alert);
    let (_, mut fold) = run_marks(&alert, &[(0, met(NO)), (60, Mark::Silence)]);
    fold.advance(s(90), &alert);
    let firing = fold.firing().unwrap();
    assert_eq!((firing.began_at, firing.raised_at, firing.raised), (s(60), s(90), Because::NoData));
    assert_eq!(fold.enter(s(100), met(NO), &alert).map(|e| e.resolved_at), Some(Some(s(100))));
}

#[test]
fn a_silence_that_late_data_filled_counts_for_nothing() {
    let marks = [(0, met(YES)), (30, met(YES)), (60, Mark::Silence)];
    let (over, fold) = run_marks(&timing(0, 0, 60, NoData::Resolve), &marks);
    assert!(over.is_empty() && fold.firing().is_some());
    let at_once = [(0, met(YES)), (60, met(YES)), (60, Mark::Silence)];
    assert!(run_marks(&timing(0, 0, 60, NoData::Resolve), &at_once).0.is_empty());
}

#[test]
fn windows_without_data_do_not_break_a_silence() {
    let alert = timing(90, 0, 60, NoData::Alert);
    let marks = [(0, met(NO)), (30, met(None)), (60, met(None)), (60, Mark::Silence), (90, met(None))];
    let (_, mut fold) = run_marks(&alert, &marks);
    fold.advance(s(150), &alert);
    assert_eq!(fold.firing().map(|e| (e.began_at, e.raised_at)), Some((s(60), s(150))));
    let resolve = timing(0, 0, 60, NoData::Resolve);
    let marks = [(0, met(YES)), (30, met(None)), (60, Mark::Silence)];
    assert_eq!(times(&run_marks(&resolve, &marks).0), [(s(0), s(0), Some(s(60)))]);
}

#[test]
fn a_condition_met_until_the_silence_holds_without_a_break_when_silence_is_the_condition() {
    let alert = timing(90, 0, 60, NoData::Alert);
    let (_, mut fold) = run_marks(&alert, &[(0, met(YES)), (60, Mark::Silence)]);
    fold.advance(s(90), &alert);
    assert_eq!(fold.firing().map(|e| (e.began_at, e.raised_at)), Some((s(0), s(90))));
}

#[test]
fn after_a_change_the_first_verdict_with_data_decides() {
    let timing = timing(0, 600, 60, NoData::Hold);
    let (_, mut fold) = run(&timing, &[(0, YES)]);
    fold.change();
    assert_eq!(fold.enter(s(10), met(None), &timing), None);
    let mut holds = fold.clone();
    assert_eq!(holds.enter(s(20), met(YES), &timing), None);
    assert_eq!(holds.firing().map(|e| e.changes), Some(1));
    let over = fold.enter(s(20), met(NO), &timing).unwrap();
    assert_eq!((over.resolved_at, over.ended), (Some(s(20)), Because::RuleChanged));
}

#[test]
fn of_two_verdicts_at_one_instant_the_one_that_keeps_the_alert_stands() {
    let of = |met: Option<bool>, cleared: Option<bool>| Verdict { met, cleared }.rank();
    let in_order = [
        of(None, None),
        of(Some(false), None),
        of(Some(false), Some(true)),
        of(Some(false), Some(false)),
        of(Some(true), Some(true)),
        of(Some(true), Some(false)),
    ];
    assert!(in_order.is_sorted_by(|a, b| a < b));
}
