//! Timelines of alerts through the ledger.

use AlertState::{Firing, Inactive, Pending, Resolved};

use super::super::testing::{ledger, open, raised, resolved, row, s, transition};
use super::*;
use crate::model::crash::Point;
use crate::model::crash::testing::until_crash;
use crate::model::definition::Severity;

/// One ledger, one results log, wishes about what people see.
struct Timeline {
    _directory: tempfile::TempDir,
    ledger: Arc<Ledger>,
    position: u64,
}

impl Timeline {
    fn new() -> Self {
        let (directory, ledger) = ledger(&["operations"]);
        Self { _directory: directory, ledger, position: 0 }
    }

    fn publish(&mut self, rows: &[ResultRow]) -> Vec<AlertChange> {
        self.position += rows.len() as u64;
        self.ledger.apply(self.position, rows).unwrap()
    }

    fn want(&self, filter: StateFilter, keys: &[&str]) {
        let alerts = self.ledger.alerts(filter, 100).unwrap();
        let found: Vec<&str> = alerts.iter().map(|alert| alert.key["sensor"].as_str()).collect();
        assert_eq!(found, keys, "{filter:?}");
    }

    fn waiting(&self) -> u64 {
        self.ledger.outbox().accounts().unwrap()[0].waiting
    }
}

#[test]
fn an_alert_lives_from_pending_to_resolved() {
    let mut timeline = Timeline::new();
    timeline.publish(&[row("rio-01", Inactive, Pending, 0)]);
    timeline.want(StateFilter::In(Pending), &["rio-01"]);
    assert_eq!(timeline.waiting(), 0);

    timeline.publish(&[raised("rio-01", 120)]);
    timeline.want(StateFilter::In(Firing), &["rio-01"]);
    assert_eq!(timeline.waiting(), 1);

    let changes = timeline.publish(&[resolved("rio-01", 600)]);
    timeline.want(StateFilter::In(Firing), &[]);
    timeline.want(StateFilter::All, &["rio-01"]);
    let alert = &changes[0].alert;
    assert_eq!(alert.started_at, s(0).to_string());
    assert_eq!(alert.raised_at, Some(s(120).to_string()));
    assert_eq!(alert.resolved_at, Some(s(600).to_string()));
    assert_eq!(alert.decided_at, s(601).to_string());
    assert_eq!(alert.value["level_cm"], Some(312.0));
    assert_eq!(alert.value["rain_mm"], None);
    assert_eq!(alert.labels["area"], "norte");
    let steps: Vec<_> = alert.transitions.iter().map(|step| (step.from, step.to)).collect();
    assert_eq!(steps, [(Inactive, Pending), (Pending, Firing), (Firing, Resolved)]);
    assert_eq!(timeline.ledger.alert(&alert.id).unwrap().as_ref(), Some(alert));
    assert_eq!(timeline.waiting(), 2);
}

#[test]
fn pending_that_never_fired_leaves_every_list() {
    let mut timeline = Timeline::new();
    timeline.publish(&[row("rio-01", Inactive, Pending, 0)]);
    let changes = timeline.publish(&[row("rio-01", Pending, Inactive, 30)]);
    assert_eq!(changes[0].alert.state, Inactive);
    timeline.want(StateFilter::All, &[]);
    assert_eq!(timeline.ledger.counts().unwrap(), Counts::default());
    assert_eq!(timeline.ledger.changes_after(1, 10).unwrap(), changes, "a live stream learns of it");
    assert_eq!(timeline.waiting(), 0);
}

#[test]
fn annulled_by_late_data_is_told_and_stays_in_the_history() {
    let mut timeline = Timeline::new();
    timeline.publish(&[raised("rio-01", 60)]);
    timeline.publish(&[row("rio-01", Firing, Inactive, 60)]);
    timeline.want(StateFilter::In(Firing), &[]);
    timeline.want(StateFilter::All, &["rio-01"]);
    assert_eq!(timeline.waiting(), 2);

    let changes = timeline.publish(&[row("rio-01", Inactive, Firing, 90)]);
    assert_eq!(changes[0].alert.resolved_at, None, "raised again");
    assert_eq!(changes[0].alert.raised_at, Some(s(90).to_string()), "raised where late data put it");
}

#[test]
fn what_a_recompute_found_is_over_and_nobody_is_owed() {
    let mut timeline = Timeline::new();
    let raised_at = Some(s(60));
    let found = Transition { notify: false, raised_at, ..transition("rio-01", Inactive, Resolved, 120) };
    let rows = [ResultRow::Transition(Box::new(found))];
    let changes = timeline.publish(&rows);
    assert_eq!(changes[0].alert.state, Resolved);
    assert!(changes[0].alert.raised_at.is_some() && changes[0].alert.resolved_at.is_some());
    assert!(timeline.publish(&rows).is_empty(), "a step is known by its cause");
    let never = Transition { notify: false, ..transition("rio-01", Resolved, Inactive, 130) };
    timeline.publish(&[ResultRow::Transition(Box::new(never))]);
    timeline.want(StateFilter::In(Resolved), &[]);
    assert_eq!(timeline.waiting(), 0);
}

#[test]
fn applying_again_from_an_older_cursor_changes_nothing() {
    let (directory, ledger) = ledger(&["operations"]);
    let rows = [row("rio-01", Inactive, Pending, 0), raised("rio-01", 60), raised("rio-02", 61)];
    ledger.apply(3, &rows).unwrap();
    let before = (ledger.alerts(StateFilter::All, 9).unwrap(), ledger.outbox().accounts().unwrap());
    drop(ledger);

    let ledger = open(&directory, &["operations"]);
    assert_eq!(ledger.cursor().unwrap(), 3);
    assert!(ledger.apply(2, &rows[..2]).unwrap().is_empty(), "before the cursor");
    assert!(ledger.apply(3, &rows).unwrap().is_empty(), "the last batch again");
    let changes = ledger.apply(5, &[rows[2].clone(), resolved("rio-02", 90)]).unwrap();
    assert_eq!(changes.len(), 1, "a batch cut otherwise holds one new row");
    assert_eq!(changes[0].change, 4);
    ledger.outbox().delivered(&format!("{}:2:operations", changes[0].alert.id)).unwrap();
    let after = (ledger.alerts(StateFilter::All, 9).unwrap(), ledger.outbox().accounts().unwrap());
    assert_eq!((after.0.len(), after.1[0].waiting), (before.0.len(), before.1[0].waiting));
}

#[test]
fn the_cursor_moves_with_rows_that_are_no_alerts() {
    let (_directory, ledger) = ledger(&[]);
    assert_eq!(ledger.cursor().unwrap(), 0);
    ledger.apply(7, &[]).unwrap();
    assert_eq!(ledger.cursor().unwrap(), 7);
}

#[test]
fn only_wanted_severities_and_recent_decisions_are_owed() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&directory.path().join("ledger")).unwrap().owing_since(s(100));
    let critical = Subscription { receiver: "hospital".into(), severity_min: Severity::Critical };
    let all = Subscription { receiver: "office".into(), severity_min: Severity::Info };
    ledger.subscribe(vec![critical, all]).unwrap();
    let grave = Transition { severity: Severity::Critical, ..transition("rio-03", Pending, Firing, 120) };
    let rows = [raised("rio-01", 10), raised("rio-02", 110), ResultRow::Transition(Box::new(grave))];
    ledger.apply(3, &rows).unwrap();
    let accounts = ledger.outbox().accounts().unwrap();
    let waiting: Vec<_> = accounts.iter().map(|a| (a.receiver.as_str(), a.waiting)).collect();
    assert_eq!(waiting, [("hospital", 1), ("office", 2)]);
    let counts = ledger.counts().unwrap();
    assert_eq!(counts.of(Firing), 3);
    assert_eq!(counts.0[&("firing", Severity::Critical)], 1);
}

#[test]
fn alerts_that_are_over_are_bounded_and_take_their_steps_along() {
    let (_directory, ledger) = ledger(&[]);
    let never_fired = |n: u64| {
        let sensor = format!("rio-{n}");
        [row(&sensor, Inactive, Pending, 0), row(&sensor, Pending, Inactive, 1)]
    };
    let count = NEVER_FIRED_KEPT_MAX + PRUNE_EVERY;
    let rows: Vec<ResultRow> = (0..count).flat_map(never_fired).collect();
    ledger.apply(1, &rows).unwrap();
    let connection = ledger.database.reader();
    let alerts: i64 = connection.query_row("SELECT count(*) FROM alert", [], |row| row.get(0)).unwrap();
    let steps: i64 = connection.query_row("SELECT count(*) FROM step", [], |row| row.get(0)).unwrap();
    let kept = signed(NEVER_FIRED_KEPT_MAX);
    assert_eq!((alerts, steps), (kept, 2 * kept));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    drop(Ledger::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Ledger::open(&path), Err(LedgerError::NewerFormat { found: 99, .. })));
}

#[test]
fn a_crash_around_a_commit_loses_all_of_it_or_nothing() {
    for (point, kept) in [(Point::LedgerCommitting, false), (Point::LedgerCommitted, true)] {
        let (directory, first) = ledger(&["operations"]);
        let crashed = until_crash(move |at| at == point, || first.apply(1, &[raised("rio-01", 120)]));
        assert_eq!(crashed.err(), Some(point));
        drop(first);

        let again = open(&directory, &["operations"]);
        assert_eq!(again.cursor().unwrap(), u64::from(kept));
        again.apply(1, &[raised("rio-01", 120)]).unwrap();
        assert_eq!(again.outbox().accounts().unwrap()[0].waiting, 1, "owed once, not twice");
        let alerts = again.alerts(StateFilter::All, 10).unwrap();
        let alert = again.alert(&alerts[0].id).unwrap().unwrap();
        assert_eq!(alert.transitions.len(), 1);
    }
}

/// The folder's ledger as a loss of power would leave it that kept so much of the write-ahead log.
fn after_power_loss(directory: &tempfile::TempDir, wal_bytes: u64) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
        std::fs::copy(directory.path().join(name), left.path().join(name)).unwrap();
    }
    let wal = std::fs::File::options().write(true).open(left.path().join("ledger.sqlite-wal")).unwrap();
    wal.set_len(wal_bytes).unwrap();
    left
}

#[test]
fn a_loss_of_power_takes_nothing_back_that_the_log_may_forget() {
    let (directory, ledger) = ledger(&["operations"]);
    let wal_bytes = || std::fs::metadata(directory.path().join("ledger.sqlite-wal")).unwrap().len();
    let mut synced = wal_bytes();
    for step in 0..30_u64 {
        ledger.apply(step + 1, &[raised(&format!("rio-{step}"), 120)]).unwrap();
        if step % 7 == 6 {
            ledger.secure().unwrap();
            assert_eq!(ledger.durable_cursor(), step + 1);
            synced = wal_bytes();
        }
        let left = after_power_loss(&directory, synced);
        let again = open(&left, &["operations"]);
        let cursor = again.cursor().unwrap();
        assert!(cursor >= ledger.durable_cursor(), "{cursor} is left");
        assert_eq!(again.alerts(StateFilter::All, 100).unwrap().len() as u64, cursor);
    }
    assert_eq!(ledger.durable_cursor(), 28, "it does not move by itself");
}

#[test]
fn what_a_killed_process_committed_is_synced_at_the_start() {
    let (directory, first) = ledger(&[]);
    first.apply(5, &[raised("rio-01", 120)]).unwrap();
    assert_eq!((first.cursor().unwrap(), first.durable_cursor()), (5, 0));
    let again = open(&directory, &[]);
    assert_eq!(again.durable_cursor(), 5);
    let left = after_power_loss(
        &directory,
        std::fs::metadata(directory.path().join("ledger.sqlite-wal")).unwrap().len(),
    );
    assert_eq!(open(&left, &[]).cursor().unwrap(), 5);
}
