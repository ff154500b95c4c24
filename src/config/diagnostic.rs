//! A mistake as people see it: what is wrong, in which file and line, and what to do.

use std::fmt;
use std::io::IsTerminal;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

/// How grave a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The service does not start.
    Error,
    /// Worth knowing; the service starts.
    Note,
}

/// How diagnostics are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With colours, for a terminal.
    Colour,
    /// Without colours, for files, pipes and `NO_COLOR`.
    Plain,
}

impl Style {
    /// Colours if standard error is a terminal and `NO_COLOR` is unset or empty.
    #[must_use]
    pub fn of_stderr() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stderr().is_terminal() && !refused { Self::Colour } else { Self::Plain }
    }
}

/// Columns of the drawing; longer lines are wrapped.
const WIDTH: usize = 100;

/// One mistake, or one thing worth knowing, in one file.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    level: Level,
    message: String,
    remedy: String,
    file: Arc<str>,
    excerpt: Option<Excerpt>,
}

#[derive(Clone, Debug)]
struct Excerpt {
    code: NamedSource<Arc<str>>,
    span: Range<usize>,
    line: usize,
    column: usize,
}

impl Diagnostic {
    /// Of a part of a file's text, by bytes.
    pub(super) fn of_text(
        level: Level,
        file: &Arc<str>,
        text: &Arc<str>,
        span: Range<usize>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let code = NamedSource::new(file, Arc::clone(text));
        let excerpt = Some(Excerpt { code, span, line, column });
        Self { level, message: message.into(), remedy: remedy.into(), file: Arc::clone(file), excerpt }
    }

    /// Of a file as a whole, or of one that cannot be read.
    pub(super) fn of_file(
        level: Level,
        file: &Path,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let file = file.display().to_string().into();
        Self { level, message: message.into(), remedy: remedy.into(), file, excerpt: None }
    }

    /// How grave it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// `pipelines/air-quality/pipeline.toml:31:8`, or the file alone.
    #[must_use]
    pub fn location(&self) -> String {
        match &self.excerpt {
            Some(excerpt) => format!("{}:{}:{}", self.file, excerpt.line, excerpt.column),
            None => self.file.to_string(),
        }
    }

    /// The part of the file it points at; empty if none.
    #[must_use]
    pub fn pointed_at(&self) -> &str {
        let excerpt = self.excerpt.as_ref();
        excerpt.and_then(|excerpt| excerpt.code.inner().get(excerpt.span.clone())).unwrap_or_default()
    }

    /// One line: `pipelines/air/pipeline.toml:31:8: there is no column ...; did you mean ...?`
    #[must_use]
    pub fn line(&self) -> String {
        let remedy = if self.remedy.is_empty() { String::new() } else { format!("; {}", self.remedy) };
        format!("{}: {}{remedy}", self.location(), self.message)
    }

    /// Draws it with the lines around, the part underlined, and an empty line at the end.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let theme = match style {
            Style::Colour => GraphicalTheme::unicode(),
            Style::Plain => GraphicalTheme::unicode_nocolor(),
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(WIDTH);
        let mut text = String::new();
        match handler.render_report(&mut text, self) {
            Ok(()) => text + "\n",
            // Only a writer that fails makes it fail, and a text never does.
            Err(_) => self.line(),
        }
    }

    /// Where it stands, for sorting.
    pub(super) fn order(&self) -> (usize, usize) {
        self.excerpt.as_ref().map_or((0, 0), |excerpt| (excerpt.span.start, excerpt.span.end))
    }
}

impl fmt::Display for Diagnostic {
    /// The headline: what is wrong, after the file's name where no excerpt names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.excerpt.is_none() {
            write!(f, "{}: ", self.file)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.level {
            Level::Error => miette::Severity::Error,
            Level::Note => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        (!self.remedy.is_empty()).then(|| Box::new(&self.remedy) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| &excerpt.code as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.excerpt.as_ref()?.span.clone();
        Some(Box::new(std::iter::once(LabeledSpan::new(None, span.start, span.len()))))
    }
}
