//! The memory that windows, rules and feeds will take, before they take any.
//!
//! An estimate, on the high side: every device reports in every pane, and all panes and verdicts that
//! late readings may still change are held. Devices are the feed's `devices_max`; where that was left
//! at its default, [`DEVICES_ASSUMED`], and the text says so. The rules of a window are part of its
//! line; rules on readings, and the events of a feed's devices that repeats are known by, have lines
//! of their own.

use std::collections::BTreeSet;
use std::fmt;

use super::byte_size::ByteSize;
use super::check::PANES_MAX;
use crate::alert::life::{FINAL_BYTES_MAX, VERDICT_BYTES, VERDICTS_KEPT_MAX};
use crate::flow::compile::READINGS;
use crate::flow::course::COURSE_BYTES;
use crate::journal::identity::{RECENT_EVENTS_MAX, RING_EVENTS_MAX, Seen};
use crate::model::definition::{
    FeedDefinition, Identity, PipelineDefinition, RuleDefinition, WindowDefinition,
};
use crate::model::fault::Step;
use crate::model::{Fault, Span};
use crate::rule::AggregateCall;
use crate::window::held::READINGS_MAX;
use crate::window::slot::SlotKind;

/// Devices of a feed that says nothing of them.
const DEVICES_ASSUMED: u64 = 10_000;
/// The `devices_max` that says nothing: its default.
const DEVICES_UNSAID: u32 = 1_000_000;
/// Values of one tag, where a window groups by tags and not by sensor.
const GROUPS_ASSUMED: u64 = 1_000;
/// A key: its texts, its place in two tables, its watermark.
const KEY_BYTES: u64 = 384;
/// A pane: its place in the key's table, its counters.
const PANE_BYTES: u64 = 96;
/// An accumulator of one quantity.
const SLOT_BYTES: u64 = 32;
/// What some accumulators keep outside their slot: a reading with its device, two wide sums.
const BOXED_BYTES: u64 = 64;
/// A set of different values: hashes while there are few, registers beyond.
const DISTINCT_BYTES_MAX: u64 = 4_096;
const HASH_BYTES: u64 = 16;
/// A reading kept in order, with the room a growing list keeps free.
const READING_BYTES: u64 = 60;
/// A sensor of a key that tells its sensors apart: its name, its places in tables.
const SENSOR_BYTES: u64 = 256;
/// A bucket of a quantile sketch, with the room a growing list keeps free.
const BUCKET_BYTES: u64 = 12;
/// Buckets of one sensor's sketch: its values of one pane within a factor of 3.6, at the sketch's
/// relative error of 0.5 %.
const BUCKETS_OF_SENSOR: u64 = 128;
/// Buckets of many sensors' sketch: values within a factor of 170.
const BUCKETS_OF_GROUP: u64 = 512;
/// Readings in a pane, where no interval is expected.
const READINGS_ASSUMED: u64 = 60;
/// Time between two readings of a sensor, where no interval is expected.
const INTERVAL_ASSUMED: Span = Span::seconds(60);
/// What the sequencer keeps of a device beside its events: its name, its places in tables.
const DEVICE_BYTES: u64 = 256;
/// Bytes of an event that a ring forgot and its feed still knows.
const RECENT_BYTES: u64 = 128;
/// Bytes of the list of an event's values, beside the four of each: it is kept apart there.
const LIST_BYTES: u64 = 16;
/// A value that a verdict saw, in the evidence of a key.
const EVIDENCE_BYTES: u64 = 32;
/// An alert that stands, and one whose id is remembered.
const ALERT_BYTES: u64 = 256;

/// What there is of each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Panes of a window.
    Panes,
    /// Verdicts of rules on readings.
    Verdicts,
    /// Events by which repeats are known.
    Events,
}

/// The state of one window, of a pipeline's rules on readings, or of a feed's devices, estimated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Pipeline.
    pub pipeline: String,
    /// Window, `readings`, or the feed.
    pub window: String,
    /// Keys held at once.
    pub keys: u64,
    /// Whether the number of keys is an assumption.
    pub assumed: bool,
    /// How much is held of each key.
    pub panes: u64,
    /// What that is.
    pub held: Held,
    /// All of it.
    pub bytes: ByteSize,
    /// The pipeline's file, and what to point at in it.
    place: (usize, Vec<Step>),
}

impl fmt::Display for Estimate {
    /// `air-quality.pm25_1h: about 12 MiB (10000 keys assumed, 4 panes each)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (own, bytes) = (format!("{}.{}", self.pipeline, self.window), self.bytes.about());
        write!(f, "{own}: about {bytes} ({})", self.counted())
    }
}

impl Estimate {
    fn counted(&self) -> String {
        let assumed = if self.assumed { " assumed" } else { "" };
        let (key, held) = match self.held {
            Held::Panes => ("key", "pane"),
            Held::Verdicts => ("sensor", "verdict"),
            Held::Events => ("device", "event"),
        };
        format!("{}{assumed}, {} each", plural(self.keys, key), plural(self.panes, held))
    }
}

fn plural(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The estimate of one window; `None` if its grid is wrong, which is told elsewhere.
pub(super) fn of_window(
    file: usize,
    index: usize,
    pipeline: &PipelineDefinition,
    window: &WindowDefinition,
    feeds: &[&FeedDefinition],
) -> Option<Estimate> {
    let (size, slide) = (window.size.nominal(), window.step().nominal());
    if slide == Span::ZERO || size.0 / slide.0 > PANES_MAX {
        return None;
    }
    let (keys, mut assumed) = keys(window, feeds);
    let on_it = pipeline.rules.iter().filter(|rule| rule.on == window.name);
    // Each period of the day has keys of its own.
    let periods = window.periods.len().max(1) as u64;
    let keys = keys.saturating_mul(periods);
    let late = feeds.iter().map(|feed| feed.out_of_orderness.0).max().unwrap_or_default();
    let held = size.0.saturating_add(pipeline.allowed_lateness.0).saturating_add(late);
    // One more is being filled.
    let panes = u64::try_from(held / slide.0).unwrap_or_default() + 1 + u64::from(held % slide.0 != 0);
    let single_sensor = window.by.iter().any(|tag| tag == "sensor");
    let layout = Layout::of(window, single_sensor);
    let pane = PANE_BYTES + layout.readings.bytes(slide, feeds, single_sensor);
    let judged = rules_bytes(on_it, panes, window.fields.len() as u64 + 2);
    let mut bytes = keys.saturating_mul((KEY_BYTES + judged).saturating_add(panes.saturating_mul(pane)));
    if !layout.sensors.0.is_empty() {
        let (sensors, said) = devices(feeds);
        let sensors = sensors.saturating_mul(periods);
        assumed |= !said;
        let pane = PANE_BYTES + layout.sensors.bytes(slide, feeds, true);
        bytes = bytes
            .saturating_add(sensors.saturating_mul(SENSOR_BYTES.saturating_add(panes.saturating_mul(pane))));
    }
    let bytes = ByteSize(bytes);
    let (pipeline, window) = (pipeline.name.clone(), window.name.clone());
    let place = (file, vec![Step::from("window"), index.into(), Step::from("size")]);
    Some(Estimate { pipeline, window, keys, assumed, panes, held: Held::Panes, bytes, place })
}

/// The estimate of a pipeline's rules on readings; `None` where it has none.
pub(super) fn of_readings(
    file: usize,
    pipeline: &PipelineDefinition,
    feeds: &[&FeedDefinition],
) -> Option<Estimate> {
    let own = || pipeline.rules.iter().filter(|rule| rule.on == READINGS);
    let first = pipeline.rules.iter().position(|rule| rule.on == READINGS)?;
    let (keys, said) = devices(feeds);
    // The most verdicts that late data may still change of one sensor of a feed.
    let kept = |feed: &FeedDefinition| {
        let reach = pipeline.allowed_lateness.0.saturating_add(feed.out_of_orderness.0);
        let interval = feed.expected_interval.filter(|span| *span != Span::ZERO).unwrap_or(INTERVAL_ASSUMED);
        let verdicts = u64::try_from(reach / interval.0).unwrap_or_default() + 1;
        verdicts.min(VERDICTS_KEPT_MAX as u64)
    };
    let of_feed = |feed: &&FeedDefinition| {
        let rules = rules_bytes(own(), kept(feed), feed.quantities.len() as u64);
        devices(&[feed]).0.saturating_mul(KEY_BYTES + rules)
    };
    let panes = feeds.iter().map(|feed| kept(feed)).max().unwrap_or_default();
    let bytes = ByteSize(feeds.iter().map(of_feed).fold(0, u64::saturating_add));
    let (pipeline, window) = (pipeline.name.clone(), READINGS.to_owned());
    let place = (file, vec![Step::from("rule"), first.into(), Step::from("on")]);
    Some(Estimate { pipeline, window, keys, assumed: !said, panes, held: Held::Verdicts, bytes, place })
}

/// The estimate of what a feed's devices are known to have said; `None` where nothing is remembered.
pub(super) fn of_feed(
    file: usize,
    index: usize,
    pipeline: &PipelineDefinition,
    feed: &FeedDefinition,
) -> Option<Estimate> {
    if feed.identity == Identity::Protocol {
        return None;
    }
    let (keys, said) = devices(&[feed]);
    let panes = RING_EVENTS_MAX as u64;
    // Of events with several quantities, four bytes a quantity.
    let prints = match feed.quantities.len() as u64 {
        0 | 1 => 0,
        several => 4 * several,
    };
    let rings = keys.saturating_mul(DEVICE_BYTES + panes * (size_of::<Seen>() as u64 + prints));
    let list = if prints > 0 { LIST_BYTES + prints } else { 0 };
    let bytes = ByteSize(rings.saturating_add(RECENT_EVENTS_MAX as u64 * (RECENT_BYTES + list)));
    let (pipeline, window) = (pipeline.name.clone(), feed.name.clone());
    let place = (file, vec![Step::from("feed"), index.into(), Step::from("name")]);
    Some(Estimate { pipeline, window, keys, assumed: !said, panes, held: Held::Events, bytes, place })
}

/// Bytes that rules keep of one key, each with so many verdicts of so many values at most.
fn rules_bytes<'a>(rules: impl Iterator<Item = &'a RuleDefinition>, verdicts: u64, values: u64) -> u64 {
    // A list doubles when it grows.
    let kept = verdicts.min(VERDICTS_KEPT_MAX as u64).next_power_of_two();
    let of_one = |rule: &RuleDefinition| match rule.absent_for {
        Some(_) => COURSE_BYTES as u64,
        None => COURSE_BYTES as u64 + ALERT_BYTES + FINAL_BYTES_MAX as u64 + kept * VERDICT_BYTES as u64,
    };
    let all: u64 = rules.map(of_one).sum();
    if all == 0 { 0 } else { all + values * EVIDENCE_BYTES }
}

/// Devices of the feeds, and whether all of them say how many.
fn devices(feeds: &[&FeedDefinition]) -> (u64, bool) {
    let said = |feed: &&FeedDefinition| feed.devices_max < DEVICES_UNSAID;
    let devices = |feed: &&FeedDefinition| match said(feed) {
        true => u64::from(feed.devices_max),
        false => DEVICES_ASSUMED.max(feed.registered.len() as u64),
    };
    (feeds.iter().map(devices).sum(), feeds.iter().all(said))
}

fn keys(window: &WindowDefinition, feeds: &[&FeedDefinition]) -> (u64, bool) {
    let (devices, said) = devices(feeds);
    if window.by.is_empty() {
        (1, false)
    } else if window.by.iter().any(|tag| tag == "sensor") {
        (devices, !said)
    } else {
        (devices.min(GROUPS_ASSUMED), true)
    }
}

/// Kinds of accumulators by quantity.
#[derive(Default)]
struct Slots(BTreeSet<(String, SlotKind)>);

/// What a pane keeps: of all readings of a key, and of each sensor.
#[derive(Default)]
struct Layout {
    readings: Slots,
    sensors: Slots,
}

impl Layout {
    fn of(window: &WindowDefinition, single_sensor: bool) -> Self {
        let mut layout = Self::default();
        for call in window.fields.values() {
            let call = AggregateCall::parse(call).and_then(|call| call.in_window(single_sensor, window.of));
            let Ok(AggregateCall { function, inner, quantity: Some(quantity) }) = call else { continue };
            let inner = inner.or_else(|| function.per_sensor().then_some(function));
            let slots = if inner.is_some() { &mut layout.sensors } else { &mut layout.readings };
            // Every quantity is counted, whatever else is asked of it.
            slots.0.insert((quantity.clone(), SlotKind::Sum));
            let kinds = inner.unwrap_or(function).slots();
            slots.0.extend(kinds.iter().map(|kind| (quantity.clone(), *kind)));
        }
        layout
    }
}

impl Slots {
    /// Bytes of one pane's accumulators, of one sensor or of many.
    fn bytes(&self, slide: Span, feeds: &[&FeedDefinition], sensor: bool) -> u64 {
        let readings = readings(slide, feeds);
        let buckets = if sensor { readings.min(BUCKETS_OF_SENSOR) } else { BUCKETS_OF_GROUP };
        let outside = |kind: SlotKind| match kind {
            SlotKind::Sum | SlotKind::Extremes | SlotKind::Squares | SlotKind::Circular => 0,
            SlotKind::First | SlotKind::Last | SlotKind::Energy => BOXED_BYTES,
            SlotKind::Sketch => buckets * BUCKET_BYTES,
            SlotKind::Distinct if sensor => readings.saturating_mul(HASH_BYTES).min(DISTINCT_BYTES_MAX),
            SlotKind::Distinct => DISTINCT_BYTES_MAX,
            SlotKind::Held => readings.min(READINGS_MAX as u64).saturating_mul(READING_BYTES),
        };
        self.0.iter().map(|(_, kind)| SLOT_BYTES.saturating_add(outside(*kind))).fold(0, u64::saturating_add)
    }
}

/// Readings of one sensor in one pane.
pub(super) fn readings(slide: Span, feeds: &[&FeedDefinition]) -> u64 {
    let interval =
        feeds.iter().filter_map(|feed| feed.expected_interval).min().filter(|span| *span != Span::ZERO);
    interval.map_or(READINGS_ASSUMED, |span| u64::try_from(slide.0 / span.0).unwrap_or_default() + 1)
}

/// A fault at what needs most, with its file, if all of it together needs more than the limit.
pub(super) fn refuse(estimates: &[Estimate], limit: ByteSize) -> Option<(usize, Fault)> {
    let total = ByteSize(estimates.iter().map(|estimate| estimate.bytes.0).fold(0, u64::saturating_add));
    let largest = estimates.iter().max_by_key(|estimate| estimate.bytes)?;
    if total <= limit {
        return None;
    }
    let what = match largest.held {
        Held::Panes => "this window needs most",
        Held::Verdicts => "rules on readings need most",
        Held::Events => "knowing repeats of this feed's devices needs most",
    };
    let message = format!(
        "the state would need about {}, and limits.state_bytes_max is {limit}; {what}, {}",
        total.about(),
        largest.bytes.about()
    );
    let assumed =
        if largest.assumed { "say how many devices there are by devices_max in the feed, " } else { "" };
    let shorten = match largest.held {
        Held::Panes => "shorten allowed_lateness, lengthen the slide, ",
        Held::Verdicts => "shorten allowed_lateness, ",
        Held::Events => "lower devices_max, ",
    };
    let remedy = format!("{assumed}{shorten}or raise the limit ({})", largest.counted());
    let path = largest.place.1.clone();
    Some((largest.place.0, Fault { path, ..Fault::new(message, remedy) }))
}
