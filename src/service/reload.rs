//! Changes while running: the configuration's files are looked at, read again when they change,
//! and become control records. A broken change keeps the old one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tracing::{error, info};

use super::run::stopped;
use super::sources::RouteTables;
use crate::config::{Style, controls, load};
use crate::model::Input;

/// Files are looked at this often.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at `source` (a folder or file, as `load` takes it) until `stop`.
pub async fn watch(
    source: PathBuf,
    inputs: mpsc::Sender<Input>,
    tables: Arc<RouteTables>,
    stop: watch::Receiver<bool>,
) {
    let mut every = tokio::time::interval(EVERY);
    let mut stop = std::pin::pin!(stopped(stop));
    let mut seen = fingerprint(&source);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = &mut stop => return,
        }
        let now = fingerprint(&source);
        if now == seen {
            continue;
        }
        seen = now;
        match load(Some(&source)) {
            Ok(configuration) => match tables.replace(&configuration) {
                Ok(()) => {
                    let pipelines = configuration.pipelines.len();
                    if inputs.send(Input::Control(controls(&configuration))).await.is_err() {
                        return;
                    }
                    info!(pipelines, "changed pipelines are in force");
                }
                Err(failure) => {
                    error!(error = %failure, "the change is not usable; the old pipelines stay in force")
                }
            },
            Err(diagnostics) => {
                for diagnostic in &diagnostics {
                    eprintln!("{}", diagnostic.render(Style::of_stderr()));
                }
                error!(faults = diagnostics.len(), "the change has faults; the old pipelines stay in force");
            }
        }
    }
}

/// Names, lengths and times of every TOML file that counts.
fn fingerprint(source: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut files = Vec::new();
    collect(source, 3, &mut files);
    files.sort();
    files
}

fn collect(path: &Path, depth: usize, files: &mut Vec<(PathBuf, u64, Option<SystemTime>)>) {
    let Ok(metadata) = path.metadata() else { return };
    if metadata.is_file() {
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push((path.to_owned(), metadata.len(), metadata.modified().ok()));
        }
        // A sereno.toml stands for its folder.
        if path.file_name().is_some_and(|name| name == "sereno.toml")
            && let (Some(folder), 3) = (path.parent(), depth)
        {
            collect(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }, 2, files);
        }
        return;
    }
    if depth == 0 {
        return;
    }
    for entry in path.read_dir().into_iter().flatten().flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && !matches!(entry.file_name().to_str(), Some("node_modules" | "target" | "data")) {
            collect(&entry.path(), depth - 1, files);
        }
    }
}
