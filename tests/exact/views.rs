//! Two runs with the same readings in other orders have other journals, and agree on the last
//! revision of every window and on the episodes left standing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sereno::model::time::SECOND;
use sereno::model::{AlertState, ResultRow};

use crate::case::{Case, Happening, Message, journal};
use crate::chance::Chance;
use crate::generator::Draw;
use crate::machine;

/// The longest delay; less than the lateness that is allowed.
const DELAY: i64 = 100 * SECOND;

/// The same readings in two orders, each within the allowed lateness, some of them repeated.
pub fn orders(seed: u64) -> (Case, Case) {
    let mut draw = Draw::calm(seed);
    let mut said = BTreeSet::new();
    let mut readings = Vec::new();
    for n in 0..draw.chance.one(&[20, 60, 150]) {
        let (feed, sensor, zone) = draw.chance.one(&draw.sensors);
        let event_at = draw.moment();
        // A device says one thing at a time: no conflicts.
        if said.insert((sensor.clone(), event_at)) {
            let name: Arc<str> = format!("feed-{feed}").into();
            readings.push((event_at, plain(draw.message(&name, &sensor, &zone, event_at, n))));
        }
    }
    let chance = draw.chance.clone();
    let one = |salt: u64| order(&draw, &readings, Chance::of(chance.clone().bits() ^ salt), seed);
    (one(1), one(2))
}

/// Only its first event, without a counter: what tells it from others is its time.
fn plain(mut message: Message) -> Message {
    message.events.truncate(1);
    message.events.iter_mut().for_each(|event| event.counter = None);
    Message { refused_readings: 0, unreadable: false, ignored: false, repeated: false, ..message }
}

fn order(draw: &Draw, readings: &[(i64, Message)], mut chance: Chance, seed: u64) -> Case {
    let from = draw.begins_at;
    let mut script = vec![(from, Happening::Configure(draw.controls()))];
    for feed in 0..draw.feeds.len() {
        script.push((from, Happening::Link(format!("feed-{feed}").into(), true)));
    }
    for (event_at, message) in readings {
        // A device's clock does not run ahead here, and nothing comes before the configuration.
        for _ in 0..chance.one(&[1, 1, 1, 2]) {
            let arrives_at = event_at + SECOND + chance.within(0, DELAY);
            let mut message = message.clone();
            message.events.iter_mut().for_each(|event| {
                event.event_at = Some(sereno::model::Timestamp(*event_at));
            });
            script.push((arrives_at, Happening::Message(message)));
        }
    }
    let end = from + draw.lasts + DELAY + 10 * SECOND;
    // Long enough for every window of an hour and every `for` to be over.
    script.extend((0..900).map(|n| (end + n * 5 * SECOND, Happening::Pass)));
    script.extend((0..100).map(|n| (end + (5_000 + n * 1_000) * SECOND, Happening::Pass)));
    script.sort_by_key(|entry| entry.0);
    Case { seed, title: "one of two orders".into(), conditions: draw.conditions.clone(), script }
}

/// What two runs agree on: of each window its last revision but for the number, and the episodes
/// of the alerts that stand.
#[derive(Debug, PartialEq)]
pub struct View {
    windows: BTreeMap<(String, String, Vec<String>, i64), String>,
    episodes: BTreeSet<(String, String, Vec<String>, i64, Option<i64>)>,
}

/// The view of a case's results.
pub fn view(case: &Case) -> View {
    let (rows, _) = machine::uninterrupted(&journal(case), 2);
    let texts = |key: &sereno::model::Key| -> Vec<String> { key.0.iter().map(ToString::to_string).collect() };
    let mut windows = BTreeMap::new();
    let mut standing = BTreeMap::new();
    for row in &rows {
        match row {
            ResultRow::Aggregate(row) => {
                let place = (row.plan.pipeline.to_string(), row.plan.window.to_string());
                let values = format!("{} {} {:?} {:?}", row.end, row.count, row.capture, row.fields);
                windows.insert((place.0, place.1, texts(&row.key), row.start.0), values);
            }
            ResultRow::Transition(row) => {
                let gone = row.to == AlertState::Inactive || row.reason.starts_with("merged into");
                if gone {
                    standing.remove(&row.id);
                } else if row.to != AlertState::Pending {
                    let place = (row.pipeline.to_string(), row.rule.to_string(), texts(&row.key));
                    let over = row.resolved_at.map(|at| at.0);
                    standing.insert(row.id, (place.0, place.1, place.2, row.began_at.0, over));
                }
            }
            _ => {}
        }
    }
    View { windows, episodes: standing.into_values().collect() }
}

/// Says what two orders of the same readings do not agree on.
pub fn check(seed: u64) -> Result<usize, String> {
    let (one, other) = orders(seed);
    let (left, right) = (view(&one), view(&other));
    for (place, values) in left.windows.iter().chain(&right.windows) {
        let (l, r) = (left.windows.get(place), right.windows.get(place));
        if l != r {
            return Err(format!("window {place:?}: {l:?} and {r:?} ({values})"));
        }
    }
    if left.episodes != right.episodes {
        let only = |a: &View, b: &View| a.episodes.difference(&b.episodes).cloned().collect::<Vec<_>>();
        let (one, other) = (only(&left, &right), only(&right, &left));
        return Err(format!("episodes: only one has {one:?}, only the other {other:?}"));
    }
    Ok(left.windows.len() + left.episodes.len())
}
