//! The flow over the journal alone, from its first record: what a start does without a checkpoint.
//!
//! A replay without a store leaves journal and results log; its checkpoints are removed. Then a file
//! without a line is replayed into the folder: that command begins with the flow, waits until it has
//! come to the journal's end, and tells how long that took. Nothing else reads the journal meanwhile
//! (`sereno run` would, for what it shows), and it lies in the page cache. The results log stays: what
//! the flow derives is compared with it byte for byte, so a fold that ends well made the same results
//! once more.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::city1::{City1, NO_STORE, SENSORS};
use super::figures::{Must, Report};
use super::{queries, replay};

const RUNS: usize = 5;
/// Lines, unless `SERENO_BENCH_LINES` says otherwise. The command's clock begins once the ledger is open,
/// which on a slow disk takes the flow's first 0.1 s: next to nothing of what so many take.
const LINES: u64 = 4_000_000;
const EVENTS_PER_SECOND: f64 = 2_000_000.0;

/// Measures.
pub fn measure(_: &Runtime, report: &mut Report) {
    report.begin("fold");
    let journal = Journal::write();
    let rates = (1..=RUNS).map(|number| {
        let rate = journal.fold(1);
        println!("  run {number}: {rate:.0} events/s");
        rate
    });
    report.add("fold of the journal", "events/s", rates.collect(), Some(Must::AtLeast(EVENTS_PER_SECOND)));
}

/// What a replay left, without a store.
pub struct Journal {
    city: City1,
    data: TempDir,
    told: Value,
}

impl Journal {
    /// Replays a load of its own.
    pub fn write() -> Self {
        let city = City1::of(NO_STORE, SENSORS, queries::lines_or(LINES));
        let data = city.site.data();
        let told = replay::run(&city, &data);
        Self { city, data, told }
    }

    /// Folds it with so many workers; events a second.
    pub fn fold(&self, workers: usize) -> f64 {
        // The stop of the run before wrote one, too.
        fs::remove_dir_all(self.data.path().join("checkpoints")).expect("a replay leaves checkpoints");
        let nothing = self.city.site.path("nothing.ndjson");
        fs::write(&nothing, "").expect("the folder can be written");
        let mut command = replay::command(&self.city.site, &nothing, &self.data);
        command.args(["--workers", &workers.to_string()]);
        let told = replay::told(command);
        assert_eq!(told["late"], self.told["late"], "what was late is late again: {told}");
        replay::number_of(&self.told, "events") / replay::number_of(&told, "seconds")
    }
}
