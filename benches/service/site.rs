//! One installation: a temporary folder with `sereno.toml` and pipelines.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process;

/// An installation; the folder goes with it.
pub struct Site {
    folder: TempDir,
    /// What stands before the binary on the command line.
    before: Vec<String>,
    /// Port of the API.
    pub http: u16,
    /// Port of the own listener.
    pub mqtt: u16,
}

impl Site {
    /// An installation without pipelines; `tables` are added to its `sereno.toml`.
    pub fn new(tables: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let site = Self { folder, before: Vec::new(), http: free_port(), mqtt: free_port() };
        let text = format!(
            "version = 1\npipelines = \"pipelines\"\n\n[http]\nlisten = \"127.0.0.1:{}\"\n\n\
             [listener]\nbind = \"127.0.0.1:{}\"\n\n{tables}\n",
            site.http, site.mqtt
        );
        fs::write(site.path("sereno.toml"), text).expect("the folder can be written");
        fs::create_dir(site.path("pipelines")).expect("the folder can be written");
        site
    }

    /// Adds a pipeline.
    pub fn with_pipeline(self, name: &str, text: &str) -> Self {
        let folder = self.path("pipelines").join(name);
        fs::create_dir(&folder).expect("the folder can be written");
        fs::write(folder.join("pipeline.toml"), text).expect("the folder can be written");
        self
    }

    /// Adds the pipelines that come with Sereno.
    pub fn with_shipped_pipelines(mut self) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        for entry in fs::read_dir(shipped).expect("the pipelines are in the repository") {
            let folder = entry.expect("the folder can be read").path();
            if let Ok(text) = fs::read_to_string(folder.join("pipeline.toml")) {
                let name = folder.file_name().expect("a folder has a name").to_string_lossy().into_owned();
                self = self.with_pipeline(&name, &text);
            }
        }
        self
    }

    /// Runs the binary by another program that becomes it: `taskset`, `env`.
    pub fn behind(mut self, words: &[&str]) -> Self {
        self.before = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A fresh data folder, kept until it is dropped.
    pub fn data(&self) -> TempDir {
        tempfile::tempdir_in(self.folder.path()).expect("a temporary folder")
    }

    /// A `sereno` command of this installation.
    pub fn command(&self, name: &str, data: &Path) -> Command {
        let binary = process::binary();
        let mut words = self.before.iter().map(OsStr::new).chain([binary.as_os_str()]);
        let mut command = Command::new(words.next().expect("there is the binary at least"));
        command.args(words).arg(name).arg("--config").arg(self.folder.path()).arg("--data-dir").arg(data);
        command.env("NO_COLOR", "1");
        command
    }
}

/// A port of 127.0.0.1 that nobody had a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}
