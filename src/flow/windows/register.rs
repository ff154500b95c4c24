//! The registered sensors among a window's keys: whose windows are published when nothing arrives.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{KeyRun, WindowRun};
use crate::model::definition::FeedDefinition;
use crate::model::{FeedId, Span, Timestamp};
use crate::window::WindowPlan;
use crate::window::vacant::{Registration, Service};

/// Registered sensors by name: the position of the feed that names one first, and its stretches
/// of service.
pub type Register = BTreeMap<String, (usize, Vec<Service>)>;

/// What the feeds of a pipeline register. An entry that makes no sense is passed over: `config`
/// refuses it before it reaches a journal.
#[must_use]
pub fn register_of(feeds: &[&FeedDefinition]) -> Register {
    let mut register = Register::new();
    for (at, feed) in feeds.iter().enumerate() {
        let zone = TimeZone::get(&feed.timezone).unwrap_or(TimeZone::UTC);
        for sensor in &feed.registered {
            let Ok((from, to)) = sensor.service(&zone) else { continue };
            let service = Service { from, to, interval: sensor.expected_interval };
            register.entry(sensor.name.clone()).or_insert((at, Vec::new())).1.push(service);
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
        for (name, (feed, services)) in register {
            let Some((number, new)) = self.table.register(name) else { continue };
            if let Some(key) = new {
                // Until it speaks, what is known of it is what is known of its feed.
                let heard_by = feeds.get(*feed).copied().unwrap_or_default();
                self.keys.push(KeyRun { heard_by, ..KeyRun::new(key, *feed, &self.rules) });
            }
            self.write(number as usize, services, at);
        }
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
        if run.close_timer.is_some_and(|timer| timer <= end) {
            return;
        }
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        if let Some(old) = run.close_timer.replace(end) {
            self.closes.remove(&(old, number));
        }
        self.closes.insert((end, number));
    }

    /// Sets the timer of a key to what its sealing waits for, unless it is set earlier.
    pub(super) fn arm_seal(&mut self, number: u32) {
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        let Some(due) = run.next_seal(&self.plan) else { return };
        if run.seal_timer.is_none_or(|timer| due < timer) {
            if let Some(old) = run.seal_timer.replace(due) {
                self.seals.remove(&(old, number));
            }
            self.seals.insert((due, number));
        }
    }
}

impl KeyRun {
    /// End of its earliest open window that holds events, or is missed when nothing arrives.
    pub(super) fn next_close(&self, plan: &WindowPlan) -> Option<Timestamp> {
        self.windows.next_close(plan).into_iter().chain(self.next_missed(plan)).min()
    }

    /// What its sealing waits for: as its windows say, and the earliest that may be missed.
    pub(super) fn next_seal(&self, plan: &WindowPlan) -> Option<Timestamp> {
        self.windows.next_seal(plan).into_iter().chain(self.next_missed(plan)).min()
    }

    /// End of the earliest open window that is missed when nothing arrives.
    fn next_missed(&self, plan: &WindowPlan) -> Option<Timestamp> {
        let registration = self.registration.as_deref()?;
        registration.next_close(&plan.grid, self.windows.closed_to())
    }

    /// Expected time between two of its events in the window that starts at `start`.
    pub(super) fn interval(&self, plan: &WindowPlan, start: Timestamp) -> Option<Span> {
        let own = self.registration.as_deref().and_then(|registration| registration.interval(start));
        own.or_else(|| plan.expected.get(self.feed).copied().flatten())
    }
}
