//! The row of a window, naively: computed anew each time from all of its events, and those ahead.

use std::collections::BTreeSet;
use std::sync::Arc;

use sereno::model::{Aggregate, Key};

use super::call::Call;
use super::fields::{self, Number};
use super::met::Met;
use super::plan::{KeyState, Plan};
use super::sensors;
use super::world::{Said, World, stamp};

impl Plan {
    /// The row of the window `span` of a key, as it is now.
    pub fn row(
        &self,
        (cause, world): (u64, &World),
        key: &Key,
        state: &KeyState,
        span: (i64, i64),
        met: &mut Met,
    ) -> Aggregate {
        let none = Vec::new();
        let events = state.windows.get(&span.0).map_or(&none, |window| &window.events);
        let count = events.len() as u64;
        let registered = state.registered.feeds(span.0);
        let own = |place: &usize| registered.get(place).copied().flatten().or(self.intervals[*place]);
        let mut feeds = self.feeds_of(events.iter().map(|event| &event.1));
        feeds.extend(registered.keys());
        let expected = expected(span, feeds.iter().map(own)).filter(|_| self.by_sensor());
        let capture = expected.map(|expected| count as f64 / expected);
        // What did not come while nobody listened says nothing.
        let heard = |place: &usize| {
            own(place).is_some_and(|least| world.feeds[self.feeds[*place]].observed_within(span) >= least)
        };
        let listened = count > 0 || registered.is_empty() || registered.keys().any(heard);
        let enough = self.window.capture_min.unwrap_or(0.0);
        let mut field = |call: &Call| match (call.outer.name.as_str(), call.quantity.as_str()) {
            ("count", "*") => Some(count as f64),
            ("capture_percent", _) => capture.map(|share| share * 100.0),
            ("count", _) if count == 0 => Some(0.0),
            _ if count == 0 => None,
            _ => {
                let decimals = self.terms.quantities[&call.quantity].0;
                self.field(call, &state.heard, events, span, met).map(|number| number.float(decimals))
            }
        };
        let fields: Vec<Option<f64>> = self.calls.iter().map(&mut field).collect();
        let last = events.iter().map(|(sequence, _)| *sequence).max();
        // An empty window's first revision is what closed it.
        let revision = last.map_or(cause, |last| last.max(self.ahead_of(&state.heard, span)));
        met.window(&self.window, self.period.as_deref(), span, count);
        met.fields(&self.calls, &fields);
        Aggregate {
            cause,
            plan: self.description.clone(),
            key: key.clone(),
            start: stamp(span.0),
            end: stamp(span.1),
            revision,
            count,
            capture,
            sufficient: listened && capture.is_none_or(|capture| capture >= enough),
            fields,
        }
    }

    fn ahead_of(&self, heard: &[(u64, Said)], span: (i64, i64)) -> u64 {
        self.ahead(heard, span).into_iter().max().unwrap_or_default()
    }

    fn field(
        &self,
        call: &Call,
        heard: &[(u64, Said)],
        events: &[(u64, Said)],
        span: (i64, i64),
        met: &mut Met,
    ) -> Option<Number> {
        let decimals = self.terms.quantities[&call.quantity].0;
        if call.of_sensor().is_some() {
            let parts = sensors::parts(&self.terms, &call.quantity, span, heard);
            if call.of_sensor().is_some_and(|own| own.name == "increase" || own.name == "rate") {
                parts.values().filter_map(|part| part.turns()).for_each(|turn| met.one(turn));
            }
            let devices: BTreeSet<Arc<str>> = parts.keys().cloned().collect();
            let enough = |device: &Arc<str>| self.suffices(device, events, span);
            let sufficient = devices.into_iter().filter(enough).collect();
            return sensors::fold(call, &parts, &sufficient, span, decimals);
        }
        let mut readings = Vec::new();
        for (sequence, said) in events {
            for (_, mantissa) in said.readings.iter().filter(|(own, _)| *own.name == *call.quantity) {
                let order = (said.event_at, said.device.to_string(), said.counter, *sequence);
                readings.push((order, i128::from(*mantissa)));
            }
        }
        readings.sort();
        let mantissas: Vec<i128> = readings.into_iter().map(|reading| reading.1).collect();
        fields::value(&call.outer, &mantissas, decimals)
    }

    /// Whether a sensor has enough of the events that its feeds expect to count in nested calls.
    fn suffices(&self, device: &Arc<str>, events: &[(u64, Said)], span: (i64, i64)) -> bool {
        let own = || events.iter().map(|event| &event.1).filter(|said| said.device == *device);
        let feeds = self.feeds_of(own());
        let expected = expected(span, feeds.iter().map(|place| self.intervals[*place]));
        let (Some(least), Some(expected)) = (self.window.sensor_capture_min, expected) else { return true };
        own().count() as f64 / expected >= least
    }

    /// Places of the feeds by which events came.
    fn feeds_of<'a>(&self, events: impl Iterator<Item = &'a Said>) -> BTreeSet<usize> {
        events.filter_map(|said| self.feeds.iter().position(|feed| *feed == said.feed)).collect()
    }

    /// Journal sequences of the readings ahead of a window of which something in it is made.
    pub fn ahead(&self, heard: &[(u64, Said)], span: (i64, i64)) -> BTreeSet<u64> {
        let mut used = BTreeSet::new();
        for call in self.calls.iter().filter(|call| call.of_sensor().is_some_and(|f| f.follows())) {
            let parts = sensors::parts(&self.terms, &call.quantity, span, heard);
            used.extend(parts.values().filter_map(|part| part.used(call.of_sensor()?)));
        }
        used
    }
}

/// Events that feeds with these intervals expect in a window; none where one expects none.
fn expected(span: (i64, i64), intervals: impl Iterator<Item = Option<i64>>) -> Option<f64> {
    let mut expected = None;
    for interval in intervals {
        expected = Some(expected.unwrap_or(0.0) + (span.1 - span.0) as f64 / interval? as f64);
    }
    expected
}
