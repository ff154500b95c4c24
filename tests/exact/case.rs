//! A case: definitions and a script of what came in and when, and the journal that the real
//! sequencer makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sereno::journal::Sequencer;
use sereno::model::arrival::Quantity;
use sereno::model::{
    Batch, Control, Decoded, DecodedEvent, DecodedReading, Reason, Rejected, Submission, Timestamp, Value,
};

use crate::condition::Condition;

/// A generated case.
#[derive(Clone)]
pub struct Case {
    /// The number that made it.
    pub seed: u64,
    /// In a few words, what it is.
    pub title: String,
    /// Conditions by their SQL.
    pub conditions: BTreeMap<String, Condition>,
    /// What happens, in the order of its time.
    pub script: Vec<(i64, Happening)>,
}

/// Something that reaches the sequencer.
#[derive(Clone, Debug)]
pub enum Happening {
    /// The configuration is this from here on.
    Configure(Vec<Control>),
    /// A feed came up or went down.
    Link(Arc<str>, bool),
    /// A message.
    Message(Message),
    /// Nothing but time.
    Pass,
    /// The batch so far is handed over.
    Cut,
    /// The sequencer starts again from the journal.
    Restart,
}

/// A message, as a decoder left it.
#[derive(Clone, Debug)]
pub struct Message {
    /// By which feed.
    pub feed: Arc<str>,
    /// Its events.
    pub events: Vec<DecodedEvent>,
    /// Readings refused by the decoder.
    pub refused_readings: usize,
    /// Nothing in it could be read.
    pub unreadable: bool,
    /// Of a kind without measurements.
    pub ignored: bool,
    /// The connection itself knew it again.
    pub repeated: bool,
}

impl Message {
    /// A message of these events.
    pub fn of(feed: &Arc<str>, events: Vec<DecodedEvent>) -> Self {
        Self {
            feed: feed.clone(),
            events,
            refused_readings: 0,
            unreadable: false,
            ignored: false,
            repeated: false,
        }
    }

    fn decoded(&self) -> Decoded {
        let mut rejected =
            vec![Rejected::reading(Reason::OutOfRange, "beyond its limits"); self.refused_readings];
        if self.unreadable {
            rejected.push(Rejected::message(Reason::BadJson, "no JSON"));
        }
        Decoded { events: self.events.clone().into(), rejected, ignored: self.ignored.then_some("a join") }
    }
}

/// One event of a device; `values` are quantity, decimals and mantissa.
pub fn event(
    sensor: &str,
    zone: &str,
    event_at: Option<i64>,
    counter: Option<u64>,
    values: &[(&'static str, i64)],
) -> DecodedEvent {
    let reading = |(name, mantissa): &(&'static str, i64)| DecodedReading {
        quantity: Arc::new(Quantity {
            name: (*name).into(),
            unit: unit(name).into(),
            decimals: decimals(name),
        }),
        value: Value(*mantissa),
    };
    DecodedEvent {
        sensor: sensor.into(),
        tags: vec![("zone".into(), zone.into())].into(),
        event_at: event_at.map(Timestamp),
        counter,
        readings: values.iter().map(reading).collect(),
    }
}

/// Decimals of the quantities that cases use.
pub fn decimals(quantity: &str) -> u8 {
    match quantity {
        "pm" => 0,
        "dir" => 1,
        "temp" => 2,
        "kwh" => 3,
        _ => 6,
    }
}

/// Units of the quantities that cases use.
pub fn unit(quantity: &str) -> &'static str {
    match quantity {
        "pm" => "ug/m3",
        "dir" => "deg",
        "temp" => "Cel",
        "kwh" => "kW.h",
        _ => "dB",
    }
}

/// The journal of a case: batches as the sequencer cuts them.
pub fn journal(case: &Case) -> Vec<Batch> {
    let mut sequencer = Sequencer::default();
    let mut batches: Vec<Batch> = Vec::new();
    let mut links: BTreeMap<Arc<str>, bool> = BTreeMap::new();
    for (at, happening) in &case.script {
        let now = Timestamp(*at);
        match happening {
            Happening::Configure(controls) => sequencer.configure(controls.clone(), now),
            Happening::Link(feed, up) => {
                links.insert(feed.clone(), *up);
                sequencer.connected(feed, *up, now);
            }
            Happening::Message(message) => sequencer.accept(
                vec![Submission {
                    feed: message.feed.clone(),
                    topic: "t".into(),
                    payload: Bytes::new(),
                    arrived_at: None,
                    decoded: message.decoded(),
                    repeated: message.repeated,
                    brought: None,
                    ack: None,
                }],
                now,
            ),
            Happening::Pass => sequencer.pass(now),
            Happening::Cut => take(&mut sequencer, &mut batches),
            Happening::Restart => {
                take(&mut sequencer, &mut batches);
                sequencer = Sequencer::default();
                batches.iter().for_each(|batch| sequencer.recover(batch));
                for (feed, up) in &links {
                    sequencer.connected(feed, *up, now);
                }
            }
        }
    }
    take(&mut sequencer, &mut batches);
    batches
}

fn take(sequencer: &mut Sequencer, batches: &mut Vec<Batch>) {
    batches.extend(sequencer.take().into_iter().map(|finished| finished.batch));
}
