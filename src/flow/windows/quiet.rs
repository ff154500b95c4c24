//! Keys to which nothing happens: until when their clocks may come without anything that closes, is
//! sealed, or has to be told.

use super::courses::Reached;
use super::{KeyRun, WindowRun};
use crate::flow::moment::Moment;
use crate::model::{Span, Timestamp};

/// Until when a key's clock may come without anything happening; from the beginning on, where nobody knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// No window of it closes before.
    pub(super) close: Timestamp,
    /// None is sealed before that has something to publish or forget.
    pub(super) seal: Timestamp,
}

impl Default for Due {
    fn default() -> Self {
        Self { close: Timestamp::MIN, seal: Timestamp::MIN }
    }
}

impl WindowRun {
    /// A key that was idle learns how far its clock has come.
    pub(super) fn catch_up(&mut self, number: u32, moment: &mut Moment<'_>) {
        let lateness = self.plan.allowed_lateness;
        let zone = (!self.table.by_sensor()).then_some(self.zone_watermark);
        // Ticks may have sealed what they did not close (a feed that never drained).
        let (closed_to, sealed_to) = (self.tick_closed_to.max(self.tick_sealed_to), self.tick_sealed_to);
        let both = |own: fn(Timestamp, Span) -> Timestamp, ticked: Timestamp| {
            zone.map_or(ticked, |zone| own(zone, lateness).max(ticked))
        };
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        if run.lets_pass(both(|zone, _| zone, closed_to), both(Timestamp::minus, sealed_to), moment) {
            return;
        }
        if let Some(zone) = zone {
            self.close(number, zone, moment);
            self.pass(number, moment);
            self.seal(number, zone.minus(lateness), moment);
        }
        self.close(number, closed_to, moment);
        self.pass(number, moment);
        self.seal(number, sealed_to, moment);
        self.rest(number);
    }

    /// Finds until when nothing happens to a key that was told of everything.
    pub(super) fn rest(&mut self, number: u32) {
        let by_sensor = self.table.by_sensor();
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        run.due = Due::default();
        run.courses.stir();
        // Of a registered sensor windows close in which nothing came; ahead of a period of the day things
        // are forgotten that no window holds; a zone's clock is not its own.
        let told_always =
            run.registration.is_some() || self.plan.forgets_between() || !by_sensor && !self.rules.is_empty();
        if !told_always {
            let close = run.next_close(&self.plan);
            let seal = run.windows.next_seal(&self.plan).into_iter().chain(close).min();
            let never = Timestamp::MAX;
            run.due = Due { close: close.unwrap_or(never), seal: seal.unwrap_or(never) };
            run.courses.rest(run.heard_by);
        }
    }

    /// How far time has come for a key.
    pub(super) fn reached(&self, number: u32) -> Reached {
        let last_end = self.last_end();
        let none = Reached { watermark: Timestamp::MIN, sealed_to: Timestamp::MIN, last_end };
        self.keys.get(number as usize).map_or(none, |run| run.reached(last_end))
    }
}

impl KeyRun {
    /// How far time has come for it.
    pub(super) fn reached(&self, last_end: Timestamp) -> Reached {
        Reached { watermark: self.watermark, sealed_to: self.windows.sealed_to(), last_end }
    }

    /// Lets its clock come so far if nothing happens until then; whether it does.
    pub(super) fn lets_pass(
        &mut self,
        closed_to: Timestamp,
        sealed_to: Timestamp,
        moment: &Moment<'_>,
    ) -> bool {
        let quiet = closed_to < self.due.close && sealed_to < self.due.seal && self.courses.are_quiet();
        if quiet {
            self.windows.let_pass(closed_to, sealed_to);
            let observed = moment.passed.get(self.heard_by.index());
            self.courses.owe(observed.copied().unwrap_or((Timestamp::MIN, Span(0))));
        }
        quiet
    }
}
