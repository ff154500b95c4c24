//! What a final past comes to when it is judged again: what moves, goes, is one, and by which name.

use super::*;
use crate::alert::annals::FINAL_KEPT_MAX;
use crate::alert::episode::{Because, Stale};
use crate::model::AlertId;
use crate::model::definition::NoData;

fn s(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000_000)
}

/// Ids that can be read: the begin in seconds, and a million for each number.
fn id(at: Timestamp, number: u64) -> AlertId {
    AlertId(at.0 as u128 / 1_000_000_000 + 1_000_000 * u128::from(number))
}

fn episode((began_at, resolved_at): (i64, i64)) -> Episode {
    Episode {
        began_at: s(began_at),
        raised_at: s(began_at),
        resolved_at: Some(s(resolved_at)),
        raised: Because::Condition,
        ended: Because::Condition,
        changes: 0,
    }
}

/// A life with these alerts, each named by its begin.
fn life(alerts: &[(i64, i64)]) -> Life {
    Life::of_alerts(alerts.iter().map(|alert| (s(alert.0), 0, episode(*alert))))
}

fn judge(life: &mut Life, judged: &[(i64, i64)]) -> Vec<(StepKind, u128)> {
    let judged: Vec<Episode> = judged.iter().copied().map(episode).collect();
    let range = (Timestamp::MIN, Timestamp::MAX);
    let as_judged = life.is_judged_as(&judged, range);
    let steps = life.judge_again(&judged, range, &id);
    assert_eq!(as_judged, steps.is_empty());
    assert!(life.is_judged_as(&judged, range), "and then it is so");
    steps.iter().map(|step| (step.kind, step.id.0)).collect()
}

#[test]
fn what_is_judged_the_same_stays_and_what_is_not_moves_goes_or_comes() {
    let mut life = life(&[(10, 20), (30, 40)]);
    assert_eq!(judge(&mut life, &[(10, 20), (30, 40)]), []);
    assert_eq!(judge(&mut life, &[(10, 25), (30, 40)]), [(StepKind::Moved, 10)]);
    assert_eq!(judge(&mut life, &[(10, 25)]), [(StepKind::Annulled, 30)]);
    assert_eq!(
        judge(&mut life, &[(10, 25), (30, 35), (50, 60)]),
        [(StepKind::Recorded, 30), (StepKind::Recorded, 50)],
        "what was annulled comes back by its name"
    );
}

#[test]
fn no_alert_takes_the_name_of_another_that_stands() {
    // Begun at 10 when it was raised, moved to 12 since.
    let mut one = Life::of_alerts([(s(10), 0, episode((12, 20)))]);
    assert_eq!(judge(&mut one, &[(10, 11), (12, 20)]), [(StepKind::Recorded, 1_000_010)]);
    let mut two = Life::of_alerts([(s(10), 0, episode((12, 20))), (s(10), 1, episode((22, 24)))]);
    assert_eq!(judge(&mut two, &[(10, 11), (12, 20), (22, 24)]), [(StepKind::Recorded, 2_000_010)]);
}

#[test]
fn the_name_of_an_alert_that_became_one_with_another_is_closed_for_ever() {
    let mut life = life(&[(10, 20), (30, 40)]);
    let joined = [(StepKind::Moved, 10), (StepKind::Merged(AlertId(10)), 30)];
    assert_eq!(judge(&mut life, &[(10, 40)]), joined);
    let parted = [(StepKind::Moved, 10), (StepKind::Recorded, 1_000_030)];
    assert_eq!(judge(&mut life, &[(10, 20), (30, 40)]), parted);
}

#[test]
fn of_a_time_whose_alerts_are_forgotten_nothing_is_judged() {
    let mut life = life(&[]);
    life.forget_past(s(50));
    let steps = life.judge_again(
        &[episode((10, 20)), episode((45, 55)), episode((60, 70))],
        (Timestamp::MIN, Timestamp::MAX),
        &id,
    );
    assert_eq!(steps.iter().map(|step| step.id.0).collect::<Vec<_>>(), [60]);
    let many: Vec<(i64, i64)> = (0..FINAL_KEPT_MAX as i64).map(|n| (10 * n, 10 * n + 5)).collect();
    let mut full = self::life(&many);
    assert_eq!(judge(&mut full, &many[1..]), [(StepKind::Annulled, 0)], "all are known");
    let mut full = self::life(&many);
    let last = 10 * FINAL_KEPT_MAX as i64;
    full.told().annals().add(Name { first: s(last), number: 0 }, episode((last, last + 5)));
    let steps = full.judge_again(&[], (Timestamp::MIN, s(20)), &id);
    assert_eq!(steps.iter().map(|step| step.id.0).collect::<Vec<_>>(), [10], "the oldest is forgotten");
}

#[test]
fn what_is_closed_for_good_is_not_judged_again() {
    let mut life = life(&[(10, 20)]);
    life.close(s(30));
    assert_eq!(judge(&mut life, &[(40, 50)]), []);
}

#[test]
fn of_several_verdicts_of_an_instant_the_one_of_the_highest_counter_stands() {
    let timing = Timing {
        hold: Span(0),
        keep: Span(0),
        stale: Stale::After(Span::seconds(100)),
        no_data: NoData::Hold,
    };
    let met = |met| Verdict { met: Some(met), cleared: Some(!met) };
    let judged = |said: &[(i64, Option<u64>, bool)]| {
        let mut inquiry = Inquiry::default();
        said.iter().for_each(|(at, counter, is)| inquiry.one_of(s(*at), (*counter, met(*is)), &timing));
        let episodes = inquiry.episodes(s(50), &timing);
        episodes.iter().map(|e| (e.began_at, e.resolved_at)).collect::<Vec<_>>()
    };
    let raised = [(s(10), Some(s(20)))];
    assert_eq!(judged(&[(10, Some(1), false), (10, Some(2), true), (20, None, false)]), raised);
    assert_eq!(judged(&[(10, Some(1), true), (10, Some(2), false), (20, None, false)]), []);
    assert_eq!(judged(&[(10, None, true), (10, None, false), (20, None, false)]), raised, "met stands");
    assert_eq!(judged(&[(10, None, true)]), [(s(10), None)]);
}
