//! A pipeline's own settings.

use super::feed::timezone;
use super::scope::Scope;
use super::{Findings, In, at, key, name};
use crate::model::definition::{LocalText, PipelineDefinition};
use crate::model::{Fault, Span};
use crate::rule::Expression;
use crate::window::feed_set::FEEDS_MAX;

/// The format version of pipelines.
const VERSION: u32 = 1;

/// Checks the settings at the head of the file.
pub(super) fn check(file: In, pipeline: &PipelineDefinition, scope: &Scope<'_>, findings: &mut Findings) {
    let mut report = |path: &str, fault: Fault| findings.error(file, at([key(path)], fault));
    if pipeline.version != VERSION {
        report(
            "version",
            Fault::new(format!("version {} is unknown", pipeline.version), "write version = 1"),
        );
    }
    if let Err(fault) = name::dashed(&pipeline.name, "a pipeline") {
        report("name", fault);
    }
    if let Err(fault) = both_languages(&pipeline.title) {
        report("title", fault);
    }
    if scope.feeds.len() > FEEDS_MAX {
        let message = format!("the pipeline reads {} feeds", scope.feeds.len());
        let remedy = format!("{FEEDS_MAX} are the most; let other pipelines read some of them");
        report(if pipeline.reads.is_some() { "reads" } else { "feed" }, Fault::new(message, remedy));
    }
    if let Err(fault) = timezone(&pipeline.timezone) {
        report("timezone", fault);
    }
    if let Some(exclude) = &pipeline.exclude
        && !scope.feeds.is_empty()
        && let Err(fault) = Expression::compile(exclude, &scope.schema())
    {
        report("exclude", fault);
    }
    if pipeline.amend_every == Span::ZERO {
        report(
            "amend_every",
            Fault::new("amendments need some time between them", "write for example \"10s\""),
        );
    }
    let closes = Span(close_after(pipeline, scope).0.saturating_add(pipeline.allowed_lateness.0));
    if pipeline.open_max < closes {
        let message = format!(
            "windows are sealed {} after their end, before they are closed and their lateness is over",
            pipeline.open_max
        );
        report(
            "open_max",
            Fault::new(message, format!("write {closes} or more (close_after and allowed_lateness)")),
        );
    }
}

/// The longest out_of_orderness of the pipeline's feeds.
pub(super) fn out_of_orderness(scope: &Scope<'_>) -> Span {
    scope.feeds.iter().map(|feed| feed.out_of_orderness).max().unwrap_or_default()
}

/// When a silent key's window closes, after its end.
pub(super) fn close_after(pipeline: &PipelineDefinition, scope: &Scope<'_>) -> Span {
    let default = Span(out_of_orderness(scope).0.saturating_add(Span::seconds(5).0));
    pipeline.close_after.unwrap_or(default)
}

/// Refuses a text that is empty in a language.
pub(super) fn both_languages(text: &LocalText) -> Result<(), Fault> {
    for (language, part) in [("es", &text.es), ("en", &text.en)] {
        if part.trim().is_empty() {
            let remedy = "people read it in both languages; write one";
            return Err(Fault::new("the text is empty", remedy).under(language));
        }
    }
    Ok(())
}
