//! Changes of what the flow does, as journal records: data like everything else, so that a replay
//! applies each at its own position.

use serde::{Deserialize, Serialize};

use super::definition::{FeedDefinition, PipelineDefinition};
use super::time::Timestamp;

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
    /// Windows of the past are computed again from all journaled readings, by today's definitions.
    Recompute {
        /// The earliest start of a window, inclusive.
        from: Timestamp,
        /// The latest end of a window, inclusive.
        to: Timestamp,
    },
}
