//! `sereno demo`

use super::super::Failure;
use super::super::arguments::Demo;
use crate::service::demo::{self, DemoOptions};
use crate::telemetry::{LogFormat, log_to_stderr};

/// Runs the demo until Ctrl-C or SIGTERM.
///
/// # Errors
/// [`Failure`].
pub fn run(arguments: Demo) -> Result<(), Failure> {
    // The terminal shows throughput and alerts; of the log, only what is wrong.
    log_to_stderr(LogFormat::Text, "warn")?;
    let options = DemoOptions {
        data_dir: std::env::current_dir()?.join(arguments.data_dir),
        seed: arguments.seed,
        hours: arguments.hours,
        http_port: arguments.http_port,
        mqtt_port: arguments.mqtt_port,
        language: super::language(arguments.language).unwrap_or_default(),
        workers: super::workers(None),
    };
    let configuration = demo::configuration(&options).map_err(|faults| super::draw(&faults))?;
    super::runtime()?.block_on(async {
        let stop = super::stop_signal()?;
        Ok(demo::run(configuration, options, stop).await?)
    })
}
