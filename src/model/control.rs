//! Changes of what the flow does, as journal records: data like everything else, so that a replay
//! applies each at its own position.

use serde::{Deserialize, Serialize};

use super::definition::{FeedDefinition, PipelineDefinition};
use super::time::{Span, Timestamp};

/// One change; the last of a name holds, a recompute happens once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Control {
    /// A feed is as defined from here on.
    Feed {
        /// The definition.
        feed: Box<FeedDefinition>,
    },
    /// A pipeline is as defined from here on (its `feed` list is empty: feeds come on their own).
    Pipeline {
        /// The definition.
        pipeline: Box<PipelineDefinition>,
    },
    /// A pipeline is gone.
    PipelineRemoved {
        /// Its name.
        name: String,
    },
    /// The host's wall clock jumped by more than a minute and is not followed, or is right again.
    HostClock {
        /// How far it is ahead of the arrival clock, whole seconds; negative: behind; 0: it is followed.
        ahead_seconds: i64,
    },
    /// Windows of the past are computed again from all stored readings, by today's definitions.
    Recompute(Recompute),
}

/// Which windows are computed again, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recompute {
    /// The earliest start of a window, inclusive.
    pub from: Timestamp,
    /// The latest end of a window, inclusive.
    pub to: Timestamp,
    /// Events of this journal sequence and later ones count as they are journaled, earlier ones as they
    /// were restored. Recomputes of earlier versions restored nothing, and say 0.
    #[serde(default)]
    pub since: u64,
    /// Everything that was measured from here on is there; of what was measured before, something is
    /// gone for ever.
    #[serde(default = "always")]
    pub whole_from: Timestamp,
}

impl Recompute {
    /// A range of which the journal holds everything.
    #[must_use]
    pub fn of(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to, since: 0, whole_from: Timestamp::MIN }
    }

    /// The first event time that it reads: so long before the range, if that is still there.
    #[must_use]
    pub fn begins_at(&self, before: Span) -> Timestamp {
        self.from.minus(before).max(self.whole_from)
    }
}

fn always() -> Timestamp {
    Timestamp::MIN
}
