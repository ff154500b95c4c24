//! The commands, one file each.

pub mod check;
pub mod completions;
#[cfg(feature = "broker")]
pub mod demo;
#[cfg(feature = "store")]
pub mod query;
pub mod recompute;
pub mod replay;
pub mod run;
pub mod schema;
pub mod verify;

use std::path::PathBuf;

use tokio::sync::watch;

use super::Failure;
use super::arguments::{LanguageName, Where};
use crate::config::sereno::LogFormat as ConfiguredFormat;
use crate::config::{Configuration, Diagnostic, Language, Style, load};
use crate::telemetry::{LogFormat, log_to_stderr};

/// What the configuration is read from.
fn source(at: &Where) -> Option<PathBuf> {
    at.pipeline.clone().or_else(|| at.config.clone())
}

/// Reads and checks the configuration; faults and notes are drawn on standard error.
fn configured(at: &Where) -> Result<Configuration, Failure> {
    let mut configuration = load(source(at).as_deref()).map_err(|faults| draw(&faults))?;
    for note in &configuration.notes {
        eprintln!("{}", note.render(Style::of_stderr()));
    }
    if let Some(data_dir) = &at.data_dir {
        // Relative to where the command is given, not to the configuration.
        let here = std::env::current_dir()?;
        configuration.sereno.data_dir = here.join(data_dir);
    }
    Ok(configuration)
}

/// Draws faults on standard error.
fn draw(faults: &[Diagnostic]) -> Failure {
    for fault in faults {
        eprintln!("{}", fault.render(Style::of_stderr()));
    }
    Failure::Faults
}

/// Sets up logging as configured.
fn log(configuration: &Configuration) -> Result<(), Failure> {
    let format = match configuration.sereno.log.format {
        ConfiguredFormat::Text => LogFormat::Text,
        ConfiguredFormat::Json => LogFormat::Json,
    };
    Ok(log_to_stderr(format, &configuration.sereno.log.level)?)
}

/// The language that was asked for, or else that of the environment, if it is one of ours.
fn language(asked: Option<LanguageName>) -> Option<Language> {
    match asked {
        Some(LanguageName::Es) => Some(Language::Es),
        Some(LanguageName::En) => Some(Language::En),
        None => language_of_environment(),
    }
}

/// The language of the environment, if it is one of ours.
fn language_of_environment() -> Option<Language> {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = of("LC_ALL").or_else(|| of("LC_MESSAGES")).or_else(|| of("LANG")).unwrap_or_default();
    match locale.get(..2) {
        Some("es") => Some(Language::Es),
        Some("en") => Some(Language::En),
        _ => None,
    }
}

/// One worker for every two cores, unless said otherwise: decoding, the journal and the readers
/// need the others.
fn workers(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2)).max(1)
}

/// The runtime that moves bytes.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Says true at the first Ctrl-C or SIGTERM; a second one ends the process at once.
fn stop_signal() -> Result<watch::Receiver<bool>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let (say, stop) = watch::channel(false);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        say.send_replace(true);
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        std::process::exit(130);
    });
    Ok(stop)
}
