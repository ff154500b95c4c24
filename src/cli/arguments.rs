//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Exact event processing for smart territories: sensors in, windows and alerts out, nothing lost.
#[derive(Debug, Parser)]
#[command(name = "sereno", version, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service.
    Run(Run),
    /// Run a whole simulated city on this machine, with console and MQTT listener.
    #[cfg(feature = "broker")]
    Demo(Demo),
    /// Check sereno.toml and the pipelines; print the state that each window will need.
    Check(Check),
    /// Push a file through the whole path as fast as it goes and print one JSON line of statistics.
    Replay(Replay),
    /// Ask the embedded store in SQL.
    #[cfg(feature = "store")]
    Query(Query),
    /// Compute windows of the past again, with readings that came too late and by today's definitions.
    Recompute(Recompute),
    /// Read every file of the data folder and name what is damaged.
    Verify(Verify),
    /// Print the JSON Schema of a configuration file, for editors.
    Schema(Schema),
    /// Print the completions of a shell.
    Completions(Completions),
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
pub struct Where {
    /// sereno.toml, its folder, or one pipeline's folder; by default the current folder.
    #[arg(long, short = 'c', value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// One pipeline's folder, to use that pipeline alone.
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    pub pipeline: Option<PathBuf>,
    /// Data folder, instead of the configured one.
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

/// `sereno run`
#[derive(Args, Debug)]
pub struct Run {
    /// Where the configuration is.
    #[command(flatten)]
    pub at: Where,
    /// Dataflow workers; by default one for every two cores.
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
}

/// `sereno demo`
#[derive(Args, Debug)]
pub struct Demo {
    /// Data folder; the next start goes on with it.
    #[arg(long, value_name = "FOLDER", default_value = "demo-data")]
    pub data_dir: PathBuf,
    /// Seed of the city: the same seed is the same city.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Simulated hours that are replayed first.
    #[arg(long, default_value_t = 6)]
    pub hours: u32,
    /// Port of the console on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    pub http_port: u16,
    /// Port of the MQTT listener on 127.0.0.1.
    #[arg(long, default_value_t = 1883)]
    pub mqtt_port: u16,
    /// Language of the terminal; by default the one of the environment, else Spanish.
    #[arg(long, value_enum)]
    pub language: Option<LanguageName>,
}

/// A language.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LanguageName {
    /// Spanish.
    Es,
    /// English.
    En,
}

/// `sereno check`
#[derive(Args, Debug)]
pub struct Check {
    /// Where the configuration is.
    #[command(flatten)]
    pub at: Where,
}

/// `sereno replay`
#[derive(Args, Debug)]
pub struct Replay {
    /// File: payloads one a line (with --feed), or arrivals, one JSON object a line with `at`,
    /// `topic` and `payload`.
    pub file: PathBuf,
    /// Feed that takes every line as a payload.
    #[arg(long)]
    pub feed: Option<String>,
    /// Topic of those payloads, for feeds that take tags from it.
    #[arg(long, requires = "feed")]
    pub topic: Option<String>,
    /// Where the configuration is.
    #[command(flatten)]
    pub at: Where,
    /// Dataflow workers; by default one for every two cores.
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
}

/// `sereno query`
#[derive(Args, Debug)]
pub struct Query {
    /// One SQL statement that reads; `SHOW TABLES` lists what there is.
    pub sql: String,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Where the configuration is.
    #[command(flatten)]
    pub at: Where,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// A table for people.
    Table,
    /// CSV with a line of names.
    Csv,
    /// One JSON object a line.
    Json,
}

/// `sereno recompute`
#[derive(Args, Debug)]
pub struct Recompute {
    /// The earliest start of a window: 2026-03-01T00:00:00-05:00
    #[arg(long, value_name = "TIME")]
    pub from: String,
    /// The latest end of a window.
    #[arg(long, value_name = "TIME")]
    pub to: String,
    /// Print what would be different, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Language of what is printed; by default the one of the environment, else English.
    #[arg(long, value_enum)]
    pub language: Option<LanguageName>,
    /// Where the configuration is.
    #[command(flatten)]
    pub at: Where,
}

/// `sereno verify`
#[derive(Args, Debug)]
pub struct Verify {
    /// Where the configuration is; with --data-dir none is needed.
    #[command(flatten)]
    pub at: Where,
}

/// `sereno schema`
#[derive(Args, Debug)]
pub struct Schema {
    /// Which file.
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// Which file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SchemaOf {
    /// sereno.toml
    Sereno,
    /// pipeline.toml
    Pipeline,
}

/// `sereno completions`
#[derive(Args, Debug)]
pub struct Completions {
    /// Shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
