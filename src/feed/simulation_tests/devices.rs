//! What the devices of a simulated town say: sound readings in and out of order, the same again,
//! something else for the same time, nonsense, and clocks that are ahead.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::journal::testing::Chance;
use crate::model::time::SECOND;
use crate::model::{
    Decoded, DecodedEvent, DecodedReading, Quantity, Reason, Rejected, Span, Timestamp, Value,
};

/// Feeds by number; what tells a repeat is in the order of [`FEED_DEFINITIONS`].
pub(super) const FEEDS: [&str; 3] = ["air", "meter", "noise"];
/// Identity by time, by the device's sequence, and by the protocol alone.
pub(super) const FEED_DEFINITIONS: [&str; 3] = [
    r#"{"name": "air", "topic": "air/{sensor}", "decoder": "json", "out_of_orderness": "5s", "identity": "time",
        "quantity": {"pm25": {"unit": "ug/m3", "decimals": 0}, "pm10": {"unit": "ug/m3", "decimals": 0}}}"#,
    r#"{"name": "meter", "topic": "meter/{sensor}", "decoder": "json", "out_of_orderness": "2s", "identity": "sequence",
        "quantity": {"pm25": {"unit": "ug/m3", "decimals": 0}}}"#,
    r#"{"name": "noise", "topic": "noise/{sensor}", "decoder": "json", "out_of_orderness": "1s", "identity": "protocol",
        "quantity": {"pm25": {"unit": "ug/m3", "decimals": 0}}}"#,
];
/// Devices of one feed.
const DEVICES: usize = 4;

/// One message, as its device means it.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Number of its feed.
    pub(super) feed: usize,
    pub(super) device: usize,
    pub(super) event_at: Option<Timestamp>,
    pub(super) counter: Option<u64>,
    pub(super) values: Vec<(&'static str, i64)>,
    /// Nothing a decoder can read.
    pub(super) nonsense: bool,
    /// Its device's clock is a day ahead.
    pub(super) is_ahead: bool,
}

impl Said {
    /// The device's name.
    pub(super) fn sensor(&self) -> String {
        format!("{}-{}", FEEDS[self.feed], self.device)
    }

    /// What a decoder makes of it.
    pub(super) fn decoded(&self) -> Decoded {
        if self.nonsense {
            let rejected = vec![Rejected::message(Reason::BadJson, "no")];
            return Decoded { rejected, ..Decoded::default() };
        }
        let reading = |(name, value): &(&str, i64)| DecodedReading {
            quantity: Arc::new(Quantity { name: (*name).into(), unit: "ug/m3".into(), decimals: 0 }),
            value: Value(*value),
        };
        let event = DecodedEvent {
            sensor: self.sensor().into(),
            tags: vec![("zone".into(), format!("comuna-{}", self.device % 2).into())].into(),
            event_at: self.event_at,
            counter: self.counter,
            readings: self.values.iter().map(reading).collect(),
        };
        Decoded { events: vec![event].into(), ..Decoded::default() }
    }
}

/// The town, and everything it ever said.
pub(super) struct Devices {
    chance: Chance,
    pub(super) said: Vec<Said>,
    counters: HashMap<(usize, usize), u64>,
    /// Devices that speak: those that are always there, and visitors by other numbers.
    pub(super) present: Range<usize>,
    /// Everybody speaks in time and makes sense.
    pub(super) calm: bool,
}

impl Devices {
    pub(super) fn new(chance: Chance) -> Self {
        let (said, counters) = (Vec::new(), HashMap::new());
        Self { chance, said, counters, present: 0..DEVICES, calm: false }
    }

    /// The number of the next message, said at `now`.
    pub(super) fn speak(&mut self, now: Timestamp) -> usize {
        let chance = &mut self.chance;
        let recent = self.said.len().saturating_sub(30);
        let earlier = (!self.said.is_empty())
            .then(|| self.said[recent + chance.below(self.said.len() - recent)].clone())
            .filter(|said| !said.nonsense && said.feed < 2);
        let said = match (chance.below(20), earlier) {
            _ if self.calm => self.sound(now),
            // The device is not sure that it was heard.
            (0 | 1, Some(said)) => said,
            // It corrects itself.
            (2, Some(said)) => {
                Said { values: said.values.iter().map(|(name, value)| (*name, value + 1)).collect(), ..said }
            }
            (3, _) => Said { nonsense: true, ..self.sound(now) },
            (4, _) => {
                Said { event_at: Some(now.plus(Span::seconds(86_400))), is_ahead: true, ..self.sound(now) }
            }
            _ => self.sound(now),
        };
        self.said.push(said);
        self.said.len() - 1
    }

    fn sound(&mut self, now: Timestamp) -> Said {
        let number = self.said.len() as i64;
        let chance = &mut self.chance;
        let (feed, device) = (chance.below(3), self.present.start + chance.below(self.present.len()));
        let late = match chance.below(20) {
            _ if self.calm => 0,
            0 => chance.below(300),
            1 => chance.below(4_000),
            _ => chance.below(4),
        };
        // The number makes every genuine time unique; a device of no clock says none.
        let at = Timestamp(now.0 - late as i64 * SECOND - number);
        let event_at = (self.calm || feed != 2 || chance.once_in(2)).then_some(at);
        let counter = (feed == 1).then(|| {
            let counter = self.counters.entry((feed, device)).or_default();
            *counter += 1;
            *counter
        });
        let value = chance.below(120) as i64;
        let values = match chance.below(6) {
            _ if self.calm => vec![("pm25", value)],
            0 if feed == 0 => vec![("pm25", value), ("pm10", value / 2)],
            1 if feed == 0 => vec![("pm10", value)],
            _ => vec![("pm25", value)],
        };
        Said { feed, device, event_at, counter, values, nonsense: false, is_ahead: false }
    }
}
