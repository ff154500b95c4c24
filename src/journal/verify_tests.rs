//! Every flipped byte and every cut of a small journal and results log is named, and never read as
//! data; only a tail that was never synced is cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::journal::log::LogWriter;
use crate::journal::mark::Mark;
use crate::journal::memory_disk::MemoryDisk;
use crate::journal::reader::{BatchReader, ResultReader};
use crate::journal::results::ResultsLog;
use crate::model::result::PlanDescription;
use crate::model::{Aggregate, Batch, Key, Record, ResultRow, Span};

const FRAMES: u64 = 9;
/// Frames after the mark.
const UNSYNCED: u64 = 2;

fn dir() -> &'static Path {
    Path::new("log")
}

fn second(number: u64) -> Timestamp {
    Timestamp(1_772_384_400_000_000_000).plus(Span::seconds(number as i64))
}

fn journal() -> Arc<MemoryDisk> {
    let disk: Arc<MemoryDisk> = Arc::default();
    let mut writer = LogWriter::open(disk.clone(), dir(), LogKind::Journal, 100).unwrap();
    for number in 0..FRAMES {
        let records = (0..=number % 3).map(|_| Record::Tick {
            from: second(number),
            to: second(number),
            observed: Vec::new().into(),
        });
        let batch = Batch {
            first: number * 10,
            arrived_at: second(number),
            records: records.collect(),
            ..Batch::default()
        };
        writer.append(&batch_codec::encode(&batch)).unwrap();
    }
    Mark::open(&*disk, dir()).unwrap().write(FRAMES - UNSYNCED).unwrap();
    disk
}

fn results() -> Arc<MemoryDisk> {
    let disk: Arc<MemoryDisk> = Arc::default();
    let mut log = ResultsLog::open(disk.clone(), dir(), 120).unwrap();
    let plan = Arc::new(PlanDescription {
        hash: 7,
        pipeline: "air".into(),
        window: "hour".into(),
        size_ns: 1,
        slide_ns: 1,
        unit: None,
        by: Vec::new(),
        fields: Vec::new(),
    });
    for cause in 0..FRAMES {
        let mut rows = vec![ResultRow::Aggregate(Aggregate {
            cause,
            plan: plan.clone(),
            key: Key(vec!["aire-1".into()].into()),
            start: second(cause),
            end: second(cause + 1),
            revision: cause,
            count: 1,
            capture: Some(0.5),
            sufficient: true,
            fields: Vec::new(),
        })];
        if cause == 0 {
            rows.insert(0, ResultRow::Plan(0, plan.clone()));
        }
        log.publish(&rows).unwrap();
        if cause + 1 == FRAMES - UNSYNCED {
            log.unsynced().sync().unwrap();
        }
    }
    disk
}

fn verified(disk: &MemoryDisk, kind: LogKind) -> Report {
    let mut report = Report::default();
    log(disk, dir(), kind, false, &mut report).unwrap();
    report
}

/// What a start makes of the log and a reader then reads, frame by frame.
fn read(disk: &Arc<MemoryDisk>, kind: LogKind) -> Result<Vec<String>, LogError> {
    let end = LogWriter::open(disk.clone(), dir(), kind, u64::MAX)?.next();
    let mut frames = Vec::new();
    if kind == LogKind::Journal {
        let mut reader = BatchReader::new(disk.clone(), dir(), 0);
        while let Some(frame) = reader.next(end)? {
            frames.push(format!("{frame:?}"));
        }
    } else {
        let mut reader = ResultReader::new(disk.clone(), dir(), 0);
        while let Some(frame) = reader.next(end)? {
            frames.push(format!("{frame:?}"));
        }
    }
    Ok(frames)
}

/// Flips every byte and cuts every length of every file of a log.
fn damage_everywhere(disk: &Arc<MemoryDisk>, kind: LogKind) {
    let whole = read(disk, kind).unwrap();
    let last = log::segments(&**disk, dir()).unwrap().pop().unwrap();
    let files: BTreeMap<_, _> = disk.files();
    assert!(files.len() > 3, "segments: {:?}", files.keys());
    for (path, bytes) in &files {
        let flips = (0..bytes.len()).map(|at| {
            let mut changed = bytes.clone();
            changed[at] ^= 0x04;
            (at, changed)
        });
        let cuts = (0..bytes.len()).map(|length| (length, bytes[..length].to_vec()));
        for (at, changed) in flips.chain(cuts) {
            let mut damaged = files.clone();
            damaged.insert(path.clone(), changed);
            let disk = MemoryDisk::with(damaged);
            let report = verified(&disk, kind);
            let told = report.findings.iter().any(|found| found.path == *path && found.byte <= at as u64);
            match read(&disk, kind) {
                // The mark, or a torn tail behind it.
                Ok(frames) => {
                    let synced = (FRAMES - UNSYNCED) as usize;
                    assert!(whole.starts_with(&frames), "{}, byte {at}: read as data", path.display());
                    assert!(frames.len() >= synced, "{}, byte {at}: lost in silence", path.display());
                    let tail = *path == last.1 && frames.len() < whole.len();
                    assert!(told || tail || path.ends_with("synced"), "{}, byte {at}", path.display());
                }
                Err(LogError::Damaged { .. } | LogError::Missing { .. }) => {
                    let findings = &report.findings;
                    assert!(!findings.is_empty(), "{}, byte {at}: not found", path.display());
                }
                Err(other) => panic!("{}, byte {at}: {other}", path.display()),
            }
        }
    }
}

#[test]
fn every_flip_and_cut_of_a_journal_is_named_and_never_read_as_data() {
    damage_everywhere(&journal(), LogKind::Journal);
}

#[test]
fn every_flip_and_cut_of_a_results_log_is_named_and_never_read_as_data() {
    damage_everywhere(&results(), LogKind::Results);
}

#[test]
fn a_whole_log_has_no_findings() {
    for (disk, kind) in [(journal(), LogKind::Journal), (results(), LogKind::Results)] {
        let report = verified(&disk, kind);
        assert_eq!(report.findings, []);
        assert_eq!(report.notes, Vec::<String>::new());
        assert!(report.files > 2);
    }
}

#[test]
fn a_damaged_frame_is_named_with_its_epoch_and_the_records_and_times_lost() {
    let disk = journal();
    let mut files = disk.files();
    let (path, bytes) = files.iter_mut().next().unwrap();
    bytes[HEADER_BYTES as usize + 12] ^= 1;
    let path = path.clone();
    let report = verified(&MemoryDisk::with(files), LogKind::Journal);
    let [found] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!((&found.path, found.byte), (&path, HEADER_BYTES));
    assert_eq!(found.what, "the check sum of a frame is wrong (epoch 0)");
    assert_eq!(
        found.lost,
        format!("lost: records 0 to 9, arrived until {}; restore this file from a backup", second(1))
    );
}

#[test]
fn a_missing_segment_is_named_with_what_it_held() {
    let disk = journal();
    let mut files = disk.files();
    let second_segment = log::segments(&*disk, dir()).unwrap()[1].clone();
    files.remove(&second_segment.1);
    let report = verified(&MemoryDisk::with(files), LogKind::Journal);
    let [found] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    let epoch = second_segment.0;
    assert!(found.what.ends_with(&format!("(epoch {epoch})")), "{}", found.what);
    assert!(found.lost.contains(&format!("after {}", second(epoch - 1))), "{}", found.lost);
}

#[test]
fn beside_a_running_service_only_what_is_synced_is_read() {
    let disk = journal();
    let mut files = disk.files();
    let last = log::segments(&*disk, dir()).unwrap().pop().unwrap();
    files.get_mut(&last.1).unwrap().extend_from_slice(b"half a fra");
    let disk = MemoryDisk::with(files);
    let mut report = Report::default();
    log(&*disk, dir(), LogKind::Journal, true, &mut report).unwrap();
    assert!(report.findings.is_empty() && report.notes.is_empty());
    assert_eq!(verified(&disk, LogKind::Journal).notes.len(), 1, "a torn tail once the service is stopped");
}
