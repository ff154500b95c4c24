//! How a reader treats a sink that cannot take what it read.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::journal::log::LogWriter;
use crate::journal::testing::{at_day, ten_days};
use crate::journal::{FsDisk, Holders, LogKind, ResultsLog, batch_codec};
use crate::model::{Record, Timestamp};

/// A sink that fails as told, and what was asked of it.
#[derive(Default)]
struct Told {
    asked: AtomicUsize,
    ended: AtomicBool,
    /// The kind of failure, and how often.
    failures: Mutex<Vec<std::io::ErrorKind>>,
    away: bool,
}

struct Fake(Arc<Told>);

impl Sink for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn rest(&mut self) -> Result<(), ServiceError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        match self.0.failures.lock().unwrap().pop() {
            Some(kind) => Err(ServiceError::io("the cursors of a sink")(kind.into())),
            None => Ok(()),
        }
    }

    fn is_away(&self) -> bool {
        self.0.away
    }

    fn end(&mut self) -> Result<(), ServiceError> {
        self.0.ended.store(true, Ordering::SeqCst);
        Ok(())
    }
}

/// A reader of empty logs that is to stop when it has read everything.
fn follow(dir: &Path, stop: bool) -> Follow {
    let disk: Arc<FsDisk> = Arc::default();
    let progress = || Arc::new(Progress::new(0));
    Follow {
        batches: BatchReader::new(disk.clone(), dir, 0),
        rows: ResultReader::new(disk, dir, 0),
        journal: progress(),
        flow: progress(),
        results: progress(),
        dictionary: SharedDictionary::default(),
        metrics: Arc::new(Metrics::new()),
        holder: None,
        gaps: None,
        stop: Arc::new(AtomicBool::new(stop)),
    }
}

#[test]
fn a_sink_whose_disk_is_full_is_asked_again_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let told = Arc::new(Told::default());
    told.failures.lock().unwrap().extend([std::io::ErrorKind::StorageFull; 2]);
    let follow = follow(folder.path(), false);
    follow.patiently(&mut Fake(told.clone()), |sink, _| sink.rest()).unwrap();
    assert_eq!(told.asked.load(Ordering::SeqCst), 3);
}

#[test]
fn any_other_failure_is_a_doubt_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let told = Arc::new(Told::default());
    told.failures.lock().unwrap().push(std::io::ErrorKind::PermissionDenied);
    assert!(follow(folder.path(), false).run(&mut Fake(told.clone())).is_err());
    assert_eq!((told.asked.load(Ordering::SeqCst), told.ended.load(Ordering::SeqCst)), (1, false));
}

#[test]
fn a_full_disk_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let told = Arc::new(Told::default());
    told.failures.lock().unwrap().push(std::io::ErrorKind::StorageFull);
    let failure = follow(folder.path(), true).run(&mut Fake(told.clone())).unwrap_err();
    assert!(failure.is_disk_full());
    assert!(!told.ended.load(Ordering::SeqCst), "what was not taken is not ended");
}

#[test]
fn nothing_is_read_for_a_sink_that_is_away_and_it_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let told = Arc::new(Told { away: true, ..Told::default() });
    let follow_on = || {
        let mut follow = follow(folder.path(), true);
        // The logs have more; nothing is there to be read from, so that reading would fail.
        follow.journal = Arc::new(Progress::new(5));
        follow.run(&mut Fake(told.clone()))
    };
    follow_on().unwrap();
    assert!(!told.ended.load(Ordering::SeqCst));
}

#[test]
fn a_sink_that_is_new_to_an_old_folder_begins_with_what_is_left_and_has_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let retention = ten_days();
    retention.holders.checkpoint.advance(10, 10);
    retention.holders.snapshot.advance(10, u64::MAX);
    retention.collect(at_day(9)).unwrap();
    let holders = Holders::default();
    let gap_of = |name, (epoch, frame)| {
        let mut follow = follow(folder.path(), false);
        follow.batches = BatchReader::new(retention.disk.clone(), &retention.journal_dir, epoch);
        follow.rows = ResultReader::new(retention.disk.clone(), &retention.results_dir, frame);
        (follow.journal, follow.results) = (Arc::new(Progress::new(10)), Arc::new(Progress::new(10)));
        let holder = holders.sink(name, epoch, frame);
        follow.holder = Some(holder.clone());
        let mut sink = Fake(Arc::default());
        follow.begin((epoch, frame), &sink).unwrap();
        let began = holder.next();
        assert!(follow.turn(&mut sink).unwrap());
        assert_eq!(holder.next(), (10, 10), "collection knows how far it has read");
        (began, holder.needs_backfill())
    };
    assert_eq!(gap_of("new", (0, 0)), ((5, 5), false));
    assert_eq!(gap_of("behind", (1, 1)), ((1, 1), true));
    assert_eq!(gap_of("behind in results", (7, 1)), ((7, 1), true));
    assert_eq!(gap_of("in time", (5, 5)), ((5, 5), false));
}

/// A sink that says what it was given, and commits what it has seen.
#[derive(Default)]
struct Listing(Arc<Mutex<Vec<String>>>);

impl Listing {
    fn tell(&self, what: String) -> Result<(), ServiceError> {
        self.0.lock().unwrap().push(what);
        Ok(())
    }
}

impl Sink for Listing {
    fn name(&self) -> &'static str {
        "listing"
    }

    fn batch(&mut self, epoch: u64, batch: &Batch, _: &Dictionary) -> Result<(), ServiceError> {
        assert_eq!(batch.first, epoch * 10);
        self.tell(format!("batch {epoch}"))
    }

    fn rows(&mut self, frame: u64, rows: &[ResultRow]) -> Result<(), ServiceError> {
        self.tell(format!("frame {frame} of {}", rows.len()))
    }

    fn committed(&self, next: (u64, u64)) -> Option<(u64, u64)> {
        Some(next)
    }

    fn end(&mut self) -> Result<(), ServiceError> {
        self.tell("end".to_owned())
    }
}

/// A reader of as many batches as `synced` says of three, a segment each, and of one frame.
fn follow_logs(dir: &Path, synced: u64) -> Follow {
    let (journal, results) = (dir.join("journal"), dir.join("results"));
    let disk: Arc<FsDisk> = Arc::default();
    let mut log = LogWriter::open(disk.clone(), &journal, LogKind::Journal, 1).unwrap();
    for epoch in 0..3 {
        let tick = Record::Tick { from: Timestamp(0), to: Timestamp(0), observed: Vec::new().into() };
        let batch = Batch { first: epoch * 10, records: vec![tick], ..Batch::default() };
        log.append(&batch_codec::encode(&batch)).unwrap();
    }
    let row = crate::notify::testing::raised("aire-1", 0);
    ResultsLog::open(disk.clone(), &results, 1 << 20).unwrap().publish(&[row]).unwrap();
    let mut follow = follow(dir, true);
    follow.batches = BatchReader::new(disk.clone(), &journal, 0);
    follow.rows = ResultReader::new(disk, &results, 0);
    follow.journal = Arc::new(Progress::new(synced));
    follow.journal.written(3);
    follow.flow = Arc::new(Progress::new(3));
    follow.results = Arc::new(Progress::new(1));
    follow
}

fn told(follow: &mut Follow) -> Vec<String> {
    let list = Arc::new(Mutex::new(Vec::new()));
    follow.run(&mut Listing(list.clone())).unwrap();
    list.lock().unwrap().clone()
}

#[test]
fn a_reader_takes_what_is_durable_in_both_logs_and_then_ends() {
    for synced in [3, 2] {
        let folder = tempfile::tempdir().unwrap();
        let mut follow = follow_logs(folder.path(), synced);
        let holder = Holders::default().sink("listing", 0, 0);
        follow.holder = Some(holder.clone());
        let batches = (0..synced).map(|epoch| format!("batch {epoch}"));
        let want: Vec<String> = batches.chain(["frame 0 of 1".to_owned(), "end".to_owned()]).collect();
        assert_eq!(told(&mut follow), want);
        assert_eq!(holder.position(), (synced, 1));
    }
}

#[test]
fn the_end_waits_until_the_flow_has_come_as_far_as_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut follow = follow_logs(folder.path(), 3);
    follow.flow = Arc::new(Progress::new(2));
    let flow = follow.flow.clone();
    let late = std::thread::spawn(move || {
        std::thread::sleep(PARK);
        flow.written(3);
    });
    assert_eq!(told(&mut follow).len(), 5);
    assert_eq!(follow.flow.now().written, 3, "not before");
    late.join().unwrap();
}

#[test]
fn a_reader_goes_on_behind_what_was_collected_and_that_is_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut follow = follow_logs(folder.path(), 3);
    let holder = Holders::default().sink("listing", 0, 0);
    follow.holder = Some(holder.clone());
    std::fs::remove_file(folder.path().join("journal").join(format!("{:020}.log", 0))).unwrap();
    assert_eq!(told(&mut follow), ["batch 1", "batch 2", "frame 0 of 1", "end"]);
    assert!(holder.needs_backfill());
}

#[test]
fn what_is_missing_and_was_not_collected_is_a_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let mut follow = follow_logs(folder.path(), 3);
    std::fs::remove_file(folder.path().join("journal").join(format!("{:020}.log", 1))).unwrap();
    assert!(follow.run(&mut Listing::default()).is_err());
}
