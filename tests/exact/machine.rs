//! The ways in which the engine can come to its rows: by any number of workers, from checkpoints,
//! by the real dataflow on its threads.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread::Thread;
use std::time::Duration;

use sereno::flow::key_runs::{EFFORT_OF_A_KEY, IN_BASE, IN_DELTA};
use sereno::flow::state::{Part, Request, Saved};
use sereno::flow::{Counts as Tallied, Engine, Interpreter, Source, interpreter};
use sereno::model::key::KEY_GROUPS;
use sereno::model::{Batch, Dictionary, Record, ResultRow};

use crate::chance::Chance;
use crate::naive::windows::Counts;

/// The folds of so many workers that have seen nothing.
pub fn begin(workers: usize) -> Vec<Interpreter> {
    (0..workers).map(|index| Interpreter::new(index, workers)).collect()
}

fn apply(folds: &mut [Interpreter], batch: &Batch) -> Vec<ResultRow> {
    let mut rows: Vec<ResultRow> = folds.iter_mut().flat_map(|fold| fold.apply(batch)).collect();
    interpreter::order(&mut rows);
    rows
}

/// Rows and counts of `workers` interpreters, one batch after the other.
pub fn uninterrupted(batches: &[Batch], workers: usize) -> (Vec<ResultRow>, Counts) {
    let mut folds = begin(workers);
    let rows = batches.iter().flat_map(|batch| apply(&mut folds, batch)).collect();
    (rows, counts(&folds))
}

fn counts(folds: &[Interpreter]) -> Counts {
    let mut sums = Counts::new();
    for (n, fold) in folds.iter().enumerate() {
        for (name, count) in fold.counts() {
            // Every worker sees excluded events; one counts.
            let excluded = if n == 0 { count.excluded } else { 0 };
            add(&mut sums, name, Tallied { excluded, ..count });
        }
    }
    sums
}

fn add(sums: &mut Counts, name: &str, count: Tallied) {
    let sum = sums.entry(name.to_owned()).or_default();
    let parts = [count.counted, count.late, count.too_late, count.excluded, count.unjudged];
    sum.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
}

/// Checkpoints at random, each followed now and then by a start from it with another number of
/// workers; the batches since are folded again, and what they publish the second time must be what
/// they published the first time.
pub fn interrupted(batches: &[Batch], chance: &mut Chance) -> Result<(Vec<ResultRow>, Counts), String> {
    let mut names = Dictionary::default();
    for record in batches.iter().flat_map(|batch| &batch.records) {
        if let Record::Entry(entry) = record {
            names.insert(entry);
        }
    }
    let mut folds = begin(2);
    let mut keeper = Keeper::new();
    let mut published: Vec<Vec<ResultRow>> = Vec::new();
    let (mut at, mut taken_at) = (0, None);
    let mut restarts = chance.within(1, 5);
    while at < batches.len() {
        let rows = apply(&mut folds, &batches[at]);
        match published.get(at) {
            Some(before) if *before != rows => {
                return Err(format!("batch {at} published {rows:?} after a start, {before:?} before it"));
            }
            Some(_) => {}
            None => published.push(rows),
        }
        at += 1;
        if chance.percent(20) {
            keeper.ask(&mut folds, at, chance);
        }
        taken_at = keeper.write(&mut folds, chance).or(taken_at);
        if restarts > 0 && chance.percent(10) {
            restarts -= 1;
            let workers = chance.within(1, 4) as usize;
            folds = match taken_at {
                Some(_) => keeper.restart(&names, workers),
                None => {
                    keeper = Keeper::new();
                    begin(workers)
                }
            };
            at = taken_at.unwrap_or(0);
        }
    }
    Ok((published.into_iter().flatten().collect(), counts(&folds)))
}

/// The first period that a keeper gives out.
const PERIOD: u32 = IN_DELTA + 2;

/// Takes checkpoints as the keeper of files does, with bases at random, and has them written bit by
/// bit while batches are folded.
struct Keeper {
    saved: Saved,
    based: Vec<Option<u32>>,
    period: u32,
    /// What was asked for, and by worker its part, once it is whole.
    under_way: Option<(Request, Vec<Option<Part>>)>,
}

impl Keeper {
    fn new() -> Self {
        let saved = Saved { groups: vec![Default::default(); KEY_GROUPS], ..Saved::default() };
        Self { saved, based: vec![None; KEY_GROUPS], period: PERIOD, under_way: None }
    }

    fn ask(&mut self, folds: &mut [Interpreter], next: usize, chance: &mut Chance) {
        if self.under_way.is_some() {
            return;
        }
        let since: Vec<Option<u32>> =
            self.based.iter().map(|base| base.filter(|_| chance.percent(60))).collect();
        let request = Request { next: next as u64, period: self.period, since };
        folds.iter_mut().for_each(|fold| fold.begin_save(&request));
        self.under_way = Some((request, vec![None; folds.len()]));
    }

    /// Has some keys written, by some workers all of them; at which batch the checkpoint is, if it is whole.
    fn write(&mut self, folds: &mut [Interpreter], chance: &mut Chance) -> Option<usize> {
        let (_, parts) = self.under_way.as_mut()?;
        for (fold, part) in folds.iter_mut().zip(parts.iter_mut()).filter(|(_, part)| part.is_none()) {
            let keys = if chance.percent(20) { 1_000 } else { chance.within(1, 12) as usize };
            *part = fold.save_some(keys * EFFORT_OF_A_KEY).map(|part| part.expect("state has a form"));
        }
        let (request, parts) = self.under_way.take_if(|(_, parts)| parts.iter().all(Option::is_some))?;
        let parts: Vec<Part> = parts.into_iter().flatten().collect();
        for (held, asked) in self.based.iter_mut().zip(&request.since) {
            *held = asked.or(Some(self.period - 1));
        }
        self.period += 1;
        self.saved.take(&parts);
        Some(request.next as usize)
    }

    fn restart(&mut self, names: &Dictionary, workers: usize) -> Vec<Interpreter> {
        self.based = vec![Some(IN_BASE); KEY_GROUPS];
        self.period = PERIOD;
        self.under_way = None;
        Interpreter::load(&self.saved, names, workers).expect("a checkpoint loads")
    }
}

struct Fixed {
    batches: std::vec::IntoIter<Batch>,
    epoch: u64,
    rows: mpsc::Sender<(u64, Vec<ResultRow>)>,
}

impl Source for Fixed {
    fn next(&mut self) -> Option<(u64, Batch)> {
        let batch = self.batches.next()?;
        self.epoch += 1;
        Some((self.epoch - 1, batch))
    }
    fn wake(&mut self, _: Thread) {}
    fn publish(&mut self, epoch: u64, rows: Vec<ResultRow>) {
        let _ = self.rows.send((epoch, rows));
    }
}

/// Rows and counts of the real dataflow on its threads.
pub fn dataflow(batches: Vec<Batch>, workers: usize) -> (Vec<ResultRow>, Counts) {
    let last = batches.len() as u64 - 1;
    let (rows, told) = mpsc::channel();
    let source = Fixed { batches: batches.into_iter(), epoch: 0, rows };
    let engine = Engine::start(workers, Box::new(source)).expect("threads start");
    let tally = engine.tally();
    let mut all = Vec::new();
    loop {
        let (epoch, rows) = told.recv_timeout(Duration::from_secs(120)).expect("the dataflow goes on");
        all.extend(rows);
        if epoch == last {
            break;
        }
    }
    engine.stop();
    let told: BTreeMap<String, Tallied> = tally.now();
    let mut sums = Counts::new();
    told.into_iter().for_each(|(name, count)| add(&mut sums, &name, count));
    (all, sums)
}
