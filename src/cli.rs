//! The command line: arguments parsed, resolved, then run. Logs go to standard error, what
//! machines read to standard output.

pub mod arguments;
pub mod commands;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

use crate::model::crash;

/// The point at which the process is to abort, `name[:nth]`: for tests of what a crash leaves.
const CRASH_AT: &str = "SERENO_CRASH_AT";
/// Exit code when something failed.
const FAILED: u8 = 1;
/// Exit code when the configuration has faults.
pub const FAULTY: u8 = 2;

/// Exit code when data on disk is damaged (`EX_DATAERR` of sysexits).
pub const DAMAGED: u8 = 65;

/// Why a command ended.
#[derive(Debug)]
pub enum Failure {
    /// Faults of the configuration, drawn already.
    Faults,
    /// Damage on disk, told already.
    Damaged,
    /// Something else, as one line.
    Other(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.to_string())
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Ok(setting) = std::env::var(CRASH_AT)
        && let Err(message) = crash::arm(&setting)
    {
        eprintln!("sereno: {CRASH_AT}: {message}");
        return ExitCode::from(FAILED);
    }
    let result = match arguments.command {
        Command::Run(run) => commands::run::run(run),
        #[cfg(feature = "broker")]
        Command::Demo(demo) => commands::demo::run(demo),
        Command::Check(check) => commands::check::run(&check),
        Command::Replay(replay) => commands::replay::run(&replay),
        #[cfg(feature = "store")]
        Command::Query(query) => commands::query::run(&query),
        Command::Recompute(recompute) => commands::recompute::run(&recompute),
        Command::Verify(verify) => commands::verify::run(&verify),
        Command::Schema(schema) => commands::schema::run(&schema),
        Command::Completions(completions) => commands::completions::run(&completions),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Faults) => ExitCode::from(FAULTY),
        Err(Failure::Damaged) => ExitCode::from(DAMAGED),
        Err(Failure::Other(message)) => {
            eprintln!("sereno: {message}");
            ExitCode::from(FAILED)
        }
    }
}
