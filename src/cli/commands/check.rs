//! `sereno check`

use super::super::Failure;
use super::super::arguments::Check;

/// Checks the configuration and prints what windows, rules and feeds will need.
///
/// # Errors
/// [`Failure::Faults`] when there are any.
pub fn run(arguments: &Check) -> Result<(), Failure> {
    let configuration = super::configured(&arguments.at)?;
    for estimate in &configuration.estimates {
        println!("{estimate}");
    }
    let (pipelines, feeds) = (configuration.pipelines.len(), configuration.feeds().count());
    eprintln!("{pipelines} pipelines, {feeds} feeds: no faults");
    Ok(())
}
