//! What comes in at the edge and what a decoder makes of it, before anything has an id.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::decimal::Value;
use super::dictionary::TagSet;
use super::readings::Readings;
use super::time::Timestamp;

/// One message as it came in.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// MQTT topic, or what stands for one.
    pub topic: Arc<str>,
    /// The bytes, untouched.
    pub payload: Bytes,
    /// When it came in, for decoders that need a "now" (SenML relative times, absent times).
    pub arrived_at: Timestamp,
}

/// What a decoder made of one message: bad input is data, not failure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// Events found.
    pub events: Events,
    /// What was refused, each with its reason; `reading` refusals leave their siblings alive.
    pub rejected: Vec<Rejected>,
    /// The message is of a kind that carries no measurement (a join, a status): counted, not kept.
    pub ignored: Option<&'static str>,
}

impl Decoded {
    /// Whether the message was not decoded because it is refused for its rate in any case.
    #[must_use]
    pub fn is_over_rate(&self) -> bool {
        self.rejected.first().is_some_and(|rejected| rejected.reason == Reason::OverRate)
    }
}

/// The events of one message: mostly one, which then stands in it without an allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Events {
    /// None.
    #[default]
    None,
    /// One.
    One(DecodedEvent),
    /// More than one.
    Several(Vec<DecodedEvent>),
}

impl Deref for Events {
    type Target = [DecodedEvent];

    fn deref(&self) -> &[DecodedEvent] {
        match self {
            Self::None => &[],
            Self::One(event) => std::slice::from_ref(event),
            Self::Several(events) => events,
        }
    }
}

impl From<Vec<DecodedEvent>> for Events {
    fn from(mut events: Vec<DecodedEvent>) -> Self {
        match (events.len(), events.pop()) {
            (1, Some(event)) => Self::One(event),
            (_, Some(last)) => {
                events.push(last);
                Self::Several(events)
            }
            (_, None) => Self::None,
        }
    }
}

/// One event before the dictionary knows its names.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedEvent {
    /// The device's own name.
    pub sensor: Arc<str>,
    /// Tags in the order of their names.
    pub tags: TagSet,
    /// When the device measured; `None`: the arrival time.
    pub event_at: Option<Timestamp>,
    /// Frame counter or the device's own sequence number.
    pub counter: Option<u64>,
    /// At least one reading, each quantity at most once.
    pub readings: Readings,
}

/// One value of one quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedReading {
    /// Which quantity.
    pub quantity: Arc<Quantity>,
    /// Its exact value, at the quantity's decimals.
    pub value: Value,
}

/// A quantity as its feed defines it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Quantity {
    /// Name, as conditions and columns spell it.
    pub name: Box<str>,
    /// Unit, UCUM spelling.
    pub unit: Box<str>,
    /// Decimals kept.
    pub decimals: u8,
}

/// Part of a message that is kept in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why, as a word machines count.
    pub reason: Reason,
    /// Why, for a person: place and what was found.
    pub detail: Box<str>,
    /// Whether only one reading is refused, its siblings living on.
    pub reading: bool,
}

impl Rejected {
    /// The whole message, or the event, is refused.
    #[must_use]
    pub fn message(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self { reason, detail: detail.into(), reading: false }
    }

    /// One reading is refused.
    #[must_use]
    pub fn reading(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self { reason, detail: detail.into(), reading: true }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $word:literal;)*) => {
        /// Why something was refused. The numbers stand in the journal: never reuse one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $variant = $code,)* }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in API, metrics and quarantine.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The reason a journal byte stands for.
            #[must_use]
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| *reason as u8 == code)
            }
        }
    };
}

reasons! {
    /// The payload is no JSON.
    BadJson = 1, "bad_json";
    /// The payload or topic is no UTF-8.
    BadText = 2, "bad_text";
    /// A value has another type than the mapping wants.
    WrongType = 3, "wrong_type";
    /// A field the mapping needs is missing.
    MissingField = 4, "missing_field";
    /// NaN, infinity, or text where a number is due.
    NotANumber = 5, "not_a_number";
    /// Larger than a value can be, or outside the quantity's limits.
    OutOfRange = 6, "out_of_range";
    /// The time is no time in the feed's format.
    BadTime = 7, "bad_time";
    /// The time is further in the future than the feed's max_skew.
    FutureTime = 8, "future_time";
    /// The time lies before 1971: a clock that was never set.
    UnsetClock = 9, "unset_clock";
    /// Nothing names the device.
    NoSensor = 10, "no_sensor";
    /// The message holds no reading.
    NoReading = 11, "no_reading";
    /// Same device, time and counter with another value for a quantity already held.
    Conflict = 12, "conflict";
    /// A quota of devices, tags or names is used up.
    OverQuota = 13, "over_quota";
    /// The payload is larger than the feed takes.
    TooLarge = 14, "too_large";
    /// The format's version is newer than the decoder knows.
    UnknownVersion = 15, "unknown_version";
    /// A name is empty, too long or has characters that names cannot have.
    BadName = 16, "bad_name";
    /// The topic matches the subscription, not the feed's template.
    BadTopic = 17, "bad_topic";
    /// Too deep, too many records or otherwise beyond a named limit of the decoder.
    TooComplex = 18, "too_complex";
    /// More messages an hour than the feed, or the device, may send.
    OverRate = 19, "over_rate";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_those_of_the_list_in_its_order() {
        let event = |counter: u64| DecodedEvent {
            sensor: "a".into(),
            tags: [].into(),
            event_at: None,
            counter: Some(counter),
            readings: Readings::default(),
        };
        for count in 0..4 {
            let list: Vec<DecodedEvent> = (0..count).map(event).collect();
            assert_eq!(*Events::from(list.clone()), *list);
        }
        assert!(matches!(Events::from(vec![event(0)]), Events::One(_)));
    }
}
