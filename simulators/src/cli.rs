//! Arguments and what each command does with them.

use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use sereno_simulators::city1::Load;
use sereno_simulators::play::{PlayError, PlayOptions, Player};
use sereno_simulators::{City, Message, PublishError, PublishOptions, Published, publish_all};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

/// A seeded, fictional city that speaks MQTT like real devices, and a player of recorded data.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publish the city's messages, live or from any instant on
    City(CityArguments),
    /// Print the city's ground as GeoJSON
    Geography {
        /// The city
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Publish recorded files
    Play(Box<PlayArguments>),
    /// Write the CITY-1 load: JSON lines from very many sensors, with disorder
    City1(City1Arguments),
}

#[derive(Args)]
struct CityArguments {
    /// The city
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first instant (RFC 3339); now, if not given
    #[arg(long)]
    from: Option<Timestamp>,
    /// How many hours of the city; without end, if not given (with --stdout: 1)
    #[arg(long)]
    hours: Option<f64>,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
struct Target {
    /// The broker's host
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The broker's port
    #[arg(long, default_value_t = 1883)]
    port: u16,
    /// How many times faster than real time; 0: as fast as the broker acknowledges
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// User name for the broker
    #[arg(long)]
    username: Option<String>,
    /// File that holds the password
    #[arg(long, requires = "username")]
    password_file: Option<PathBuf>,
    /// What client ids begin with
    #[arg(long, default_value = "sereno-simulator")]
    client_prefix: String,
    /// Write lines {"at","topic","payload"} instead of publishing
    #[arg(long)]
    stdout: bool,
}

#[derive(Args)]
struct PlayArguments {
    /// CSV files with a header, or .ndjson, .jsonl and .json files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Topic, with {column} for values of the row; without it, lines are arrivals as --stdout writes them
    #[arg(long)]
    topic: Option<String>,
    /// Column (or dotted path in JSON) of the event time, which sets the pace
    #[arg(long)]
    time_column: Option<String>,
    /// unix_s, unix_ms, unix_us, unix_ns or a pattern like "%d/%m/%Y %H:%M"; ISO 8601, if not given
    #[arg(long)]
    time_format: Option<String>,
    /// Zone of times that name none, like America/Bogota; UTC, if not given
    #[arg(long)]
    timezone: Option<String>,
    /// Shuffle within this much event time, like 30s or 5m
    #[arg(long, default_value = "0s")]
    shuffle_within: SignedDuration,
    /// Send every n-th message twice
    #[arg(long, default_value_t = 0)]
    duplicate_every: u64,
    /// Share of messages to leave out, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    drop: f64,
    /// Decides what is dropped and how it is shuffled
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Column that names the device; its messages keep to one connection
    #[arg(long)]
    id_column: Option<String>,
    /// Connections to spread devices over
    #[arg(long, default_value_t = 1)]
    connections: u16,
    /// What stands between the columns of a CSV file; \t for a tab
    #[arg(long, default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
struct City1Arguments {
    /// How many lines
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// How many sensors
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sensors: u32,
    /// Decides everything drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first event's time (RFC 3339)
    #[arg(long, default_value = "2026-03-01T12:00:00-05:00")]
    from: Timestamp,
    /// File to write; the standard output, if not given
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Why a command failed; the text is for the person who gave it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Publishing failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Recorded data could not be played.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// The output could not be written.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
    /// The broker went away before the end.
    #[error("the broker did not acknowledge {0} messages; is it running?")]
    Unacknowledged(u64),
    /// An argument is not what it should be.
    #[error("{0}")]
    Argument(String),
}

/// Runs a command to its end.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::City(arguments) => city(arguments),
        Command::Geography { seed } => Ok(writeln!(io::stdout(), "{}", City::new(seed).zones_geojson())?),
        Command::Play(arguments) => play(*arguments),
        Command::City1(arguments) => city1(&arguments),
    }
}

fn city(arguments: CityArguments) -> Result<(), Failure> {
    let city = City::new(arguments.seed);
    let start_ms = arguments.from.unwrap_or_else(Timestamp::now).as_millisecond();
    let hours = arguments.hours.or(arguments.target.stdout.then_some(1.0));
    let end_ms = match hours {
        None => i64::MAX,
        Some(hours) if hours >= 0.0 => start_ms.saturating_add((hours * 3_600_000.0) as i64),
        Some(hours) => return Err(Failure::Argument(format!("--hours {hours}: give 0 or more"))),
    };
    send(city.messages(start_ms, end_ms), start_ms, &arguments.target)
}

fn play(arguments: PlayArguments) -> Result<(), Failure> {
    let mut player = Player::open(PlayOptions {
        topic: arguments.topic,
        time_column: arguments.time_column,
        time_format: arguments.time_format,
        timezone: arguments.timezone,
        shuffle_within_ms: i64::try_from(arguments.shuffle_within.as_millis()).unwrap_or(i64::MAX),
        duplicate_every: arguments.duplicate_every,
        drop: arguments.drop,
        seed: arguments.seed,
        id_column: arguments.id_column,
        connections: arguments.connections,
        delimiter: arguments.delimiter,
        ..PlayOptions::new(arguments.files)
    })?;
    let first = player.next().transpose()?;
    let start_ms = first.as_ref().map_or(0, |message| message.sent_at_ms);
    let mut failure = None;
    let rest = std::iter::from_fn(|| match player.next()? {
        Ok(message) => Some(message),
        Err(error) => {
            failure = Some(error);
            None
        }
    });
    send(first.into_iter().chain(rest), start_ms, &arguments.target)?;
    let played = player.played();
    eprintln!(
        "read {}, dropped {}, sent twice {}, without a readable time {}",
        played.read, played.dropped, played.duplicated, played.untimed
    );
    failure.map_or(Ok(()), |error| Err(error.into()))
}

fn city1(arguments: &City1Arguments) -> Result<(), Failure> {
    let load = Load {
        seed: arguments.seed,
        sensors: arguments.sensors,
        events: arguments.events,
        start_ms: arguments.from.as_millisecond(),
    };
    const BUFFER_BYTES: usize = 1 << 20;
    let written = match &arguments.output {
        Some(path) => load.write(&mut BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?))?,
        None => load.write(&mut BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock()))?,
    };
    eprintln!(
        "lines {}, out of order {}, late {}, malformed {}",
        written.lines, written.out_of_order, written.late, written.malformed
    );
    Ok(())
}

/// Publishes the messages or writes them, as asked.
fn send(messages: impl Iterator<Item = Message>, start_ms: i64, target: &Target) -> Result<(), Failure> {
    if target.stdout {
        let mut out = BufWriter::new(io::stdout().lock());
        for message in messages {
            writeln!(out, "{}", message.arrival_line())?;
        }
        return Ok(out.flush()?);
    }
    let password = target.password_file.as_ref().map(std::fs::read_to_string).transpose()?;
    let options = PublishOptions {
        speed: target.speed,
        username: target.username.clone(),
        password: password.map(|text| text.trim_end().to_owned()),
        client_prefix: target.client_prefix.clone(),
        ..PublishOptions::new(&target.host, target.port, start_ms)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Published { published, acknowledged, resent, connections, gateways } =
        runtime.block_on(publish_all(messages, &options, stopped()))?;
    eprintln!(
        "published {published}, acknowledged {acknowledged}, sent again {resent}, connections {connections} of {gateways} gateways"
    );
    match published - acknowledged {
        0 => Ok(()),
        missing => Err(Failure::Unacknowledged(missing)),
    }
}

/// Resolves when the process is asked to end: Ctrl-C or, where there is one, a termination signal.
async fn stopped() {
    let interrupted = async {
        // Without signals there is no other stop than the end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminated) => tokio::select! {
            () = interrupted => {}
            _ = terminated.recv() => {}
        },
        Err(_) => interrupted.await,
    }
    #[cfg(not(unix))]
    interrupted.await;
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        b"\\t" => Ok(b'\t'),
        _ => Err("give one character, or \\t for a tab".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        let parsed = Cli::try_parse_from([
            "s",
            "play",
            "a.csv",
            "--topic",
            "t",
            "--shuffle-within",
            "5m",
            "--delimiter",
            "\\t",
        ]);
        let Ok(Cli { command: Command::Play(play) }) = parsed else { panic!("parses") };
        assert_eq!((play.shuffle_within.as_secs(), play.delimiter), (300, b'\t'));
    }
}
