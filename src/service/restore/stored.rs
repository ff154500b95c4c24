//! What the store has of a recompute's range, as the journal would have had it.
//!
//! The store keeps a value as the float that is nearest to it, and names instead of ids. Ids are found
//! by name: they are never given up. A float becomes the value that it was made of, or the recompute is
//! refused: beyond 2^52 units of the last decimal two values may share a float. A column does not say how
//! many decimals a quantity had when that was changed since: the most that give the same number.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::RecomputeRefusal;
use crate::flow::past::BEFORE;
use crate::journal::sequencer::SharedDictionary;
use crate::model::{Dictionary, Event, QuantityId, Reading, Recompute, StoredEvent, Value};
use crate::store::{EventRow, EventsFilter, QueryLimits, Store, StoreError};

/// Reading all events of a recompute takes no longer.
const TIME_MAX: Duration = Duration::from_secs(3_600);

/// How many events a recompute is about, by what the store has.
///
/// # Errors
/// [`RecomputeRefusal::Unreadable`].
pub async fn count(store: &Store, recompute: &Recompute) -> Result<u64, RecomputeRefusal> {
    let limits = QueryLimits { time_max: TIME_MAX, ..QueryLimits::default() };
    store.count_events((recompute.begins_at(BEFORE), recompute.to), limits).await.map_err(unreadable)
}

/// The events of a recompute that the journal no longer holds, a piece after the other.
pub struct Pieces {
    rows: mpsc::Receiver<Vec<EventRow>>,
    reading: JoinHandle<Result<u64, StoreError>>,
    dictionary: SharedDictionary,
    /// By name and unit: ids with their decimals, the most first.
    quantities: HashMap<(Arc<str>, Arc<str>), Vec<(QuantityId, u8)>>,
}

impl Pieces {
    /// Begins to read.
    #[must_use]
    pub fn of(store: &Arc<Store>, recompute: &Recompute, dictionary: &SharedDictionary) -> Self {
        let (pieces, rows) = mpsc::channel(1);
        let wanted =
            EventsFilter { from: recompute.begins_at(BEFORE), to: recompute.to, before: recompute.since };
        let limits = QueryLimits { time_max: TIME_MAX, ..QueryLimits::default() };
        let store = store.clone();
        let reading = tokio::spawn(async move { store.events(wanted, pieces, limits).await });
        let quantities = quantities_of(&read(dictionary));
        Self { rows, reading, dictionary: dictionary.clone(), quantities }
    }

    /// The next piece; `None` when that was all.
    ///
    /// # Errors
    /// [`RecomputeRefusal::Unreadable`]: the store does not read, or a row is not one that the journal
    /// can have held.
    pub async fn next(&mut self) -> Result<Option<Vec<StoredEvent>>, RecomputeRefusal> {
        if let Some(rows) = self.rows.recv().await {
            let names = read(&self.dictionary);
            let events = rows.iter().map(|row| event_of(row, &names, &self.quantities));
            return events.collect::<Result<_, _>>().map(Some).map_err(RecomputeRefusal::Unreadable);
        }
        // The sender is gone: the reading has ended, or failed.
        let ended = (&mut self.reading).await.map_err(|_| RecomputeRefusal::Stopping)?;
        ended.map(|_| None).map_err(unreadable)
    }
}

fn unreadable(failure: StoreError) -> RecomputeRefusal {
    RecomputeRefusal::Unreadable(failure.to_string())
}

fn read(dictionary: &SharedDictionary) -> std::sync::RwLockReadGuard<'_, Dictionary> {
    dictionary.read().unwrap_or_else(PoisonError::into_inner)
}

fn quantities_of(names: &Dictionary) -> HashMap<(Arc<str>, Arc<str>), Vec<(QuantityId, u8)>> {
    let mut quantities: HashMap<_, Vec<(QuantityId, u8)>> = HashMap::new();
    for (id, quantity) in (0..).map(QuantityId).zip(names.quantities()) {
        let name = (Arc::from(&*quantity.name), Arc::from(&*quantity.unit));
        quantities.entry(name).or_default().push((id, quantity.decimals));
    }
    quantities.values_mut().for_each(|ids| ids.sort_by_key(|id| std::cmp::Reverse(id.1)));
    quantities
}

/// A row of the store by the ids of the dictionary.
fn event_of(
    row: &EventRow,
    names: &Dictionary,
    quantities: &HashMap<(Arc<str>, Arc<str>), Vec<(QuantityId, u8)>>,
) -> Result<StoredEvent, String> {
    let place = || format!("feed {}, sensor {}, {}", row.feed, row.sensor, row.event_at);
    let unknown = |what: &str| format!("{}: the journal has no name for its {what}", place());
    let feed = names.feed_id(&row.feed).ok_or_else(|| unknown("feed"))?;
    let device = names.device_id(feed, &row.sensor).ok_or_else(|| unknown("sensor"))?;
    let tags = names.tag_set_id(&row.tags).ok_or_else(|| unknown("tags"))?;
    let mut readings = Vec::with_capacity(row.readings.len());
    for (name, unit, float) in &row.readings {
        let ids = quantities.get(&(name.clone(), unit.clone())).ok_or_else(|| unknown("quantities"))?;
        let value = |(id, decimals): &(QuantityId, u8)| {
            Value::from_f64(*float, *decimals).ok().map(|value| Reading { quantity: *id, value })
        };
        let reading = ids.iter().find_map(value).ok_or_else(|| {
            format!("{}: {name} is {float}, of which it cannot be told what it was made of", place())
        })?;
        readings.push(reading);
    }
    readings.sort_by_key(|reading| reading.quantity);
    let event = Event {
        feed,
        device,
        tags,
        event_at: row.event_at,
        arrived_at: row.arrived_at,
        counter: row.counter,
        readings: 0..0,
    };
    Ok(StoredEvent { sequence: row.sequence, event, readings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entry, FeedId, Quantity, Timestamp};

    fn names() -> Dictionary {
        let mut names = Dictionary::default();
        let quantity = |name: &str, unit: &str, decimals| {
            Entry::Quantity(Arc::new(Quantity { name: name.into(), unit: unit.into(), decimals }))
        };
        for entry in [
            Entry::Feed("air".into()),
            Entry::Device(FeedId(0), "a".into()),
            Entry::Tags(Arc::from([("zone".into(), "norte".into())])),
            quantity("temp", "K", 1),
            quantity("pm25", "ug/m3", 1),
            quantity("pm25", "ug/m3", 3),
            quantity("temp", "Cel", 2),
        ] {
            names.insert(&entry);
        }
        names
    }

    fn row(readings: &[(&str, &str, f64)]) -> EventRow {
        let at = Timestamp(1_772_323_200_000_000_000);
        EventRow {
            feed: "air".into(),
            sensor: "a".into(),
            event_at: at,
            arrived_at: at,
            sequence: 77,
            counter: Some(3),
            tags: vec![("zone".into(), "norte".into())],
            readings: readings
                .iter()
                .map(|(name, unit, value)| ((*name).into(), (*unit).into(), *value))
                .collect(),
        }
    }

    #[test]
    fn a_row_becomes_the_event_that_it_was() {
        let names = names();
        let quantities = quantities_of(&names);
        let of = |row: &EventRow| event_of(row, &names, &quantities);
        let event =
            of(&row(&[("temp", "Cel", -0.05), ("pm25", "ug/m3", 23.4), ("temp", "K", 273.1)])).unwrap();
        let readings: Vec<_> = event.readings.iter().map(|one| (one.quantity.0, one.value.0)).collect();
        // The most decimals that give the number, in the order of ids.
        assert_eq!(readings, [(0, 2_731), (2, 23_400), (3, -5)]);
        assert_eq!((event.sequence, event.event.counter, event.event.tags.0), (77, Some(3), 0));
        // Too large for three decimals, not for one.
        let event = of(&row(&[("pm25", "ug/m3", 5e14)])).unwrap();
        assert_eq!((event.readings[0].quantity.0, event.readings[0].value.0), (1, 5_000_000_000_000_000));
    }

    #[test]
    fn a_row_that_the_journal_cannot_have_held_is_refused_by_name() {
        let names = names();
        let quantities = quantities_of(&names);
        let refused = |row: &EventRow| event_of(row, &names, &quantities).unwrap_err();
        assert!(refused(&EventRow { sensor: "b".into(), ..row(&[]) }).contains("no name for its sensor"));
        assert!(refused(&EventRow { tags: Vec::new(), ..row(&[]) }).contains("no name for its tags"));
        assert!(refused(&row(&[("no2", "ug/m3", 1.0)])).contains("no name for its quantities"));
        let said = refused(&row(&[("temp", "K", 0.25)]));
        assert_eq!(
            said,
            "feed air, sensor a, 2026-03-01T00:00:00Z: temp is 0.25, of which it cannot be told what it was made of"
        );
    }
}
