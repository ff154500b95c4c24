//! The CITY-1 load in an installation with its three queries.

use std::path::PathBuf;

use sereno_simulators::city1::Written;

use super::queries;
pub use super::queries::SENSORS;
use super::site::Site;

/// `sereno.toml` without the store: what is left are journal and results log.
pub const NO_STORE: &str = "[store]\nembedded = false";
/// A million sensors need more than what is allowed unasked.
const ROOM: &str = "[limits]\nstate_bytes_max = \"8GiB\"";

/// An installation with the three queries, and the load in a file of it.
pub struct City1 {
    /// The installation.
    pub site: Site,
    /// The file.
    pub file: PathBuf,
    /// What is in it.
    pub written: Written,
}

impl City1 {
    /// Writes both.
    pub fn write() -> Self {
        Self::of(SENSORS, queries::lines())
    }

    /// An installation with the three queries and no load; `tables` are added to its `sereno.toml`.
    pub fn site(tables: &str) -> Site {
        Site::new(tables).with_pipeline("city1", queries::PIPELINE)
    }

    /// The same with so many sensors and lines.
    pub fn of(sensors: u32, events: u64) -> Self {
        let site = Self::site(ROOM);
        let file = site.path("city1.ndjson");
        let written = queries::write(&file, sensors, events);
        Self { site, file, written }
    }

    /// The same file for another installation.
    pub fn with_site(&self, site: Site) -> Self {
        Self { site, file: self.file.clone(), written: self.written }
    }
}
