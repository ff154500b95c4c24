//! How much of a checkpoint is written at once, and when it is handed over.

use super::*;
use crate::flow::testing::{feed, message, pipeline};
use crate::journal::Sequencer;
use crate::model::Timestamp;
use crate::model::key::KEY_GROUPS;
use crate::model::time::SECOND;

/// More than are written at once after the longest rest, fewer than twice as many.
const SENSORS: usize = 4_000;
const LONG: Duration = Duration::from_secs(3_600);

/// The only worker, and a batch in which each sensor was heard.
fn folder() -> (Folder, Batch) {
    let at = Timestamp(1_000_000 * SECOND);
    let mut sequencer = Sequencer::default();
    sequencer.configure(vec![feed(0), pipeline(3)], at);
    sequencer.accept((0..SENSORS).map(|sensor| message(sensor, 1_000_000, 1, at)).collect(), at);
    let mut batches: Vec<Batch> = sequencer.take().into_iter().map(|finished| finished.batch).collect();
    let last = batches.pop().unwrap();
    let mut fold = Interpreter::new(0, 1);
    batches.iter().for_each(|batch| drop(fold.apply(batch)));
    (Folder::new(fold, Parts::default()), last)
}

fn request(next: u64) -> Request {
    Request { next, period: next as u32 + 2, since: vec![None; KEY_GROUPS] }
}

fn given(batch: Option<&Batch>, next: Option<u64>) -> Given {
    Given { batch: batch.cloned(), past: Vec::new(), request: next.map(request) }
}

/// The checkpoints that are handed over, with their keys.
fn handed_over(folder: &Folder) -> Vec<(u64, u64)> {
    let keys = |part: &Result<Part, StateError>| -> u64 {
        part.as_ref().unwrap().groups.iter().map(|group| group.keys).sum()
    };
    lock(&folder.parts).iter().map(|(next, parts)| (*next, parts.iter().map(keys).sum())).collect()
}

#[test]
fn a_checkpoint_is_written_in_so_many_keys_after_each_rest() {
    let (mut folder, batch) = folder();
    assert_eq!(folder.go_on(), None, "nothing is under way");
    for next in [1, 2] {
        folder.answer(&given(Some(&batch), Some(next)));
        // It rests, and is looked at again once, however often batches come meanwhile.
        folder.left = Instant::now() + LONG;
        assert_eq!(folder.go_on(), Some(EFFORT_REST));
        assert_eq!(folder.go_on(), None);
        assert!(folder.fold.is_saving());
        // After a rest, and after one of any length, a part of it is written, and then it rests again.
        for rest in [1, 1_000] {
            let now = Instant::now();
            folder.left = now.checked_sub(EFFORT_REST * rest).unwrap();
            assert_eq!(folder.go_on(), Some(EFFORT_REST));
            assert!(folder.fold.is_saving() && folder.left >= now);
        }
        folder.left = Instant::now().checked_sub(EFFORT_REST * 1_000).unwrap();
        folder.go_on();
        let (last, keys) = *handed_over(&folder).last().unwrap();
        assert_eq!(last, next);
        assert!(keys > SENSORS as u64, "{keys} keys, those of zones among them");
        assert_eq!(folder.go_on(), None);
    }
}

#[test]
fn a_checkpoint_under_way_is_handed_over_before_the_next_begins_and_at_the_end() {
    let (mut folder, batch) = folder();
    let begun = |answer: Answer| (answer.batch, answer.checkpoint);
    let checkpoints = |folder: &Folder| handed_over(folder).iter().map(|one| one.0).collect::<Vec<u64>>();
    assert_eq!(begun(folder.answer(&given(Some(&batch), Some(1)))), (true, Some(1)));
    assert_eq!(begun(folder.answer(&given(Some(&batch), None))), (true, None));
    assert_eq!(checkpoints(&folder), [0; 0]);
    assert_eq!(begun(folder.answer(&given(Some(&batch), Some(2)))), (true, Some(2)));
    assert_eq!(checkpoints(&folder), [1]);
    assert_eq!(begun(folder.answer(&given(None, None))), (false, None));
    assert_eq!(checkpoints(&folder), [1, 2]);
    // The one of the end is whole at once.
    assert_eq!(begun(folder.answer(&given(None, Some(3)))), (false, Some(3)));
    assert_eq!(checkpoints(&folder), [1, 2, 3]);
}

#[test]
fn a_part_says_the_longest_time_that_it_took_at_a_stretch() {
    let (mut folder, batch) = folder();
    folder.pause = LONG;
    folder.answer(&given(Some(&batch), Some(1)));
    folder.answer(&given(None, None));
    folder.answer(&given(Some(&batch), Some(2)));
    folder.pause = LONG;
    folder.answer(&given(None, None));
    let took: Vec<Duration> =
        lock(&folder.parts).values().flatten().map(|part| part.as_ref().unwrap().took).collect();
    assert!(Duration::ZERO < took[0] && took[0] < LONG, "{took:?}");
    assert_eq!(took[1], LONG);
}

#[test]
fn a_checkpoint_is_whole_with_the_parts_of_all_workers_and_what_is_before_it_published() {
    let parts = Parts::default();
    let add = |next: u64| lock(&parts).entry(next).or_default().push(Ok(Part::default()));
    let taken = |published: u64| whole(&parts, 2, |next| next <= published).map(|one| one.0);
    add(7);
    add(9);
    add(9);
    assert_eq!(taken(9), None, "the first one has a part");
    add(7);
    assert_eq!(taken(6), None);
    assert_eq!(taken(8), Some(7));
    assert_eq!(taken(8), None);
    assert_eq!(taken(9), Some(9));
    assert_eq!(taken(9), None);
}
