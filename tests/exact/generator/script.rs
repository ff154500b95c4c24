//! What happens in a case: messages, links, controls, passing time and cuts.

use std::sync::Arc;

use serde_json::json;
use sereno::model::time::SECOND;

use super::{Draw, SPANS};
use crate::case::{Happening, Message, event};

impl Draw {
    /// Messages, links, controls, passing time and cuts, in the order of their time.
    pub(super) fn script(&mut self) -> Vec<(i64, Happening)> {
        let (from, lasts) = (self.begins_at, self.lasts);
        let mut script = vec![(from, Happening::Configure(self.controls()))];
        let mut backlogs = Vec::new();
        for feed in 0..self.feeds.len() {
            let name: Arc<str> = format!("feed-{feed}").into();
            script.push((from, Happening::Link(name.clone(), true)));
            let mut away = None;
            if self.chance.percent(40) {
                let down = from + self.chance.within(0, lasts);
                let up = down + self.chance.within(SECOND, 200 * SECOND) * self.scale;
                script.push((down, Happening::Link(name.clone(), false)));
                script.push((up, Happening::Link(name.clone(), true)));
                away = Some((down, up));
            }
            backlogs.push(away);
        }
        self.messages(&backlogs, &mut script);
        self.changes(&mut script);
        let end = script.iter().map(|entry| entry.0).max().unwrap_or(from);
        for _ in 0..self.chance.within(0, 40) {
            script.push((from + self.chance.within(0, end - from), Happening::Pass));
        }
        for _ in 0..self.chance.within(0, 20) {
            script.push((from + self.chance.within(0, end - from), Happening::Cut));
        }
        if self.chance.percent(25) {
            script.push((from + self.chance.within(0, end - from), Happening::Restart));
        }
        self.outage(&mut script);
        let mut at = end;
        for _ in 0..self.chance.within(0, 60) {
            at += self.chance.within(SECOND / 2, 15 * SECOND) * self.scale;
            script.push((at, Happening::Pass));
        }
        script.sort_by_key(|entry| entry.0);
        script
    }

    /// Sereno itself is down for a while: what came meanwhile comes in a burst after it.
    fn outage(&mut self, script: &mut Vec<(i64, Happening)>) {
        if !self.chance.percent(15) {
            return;
        }
        let down = self.begins_at + self.chance.within(SECOND, self.lasts);
        let up = down + self.chance.within(SECOND, 300 * SECOND) * self.scale;
        for entry in script.iter_mut().filter(|entry| (down..up).contains(&entry.0)) {
            entry.0 = up + 1 + (entry.0 - down) / 50;
        }
        script.push((up, Happening::Restart));
    }

    pub(super) fn messages(&mut self, backlogs: &[Option<(i64, i64)>], script: &mut Vec<(i64, Happening)>) {
        let number = if self.crowded { 1_000 } else { self.chance.one(&[20, 60, 150]) };
        let silent = self.chance.percent(30).then(|| self.begins_at + self.chance.within(0, self.lasts));
        for n in 0..number {
            let (feed, sensor, zone) = self.chance.one(&self.sensors);
            let event_at = self.moment();
            if sensor.starts_with("s0") && silent.is_some_and(|at| event_at > at) {
                continue;
            }
            let name: Arc<str> = format!("feed-{feed}").into();
            let mut arrives_at = event_at + self.delay();
            if let Some((down, up)) = backlogs[feed].filter(|(down, up)| (*down..*up).contains(&arrives_at)) {
                // The broker held it: all come in a burst, in order.
                arrives_at = up + (arrives_at - down) / 50;
            }
            let zone = if self.chance.percent(5) { "moved".to_owned() } else { zone };
            let message = self.message(&name, &sensor, &zone, event_at, n);
            if self.chance.percent(8) {
                let again = arrives_at + self.chance.within(0, 30 * SECOND) * self.scale;
                script.push((again, Happening::Message(message.clone())));
            }
            script.push((arrives_at, Happening::Message(message)));
        }
    }

    /// An event time: whole seconds, often on the edge of a window.
    pub fn moment(&mut self) -> i64 {
        let at = self.begins_at + self.chance.within(0, self.lasts);
        match self.chance.within(0, 4) {
            0 if self.scale > 1 => at - at.rem_euclid(1_800 * SECOND),
            0 => at - at.rem_euclid(10 * SECOND),
            1 => at,
            _ => at - at.rem_euclid(SECOND),
        }
    }

    fn delay(&mut self) -> i64 {
        let delay = match self.chance.within(0, 20) {
            0 => self.chance.within(0, 400 * SECOND),
            1..=3 => self.chance.within(0, 60 * SECOND),
            4 => -self.chance.within(0, 90 * SECOND),
            _ => return self.chance.within(0, 6 * SECOND),
        };
        delay * self.scale
    }

    /// A message of one event, or something like it.
    pub fn message(&mut self, feed: &Arc<str>, sensor: &str, zone: &str, event_at: i64, n: i64) -> Message {
        let counted = (event_at - self.begins_at).max(0) / (self.lasts / 3_000_000).max(1) % 1_000_000;
        let crowded = self.crowded;
        let chance = &mut self.chance;
        let mut values = vec![("pm", chance.within(-5, 110))];
        if crowded || chance.percent(40) {
            values.push(("temp", chance.within(-500, 11_000)));
        }
        match chance.within(0, 20) {
            0 | 1 => values.push(("noise", chance.within(-(1 << 53), 1 << 53))),
            2 => values.push(("noise", chance.within(-150_000_000, 0))),
            3..=5 => values.push(("noise", chance.within(0, 90_000_000))),
            _ => {}
        }
        match chance.within(0, 10) {
            0 => values.push(("kwh", chance.within(-2_000, 1_200_000))),
            1..=4 => values.push(("kwh", counted)),
            5 => values.push(("kwh", chance.within(0, 50))),
            _ => {}
        }
        match chance.within(0, 20) {
            0 => values.push(("dir", chance.one(&[0, 900, 1_800, 2_700, 3_600]))),
            1..=4 => values.push(("dir", chance.within(-7_200, 7_200))),
            _ => {}
        }
        if values.len() > 1 && chance.percent(10) {
            values.remove(0);
        }
        let counter = chance.percent(20).then_some(n as u64 / 2);
        let stated = (!chance.percent(3)).then_some(event_at);
        let mut message = Message::of(feed, vec![event(sensor, zone, stated, counter, &values)]);
        match chance.within(0, 60) {
            0 => message.unreadable = true,
            1 => message = Message { unreadable: true, events: Vec::new(), ..message },
            2 => message = Message { ignored: true, events: Vec::new(), ..message },
            3 => message.refused_readings = 2,
            4 => message.repeated = true,
            5 => {
                let second = event(sensor, zone, Some(event_at + SECOND), counter, &[("pm", 7)]);
                message.events.push(second);
            }
            6 => message.events = vec![event(sensor, zone, stated, counter, &[("pm", 200)])],
            _ => {}
        }
        message
    }

    /// Changes of the configuration on the way.
    pub(super) fn changes(&mut self, script: &mut Vec<(i64, Happening)>) {
        let first = self.controls();
        let mut changes: Vec<i64> = Vec::new();
        for _ in 0..self.chance.one(&[0, 0, 1, 2, 4]) {
            changes.push(self.begins_at + self.chance.within(0, self.lasts));
        }
        changes.sort_unstable();
        for at in changes {
            match self.chance.within(0, 11) {
                0 => {
                    script.push((at, Happening::Configure(first.clone())));
                    continue;
                }
                1 if self.pipelines.len() > 1 => {
                    self.pipelines.pop();
                }
                2 => {
                    let lateness = self.span(&SPANS);
                    self.pipelines[0]["allowed_lateness"] = json!(lateness);
                }
                3 => {
                    let windows = self.pipelines[0]["window"].as_array().map_or(0, Vec::len) as i64;
                    let n = self.chance.within(0, windows);
                    let window = self.window(n as usize);
                    self.pipelines[0]["window"][n as usize] = window;
                }
                4 => {
                    let wait = self.span(&[0, 5, 10, 30]);
                    self.feeds[0]["out_of_orderness"] = json!(wait);
                }
                5 => self.feeds[0]["registered"] = self.registered(),
                6 => {
                    let amend = self.span(&[0, 7, 30]);
                    self.pipelines[0]["amend_every"] = json!(amend);
                }
                _ => self.change_rules(0),
            }
            script.push((at, Happening::Configure(self.controls())));
        }
    }
}
