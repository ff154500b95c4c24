//! What is told to the view because the journal, whose beginning was removed, no longer says it:
//! definitions in force, sensors that have been silent since, accounts of past hours.

use std::sync::Arc;

use super::LiveView;
use super::sensor_table::Latest;
use crate::model::{Accounts, Control, DeviceId, Dictionary, FeedId, QuantityId, Timestamp, Value};

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
        let mut view = self.write();
        for sensor in sensors {
            let readings = sensor.readings.iter().filter_map(|reading| latest(reading, dictionary)).collect();
            view.sensors.recall(sensor, readings, dictionary);
        }
    }

    /// Takes in the accounts of a feed and hour of arrival, where they say more than the journal
    /// does that is left.
    pub fn recall_accounts(&self, hour: Timestamp, feed: &str, accounts: &Accounts) {
        self.write().accounts.recall(hour, feed, accounts);
    }
}

/// A stored value is the float nearest to its mantissa: rounding gives the mantissa back.
fn latest(reading: &RecalledReading, dictionary: &Dictionary) -> Option<Latest> {
    let ids = (0..).map(QuantityId).zip(dictionary.quantities());
    // The same name at other decimals is the quantity redefined: the last definition holds.
    let (id, quantity) =
        ids.filter(|(_, known)| *known.name == *reading.quantity && *known.unit == *reading.unit).last()?;
    let scaled = reading.value * 10_f64.powi(i32::from(quantity.decimals));
    let value = Value(scaled.round() as i64);
    Some(Latest { id, quantity: quantity.clone(), value, event_at: reading.event_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;

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
}
