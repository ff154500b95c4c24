//! What version 1 wrote, read by this version: the fixture is kept for ever, the reader changes.
//!
//! `write_the_fixture` made it; what was added to the format later has a folder of its own and leaves
//! this one alone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch_codec;
use super::disk::{Disk, FsDisk};
use super::log::{LogKind, LogWriter};
use super::reader::{BatchReader, ResultReader};
use super::results::ResultsLog;
use super::verify::{self, Report};
use crate::model::arrival::Quantity;
use crate::model::definition::{LocalText, Severity};
use crate::model::result::{Field, PlanDescription};
use crate::model::*;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format/v1")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(1_772_384_400_000_000_000).plus(Span::seconds(seconds))
}

/// Where a journal lies that holds what was added for recomputes: restored events, and a range that says
/// what of it is there.
fn restored_fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format/restored")
}

fn restored_batches() -> Vec<Batch> {
    let reading = |quantity, value| Reading { quantity: QuantityId(quantity), value: Value(value) };
    let event = |arrived_s: i64, counter, readings| Event {
        feed: FeedId(0),
        device: DeviceId(70_000),
        tags: TagSetId(3),
        event_at: at(arrived_s - 1),
        arrived_at: at(arrived_s),
        counter,
        readings,
    };
    let restored = |sequence, event| Record::Restored { sequence, event };
    let events = vec![
        restored(6, event(-8_640_000, None, 0..2)),
        Record::Event(event(61, Some(7), 2..3)),
        restored(400_000, event(-60, Some(u64::MAX), 3..3)),
    ];
    let readings = vec![reading(0, 234), reading(1, i64::MIN), reading(0, 1)];
    let range = Recompute { from: at(-600), to: at(0), since: 900_000, whole_from: at(-700) };
    let asked = vec![Record::Control(Arc::new(Control::Recompute(range)))];
    vec![
        Batch { first: 1_000_000, arrived_at: at(61), records: events, readings, ..Batch::default() },
        Batch { first: 1_000_003, arrived_at: at(62), records: asked, ..Batch::default() },
    ]
}

/// An event of two readings.
fn event(from: u32, counter: Option<u64>) -> Record {
    Record::Event(Event {
        feed: FeedId(0),
        device: DeviceId(0),
        tags: TagSetId(0),
        event_at: at(60),
        arrived_at: at(61),
        counter,
        readings: from..from + 2,
    })
}

/// Everything a journal of version 1 can hold, in four batches.
fn batches() -> Vec<Batch> {
    let feed = r#"{"name":"air","topic":"ciudad/{sensor}","decoder":"json"}"#;
    let feed = Control::Feed { feed: serde_json::from_str(feed).unwrap() };
    let quantity = |name: &str| {
        Entry::Quantity(Arc::new(Quantity { name: name.into(), unit: "ug/m3".into(), decimals: 1 }))
    };
    let names = vec![
        Record::Entry(Entry::Feed("air".into())),
        Record::Control(Arc::new(feed)),
        Record::Entry(Entry::Device(FeedId(0), "aire-1".into())),
        Record::Entry(Entry::Tags(vec![("zona".into(), "comuna ñ".into())].into())),
        Record::Entry(quantity("pm25")),
        Record::Entry(quantity("pm10")),
    ];
    let reading = |quantity, value| Reading { quantity: QuantityId(quantity), value: Value(value) };
    let events = vec![
        event(0, None),
        event(2, Some(4_294_967_295)),
        Record::Step { feed: FeedId(0), watermark: at(30) },
    ];
    let refusal = Refusal {
        feed: FeedId(0),
        arrived_at: at(62),
        reason: Reason::BadJson,
        detail: "expected `:`".into(),
        topic: "ciudad/x".into(),
        payload: Bytes::from_static(b"{\xff"),
        payload_bytes: 9_000,
    };
    let refused = vec![
        Record::Refusal(Box::new(refusal)),
        Record::Tick { from: at(62), to: at(65), observed: vec![FeedId(0)].into() },
    ];
    let delta = Accounts { messages_received: 3, events_found: 2, events_stored: 2, ..Accounts::default() };
    let duplicate = Accounts { events_found: 1, events_duplicate: 1, ..Accounts::default() };
    let accounts = vec![FeedAccounts { feed: FeedId(0), delta }];
    let devices = vec![DeviceAccounts { device: DeviceId(0), delta: duplicate }];
    let readings = vec![reading(0, 234), reading(1, -1), reading(0, i64::MAX), reading(1, i64::MIN)];
    let gone = Record::Control(Arc::new(Control::PipelineRemoved { name: "old".into() }));
    vec![
        Batch { first: 0, arrived_at: at(0), records: names, ..Batch::default() },
        Batch {
            first: 6,
            arrived_at: at(61),
            records: events,
            readings,
            accounts,
            devices,
            ..Batch::default()
        },
        Batch { first: 9, arrived_at: at(62), records: refused, ..Batch::default() },
        Batch { first: 11, arrived_at: at(66), records: vec![gone], ..Batch::default() },
    ]
}

/// Everything a results log of version 1 can hold.
fn rows() -> Vec<Vec<ResultRow>> {
    let plan = Arc::new(PlanDescription {
        hash: 0x0123_4567_89ab_cdef,
        pipeline: "air-quality".into(),
        window: "pm25_1h".into(),
        size_ns: 3_600_000_000_000,
        slide_ns: 3_600_000_000_000,
        unit: None,
        by: vec!["sensor".into()],
        fields: vec![Field { name: "pm25_mean".into(), unit: "ug/m3".into() }],
    });
    let key = Key(vec!["aire-1".into()].into());
    let aggregate = |cause, value| {
        ResultRow::Aggregate(Aggregate {
            cause,
            plan: plan.clone(),
            key: key.clone(),
            start: at(0),
            end: at(3_600),
            revision: cause,
            count: 2,
            capture: Some(0.75),
            sufficient: false,
            fields: vec![value],
        })
    };
    let retraction =
        Retraction { cause: 10, plan: plan.clone(), key: key.clone(), start: at(0), revision: 10 };
    let transition = Transition {
        cause: 11,
        id: AlertId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        pipeline: "air-quality".into(),
        rule: "pm25-high".into(),
        severity: Severity::Critical,
        by: vec!["sensor".into()],
        key: key.clone(),
        from: AlertState::Pending,
        to: AlertState::Firing,
        began_at: at(0),
        raised_at: Some(at(60)),
        resolved_at: None,
        at: at(60),
        decided_at: at(66),
        notify: true,
        reason: "condition met".into(),
        title: LocalText { es: "Título".into(), en: "Title".into() },
        message: LocalText::default(),
        labels: [("area".to_owned(), "aire".to_owned())].into(),
        evidence: vec![("pm25_mean".into(), Some(23.4)), ("pm10_mean".into(), None)],
        window: (at(0), at(3_600)),
    };
    vec![
        vec![ResultRow::Plan(7, plan.clone()), aggregate(7, Some(23.4)), aggregate(8, None)],
        vec![ResultRow::Retraction(retraction)],
        vec![aggregate(11, Some(-0.1)), ResultRow::Transition(Box::new(transition))],
    ]
}

/// What both logs say, a line each: names and numbers, not this version's types.
fn dump(dir: &Path) -> String {
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let mut text = dump_journal(dir, 4);
    let mut results = ResultReader::new(disk, &dir.join("results"), 0);
    while let Some((frame, rows)) = results.next(3).unwrap() {
        writeln!(text, "frame {frame}").unwrap();
        rows.iter().for_each(|row| dump_row(&mut text, row));
    }
    text
}

fn dump_journal(dir: &Path, before: u64) -> String {
    let mut text = String::new();
    let mut batches = BatchReader::new(Arc::new(FsDisk), &dir.join("journal"), 0);
    while let Some((epoch, batch)) = batches.next(before).unwrap() {
        writeln!(text, "epoch {epoch} first {} arrived {}", batch.first, batch.arrived_at).unwrap();
        for accounts in &batch.accounts {
            writeln!(text, "  accounts feed {} {:?}", accounts.feed.0, accounts.delta.to_array()).unwrap();
        }
        for accounts in &batch.devices {
            writeln!(text, "  accounts device {} {:?}", accounts.device.0, accounts.delta.to_array())
                .unwrap();
        }
        batch.records.iter().for_each(|record| dump_record(&mut text, &batch, record));
    }
    text
}

fn dump_record(text: &mut String, batch: &Batch, record: &Record) {
    match record {
        Record::Event(event) => {
            let readings: Vec<_> = batch
                .readings_of(event)
                .iter()
                .map(|reading| (reading.quantity.0, reading.value.0))
                .collect();
            let Event { feed, device, tags, event_at, arrived_at, counter, .. } = event;
            writeln!(
                text,
                "  event {} {} {} {event_at} {arrived_at} {counter:?} {readings:?}",
                feed.0, device.0, tags.0
            )
        }
        Record::Control(control) => match &**control {
            Control::Feed { feed } => {
                writeln!(text, "  feed {} topic {} within {}", feed.name, feed.topic, feed.out_of_orderness)
            }
            Control::PipelineRemoved { name } => writeln!(text, "  pipeline {name} removed"),
            Control::Recompute(Recompute { from, to, since, whole_from }) => {
                writeln!(text, "  recompute {from} to {to} since {since} whole from {whole_from}")
            }
            other => writeln!(text, "  {other:?}"),
        },
        Record::Step { feed, watermark } => writeln!(text, "  step {} {watermark}", feed.0),
        Record::Tick { from, to, observed } => {
            writeln!(text, "  tick {from} {to} {:?}", observed.iter().map(|feed| feed.0).collect::<Vec<_>>())
        }
        Record::Entry(Entry::Feed(name)) => writeln!(text, "  name of a feed {name}"),
        Record::Entry(Entry::Device(feed, name)) => writeln!(text, "  name of a device {} {name}", feed.0),
        Record::Entry(Entry::Tags(tags)) => writeln!(text, "  tags {tags:?}"),
        Record::Entry(Entry::Quantity(quantity)) => {
            writeln!(text, "  quantity {} {} {}", quantity.name, quantity.unit, quantity.decimals)
        }
        Record::Refusal(refusal) => {
            let Refusal { feed, arrived_at, reason, detail, topic, payload, payload_bytes } = &**refusal;
            writeln!(
                text,
                "  refusal {} {arrived_at} {} {detail} {topic} {:?} {payload_bytes}",
                feed.0,
                *reason as u8,
                &payload[..]
            )
        }
        Record::Restored { sequence, event } => {
            let readings = batch.readings_of(event).iter().map(|one| (one.quantity.0, one.value.0));
            let readings: Vec<_> = readings.collect();
            let Event { feed, device, tags, event_at, arrived_at, counter, .. } = event;
            writeln!(
                text,
                "  restored {sequence} {} {} {} {event_at} {arrived_at} {counter:?} {readings:?}",
                feed.0, device.0, tags.0
            )
        }
    }
    .unwrap();
}

fn dump_row(text: &mut String, row: &ResultRow) {
    match row {
        ResultRow::Plan(cause, plan) => {
            let fields: Vec<_> = plan.fields.iter().map(|field| (&field.name, &field.unit)).collect();
            let PlanDescription { hash, pipeline, window, size_ns, slide_ns, by, .. } = &**plan;
            writeln!(text, "  plan {cause} {hash:016x} {pipeline} {window} {size_ns} {slide_ns} {by:?} {fields:?}")
        }
        ResultRow::Aggregate(row) => writeln!(
            text,
            "  aggregate {} {:016x} {:?} {} {} {} {} {:?} {} {:?}",
            row.cause, row.plan.hash, row.key.0, row.start, row.end, row.revision, row.count, row.capture,
            row.sufficient, row.fields
        ),
        ResultRow::Retraction(row) => writeln!(
            text,
            "  retraction {} {:016x} {:?} {} {}",
            row.cause, row.plan.hash, row.key.0, row.start, row.revision
        ),
        ResultRow::Transition(row) => writeln!(
            text,
            "  transition {} {:032x} {} {} {} {:?} {:?} {}-{} {} {:?} {:?} {} {} {} {} {}/{} {:?} {:?} {}..{}",
            row.cause, row.id.0, row.pipeline, row.rule, row.severity as u8, row.by, row.key.0, row.from as u8,
            row.to as u8, row.began_at, row.raised_at.map(|at| at.0), row.resolved_at.map(|at| at.0), row.at,
            row.decided_at, row.notify, row.reason, row.title.es, row.title.en, row.labels, row.evidence,
            row.window.0, row.window.1
        ),
    }
    .unwrap();
}

#[test]
fn logs_of_version_1_read_as_they_were_written() {
    let expected = std::fs::read_to_string(fixture().join("dump.txt")).unwrap();
    assert_eq!(dump(&fixture()), expected);
    for (name, kind) in [("journal", LogKind::Journal), ("results", LogKind::Results)] {
        let mut report = Report::default();
        verify::log(&FsDisk, &fixture().join(name), kind, false, &mut report).unwrap();
        assert_eq!((report.findings, report.files), (Vec::new(), 2));
    }
}

#[test]
fn restored_events_read_as_they_were_written() {
    let folder = restored_fixture();
    let expected = std::fs::read_to_string(folder.join("dump.txt")).unwrap();
    assert_eq!(dump_journal(&folder, 2), expected);
    let mut report = Report::default();
    verify::log(&FsDisk, &folder.join("journal"), LogKind::Journal, false, &mut report).unwrap();
    assert_eq!((report.findings, report.files), (Vec::new(), 1));
}

#[test]
#[ignore = "writes the fixture; only for a new format, into a new folder"]
fn write_the_restored_fixture() {
    let folder = restored_fixture();
    let mut journal =
        LogWriter::open(Arc::new(FsDisk), &folder.join("journal"), LogKind::Journal, 1 << 20).unwrap();
    for batch in restored_batches() {
        journal.append(&batch_codec::encode(&batch)).unwrap();
    }
    std::fs::write(folder.join("dump.txt"), dump_journal(&folder, 2)).unwrap();
}

#[test]
#[ignore = "writes the fixture; only for a new format, into a new folder"]
fn write_the_fixture() {
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let mut journal =
        LogWriter::open(disk.clone(), &fixture().join("journal"), LogKind::Journal, 400).unwrap();
    for batch in batches() {
        journal.append(&batch_codec::encode(&batch)).unwrap();
    }
    let mut results = ResultsLog::open(disk, &fixture().join("results"), 300).unwrap();
    rows().iter().for_each(|rows| results.publish(rows).unwrap());
    std::fs::write(fixture().join("dump.txt"), dump(&fixture())).unwrap();
}
