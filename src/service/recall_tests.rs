//! Sensors and accounts from before the journal's beginning.

use std::sync::RwLock;

use super::*;
use crate::api::accounts::Account;
use crate::api::sensors::SensorFilter;
use crate::model::{
    Accounts, Batch, Entry, Event, FeedAccounts, Quantity, QuantityId, Reading, Record, TagSetId, Value,
};
use crate::store::StoreOptions;

/// 2026-03-01T00:30:00Z.
const BEGIN: i64 = 1_772_325_000;
const DAY: i64 = 86_400;

fn names() -> Dictionary {
    let mut names = Dictionary::default();
    let quantity = |name: &str, decimals| {
        Entry::Quantity(Arc::new(Quantity { name: name.into(), unit: "ug/m3".into(), decimals }))
    };
    for entry in [
        Entry::Feed("air".into()),
        Entry::Device(FeedId(0), "loud".into()),
        Entry::Device(FeedId(0), "silent".into()),
        Entry::Device(FeedId(0), "long-silent".into()),
        Entry::Device(FeedId(0), "never".into()),
        Entry::Tags(vec![("area".into(), "sur".into()), ("zone".into(), "norte".into())].into()),
        quantity("pm25", 1),
        quantity("pm10", 6),
    ] {
        names.insert(&entry);
    }
    names
}

/// One event of a device, `seconds` after the journal's beginning, with its quantities' mantissas.
fn said(first: u64, device: u32, seconds: i64, readings: &[(u16, i64)]) -> Batch {
    let at = Timestamp((BEGIN + seconds) * SECOND);
    let event = Event {
        feed: FeedId(0),
        device: DeviceId(device),
        tags: TagSetId(0),
        event_at: at,
        arrived_at: at,
        counter: None,
        readings: 0..readings.len() as u32,
    };
    let delta = Accounts { messages_received: 1, messages_decoded: 1, ..Accounts::default() };
    let reading = |(id, value): &(u16, i64)| Reading { quantity: QuantityId(*id), value: Value(*value) };
    Batch {
        first,
        arrived_at: at,
        records: vec![Record::Event(event)],
        readings: readings.iter().map(reading).collect(),
        accounts: vec![FeedAccounts { feed: FeedId(0), delta }],
        devices: Vec::new(),
        packets: Vec::new(),
    }
}

/// Everything that was ever said, and where the journal begins in it.
fn history() -> (Vec<Batch>, usize) {
    let past = vec![
        said(0, 2, -400 * DAY, &[(0, 71), (1, 5_000_000)]),
        said(1, 0, -3 * DAY, &[(0, 11)]),
        said(2, 1, -3 * DAY - 10, &[(0, 999), (1, 1_234_567)]),
        said(3, 1, -3 * DAY, &[(0, 123)]),
        // Of the journal's first hour, but before it begins.
        said(4, 0, -600, &[(0, 12)]),
    ];
    let begins = past.len();
    (past.into_iter().chain([said(5, 0, 0, &[(0, 13)]), said(6, 0, 60, &[(0, 14)])]).collect(), begins)
}

fn everybody(live: &LiveView) -> Vec<crate::api::sensors::Sensor> {
    live.sensors(&SensorFilter { limit: 100, ..SensorFilter::default() }).0
}

/// A view that saw only what the journal still holds, and a store that saw everything.
fn after_a_restart(folder: &std::path::Path) -> Recall {
    let (history, begins) = history();
    let (names, live) = (names(), LiveView::new());
    let store = Store::open(folder, StoreOptions::default()).unwrap();
    for (epoch, batch) in (0..).zip(&history) {
        store.apply_batch(epoch, batch, &names).unwrap();
        if epoch == 3 {
            store.flush().unwrap();
        }
    }
    history.iter().skip(begins).for_each(|batch| live.apply_batch(batch, &names));
    Recall {
        store: Arc::new(store),
        live: Arc::new(live),
        dictionary: Arc::new(RwLock::new(names)),
        limits: QueryLimits::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_is_as_if_the_journal_had_kept_everything() {
    let folder = tempfile::tempdir().unwrap();
    let recall = after_a_restart(folder.path());
    assert_eq!(everybody(&recall.live).len(), 1, "the loud one");
    assert_eq!(recall.run(Timestamp(BEGIN * SECOND)).await, 2);

    let whole = LiveView::new();
    history().0.iter().for_each(|batch| whole.apply_batch(batch, &names()));
    assert_eq!(everybody(&recall.live), everybody(&whole));
    let totals = |live: &LiveView| live.totals().sensors;
    assert_eq!((totals(&recall.live), totals(&whole)), (3, 3));
    // Those of 400 days ago are not shown by either.
    let accounts = |live: &LiveView| -> Vec<Account> { live.accounts(None, None) };
    assert_eq!(accounts(&recall.live), accounts(&whole));
    assert_eq!(accounts(&whole).len(), 2);

    // Again, nothing is new; one that speaks is what it says.
    assert_eq!(recall.run(Timestamp(BEGIN * SECOND)).await, 0);
    recall.live.apply_batch(&said(7, 1, 120, &[(0, 7)]), &names());
    let silent = everybody(&recall.live).into_iter().find(|sensor| sensor.name == "silent").unwrap();
    assert_eq!(silent.readings.iter().map(|reading| reading.value).collect::<Vec<_>>(), [0.7, 1.234567]);
}
