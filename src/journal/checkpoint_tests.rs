//! Checkpoints on a disk that tests can look into and break.

use std::time::Duration;

use proptest::prelude::*;

use super::begin::Beginning;
use super::plan::Plan;
use super::*;
use crate::flow::interpreter::order;
use crate::flow::past::Past;
use crate::flow::testing::{Action, action, journal, names, one_goes_on};
use crate::flow::{Engine, Interpreter, Tally};
use crate::journal::ends::Ends;
use crate::journal::log::{LogKind, LogWriter};
use crate::journal::memory_disk::MemoryDisk;
use crate::journal::results::ResultsError;
use crate::journal::sequencer::SharedDictionary;
use crate::journal::testing::{Chance, Loss, SimDisk};
use crate::journal::{BatchReader, Clock, Holders, Progress, ResultReader, SystemClock, batch_codec};
use crate::model::crash::testing::until_crash;
use crate::model::{Batch, ResultRow};

const SEGMENT_BYTES_MAX: u64 = 64 * 1024;

/// A journal on a disk, and what follows from it.
struct World {
    disk: Arc<MemoryDisk>,
    batches: Vec<Batch>,
    names: SharedDictionary,
}

impl World {
    fn new(actions: &[Action]) -> Self {
        let disk = Arc::new(MemoryDisk::default());
        let batches = journal(actions);
        let mut log =
            LogWriter::open(disk.clone(), Path::new("journal"), LogKind::Journal, SEGMENT_BYTES_MAX).unwrap();
        for batch in &batches {
            log.append(&batch_codec::encode(batch)).unwrap();
        }
        let names = names(&batches);
        Self { disk, batches, names: SharedDictionary::new(names.into()) }
    }

    fn end(&self) -> u64 {
        self.batches.len() as u64
    }

    fn begin_on(&self, disk: Arc<dyn Disk>, workers: usize) -> Result<Begun, BeginError> {
        Beginning {
            disk: &disk,
            checkpoints: Path::new("checkpoints"),
            journal: Path::new("journal"),
            written: self.end(),
            results: Path::new("results"),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            names: &self.names,
            workers,
        }
        .begin()
    }

    fn begin(&self, workers: usize) -> Begun {
        self.begin_on(self.disk.clone(), workers).unwrap()
    }

    /// Folds and publishes up to epoch `to`; what is published twice is compared.
    fn go_on(&self, begun: &mut Begun, to: u64) -> Result<(), ResultsError> {
        for epoch in begun.next..to {
            let rows = self.apply(&mut begun.folds, &self.batches[epoch as usize]);
            begun.results.publish(&rows)?;
        }
        begun.next = begun.next.max(to);
        Ok(())
    }

    /// All rows of the results log.
    fn rows(&self, disk: Arc<dyn Disk>) -> Vec<ResultRow> {
        let mut reader = ResultReader::new(disk.clone(), Path::new("results"), 0);
        let end = LogWriter::open(disk, Path::new("results"), LogKind::Results, u64::MAX).unwrap();
        first_plans(std::iter::from_fn(|| reader.next(end.next()).unwrap()).flat_map(|(_, rows)| rows))
    }

    /// The rows of one fold over the whole journal.
    fn expected(&self) -> Vec<ResultRow> {
        let mut folds = vec![Interpreter::new(0, 1)];
        first_plans(self.batches.iter().flat_map(|batch| self.apply(&mut folds, batch)))
    }

    /// The rows of a batch, with what its recomputes are about.
    fn apply(&self, folds: &mut [Interpreter], batch: &Batch) -> Vec<ResultRow> {
        let mut past = Past::asked_by(batch);
        past.iter_mut().for_each(|past| self.batches.iter().for_each(|batch| past.gather(batch)));
        let mut rows: Vec<ResultRow> =
            folds.iter_mut().flat_map(|fold| fold.apply_with(batch, &past)).collect();
        order(&mut rows);
        rows
    }
}

/// The rows with each plan once: a segment of the results log begins with all plans.
fn first_plans(rows: impl Iterator<Item = ResultRow>) -> Vec<ResultRow> {
    let mut known = BTreeSet::new();
    rows.filter(|row| !matches!(row, ResultRow::Plan(_, plan) if !known.insert(plan.hash))).collect()
}

/// Writes a checkpoint of what was begun.
fn take(begun: &mut Begun, plan: &mut Plan) {
    try_take(begun, plan).unwrap();
}

fn try_take(begun: &mut Begun, plan: &mut Plan) -> Result<(), CheckpointError> {
    let request = plan.request(begun.next);
    let parts: Vec<Part> = begun.folds.iter_mut().map(|fold| fold.save(&request).unwrap()).collect();
    begun.results.unsynced().sync().unwrap();
    let taken = Taken { next: begun.next, parts, results: begun.results.position().clone() };
    begun.checkpoints.write(&taken)?;
    plan.written(request.period, &taken.parts);
    Ok(())
}

/// A world with checkpoints at these epochs, its results published to the end.
fn with_checkpoints(at: &[u64]) -> World {
    let world = World::new(&one_goes_on());
    let mut begun = world.begin(2);
    let mut plan = Plan::new(None);
    for epoch in at {
        world.go_on(&mut begun, *epoch).unwrap();
        take(&mut begun, &mut plan);
    }
    world.go_on(&mut begun, world.end()).unwrap();
    world
}

#[test]
fn a_start_goes_on_from_the_latest_checkpoint_with_any_number_of_workers() {
    let world = with_checkpoints(&[60, 100, 130]);
    for workers in [1, 2, 3] {
        let mut begun = world.begin(workers);
        assert_eq!((begun.next, begun.folds.len()), (130, workers));
        world.go_on(&mut begun, world.end()).unwrap();
    }
    assert_eq!(world.rows(world.disk.clone()), world.expected());
}

#[test]
fn two_checkpoints_are_kept_and_the_files_they_name() {
    let world = with_checkpoints(&(60..100).collect::<Vec<_>>());
    let files = world.disk.files();
    let names: Vec<String> = files
        .keys()
        .filter(|path| path.starts_with("checkpoints"))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let of = |kind: &str| names.iter().filter(|name| name.ends_with(kind)).count();
    assert_eq!((of(".manifest"), of(".delta")), (2, 2), "{names:?}");
    assert!(of(".base") <= 18, "no base is older than sixteen checkpoints: {names:?}");
    assert_eq!(of(".manifest") + of(".delta") + of(".base"), names.len(), "{names:?}");
    let begun = world.begin(1);
    let kept: Vec<u64> = begun.checkpoints.kept().iter().map(|manifest| manifest.next).collect();
    assert_eq!(kept, [99, 98]);
}

/// Begins on a disk with one file changed; the epoch it goes on from, `None` when refused.
fn begin_with(world: &World, path: &Path, content: Option<Vec<u8>>) -> Option<u64> {
    let mut files = world.disk.files();
    match content {
        Some(content) => files.insert(path.to_owned(), content),
        None => files.remove(path),
    };
    let begun = world.begin_on(MemoryDisk::with(files), 2);
    begun.map(|begun| begun.next).ok()
}

#[test]
fn a_damaged_file_costs_at_most_the_checkpoints_that_need_it() {
    let world = with_checkpoints(&[100, 115, 130]);
    let files = world.disk.files();
    for (path, whole) in files.iter().filter(|(path, _)| path.starts_with("checkpoints")) {
        let name = path.file_name().unwrap().to_string_lossy();
        let number: u64 = name.split('.').next().unwrap().parse().unwrap();
        // Every base was written anew with the latest one, so it needs nothing of the others.
        let goes_on = if number == 2 { 115 } else { 130 };
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            let next = begin_with(&world, path, Some(damaged)).unwrap();
            assert_eq!(next, goes_on, "{name}, byte {at}");
        }
        for length in 0..whole.len() {
            let next = begin_with(&world, path, Some(whole[..length].to_vec())).unwrap();
            assert_eq!(next, goes_on, "{name}, cut to {length}");
        }
        let next = begin_with(&world, path, None).unwrap();
        assert_eq!(next, goes_on, "{name} is gone");
    }
}

#[test]
fn damage_that_both_checkpoints_need_leads_back_to_the_journals_beginning() {
    let world = with_checkpoints(&[100, 130]);
    let path = PathBuf::from(format!("checkpoints/{:020}.base", 0));
    let whole = world.disk.files()[&path].clone();
    let goes_on = |at: usize| {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        begin_with(&world, &path, Some(damaged)).unwrap()
    };
    let seen: BTreeSet<u64> = (0..whole.len()).step_by(20).map(goes_on).collect();
    assert!(seen.contains(&0) && seen.iter().all(|next| [0, 130].contains(next)), "{seen:?}");
}

#[test]
fn what_goes_on_after_damage_publishes_the_same() {
    let world = with_checkpoints(&[100, 115, 130]);
    let files = world.disk.files();
    for path in files.keys().filter(|path| path.starts_with("checkpoints")) {
        let mut files = files.clone();
        files.get_mut(path).unwrap()[40] ^= 4;
        let disk = MemoryDisk::with(files);
        let mut begun = world.begin_on(disk.clone(), 3).unwrap();
        // Where a folder is damaged, new checkpoints heal it.
        let mut plan = Plan::new(begun.checkpoints.kept().first());
        world.go_on(&mut begun, 150).unwrap();
        take(&mut begun, &mut plan);
        world.go_on(&mut begun, world.end()).unwrap();
        assert_eq!(world.rows(disk.clone()), world.expected());
        let mut begun = world.begin_on(disk, 1).unwrap();
        assert_eq!(begun.next, 150, "{path:?}");
        world.go_on(&mut begun, world.end()).unwrap();
    }
}

#[test]
fn without_a_checkpoint_a_journal_that_lost_its_beginning_is_refused() {
    let world = with_checkpoints(&[100, 130]);
    let mut files = world.disk.files();
    let first = PathBuf::from(format!("journal/{:020}.log", 0));
    let later = PathBuf::from(format!("journal/{:020}.log", 90));
    let segment = files.remove(&first).unwrap();
    files.insert(later, segment);
    assert_eq!(world.begin_on(MemoryDisk::with(files.clone()), 1).unwrap().next, 130);
    files.retain(|path, _| !path.starts_with("checkpoints"));
    let refused = world.begin_on(MemoryDisk::with(files), 1).err().unwrap().to_string();
    assert!(refused.contains("the journal begins at epoch 90; restore the checkpoints"), "{refused}");
}

#[test]
fn a_results_log_that_ends_before_the_checkpoint_is_made_again_from_an_older_one() {
    let world = with_checkpoints(&[10, 130]);
    let mut files = world.disk.files();
    // Everything the results log held is gone, and what said how much was synced.
    files.retain(|path, _| !path.starts_with("results"));
    let disk = MemoryDisk::with(files);
    let mut begun = world.begin_on(disk.clone(), 1).unwrap();
    assert_eq!(begun.next, 0);
    world.go_on(&mut begun, world.end()).unwrap();
    assert_eq!(world.rows(disk.clone()), world.expected());
}

/// The world's journal on a disk with faults.
fn faulty(world: &World) -> Arc<SimDisk> {
    let faulty = Arc::new(SimDisk::default());
    let disk = faulty.mount();
    disk.list(Path::new("journal")).unwrap();
    for (path, content) in world.disk.files() {
        let file = disk.open(&path, true).unwrap();
        file.write_at(&content, 0).unwrap();
        file.sync().unwrap();
    }
    faulty
}

#[test]
fn whatever_a_power_loss_leaves_a_start_goes_on_and_publishes_the_same() {
    let world = World::new(&one_goes_on());
    let expected = world.expected();
    let mut crashes = BTreeSet::new();
    for seed in 0..40 {
        let mut chance = Chance::of(seed);
        let faulty = faulty(&world);
        for life in 0..4 {
            let mut begun = world.begin_on(faulty.mount(), 1 + chance.below(3)).unwrap();
            let mut plan = Plan::new(begun.checkpoints.kept().first());
            let (mut steps, mut left) = (chance.part(life), 1 + chance.below(40));
            let hook = move |_| {
                left -= 1;
                left == 0
            };
            let crashed = until_crash(hook, || {
                while begun.next < world.end() {
                    let to = begun.next + 1 + steps.below(30) as u64;
                    world.go_on(&mut begun, to.min(world.end())).unwrap();
                    take(&mut begun, &mut plan);
                }
            });
            crashes.extend(crashed.err());
            faulty.lose(Loss::Power, &mut chance);
        }
        let disk = faulty.mount();
        let mut begun = world.begin_on(disk.clone(), 1).unwrap();
        world.go_on(&mut begun, world.end()).unwrap();
        assert!(world.rows(disk) == expected, "seed {seed}");
    }
    let points = [Point::CheckpointWritten, Point::CheckpointNamed, Point::CheckpointKept];
    assert!(points.iter().all(|point| crashes.contains(point)), "{crashes:?}");
}

#[test]
fn a_full_disk_costs_a_checkpoint_and_not_the_one_before() {
    let world = World::new(&one_goes_on());
    let faulty = faulty(&world);
    let mut begun = world.begin_on(faulty.mount(), 2).unwrap();
    let mut plan = Plan::new(None);
    world.go_on(&mut begun, 100).unwrap();
    take(&mut begun, &mut plan);
    world.go_on(&mut begun, 130).unwrap();
    let names = || faulty.mount().list(Path::new("checkpoints")).unwrap();
    let before = names();
    for room in [0, 20, 40, 500, 2_000] {
        faulty.leave_room(Some(room));
        let full = try_take(&mut begun, &mut plan).unwrap_err();
        assert!(matches!(full, CheckpointError::Disk { .. }), "{full}");
        assert_eq!(names(), before, "what was begun with {room} bytes of room is gone again");
        assert_eq!(world.begin_on(faulty.mount(), 1).unwrap().next, 100);
    }
    faulty.leave_room(None);
    take(&mut begun, &mut plan);
    let mut begun = world.begin_on(faulty.mount(), 1).unwrap();
    assert_eq!(begun.next, 130);
    world.go_on(&mut begun, world.end()).unwrap();
    assert_eq!(world.rows(faulty.mount()), world.expected());
}

/// What another engine version would have published: other numbers for one sensor.
fn otherwise(rows: &mut [ResultRow]) {
    for row in rows {
        if let ResultRow::Aggregate(row) = row
            && row.key.0.iter().any(|value| &**value == "aire-0")
        {
            row.fields.iter_mut().flatten().for_each(|value| *value += 1.0);
        }
    }
}

/// The last row of each window, and every transition.
fn last(rows: Vec<ResultRow>) -> (BTreeMap<String, ResultRow>, Vec<ResultRow>) {
    let (mut windows, mut transitions) = (BTreeMap::new(), Vec::new());
    for row in rows {
        match &row {
            ResultRow::Aggregate(window) => {
                let name = format!("{} {} {}", window.plan.hash, window.key, window.start);
                windows.insert(name, row);
            }
            ResultRow::Transition(_) => transitions.push(row),
            _ => {}
        }
    }
    (windows, transitions)
}

#[test]
fn what_another_engine_version_published_otherwise_is_published_anew() {
    published_anew_if(|manifest| manifest.engine_version += 1);
}

#[test]
fn what_another_tz_database_made_otherwise_is_published_anew() {
    published_anew_if(|manifest| {
        assert_eq!(manifest.zones.keys().collect::<Vec<_>>(), ["America/Bogota"]);
        manifest.zones.values_mut().for_each(|rules| *rules ^= 1);
    });
}

/// The checkpoint behind which something was published otherwise says so itself.
fn published_anew_if(changed: impl Fn(&mut Manifest)) {
    let world = World::new(&one_goes_on());
    let mut begun = world.begin(1);
    world.go_on(&mut begun, 100).unwrap();
    take(&mut begun, &mut Plan::new(None));
    for batch in &world.batches[100..200] {
        let mut rows = world.apply(&mut begun.folds, batch);
        otherwise(&mut rows);
        begun.results.publish(&rows).unwrap();
    }
    let same_version = world.begin(1).results;
    assert!(same_version.has_position());
    let mut again = world.begin(1);
    assert!(matches!(world.go_on(&mut again, world.end()), Err(ResultsError::Differs { .. })));

    let mut manifest = world.begin(1).checkpoints.kept()[0].clone();
    changed(&mut manifest);
    let path = PathBuf::from(format!("checkpoints/{:020}.manifest", manifest.number));
    let mut files = world.disk.files();
    files.insert(path, manifest.encode());
    let disk = MemoryDisk::with(files);
    let mut begun = world.begin_on(disk.clone(), 2).unwrap();
    assert!(!begun.results.has_position(), "no checkpoint until everything is compared");
    world.go_on(&mut begun, 230).unwrap();
    assert!(begun.results.has_position());
    let mut plan = Plan::new(begun.checkpoints.kept().first());
    take(&mut begun, &mut plan);
    world.go_on(&mut begun, world.end()).unwrap();
    let (found, expected) = (last(world.rows(disk.clone())), last(world.expected()));
    assert_eq!(found.0, expected.0);
    // What was told otherwise stays told; what is right is told, too.
    assert!(expected.1.iter().all(|transition| found.1.contains(transition)));
    let mut begun = world.begin_on(disk, 1).unwrap();
    assert_eq!(begun.next, 230);
    world.go_on(&mut begun, world.end()).unwrap();
}

/// Runs the service's own ends over the real dataflow until `to`, as if the journal ended there.
/// Returns what a `kill -9` at that moment leaves, or after a clean stop.
fn run(world: &World, disk: Arc<MemoryDisk>, workers: usize, to: u64, killed: bool) -> Arc<MemoryDisk> {
    let begun = world.begin_on(disk.clone(), workers).unwrap();
    let cadence = Cadence { every: crate::model::Span::seconds(3_600), records: 40 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let next = begun.next;
    let holder = Holders::default().checkpoint.clone();
    let keeper =
        Keeper::start(begun.checkpoints, next, cadence, clock.clone(), holder, Arc::new(Written::new(clock)))
            .unwrap();
    let (journal, flow) = (Arc::new(Progress::new(to)), Arc::new(Progress::new(next)));
    let ends = Ends {
        disk: disk.clone(),
        journal_dir: "journal".into(),
        reader: BatchReader::new(disk.clone(), Path::new("journal"), next),
        journal,
        flow: flow.clone(),
        results: begun.results,
        keeper,
        holders: Arc::default(),
        handed: std::collections::VecDeque::new(),
        stop_in_doubt: |failure| panic!("{failure}"),
    };
    let engine = Engine::resume(begun.folds, next, Box::new(ends), Tally::default()).unwrap();
    let durable = flow.wait(Duration::from_secs(60), |flow| flow.written >= to);
    assert!(durable.written >= to, "the flow stands still");
    if killed {
        let left = MemoryDisk::with(disk.files());
        engine.stop();
        return left;
    }
    engine.stop();
    disk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_killed_and_started_with_other_workers_publishes_the_same(
        actions in prop::collection::vec(action(), 60..240),
        runs in prop::collection::vec((1_usize..4, 0_u64..60, any::<bool>()), 1..5),
    ) {
        let world = World::new(&actions);
        let mut disk = world.disk.clone();
        let mut to = 0;
        for (workers, more, killed) in runs {
            to = (to + more).min(world.end());
            disk = run(&world, disk, workers, to, killed);
        }
        let disk = run(&world, disk, 2, world.end(), false);
        prop_assert_eq!(world.rows(disk.clone()), world.expected());
        // The last checkpoint, of the clean stop, holds everything.
        prop_assert_eq!(world.begin_on(disk, 3).unwrap().next, world.end());
    }
}
