//! The engine's core in one thread: what `sereno replay` does between lines and its two logs.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sereno::decode::Decoder;
use sereno::flow::Interpreter;
use sereno::flow::interpreter::order;
use sereno::journal::Sequencer;
use sereno::model::definition::PipelineDefinition;
use sereno::model::{Arrival, Control, ResultRow, Span, Submission, Timestamp};

use super::{lines, queries};

/// Messages handed over at once, as in `sereno replay`.
const BURST: usize = 128;
/// Further than every window stays open for amendments.
const LONG: Span = Span::seconds(86_400);

/// How far each line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Read and copied from the file.
    Read,
    /// Decoded.
    Decode,
    /// Through the sequencer, too.
    Sequence,
    /// Through the flow, too: result rows in their order.
    Flow,
    /// As [`Self::Flow`], and at the end time passes until every window is closed and sealed.
    ToTheEnd,
}

impl Part {
    /// The parts that are measured, each with those before it in it.
    pub const ALL: [Self; 4] = [Self::Read, Self::Decode, Self::Sequence, Self::Flow];

    /// A part by its word on the command line.
    pub fn named(word: &str) -> Self {
        match word {
            "read" => Self::Read,
            "decode" => Self::Decode,
            "sequence" => Self::Sequence,
            "flow" => Self::Flow,
            _ => panic!("there is no part `{word}`; there are read, decode, sequence, flow and reference"),
        }
    }

    /// A part in the table.
    pub fn words(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Decode => "read, decode",
            Self::Sequence => "read, decode, sequence",
            Self::Flow | Self::ToTheEnd => "engine: read, decode, sequence, flow",
        }
    }
}

/// One, with one pipeline.
pub struct Engine<'a> {
    part: Part,
    feed: Arc<str>,
    topic: Arc<str>,
    decoder: Decoder,
    sequencer: Sequencer,
    interpreter: Interpreter,
    arrived_at: Timestamp,
    waiting: Vec<Submission>,
    /// Events that became records.
    stored: u64,
    take: &'a mut dyn FnMut(Vec<ResultRow>),
}

/// Runs a file's lines so far; `take` gets the rows of each batch. Says how many lines there were.
pub fn run(file: &Path, part: Part, take: &mut dyn FnMut(Vec<ResultRow>)) -> u64 {
    let mut engine = Engine::new(queries::PIPELINE, part, take);
    let lines = lines::each(file, |line| engine.line(line));
    engine.hand_over();
    if part == Part::ToTheEnd {
        engine.sequencer.pass(engine.arrived_at.plus(LONG));
        engine.fold();
    }
    lines
}

impl<'a> Engine<'a> {
    /// One that has heard nothing; `pipeline` is the text of a pipeline with one feed.
    pub fn new(pipeline: &str, part: Part, take: &'a mut dyn FnMut(Vec<ResultRow>)) -> Self {
        let pipeline: PipelineDefinition = toml::from_str(pipeline).expect("the pipeline is one");
        let feed = pipeline.feeds.first().expect("the pipeline has a feed").clone();
        let mut engine = Self {
            part,
            feed: feed.name.as_str().into(),
            topic: feed.topic.as_str().into(),
            decoder: Decoder::new(&feed).expect("the feed is sound"),
            sequencer: Sequencer::default(),
            interpreter: Interpreter::new(0, 1),
            arrived_at: Timestamp::MIN,
            waiting: Vec::with_capacity(BURST),
            stored: 0,
            take,
        };
        let controls =
            vec![Control::Feed { feed: Box::new(feed) }, Control::Pipeline { pipeline: Box::new(pipeline) }];
        engine.sequencer.configure(controls, Timestamp::MIN);
        engine
    }

    /// Events that became records so far.
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// Takes in a line; it goes further with those of its burst.
    pub fn line(&mut self, line: &[u8]) {
        let payload = Bytes::copy_from_slice(line);
        if self.part == Part::Read {
            return;
        }
        let arrived_at = self.arrived_at.max(Timestamp(0));
        let arrival = Arrival { topic: self.topic.clone(), payload: payload.clone(), arrived_at };
        let decoded = self.decoder.decode(&arrival);
        let latest = decoded.events.iter().filter_map(|event| event.event_at).max();
        self.arrived_at = self.arrived_at.max(latest.unwrap_or(self.arrived_at));
        self.waiting.push(Submission {
            feed: self.feed.clone(),
            topic: self.topic.clone(),
            payload,
            arrived_at: Some(self.arrived_at),
            decoded,
            repeated: false,
            brought: None,
            ack: None,
        });
        if self.waiting.len() >= BURST {
            self.hand_over();
        }
    }

    /// Lets what waits for its burst go on.
    pub fn hand_over(&mut self) {
        let waiting = std::mem::replace(&mut self.waiting, Vec::with_capacity(BURST));
        if self.part >= Part::Sequence {
            self.sequencer.accept(waiting, self.arrived_at);
            self.fold();
        }
    }

    fn fold(&mut self) {
        for finished in self.sequencer.take() {
            self.stored += finished.batch.accounts.iter().map(|of| of.delta.events_stored).sum::<u64>();
            if self.part >= Part::Flow {
                let mut rows = self.interpreter.apply(&finished.batch);
                order(&mut rows);
                (self.take)(rows);
            }
        }
    }
}
