//! Small random journals for tests, made by the real sequencer from a seed, and other cuts of them.

use std::sync::Arc;

use bytes::Bytes;

use super::interpreter::{Interpreter, order};
use super::past::Past;
use crate::journal::Sequencer;
use crate::model::arrival::{Quantity, Reason};
use crate::model::time::SECOND;
use crate::model::{
    Batch, Control, Decoded, DecodedEvent, DecodedReading, Event, Events, Recompute, Record, Rejected,
    ResultRow, Span, Submission, Timestamp, Value,
};

/// Windows by sensor and by zone, rules of every kind on both, and one definition each that
/// differs from it in words, condition, `for`, window or grouping.
const PIPELINE: &str = r#"{
    "version": 1, "name": "NAME", "title": {"es": "Aire", "en": "Air"}, "reads": ["aire", "rio"],
    "exclude": "level = -9", "allowed_lateness": "10m", "amend_every": "5s",
    "window": [
        {"name": "minute", "size": "SIZE", "fields": {"mean": "mean(level)", "n": "count(*)", "gain": "rate(level)"}},
        {"name": "zone", "size": "2m", "slide": "1m", "by": ["zone"],
         "fields": {"top": "max(level)", "roll": "mean(mean(level))", "gain": "increase(level)", "held": "time_mean(level)"}}
    ],
    "rule": [
        {"name": "high", "on": "minute", "when": "mean > LIMIT", "for": "FOR", "severity": "warning",
         "title": {"es": "t", "en": "t"}, "message": {"es": "WORDS {mean}", "en": "{mean}"}},
        {"name": "zone-high", "on": "zone", "when": "top > LIMIT", "keep_firing_for": "1m",
         "severity": "warning", "title": {"es": "t", "en": "t"}, "message": {"es": "m", "en": "m"}},
        {"name": "spike", "on": "readings", "when": "level > LIMIT", "for": "10s", "severity": "critical",
         "title": {"es": "t", "en": "t"}, "message": {"es": "{level}", "en": "{level}"}}
    ]
}"#;

/// xorshift64*: the same numbers for a seed everywhere.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Numbers of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    /// True once in `n` times.
    pub(super) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn pipeline(name: &str, random: &mut Random) -> Control {
    let mut text = PIPELINE.replace("NAME", name);
    for (place, choices) in [
        ("SIZE", ["1m", "1m", "2m"]),
        ("LIMIT", ["50", "50", "70"]),
        ("FOR", ["1m", "1m", "2m"]),
        ("WORDS", ["a", "b", "c"]),
    ] {
        let choice = choices.get(random.below(3) as usize).copied().unwrap_or_default();
        text = text.replace(place, choice);
    }
    Control::Pipeline { pipeline: Box::new(serde_json::from_str(&text).unwrap()) }
}

fn feed(name: &str, out_of_orderness: u64) -> Control {
    let feed = serde_json::json!({
        "name": name, "topic": format!("{name}/{{zone}}/{{sensor}}"), "decoder": "json",
        "out_of_orderness": format!("{out_of_orderness}s"), "idle_after": "30s", "expected_interval": "20s",
        // One of them never reports.
        "registered": [{"name": format!("{name}-1")}, {"name": format!("{name}-9"), "expected_interval": "1m"}],
        "quantity": {"level": {"unit": "cm", "decimals": 0}}
    });
    Control::Feed { feed: Box::new(serde_json::from_value(feed).unwrap()) }
}

fn message(feed: &str, event_at: Timestamp, random: &mut Random) -> Submission {
    let level = Quantity { name: "level".into(), unit: "cm".into(), decimals: 0 };
    let sensor = random.below(4);
    let value = if random.once_in(20) { -9 } else { random.below(100) as i64 };
    let event = DecodedEvent {
        sensor: format!("{feed}-{sensor}").into(),
        tags: vec![("zone".into(), format!("comuna-{}", sensor % 2).into())].into(),
        event_at: Some(event_at),
        counter: None,
        readings: vec![DecodedReading { quantity: Arc::new(level), value: Value(value) }].into(),
    };
    let rejected = Rejected::message(Reason::FutureTime, "no".to_owned());
    let refused = random.once_in(15);
    Submission {
        feed: feed.into(),
        topic: "t".into(),
        payload: Bytes::new(),
        arrived_at: None,
        decoded: Decoded {
            events: if refused { Events::None } else { Events::One(event) },
            rejected: if refused { vec![rejected] } else { Vec::new() },
            ignored: None,
        },
        repeated: false,
        brought: None,
        ack: None,
    }
}

/// A journal of about `messages` messages: two feeds that come and go, devices that are late,
/// repeat themselves or fall silent, outages, and definitions that change.
pub(super) fn journal(seed: u64, messages: u64) -> Vec<Batch> {
    let mut random = Random::new(seed);
    let mut sequencer = Sequencer::default();
    let mut now = Timestamp(1_000_000 * SECOND);
    let mut out = Vec::new();
    let mut controls =
        vec![feed("aire", 5), feed("rio", 20), pipeline("p", &mut random), pipeline("q", &mut random)];
    sequencer.configure(controls.clone(), now);
    for name in ["aire", "rio"] {
        sequencer.connected(&Arc::from(name), true, now);
    }
    for _ in 0..messages {
        let step = match random.below(100) {
            0 => 3_600 * SECOND,
            1..=4 => 90 * SECOND,
            _ => random.below(4_000) as i64 * (SECOND / 1_000),
        };
        now = now.plus(Span(step));
        let name = if random.once_in(3) { "rio" } else { "aire" };
        match random.below(60) {
            0 => {
                let at = 2 + random.below(2) as usize;
                let name = if at == 2 { "p" } else { "q" };
                if let Some(control) = controls.get_mut(at) {
                    *control = pipeline(name, &mut random);
                }
                let gone = random.once_in(5);
                let named = controls.iter().take(if gone { 3 } else { 4 }).cloned().collect();
                sequencer.configure(named, now);
            }
            1 => sequencer.connected(&Arc::from(name), random.once_in(2), now),
            2 => sequencer.pass(now),
            3 | 4 => {
                let to = now.minus(Span::seconds(random.below(1_800) as i64));
                let from = to.minus(Span::seconds(random.below(14_400) as i64));
                sequencer.recompute(Recompute::of(from, to), now);
            }
            _ => {
                let late = if random.once_in(12) { random.below(900) } else { random.below(8) };
                let at = Timestamp(now.minus(Span::seconds(late as i64)).0 / SECOND * SECOND);
                let message = message(name, at, &mut random);
                sequencer.accept(vec![message], now);
            }
        }
        if random.once_in(4) {
            out.extend(sequencer.take().into_iter().map(|finished| finished.batch));
        }
    }
    sequencer.pass(now.plus(Span::seconds(1_200)));
    out.extend(sequencer.take().into_iter().map(|finished| finished.batch));
    out
}

/// The same records in other batches, whose headers say nothing true beyond their first sequence.
pub(super) fn cut_again(batches: &[Batch], random: &mut Random) -> Vec<Batch> {
    let longest = 1 + random.below(40);
    let mut out: Vec<Batch> = Vec::new();
    let mut room = 0;
    for batch in batches {
        for (sequence, record) in batch.iter() {
            if room == 0 {
                room = 1 + random.below(longest);
                let arrived_at = Timestamp(random.below(1 << 30) as i64 * SECOND);
                out.push(Batch { first: sequence, arrived_at, ..Batch::default() });
            }
            room -= 1;
            let Some(into) = out.last_mut() else { continue };
            let record = match record {
                Record::Event(event) => {
                    let start = into.readings.len() as u32;
                    into.readings.extend_from_slice(batch.readings_of(event));
                    Record::Event(Event { readings: start..into.readings.len() as u32, ..event.clone() })
                }
                other => other.clone(),
            };
            into.records.push(record);
        }
    }
    out
}

/// What the recomputes that a batch asks for are about.
pub(super) fn past_of(batch: &Batch, batches: &[Batch]) -> Vec<Past> {
    let mut past = Past::asked_by(batch);
    past.iter_mut().for_each(|past| batches.iter().for_each(|batch| past.gather(batch)));
    past
}

/// The rows of a journal as `workers` workers make them together.
pub(super) fn rows(batches: &[Batch], workers: usize) -> Vec<ResultRow> {
    let mut folds: Vec<Interpreter> = (0..workers).map(|index| Interpreter::new(index, workers)).collect();
    let mut out = Vec::new();
    for batch in batches {
        let past = past_of(batch, batches);
        let mut rows: Vec<ResultRow> =
            folds.iter_mut().flat_map(|fold| fold.apply_with(batch, &past)).collect();
        order(&mut rows);
        out.extend(rows);
    }
    out
}
