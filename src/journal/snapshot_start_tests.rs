//! Which snapshot a start takes, and that it goes on from all of it.

use super::*;
use crate::journal::snapshot::manifest::Manifest;

#[test]
fn a_snapshot_is_taken_only_if_it_joins_onto_the_journal() {
    let (city, _) = three_snapshots();
    let end = city.writer.next();
    let newest = |first, end| {
        let found = Restored::newest(&city.disk, &dir(), first, end).unwrap();
        found.map(|found| found.state.kept.epoch)
    };
    let older = newest(0, end - 1).unwrap();
    assert!(older < end, "the newest is of a journal that went further");
    assert_eq!([newest(0, end), newest(end, end)], [Some(end); 2]);
    assert_eq!(newest(older, end - 1), Some(older));
    assert_eq!(newest(older + 1, end - 1), None, "a gap lies between it and the journal");
    assert_eq!(newest(end + 1, end + 5), None);
}

#[test]
fn a_start_knows_what_was_kept_to_the_last_field() {
    let (city, _) = three_snapshots();
    let mut kept = restored(&city.disk, city.writer.next()).unwrap().state.kept;
    assert_eq!(kept, city.kept());
    let again = Sequencer::restored(Base::of(restored(&city.disk, city.writer.next()).unwrap()).1);
    assert_eq!(again.last_arrival(), Timestamp(city.now * SECOND));
    assert_eq!(again.kept(kept.epoch), kept);
    kept.feeds.retain(|feed| feed.devices == 4 && feed.latest == Some(Timestamp(902 * SECOND)));
    assert_eq!(kept.feeds.len(), 1);
}

#[test]
fn a_snapshot_without_its_runs_is_none() {
    let (mut city, _) = three_snapshots();
    let base = restored(&city.disk, city.writer.next()).map(|restored| Base::of(restored).0);
    let mut maker = city.maker(base);
    for path in city.memory.files().keys().filter(|path| path.extension().is_some_and(|of| of == "rings")) {
        city.disk.remove(path).unwrap();
    }
    city.sequencer.connected(&"feed-0".into(), true, Timestamp(city.now * SECOND + SECOND));
    city.append();
    assert_eq!(maker.make(city.kept()).unwrap(), 0, "no older one may be relied on");
    assert!(restored(&city.disk, city.writer.next()).is_none());
}

#[test]
fn a_manifest_under_the_name_of_another_epoch_is_none() {
    let (city, _) = three_snapshots();
    let end = city.writer.next();
    let (named, other) = (dir().join(manifest::file(end)), dir().join(manifest::file(end - 1)));
    assert!(Manifest::read(&*city.disk, &dir(), end).is_ok());
    if manifest::list(&*city.disk, &dir()).unwrap().contains(&(end - 1)) {
        city.disk.remove(&other).unwrap();
    }
    city.disk.rename(&named, &other).unwrap();
    assert!(matches!(Manifest::read(&*city.disk, &dir(), end - 1), Err(LogError::Damaged { .. })));
}

#[test]
fn snapshots_are_made_while_runs_are_merged_and_decide_as_the_journal_does() {
    let mut city = City::new();
    let mut maker = city.maker(None);
    let mut all: Vec<Said> = Vec::new();
    let mut merged = 0;
    for round in 0..40_i64 {
        let burst: Vec<Said> =
            (0..5).map(|device| (0, device * 300, 900 + round, None, vec![(0, 1)])).collect();
        city.say(&burst);
        all.extend(burst);
        maker.make(city.kept()).unwrap();
        let files = || city.disk.list(&dir()).unwrap();
        // A step or two between snapshots: each merge lasts several of them.
        for _ in 0..1 + round % 3 {
            merged += usize::from(!maker.merge_step().unwrap());
        }
        let end = city.writer.next();
        let decided = decisions(start(&city.disk, end, true), city.now + 1, &all).unwrap();
        assert_eq!(decided, decisions(start(&city.disk, end, false), city.now + 1, &all).unwrap(), "{round}");
        assert!(files().len() < 40, "{:?}", files());
    }
    maker.stop_merging();
    maker.make(city.kept()).unwrap();
    let named = Manifest::read(&*city.disk, &dir(), city.writer.next()).unwrap().runs;
    assert!(merged < 60 && named.len() < 12, "{merged} times nothing to merge, {} runs", named.len());
    assert!(named.windows(2).all(|two| two[0].to == two[1].from), "{named:?}");
    assert!(named.iter().any(|run| run.to > run.from + 3), "{named:?}");
}

#[test]
fn a_merge_that_is_given_up_leaves_no_file_and_snapshots_leave_it_its_own() {
    let (mut city, _) = three_snapshots();
    let base = restored(&city.disk, city.writer.next()).map(|restored| Base::of(restored).0);
    let mut maker = city.maker(base);
    city.say(&[(0, 1, 950, None, vec![(0, 1)])]);
    maker.make(city.kept()).unwrap();
    let files = || city.disk.list(&dir()).unwrap();
    let before = files();
    assert!(maker.merge_step().unwrap() && maker.merge_step().unwrap());
    let with_merge = files();
    assert_eq!(with_merge.len(), before.len() + 1);
    maker.make(city.kept()).unwrap();
    assert_eq!(files(), with_merge);
    maker.stop_merging();
    assert_eq!(files(), before);
}
