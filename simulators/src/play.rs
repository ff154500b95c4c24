//! Playing recorded data: files become messages, with their event times untouched in the payloads.
//!
//! A [`Player`] reads CSV rows (one JSON object each) or JSON lines (as they are), and gives messages in
//! the order of the file; several files are interleaved by time. On the way it can drop, repeat and shuffle, each
//! decided by the seed. Everything streams: a file may be larger than memory.

mod order;
mod rows;
mod times;
mod topic;

use crate::message::Message;
use order::{Merge, Shuffle, Timed};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use rows::{Row, Rows};
use std::path::PathBuf;
use times::TimeReader;
use topic::Template;

/// What to play and how.
#[derive(Clone, Debug)]
pub struct PlayOptions {
    /// `.csv` (and `.tsv`, `.txt`) files have a header line; `.ndjson`, `.jsonl` and `.json` hold JSON.
    pub files: Vec<PathBuf>,
    /// The topic, with `{column}` for a value of the row. Without it, each line must be an arrival (`at`,
    /// `topic`, `payload` or `payload_b64`), as [`Message::arrival_line`] writes it.
    pub topic: Option<String>,
    /// The column, or the dotted path in a JSON line, that holds the event time.
    pub time_column: Option<String>,
    /// `unix_s`, `unix_ms`, `unix_us`, `unix_ns` or a strptime pattern; without it, RFC 3339 or an ISO
    /// date and time.
    pub time_format: Option<String>,
    /// Time zone of times that name none, such as `America/Bogota`; UTC without it.
    pub timezone: Option<String>,
    /// Shuffle within this much event time, milliseconds; 0 keeps the order.
    pub shuffle_within_ms: i64,
    /// Send every n-th message twice; 0 for none.
    pub duplicate_every: u64,
    /// The share of messages to leave out, 0 to 1.
    pub drop: f64,
    /// Decides what is dropped and how it is shuffled.
    pub seed: u64,
    /// The column that names the device: a device's messages keep to one connection.
    pub id_column: Option<String>,
    /// Connections to spread devices over; 1 or more.
    pub connections: u16,
    /// What stands between the columns of a CSV file.
    pub delimiter: u8,
    /// When to send the first message if there is no time column (the others follow a millisecond apart),
    /// milliseconds since 1970 UTC.
    pub start_ms: i64,
}

impl PlayOptions {
    /// Playing files in their own order, unchanged, over one connection.
    pub fn new(files: Vec<PathBuf>) -> Self {
        Self {
            files,
            topic: None,
            time_column: None,
            time_format: None,
            timezone: None,
            shuffle_within_ms: 0,
            duplicate_every: 0,
            drop: 0.0,
            seed: 1,
            id_column: None,
            connections: 1,
            delimiter: b',',
            start_ms: 0,
        }
    }
}

/// Why playing ended early. Each names the file and line, or the option, to mend.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A row or line is not what it should be.
    #[error("{path}, line {line}: {detail}")]
    Line {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: u64,
        /// What is wrong and what to do.
        detail: String,
    },
    /// The options do not fit together, or a column they name does not exist.
    #[error("{0}")]
    Option(String),
}

/// Counts of what was done to the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Rows and lines read.
    pub read: u64,
    /// Left out.
    pub dropped: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Rows whose time could not be read; sent at the time of the row before.
    pub untimed: u64,
}

/// An iterator over the messages of recorded files.
pub struct Player {
    source: Merge,
    shuffle: Shuffle,
    template: Option<Template>,
    options: PlayOptions,
    dice: ChaCha8Rng,
    played: Played,
    /// The second copy of a message that is sent twice.
    again: Option<Timed<Message>>,
    is_done: bool,
}

impl Player {
    /// Opens the files.
    ///
    /// # Errors
    /// [`PlayError`]: a file that does not open, a column that is not there, or options that contradict each other.
    pub fn open(options: PlayOptions) -> Result<Self, PlayError> {
        check(&options)?;
        let template = options.topic.as_deref().map(Template::parse).transpose()?;
        let mut sources = Vec::new();
        for path in &options.files {
            let rows = Rows::open(path, options.delimiter)?;
            let columns = template.iter().flat_map(Template::columns).chain(options.id_column.as_deref());
            // JSON lines may differ from each other; theirs are looked up line by line.
            rows.require(columns.chain(options.time_column.as_deref()))?;
            let column = options.time_column.clone().or_else(|| template.is_none().then(|| "at".to_owned()));
            let times = column.map(|column| TimeReader::new(column, &options)).transpose()?;
            sources.push((rows, times));
        }
        Ok(Self {
            source: Merge::new(sources, options.start_ms),
            shuffle: Shuffle::new(options.shuffle_within_ms, options.seed),
            template,
            dice: ChaCha8Rng::seed_from_u64(options.seed),
            played: Played::default(),
            again: None,
            is_done: false,
            options,
        })
    }

    /// What was done so far.
    pub fn played(&self) -> Played {
        Played { untimed: self.source.untimed(), ..self.played }
    }

    /// The next message in the order of the files.
    fn draw(&mut self) -> Result<Option<Timed<Message>>, PlayError> {
        if let Some(again) = self.again.take() {
            return Ok(Some(again));
        }
        while let Some(Timed { at_ms, value: row }) = self.source.next_row()? {
            self.played.read += 1;
            // Drawn for every row, so that the same rows are dropped whatever else is asked for.
            let is_dropped = crate::noise::unit(self.dice.next_u64()) < self.options.drop;
            if is_dropped {
                self.played.dropped += 1;
                continue;
            }
            let timed = Timed { at_ms, value: self.message(row, at_ms)? };
            let every = self.options.duplicate_every;
            let kept = self.played.read - self.played.dropped;
            if every > 0 && kept.is_multiple_of(every) {
                self.played.duplicated += 1;
                self.again = Some(timed.clone());
            }
            return Ok(Some(timed));
        }
        Ok(None)
    }

    fn message(&self, row: Row, sent_at_ms: i64) -> Result<Message, PlayError> {
        let Some(template) = &self.template else { return row.arrival(sent_at_ms) };
        let topic = template.fill(&row)?;
        let gateway = match &self.options.id_column {
            Some(column) => {
                let id = row
                    .get(column)
                    .ok_or_else(|| row.error(format!("there is no `{column}`; see --id-column")))?;
                spread(&id, self.options.connections)
            }
            None => 0,
        };
        Ok(Message { sent_at_ms, gateway, topic, payload: row.into_payload() })
    }
}

impl Iterator for Player {
    type Item = Result<Message, PlayError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(Timed { at_ms, value }) = self.shuffle.pop(self.is_done) {
                return Some(Ok(Message { sent_at_ms: at_ms, ..value }));
            }
            if self.is_done {
                return None;
            }
            match self.draw() {
                Ok(Some(timed)) => self.shuffle.push(timed),
                Ok(None) => self.is_done = true,
                Err(error) => {
                    // Nothing is played behind a defect.
                    self.is_done = true;
                    self.shuffle.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

fn check(options: &PlayOptions) -> Result<(), PlayError> {
    let refuse = |text: &str| Err(PlayError::Option(text.to_owned()));
    let has_times = options.time_column.is_some() || options.topic.is_none();
    match () {
        () if options.files.is_empty() => refuse("there is nothing to play: name at least one file"),
        () if !(0.0..=1.0).contains(&options.drop) => refuse("--drop is a share: give a number from 0 to 1"),
        () if options.shuffle_within_ms > 0 && !has_times => {
            refuse("--shuffle-within needs event times: give --time-column")
        }
        () if options.shuffle_within_ms < 0 => refuse("--shuffle-within cannot be negative"),
        () if options.connections == 0 => refuse("--connections: give 1 or more"),
        () => Ok(()),
    }
}

/// The connection of a device: by a hash of its id.
fn spread(id: &str, connections: u16) -> u16 {
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (crate::noise::mix(hash) % u64::from(connections.max(1))) as u16
}

#[cfg(test)]
#[path = "play/tests.rs"]
mod tests;
