//! `sereno completions`

use clap::CommandFactory;

use super::super::Failure;
use super::super::arguments::{Arguments, Completions};

/// Prints the completions of a shell.
///
/// # Errors
/// None.
pub fn run(arguments: &Completions) -> Result<(), Failure> {
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "sereno", &mut std::io::stdout());
    Ok(())
}
