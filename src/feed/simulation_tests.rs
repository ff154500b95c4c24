//! The whole core in a simulated world: seeded, in one thread, on a virtual clock and a disk that
//! tears. From the wire to the results log and its readers, every step is the service's own; where
//! a crash falls, which sectors survive it and what the broker sends again follows from the seed,
//! which a failure prints.
//!
//! `SERENO_SEEDS=n` runs so many seeds, `SERENO_SEED=s` the one (`make simulate`).

mod broker;
mod core;
mod devices;
mod oracle;
mod plain;
mod reader;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use self::plain::Plain;
use self::world::{End, Weather, World};
use crate::journal::testing::{Chance, Loss};
use crate::model::crash::Point;
use crate::model::{ResultRow, Span};

/// Seeds in `make test`.
const SEEDS: u64 = 200;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value}: no number")))
}

/// Runs one seed after another; the one that fails is printed.
fn each_seed(name: &str, run: impl Fn(u64)) {
    let seeds = match setting("SERENO_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..setting("SERENO_SEEDS").unwrap_or(SEEDS) + 1,
    };
    for seed in seeds {
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("{name}: seed {seed} failed; again with SERENO_SEED={seed}");
            resume_unwind(failure);
        }
    }
}

fn one_seed(seed: u64) {
    let mut world = World::new(seed);
    let lives = 2 + world.chance.below(4);
    for _ in 0..lives {
        let every = |chance: &mut Chance, of: [u64; 3]| of[chance.below(3)];
        let weather = Weather {
            wire_breaks: every(&mut world.chance, [0, 100, 400]),
            disk_fills: every(&mut world.chance, [0, 0, 150]),
            sync_fails: every(&mut world.chance, [0, 0, 600]),
            clock_jumps: every(&mut world.chance, [0, 0, 300]),
        };
        let steps = 100 + world.chance.below(3_000);
        let mut points = world.chance.part(4);
        let crash_once_in = [50, 500, u64::MAX][world.chance.below(3)];
        let end = world.live(steps, weather, move |_| points.once_in(crash_once_in));
        let loss = [Loss::Process, Loss::Power, Loss::Power, Loss::Everything][world.chance.below(4)];
        if setting("SERENO_SEED").is_some() {
            eprintln!(
                "{steps} steps, {weather:?}, {end:?}, {loss:?}, {:?}, {} segments collected",
                world.oracle, world.collected
            );
        }
        world.die(loss);
    }
    world.settle();
}

#[test]
fn a_crash_at_any_step_of_any_seed_changes_nothing() {
    each_seed("simulation", one_seed);
}

#[test]
fn a_start_folds_no_more_than_the_bound_of_snapshots() {
    let (mut most, mut batch) = (0, 0);
    for seed in 1..60 {
        let mut world = World::new(seed);
        for _ in 0..4 {
            world.live(4_000, Weather::default(), |_| false);
            let loss = [Loss::Process, Loss::Power, Loss::Everything][world.chance.below(3)];
            world.die(loss);
        }
        world.settle();
        let records = |batch: &crate::model::Batch| batch.records.len() as u64;
        batch = batch.max(world.oracle.archive.iter().map(records).max().unwrap_or(0));
        most = most.max(world.folded_max.records);
    }
    let bound = core::SNAPSHOTS.behind_max.records;
    assert!(most < bound + batch, "{most} records were folded, with {batch} in a batch");
    assert!(most > bound / 2, "the bound was never near: {most}");
}

#[test]
fn every_crash_point_of_the_core_is_visited_and_changes_nothing() {
    const CORE: [Point; 19] = [
        Point::JournalAppended,
        Point::JournalTold,
        Point::JournalSynced,
        Point::JournalMarked,
        Point::JournalDurable,
        Point::SegmentEnded,
        Point::SegmentNamed,
        Point::SegmentBegun,
        Point::ResultsAppended,
        Point::CheckpointResultsSynced,
        Point::CheckpointWritten,
        Point::CheckpointNamed,
        Point::CheckpointKept,
        Point::SnapshotRunWritten,
        Point::SnapshotWritten,
        Point::SnapshotNamed,
        Point::SegmentRemoved,
        Point::FeedAcknowledging,
        Point::FeedAcknowledged,
    ];
    let mut visited = BTreeSet::new();
    for (seed, wanted) in (0..).zip(CORE) {
        for loss in [Loss::Process, Loss::Power, Loss::Everything] {
            let mut world = World::new(seed);
            world.shape.segment_bytes_max = 600;
            world.oracle = oracle::Oracle::new(world.shape);
            for nth in 1..4 {
                let mut left = nth * 2;
                let crash = move |point| {
                    left -= i32::from(point == wanted);
                    left <= 0 && point == wanted
                };
                if let End::Crashed(point) = world.live(3_000, Weather::default(), crash) {
                    visited.insert(point);
                }
                world.die(loss);
            }
            world.settle();
        }
    }
    assert_eq!(visited, BTreeSet::from(CORE));
}

#[test]
fn thirty_days_of_restarts_and_collection_change_nothing() {
    let mut world = World::new(30);
    world.shape.segment_bytes_max = 4_000;
    world.oracle = oracle::Oracle::new(world.shape);
    for day in 0..30 {
        // Visitors of one day: their names outlive the segments that brought them, and on the last
        // days they come again.
        world.devices.present = match day {
            10..28 => 0..4,
            28.. => 0..8,
            _ => day..day + 4,
        };
        let went_on_from = world.day(Span::seconds(2 * 86_400), 0..0);
        let epochs = world.oracle.archive.len() as u64;
        assert!(day < 2 || went_on_from + 50 > epochs, "from {went_on_from} of {epochs}: no checkpoint");
        world.die([Loss::Process, Loss::Power, Loss::Everything][day % 3]);
    }
    world.settle();
    let files = world.disk.files().len();
    assert!(world.collected > 200, "{} segments collected", world.collected);
    assert!(files < 150, "{files} files are left");
    // The same once more by plain lists, which no part of the engine has made.
    let plain = Plain::of(&world.oracle.archive, &world.oracle.dictionary);
    plain.check_accounts();
    let (minutes, zones, too_late) = plain.check_windows(world.rows());
    assert!(minutes > 3_000 && zones > 10_000 && too_late > 50, "{minutes} {zones} {too_late}");
    // Names are never retired: those of visitors that left after a day have their ids still.
    assert_eq!(world.oracle.dictionary.devices().len(), 3 * 13);
}

#[test]
fn after_an_outage_of_hours_a_backlog_in_order_loses_nothing() {
    for seed in 1..6 {
        let mut world = World::new(seed);
        world.devices.calm = true;
        world.day(Span::seconds(86_400 * 30), 9..11 + seed as i64);
        world.die(Loss::Process);
        world.settle();
        // Every reading stands in its sensor's window: the last revisions count them all.
        let mut counts = BTreeMap::new();
        for row in world.rows() {
            if let ResultRow::Aggregate(row) = row
                && &*row.plan.window == "minute"
            {
                counts.insert((row.key.clone(), row.start), row.count);
            }
        }
        assert_eq!(counts.values().sum::<u64>(), world.oracle.stored(), "seed {seed}");
    }
}
