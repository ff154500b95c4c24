//! The listener of [`super::ingest`] on a slow disk: every sync takes 4 ms longer. A library that the
//! service is started with puts itself before the system's `fdatasync`, which the logs are synced with,
//! and `fsync`, which folders are; the ledger's and the store's SQLite calls the same two.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::figures::{Must, Report};
use super::ingest::{self, Rate};

const RUNS: usize = 3;
const SOURCE: &str = include_str!("slow_sync.c");
/// What it adds to each sync.
const LATER_MS: f64 = 4.0;
/// Messages a second.
const MANY: f64 = 150_000.0;
const ONE: f64 = 10_000.0;

/// Measures.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("slow_sync");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(library) = compile(&folder) else {
        println!("  passed over: there is no cc");
        return;
    };
    let preload = format!("LD_PRELOAD={}", library.display());
    let (mut many, mut one) = (Vec::new(), Vec::new());
    for number in 1..=RUNS {
        for (rates, connections) in [(&mut many, ingest::CONNECTIONS), (&mut one, 1)] {
            let site = ingest::site().behind(&["env", &preload]);
            let Rate { messages, sync_ms } = ingest::rate(runtime, &site, connections);
            println!("  run {number}: {messages:.0} messages/s, {sync_ms:.1} ms a sync");
            assert!(sync_ms > LATER_MS, "the library is not in the way");
            rates.push(messages);
        }
    }
    report.add("syncs 4 ms longer, 50 connections", "messages/s", many, Some(Must::AtLeast(MANY)));
    report.add("syncs 4 ms longer, one connection", "messages/s", one, Some(Must::AtLeast(ONE)));
}

/// The library; `None` where there is no compiler.
fn compile(folder: &TempDir) -> Option<PathBuf> {
    let (source, library) = (folder.path().join("slow_sync.c"), folder.path().join("slow_sync.so"));
    std::fs::write(&source, SOURCE).expect("the folder can be written");
    let mut command = Command::new("cc");
    command.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let ended = command.status().ok()?;
    assert!(ended.success(), "cc: {ended}");
    Some(library)
}
