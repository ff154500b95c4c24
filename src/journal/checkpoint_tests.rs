//! Checkpoints on a disk that tests can look into and break.

use std::time::Duration;

use proptest::prelude::*;

use super::begin::Beginning;
use super::plan::Plan;
use super::*;
use crate::flow::interpreter::order;
use crate::flow::testing::{Action, action, journal, names, one_goes_on};
use crate::flow::{Engine, Interpreter};
use crate::journal::ends::Ends;
use crate::journal::log::{LogKind, LogWriter};
use crate::journal::memory_disk::MemoryDisk;
use crate::journal::results::ResultsError;
use crate::journal::{BatchReader, Clock, Holders, Progress, ResultReader, SystemClock, batch_codec};
use crate::model::{Batch, Dictionary, ResultRow};

const SEGMENT_BYTES_MAX: u64 = 64 * 1024;

/// A journal on a disk, and what follows from it.
struct World {
    disk: Arc<MemoryDisk>,
    batches: Vec<Batch>,
    names: Dictionary,
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
        Self { disk, batches, names }
    }

    fn end(&self) -> u64 {
        self.batches.len() as u64
    }

    fn begin_on(&self, disk: Arc<MemoryDisk>, workers: usize) -> Result<Begun, BeginError> {
        let disk: Arc<dyn Disk> = disk;
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
            let rows = apply(&mut begun.folds, &self.batches[epoch as usize]);
            begun.results.publish(&rows)?;
        }
        begun.next = begun.next.max(to);
        Ok(())
    }

    /// All rows of the results log.
    fn rows(&self, disk: &Arc<MemoryDisk>) -> Vec<ResultRow> {
        let mut reader = ResultReader::new(disk.clone(), Path::new("results"), 0);
        let end = LogWriter::open(disk.clone(), Path::new("results"), LogKind::Results, u64::MAX).unwrap();
        std::iter::from_fn(|| reader.next(end.next()).unwrap()).flat_map(|(_, rows)| rows).collect()
    }

    /// The rows of one fold over the whole journal.
    fn expected(&self) -> Vec<ResultRow> {
        let mut folds = vec![Interpreter::new(0, 1)];
        self.batches.iter().flat_map(|batch| apply(&mut folds, batch)).collect()
    }
}

fn apply(folds: &mut [Interpreter], batch: &Batch) -> Vec<ResultRow> {
    let mut rows: Vec<ResultRow> = folds.iter_mut().flat_map(|fold| fold.apply(batch)).collect();
    order(&mut rows);
    rows
}

/// Writes a checkpoint of what was begun; the bytes that took.
fn take(begun: &mut Begun, plan: &mut Plan) -> u64 {
    let request = plan.request(begun.next);
    let parts: Vec<Part> = begun.folds.iter_mut().map(|fold| fold.save(&request).unwrap()).collect();
    begun.results.unsynced().sync().unwrap();
    let taken = Taken { next: begun.next, parts, results: begun.results.position().clone() };
    let bytes = begun.checkpoints.write(&taken).unwrap();
    plan.written(request.period, &taken.parts);
    bytes
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
    assert_eq!(world.rows(&world.disk), world.expected());
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
    let mut changed = BTreeSet::new();
    for (path, whole) in files.iter().filter(|(path, _)| path.starts_with("checkpoints")) {
        let name = path.file_name().unwrap().to_string_lossy();
        let number: u64 = name.split('.').next().unwrap().parse().unwrap();
        // Where it goes on; what both need is in the first one's bases.
        let allowed: &[u64] = match number {
            2 => &[115],
            1 => &[130],
            _ => &[130, 0],
        };
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            let next = begin_with(&world, path, Some(damaged)).unwrap();
            assert!(allowed.contains(&next), "{name}, byte {at}: {next}");
            changed.insert((number, next));
        }
        for length in (0..whole.len()).step_by(5) {
            let next = begin_with(&world, path, Some(whole[..length].to_vec())).unwrap();
            assert!(allowed.contains(&next), "{name}, cut to {length}: {next}");
        }
        let next = begin_with(&world, path, None).unwrap();
        assert!(allowed.contains(&next), "{name} is gone: {next}");
    }
    assert!(changed.contains(&(2, 115)) && changed.contains(&(0, 0)), "{changed:?}");
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
        assert_eq!(world.rows(&disk), world.expected());
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
    assert_eq!(world.rows(&disk), world.expected());
}

/// Runs the service's own ends over the real dataflow until `to`, as if the journal ended there.
/// Returns what a `kill -9` at that moment leaves, or after a clean stop.
fn run(world: &World, disk: Arc<MemoryDisk>, workers: usize, to: u64, killed: bool) -> Arc<MemoryDisk> {
    let begun = world.begin_on(disk.clone(), workers).unwrap();
    let cadence = Cadence { every: crate::model::Span::seconds(3_600), records: 40 };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let next = begun.next;
    let holder = Holders::default().checkpoint.clone();
    let keeper = Keeper::start(begun.checkpoints, next, cadence, clock, holder).unwrap();
    let (journal, flow) = (Arc::new(Progress::new(to)), Arc::new(Progress::new(next)));
    let ends = Ends {
        disk: disk.clone(),
        journal_dir: "journal".into(),
        reader: BatchReader::new(disk.clone(), Path::new("journal"), next),
        journal,
        flow: flow.clone(),
        results: begun.results,
        keeper,
        stop_in_doubt: |failure| panic!("{failure}"),
    };
    let engine = Engine::resume(begun.folds, next, Box::new(ends)).unwrap();
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
        prop_assert_eq!(world.rows(&disk), world.expected());
        // The last checkpoint, of the clean stop, holds everything.
        prop_assert_eq!(world.begin_on(disk, 3).unwrap().next, world.end());
    }
}
