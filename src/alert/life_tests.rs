//! Lives as timelines: every sentence on the identity of alerts in `docs/reference/semantics.md`.

use super::super::episode::{Because, Stale};
use super::*;
use crate::model::Span;
use crate::model::definition::NoData;

const TIMING: Timing = Timing {
    hold: Span::ZERO,
    keep: Span::ZERO,
    stale: Stale::After(Span::seconds(3_600)),
    no_data: NoData::Hold,
};

fn s(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000_000)
}

/// Ids that can be read: the begin in seconds, and a thousand for each number.
fn id(at: Timestamp, number: u64) -> AlertId {
    AlertId(at.0 as u128 / 1_000_000_000 + 1_000 * u128::from(number))
}

fn said(met: bool) -> Verdict {
    Verdict { met: Some(met), cleared: Some(!met) }
}

fn seen(steps: &[Step]) -> Vec<(StepKind, u128)> {
    steps.iter().map(|step| (step.kind, step.id.0)).collect()
}

fn tell(life: &mut Life, at: i64, met: bool) -> Vec<(StepKind, u128)> {
    tell_by(life, at, met, &TIMING)
}

fn tell_by(life: &mut Life, at: i64, met: bool, timing: &Timing) -> Vec<(StepKind, u128)> {
    seen(&life.verdict(s(at), said(met), timing, &id).expect("not final"))
}

/// A life that was told these, in this order.
fn told(verdicts: &[(i64, bool)]) -> Life {
    let mut life = Life::default();
    for (at, met) in verdicts {
        tell(&mut life, *at, *met);
    }
    life
}

#[test]
fn raises_once_and_resolves_once() {
    let mut life = Life::default();
    assert!(tell(&mut life, 1, false).is_empty());
    assert_eq!(tell(&mut life, 2, true), [(StepKind::Raised, 2)]);
    assert!(tell(&mut life, 3, true).is_empty());
    assert_eq!(tell(&mut life, 4, false), [(StepKind::Resolved, 2)]);
    assert!(tell(&mut life, 5, false).is_empty());
    assert_eq!(tell(&mut life, 6, true), [(StepKind::Raised, 6)]);
}

#[test]
fn an_alert_that_never_was_is_annulled_and_if_it_was_after_all_raised_again() {
    let mut life = told(&[(2, true)]);
    assert_eq!(tell(&mut life, 2, false), [(StepKind::Annulled, 2)]);
    assert_eq!(tell(&mut life, 2, true), [(StepKind::RaisedAgain, 2)]);
    assert_eq!(tell(&mut life, 3, false), [(StepKind::Resolved, 2)]);
    assert_eq!(tell(&mut life, 2, false), [(StepKind::Annulled, 2)]);
    assert_eq!(tell(&mut life, 2, true), [(StepKind::RaisedAgain, 2), (StepKind::Resolved, 2)]);
}

#[test]
fn an_annulled_alert_is_not_raised_again_for_another_beginning() {
    let mut life = told(&[(2, true)]);
    tell(&mut life, 2, false);
    assert_eq!(tell(&mut life, 3, true), [(StepKind::Raised, 3)]);
    // 2 is true again: one episode from 2 on, and the alert that stands keeps its id.
    assert_eq!(tell(&mut life, 2, true), [(StepKind::Moved, 3)]);
}

#[test]
fn a_late_verdict_joins_two_episodes_into_the_earlier() {
    let mut life = told(&[(2, true), (3, false), (4, true)]);
    assert_eq!(tell(&mut life, 3, true), [(StepKind::Reopened, 2), (StepKind::Merged(AlertId(2)), 4)]);
}

#[test]
fn what_was_merged_stays_closed_when_the_episodes_part_again() {
    let mut life = told(&[(2, true), (3, false), (4, true), (3, true)]);
    assert_eq!(tell(&mut life, 3, false), [(StepKind::Resolved, 2), (StepKind::Raised, 1_004)]);
    assert_eq!(tell(&mut life, 3, true), [(StepKind::Reopened, 2), (StepKind::Merged(AlertId(2)), 1_004)]);
    assert_eq!(tell(&mut life, 3, false), [(StepKind::Resolved, 2), (StepKind::Raised, 2_004)]);
}

#[test]
fn a_late_verdict_splits_an_episode_and_the_later_part_is_new() {
    let mut life = told(&[(2, true), (4, true)]);
    assert_eq!(tell(&mut life, 3, false), [(StepKind::Resolved, 2), (StepKind::Raised, 4)]);
}

#[test]
fn a_later_part_that_begins_where_an_annulled_alert_began_is_that_one_again() {
    let mut life = told(&[(4, true)]);
    assert_eq!(tell(&mut life, 4, false), [(StepKind::Annulled, 4)]);
    assert_eq!(tell(&mut life, 2, true), [(StepKind::Raised, 2), (StepKind::Resolved, 2)]);
    assert_eq!(tell(&mut life, 4, true), [(StepKind::Reopened, 2)]);
    assert_eq!(tell(&mut life, 3, false), [(StepKind::Resolved, 2), (StepKind::RaisedAgain, 4)]);
}

#[test]
fn an_earlier_start_keeps_the_id_and_its_old_start_gives_another_alert_another_id() {
    let mut life = told(&[(4, true)]);
    assert_eq!(tell(&mut life, 2, true), [(StepKind::Moved, 4)]);
    // It splits, and the later part begins where the alert was first seen to begin.
    assert_eq!(tell(&mut life, 3, false), [(StepKind::Resolved, 4), (StepKind::Raised, 1_004)]);
}

#[test]
fn a_later_start_keeps_the_id() {
    let mut life = told(&[(2, true), (3, true)]);
    assert_eq!(tell(&mut life, 2, false), [(StepKind::Moved, 2)]);
    assert_eq!(life.open().map(|open| open.1.began_at), Some(s(3)));
}

#[test]
fn an_episode_that_comes_to_last_until_the_next_begins_is_one_with_it() {
    let timing = Timing { keep: Span::seconds(5), ..TIMING };
    let mut life = Life::default();
    for (at, met) in [(0, true), (5, false), (16, false)] {
        tell_by(&mut life, at, met, &timing);
    }
    assert_eq!(tell_by(&mut life, 22, true, &timing), [(StepKind::Raised, 22)]);
    assert_eq!(tell_by(&mut life, 9, true, &timing), [(StepKind::Moved, 0)]);
    let joined = [(StepKind::Reopened, 0), (StepKind::Merged(AlertId(0)), 22)];
    assert_eq!(tell_by(&mut life, 17, true, &timing), joined);
}

#[test]
fn one_verdict_can_tell_of_an_end_by_time_and_of_the_next_beginning() {
    let timing = Timing { keep: Span::seconds(60), ..TIMING };
    let mut life = Life::default();
    tell_by(&mut life, 0, true, &timing);
    tell_by(&mut life, 10, false, &timing);
    let steps = life.verdict(s(200), said(true), &timing, &id).unwrap();
    assert_eq!(seen(&steps), [(StepKind::Resolved, 0), (StepKind::Raised, 200)]);
    assert_eq!(steps[0].episode.resolved_at, Some(s(70)));
}

#[test]
fn of_several_verdicts_at_one_time_met_stands_in_whatever_order_they_come() {
    for verdicts in [[true, false], [false, true]] {
        let mut life = Life::default();
        for met in verdicts {
            life.one_of(s(1), (None, said(met)), &TIMING, &id);
        }
        life.one_of(s(1), (None, Verdict::NO_DATA), &TIMING, &id);
        assert_eq!(life.open().map(|open| open.0), Some(AlertId(1)));
    }
}

#[test]
fn of_several_verdicts_at_one_time_that_of_the_highest_counter_stands() {
    for verdicts in [[(Some(2), false), (None, true)], [(None, true), (Some(2), false)]] {
        let mut life = Life::default();
        for (counter, met) in verdicts {
            life.one_of(s(1), (counter, said(met)), &TIMING, &id);
        }
        assert_eq!(life.open(), None);
    }
}

#[test]
fn the_id_of_a_final_alert_is_not_taken_by_a_later_episode() {
    let mut life = told(&[(10, true), (2, true), (4, false)]);
    assert_eq!(life.open().map(|open| open.0), Some(AlertId(1_010)));
    tell(&mut life, 6, true);
    life.seal(s(5), false, &TIMING);
    let steps = tell(&mut life, 8, false);
    assert_eq!(steps.last().map(|step| step.1), Some(2_010));
}

#[test]
fn final_verdicts_no_longer_change() {
    let mut life = told(&[(2, true), (5, false)]);
    life.seal(s(5), false, &TIMING);
    assert_eq!(life.verdict(s(3), said(false), &TIMING, &id), None);
    assert_eq!(life.verdict(s(5), said(true), &TIMING, &id), None);
    assert_eq!(tell(&mut life, 7, true), [(StepKind::Raised, 7)]);
}

#[test]
fn an_open_alert_outlives_the_sealing_of_its_beginning() {
    let mut life = told(&[(2, true), (5, true)]);
    life.seal(s(5), false, &TIMING);
    assert_eq!(tell(&mut life, 7, false), [(StepKind::Resolved, 2)]);
    assert_eq!(tell(&mut life, 6, false), [(StepKind::Moved, 2)]);
}

#[test]
fn verdicts_beyond_the_bound_are_final() {
    let mut life = Life::default();
    for at in 0..=VERDICTS_KEPT_MAX as i64 {
        tell(&mut life, at * 10, at % 2 == 0);
    }
    assert_eq!(life.entries.len(), VERDICTS_KEPT_MAX);
    assert_eq!(life.verdict(s(0), said(false), &TIMING, &id), None);
    assert_eq!(tell(&mut life, 5, true), []);
    assert_eq!(tell(&mut life, 15, true), [(StepKind::Moved, 20)]);
}

#[test]
fn pending_is_told_and_dropped_or_raised_under_one_id() {
    let timing = Timing { hold: Span::seconds(10), ..TIMING };
    let mut life = Life::default();
    assert_eq!(tell_by(&mut life, 1, true, &timing), [(StepKind::Pending, 1)]);
    assert_eq!(tell_by(&mut life, 5, false, &timing), [(StepKind::Dropped, 1)]);
    assert_eq!(tell_by(&mut life, 6, true, &timing), [(StepKind::Pending, 6)]);
    assert_eq!(tell_by(&mut life, 16, true, &timing), [(StepKind::Raised, 6)]);
}

#[test]
fn a_silence_is_annulled_by_the_data_that_fills_it() {
    let timing = Timing { stale: Stale::After(Span::seconds(60)), no_data: NoData::Alert, ..TIMING };
    let mut life = Life::default();
    tell_by(&mut life, 0, false, &timing);
    assert_eq!(seen(&life.silence(s(60), &timing, &id)), [(StepKind::Raised, 60)]);
    assert_eq!(tell_by(&mut life, 30, false, &timing), [(StepKind::Annulled, 60)]);
    // Nothing came after 30 either.
    assert_eq!(seen(&life.silence(s(90), &timing, &id)), [(StepKind::Raised, 90)]);
    assert_eq!(tell_by(&mut life, 100, false, &timing), [(StepKind::Resolved, 90)]);
}

#[test]
fn a_silence_is_never_too_late() {
    let timing = Timing { stale: Stale::After(Span::seconds(60)), no_data: NoData::Alert, ..TIMING };
    let mut life = Life::default();
    tell_by(&mut life, 0, false, &timing);
    // Events without this quantity moved the watermark, and with it what is final, past the silence.
    life.seal(s(100), false, &timing);
    assert_eq!(seen(&life.silence(s(60), &timing, &id)), [(StepKind::Raised, 60)]);
    life.seal(s(200), false, &timing);
    assert_eq!(tell_by(&mut life, 300, false, &timing), [(StepKind::Resolved, 60)]);
}

#[test]
fn a_silence_stands_among_the_final_verdicts_without_data_after_it() {
    let timing = Timing {
        stale: Stale::After(Span::seconds(60)),
        no_data: NoData::Alert,
        keep: Span::seconds(100),
        ..TIMING
    };
    let mut life = Life::default();
    assert_eq!(tell_by(&mut life, 0, true, &timing), [(StepKind::Raised, 0)]);
    tell_by(&mut life, 50, false, &timing);
    let nothing = |life: &mut Life| life.one_of(s(200), (None, Verdict::NO_DATA), &timing, &id);
    assert_eq!(nothing(&mut life).map(|steps| seen(&steps)), Some(vec![(StepKind::Resolved, 0)]));
    life.seal(s(200), true, &timing);
    assert_eq!(nothing(&mut life), None, "what is kept is final");
    // At 110 it was firing still: it is not a second alert that begins before the first is over.
    assert_eq!(seen(&life.silence(s(110), &timing, &id)), [(StepKind::Reopened, 0)]);
}

#[test]
fn another_for_tells_no_pending_alert_a_second_time() {
    let timing = Timing { hold: Span::seconds(60), ..TIMING };
    let mut life = Life::default();
    assert_eq!(tell_by(&mut life, 2, true, &timing), [(StepKind::Pending, 2)]);
    life.change();
    let longer = Timing { hold: Span::seconds(90), ..TIMING };
    assert_eq!(tell_by(&mut life, 50, true, &longer), []);
    assert_eq!(tell_by(&mut life, 92, true, &longer), [(StepKind::Raised, 2)]);
}

#[test]
fn after_a_change_an_open_alert_goes_on_under_its_id_or_ends_with_that_cause() {
    let mut life = told(&[(2, true), (5, true)]);
    life.change();
    assert_eq!(life.verdict(s(4), said(false), &TIMING, &id), None, "what was judged before is final");
    let mut over = life.clone();
    assert_eq!(tell(&mut life, 6, true), [(StepKind::RuleChanged, 2)]);
    assert_eq!(tell(&mut life, 7, true), []);
    assert_eq!(tell(&mut life, 8, false), [(StepKind::Resolved, 2)]);
    let steps = over.verdict(s(6), said(false), &TIMING, &id).unwrap();
    assert_eq!(seen(&steps), [(StepKind::Resolved, 2)]);
    assert_eq!(steps[0].episode.ended, Because::RuleChanged);
}

#[test]
fn a_closed_life_resolves_what_was_open_and_says_nothing_more() {
    let mut life = told(&[(2, true)]);
    assert_eq!(seen(&life.close(s(9))), [(StepKind::Resolved, 2)]);
    assert_eq!(life.verdict(s(10), said(true), &TIMING, &id), None);
    assert!(life.close(s(11)).is_empty());
}

/// Whatever the order of verdicts, the alerts that stand are the episodes of the plain fold, no id
/// is raised twice, and every id's steps make one story.
#[test]
fn random_orders_end_in_the_same_episodes_and_no_id_is_raised_twice() {
    let mut random = 88_172_645_463_325_252_u64;
    let mut below = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    for _ in 0..600 {
        let span = |n| Span::seconds(n as i64);
        let no_data = [NoData::Hold, NoData::Resolve, NoData::Alert][below(3) as usize];
        let timing = Timing {
            hold: span(below(4)),
            keep: span(below(4)),
            stale: Stale::After(span(3 + below(5))),
            no_data,
        };
        let mut life = Life::default();
        let mut said_at = std::collections::BTreeMap::new();
        let mut story: std::collections::BTreeMap<AlertId, Vec<StepKind>> = Default::default();
        for _ in 0..40 {
            let at = below(20) as i64;
            let met = [Some(true), Some(false), None][below(3) as usize];
            let verdict = Verdict { met, cleared: met.map(|met| !met) };
            said_at.insert(at, verdict);
            for step in life.verdict(s(at), verdict, &timing, &id).unwrap() {
                story.entry(step.id).or_default().push(step.kind);
            }
        }
        let mut plain = Fold::default();
        let mut episodes: Vec<Episode> =
            said_at.iter().filter_map(|(at, v)| plain.enter(s(*at), Mark::Verdict(*v), &timing)).collect();
        episodes.extend(plain.firing());
        let alerts = life.told.iter().flat_map(|told| &told.alerts);
        let standing: Vec<Episode> = alerts.map(|alert| alert.episode).collect();
        assert_eq!(standing, episodes);
        for (id, steps) in story {
            one_story(id, &steps);
        }
    }
}

fn one_story(id: AlertId, steps: &[StepKind]) {
    use StepKind::{Annulled, Dropped, Merged, Moved, Pending, Raised, RaisedAgain, Reopened, Resolved};
    let mut raised = 0;
    let mut state = Dropped;
    for step in steps {
        let fits = match (state, *step) {
            (Dropped, Pending) | (Pending, Dropped) => true,
            // An annulled one can be pending, and dropped, before it is raised again.
            (Annulled, Pending) => raised > 0,
            (Dropped | Pending, Raised) => raised == 0,
            (Dropped | Pending | Annulled, RaisedAgain) => raised > 0,
            (Raised, Resolved | Moved | Annulled | Merged(_)) => true,
            (Resolved, Reopened | Moved | Annulled | Merged(_)) => true,
            _ => false,
        };
        assert!(fits, "{id}: {step:?} after {state:?} in {steps:?}");
        raised += u32::from(*step == Raised);
        state = match *step {
            Moved => state,
            RaisedAgain | Reopened => Raised,
            other => other,
        };
    }
}

#[test]
fn final_alerts_are_kept_for_a_recompute() {
    let mut life = told(&[(2, true), (5, false)]);
    assert_eq!(life.told.as_ref().map(|told| told.alerts.len()), Some(1));
    life.seal(s(5), false, &TIMING);
    let told = life.told.unwrap();
    assert_eq!(told.alerts, []);
    let kept: Vec<_> = told.annals.unwrap().alerts().map(|(name, episode)| (name.first, episode)).collect();
    assert_eq!(
        kept.iter().map(|(first, e)| (*first, e.resolved_at)).collect::<Vec<_>>(),
        [(s(2), Some(s(5)))]
    );
}
