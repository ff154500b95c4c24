//! `sereno replay`

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::super::Failure;
use super::super::arguments::Replay;
use crate::service::replay::{ReplayOptions, replay};

/// Replays a file and prints one JSON line of statistics.
///
/// # Errors
/// [`Failure`].
pub fn run(arguments: &Replay) -> Result<(), Failure> {
    let configuration = super::configured(&arguments.at)?;
    super::log(&configuration)?;
    let options = ReplayOptions {
        file: arguments.file.clone(),
        feed: arguments.feed.clone(),
        topic: arguments.topic.clone(),
        workers: super::workers(arguments.workers),
    };
    let bar = bar(&options)?;
    let statistics = replay(&configuration, &options, &|bytes| bar.inc(bytes))?;
    bar.finish_and_clear();
    println!("{}", serde_json::to_string(&statistics)?);
    Ok(())
}

/// A progress bar over the file's bytes, where a person looks.
fn bar(options: &ReplayOptions) -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let bytes = std::fs::metadata(&options.file).map_or(0, |metadata| metadata.len());
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")?;
    Ok(ProgressBar::new(bytes).with_style(style))
}
