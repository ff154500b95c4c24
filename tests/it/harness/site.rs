//! One installation: a temporary folder with `sereno.toml`, pipelines and data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::peers;
use super::ports::free_port;
use super::process::Process;
use super::sereno::Sereno;
use super::table::{self, Row};

/// An installation; the folder goes with it, unless its test failed and `SERENO_KEEP` is set.
pub struct Site {
    folder: TempDir,
    /// Port of API and console.
    pub http: u16,
    /// Port of the own listener.
    pub mqtt: u16,
}

impl Site {
    /// An installation with `settings` (top-level ones first) added to its `sereno.toml`.
    pub fn new(settings: &str) -> Self {
        let (top, tables) = settings.split_at(settings.find("\n[").unwrap_or(settings.len()));
        let (top, tables) = if settings.starts_with('[') { ("", settings) } else { (top, tables) };
        let site = Self { folder: tempfile::tempdir().unwrap(), http: free_port(), mqtt: free_port() };
        let (http, mqtt) = (site.http, site.mqtt);
        let text = format!(
            "version = 1\n{top}\n[http]\nlisten = \"127.0.0.1:{http}\"\n\
             [listener]\nbind = \"127.0.0.1:{mqtt}\"\n{tables}\n"
        );
        site.write("sereno.toml", &text);
        fs::create_dir_all(site.path("pipelines")).unwrap();
        site
    }

    /// With a pipeline.
    pub fn with_pipeline(self, name: &str, text: &str) -> Self {
        self.write_pipeline(name, text);
        self
    }

    /// Writes (or changes) a pipeline.
    pub fn write_pipeline(&self, name: &str, text: &str) {
        self.write(&format!("pipelines/{name}/pipeline.toml"), text);
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the service and waits until it is ready.
    pub fn start(&self) -> Sereno {
        self.start_with(&[])
    }

    /// Runs the service with variables of its environment, without waiting for it to be ready.
    pub fn launch(&self, environment: &[(&str, &str)]) -> Process {
        let mut command = self.command("run");
        command.args(["--workers", "1"]).envs(environment.iter().copied());
        Process::start("sereno", self.folder(), command)
    }

    /// Runs it with variables of its environment, and waits until it is ready.
    pub fn start_with(&self, environment: &[(&str, &str)]) -> Sereno {
        let mut command = self.command("run");
        command.args(["--workers", "1"]).envs(environment.iter().copied());
        Sereno::start(self.folder(), self.http, command)
    }

    /// A new installation with this one's pipelines and nothing but its journal: everything else is
    /// derived again.
    pub fn with_journal_alone(&self, settings: &str) -> Self {
        let copy = Self::new(settings);
        for (from, to) in [("pipelines", "pipelines"), ("data/journal", "data/journal")] {
            copy_folder(&self.path(from), &copy.path(to));
        }
        copy
    }

    /// A `sereno` command of this installation.
    pub fn command(&self, name: &str) -> Command {
        let mut command = sereno(&[name, "--config"]);
        command.arg(self.folder());
        // Relative paths of the configuration are relative to its file; the data too.
        command.arg("--data-dir").arg(self.path("data"));
        command
    }

    /// The rows of `sereno query`.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Row> {
        let mut command = self.command("query");
        command.args(["--format", "csv", sql]);
        table::rows(&succeeded(command))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("SERENO_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("kept: {}", self.folder.path().display());
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// A `sereno` command.
pub fn sereno(arguments: &[&str]) -> Command {
    let mut command = Command::new(peers::sereno());
    command.args(arguments).env("NO_COLOR", "1");
    command
}

/// Runs a command to its end.
pub fn output(mut command: Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// The standard output of a command that must succeed.
#[track_caller]
pub fn succeeded(command: Command) -> String {
    let shown = format!("{command:?}");
    let output = output(command);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}: {}\n{error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
