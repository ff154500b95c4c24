//! The host's wall clock, moved under a running service by libfaketime; the monotonic clock stays.

use std::path::{Path, PathBuf};

use super::peers::missing;

/// Where Debian puts the library.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// A wall clock of its own.
pub struct WallClock {
    library: &'static str,
    control: PathBuf,
}

impl WallClock {
    /// A clock that goes right; `None` without libfaketime.
    pub fn new(folder: &Path) -> Option<Self> {
        let library = LIBRARIES.into_iter().find(|file| Path::new(file).is_file());
        let library = library.or_else(|| missing("faketime is not installed"))?;
        let clock = Self { library, control: folder.join("wall-clock") };
        clock.set_off(0);
        Some(clock)
    }

    /// Puts it so many seconds off.
    pub fn set_off(&self, seconds: i64) {
        // Renamed, so that nobody reads half of it.
        let new = self.control.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, &self.control).unwrap();
    }

    /// What a process needs in its environment to live by it.
    pub fn environment(&self) -> [(&str, &str); 5] {
        [
            ("LD_PRELOAD", self.library),
            ("FAKETIME_TIMESTAMP_FILE", self.control.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}
