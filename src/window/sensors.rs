//! The sensors of one key, each by itself: for nested calls such as `mean(max(pm25))`, and for
//! functions that follow one sensor's readings, such as `increase(litros)`.
//!
//! A sensor is a device's name, as it is in the keys of windows. Each keeps panes of its own,
//! beside those of its key, so that what follows which is found without regard to other sensors
//! and across panes in which it was silent. Of readings whose panes are gone the last of each
//! column stays, since the next window counts from it.
//!
//! A window's values, and which record changed it last, depend on the readings alone: a reading
//! ahead of the window belongs to it exactly when a gain or a held time is made of it. A sensor
//! of too many readings (see [`super::held`]) has no part in what follows its readings.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::feed_set::FeedSet;
use super::firsts::Firsts;
use super::function::Function;
use super::held::{Held, Reading, Rules, Tally};
use super::plan::{ColumnPlan, FieldPlan, SensorsPlan, WindowPlan};
use super::slot::{Sample, Slot, SlotKind};
use super::value::value;
use crate::model::{Span, Timestamp};

/// The sensors of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sensors(BTreeMap<Arc<str>, Sensor>);

/// One sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sensor {
    /// By start.
    panes: Vec<Pane>,
    /// By column: the last reading whose pane is gone.
    before: Box<[Option<Reading>]>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pane {
    /// Of readings that no window holds: just before the pane that they are ahead of.
    start: Timestamp,
    /// Events counted; none where no window holds them.
    events: u64,
    /// The feeds by which they came.
    feeds: FeedSet,
    slots: Box<[Slot]>,
}

/// What a reading means for windows that it does not lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    /// The next reading, in the pane that starts there, counts from it.
    Gain(Timestamp),
    /// It holds until then.
    Hold(Timestamp),
}

impl Sensors {
    /// Counts an event in the pane at `start`; told back is what its readings mean for windows
    /// that hold none of that pane, if `late` says that there may be some to amend.
    pub fn add(
        &mut self,
        plan: &SensorsPlan,
        feed: usize,
        (start, late): (Timestamp, bool),
        samples: &[(u16, Sample<'_>)],
    ) -> Vec<Follower> {
        let Some(sensor) = self.sensor_mut(plan, samples) else { return Vec::new() };
        let at = sensor.pane_at(plan, start);
        let (earlier, later) = sensor.panes.split_at_mut(at + 1);
        let Some(pane) = earlier.last_mut() else { return Vec::new() };
        pane.events += 1;
        pane.feeds.add(feed);
        let mut followers = Vec::new();
        for (column, rules) in plan.columns.iter().zip(&plan.rules) {
            let Some(sample) = sample_of(column, samples) else { continue };
            let slots = column.of_mut(&mut pane.slots);
            slots.iter_mut().for_each(|slot| slot.add(sample, column.decimals));
            let last = held(slots).and_then(|held| held.readings().last());
            if !late || !rules.follow() || last != Some(&Reading::from(sample)) {
                continue;
            }
            follow(&mut followers, *rules, sample.event_at, first_of(column, later));
        }
        followers
    }

    /// Takes note of an event ahead of the window that starts just after `ahead`, and that none
    /// holds: of such events the last one stays.
    pub fn pass(
        &mut self,
        plan: &SensorsPlan,
        ahead: Timestamp,
        samples: &[(u16, Sample<'_>)],
    ) -> Vec<Follower> {
        let mut followers = Vec::new();
        let Some(sensor) = self.sensor_mut(plan, samples) else { return followers };
        let at = sensor.pane_at(plan, ahead);
        let (earlier, later) = sensor.panes.split_at_mut(at + 1);
        let Some(pane) = earlier.last_mut() else { return followers };
        for (column, rules) in plan.columns.iter().zip(&plan.rules) {
            let Some(sample) = sample_of(column, samples) else { continue };
            let kept = column.of_mut(&mut pane.slots).iter_mut().any(|slot| match slot {
                Slot::Held(held) => held.keep_last(Reading::from(sample)),
                _ => false,
            });
            if kept {
                follow(&mut followers, *rules, sample.event_at, first_of(column, later));
            }
        }
        followers
    }

    fn sensor_mut(&mut self, plan: &SensorsPlan, samples: &[(u16, Sample<'_>)]) -> Option<&mut Sensor> {
        let device = samples.first()?.1.device;
        if !self.0.contains_key(device) {
            let before = vec![None; plan.columns.len()].into_boxed_slice();
            self.0.insert(device.clone(), Sensor { panes: Vec::new(), before });
        }
        self.0.get_mut(device)
    }

    /// Forgets the panes that start at or before `up_to`, keeping the last reading of each column,
    /// and the sensors of which nothing can matter to a window that starts later.
    pub fn forget(&mut self, plan: &SensorsPlan, up_to: Timestamp) {
        self.0.retain(|_, sensor| {
            let gone = sensor.panes.partition_point(|pane| pane.start <= up_to);
            let panes: Vec<Pane> = sensor.panes.drain(..gone).collect();
            for (n, (column, rules)) in plan.columns.iter().zip(&plan.rules).enumerate() {
                // Counters are counted from however old a reading.
                let fresh = |held: &Reading| rules.gains || held.event_at.plus(rules.hold_max) > up_to;
                if let Some(carried) = sensor.before.get_mut(n) {
                    *carried = last_of(column, &panes).or(*carried).filter(fresh);
                }
            }
            !sensor.panes.is_empty() || sensor.before.iter().any(Option::is_some)
        });
    }

    /// The first readings of those that follow their readings, where one that is older than `known`
    /// before them would count too. Nothing was forgotten.
    #[must_use]
    pub fn firsts(&self, plan: &SensorsPlan, known: Span) -> Firsts {
        let (mut gains, mut held) = (Vec::new(), Vec::new());
        for sensor in self.0.values() {
            for (column, rules) in plan.columns.iter().zip(&plan.rules) {
                let Some((_, at)) = first_of(column, &sensor.panes) else { continue };
                gains.extend(rules.gains.then_some(at));
                held.extend((rules.holds && rules.hold_max > known).then_some(at));
            }
        }
        Firsts::new(gains, held.into_iter())
    }

    /// Fills in the fields that are made of single sensors, of the window `[start, end)`. Told
    /// back is the latest journal sequence of a reading ahead of the window that counts in it, 0
    /// if none does.
    pub fn fill(
        &self,
        plan: &WindowPlan,
        start: Timestamp,
        end: Timestamp,
        fields: &mut [Option<f64>],
    ) -> u64 {
        let mut revision = 0;
        let mut folds: Vec<Option<Fold>> = plan.fields.iter().map(Fold::of).collect();
        for sensor in self.0.values() {
            let share = sensor.share(&plan.sensors, start, end);
            revision = revision.max(share.before);
            for (field, fold) in plan.fields.iter().zip(&mut folds) {
                if let Some(fold) = fold {
                    fold.take(field, &plan.sensors, &share, Span(end.0.saturating_sub(start.0)));
                }
            }
        }
        for ((field, fold), value) in plan.fields.iter().zip(folds).zip(fields) {
            if let Some(fold) = fold {
                let answer = fold.answer(field, Span(end.0.saturating_sub(start.0)));
                *value = answer.map(|answer| answer.to_f64(field.decimals));
            }
        }
        revision
    }
}

fn sample_of<'a, 'b>(column: &ColumnPlan, samples: &'a [(u16, Sample<'b>)]) -> Option<&'a Sample<'b>> {
    samples.iter().find(|(at, _)| *at == column.column).map(|(_, sample)| sample)
}

fn held(slots: &[Slot]) -> Option<&Held> {
    slots.iter().find_map(|slot| match slot {
        Slot::Held(held) => Some(&**held),
        _ => None,
    })
}

/// The last reading of some panes.
fn last_of(column: &ColumnPlan, panes: &[Pane]) -> Option<Reading> {
    panes.iter().rev().find_map(|pane| held(column.of(&pane.slots))?.readings().last()).copied()
}

/// The first reading of some panes: its time, and its pane if a window holds that.
fn first_of(column: &ColumnPlan, panes: &[Pane]) -> Option<(Option<Timestamp>, Timestamp)> {
    panes.iter().find_map(|pane| {
        let first = held(column.of(&pane.slots))?.readings().first()?;
        Some(((pane.events > 0).then_some(pane.start), first.event_at))
    })
}

/// What follows from a reading that is the last of its pane; `next` is the one behind it, as
/// [`first_of`] tells it.
fn follow(
    followers: &mut Vec<Follower>,
    rules: Rules,
    event_at: Timestamp,
    next: Option<(Option<Timestamp>, Timestamp)>,
) {
    if let Some((Some(pane), _)) = next
        && rules.gains
    {
        followers.push(Follower::Gain(pane));
    }
    if rules.holds {
        let until = event_at.plus(rules.hold_max);
        followers.push(Follower::Hold(next.map_or(until, |(_, at)| at.min(until))));
    }
}

impl Sensor {
    fn pane_at(&mut self, plan: &SensorsPlan, start: Timestamp) -> usize {
        self.panes.binary_search_by_key(&start, |pane| pane.start).unwrap_or_else(|at| {
            self.panes
                .insert(at, Pane { start, events: 0, feeds: FeedSet::default(), slots: plan.empty_slots() });
            at
        })
    }

    /// Its part in one window.
    fn share(&self, plan: &SensorsPlan, start: Timestamp, end: Timestamp) -> Share {
        let first = self.panes.partition_point(|pane| pane.start < start);
        let last = self.panes.partition_point(|pane| pane.start < end);
        let (earlier, panes) = self.panes.get(..last).unwrap_or_default().split_at(first.min(last));
        let events: u64 = panes.iter().map(|pane| pane.events).sum();
        let feeds = panes.iter().fold(FeedSet::default(), |feeds, pane| feeds.or(pane.feeds));
        let mut share = Share {
            sufficient: plan.sufficient(feeds, events, start, end),
            slots: plan.empty_slots(),
            tallies: Vec::with_capacity(plan.columns.len()),
            before: 0,
        };
        for pane in panes {
            for (mine, other) in share.slots.iter_mut().zip(&pane.slots) {
                if !matches!(other, Slot::Held(_)) {
                    mine.merge(other);
                }
            }
        }
        for (n, (column, rules)) in plan.columns.iter().zip(&plan.rules).enumerate() {
            if !rules.follow() {
                share.tallies.push(None);
                continue;
            }
            let before = last_of(column, earlier).or_else(|| self.before.get(n).copied().flatten());
            let own = panes.iter().filter_map(|pane| held(column.of(&pane.slots)));
            let thinned = own.clone().any(Held::is_thinned);
            let tally = Tally::of(*rules, (start, end), before, own.flat_map(Held::readings));
            share.before = share.before.max(tally.map_or(0, |tally| tally.before));
            share.tallies.push(tally.filter(|_| !thinned));
        }
        share
    }
}

/// One sensor's part in one window.
struct Share {
    /// Whether its capture suffices for nested calls.
    sufficient: bool,
    /// By column of the sensors' plan; without held readings.
    slots: Box<[Slot]>,
    /// By column of the sensors' plan; `None` where nothing is followed, or cannot be.
    tallies: Vec<Option<Tally>>,
    /// Latest journal sequence of a reading ahead of the window that counts in it.
    before: u64,
}

impl Share {
    /// The value of a function over this sensor's readings.
    fn value(&self, function: Function, column: &ColumnPlan, place: usize, length: Span) -> Option<Answer> {
        let tally = || self.tallies.get(place).copied().flatten();
        match function {
            Function::Increase => tally().filter(|t| t.gains > 0).map(|t| Answer::whole(t.gain)),
            Function::Rate => tally().filter(|t| t.gains > 0).and_then(|t| rate(t.gain, length)),
            Function::TimeMean => tally().and_then(|t| time_mean(t.weighted, t.held_ns)),
            _ => {
                let slots = column.of(&self.slots);
                let count = slots.iter().find_map(Slot::count)?;
                if count == 0 { None } else { value(function, slots, column.decimals) }
            }
        }
    }
}

fn rate(gain: i128, length: Span) -> Option<Answer> {
    let numerator = gain.checked_mul(crate::model::time::SECOND.into())?;
    (length.0 > 0).then(|| Answer::Exact { numerator, denominator: length.0.into() })
}

fn time_mean(weighted: i128, held_ns: i128) -> Option<Answer> {
    (held_ns > 0).then_some(Answer::Exact { numerator: weighted, denominator: held_ns })
}

/// A field's fold over the sensors of a key.
enum Fold {
    /// The outer function's slots, over the sensors' values.
    Nested(Vec<Slot>),
    /// Sum over sensors, and how many parts it has.
    Total(i128, u64),
    /// Weighted sum and held time over sensors; `None` once it does not fit.
    Time(Option<(i128, i128)>),
}

impl Fold {
    fn of(field: &FieldPlan) -> Option<Self> {
        if field.inner.is_some() {
            let own = field.function.slots().iter().copied();
            let kinds = std::iter::once(SlotKind::Sum).chain(own);
            return Some(Self::Nested(kinds.map(SlotKind::empty).collect()));
        }
        match field.function {
            Function::Increase | Function::Rate | Function::Delta => Some(Self::Total(0, 0)),
            Function::TimeMean => Some(Self::Time(Some((0, 0)))),
            _ => None,
        }
    }

    fn take(&mut self, field: &FieldPlan, plan: &SensorsPlan, share: &Share, length: Span) {
        let place = plan.columns.iter().position(|column| Some(column.column) == field.column);
        let Some((place, column)) = place.and_then(|place| Some((place, plan.columns.get(place)?))) else {
            return;
        };
        let tally = share.tallies.get(place).copied().flatten();
        match self {
            Self::Nested(slots) => {
                let Some(inner) = field.inner.filter(|_| share.sufficient) else { return };
                let answer = share.value(inner, column, place, length);
                if let Some(mantissa) = answer.and_then(|answer| answer.to_mantissa(field.decimals)) {
                    slots.iter_mut().for_each(|slot| slot.add_value(mantissa, field.decimals));
                }
            }
            Self::Total(sum, parts) if field.function == Function::Delta => {
                let answer = share.value(Function::Delta, column, place, length);
                if let Some(Answer::Exact { numerator, .. }) = answer {
                    (*sum, *parts) = (*sum + numerator, *parts + 1);
                }
            }
            Self::Total(sum, parts) => {
                if let Some(tally) = tally {
                    (*sum, *parts) = (*sum + tally.gain, *parts + tally.gains);
                }
            }
            Self::Time(time) => {
                if let Some(tally) = tally {
                    let weighted = time.and_then(|(weighted, _)| weighted.checked_add(tally.weighted));
                    *time = weighted.zip(*time).map(|(sum, (_, held_ns))| (sum, held_ns + tally.held_ns));
                }
            }
        }
    }

    fn answer(self, field: &FieldPlan, length: Span) -> Option<Answer> {
        match self {
            Self::Nested(slots) => value(field.function, &slots, field.decimals),
            Self::Total(_, 0) => None,
            Self::Total(sum, _) if field.function == Function::Rate => rate(sum, length),
            Self::Total(sum, _) => Some(Answer::whole(sum)),
            Self::Time(time) => time.and_then(|(weighted, held_ns)| time_mean(weighted, held_ns)),
        }
    }
}

#[cfg(test)]
mod tests;
