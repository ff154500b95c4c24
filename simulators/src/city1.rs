//! The CITY-1 load: lines of air readings from very many sensors, with the disorder of real networks.
//!
//! Event i happens i/10,000 s after the start; sensors take turns in an order drawn once, so each
//! reports every sensors/10,000 s. Of all events 1 % are written up to 30 s late, 0.1 % 2 to 5 minutes
//! late, and 0.1 % as malformed JSON. The event times themselves stay on schedule.

use crate::clock;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Events in one second of event time.
pub const EVENTS_PER_SECOND: u64 = 10_000;
/// Zones that the sensors are spread over, `comuna-01` to `comuna-50`.
pub const ZONES: u32 = 50;

/// Of 100,000 events, so many are late by minutes, out of order by seconds, malformed.
const LATE: u64 = 100;
const OUT_OF_ORDER: u64 = 1_000;
const MALFORMED: u64 = 100;

/// A load to write.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Decides the order of the sensors, the values and the disorder.
    pub seed: u64,
    /// How many sensors; at least 1, at most 100,000 keep their ids five digits long.
    pub sensors: u32,
    /// How many lines.
    pub events: u64,
    /// The first event's time, milliseconds since 1970 UTC.
    pub start_ms: i64,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// All lines.
    pub lines: u64,
    /// Lines written up to 30 s after their time.
    pub out_of_order: u64,
    /// Lines written 2 to 5 minutes after their time.
    pub late: u64,
    /// Lines that are no JSON.
    pub malformed: u64,
}

impl Load {
    /// Writes the lines, each ended by a line feed. The writer is best buffered.
    ///
    /// # Errors
    /// Whatever the writer fails with.
    pub fn write(&self, out: &mut impl Write) -> io::Result<Written> {
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed);
        let order = shuffled(self.sensors.max(1), &mut dice);
        let mut turns = order.iter().cycle();
        let mut held: BinaryHeap<Reverse<Held>> = BinaryHeap::new();
        let mut written = Written::default();
        let mut line = Line::default();
        for event in 0..self.events {
            while held.peek().is_some_and(|Reverse(held)| held.due <= event) {
                if let Some(Reverse(held)) = held.pop() {
                    out.write_all(held.text.as_bytes())?;
                }
            }
            let sensor = turns.next().copied().unwrap_or(0);
            let at_ms = self.start_ms.saturating_add((event * 1_000 / EVENTS_PER_SECOND).cast_signed());
            let draw = dice.next_u64();
            line.set(sensor, at_ms, draw);
            // Which lot, by the upper bits; the rest made the values.
            let lot = (draw >> 40) % 100_000;
            if lot >= 100_000 - MALFORMED {
                written.malformed += 1;
                line.spoil(dice.next_u64());
            }
            written.lines += 1;
            let delay = match lot {
                0..LATE => 120 * EVENTS_PER_SECOND + dice.next_u64() % (180 * EVENTS_PER_SECOND),
                LATE..1_100 => 1 + dice.next_u64() % (30 * EVENTS_PER_SECOND),
                _ => {
                    out.write_all(line.text.as_bytes())?;
                    continue;
                }
            };
            if lot < LATE {
                written.late += 1
            } else {
                written.out_of_order += 1
            }
            held.push(Reverse(Held { due: event + delay, number: event, text: line.text.clone() }));
        }
        while let Some(Reverse(held)) = held.pop() {
            out.write_all(held.text.as_bytes())?;
        }
        out.flush()?;
        Ok(written)
    }
}

const _: () = assert!(LATE + OUT_OF_ORDER == 1_100, "the two lots of `write` adjoin");

/// A line to be written when event `due` is reached.
struct Held {
    due: u64,
    number: u64,
    text: String,
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Held {}

/// One line, its buffer and the text of the present millisecond used again and again.
#[derive(Default)]
struct Line {
    text: String,
    at_ms: Option<i64>,
    time: String,
}

impl Line {
    fn set(&mut self, sensor: u32, at_ms: i64, draw: u64) {
        // Writing to a String cannot fail.
        if self.at_ms != Some(at_ms) {
            self.at_ms = Some(at_ms);
            self.time.clear();
            let _ = write!(self.time, "{}", clock::local(at_ms));
        }
        // Values in tenths: pm25 5.0 to 55.0, pm10 above it, 14.0 to 28.0 degrees, 40 to 95 %.
        let pm25 = 50 + draw % 501;
        let pm10 = pm25 + 30 + (draw >> 10) % 300;
        let temp = 140 + (draw >> 20) % 141;
        let hum = 40 + (draw >> 30) % 56;
        let zone = sensor % ZONES + 1;
        self.text.clear();
        let _ = writeln!(
            self.text,
            "{{\"id\":\"aire-{sensor:05}\",\"t\":\"{}\",\"zona\":\"comuna-{zone:02}\",\"pm25\":{}.{},\"pm10\":{}.{},\
             \"temp\":{}.{},\"hum\":{hum}}}",
            self.time,
            pm25 / 10,
            pm25 % 10,
            pm10 / 10,
            pm10 % 10,
            temp / 10,
            temp % 10,
        );
    }

    /// Makes the line something that no JSON parser takes.
    fn spoil(&mut self, draw: u64) {
        match draw % 3 {
            0 => {
                let keep = 1 + (draw >> 8) as usize % (self.text.len() - 3);
                self.text.truncate(keep);
                self.text.push('\n');
            }
            1 => self.text = self.text.replacen("\"pm25\":", "\"pm25\":NaN", 1),
            _ => self.text = self.text.replacen("\",\"zona\"", ",\"zona\"", 1),
        }
    }
}

/// The numbers below `count`, in an order drawn by Fisher and Yates.
fn shuffled(count: u32, dice: &mut ChaCha8Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, (dice.next_u64() % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;

    fn lines(load: Load) -> (Vec<String>, Written) {
        let mut out = Vec::new();
        let written = load.write(&mut out).unwrap();
        (String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), written)
    }

    const LOAD: Load = Load { seed: 1, sensors: 1_000, events: 60_000, start_ms: 1_772_384_400_000 };

    #[test]
    fn shares_of_disorder_are_as_promised_and_every_line_is_written() {
        let (lines, written) = lines(LOAD);
        assert_eq!((lines.len() as u64, written.lines), (60_000, 60_000));
        assert!((520..690).contains(&written.out_of_order), "{written:?}");
        assert!((35..90).contains(&written.late) && (35..90).contains(&written.malformed), "{written:?}");
        let broken = lines.iter().filter(|line| serde_json::from_str::<Value>(line).is_err()).count() as u64;
        assert_eq!(broken, written.malformed);
    }

    #[test]
    fn each_sensor_keeps_its_period_and_its_zone() {
        let mut by_sensor: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for line in lines(LOAD).0 {
            let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
            let at: jiff::Timestamp = value["t"].as_str().unwrap().parse().unwrap();
            let id = value["id"].as_str().unwrap().to_owned();
            let zone = id[5..].parse::<u32>().unwrap() % ZONES + 1;
            assert_eq!(value["zona"], format!("comuna-{zone:02}"));
            by_sensor.entry(id).or_default().push(at.as_millisecond());
        }
        assert_eq!(by_sensor.len(), 1_000);
        for times in by_sensor.values_mut() {
            times.sort_unstable();
            assert!(
                times.windows(2).all(|pair| (pair[1] - pair[0]) % 100 == 0),
                "1,000 sensors: every 0.1 s"
            );
        }
    }

    #[test]
    fn a_seed_gives_the_same_lines() {
        let small = Load { events: 5_000, ..LOAD };
        assert_eq!(lines(small).0, lines(small).0);
        assert_ne!(lines(small).0, lines(Load { seed: 2, ..small }).0);
        assert!(lines(small).0.iter().any(|line| line.contains("\"t\":\"2026-03-01T12:00:00.250-05:00\"")));
    }
}
