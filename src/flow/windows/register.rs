//! The registered sensors among a window's keys: whose windows are published when nothing arrives.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::quiet::Due;
use super::{KeyRun, WindowRun};
use crate::model::definition::FeedDefinition;
use crate::model::{FeedId, Key, Span, Timestamp};
use crate::window::vacant::{Registration, Service};
use crate::window::{Publication, WindowPlan};

/// Registered sensors by name: their stretches of service, each by the feed that registers it.
pub type Register = BTreeMap<String, Vec<Service>>;

/// What the feeds of a pipeline register. An entry that makes no sense is passed over: `config`
/// refuses it before it reaches a journal.
#[must_use]
pub fn register_of(feeds: &[&FeedDefinition]) -> Register {
    let mut register = Register::new();
    for (at, feed) in feeds.iter().enumerate() {
        let zone = TimeZone::get(&feed.timezone).unwrap_or(TimeZone::UTC);
        for sensor in &feed.registered {
            let Ok((from, to)) = sensor.service(&zone) else { continue };
            let service = Service { feed: at, from, to, interval: sensor.expected_interval };
            register.entry(sensor.name.clone()).or_default().push(service);
        }
    }
    register
}

impl WindowRun {
    /// Takes in the register as it was written at `at` of the arrival clock; it counts from the
    /// next tick on. `feeds` are those of the pipeline.
    pub fn register(&mut self, register: &Register, feeds: &[FeedId], at: Timestamp) {
        let replaced = self.bounds.ends_at != Timestamp::MAX;
        if replaced || !self.table.is_sensor_alone() {
            return;
        }
        for number in 0..self.keys.len() {
            let Some(run) = self.keys.get(number) else { continue };
            let listed = run.key.0.first().is_some_and(|name| register.contains_key(&**name));
            if run.registration.is_some() && !listed {
                self.write(number, &[], at);
            }
        }
        for (name, services) in register {
            let Some((number, new)) = self.table.register(name) else { continue };
            if let Some(key) = new {
                // Until it speaks, what is known of it is what is known of the feed that lists it first.
                let feed = services.first().and_then(|service| feeds.get(service.feed));
                let heard_by = feed.copied().unwrap_or_default();
                self.keys.push(KeyRun { heard_by, ..KeyRun::new(key, &self.rules) });
            }
            self.write(number as usize, services, at);
        }
    }

    /// Sensors are expected as this register says, once they are heard; none is missed.
    pub fn expect(&mut self, register: &Arc<Register>) {
        self.expected = self.table.is_sensor_alone().then(|| register.clone());
    }

    /// What a new key is registered as, by a register that only says what is expected.
    pub(super) fn expected_as(&self, key: &Key) -> Option<Box<Registration>> {
        let services = self.expected.as_ref()?.get(&**key.0.first()?)?;
        Some(Box::new(Registration::expecting(services)))
    }

    fn write(&mut self, number: usize, services: &[Service], at: Timestamp) {
        self.catch_up_silent(number);
        let Some(run) = self.keys.get(number) else { return };
        let mut registration = run.registration.as_deref().cloned().unwrap_or_default();
        if !registration.write(services, at) {
            return;
        }
        // The interval in force at a window's start counts for as long as the window is amended.
        registration.forget(self.tick_sealed_to.minus(self.plan.grid.longest()));
        self.fresh = true;
        if let Some(run) = self.keys.get_mut(number) {
            run.registration = Some(Box::new(registration));
            run.due = Due::default();
        }
        self.arm_close(number as u32);
        self.arm_seal(number as u32);
    }

    /// A key for which nothing was due learns how far ticks have closed: what closed before the
    /// register changed is not missed by what it says now.
    fn catch_up_silent(&mut self, number: usize) {
        let to = self.tick_closed_to.max(self.tick_sealed_to);
        let Some(run) = self.keys.get_mut(number) else { return };
        if run.next_close(&self.plan).is_none_or(|end| end > to) {
            // Nothing is due until then, so nothing is published.
            run.windows.close(&self.plan, self.bounds, to);
        }
    }

    /// The arrival clock ticks: sensors registered since it did last are waited for from here on.
    pub fn settle(&mut self, tick: Timestamp) {
        if !std::mem::take(&mut self.fresh) {
            return;
        }
        for number in 0..self.keys.len() {
            let fresh = |run: &KeyRun| run.registration.as_deref().is_some_and(Registration::is_fresh);
            if self.keys.get(number).is_some_and(fresh) {
                let run = self.keys.get_mut(number);
                if let Some(registration) = run.and_then(|run| run.registration.as_deref_mut()) {
                    registration.tick(tick);
                }
                self.arm_close(number as u32);
                self.arm_seal(number as u32);
            }
        }
    }

    /// Sets the timer of a key to the end of its earliest open window, unless it is set earlier.
    pub(super) fn arm_close(&mut self, number: u32) {
        let Some(run) = self.keys.get(number as usize) else { return };
        let Some(end) = run.next_close(&self.plan) else { return };
        if run.close_timer.is_due_by(end) {
            return;
        }
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        self.closes.set(number, &mut run.close_timer, Some(end));
    }

    /// Sets the timer of a key to what its sealing waits for, unless it is set earlier.
    pub(super) fn arm_seal(&mut self, number: u32) {
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        let due = run.next_seal(&self.plan);
        self.seals.set(number, &mut run.seal_timer, due);
    }
}

impl KeyRun {
    /// End of its earliest open window that holds events, or is missed when nothing arrives.
    pub(super) fn next_close(&self, plan: &WindowPlan) -> Option<Timestamp> {
        self.windows.next_close(plan).into_iter().chain(self.next_missed(plan)).min()
    }

    /// What its sealing waits for: as its windows say, and the earliest that closes.
    pub(super) fn next_seal(&self, plan: &WindowPlan) -> Option<Timestamp> {
        self.windows.next_seal(plan).into_iter().chain(self.next_close(plan)).min()
    }

    /// End of the earliest open window that is missed when nothing arrives.
    fn next_missed(&self, plan: &WindowPlan) -> Option<Timestamp> {
        let registration = self.registration.as_deref()?;
        registration.next_close(&plan.grid, self.windows.closed_to())
    }

    /// Whether an empty window says that nothing came: one of the feeds that miss it was observed for
    /// at least the interval in which an event is expected; `observed` says how long a feed was.
    pub(super) fn falls_silent(
        &self,
        plan: &WindowPlan,
        publication: &Publication,
        observed: impl Fn(usize, Timestamp, Timestamp) -> Span,
    ) -> bool {
        let (start, end) = (publication.start, publication.end);
        let Some(registration) = self.registration.as_deref() else { return true };
        registration.feeds(start).iter().any(|feed| {
            let own = registration.interval(feed, start);
            let interval = own.or_else(|| plan.expected.get(feed).copied().flatten());
            interval.is_some_and(|interval| observed(feed, start, end) >= interval)
        })
    }

    /// Events expected of it in a window: of each feed by which one came, or in whose register it
    /// is when the window starts.
    pub(super) fn expected_events(&self, plan: &WindowPlan, publication: &Publication) -> Option<f64> {
        let (start, registration) = (publication.start, self.registration.as_deref());
        let registered = registration.map(|registration| registration.feeds(start)).unwrap_or_default();
        let interval = |feed: usize| {
            let own = registration.and_then(|registration| registration.interval(feed, start));
            own.or_else(|| plan.expected.get(feed).copied().flatten())
        };
        let feeds = publication.feeds.or(registered);
        WindowPlan::expected_events(publication.end.since(start), feeds.iter().map(interval))
    }
}
