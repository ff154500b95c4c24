//! A merge of runs, a chunk at a time: with a million sensors one in many takes half a minute, and no
//! snapshot that is due meanwhile waits for it.

use std::path::Path;

use super::gathered::Gathered;
use super::run::{Begun, Run, RunName};
use crate::journal::disk::Disk;
use crate::journal::log::LogError;

/// With so many runs a merge comes before the next snapshot: a start opens every run. No merge takes more of
/// them: those that a long journal without a snapshot leaves at its start are merged in turns.
pub const RUNS_MAX: usize = 64;
/// Fewer runs are not merged: each merge writes its runs once more, and one run more costs a start next to
/// nothing.
const MERGED_MIN: usize = 4;

/// See the module.
pub struct Merge {
    /// What is merged, oldest first.
    runs: Vec<Run>,
    begun: Begun,
    chunks: u32,
    /// The events of the chunk that is merged.
    events: Gathered,
}

impl Merge {
    /// Begins to merge the newest of these runs while the one before is not twice as long as all of them;
    /// `None` when there is nothing to merge.
    ///
    /// # Errors
    /// [`LogError`]: the runs still hold.
    pub fn begin(disk: &dyn Disk, dir: &Path, runs: &[RunName]) -> Result<Option<Self>, LogError> {
        let due = due(runs);
        let (Some(first), Some(last)) = (due.first(), due.last()) else { return Ok(None) };
        let opened: Result<Vec<Run>, LogError> = due.iter().map(|run| Run::open(disk, dir, *run)).collect();
        let runs = opened?;
        let chunks = runs.iter().map(Run::chunks).max().unwrap_or(0);
        let begun = Begun::new(disk, dir, (first.from, last.to), chunks)?;
        Ok(Some(Self { runs, begun, chunks, events: Gathered::default() }))
    }

    /// Takes one step; the run once it is whole.
    ///
    /// # Errors
    /// [`LogError`]: the runs still hold, and the merge is to be removed.
    pub fn step(&mut self) -> Result<Option<RunName>, LogError> {
        match self.begun.missing() {
            0 => self.begun.finish().map(Some),
            missing => {
                let chunk = self.chunks - missing;
                self.events.clear();
                self.runs.iter().try_for_each(|run| run.gather(chunk, &mut self.events))?;
                self.events.sort();
                self.begun.add(&self.events, chunk).map(|()| None)
            }
        }
    }

    /// Puts the whole run in the place of those that it was made of; later ones stay behind it.
    pub fn replace(&self, runs: &mut Vec<RunName>, whole: RunName) {
        let merged = |run: &RunName| whole.from <= run.from && run.to <= whole.to;
        let at = runs.iter().take_while(|run| !merged(run)).count();
        runs.retain(|run| !merged(run));
        runs.insert(at.min(runs.len()), whole);
    }

    /// The file that it writes.
    #[must_use]
    pub fn file(&self) -> String {
        self.begun.file()
    }

    /// Removes what it wrote.
    pub fn remove(&self, disk: &dyn Disk) {
        self.begun.remove(disk);
    }
}

/// The runs that are to be merged, if they are any.
fn due(runs: &[RunName]) -> &[RunName] {
    let (mut sum, mut from) = (0, runs.len());
    for (at, run) in runs.iter().enumerate().rev() {
        if at + 1 < runs.len() && run.bytes > 2 * sum {
            break;
        }
        sum += run.bytes;
        from = at;
    }
    let due = runs.get(from..).unwrap_or_default();
    if due.len() < MERGED_MIN { &[] } else { due.get(..RUNS_MAX).unwrap_or(due) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(lengths: &[u64]) -> Vec<RunName> {
        (0..)
            .zip(lengths)
            .map(|(from, bytes)| RunName { from, to: from + 1, bytes: *bytes, head: 0 })
            .collect()
    }

    #[test]
    fn runs_are_merged_while_the_one_before_is_not_twice_as_long_as_all_of_them() {
        let due = |lengths: &[u64]| due(&runs(lengths)).len();
        assert_eq!([due(&[]), due(&[5]), due(&[5, 5, 5]), due(&[5, 5, 5, 5])], [0, 0, 0, 4]);
        let [last, before] = [5, 10];
        assert_eq!([due(&[91, 30, before, last]), due(&[90, 30, before, last])], [0, 4]);
        assert_eq!([due(&[9, 90, 30, before, last]), due(&[271, 90, 30, before, last])], [5, 4]);
    }

    #[test]
    fn a_merge_takes_no_more_than_the_oldest_runs_that_there_may_be() {
        let many = runs(&[[1_000].as_slice(), &[5; RUNS_MAX + 9]].concat());
        let due = due(&many);
        assert_eq!((due.first().map(|run| run.from), due.len()), (Some(1), RUNS_MAX));
    }
}
