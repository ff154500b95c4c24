//! The alerts, naively: who tells which rule what, and the rows that follow. Each rule on each key
//! is a life; which definition of the rule judges it, and on which plan, stands here. After
//! `docs/reference/semantics.md`, "Alerts, precisely".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sereno::model::definition::{NoData, PipelineDefinition, RuleDefinition};
use sereno::model::{Aggregate, Key, Record, ResultRow};

use super::fields;
use super::life::Step;
use super::met::Met;
use super::posts::{Held, Place, Post, Whose, judge, judges_as};
use super::rows::{Evidence, Teller, kind};
use super::windows::Windows;
use super::world::{Line, Said};
use crate::condition::Condition;

/// What the windows and the events of a pipeline tell its rules, in order.
pub enum Note {
    /// The pipeline is as defined, from here on.
    Defined(Box<PipelineDefinition>),
    /// It is gone.
    Removed(String),
    /// A window was published; the last event of its key came by that feed.
    Published(Place, Box<Aggregate>, usize),
    /// Windows of a key are sealed that end by then.
    Sealed(Place, Key, i64),
    /// A watermark has come so far for a key; its ticks count `close_after` later.
    Passed(Place, Key, i64, i64),
    /// The feeds of a pipeline have drained at this tick.
    Drained(String),
    /// A drained tick, less `close_after`, for a key.
    Ticked(Place, Key, i64),
    /// A plan that has ended is forgotten; its last window ended then.
    Forgotten(Place, i64),
    /// An event that is not excluded; up to then it would be too late for rules on readings.
    Said(String, Box<Said>, i64),
}

/// All rules of all pipelines.
pub struct Alerts {
    conditions: BTreeMap<String, Condition>,
    posts: Vec<Post>,
    lives: BTreeMap<Whose, Held>,
    /// What was taken over from where, and is over: nothing is judged there any more.
    over: BTreeSet<(Place, Whose)>,
    /// By pipeline, the last drained tick and what was unobserved of each feed until then.
    drained: BTreeMap<String, (i64, Vec<i64>)>,
    /// Of windows the last verdict, of readings the last at which a rule made a step or waited.
    evidence: BTreeMap<(Place, Key), Evidence>,
    /// How far the watermark of a key had come when time last passed for it.
    passed: BTreeMap<(Place, Key), i64>,
    /// Up to when the windows of a key were sealed then.
    sealed: BTreeMap<(Place, Key), i64>,
    /// Events that were too late for a rule on readings, by pipeline.
    pub unjudged: BTreeMap<String, u64>,
    /// How often what happened.
    pub met: Met,
    out: Vec<ResultRow>,
}

/// The record that is being heard.
#[derive(Clone, Copy)]
struct Now<'a> {
    windows: &'a Windows,
    cause: u64,
}

impl Now<'_> {
    fn arrival(self) -> i64 {
        self.windows.world.arrival
    }

    fn unobserved(self, feed: usize) -> i64 {
        self.windows.world.feeds[feed].unobserved
    }
}

impl Alerts {
    /// Nothing told yet.
    pub fn new(conditions: BTreeMap<String, Condition>) -> Self {
        let (posts, lives, evidence) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let (unjudged, met, out, over) = (BTreeMap::new(), Met::default(), Vec::new(), BTreeSet::new());
        let (drained, passed, sealed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { conditions, posts, lives, over, drained, evidence, passed, sealed, unjudged, met, out }
    }

    /// Takes in what a record told; the transitions it caused.
    pub fn hear(&mut self, mut notes: Vec<Note>, windows: &Windows, line: &Line) -> Vec<ResultRow> {
        let now = Now { windows, cause: line.sequence };
        // Windows come before readings, whose event may have been noted before it closed any.
        notes.sort_by_key(|note| match note {
            Note::Said(..) | Note::Passed((_, None), ..) | Note::Ticked((_, None), ..) => 1,
            Note::Forgotten(..) => 2,
            _ => 0,
        });
        for note in notes {
            match note {
                Note::Defined(definition) => self.define(&definition, now),
                Note::Removed(name) => {
                    let gone = |post: &Post| post.place.0 == name;
                    self.end(&gone, now.arrival(), "rule gone with its pipeline", now);
                    self.unjudged.remove(&name);
                    self.drained.remove(&name);
                    self.passed.retain(|(place, _), _| place.0 != name);
                    self.evidence.retain(|(place, _), _| place.0 != name);
                }
                Note::Published(place, row, _) if self.ends_with_a_longer(&place, &row) => {
                    self.met.one("a window that ends with a longer one");
                }
                Note::Published(place, row, feed) => self.published(&place, &row, feed, now),
                Note::Passed(..) if matches!(line.record, Record::Control(_)) => {}
                Note::Passed(place, key, to, wait) => self.pass(&place, &key, to, wait, now),
                Note::Sealed(place, key, to) => {
                    let sealed = self.sealed.entry((place, key)).or_insert(to);
                    *sealed = to.max(*sealed);
                }
                Note::Drained(name) => {
                    let unobserved = windows.world.feeds.iter().map(|feed| feed.unobserved).collect();
                    self.drained.insert(name, (windows.world.tick, unobserved));
                }
                Note::Ticked(place, key, limit) => self.ticked(&place, &key, limit, now),
                Note::Forgotten(place, last_end) => {
                    let how = "rule forgotten with its plan";
                    let own =
                        |post: &Post, on| post.place == place && post.ends.is_some_and(|ends| ends.1 == on);
                    self.end(&|post| own(post, false), last_end, how, now);
                    self.end(&|post| own(post, true), now.arrival(), how, now);
                }
                Note::Said(pipeline, said, sealed_to) => self.said(&pipeline, &said, sealed_to, now),
            }
        }
        if matches!(line.record, Record::Tick { .. }) {
            self.absent(now);
        }
        std::mem::take(&mut self.out)
    }

    /// The definitions of rules change: on plans that go on, on new ones, on those that end.
    fn define(&mut self, definition: &PipelineDefinition, now: Now<'_>) {
        let name = &definition.name;
        let pipeline = &now.windows.pipelines[name];
        let by = |on: &str| -> Option<Vec<Arc<str>>> {
            let window = definition.windows.iter().find(|window| window.name == on)?;
            Some(window.key_names().map(Into::into).collect())
        };
        let (old, others) =
            std::mem::take(&mut self.posts).into_iter().partition(|post: &Post| post.place.0 == *name);
        let mut old: Vec<Post> = old;
        let mut posts: Vec<Post> = others;
        for (age, plan) in pipeline.plans.iter().enumerate() {
            let place = plan.named();
            if plan.ends_at < i64::MAX {
                for rule in &definition.rules {
                    let at = |post: &Post| post.place == place && post.words.name == rule.name;
                    let Some(found) = old.iter().position(at) else { continue };
                    let post = old.swap_remove(found);
                    let succeeded = by(&rule.on).is_some_and(|names| names == post.names);
                    let ends = Some((plan.last_end(), succeeded));
                    posts.push(Post { words: rule.clone(), ends, age, ..post });
                }
                continue;
            }
            let closed_to = plan.closed_to(pipeline.clock(&now.windows.world, false));
            for rule in definition.rules.iter().filter(|rule| rule.on == plan.window.name) {
                let begins_at = plan.grid.from(now.arrival());
                let post = Post {
                    names: plan.description.by.clone(),
                    grid: Some(plan.grid.clone()),
                    closed_to: closed_to.clone(),
                    age,
                    ..Post::new(place.clone(), rule)
                };
                posts.push(self.follow(post, &mut old, begins_at));
            }
        }
        for rule in definition.rules.iter().filter(|rule| rule.on == "readings") {
            let post = Post { names: vec!["sensor".into()], ..Post::new((name.clone(), None), rule) };
            posts.push(self.follow(post, &mut old, i64::MIN));
        }
        // What is left is of rules that are gone.
        self.posts = old;
        self.end(&|_| true, now.arrival(), "rule gone", now);
        self.posts = posts;
    }

    /// The post of a rule that is there, under its new definition.
    fn follow(&mut self, new: Post, old: &mut Vec<Post>, begins_at: i64) -> Post {
        let goes_on = |post: &Post| {
            let absence = |rule: &RuleDefinition| rule.absent_for.is_some();
            let alike = absence(&post.words) == absence(&new.words);
            post.place == new.place && post.words.name == new.words.name && alike
        };
        let Some(found) = old.iter().position(goes_on) else { return new };
        let old = old.swap_remove(found);
        let newest = old.next.as_ref().map_or(&old.now, |next| &next.0).clone();
        let stands = old.place.1.is_none() || newest.hold == new.words.hold;
        if judges_as(&newest, &new.words, old.place.1.is_none()) {
            return Post { words: new.words, age: new.age, ..old };
        }
        for (_, held) in self.lives.iter_mut().filter(|(whose, held)| old.holds(whose, held)) {
            if stands || old.next.is_some() && !held.moved {
                held.life.change();
            }
            held.moved = false;
        }
        if stands {
            self.met.one("rule: condition changed");
            return new;
        }
        self.met.one("rule: for changed");
        let next = Some((new.words.clone(), begins_at));
        Post { words: new.words, age: new.age, now: newest, next, ..old }
    }

    /// Rules are gone: what is open of them is over at `at`.
    fn end(&mut self, gone: &dyn Fn(&Post) -> bool, at: i64, how: &'static str, now: Now<'_>) {
        let (gone, posts): (Vec<_>, Vec<_>) = std::mem::take(&mut self.posts).into_iter().partition(gone);
        self.posts = posts;
        for post in &gone {
            let own = self.lives.iter().filter(|(whose, held)| post.holds(whose, held));
            let own: Vec<Whose> = own.map(|(whose, _)| whose.clone()).collect();
            for whose in own {
                let mut held = self.lives.remove(&whose).expect("just seen");
                self.over.extend(held.left.iter().map(|place| (place.clone(), whose.clone())));
                // It gave its verdict: older plans that had not yet change nothing any more.
                let older = self.posts.iter().filter(|other| {
                    post.age < other.age && other.place.1.is_some() && other.whose(&whose.3) == whose
                });
                self.over.extend(older.map(|other| (other.place.clone(), whose.clone())));
                let mut steps = held.life.end(at);
                steps.extend(held.absence.end(at));
                if !steps.is_empty() {
                    self.met.one(how);
                }
                let evidence = self.evidence.get(&(post.place.clone(), whose.3.clone())).cloned();
                tell(post, &whose.3, &evidence.unwrap_or_default(), steps, now, &mut self.met, &mut self.out);
            }
        }
    }

    /// Of windows that end together the first is judged.
    fn ends_with_a_longer(&self, place: &Place, row: &Aggregate) -> bool {
        let mut posts = self.posts.iter().filter(|post| post.place == *place);
        let grid = posts.find_map(|post| post.grid.as_ref());
        grid.is_some_and(|grid| grid.end(grid.before(row.start.0)) == row.end.0)
    }

    fn published(&mut self, place: &Place, row: &Aggregate, feed: usize, now: Now<'_>) {
        let fields =
            row.plan.fields.iter().zip(&row.fields).map(|(field, value)| (field.name.clone(), *value));
        let mut columns: Vec<(Arc<str>, Option<f64>)> = fields.collect();
        columns.push(("count".into(), Some(row.count as f64)));
        columns.push(("capture".into(), row.capture));
        let evidence = (columns.clone(), (row.start.0, row.end.0));
        self.evidence.insert((place.clone(), row.key.clone()), evidence.clone());
        for post in self.posts.iter().filter(|post| post.place == *place) {
            let whose = post.whose(&row.key);
            if self.over.contains(&(place.clone(), whose.clone())) {
                continue;
            }
            let own = self.lives.get(&whose).is_some_and(|held| held.place == *place);
            if !own && post.ends.is_some_and(|ends| ends.1) {
                continue;
            }
            match self.lives.get_mut(&whose) {
                Some(held) if held.place != *place => {
                    let before = |other: &&Post| other.place == held.place && other.words.name == whose.1;
                    let before = self.posts.iter().find(before).expect("a life has its post");
                    if before.age < post.age {
                        continue;
                    }
                    self.met.one("rule: taken over by another plan");
                    held.life.change();
                    let sealed = self.sealed.get(&(held.place.clone(), row.key.clone()));
                    held.life.seal(sealed.copied().unwrap_or(i64::MIN));
                    let passed = self.passed.get(&(place.clone(), row.key.clone()));
                    held.life.set_clock(passed.map(|passed| post.until().min(*passed)));
                    held.left.push(std::mem::replace(&mut held.place, place.clone()));
                    held.moved = false;
                }
                _ => {}
            }
            let passed = self.passed.get(&(place.clone(), row.key.clone())).copied();
            let held = self.lives.entry(whose).or_insert_with(|| post.fresh(passed));
            if !held.moved && post.next.as_ref().is_some_and(|next| row.start.0 >= next.1) {
                if held.life.last.is_some() {
                    held.life.change();
                }
                held.moved = true;
                self.met.one("rule: moved on to another for");
            }
            if post.closed_to.get(&row.key).is_some_and(|closed| row.end.0 <= *closed) {
                continue;
            }
            let verdict = match row.sufficient {
                true => judge(&self.conditions, post.rule(held), &columns),
                false => (None, None),
            };
            let Some(steps) = held.life.tell(row.end.0, verdict, &post.timing(held, &post.stale(held)))
            else {
                continue;
            };
            held.told(verdict, feed, now.unobserved(feed));
            tell(post, &row.key, &evidence, steps, now, &mut self.met, &mut self.out);
        }
    }

    fn said(&mut self, pipeline: &str, said: &Said, sealed_to: i64, now: Now<'_>) {
        let value = |decimals: u8, m: i64| fields::quotient(i128::from(m), 10_i128.pow(u32::from(decimals)));
        let columns = said.readings.iter().map(|(q, m)| ((&*q.name).into(), Some(value(q.decimals, *m))));
        let mut columns: Vec<(Arc<str>, Option<f64>)> = columns.collect();
        columns.sort_by(|one, other| one.0.cmp(&other.0));
        let (place, key) = ((pipeline.to_owned(), None), Key([said.device.clone()].into()));
        let mut late = false;
        for post in self.posts.iter().filter(|post| post.place == place) {
            let passed = self.passed.get(&(place.clone(), key.clone())).copied();
            let held = self.lives.entry(post.whose(&key)).or_insert_with(|| post.fresh(passed));
            let moment = (said.event_at, said.event_at);
            if post.now.absent_for.is_some() {
                let steps = held.absence.heard(now.arrival(), said.feed, now.unobserved(said.feed));
                let steps = steps.into_iter().collect();
                tell(post, &key, &(Vec::new(), moment), steps, now, &mut self.met, &mut self.out);
                continue;
            }
            held.life.seal(sealed_to);
            let rule = &post.now;
            let named = [Some(&rule.when), rule.clear.as_ref()].into_iter().flatten();
            let mut named = named.flat_map(|sql| self.conditions[sql].columns());
            if !named.any(|name| columns.iter().any(|own| *own.0 == *name)) {
                continue;
            }
            let verdict = judge(&self.conditions, rule, &columns);
            let told = held.life.tell_one_of(
                said.event_at,
                said.counter,
                verdict,
                &post.timing(held, &post.stale(held)),
            );
            let Some(steps) = told else {
                late = true;
                self.met.one("reading too late for a rule");
                continue;
            };
            held.told(verdict, said.feed, now.unobserved(said.feed));
            if !steps.is_empty() || held.life.waits {
                self.evidence.insert((place.clone(), key.clone()), (columns.clone(), moment));
            }
            tell(post, &key, &(columns.clone(), moment), steps, now, &mut self.met, &mut self.out);
        }
        *self.unjudged.entry(pipeline.to_owned()).or_default() += u64::from(late);
    }

    /// Time has come, for the rules of a key, to its watermark, and to the last drained tick less
    /// what was unobserved from the last verdict until then.
    fn pass(&mut self, place: &Place, key: &Key, watermark: i64, wait: i64, now: Now<'_>) {
        self.passed.insert((place.clone(), key.clone()), watermark);
        for post in self.posts.iter().filter(|post| post.place == *place) {
            let held = self.lives.get_mut(&post.whose(key)).filter(|held| held.place == *place);
            let Some(held) = held else { continue };
            let by_tick = held.heard.zip(self.drained.get(&place.0)).and_then(|((feed, then), drained)| {
                Some(drained.0 - wait - (drained.1.get(feed)? - then).max(0))
            });
            let to = by_tick.map_or(watermark, |to| to.max(watermark)).min(post.until());
            let steps = held.life.pass(to, &post.timing(held, &post.stale(held)));
            let evidence = self.evidence.get(&(place.clone(), key.clone())).cloned().unwrap_or_default();
            tell(post, key, &evidence, steps, now, &mut self.met, &mut self.out);
        }
    }

    /// A drained tick: plans that have ended let go, silences are noted.
    fn ticked(&mut self, place: &Place, key: &Key, limit: i64, now: Now<'_>) {
        let since = |heard: (usize, i64)| now.unobserved(heard.0) - heard.1;
        let over = |post: &Post| post.place == *place && post.ends.is_some_and(|(at, on)| !on && at <= limit);
        let ended = self.posts.iter().find(|post| over(post)).and_then(|post| post.ends);
        if let Some((at, _)) = ended {
            self.end(&over, at, "rule ended with its plan", now);
        }
        for post in self.posts.iter().filter(|post| post.place == *place) {
            let held =
                self.lives.get_mut(&post.whose(key)).filter(|held| held.place == *place && !held.noted);
            let Some(held) = held.filter(|held| post.rule(held).no_data != NoData::Hold) else { continue };
            let (Some(heard), Some(last)) = (held.heard, held.life.last) else { continue };
            let stale = post.stale(held);
            let timing = post.timing(held, &stale);
            let silent_at = stale(last) + since(heard);
            if silent_at > limit {
                continue;
            }
            (held.noted, held.heard) = (true, Some((heard.0, now.unobserved(heard.0))));
            let steps = held.life.silence(silent_at, &timing);
            let evidence = self.evidence.get(&(place.clone(), key.clone())).cloned().unwrap_or_default();
            tell(post, key, &evidence, steps, now, &mut self.met, &mut self.out);
        }
    }

    /// A tick: who has been absent for too long.
    fn absent(&mut self, now: Now<'_>) {
        let world = &now.windows.world;
        for post in &self.posts {
            let Some(limit) = post.now.absent_for else { continue };
            for (whose, held) in self.lives.iter_mut().filter(|(whose, held)| post.holds(whose, held)) {
                let Some(step) = held.absence.tick(limit.0, world) else { continue };
                let evidence = (Vec::new(), (step.2.began, step.2.raised));
                tell(post, &whose.3, &evidence, vec![step], now, &mut self.met, &mut self.out);
            }
        }
    }
}

/// Puts out the rows of steps, and counts what they are.
fn tell(
    post: &Post,
    key: &Key,
    evidence: &Evidence,
    steps: Vec<Step>,
    now: Now<'_>,
    met: &mut Met,
    out: &mut Vec<ResultRow>,
) {
    let teller = Teller {
        pipeline: &post.place.0,
        rule: &post.words,
        names: &post.names,
        key,
        evidence,
        arrival: now.arrival(),
        cause: now.cause,
    };
    for step in steps {
        met.one(&kind(&step, &post.now));
        out.push(teller.row(step));
    }
}
