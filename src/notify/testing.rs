//! What the tests of this module share: transitions, and a ledger in a throw-away folder.

use std::sync::Arc;

use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_128;

use super::{Ledger, Subscription};
use crate::model::definition::{LocalText, Severity};
use crate::model::{AlertId, AlertState, Key, ResultRow, Timestamp, Transition};

/// Second 0 of the tests: 2026-03-01T12:00:00-05:00.
pub(crate) const START: i64 = 1_772_384_400;

/// Second `seconds` of the test's time.
pub(crate) fn s(seconds: i64) -> Timestamp {
    Timestamp((START + seconds) * 1_000_000_000)
}

/// A step of the one alert of `sensor`, effective at and decided just after second `at`.
pub(crate) fn transition(sensor: &str, from: AlertState, to: AlertState, at: i64) -> Transition {
    Transition {
        cause: u64::try_from(at).unwrap() + 1_000,
        id: AlertId(xxh3_128(sensor.as_bytes())),
        pipeline: "river".into(),
        rule: "river-high".into(),
        severity: Severity::Warning,
        by: vec!["sensor".into()],
        key: Key(Arc::from([Arc::from(sensor)])),
        from,
        to,
        began_at: s(0),
        raised_at: (to == AlertState::Firing).then_some(s(at)),
        resolved_at: (to == AlertState::Resolved).then_some(s(at)),
        at: s(at),
        decided_at: s(at + 1),
        notify: true,
        reason: "condition met".into(),
        title: LocalText { es: "Río alto".into(), en: "River high".into() },
        message: LocalText { es: "312 cm".into(), en: "312 cm".into() },
        labels: [("area".to_owned(), "norte".to_owned())].into(),
        evidence: vec![("level_cm".into(), Some(312.0)), ("rain_mm".into(), None)],
        window: (s(at), s(at)),
    }
}

/// The same as a row.
pub(crate) fn row(sensor: &str, from: AlertState, to: AlertState, at: i64) -> ResultRow {
    ResultRow::Transition(Box::new(transition(sensor, from, to, at)))
}

/// The row that raises the alert of a sensor.
pub(crate) fn raised(sensor: &str, at: i64) -> ResultRow {
    row(sensor, AlertState::Pending, AlertState::Firing, at)
}

/// The row that ends it.
pub(crate) fn resolved(sensor: &str, at: i64) -> ResultRow {
    row(sensor, AlertState::Firing, AlertState::Resolved, at)
}

/// A ledger whose receivers want everything.
pub(crate) fn ledger(receivers: &[&str]) -> (TempDir, Arc<Ledger>) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory, receivers);
    (directory, ledger)
}

/// Opens the ledger of a folder, again or for the first time.
pub(crate) fn open(directory: &TempDir, receivers: &[&str]) -> Arc<Ledger> {
    let ledger = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap();
    let wants = |name: &&str| Subscription { receiver: Arc::from(*name), severity_min: Severity::Info };
    ledger.subscribe(receivers.iter().map(wants).collect()).unwrap();
    Arc::new(ledger)
}
