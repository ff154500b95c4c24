//! One rule on one key, naively: the list of everything it was told, folded anew from the last
//! change of its rule each time, and the alerts that were published of it. After
//! `docs/reference/semantics.md`, "Alerts, precisely".

use std::collections::BTreeMap;

use sereno::model::definition::NoData;

/// What a rule says at one time: met, cleared.
pub type Verdict = (Option<bool>, Option<bool>);

/// What a rule's definition says of time.
pub struct Timing<'a> {
    /// `for`.
    pub hold: i64,
    /// `keep_firing_for`.
    pub keep: i64,
    /// When a verdict of that time is no data without another.
    pub stale: &'a dyn Fn(i64) -> i64,
    /// `no_data`.
    pub no_data: NoData,
}

/// [begun, resolved).
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// When it began to hold.
    pub began: i64,
    /// When it was raised.
    pub raised: i64,
    /// When it was over.
    pub resolved: Option<i64>,
    /// Why it began and why it was over.
    pub why: [&'static str; 2],
    /// How many changes of its rule it outlived.
    pub changes: u32,
}

impl Episode {
    /// One that was raised and is not over.
    pub fn open(began: i64, raised: i64, why: &'static str) -> Self {
        Self { began, raised, resolved: None, why: [why, ""], changes: 0 }
    }

    /// The same, over.
    pub fn until(self, at: i64, why: &'static str) -> Self {
        Self { resolved: Some(at), why: [self.why[0], why], ..self }
    }

    fn times(&self) -> (i64, i64, Option<i64>) {
        (self.began, self.raised, self.resolved)
    }

    fn over_by(&self, at: i64) -> bool {
        self.resolved.is_some_and(|end| end <= at)
    }

    fn overlaps(&self, other: &Self) -> bool {
        !self.over_by(other.began) && !other.over_by(self.began)
    }
}

/// Begin at the first raise, and its number among those of that begin.
pub type Name = (i64, u64);

/// What happened to an alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    Pending,
    Dropped,
    /// The later part of a split episode?
    Raised(bool),
    Resolved,
    Moved,
    Reopened,
    Annulled,
    Again,
    Merged(Name),
    GoesOn,
}

/// What happened to which alert, and its episode as told.
pub type Step = (What, Name, Episode);

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Inactive,
    /// Since when, and why.
    Pending(i64, &'static str),
    /// The episode, since when it is ending, and whether a changed rule has yet to decide.
    Firing(Episode, Option<i64>, bool),
}

#[derive(Clone, Debug, Default)]
struct Fold {
    state: State,
    /// Time of the last verdict with data.
    last: Option<i64>,
    /// A silence since then counted.
    silent: bool,
    over: Vec<Episode>,
}

impl Fold {
    /// Time passes to just before `to`, or to `to` itself.
    fn pass(&mut self, to: i64, with: bool, timing: &Timing<'_>) {
        let comes = |at: i64| at < to || with && at == to;
        match self.state.clone() {
            State::Pending(since, why) => {
                let stale = self.last.filter(|_| !self.silent).map_or(i64::MAX, timing.stale);
                let due = since + timing.hold;
                if due < stale && comes(due) {
                    self.state = State::Firing(Episode::open(since, due, why), None, false);
                } else if stale < to {
                    self.state = State::Inactive;
                }
            }
            State::Firing(episode, Some(ending), _) if comes(ending + timing.keep) => {
                self.end(episode, ending + timing.keep, "condition ended");
            }
            _ => {}
        }
    }

    fn end(&mut self, episode: Episode, at: i64, why: &'static str) {
        self.over.push(episode.until(at, why));
        self.state = State::Inactive;
    }

    fn verdict(&mut self, at: i64, (met, cleared): Verdict) {
        if (met, cleared) != (None, None) {
            (self.last, self.silent) = (Some(at), false);
        }
        match (self.state.clone(), met, cleared) {
            (State::Inactive, Some(true), _) => self.state = State::Pending(at, "condition met"),
            (State::Pending(..), None, _) if self.silent => {}
            (State::Pending(..), None | Some(false), _) => self.state = State::Inactive,
            (State::Firing(episode, _, true), _, Some(true)) => self.end(episode, at, "rule changed"),
            (State::Firing(episode, ending, false), _, Some(true)) => {
                self.state = State::Firing(episode, ending.or(Some(at)), false);
            }
            (State::Firing(..), _, Some(false)) => self.holds(),
            _ => {}
        }
    }

    /// What fires is not ending, and decided.
    fn holds(&mut self) {
        if let State::Firing(episode, ending, undecided) = &mut self.state {
            episode.changes += u32::from(*undecided);
            (*ending, *undecided) = (None, false);
        }
    }

    /// Nothing had been heard for so long at `at`; void if something was.
    fn silence(&mut self, at: i64, timing: &Timing<'_>) {
        if self.last.is_none_or(|last| (timing.stale)(last) > at) {
            return;
        }
        self.silent = true;
        match (timing.no_data, self.state.clone()) {
            (NoData::Resolve, State::Pending(..)) => self.state = State::Inactive,
            (NoData::Resolve, State::Firing(episode, ..)) => self.end(episode, at, "no data"),
            (NoData::Alert, State::Inactive) => self.state = State::Pending(at, "no data"),
            (NoData::Alert, State::Firing(..)) => self.holds(),
            _ => {}
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct Life {
    /// The fold of what earlier definitions of the rule judged: final.
    before: Fold,
    /// The fold of everything, as it was when something was last told or time last passed.
    now: Fold,
    /// What is said of times at or before is final.
    final_to: Option<i64>,
    /// By time, a silence (no verdict) after the verdict of its instant; of several verdicts at one
    /// time the one that stands, with its rank.
    entries: BTreeMap<(i64, bool), (Option<u64>, Option<Verdict>)>,
    clock: Option<i64>,
    /// Whether time alone may change it: pending, or ending.
    pub waits: bool,
    /// Time of the latest verdict with data.
    pub last: Option<i64>,
    standing: Vec<(Name, Episode)>,
    annulled: Vec<Name>,
    /// Merged, or final.
    closed: Vec<Name>,
    pending: Option<(Name, Episode)>,
}

impl Life {
    /// A verdict; `None` when what was said of that time is final.
    pub fn tell(&mut self, at: i64, verdict: Verdict, timing: &Timing<'_>) -> Option<Vec<Step>> {
        self.enter((at, false), (None, Some(verdict)), timing)
    }

    /// One of several verdicts of a time: of the highest counter the greatest stands.
    pub fn tell_one_of(
        &mut self,
        at: i64,
        counter: Option<u64>,
        verdict: Verdict,
        timing: &Timing<'_>,
    ) -> Option<Vec<Step>> {
        // Met before not met before no data; then not cleared before cleared before no data.
        let order = |(met, cleared): Verdict| (met, cleared.map(|cleared| !cleared));
        let rank = (counter, Some(order(verdict)));
        let held = self.entries.get(&(at, false)).map(|held| (held.0, held.1.map(order)));
        match held.filter(|_| !self.is_final(at)) {
            Some(held) if held >= rank => Some(Vec::new()),
            _ => self.enter((at, false), (counter, Some(verdict)), timing),
        }
    }

    /// A silence was noted.
    pub fn silence(&mut self, at: i64, timing: &Timing<'_>) -> Vec<Step> {
        self.enter((at, true), (None, None), timing).unwrap_or_default()
    }

    fn enter(
        &mut self,
        place: (i64, bool),
        entry: (Option<u64>, Option<Verdict>),
        timing: &Timing<'_>,
    ) -> Option<Vec<Step>> {
        if entry.1.is_some() && self.is_final(place.0) {
            return None;
        }
        self.entries.insert(place, entry);
        Some(self.compare(timing))
    }

    /// Whether nothing more can be said of a time.
    fn is_final(&self, at: i64) -> bool {
        self.final_to.is_some_and(|sealed| at <= sealed)
    }

    /// Nothing more can be said of times up to `to`.
    pub fn seal(&mut self, to: i64) {
        self.final_to = self.final_to.max(Some(to));
    }

    /// Time has come to `to`.
    pub fn pass(&mut self, to: i64, timing: &Timing<'_>) -> Vec<Step> {
        if self.clock.is_some_and(|clock| to <= clock) {
            return Vec::new();
        }
        self.clock = Some(to);
        self.compare(timing)
    }

    /// Another definition judges from here on: what was judged is final, to the last verdict, and
    /// what fires is decided by the next verdict.
    pub fn change(&mut self) {
        // Episodes that are over are final, and nothing more is compared with them.
        self.before = Fold { over: Vec::new(), ..self.now.clone() };
        let (over, open) = std::mem::take(&mut self.standing)
            .into_iter()
            .partition::<Vec<_>, _>(|alert| alert.1.resolved.is_some());
        self.closed.extend(over.into_iter().map(|alert| alert.0));
        self.standing = open;
        if let State::Firing(_, _, undecided) = &mut self.before.state {
            *undecided = true;
        }
        let last = self.entries.keys().next_back().map(|place| place.0);
        self.final_to = self.final_to.max(last);
        self.entries.clear();
    }

    /// The rule is gone.
    pub fn end(&mut self, at: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some((name, episode)) = self.pending.take() {
            steps.push((What::Dropped, name, episode));
        }
        if let Some((name, episode)) = self.standing.pop().filter(|alert| alert.1.resolved.is_none()) {
            steps.push((What::Resolved, name, episode.until(at, "rule changed")));
        }
        steps
    }

    fn fold(&self, timing: &Timing<'_>) -> Fold {
        let mut fold = self.before.clone();
        for ((at, _), (_, verdict)) in &self.entries {
            fold.pass(*at, false, timing);
            match verdict {
                Some(verdict) => fold.verdict(*at, *verdict),
                None => fold.silence(*at, timing),
            }
            fold.pass(*at, true, timing);
        }
        if let Some(clock) = self.clock {
            fold.pass(clock, true, timing);
        }
        fold
    }

    /// Folds everything again and tells what differs from what was told.
    fn compare(&mut self, timing: &Timing<'_>) -> Vec<Step> {
        let fold = self.fold(timing);
        self.now = fold.clone();
        let mut episodes = fold.over;
        let mut now = None;
        (self.waits, self.last) = (false, fold.last);
        match fold.state {
            State::Firing(episode, ending, _) => {
                self.waits = ending.is_some();
                episodes.push(episode);
            }
            State::Pending(since, why) => {
                self.waits = true;
                now = Some(Episode::open(since, since + timing.hold, why));
            }
            State::Inactive => {}
        }
        let mut steps = self.alerts(episodes);
        let now = now.map(|episode| (self.free(episode.began, &[]), episode));
        let name = |pending: &Option<(Name, Episode)>| pending.as_ref().map(|held| (held.0, held.1.began));
        if name(&self.pending) != name(&now) {
            let raised = |name: &Name| self.standing.iter().any(|alert| alert.0 == *name);
            if let Some((name, episode)) = self.pending.take().filter(|pending| !raised(&pending.0)) {
                steps.insert(0, (What::Dropped, name, episode));
            }
            steps.extend(now.clone().map(|(name, episode)| (What::Pending, name, episode)));
        }
        self.pending = now;
        steps
    }

    fn alerts(&mut self, episodes: Vec<Episode>) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut old: Vec<(Name, Episode)> = std::mem::take(&mut self.standing);
        let all = old.clone();
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
                        (None, Some(_)) => Some(What::Resolved),
                        (Some(_), None) => Some(What::Reopened),
                        (None, None) if episode.changes > was.changes => Some(What::GoesOn),
                        _ if was.times() != episode.times() => Some(What::Moved),
                        _ => None,
                    };
                    steps.extend(what.map(|what| (what, name, episode.clone())));
                    name
                }
                None => {
                    let split = all.iter().any(|alert| alert.1.overlaps(&episode));
                    self.raise(&episode, &old, split, &mut steps)
                }
            };
            for (joined, was) in own {
                self.closed.push(joined);
                steps.push((What::Merged(name), joined, was));
            }
            self.standing.push((name, episode));
        }
        self.annul(old, &mut steps);
        steps
    }

    fn annul(&mut self, alerts: Vec<(Name, Episode)>, steps: &mut Vec<Step>) {
        for (name, episode) in alerts {
            self.annulled.push(name);
            steps.push((What::Annulled, name, episode));
        }
    }

    fn raise(
        &mut self,
        episode: &Episode,
        others: &[(Name, Episode)],
        split: bool,
        steps: &mut Vec<Step>,
    ) -> Name {
        let name = self.free(episode.began, others);
        let again = self.annulled.contains(&name);
        self.annulled.retain(|annulled| *annulled != name);
        let what = if again { What::Again } else { What::Raised(split) };
        steps.push((what, name, Episode { resolved: None, ..episode.clone() }));
        if episode.resolved.is_some() {
            steps.push((What::Resolved, name, episode.clone()));
        }
        name
    }

    /// The first name of a begin that neither stands nor was merged or is final.
    fn free(&self, began: i64, others: &[(Name, Episode)]) -> Name {
        let taken = |name: &Name| {
            let stands = self.standing.iter().chain(others).any(|alert| alert.0 == *name);
            stands || self.closed.contains(name)
        };
        (0..).map(|number| (began, number)).find(|name| !taken(name)).expect("numbers do not end")
    }
}
