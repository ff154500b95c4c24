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

use super::city1::{City1, NO_STORE};
use super::figures::{Must, Report};
use super::replay;

const RUNS: usize = 5;
const EVENTS_PER_SECOND: f64 = 2_000_000.0;

/// Measures.
pub fn measure(city: &City1, report: &mut Report) {
    report.begin("fold");
    let journal = Journal::of(city);
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
    /// Replays the load.
    pub fn of(city: &City1) -> Self {
        let city = city.with_site(City1::site(NO_STORE));
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
