//! What is asked of the journal when its beginning is there, and when it is gone.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;
use std::{fs, io};

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::journal::checkpoint::Cadence;
use crate::journal::disk::{Disk, LogFile};
use crate::journal::retention::Retention;
use crate::model::time::SECOND;
use crate::model::{Control, Decoded, DecodedEvent, DecodedReading, Quantity, Record, Submission, Value};
use crate::service::DataDir;
use crate::service::core::CoreOptions;

fn at(second: i64) -> Timestamp {
    Timestamp((1_772_323_200 + second) * SECOND)
}

fn start(folder: &TempDir) -> Core {
    let options = CoreOptions {
        segment_bytes_max: 4_096,
        workers: 1,
        checkpoints: Cadence::default(),
        live: false,
        linked: Arc::new(|_, _| {}),
    };
    Core::start(DataDir::open(folder.path()).unwrap(), &options).unwrap()
}

fn message(second: i64) -> Submission {
    let level = Quantity { name: "level".into(), unit: "cm".into(), decimals: 0 };
    let event = DecodedEvent {
        sensor: "a".into(),
        tags: Vec::new().into(),
        event_at: Some(at(second)),
        counter: None,
        readings: vec![DecodedReading { quantity: Arc::new(level), value: Value(second) }].into(),
    };
    Submission {
        feed: "level".into(),
        topic: "t".into(),
        payload: Bytes::new(),
        arrived_at: Some(at(second)),
        decoded: Decoded { events: vec![event].into(), rejected: Vec::new(), ignored: None },
        repeated: false,
        brought: None,
        ack: None,
    }
}

/// A folder whose journal has several segments, of seconds 0 to 999.
fn city() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let core = start(&folder);
    let feed = r#"{"name": "level", "topic": "t/{sensor}", "decoder": "json", "quantity": {"level": {"unit": "cm"}}}"#;
    let feed = Control::Feed { feed: serde_json::from_str(feed).unwrap() };
    core.inputs.blocking_send(Input::Control(vec![feed])).unwrap();
    for second in 0..1_000 {
        core.inputs.blocking_send(Input::Messages(vec![message(second)])).unwrap();
        if second % 100 == 99 {
            core.settle();
        }
    }
    core.settle();
    core.stop().unwrap();
    folder
}

fn recomputer(core: &Core) -> Recomputer {
    Recomputer::new(core, Arc::new(|| Span::seconds(5)))
}

fn asked(core: &Core, recomputer: &Recomputer, range: (i64, i64)) -> Result<Asked, RecomputeRefusal> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let asked = runtime.block_on(recomputer.ask((at(range.0), at(range.1))))?;
    core.settle();
    Ok(asked)
}

/// The last control of a journal.
fn last_control(core: &Core) -> Control {
    let mut batches = core.batches(0);
    batches.skip_collected().unwrap();
    let mut last = None;
    while let Some((_, batch)) = batches.next(core.journal.now().synced).unwrap() {
        for record in &batch.records {
            if let Record::Control(control) = record {
                last = Some((**control).clone());
            }
        }
    }
    last.unwrap()
}

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    logs.sort();
    logs
}

#[test]
fn of_a_whole_journal_the_range_is_computed_as_it_was_asked_for() {
    let folder = city();
    let core = start(&folder);
    let recomputer = recomputer(&core);
    let asked = asked(&core, &recomputer, (0, 900)).unwrap();
    assert_eq!((asked.recompute, asked.restored), (Recompute::of(at(0), at(900)), 0));
    assert_eq!(last_control(&core), Control::Recompute(asked.recompute));
    drop(recomputer);
    core.stop().unwrap();
}

#[test]
fn where_readings_are_gone_the_range_begins_later_and_that_is_said() {
    let folder = city();
    let logs = segments(folder.path());
    assert!(logs.len() > 4, "{} segments", logs.len());
    fs::remove_file(&logs[0]).unwrap();
    fs::remove_file(&logs[1]).unwrap();
    let core = start(&folder);
    let recomputer = recomputer(&core);
    let mut batches = core.batches(0);
    batches.skip_collected().unwrap();
    let first = batches.next(u64::MAX).unwrap().unwrap().1;
    let known = first.arrived_at.plus(Span::seconds(5)).plus(Span(1));
    let asked_for = asked(&core, &recomputer, (0, 900)).unwrap();
    let want = Recompute { from: known, to: at(900), since: first.first, whole_from: known };
    assert_eq!(asked_for.recompute, want);
    assert_eq!(last_control(&core), Control::Recompute(want));
    assert_eq!(asked(&core, &recomputer, (990, 995)).unwrap().recompute.from, at(990));
    let gone = asked(&core, &recomputer, (0, 10));
    assert_eq!(gone, Err(RecomputeRefusal::Gone { readings_from: known }));
    assert_eq!(asked(&core, &recomputer, (991, 995)).unwrap().recompute.from, at(991), "refused is over");
    drop(recomputer);
    core.stop().unwrap();
}

#[test]
fn one_recompute_is_handed_over_at_a_time() {
    let folder = city();
    let core = start(&folder);
    let recomputer = recomputer(&core);
    let one = recomputer.one.clone().try_lock_owned().unwrap();
    assert_eq!(asked(&core, &recomputer, (0, 900)), Err(RecomputeRefusal::Busy));
    drop(one);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let told = runtime.block_on(recomputer.recompute((at(0), at(900)))).unwrap();
    let want = Recomputing {
        epoch: Some(core.journal.now().written),
        from: at(0).to_string(),
        to: at(900).to_string(),
        readings_from: None,
    };
    assert_eq!(told, want);
    drop(recomputer);
    core.stop().unwrap();
}

#[test]
fn a_recompute_of_too_many_events_is_refused_without_a_store_too() {
    let folder = city();
    let core = start(&folder);
    let few = |events_max| Recomputer { events_max, ..recomputer(&core) };
    let refused = |events| Err(RecomputeRefusal::TooMany { events, most: 99 });
    // The feed, its names and its steps are records too, and no events.
    assert_eq!(asked(&core, &few(99), (0, 900)), refused(900));
    // A day before it counts.
    assert_eq!(asked(&core, &few(99), (100, 200)), refused(200));
    assert!(asked(&core, &few(99), (0, 99)).is_ok());
    assert!(asked(&core, &few(900), (0, 900)).is_ok());
    core.stop().unwrap();
}

/// A disk on which a removal takes until somebody lets it end.
struct Slow {
    begun: Sender<()>,
    end: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Disk for Slow {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        FsDisk.list(dir)
    }
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn LogFile>> {
        FsDisk.open(path, create)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.begun.send(()).unwrap();
        self.end.lock().unwrap().recv().unwrap();
        FsDisk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FsDisk.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        FsDisk.sync_dir(dir)
    }
}

#[test]
fn a_removal_of_segments_that_is_under_way_holds_up_no_other_task() {
    let folder = city();
    let core = start(&folder);
    let recomputer = recomputer(&core);
    // Everything but the first segment is needed, and that one is being removed.
    let second: u64 = segments(folder.path())[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    core.holders.checkpoint.advance(core.journal.now().written, u64::MAX);
    core.holders.snapshot.advance(second, u64::MAX);
    let ((begun, removing), (end, ends)) = (channel(), channel());
    let retention = Retention {
        disk: Arc::new(Slow { begun, end: Mutex::new(ends) }),
        journal_dir: folder.path().join("journal"),
        results_dir: folder.path().join("results"),
        keep: Span(0),
        behind_max: Span(0),
        holders: core.holders.clone(),
    };
    let collecting = std::thread::spawn(move || retention.collect(at(2_000)).unwrap().journal_segments);
    removing.recv().unwrap();
    let (late, began) = (end.clone(), Instant::now());
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(5));
        let _ = late.send(());
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = runtime.block_on(async {
        let other = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            end.send(()).unwrap();
        };
        tokio::join!(recomputer.ask((at(0), at(900))), other).0
    });
    assert!(began.elapsed() < Duration::from_secs(4), "the other task was held up");
    // What was removed meanwhile is not counted on.
    let since = asked.unwrap().recompute.since;
    assert!(since > 0, "{since}");
    assert_eq!(collecting.join().unwrap(), 1);
    core.settle();
    drop(recomputer);
    core.stop().unwrap();
}
