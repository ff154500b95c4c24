//! One rule on one key, naively: the list of everything it was told, folded anew from the first
//! entry each time, and the alerts that were published of it. After `docs/reference/semantics.md`,
//! "Alerts, precisely".

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128;

use super::grid::Grid;

/// What a rule says at one time: met, cleared.
pub type Verdict = (Option<bool>, Option<bool>);

/// What a rule's definition says of time.
#[derive(Clone)]
pub struct Timing {
    /// `for`.
    pub hold: i64,
    /// `keep_firing_for`.
    pub keep: i64,
    /// When a verdict of some time is no data without another.
    pub stale: Stale,
}

/// Until when a verdict stands.
#[derive(Clone)]
pub enum Stale {
    /// For `stale_after`.
    After(i64),
    /// Until the next window's end.
    NextEnd(Box<Grid>),
}

impl Stale {
    fn after(&self, said: i64) -> i64 {
        match self {
            Self::After(span) => said + span,
            Self::NextEnd(grid) => grid.end_after(said),
        }
    }
}

/// [begun, resolved).
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// When it began to hold.
    pub began: i64,
    /// When it was raised.
    pub raised: i64,
    /// When it was over, and why.
    pub resolved: Option<i64>,
}

impl Episode {
    fn over_by(&self, at: i64) -> bool {
        self.resolved.is_some_and(|end| end <= at)
    }

    fn overlaps(&self, other: &Self) -> bool {
        !self.over_by(other.began) && !other.over_by(self.began)
    }
}

/// Begin at the first raise, and its number among those of that begin.
type Name = (i64, u64);

/// What happened to an alert: its words, its name, the episode as told.
pub type Step = (&'static str, Name, Episode, Option<Name>);

/// See the module.
#[derive(Default)]
pub struct Life {
    /// By time; of several at one time the one that stands, with its rank.
    entries: BTreeMap<i64, (Option<u64>, Verdict)>,
    clock: Option<i64>,
    /// Whether time alone may change it: pending, or ending.
    pub waits: bool,
    standing: Vec<(Name, Episode)>,
    annulled: Vec<Name>,
    merged: Vec<Name>,
    pending: Option<(Name, Episode)>,
}

#[derive(Default)]
struct Fold {
    pending: Option<i64>,
    /// Begun, raised, ending since.
    firing: Option<(i64, i64, Option<i64>)>,
    last: i64,
    over: Vec<Episode>,
}

impl Fold {
    /// Time passes to just before `to`, or to `to` itself.
    fn pass(&mut self, to: i64, with: bool, timing: &Timing) {
        let comes = |at: i64| at < to || with && at == to;
        if let Some(since) = self.pending {
            let (due, stale) = (since + timing.hold, timing.stale.after(self.last));
            if due < stale && comes(due) {
                (self.pending, self.firing) = (None, Some((since, due, None)));
            } else if stale < to {
                self.pending = None;
            }
        }
        if let Some((began, raised, Some(ending))) = self.firing
            && comes(ending + timing.keep)
        {
            self.over.push(Episode { began, raised, resolved: Some(ending + timing.keep) });
            self.firing = None;
        }
    }

    fn verdict(&mut self, at: i64, (met, cleared): Verdict, timing: &Timing) {
        self.pass(at, false, timing);
        self.last = at;
        match (&mut self.firing, self.pending) {
            (Some((_, _, ending)), _) => match cleared {
                Some(true) => *ending = ending.or(Some(at)),
                Some(false) => *ending = None,
                None => {}
            },
            (None, Some(_)) if met != Some(true) => self.pending = None,
            (None, None) if met == Some(true) => self.pending = Some(at),
            _ => {}
        }
        self.pass(at, true, timing);
    }
}

impl Life {
    /// A verdict; `rank` puts those of one time in order.
    pub fn tell(&mut self, at: i64, rank: Option<u64>, verdict: Verdict, timing: &Timing) -> Vec<Step> {
        self.entries.insert(at, (rank, verdict));
        self.compare(timing)
    }

    /// One of several verdicts of a time: the greatest stands.
    pub fn tell_one_of(
        &mut self,
        at: i64,
        rank: Option<u64>,
        verdict: Verdict,
        timing: &Timing,
    ) -> Vec<Step> {
        // Met before not met before no data; then not cleared before cleared before no data.
        let order =
            |rank: Option<u64>, verdict: Verdict| (rank, verdict.0, verdict.1.map(|cleared| !cleared));
        let greater = self.entries.get(&at).is_some_and(|held| order(held.0, held.1) >= order(rank, verdict));
        if greater { Vec::new() } else { self.tell(at, rank, verdict, timing) }
    }

    /// Time has come to `to`.
    pub fn pass(&mut self, to: i64, timing: &Timing) -> Vec<Step> {
        if self.clock.is_some_and(|clock| to <= clock) {
            return Vec::new();
        }
        self.clock = Some(to);
        self.compare(timing)
    }

    /// The rule is gone.
    pub fn end(&mut self, at: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some((name, episode)) = self.pending.take() {
            steps.push(("condition ended before its time", name, episode, None));
        }
        if let Some((name, episode)) = self.standing.pop().filter(|alert| alert.1.resolved.is_none()) {
            steps.push(("rule changed", name, Episode { resolved: Some(at), ..episode }, None));
        }
        steps
    }

    /// Folds everything again and tells what differs from what was told.
    fn compare(&mut self, timing: &Timing) -> Vec<Step> {
        let mut fold = Fold::default();
        for (at, (_, verdict)) in &self.entries {
            fold.verdict(*at, *verdict, timing);
        }
        if let Some(clock) = self.clock {
            fold.pass(clock, true, timing);
        }
        self.waits = fold.pending.is_some() || fold.firing.is_some_and(|firing| firing.2.is_some());
        let mut episodes = fold.over;
        episodes.extend(fold.firing.map(|(began, raised, _)| Episode { began, raised, resolved: None }));
        let mut steps = self.alerts(episodes);
        let now = fold.pending.map(|since| {
            (self.free(since, &[]), Episode { began: since, raised: since + timing.hold, resolved: None })
        });
        if self.pending != now {
            let raised = |name: &Name| self.standing.iter().any(|alert| alert.0 == *name);
            if let Some((name, episode)) = self.pending.take().filter(|pending| !raised(&pending.0)) {
                steps.insert(0, ("condition ended before its time", name, episode, None));
            }
            self.pending = now.clone();
            steps.extend(now.map(|(name, episode)| ("pending", name, episode, None)));
        }
        steps
    }

    fn alerts(&mut self, episodes: Vec<Episode>) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut old: Vec<(Name, Episode)> = std::mem::take(&mut self.standing);
        for episode in episodes {
            let (before, rest): (Vec<_>, Vec<_>) =
                old.into_iter().partition(|alert| alert.1.over_by(episode.began));
            self.annul(before, &mut steps);
            let (own, rest): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|alert| alert.1.overlaps(&episode));
            old = rest;
            let mut own = own.into_iter();
            let name = match own.next() {
                Some((name, was)) => {
                    let what = match (was.resolved, episode.resolved) {
                        (None, Some(_)) => Some("condition ended"),
                        (Some(_), None) => Some("still holds by late data"),
                        _ if was != episode => Some("times changed by late data"),
                        _ => None,
                    };
                    steps.extend(what.map(|what| (what, name, episode.clone(), None)));
                    name
                }
                None => self.raise(&episode, &old, &mut steps),
            };
            for (joined, was) in own {
                self.merged.push(joined);
                steps.push(("merged into", joined, was, Some(name)));
            }
            self.standing.push((name, episode));
        }
        self.annul(old, &mut steps);
        steps
    }

    fn annul(&mut self, alerts: Vec<(Name, Episode)>, steps: &mut Vec<Step>) {
        for (name, episode) in alerts {
            self.annulled.push(name);
            steps.push(("annulled by late data", name, episode, None));
        }
    }

    fn raise(&mut self, episode: &Episode, others: &[(Name, Episode)], steps: &mut Vec<Step>) -> Name {
        let name = self.free(episode.began, others);
        let again = self.annulled.contains(&name);
        self.annulled.retain(|annulled| *annulled != name);
        let what = if again { "raised again by late data" } else { "condition met" };
        steps.push((what, name, Episode { resolved: None, ..episode.clone() }, None));
        if episode.resolved.is_some() {
            steps.push(("condition ended", name, episode.clone(), None));
        }
        name
    }

    /// The first name of a begin that neither stands nor was merged.
    fn free(&self, began: i64, others: &[(Name, Episode)]) -> Name {
        let taken = |name: &Name| {
            let stands = self.standing.iter().chain(others).any(|alert| alert.0 == *name);
            stands || self.merged.contains(name)
        };
        (0..).map(|number| (began, number)).find(|name| !taken(name)).expect("numbers do not end")
    }
}

/// The id that a name stands for.
pub fn id(pipeline: &str, rule: &str, key: &[String], name: Name) -> u128 {
    let mut bytes = Vec::new();
    for part in [pipeline, rule].into_iter().chain(key.iter().map(String::as_str)) {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes.extend(name.0.to_le_bytes());
    if name.1 > 0 {
        bytes.extend(name.1.to_le_bytes());
    }
    xxh3_128(&bytes)
}
