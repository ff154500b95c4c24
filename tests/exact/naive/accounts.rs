//! The accounts, naively: what became of every message, event and reading, by feed and hour of
//! arrival, from what was handed over; and what the journal holds of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use sereno::model::definition::{FeedDefinition, Identity};
use sereno::model::time::SECOND;
use sereno::model::{Batch, Control, DecodedEvent, Record};

use crate::case::{Case, Happening, Message};

/// Counters by feed, hour and name.
pub type Totals = BTreeMap<(String, i64, &'static str), u64>;

#[derive(Default)]
struct Feed {
    definition: Option<FeedDefinition>,
    /// By device: the last events taken in, as (time or own number, counter, value by quantity).
    taken: BTreeMap<Arc<str>, Vec<(i64, Option<u64>, BTreeMap<String, i64>)>>,
}

/// What must have become of everything in a case.
pub fn of_script(case: &Case) -> Totals {
    let mut totals = Totals::new();
    let mut feeds: BTreeMap<String, Feed> = BTreeMap::new();
    let mut now = i64::MIN;
    for (at, happening) in &case.script {
        now = now.max(*at);
        match happening {
            Happening::Configure(controls) => {
                for control in controls {
                    if let Control::Feed { feed } = control {
                        feeds.entry(feed.name.clone()).or_default().definition = Some((**feed).clone());
                    }
                }
            }
            Happening::Message(message) => {
                let feed = feeds.entry(message.feed.to_string()).or_default();
                let hour = now.div_euclid(3_600 * SECOND);
                let mut count = |name: &'static str, n: usize| {
                    if n > 0 {
                        *totals.entry((message.feed.to_string(), hour, name)).or_default() += n as u64;
                    }
                };
                of_message(message, feed, now, &mut count);
            }
            _ => {}
        }
    }
    totals
}

fn of_message(message: &Message, feed: &mut Feed, now: i64, count: &mut dyn FnMut(&'static str, usize)) {
    count("messages_received", 1);
    if message.repeated {
        return count("messages_repeated", 1);
    }
    count("readings_rejected", message.refused_readings);
    let some_refused = message.unreadable || message.refused_readings > 0;
    count(
        match (message.events.is_empty(), some_refused) {
            (true, false) if message.ignored => "messages_ignored",
            (true, _) => "messages_quarantined",
            (false, true) => "messages_partly_decoded",
            (false, false) => "messages_decoded",
        },
        1,
    );
    for event in &message.events {
        let readings = event.readings.len();
        count("events_found", 1);
        count("readings_found", readings);
        match fate(event, feed, now) {
            Fate::Whole(event, reading) => {
                count(event, 1);
                count(reading, readings);
            }
            Fate::Stored { fresh, conflicting } => {
                count("events_stored", 1);
                count("readings_stored", fresh);
                count("readings_conflicting", conflicting);
                count("readings_duplicate", readings - fresh - conflicting);
            }
        }
    }
}

enum Fate {
    Whole(&'static str, &'static str),
    Stored { fresh: usize, conflicting: usize },
}

fn fate(event: &DecodedEvent, feed: &mut Feed, now: i64) -> Fate {
    let definition = feed.definition.as_ref();
    let event_at = event.event_at.map_or(now, |at| at.0);
    let max_skew = definition.map_or(300 * SECOND, |definition| definition.max_skew.0);
    if event_at > now + max_skew {
        return Fate::Whole("events_quarantined", "readings_quarantined");
    }
    let devices = definition.map_or(usize::MAX, |definition| definition.devices_max as usize);
    if !feed.taken.contains_key(&event.sensor) && feed.taken.len() >= devices {
        return Fate::Whole("events_refused", "readings_refused");
    }
    let identity = definition.map_or(Identity::Time, |definition| definition.identity);
    let taken = feed.taken.entry(event.sensor.clone()).or_default();
    let own = match (identity, event.event_at, event.counter) {
        (Identity::Time, Some(at), counter) => (at.0, counter),
        (Identity::Sequence, _, Some(number)) => (number as i64, None),
        // Nothing tells a repeat: everything is new.
        _ => return Fate::Stored { fresh: event.readings.len(), conflicting: 0 },
    };
    let said: BTreeMap<String, i64> =
        event.readings.iter().map(|reading| (reading.quantity.name.to_string(), reading.value.0)).collect();
    let held: BTreeMap<&String, i64> = taken
        .iter()
        .filter(|held| (held.0, held.1) == own)
        .flat_map(|held| held.2.iter().map(|(name, value)| (name, *value)))
        .collect();
    let conflicting =
        said.iter().filter(|(name, value)| held.get(name).is_some_and(|held| held != *value)).count();
    let fresh: BTreeMap<String, i64> = said
        .iter()
        .filter(|(name, _)| !held.contains_key(name))
        .map(|(name, value)| (name.clone(), *value))
        .collect();
    match (fresh.len(), conflicting) {
        (0, 0) => Fate::Whole("events_duplicate", "readings_duplicate"),
        (0, _) => Fate::Whole("events_conflicting", "readings_conflicting"),
        (count, _) => {
            taken.push((own.0, own.1, fresh));
            Fate::Stored { fresh: count, conflicting }
        }
    }
}

/// What the headers of the journal say, and what its events are.
pub fn of_journal(batches: &[Batch], names: &[String]) -> (Totals, Totals) {
    let (mut said, mut held) = (Totals::new(), Totals::new());
    for batch in batches {
        let hour = batch.arrived_at.0.div_euclid(3_600 * SECOND);
        for accounts in &batch.accounts {
            let parts = sereno::model::Accounts::NAMES.iter().zip(accounts.delta.to_array());
            for (name, n) in parts.filter(|(_, n)| *n > 0) {
                *said.entry((names[accounts.feed.index()].clone(), hour, name)).or_default() += n;
            }
        }
        for record in &batch.records {
            if let Record::Event(event) = record {
                let hour = event.arrived_at.0.div_euclid(3_600 * SECOND);
                let feed = &names[event.feed.index()];
                *held.entry((feed.clone(), hour, "events_stored")).or_default() += 1;
                let readings = batch.readings_of(event).len() as u64;
                *held.entry((feed.clone(), hour, "readings_stored")).or_default() += readings;
            }
        }
    }
    (said, held)
}
