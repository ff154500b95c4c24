//! `sereno run`

use super::super::Failure;
use super::super::arguments::Run;
use crate::service::Service;
use crate::service::run::{RunOptions, stopped};

/// Runs the service until Ctrl-C or SIGTERM.
///
/// # Errors
/// [`Failure`].
pub fn run(arguments: Run) -> Result<(), Failure> {
    let configuration = super::configured(&arguments.at)?;
    super::log(&configuration)?;
    let source = super::source(&arguments.at).unwrap_or_else(|| ".".into());
    let options =
        RunOptions { workers: super::workers(arguments.workers), zones: None, source: Some(source) };
    super::runtime()?.block_on(async {
        let stop = super::stop_signal()?;
        let service = Service::start(configuration, options).await?;
        stopped(stop).await;
        Ok(service.stop().await?)
    })
}
