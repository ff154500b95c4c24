//! The memory that a window's state will take, before it takes any.
//!
//! An estimate, on the high side: every device reports in every pane, and all panes that late
//! readings may still change are held. Devices are the feed's `devices_max`; where that was left
//! at its default, [`DEVICES_ASSUMED`], and the text says so.

use std::collections::BTreeSet;
use std::fmt;

use super::byte_size::ByteSize;
use super::check::PANES_MAX;
use crate::model::definition::{FeedDefinition, PipelineDefinition, WindowDefinition};
use crate::model::{Fault, Span};
use crate::rule::AggregateCall;
use crate::window::Function;

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
const SLOT_BYTES: u64 = 80;
/// A bucket of a quantile sketch, with the room a growing list keeps free.
const BUCKET_BYTES: u64 = 24;
/// Buckets of one sensor's sketch: its values of one pane within a factor of 3.6, at the sketch's
/// relative error of 0.5 %.
const BUCKETS_OF_SENSOR: u64 = 128;
/// Buckets of many sensors' sketch: values within a factor of 170.
const BUCKETS_OF_GROUP: u64 = 512;
/// Readings in a pane, where no interval is expected.
const READINGS_ASSUMED: u64 = 60;

/// The state of one window, estimated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Pipeline.
    pub pipeline: String,
    /// Window.
    pub window: String,
    /// Keys held at once.
    pub keys: u64,
    /// Whether the number of keys is an assumption.
    pub assumed: bool,
    /// Panes held for each key.
    pub panes: u64,
    /// All of it.
    pub bytes: ByteSize,
    place: (usize, usize),
}

impl fmt::Display for Estimate {
    /// `air-quality.pm25_1h: about 12 MiB (10000 keys assumed, 4 panes each)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let assumed = if self.assumed { " assumed" } else { "" };
        let (keys, panes) = (plural(self.keys, "key"), plural(self.panes, "pane"));
        write!(
            f,
            "{}.{}: about {} ({keys}{assumed}, {panes} each)",
            self.pipeline,
            self.window,
            self.bytes.about()
        )
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
    let (keys, assumed) = keys(window, feeds);
    // Each period of the day has keys of its own.
    let keys = keys.saturating_mul(window.periods.len().max(1) as u64);
    let late = feeds.iter().map(|feed| feed.out_of_orderness.0).max().unwrap_or_default();
    let held = size.0.saturating_add(pipeline.allowed_lateness.0).saturating_add(late);
    // One more is being filled.
    let panes = u64::try_from(held / slide.0).unwrap_or_default() + 1 + u64::from(held % slide.0 != 0);
    let pane = PANE_BYTES + accumulators(window, slide, feeds);
    let bytes = ByteSize(keys.saturating_mul(KEY_BYTES.saturating_add(panes.saturating_mul(pane))));
    let (pipeline, window) = (pipeline.name.clone(), window.name.clone());
    Some(Estimate { pipeline, window, keys, assumed, panes, bytes, place: (file, index) })
}

fn keys(window: &WindowDefinition, feeds: &[&FeedDefinition]) -> (u64, bool) {
    let said = |feed: &&FeedDefinition| feed.devices_max < DEVICES_UNSAID;
    let devices = |feed: &&FeedDefinition| match said(feed) {
        true => u64::from(feed.devices_max),
        false => DEVICES_ASSUMED.max(feed.registered.len() as u64),
    };
    let devices: u64 = feeds.iter().map(devices).sum();
    if window.by.is_empty() {
        (1, false)
    } else if window.by.iter().any(|tag| tag == "sensor") {
        (devices, !feeds.iter().all(said))
    } else {
        (devices.min(GROUPS_ASSUMED), true)
    }
}

/// Bytes of one pane's accumulators.
fn accumulators(window: &WindowDefinition, slide: Span, feeds: &[&FeedDefinition]) -> u64 {
    let mut slots: BTreeSet<(String, u8)> = BTreeSet::new();
    let mut sketches: BTreeSet<String> = BTreeSet::new();
    for call in window.fields.values().filter_map(|call| AggregateCall::parse(call).ok()) {
        let Some(quantity) = call.quantity else { continue };
        let kind = match call.function {
            Function::Count | Function::Sum | Function::Mean => 0,
            Function::Min | Function::Max => 1,
            Function::Stddev => 2,
            Function::First => 3,
            Function::Last => 4,
            Function::Quantile(_) => {
                sketches.insert(quantity.clone());
                5
            }
        };
        // Every quantity is counted, whatever else is asked of it.
        slots.insert((quantity.clone(), 0));
        slots.insert((quantity, kind));
    }
    let interval =
        feeds.iter().filter_map(|feed| feed.expected_interval).min().filter(|span| *span != Span::ZERO);
    let readings =
        interval.map_or(READINGS_ASSUMED, |span| u64::try_from(slide.0 / span.0).unwrap_or_default() + 1);
    let sensor = window.by.iter().any(|tag| tag == "sensor");
    let buckets = if sensor { readings.min(BUCKETS_OF_SENSOR) } else { BUCKETS_OF_GROUP };
    slots.len() as u64 * SLOT_BYTES + sketches.len() as u64 * buckets * BUCKET_BYTES
}

/// A fault at the largest window, by its file and number, if all of them together need more than
/// the limit.
pub(super) fn refuse(estimates: &[Estimate], limit: ByteSize) -> Option<(usize, usize, Fault)> {
    let total = ByteSize(estimates.iter().map(|estimate| estimate.bytes.0).fold(0, u64::saturating_add));
    let largest = estimates.iter().max_by_key(|estimate| estimate.bytes)?;
    if total <= limit {
        return None;
    }
    let message = format!(
        "the windows would need about {}, and limits.state_bytes_max is {limit}; this one needs most, {}",
        total.about(),
        largest.bytes.about()
    );
    let assumed =
        if largest.assumed { "say how many devices there are by devices_max in the feed, " } else { "" };
    let remedy = format!(
        "{assumed}shorten allowed_lateness, lengthen the slide, or raise the limit ({} keys, {} panes each)",
        largest.keys, largest.panes
    );
    Some((largest.place.0, largest.place.1, Fault::new(message, remedy)))
}
