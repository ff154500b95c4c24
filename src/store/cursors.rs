//! How far a reader of journal and results log has come.

use crate::model::Timestamp;

/// Where a reader goes on reading; everything before is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursors {
    /// The next journal epoch to read.
    pub journal: u64,
    /// The next position of the results log to read.
    pub results: u64,
}

impl Cursors {
    /// The further of both, each for itself.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { journal: self.journal.max(other.journal), results: self.results.max(other.results) }
    }
}

/// From where on a reader has everything that the journal ever held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Journal sequence of the first record behind the last gap; 0 when there never was one.
    pub sequence: u64,
    /// Arrival clock there; `Timestamp::MIN` when there never was one.
    pub arrived_at: Timestamp,
}

impl Default for Whole {
    fn default() -> Self {
        Self { sequence: 0, arrived_at: Timestamp::MIN }
    }
}
