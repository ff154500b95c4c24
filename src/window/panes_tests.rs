//! Panes that rest, wake and are added up in blocks.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::window::slot::SlotKind;

fn pane(start: Timestamp, number: i64) -> Pane {
    let mut slots = [SlotKind::Sum, SlotKind::Extremes, SlotKind::Sketch].map(SlotKind::empty);
    slots.iter_mut().for_each(|slot| slot.add_value(number, 0));
    let mut feeds = FeedSet::default();
    feeds.add(number.unsigned_abs() as usize % 64);
    Pane { start, changed: number.unsigned_abs(), events: 1, feeds, slots: slots.into() }
}

fn all(panes: &Panes, range: (Timestamp, Timestamp)) -> Vec<Pane> {
    let mut shown = Vec::new();
    panes.each(range, &mut |pane| shown.push(pane.clone()));
    shown
}

fn merged(mut sum: Pane, pane: Pane) -> Pane {
    sum.merge(&pane);
    sum
}

#[test]
fn a_long_window_is_made_of_blocks() {
    let mut panes = Panes::default();
    let minute = |minute: i64| Timestamp(minute * 60 * SECOND);
    for at in 0..1_440 {
        panes.at(minute(at), || pane(minute(at), at));
    }
    panes.rest(|_| true);
    let length = Some(Span(36 * 60 * SECOND));
    let shown = |panes: &mut Panes, from, to| {
        let (mut parts, mut events) = (0, 0);
        panes.each_block((minute(from), minute(to)), length, &mut |pane| {
            parts += 1;
            events += pane.events;
        });
        (parts, events)
    };
    // The last block may still get a pane.
    assert_eq!(shown(&mut panes, 0, 1_440), (39 + 36, 1_440));
    assert_eq!(shown(&mut panes, 1, 1_439), (35 + 38 + 35, 1_438));
    panes.at(minute(720), || pane(minute(720), 0));
    assert_eq!(shown(&mut panes, 0, 1_440).1, 1_440);
    panes.forget(|start| start < minute(100));
    assert_eq!(shown(&mut panes, 0, 1_440).1, 1_340);
}

#[test]
fn a_pane_that_comes_behind_those_that_still_rest_is_in_its_block() {
    let mut panes = Panes::default();
    let sum = |panes: &mut Panes| {
        let mut events = 0;
        panes.each_block((Timestamp(0), Timestamp(12)), Some(Span(4)), &mut |pane| events += pane.events);
        events
    };
    for start in [4, 18] {
        panes.at(Timestamp(start), || pane(Timestamp(start), 0));
    }
    panes.rest(|_| true);
    // The block from 4 to 8 is remembered with one pane.
    assert_eq!(sum(&mut panes), 1);
    // The first of these wakes what lies behind the block, the second comes into it.
    for start in [8, 5] {
        panes.at(Timestamp(start), || pane(Timestamp(start), 0));
    }
    panes.rest(|_| true);
    assert_eq!(sum(&mut panes), 3);
}

proptest! {
    /// Against a plain map: what is counted, put to rest, woken and forgotten, in any order.
    #[test]
    fn panes_that_rest_are_the_same_panes(
        unit in prop::sample::select(vec![1, 7, SECOND, 60 * SECOND, 86_400 * SECOND, i64::MAX / 64]),
        steps in prop::collection::vec((0..4_u8, -30..30_i64, any::<i64>()), 1..80),
    ) {
        let (mut panes, mut plain) = (Panes::default(), BTreeMap::new());
        let (mut forgotten, mut rested) = (i64::MIN, i64::MIN);
        let block = Some(Span(unit.saturating_mul(4)));
        for (kind, place, value) in steps {
            let start = Timestamp(place * unit);
            match kind {
                // What was forgotten does not come again.
                0 | 1 if start.0 > forgotten => {
                    let value = value / 2;
                    let one = || pane(start, value);
                    panes.at(start, one).changed += 1;
                    plain.entry(start).or_insert_with(one).changed += 1;
                }
                2 => {
                    rested = rested.max(start.0);
                    panes.rest(|own| own.0 <= rested);
                }
                3 => {
                    forgotten = forgotten.max(start.0);
                    let last = panes.forget(|own| own.0 <= forgotten);
                    let kept = plain.split_off(&Timestamp(forgotten.saturating_add(1)));
                    prop_assert_eq!(last, plain.last_key_value().map(|(start, _)| *start));
                    plain = kept;
                }
                _ => {}
            }
            prop_assert_eq!(panes.starts().collect::<Vec<_>>(), plain.keys().copied().collect::<Vec<_>>());
            prop_assert_eq!(panes.first(), plain.keys().next().copied());
            let from = plain.range(start..).next().map(|(own, _)| *own);
            prop_assert_eq!(panes.from(start), from);
            let end = Timestamp(start.0.saturating_add(unit.saturating_mul(5)));
            prop_assert_eq!(
                all(&panes, (start, end)),
                plain.range(start..end).map(|(_, pane)| pane.clone()).collect::<Vec<_>>()
            );
            for panes_long in [5, 9, 30] {
                let end = Timestamp(start.0.saturating_add(unit.saturating_mul(panes_long)));
                let wanted = plain.range(start..end).map(|(_, pane)| pane.clone()).reduce(merged);
                let mut found = None;
                panes.each_block((start, end), block, &mut |pane| {
                    found = Some(match found.take() {
                        Some(sum) => merged(sum, pane.clone()),
                        None => pane.clone(),
                    });
                });
                prop_assert_eq!(found, wanted);
            }
        }
    }
}

#[test]
fn a_pane_that_rests_is_small() {
    let mut panes = Panes::default();
    for minute in 0..1_440 {
        let start = Timestamp((1_770_000_000 + 60 * minute) * SECOND);
        let changed = 9_000_000 + 600_000 * minute as u64;
        let one = |kind: SlotKind| {
            (0..6).fold(kind.empty(), |mut slot, at| {
                slot.add_value(23_400_000 + at * 100_000, 6);
                slot
            })
        };
        let slots = [one(SlotKind::Sum), one(SlotKind::Extremes)].into();
        let feeds = FeedSet::default();
        panes.at(start, || Pane { start, changed, events: 6, feeds, slots });
        panes.rest(|_| true);
    }
    assert_eq!(panes.open.len(), 0);
    let bytes = panes.resting.bytes.capacity();
    assert!(bytes <= 1_440 * 40, "{} bytes a pane", bytes / 1_440);
}
