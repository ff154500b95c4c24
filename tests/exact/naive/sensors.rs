//! The sensors of one key, naively: from plain lists of each one's readings, what counters and held
//! time make of them, and what nested calls do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::call::{Call, Function};
use super::fields::{Number, value};
use super::world::Said;

/// A reading by its order among those of its sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    at: i64,
    counter: Option<u64>,
    sequence: u64,
    mantissa: i128,
}

/// What a window's definition says of its sensors' readings.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long a reading holds.
    pub hold_max: i64,
    /// By quantity: decimals, and the count at which a counter starts over.
    pub quantities: BTreeMap<String, (u8, Option<i128>)>,
}

/// One sensor's readings of one quantity in a window, and the one ahead of it.
pub struct Part<'a> {
    terms: &'a Terms,
    quantity: &'a str,
    span: (i64, i64),
    ahead: Option<Told>,
    own: Vec<Told>,
}

/// The parts of all sensors of a key in the window `span`, of what it heard.
pub fn parts<'a>(
    terms: &'a Terms,
    quantity: &'a str,
    span: (i64, i64),
    heard: &[(u64, Said)],
) -> BTreeMap<Arc<str>, Part<'a>> {
    let mut parts: BTreeMap<Arc<str>, Part<'a>> = BTreeMap::new();
    for (sequence, said) in heard.iter().filter(|(_, said)| said.event_at < span.1) {
        let Some((_, mantissa)) = said.readings.iter().find(|(own, _)| *own.name == *quantity) else {
            continue;
        };
        let (at, counter, sequence) = (said.event_at, said.counter, *sequence);
        let told = Told { at, counter, sequence, mantissa: i128::from(*mantissa) };
        let fresh = || Part { terms, quantity, span, ahead: None, own: Vec::new() };
        let part = parts.entry(said.device.clone()).or_insert_with(fresh);
        if at < span.0 {
            part.ahead = part.ahead.max(Some(told));
        } else {
            part.own.push(told);
        }
    }
    parts.values_mut().for_each(|part| part.own.sort());
    parts
}

impl Part<'_> {
    fn terms(&self) -> (u8, Option<i128>) {
        self.terms.quantities[self.quantity]
    }

    /// All that counters count between, in order.
    fn pairs(&self) -> Vec<(Told, Told)> {
        let all: Vec<Told> = self.ahead.iter().chain(&self.own).copied().collect();
        all.iter().copied().zip(all.iter().copied().skip(1)).collect()
    }

    /// What the counter advanced by, if any reading has one before it.
    fn gain(&self) -> Option<i128> {
        let gain = |(before, after): &(Told, Told)| {
            let (before, after) = (before.mantissa, after.mantissa);
            if after >= before {
                return after - before;
            }
            after.max(0) + self.terms().1.map_or(0, |wrap| (wrap - before).max(0))
        };
        let pairs = self.pairs();
        (!pairs.is_empty()).then(|| pairs.iter().map(gain).sum())
    }

    /// Each reading with the nanoseconds of the window for which it holds.
    fn held(&self) -> Vec<(Told, i64)> {
        let all: Vec<Told> = self.ahead.iter().chain(&self.own).copied().collect();
        let ends = all.iter().skip(1).map(|next| next.at).chain([self.span.1]);
        let held = all.iter().zip(ends).map(|(told, next)| {
            let until = next.min(told.at.saturating_add(self.terms.hold_max));
            (*told, until - told.at.max(self.span.0))
        });
        held.filter(|(_, time)| *time > 0).collect()
    }

    /// The weighted sum and the time held.
    fn weighed(&self) -> (i128, i128) {
        let held = self.held();
        let sum = held.iter().map(|(told, time)| told.mantissa * i128::from(*time)).sum();
        (sum, held.iter().map(|(_, time)| i128::from(*time)).sum())
    }

    /// The sequence of the reading ahead, if this function makes anything of it in this window.
    pub fn used(&self, function: &Function) -> Option<u64> {
        let ahead = self.ahead?;
        let uses = match function.name.as_str() {
            "increase" | "rate" => !self.own.is_empty(),
            "time_mean" => self.held().iter().any(|(told, _)| *told == ahead),
            _ => false,
        };
        uses.then_some(ahead.sequence)
    }

    /// How its counter was read: what a run counts.
    pub fn turns(&self) -> Option<&'static str> {
        let back = self.pairs().iter().any(|(before, after)| after.mantissa < before.mantissa);
        back.then_some(if self.terms().1.is_some() { "a counter that wraps" } else { "a counter's reset" })
    }

    fn value(&self, function: &Function) -> Option<Number> {
        let length = i128::from(self.span.1 - self.span.0);
        match function.name.as_str() {
            "increase" => self.gain().map(|gain| Number::Exact(gain, 1)),
            "rate" => self.gain().map(|gain| Number::Exact(gain * 1_000_000_000, length)),
            "time_mean" => mean(self.weighed()),
            "delta" => Some(Number::Exact(self.own.last()?.mantissa - self.own.first()?.mantissa, 1)),
            _ if self.own.is_empty() => None,
            _ => {
                let mantissas: Vec<i128> = self.own.iter().map(|told| told.mantissa).collect();
                value(function, &mantissas, self.terms().0)
            }
        }
    }
}

fn mean((sum, time): (i128, i128)) -> Option<Number> {
    (time > 0).then_some(Number::Exact(sum, time))
}

/// The value of a field over the sensors of a key; only `sufficient` ones count in nested calls.
pub fn fold(
    call: &Call,
    parts: &BTreeMap<Arc<str>, Part<'_>>,
    sufficient: &BTreeSet<Arc<str>>,
    span: (i64, i64),
    decimals: u8,
) -> Option<Number> {
    if let Some(inner) = &call.inner {
        let own = parts.iter().filter(|(device, _)| sufficient.contains(*device));
        let values = own.filter_map(|(_, part)| part.value(inner)?.mantissa(decimals));
        return value(&call.outer, &values.collect::<Vec<i128>>(), decimals);
    }
    if call.outer.name == "time_mean" {
        let all = parts.values().map(Part::weighed);
        return mean(all.fold((0, 0), |sums, own| (sums.0 + own.0, sums.1 + own.1)));
    }
    let gains: Vec<i128> = match call.outer.name.as_str() {
        "delta" => {
            let ends = |part: &Part<'_>| Some(part.own.last()?.mantissa - part.own.first()?.mantissa);
            parts.values().filter_map(ends).collect()
        }
        _ => parts.values().filter_map(Part::gain).collect(),
    };
    let sum: i128 = gains.iter().sum();
    (!gains.is_empty()).then(|| match call.outer.name.as_str() {
        "rate" => Number::Exact(sum * 1_000_000_000, i128::from(span.1 - span.0)),
        _ => Number::Exact(sum, 1),
    })
}
