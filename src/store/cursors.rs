//! How far a reader of journal and results log has come.

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
