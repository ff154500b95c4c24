//! What people see of a gap, from the first sight of it to its end.

use std::path::PathBuf;

use super::*;
use crate::journal::Retention;
use crate::journal::testing::{at_day, ten_days};
use crate::model::AlertState;
use crate::model::definition::Severity;
use crate::notify::{Alert, StateFilter, Subscription};

/// A data folder whose service is started again and again.
struct Site {
    directory: tempfile::TempDir,
}

/// One life of the service.
struct Life {
    gaps: Gaps,
    ledger: Arc<Ledger>,
    holders: Arc<Holders>,
    journal: Arc<Progress>,
}

impl Site {
    fn path(&self) -> PathBuf {
        self.directory.path().join("ledger.db")
    }

    fn start(&self, sinks: &[(&'static str, u64, u64)]) -> Life {
        let ledger = Arc::new(Ledger::open(&self.path()).unwrap());
        let wants = Subscription { receiver: "desk".into(), severity_min: Severity::Info };
        ledger.subscribe(vec![wants]).unwrap();
        let journal = Arc::new(Progress::new(9));
        journal.arrived(Timestamp(1_772_384_400_000_000_000));
        journal.passed(70);
        let gaps = Gaps::new(ledger.clone(), Arc::new(LiveView::new()), journal.clone()).unwrap();
        let holders: Arc<Holders> = Arc::default();
        for (name, epoch, frame) in sinks {
            gaps.recall(&holders.sink(name, *epoch, *frame)).unwrap();
        }
        Life { gaps, ledger, holders, journal }
    }
}

impl Life {
    fn alerts(&self, state: AlertState) -> Vec<Alert> {
        self.ledger.alerts(StateFilter::In(state), 100).unwrap()
    }

    fn owed(&self) -> u64 {
        self.ledger.outbox().accounts().unwrap()[0].waiting
    }
}

#[test]
fn a_gap_is_one_alert_from_its_first_sight_until_it_is_acknowledged() {
    let site = Site { directory: tempfile::tempdir().unwrap() };
    let life = site.start(&[("influx", 7, 3), ("ledger", u64::MAX, 5)]);
    life.gaps.settle(&life.holders).unwrap();
    assert!(life.alerts(AlertState::Firing).is_empty());

    let [influx, _] = &life.holders.sinks()[..] else { panic!("two sinks") };
    influx.note_gap((8, 0));
    for _ in 0..3 {
        life.gaps.settle(&life.holders).unwrap();
        life.gaps.raise(influx).unwrap();
    }
    let firing = life.alerts(AlertState::Firing);
    assert_eq!((firing.len(), firing[0].key["sink"].as_str(), life.owed()), (1, "influx", 1));
    assert!(firing[0].message.es.contains("influx estuvo atrasado"), "{:?}", firing[0].message);
    assert!(firing[0].message.en.contains("influx was further behind"), "{:?}", firing[0].message);
    assert_eq!((firing[0].value["journal"], firing[0].value["results"]), (Some(7.0), Some(3.0)));

    // Another life finds it, though the sink reads on behind the gap.
    drop(life);
    let life = site.start(&[("influx", 900, 40), ("ledger", u64::MAX, 5)]);
    let [influx, other] = &life.holders.sinks()[..] else { panic!("two sinks") };
    assert!(influx.needs_backfill() && !other.needs_backfill());
    life.gaps.settle(&life.holders).unwrap();
    assert_eq!(life.alerts(AlertState::Firing), firing);

    influx.acknowledge_gap();
    life.gaps.settle(&life.holders).unwrap();
    assert!(life.alerts(AlertState::Firing).is_empty());
    let over = life.alerts(AlertState::Resolved);
    assert_eq!((over[0].id.as_str(), over[0].transitions.len()), (firing[0].id.as_str(), 2));
    assert!(firing[0].value.iter().all(|figure| over[0].value.get(figure.0) == Some(figure.1)));

    // The next gap of the same sink is another alert.
    influx.note_gap((1_000, 0));
    life.gaps.settle(&life.holders).unwrap();
    assert_ne!(life.alerts(AlertState::Firing)[0].id, firing[0].id);
    drop(life);
    let life = site.start(&[("influx", 900, 40)]);
    assert!(life.holders.sinks()[0].needs_backfill());
}

#[test]
fn an_acknowledged_gap_is_told_again_only_once_more_of_it_is_gone() {
    let site = Site { directory: tempfile::tempdir().unwrap() };
    let life = site.start(&[("influx", 2, 2)]);
    let mut retention = ten_days();
    let collect = |retention: &Retention, life: &Life, day| {
        life.journal.arrived(at_day(100_000 + day));
        retention.holders.checkpoint.advance(10, 10);
        retention.holders.snapshot.advance(10, u64::MAX);
        retention.collect(at_day(day)).unwrap();
        life.gaps.settle(&life.holders).unwrap();
        life.alerts(AlertState::Firing).len()
    };
    let acknowledge = |life: &Life| {
        life.holders.sinks()[0].acknowledge_gap();
        life.gaps.settle(&life.holders).unwrap();
    };
    retention.holders = life.holders.clone();
    assert_eq!(collect(&retention, &life, 10), 1);
    acknowledge(&life);
    // The sink is still away: it stands where it stood, and a minute later nothing more is gone.
    assert_eq!((collect(&retention, &life, 10), collect(&retention, &life, 10), life.owed()), (0, 0, 2));
    assert_eq!((collect(&retention, &life, 11), life.owed()), (1, 3), "another day is gone");
    acknowledge(&life);

    // Another life finds the sink away as before, and tells nothing either.
    drop(life);
    let life = site.start(&[("influx", 2, 2)]);
    retention.holders = life.holders.clone();
    assert_eq!((collect(&retention, &life, 11), life.owed()), (0, 4));
    assert_eq!((collect(&retention, &life, 12), life.owed()), (1, 5));
    let alerts = [life.alerts(AlertState::Firing), life.alerts(AlertState::Resolved)].concat();
    assert_eq!((alerts.len(), alerts[0].transitions.len()), (1, 5), "one gap, one alert");
}

#[test]
fn the_alert_of_a_sink_that_is_configured_no_more_is_over() {
    let site = Site { directory: tempfile::tempdir().unwrap() };
    let life = site.start(&[("influx", 7, 3)]);
    life.gaps.raise(&life.holders.sinks()[0]).unwrap();
    drop(life);
    let life = site.start(&[]);
    life.gaps.settle(&life.holders).unwrap();
    assert!(life.alerts(AlertState::Firing).is_empty());
    assert_eq!(life.alerts(AlertState::Resolved).len(), 1);
}

#[test]
fn a_gap_is_durable_before_the_sink_reads_on() {
    let site = Site { directory: tempfile::tempdir().unwrap() };
    let life = site.start(&[("influx", 7, 3)]);
    life.ledger.apply(4, &[]).unwrap();
    assert_eq!(life.ledger.durable_cursor(), 0);
    life.gaps.raise(&life.holders.sinks()[0]).unwrap();
    assert_eq!(life.ledger.durable_cursor(), 4, "one sync makes everything before durable");
}

#[test]
fn a_gap_that_cannot_be_synced_is_told_once() {
    let site = Site { directory: tempfile::tempdir().unwrap() };
    let life = site.start(&[("influx", 7, 3)]);
    let file = rusqlite::Connection::open(site.path()).unwrap();
    let refuses = "CREATE TRIGGER unsynced BEFORE INSERT ON meta WHEN NEW.name = 'secured' \
                   BEGIN SELECT RAISE(ABORT, 'no room'); END";
    file.execute_batch(refuses).unwrap();
    let [influx] = &life.holders.sinks()[..] else { panic!("one sink") };
    influx.note_gap((8, 0));
    for records in 71..74 {
        life.journal.passed(records);
        life.gaps.settle(&life.holders).unwrap_err();
        life.gaps.raise(influx).unwrap_err();
    }
    assert_eq!((life.alerts(AlertState::Firing)[0].transitions.len(), life.owed()), (1, 1));
    assert_eq!(life.ledger.durable_cursor(), 0);
    file.execute_batch("DROP TRIGGER unsynced").unwrap();
    life.ledger.apply(4, &[]).unwrap();
    life.gaps.raise(influx).unwrap();
    assert_eq!((life.alerts(AlertState::Firing)[0].transitions.len(), life.owed()), (1, 1));
    assert_eq!(life.ledger.durable_cursor(), 4, "and the sync is made up for");
}
