//! What a snapshot or a merge that failed has written is gone again: the disk may be full, and the
//! journal needs the room.

use super::*;
use crate::journal::snapshot::manifest::Manifest;

/// Everything that counts room beside the names, which are only appended to.
fn files(city: &City) -> Vec<String> {
    city.disk.list(&dir()).unwrap()
}

/// Every file that a manifest names, and the manifests.
fn named(city: &City) -> Vec<String> {
    let mut named = Vec::new();
    for epoch in manifest::list(&*city.disk, &dir()).unwrap() {
        let manifest = Manifest::read(&*city.disk, &dir(), epoch).unwrap();
        named.push(manifest::file(epoch));
        named.extend(manifest.runs.iter().map(run::RunName::file));
    }
    named.sort();
    named.dedup();
    named
}

/// A city on a disk that can be full, with so many snapshots, and as much again for the next one.
fn city(sim: &Arc<SimDisk>, snapshots: i64) -> (City, Maker) {
    let mut city = City::on(sim.mount());
    let mut maker = city.maker(None);
    for round in 0..=snapshots {
        city.say(&(0..60).map(|n| (0, n * 20, 900 + round, None, vec![(0, 1)])).collect::<Vec<Said>>());
        city.writer.file().sync().unwrap();
        if round < snapshots {
            maker.make(city.kept()).unwrap();
        }
    }
    (city, maker)
}

#[test]
fn a_run_that_could_not_be_written_is_gone_again() {
    let (mut short, mut whole) = (0, 0);
    for room in (0..3_000).step_by(20) {
        let sim = Arc::new(SimDisk::default());
        let (city, mut maker) = city(&sim, 1);
        let before = files(&city);
        sim.leave_room(Some(room));
        match maker.make(city.kept()) {
            Ok(_) => whole += 1,
            Err(_) => {
                // The run may be whole, and then the next maker removes it.
                let left = files(&city).into_iter().filter(|name| !before.contains(name)).count();
                assert!(left <= 1, "{left} files with room for {room} bytes");
                short += usize::from(left == 0);
                maker.again().unwrap();
                assert_eq!(files(&city), before, "room for {room} bytes");
            }
        }
        assert_eq!(files(&city), named(&city), "room for {room} bytes");
    }
    assert!(short > 20 && whole > 20, "{short} runs failed, {whole} snapshots were made");
}

#[test]
fn a_merge_that_could_not_be_written_leaves_nothing_behind() {
    let mut failed = 0;
    for room in (0..4_800).step_by(30) {
        let sim = Arc::new(SimDisk::default());
        let (city, mut maker) = city(&sim, 3);
        maker.make(city.kept()).unwrap();
        let before = files(&city);
        sim.leave_room(Some(room));
        if merge(&mut maker).is_err() {
            failed += 1;
            assert_eq!(files(&city), before, "room for {room} bytes");
        }
    }
    assert!((20..150).contains(&failed), "{failed} failed");
}

#[test]
fn a_start_removes_what_no_manifest_names() {
    let (city, _) = three_snapshots();
    let before = files(&city);
    for name in ["00000000000000000000-00000000000000000099.rings", "00000000000000000099.manifest.tmp"] {
        city.disk.open(&dir().join(name), true).unwrap().write_at(b"cut short", 0).unwrap();
    }
    let base = restored(&city.disk, city.writer.next()).map(|restored| Base::of(restored).0);
    city.maker(base);
    assert_eq!(files(&city), before);
}
