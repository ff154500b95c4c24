//! What is told to the view because the journal, whose beginning was removed, no longer says it:
//! definitions in force, sensors that have been silent since, accounts of past hours.

use std::collections::HashMap;
use std::sync::Arc;

use super::LiveView;
use super::sensor_table::Latest;
use crate::model::{Accounts, Control, DeviceId, Dictionary, FeedId, Quantity, QuantityId, Timestamp, Value};

/// The last that is known of a sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalled {
    /// The sensor.
    pub device: DeviceId,
    /// Tags of its last event.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// Its last event time.
    pub event_at: Timestamp,
    /// The arrival time of that event.
    pub arrived_at: Timestamp,
    /// The latest reading of each quantity.
    pub readings: Vec<RecalledReading>,
}

/// The latest reading of one quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct RecalledReading {
    /// Quantity.
    pub quantity: Arc<str>,
    /// Unit.
    pub unit: Arc<str>,
    /// Value.
    pub value: f64,
    /// Event time.
    pub event_at: Timestamp,
}

impl LiveView {
    /// Definitions in force at the start; the journal's own are folded over them.
    pub fn define(&self, controls: &[Control]) {
        let mut view = self.write();
        controls.iter().for_each(|control| view.control(control));
    }

    /// Devices of the dictionary of which the view knows nothing, by feed, at most `limit`.
    #[must_use]
    pub fn silent(&self, dictionary: &Dictionary, limit: usize) -> Vec<(FeedId, DeviceId, Arc<str>)> {
        let view = self.read();
        let devices = (0..).map(DeviceId).zip(dictionary.devices());
        let silent = devices.filter(|(id, _)| !view.sensors.knows(*id));
        silent.map(|(id, (feed, name))| (*feed, id, name.clone())).take(limit).collect()
    }

    /// Takes in sensors of which it knows nothing; one that spoke meanwhile is left as it is.
    pub fn recall_sensors(&self, sensors: &[Recalled], dictionary: &Dictionary) {
        // Before the view is held up: there may be thousands of quantities, and as many readings.
        let quantities = by_name(dictionary);
        let latest = |sensor: &Recalled| -> Vec<Latest> {
            sensor.readings.iter().filter_map(|reading| latest(reading, &quantities)).collect()
        };
        let readings: Vec<Vec<Latest>> = sensors.iter().map(latest).collect();
        let mut view = self.write();
        for (sensor, readings) in sensors.iter().zip(readings) {
            view.sensors.recall(sensor, readings, dictionary);
        }
    }

    /// Takes in the accounts of a feed and hour of arrival, where they say more than the journal
    /// does that is left.
    pub fn recall_accounts(&self, hour: Timestamp, feed: &str, accounts: &Accounts) {
        self.write().accounts.recall(hour, feed, accounts);
    }
}

/// Quantities by name and unit, those defined last first.
type Quantities<'a> = HashMap<(&'a str, &'a str), Vec<(QuantityId, &'a Arc<Quantity>)>>;

/// The same name at other decimals is the quantity redefined.
fn by_name(dictionary: &Dictionary) -> Quantities<'_> {
    let known: Vec<_> = (0..).map(QuantityId).zip(dictionary.quantities()).collect();
    let mut quantities = Quantities::new();
    for (id, quantity) in known.into_iter().rev() {
        quantities.entry((&*quantity.name, &*quantity.unit)).or_default().push((id, quantity));
    }
    quantities
}

/// The value that was stored, by the last definition that it can have been of. None of a float that two
/// values share: what is not known is not shown.
fn latest(reading: &RecalledReading, quantities: &Quantities<'_>) -> Option<Latest> {
    let defined = quantities.get(&(&*reading.quantity, &*reading.unit))?;
    defined.iter().find_map(|(id, quantity)| {
        let value = Value::from_f64(reading.value, quantity.decimals).ok()?;
        Some(Latest { id: *id, quantity: (*quantity).clone(), value, event_at: reading.event_at })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::model::Entry;

    #[test]
    fn definitions_that_the_journal_no_longer_holds_are_shown() {
        let live = LiveView::new();
        let controls: Vec<Control> = testing::journal()[0]
            .records
            .iter()
            .filter_map(|record| match record {
                crate::model::Record::Control(control) => Some((**control).clone()),
                _ => None,
            })
            .collect();
        live.define(&controls);
        // The journal begins behind them.
        testing::journal().iter().skip(1).for_each(|batch| live.apply_batch(batch, &testing::dictionary()));
        let whole = LiveView::new();
        testing::journal().iter().for_each(|batch| whole.apply_batch(batch, &testing::dictionary()));
        assert_eq!((live.feeds("own"), live.pipelines()), (whole.feeds("own"), whole.pipelines()));
        assert_eq!((live.feeds("own").len(), live.pipelines().len()), (1, 1));
    }

    #[test]
    fn a_recalled_reading_is_of_the_quantity_as_it_was_defined_last() {
        let quantity = |unit: &str, decimals| Quantity { name: "pm25".into(), unit: unit.into(), decimals };
        let mut dictionary = Dictionary::default();
        for known in [quantity("ug/m3", 1), quantity("ug/m3", 2), quantity("ppb", 0)] {
            dictionary.insert(&Entry::Quantity(Arc::new(known)));
        }
        let reading = |unit: &str, value| RecalledReading {
            quantity: "pm25".into(),
            unit: unit.into(),
            value,
            event_at: Timestamp(5),
        };
        let readings = [reading("ug/m3", 1.25), reading("g", 1.0), reading("ppb", 3.0)];
        let quantities = by_name(&dictionary);
        let found = readings.iter().filter_map(|one| latest(one, &quantities));
        let found: Vec<_> = found.map(|latest| (latest.id.0, latest.value.0)).collect();
        assert_eq!(found, [(1, 125), (2, 3)]);
    }

    #[test]
    fn a_recalled_value_is_the_one_that_was_stored() {
        let quantity = |decimals| Quantity { name: "pm25".into(), unit: "".into(), decimals };
        let mut dictionary = Dictionary::default();
        [quantity(3), quantity(2)]
            .into_iter()
            .for_each(|known| dictionary.insert(&Entry::Quantity(Arc::new(known))));
        let quantities = by_name(&dictionary);
        let found = |value| {
            let reading =
                RecalledReading { quantity: "pm25".into(), unit: "".into(), value, event_at: Timestamp(5) };
            latest(&reading, &quantities).map(|latest| (latest.id.0, latest.value.0))
        };
        // What came before the quantity lost decimals has more of them than it has now.
        assert_eq!([found(1.25), found(1.255)], [Some((1, 125)), Some((0, 1_255))]);
        // Times a hundred, the nearest float is the neighbour's.
        let large = Value(6_252_833_009_938_933);
        assert_eq!(found(large.to_f64(2)), Some((1, large.0)));
        assert_eq!(found(f64::NAN), None);
    }
}
