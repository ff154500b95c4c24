//! The whole configuration, in which everything fits together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::de::DeTable;

use super::check::{Findings, In, check};
use super::diagnostic::{Diagnostic, Level};
use super::estimate::Estimate;
use super::mend::mend;
use super::place::place;
use super::sereno::Sereno;
use crate::model::definition::{FeedDefinition, PipelineDefinition};

/// Syntax errors of one file that are told at once.
const SYNTAX_ERRORS_MAX: usize = 5;

/// One file as it was read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its path, as diagnostics name it.
    pub name: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
}

impl SourceFile {
    /// A file of that name and text.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Reads the file as `T`; all syntax errors, or the first that does not fit `T`.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Vec<Diagnostic>> {
        let (_, errors) = DeTable::parse_recoverable(&self.text);
        if !errors.is_empty() {
            return Err(errors.iter().take(SYNTAX_ERRORS_MAX).map(|error| self.diagnose(error)).collect());
        }
        toml::from_str(&self.text).map_err(|error| vec![self.diagnose(&error)])
    }

    fn diagnose(&self, error: &toml::de::Error) -> Diagnostic {
        let mut span = error.span().unwrap_or_default();
        if span.is_empty() && span.start == 0 {
            span = 0..self.text.lines().next().unwrap_or_default().len();
        }
        let (message, remedy) = mend(error.message());
        Diagnostic::of_text(Level::Error, &self.name, &self.text, span, message, remedy)
    }
}

/// What the service runs by.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The folder that relative paths of `sereno.toml` start from.
    pub folder: PathBuf,
    /// `sereno.toml`, or its defaults.
    pub sereno: Sereno,
    /// Every pipeline, in the order of their names.
    pub pipelines: Vec<PipelineDefinition>,
    /// What is worth knowing and hinders nothing.
    pub notes: Vec<Diagnostic>,
    /// The state that each window will need, as far as can be told.
    pub estimates: Vec<Estimate>,
}

impl Configuration {
    /// From texts: `sereno.toml`, if there is one, and every `pipeline.toml`.
    ///
    /// # Errors
    /// Every mistake found, in the order of the files and lines. A file that does not read hides
    /// the mistakes of meaning in all of them until it does.
    pub fn from_files(
        folder: &Path,
        sereno: Option<&SourceFile>,
        files: &[SourceFile],
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        let service = sereno.map_or_else(|| Ok(Sereno::default()), SourceFile::read);
        let service: Sereno = service.unwrap_or_else(|errors| {
            wrong.extend(errors);
            Sereno::default()
        });
        let mut pipelines: Vec<PipelineDefinition> = Vec::new();
        for file in files {
            match file.read() {
                Ok(pipeline) => pipelines.push(pipeline),
                Err(errors) => wrong.extend(errors),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let (findings, estimates) = check(&service, &pipelines);
        let (wrong, notes) = diagnose(findings, sereno, files);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        pipelines.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { folder: folder.to_owned(), sereno: service, pipelines, notes, estimates })
    }

    /// A path of `sereno.toml`, from its folder.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Every feed of every pipeline.
    pub fn feeds(&self) -> impl Iterator<Item = &FeedDefinition> {
        self.pipelines.iter().flat_map(|pipeline| &pipeline.feeds)
    }

    /// Where a feed comes from: [`super::LISTENER`] or the name of a broker.
    #[must_use]
    pub fn source_of<'a>(&'a self, feed: &'a FeedDefinition) -> &'a str {
        feed.from.as_deref().unwrap_or(&self.sereno.default_source)
    }
}

/// Findings with their places in the files: errors and notes, each in the order of the lines.
fn diagnose(
    findings: Findings,
    sereno: Option<&SourceFile>,
    files: &[SourceFile],
) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let mut list: Vec<(usize, Diagnostic)> = Vec::new();
    for finding in findings.list {
        let (order, file) = match finding.file {
            In::Sereno => (0, sereno),
            In::Pipeline(index) => (index + 1, files.get(index)),
        };
        let (message, remedy) = (finding.fault.message.clone(), finding.fault.remedy.clone());
        let diagnostic = match file {
            Some(file) => {
                let span = place(&file.text, &finding.fault, finding.target);
                Diagnostic::of_text(finding.level, &file.name, &file.text, span, message, remedy)
            }
            None => Diagnostic::of_file(finding.level, Path::new("sereno.toml"), message, remedy),
        };
        list.push((order, diagnostic));
    }
    list.sort_by_key(|(order, diagnostic)| (*order, diagnostic.order()));
    let diagnostics = list.into_iter().map(|(_, diagnostic)| diagnostic);
    diagnostics.partition(|diagnostic| diagnostic.level() == Level::Error)
}
