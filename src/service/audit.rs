//! The audit of the accounts: a batch whose counts do not add up, or do not match its records, is
//! an alert of Sereno about itself.
//!
//! It never happens unless there is a defect; then the city learns of it as of any other alert,
//! by feed and hour of arrival. The alert is over when the hour is.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::own::{OwnAlert, PIPELINE};
use super::texts;
use crate::model::time::SECOND;
use crate::model::{Accounts, AlertId, Batch, Dictionary, FeedId, Record, Timestamp, Transition};

/// The rule.
const RULE: &str = "accounts";
const HOUR: i64 = 3_600 * SECOND;

/// Looks at every batch of the journal in order.
#[derive(Debug, Default)]
pub struct Audit {
    /// Start of the hour of each feed whose accounts differ, and when they were seen to.
    open: BTreeMap<FeedId, (i64, Timestamp)>,
}

impl Audit {
    /// The steps of alerts that a batch leads to, in order.
    pub fn fold(&mut self, batch: &Batch, dictionary: &Dictionary) -> Vec<Transition> {
        let hour = batch.arrived_at.0.div_euclid(HOUR);
        let mut steps = Vec::new();
        self.open.retain(|feed, (began, at)| {
            let over = *began < hour;
            if over {
                let end = Timestamp((*began + 1) * HOUR);
                steps.extend(step(batch, dictionary, *feed, (*at, Some(end)), &Difference::default()));
            }
            !over
        });
        for (feed, difference) in Difference::all(batch) {
            tracing::error!(
                feed = %dictionary.feed(feed).map_or("", |name| name),
                sequence = batch.first,
                ?difference,
                "the accounts of a batch do not add up"
            );
            if self.open.insert(feed, (hour, batch.arrived_at)).is_none() {
                steps.extend(step(batch, dictionary, feed, (batch.arrived_at, None), &difference));
            }
        }
        steps
    }
}

/// What accounts say and what there is.
#[derive(Debug, Default)]
struct Difference {
    /// Events that the accounts call stored, and events in the batch.
    events: (u64, u64),
    /// Likewise readings.
    readings: (u64, u64),
}

impl Difference {
    /// By feed, where there is one. The records are gone through once, however many feeds there
    /// are; a feed with records and no accounts differs too.
    fn all(batch: &Batch) -> impl Iterator<Item = (FeedId, Self)> {
        let mut feeds: BTreeMap<FeedId, (Accounts, Self)> = BTreeMap::new();
        for part in &batch.accounts {
            feeds.entry(part.feed).or_default().0.add(&part.delta);
        }
        for record in &batch.records {
            let Record::Event(event) = record else { continue };
            let (_, difference) = feeds.entry(event.feed).or_default();
            difference.events.1 += 1;
            difference.readings.1 += batch.readings_of(event).len() as u64;
        }
        feeds.into_iter().filter_map(|(feed, (accounts, mut difference))| {
            difference.events.0 = accounts.events_stored;
            difference.readings.0 = accounts.readings_stored;
            let same =
                difference.events.0 == difference.events.1 && difference.readings.0 == difference.readings.1;
            (!same || !accounts.balanced()).then_some((feed, difference))
        })
    }

    fn evidence(&self) -> Vec<(Arc<str>, Option<f64>)> {
        [
            ("events_accounted", self.events.0),
            ("events_found", self.events.1),
            ("readings_accounted", self.readings.0),
            ("readings_found", self.readings.1),
        ]
        .map(|(name, count)| (name.into(), Some(count as f64)))
        .into()
    }
}

fn step(
    batch: &Batch,
    dictionary: &Dictionary,
    feed: FeedId,
    (began_at, resolved_at): (Timestamp, Option<Timestamp>),
    difference: &Difference,
) -> Option<Transition> {
    let feed = dictionary.feed(feed)?;
    let identity = format!("{PIPELINE}\n{RULE}\n{feed}\n{}", began_at.0.div_euclid(HOUR));
    let alert = OwnAlert {
        id: AlertId(xxh3_128(identity.as_bytes())),
        rule: RULE,
        key: ("feed", feed.clone()),
        began_at,
        title: texts::both(|texts| texts.audit_title.to_owned()),
        message: texts::both(|texts| texts::fill(texts.audit_message, &[("feed", feed.to_string())])),
        evidence: difference.evidence(),
    };
    let (cause, decided_at) = (batch.first, batch.arrived_at);
    Some(match resolved_at {
        None => alert.raised(cause, decided_at, "accounts differ"),
        Some(at) => alert.resolved(at, cause, decided_at, "the hour is over"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        AlertState, DeviceId, Entry, Event, FeedAccounts, QuantityId, Reading, TagSetId, Value,
    };

    fn batch(seconds: i64, stored: u64, records: usize) -> Batch {
        let at = Timestamp(seconds * SECOND);
        let event = Event {
            feed: FeedId(0),
            device: DeviceId(0),
            tags: TagSetId(0),
            event_at: at,
            arrived_at: at,
            counter: None,
            readings: 0..0,
        };
        let delta = Accounts { events_found: stored, events_stored: stored, ..Accounts::default() };
        Batch {
            arrived_at: at,
            records: vec![Record::Event(event); records],
            accounts: vec![FeedAccounts { feed: FeedId(0), delta }],
            ..Batch::default()
        }
    }

    #[test]
    fn accounts_that_do_not_match_the_records_are_an_alert_until_the_hour_is_over() {
        let mut dictionary = Dictionary::default();
        dictionary.insert(&Entry::Feed("air".into()));
        let mut audit = Audit::default();
        let mut told = |batch| audit.fold(&batch, &dictionary);
        assert!(told(batch(10, 2, 2)).is_empty());
        let raised = told(batch(20, 3, 2));
        assert_eq!((raised.len(), raised[0].to, &*raised[0].key.0[0]), (1, AlertState::Firing, "air"));
        assert!(told(batch(30, 1, 2)).is_empty(), "one alert an hour");
        assert!(told(batch(40, 2, 2)).is_empty(), "what was wrong stays wrong");
        let over = told(batch(3_600, 2, 2));
        assert_eq!((over.len(), over[0].to, over[0].id), (1, AlertState::Resolved, raised[0].id));
        assert_eq!(over[0].resolved_at, Some(Timestamp(HOUR)), "the end of its hour");
        let next = told(batch(3_700, 1, 2));
        assert_ne!(next[0].id, raised[0].id);
    }

    #[test]
    fn readings_are_held_to_the_records_too_and_both_counts_are_told() {
        let mut dictionary = Dictionary::default();
        dictionary.insert(&Entry::Feed("air".into()));
        let mut batch = batch(10, 2, 2);
        batch.readings = vec![Reading { quantity: QuantityId(0), value: Value(1) }; 3];
        for (record, readings) in batch.records.iter_mut().zip([0..1, 1..3]) {
            let Record::Event(event) = record else { continue };
            event.readings = readings;
        }
        let delta = &mut batch.accounts[0].delta;
        (delta.readings_found, delta.readings_stored) = (3, 3);
        assert!(Audit::default().fold(&batch, &dictionary).is_empty());
        let delta = &mut batch.accounts[0].delta;
        (delta.readings_found, delta.readings_stored) = (4, 4);
        let told = Audit::default().fold(&batch, &dictionary);
        let counts: Vec<(&str, Option<f64>)> =
            told[0].evidence.iter().map(|(name, n)| (&**name, *n)).collect();
        let events = [("events_accounted", Some(2.0)), ("events_found", Some(2.0))];
        let readings = [("readings_accounted", Some(4.0)), ("readings_found", Some(3.0))];
        assert_eq!(counts, [events, readings].concat());
    }

    #[test]
    fn counts_that_do_not_add_up_are_an_alert() {
        let mut dictionary = Dictionary::default();
        dictionary.insert(&Entry::Feed("air".into()));
        let mut lost = batch(10, 1, 1);
        lost.accounts[0].delta.events_found = 2;
        assert_eq!(Audit::default().fold(&lost, &dictionary).len(), 1);
    }

    #[test]
    fn each_feed_is_held_to_its_own_records_also_one_that_the_accounts_do_not_name() {
        let mut dictionary = Dictionary::default();
        for name in ["air", "noise"] {
            dictionary.insert(&Entry::Feed(name.into()));
        }
        let of_noise = |mut mixed: Batch, count: usize| {
            for record in mixed.records.iter_mut().take(count) {
                let Record::Event(event) = record else { continue };
                event.feed = FeedId(1);
            }
            mixed
        };
        let told = |batch| -> Vec<String> {
            let steps = Audit::default().fold(&batch, &dictionary);
            steps.iter().map(|step| step.key.0[0].to_string()).collect()
        };
        let mut even = of_noise(batch(10, 2, 3), 1);
        assert_eq!(told(even.clone()), ["noise"], "it has a record and no accounts");
        let delta = Accounts { events_found: 1, events_stored: 1, ..Accounts::default() };
        even.accounts.push(FeedAccounts { feed: FeedId(1), delta });
        assert!(told(even.clone()).is_empty());
        // The sum over feeds is right and each feed is wrong.
        assert_eq!(told(of_noise(even, 2)), ["air", "noise"]);
    }
}
