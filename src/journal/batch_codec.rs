//! A batch as the content of a journal frame.
//!
//! # Format, version 1
//!
//! Integers as in [`super::wire`]; `time` is a signed integer of nanoseconds since 1970.
//!
//! ```text
//! batch    = first:uint arrived_at:time
//!            feeds:uint { feed:uint counters:uint*20 }      accounts, in the order of Accounts::NAMES
//!            records:uint { record }
//!            [ devices:uint { device:uint pairs:uint { counter:byte count:uint } }
//!                                                           absent when neither these nor packets are;
//!                                                           counter is the place in Accounts::NAMES
//!              [ packets ] ]                                as in super::packets; absent when there are none
//! record   = 1 event | 2 control | 3 step | 4 tick | 5 entry | 6 refusal | 7 restored
//! event    = feed:uint device:uint tags:uint event_at - arrived_at of the batch:int
//!            arrived_at - arrived_at of the batch:int counter:uint (0 none, else counter + 1, u64::MAX as 2^64-1)
//!            readings:uint { quantity:uint mantissa:int }
//! control  = json:bytes
//! step     = feed:uint watermark:time
//! tick     = from:time to:time feeds:uint { feed:uint }
//! entry    = 1 name:text | 2 feed:uint name:text | 3 tags:uint { name:text value:text }
//!          | 4 name:text unit:text decimals:byte
//! refusal  = feed:uint arrived_at:time reason:byte detail:text topic:text payload:bytes payload_bytes:uint
//! restored = sequence:uint (the one that the event had when it came) event
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::packets;
use super::wire::{BadContent, Reader, Writer};
use crate::model::arrival::Quantity;
use crate::model::{
    Accounts, Batch, Control, DeviceAccounts, DeviceId, Entry, Event, FeedAccounts, FeedId, QuantityId,
    Reading, Reason, Record, Refusal, TagSet, TagSetId, Timestamp, Value,
};

/// Writes a batch.
#[must_use]
pub fn encode(batch: &Batch) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(64 + batch.records.len() * 32));
    out.uint(batch.first);
    out.int(batch.arrived_at.0);
    out.uint(batch.accounts.len() as u64);
    for accounts in &batch.accounts {
        out.uint(u64::from(accounts.feed.0));
        accounts.delta.to_array().iter().for_each(|count| out.uint(*count));
    }
    out.uint(batch.records.len() as u64);
    for record in &batch.records {
        encode_record(&mut out, batch, record);
    }
    if !batch.devices.is_empty() || !batch.packets.is_empty() {
        encode_devices(&mut out, &batch.devices);
    }
    if !batch.packets.is_empty() {
        packets::encode(&batch.packets, &mut out);
    }
    out.0
}

fn encode_devices(out: &mut Writer, devices: &[DeviceAccounts]) {
    out.uint(devices.len() as u64);
    for accounts in devices {
        out.uint(u64::from(accounts.device.0));
        let counts = accounts.delta.to_array();
        let counted = || (0_u8..).zip(&counts).filter(|(_, count)| **count > 0);
        out.uint(counted().count() as u64);
        for (counter, count) in counted() {
            out.byte(counter);
            out.uint(*count);
        }
    }
}

fn encode_record(out: &mut Writer, batch: &Batch, record: &Record) {
    match record {
        Record::Event(event) => {
            out.byte(1);
            encode_event(out, batch, event);
        }
        Record::Control(control) => {
            out.byte(2);
            // Definitions hold no map with other keys than text: writing them cannot fail.
            out.bytes(&serde_json::to_vec(control).unwrap_or_default());
        }
        Record::Step { feed, watermark } => {
            out.byte(3);
            out.uint(u64::from(feed.0));
            out.int(watermark.0);
        }
        Record::Tick { from, to, observed } => {
            out.byte(4);
            out.int(from.0);
            out.int(to.0);
            out.uint(observed.len() as u64);
            observed.iter().for_each(|feed| out.uint(u64::from(feed.0)));
        }
        Record::Entry(entry) => {
            out.byte(5);
            encode_entry(out, entry);
        }
        Record::Refusal(refusal) => {
            out.byte(6);
            out.uint(u64::from(refusal.feed.0));
            out.int(refusal.arrived_at.0);
            out.byte(refusal.reason as u8);
            out.text(&refusal.detail);
            out.text(&refusal.topic);
            out.bytes(&refusal.payload);
            out.uint(refusal.payload_bytes);
        }
        Record::Restored { sequence, event } => {
            out.byte(7);
            out.uint(*sequence);
            encode_event(out, batch, event);
        }
    }
}

fn encode_event(out: &mut Writer, batch: &Batch, event: &Event) {
    out.uint(u64::from(event.feed.0));
    out.uint(u64::from(event.device.0));
    out.uint(u64::from(event.tags.0));
    out.int(event.event_at.0.wrapping_sub(batch.arrived_at.0));
    out.int(event.arrived_at.0.wrapping_sub(batch.arrived_at.0));
    out.uint(event.counter.map_or(0, |counter| counter.saturating_add(1)));
    let readings = batch.readings_of(event);
    out.uint(readings.len() as u64);
    for reading in readings {
        out.uint(u64::from(reading.quantity.0));
        out.int(reading.value.0);
    }
}

/// Writes a dictionary entry.
pub fn encode_entry(out: &mut Writer, entry: &Entry) {
    match entry {
        Entry::Feed(name) => {
            out.byte(1);
            out.text(name);
        }
        Entry::Device(feed, name) => {
            out.byte(2);
            out.uint(u64::from(feed.0));
            out.text(name);
        }
        Entry::Tags(tags) => {
            out.byte(3);
            out.uint(tags.len() as u64);
            for (name, value) in tags.iter() {
                out.text(name);
                out.text(value);
            }
        }
        Entry::Quantity(quantity) => {
            out.byte(4);
            out.text(&quantity.name);
            out.text(&quantity.unit);
            out.byte(quantity.decimals);
        }
    }
}

/// Reads a batch.
///
/// # Errors
/// [`BadContent`] when the bytes do not follow the format.
pub fn decode(content: &[u8]) -> Result<Batch, BadContent> {
    let mut input = Reader(content);
    let mut batch = Batch { first: input.uint()?, arrived_at: Timestamp(input.int()?), ..Batch::default() };
    for _ in 0..input.count()? {
        let feed = FeedId(input.small()?);
        let mut counts = [0_u64; Accounts::NAMES.len()];
        for count in &mut counts {
            *count = input.uint()?;
        }
        batch.accounts.push(FeedAccounts { feed, delta: Accounts::from_array(counts) });
    }
    let records = input.count()?;
    batch.records.reserve_exact(records);
    for _ in 0..records {
        let record = decode_record(&mut input, &mut batch)?;
        batch.records.push(record);
    }
    if !input.0.is_empty() {
        for _ in 0..input.count()? {
            batch.devices.push(decode_device(&mut input)?);
        }
    }
    if !input.0.is_empty() {
        batch.packets = packets::decode(&mut input)?;
    }
    input.end()?;
    Ok(batch)
}

fn decode_device(input: &mut Reader<'_>) -> Result<DeviceAccounts, BadContent> {
    let device = DeviceId(input.small()?);
    let mut counts = [0_u64; Accounts::NAMES.len()];
    for _ in 0..input.count()? {
        let counter = usize::from(input.byte()?);
        *counts.get_mut(counter).ok_or(BadContent)? = input.uint()?;
    }
    Ok(DeviceAccounts { device, delta: Accounts::from_array(counts) })
}

fn decode_record(input: &mut Reader<'_>, batch: &mut Batch) -> Result<Record, BadContent> {
    Ok(match input.byte()? {
        1 => Record::Event(decode_event(input, batch)?),
        2 => {
            let control: Control = serde_json::from_slice(input.bytes()?).map_err(|_| BadContent)?;
            Record::Control(Arc::new(control))
        }
        3 => Record::Step { feed: FeedId(input.small()?), watermark: Timestamp(input.int()?) },
        4 => {
            let (from, to) = (Timestamp(input.int()?), Timestamp(input.int()?));
            let feeds = input.count()?;
            let observed: Result<Vec<FeedId>, BadContent> =
                (0..feeds).map(|_| input.small().map(FeedId)).collect();
            Record::Tick { from, to, observed: observed?.into() }
        }
        5 => Record::Entry(decode_entry(input)?),
        6 => Record::Refusal(Box::new(Refusal {
            feed: FeedId(input.small()?),
            arrived_at: Timestamp(input.int()?),
            reason: Reason::from_code(input.byte()?).ok_or(BadContent)?,
            detail: input.text()?.into(),
            topic: input.shared()?,
            payload: Bytes::copy_from_slice(input.bytes()?),
            payload_bytes: input.uint()?,
        })),
        7 => Record::Restored { sequence: input.uint()?, event: decode_event(input, batch)? },
        _ => return Err(BadContent),
    })
}

fn decode_event(input: &mut Reader<'_>, batch: &mut Batch) -> Result<Event, BadContent> {
    let (feed, device, tags) = (FeedId(input.small()?), DeviceId(input.small()?), TagSetId(input.small()?));
    let event_at = Timestamp(batch.arrived_at.0.wrapping_add(input.int()?));
    let arrived_at = Timestamp(batch.arrived_at.0.wrapping_add(input.int()?));
    let counter = input.uint()?.checked_sub(1);
    let start = batch.readings.len() as u32;
    for _ in 0..input.count()? {
        let (quantity, value) = (QuantityId(input.small()?), Value(input.int()?));
        batch.readings.push(Reading { quantity, value });
    }
    Ok(Event {
        feed,
        device,
        tags,
        event_at,
        arrived_at,
        counter,
        readings: start..batch.readings.len() as u32,
    })
}

/// Reads a dictionary entry.
///
/// # Errors
/// [`BadContent`].
pub fn decode_entry(input: &mut Reader<'_>) -> Result<Entry, BadContent> {
    Ok(match input.byte()? {
        1 => Entry::Feed(input.shared()?),
        2 => Entry::Device(FeedId(input.small()?), input.shared()?),
        3 => {
            let count = input.count()?;
            let tags: Result<Vec<_>, BadContent> =
                (0..count).map(|_| Ok((input.shared()?, input.shared()?))).collect();
            Entry::Tags(TagSet::from(tags?))
        }
        4 => Entry::Quantity(Arc::new(Quantity {
            name: input.text()?.into(),
            unit: input.text()?.into(),
            decimals: input.byte()?,
        })),
        _ => return Err(BadContent),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Packet;
    use proptest::prelude::*;

    fn sample() -> Batch {
        let at = Timestamp(1_772_384_400_000_000_000);
        let event = Event {
            feed: FeedId(0),
            device: DeviceId(7),
            tags: TagSetId(1),
            event_at: at.minus(crate::model::Span::seconds(3)),
            arrived_at: at,
            counter: Some(0),
            readings: 0..2,
        };
        let long_ago = at.minus(crate::model::Span::seconds(86_400 * 900));
        let restored = Event { event_at: long_ago, arrived_at: long_ago, readings: 2..3, ..event.clone() };
        let reading = |quantity, value| Reading { quantity: QuantityId(quantity), value: Value(value) };
        Batch {
            first: 42,
            arrived_at: at,
            readings: vec![reading(0, 2340), reading(1, -9_999), reading(1, 7)],
            accounts: vec![FeedAccounts {
                feed: FeedId(0),
                delta: Accounts { events_found: 1, events_stored: 1, ..Accounts::default() },
            }],
            devices: vec![DeviceAccounts {
                device: DeviceId(7),
                delta: Accounts { events_found: 2, events_duplicate: 2, ..Accounts::default() },
            }],
            packets: vec![
                Packet { session: u64::MAX, in_flight_max: 1_000, id: 65_535, print: 7 },
                Packet { session: 3, in_flight_max: 1_000, id: 1, print: 0 },
            ],
            records: vec![
                Record::Entry(Entry::Device(FeedId(0), "aire-1".into())),
                Record::Entry(Entry::Tags(vec![("zone".into(), "comuna-01".into())].into())),
                Record::Event(event),
                Record::Step { feed: FeedId(0), watermark: Timestamp(-1) },
                Record::Tick { from: at, to: at, observed: vec![FeedId(0)].into() },
                Record::Refusal(Box::new(Refusal {
                    feed: FeedId(0),
                    arrived_at: at,
                    reason: Reason::BadJson,
                    detail: "expected `:`".into(),
                    topic: "ciudad/x".into(),
                    payload: Bytes::from_static(b"{"),
                    payload_bytes: 1,
                })),
                Record::Control(Arc::new(Control::PipelineRemoved { name: "old".into() })),
                Record::Restored { sequence: 9, event: restored },
            ],
        }
    }

    #[test]
    fn a_batch_reads_back() {
        let batch = sample();
        assert_eq!(decode(&encode(&batch)), Ok(batch));
    }

    #[test]
    fn a_batch_without_device_accounts_ends_with_its_records() {
        let with = encode(&sample());
        let without = Batch { devices: Vec::new(), packets: Vec::new(), ..sample() };
        let bytes = encode(&without);
        assert_eq!(decode(&bytes), Ok(without));
        assert!(with.starts_with(&bytes) && with.len() > bytes.len());
    }

    #[test]
    fn a_batch_with_packets_and_no_device_accounts_reads_back() {
        let batch = Batch { devices: Vec::new(), ..sample() };
        assert_eq!(decode(&encode(&batch)), Ok(batch));
    }

    proptest! {
        #[test]
        fn damaged_bytes_never_panic(at in 0_usize..400, bit in 0_u8..8, cut in 0_usize..400) {
            let mut bytes = encode(&sample());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = decode(&bytes);
            bytes.truncate(cut);
            let _ = decode(&bytes);
        }
    }
}
