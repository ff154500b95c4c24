//! Sensors that report in turn: lines as CITY-1 has them, on time and whole, for any number of sensors.
//!
//! A round is a reading of each sensor, in an order drawn anew for every round, so that what lies side by
//! side in memory is not what comes one after the other. A sensor's readings follow each other after
//! one interval on the average, and by the end of each round every sensor has reported as often.

use std::fmt::Write as _;

/// 2026-03-01 17:00:00 UTC.
const START_MS: u64 = 1_772_384_400_000;
const DAY_MS: u64 = 86_400_000;
const ZONES: u32 = 50;

/// See the module.
pub struct Crowd {
    interval_ms: u64,
    order: Vec<u32>,
    /// Lines written.
    number: u64,
    dice: u64,
}

/// Lines one after the other in memory.
#[derive(Default)]
pub struct Lines {
    text: String,
    ends: Vec<usize>,
}

impl Lines {
    /// Each of them, without its end.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text.as_bytes()[start..*end])
    }
}

impl Crowd {
    /// So many sensors, each reporting once an interval.
    pub fn new(sensors: u32, interval_ms: u64) -> Self {
        Self { interval_ms, order: (0..sensors).collect(), number: 0, dice: 1 }
    }

    /// Sensors, which is readings in a round.
    pub fn sensors(&self) -> u64 {
        self.order.len() as u64
    }

    /// Writes the next lines in the place of those that are there.
    pub fn write(&mut self, count: u64, lines: &mut Lines) {
        lines.text.clear();
        lines.ends.clear();
        for _ in 0..count {
            self.line(&mut lines.text);
            lines.ends.push(lines.text.len());
        }
    }

    fn line(&mut self, text: &mut String) {
        let (round, turn) = (self.number / self.sensors(), self.number % self.sensors());
        if turn == 0 {
            self.shuffle();
        }
        let sensor = self.order[turn as usize];
        let at_ms = START_MS + round * self.interval_ms + turn * self.interval_ms / self.sensors();
        let (days, of_day) = (at_ms / DAY_MS - START_MS / DAY_MS + 1, at_ms % DAY_MS);
        assert!(days <= 31, "a load ends with its month");
        let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
        // Values in tenths, as CITY-1 has them: pm25 5.0 to 55.0, which no rule's threshold is below.
        let draw = self.draw();
        let pm25 = 50 + draw % 501;
        let (pm10, temp) = (pm25 + 30 + (draw >> 10) % 300, 140 + (draw >> 20) % 141);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{{\"id\":\"aire-{sensor:05}\",\"t\":\"2026-03-{days:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z\",\
             \"zona\":\"comuna-{:02}\",\"pm25\":{}.{},\"pm10\":{}.{},\"temp\":{}.{},\"hum\":{}}}",
            sensor % ZONES + 1,
            pm25 / 10,
            pm25 % 10,
            pm10 / 10,
            pm10 % 10,
            temp / 10,
            temp % 10,
            40 + (draw >> 30) % 56
        );
        self.number += 1;
    }

    /// By Fisher and Yates.
    fn shuffle(&mut self) {
        for last in (1..self.order.len()).rev() {
            let other = self.draw() % (last as u64 + 1);
            self.order.swap(last, other as usize);
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
