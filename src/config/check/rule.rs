//! Rules: what they look at, their conditions, their words and times.

use super::pipeline::{both_languages, close_after, out_of_orderness};
use super::scope::Scope;
use super::window::READINGS;
use super::{Findings, In, at, key, name};
use crate::model::definition::{LocalText, NoData, PipelineDefinition, RuleDefinition};
use crate::model::{Fault, Span};
use crate::rule::{Expression, Schema, Template, near};

/// The longest `for`, `keep_firing_for` and `stale_after`.
const LONGEST: Span = Span::seconds(31 * 86_400);

/// Checks one rule.
pub(super) fn check(
    file: In,
    index: usize,
    rule: &RuleDefinition,
    pipeline: &PipelineDefinition,
    scope: &Scope<'_>,
    findings: &mut Findings,
) {
    let mut report = |fault: Fault| findings.error(file, at([key("rule"), index.into()], fault));
    if let Err(fault) = name::dashed(&rule.name, "a rule") {
        report(fault.under("name"));
    }
    check_times(rule, pipeline, scope, &mut report);
    check_absence(rule, &mut report);
    for (place, text) in [("title", &rule.title), ("message", &rule.message)] {
        if let Err(fault) = both_languages(text) {
            report(fault.under(place));
        }
    }
    // What a rule on something unknown could name cannot be told.
    let Some(schema) = schema(rule, pipeline, scope, &mut report) else { return };
    if !rule.when.is_empty() && rule.absent_for.is_none() {
        check_condition("when", &rule.when, &schema, &mut report);
    }
    if let Some(clear) = &rule.clear {
        check_condition("clear", clear, &schema, &mut report);
    }
    check_text("title", &rule.title, &schema, &mut report);
    check_text("message", &rule.message, &schema, &mut report);
}

/// A rule has a condition, or it is about sensors from which nothing comes.
fn check_absence(rule: &RuleDefinition, report: &mut impl FnMut(Fault)) {
    let Some(limit) = rule.absent_for else {
        if rule.when.is_empty() {
            let fault = Fault::new("the rule has no condition", "write `when`, or `absent_for`");
            report(fault.under("when"));
        }
        return;
    };
    if limit == Span::ZERO || limit > LONGEST {
        let message = format!("a sensor cannot be absent for {limit}");
        report(Fault::new(message, format!("write more than 0s and at most {LONGEST}")).under("absent_for"));
    }
    if rule.on != READINGS {
        let fault = Fault::new("only sensors can be absent", "write on = \"readings\", or use `no_data`");
        report(fault.under("on"));
    }
    let others = [
        ("when", !rule.when.is_empty()),
        ("clear", rule.clear.is_some()),
        ("for", rule.hold != Span::ZERO),
        ("keep_firing_for", rule.keep_firing_for != Span::ZERO),
        ("no_data", rule.no_data != NoData::Hold),
    ];
    for (place, _) in others.into_iter().filter(|other| other.1) {
        let message = format!("`{place}` has no meaning beside `absent_for`");
        report(Fault::new(message, "take it out, or make two rules").under(place));
    }
}

/// The columns that the rule can name; `None` where `on` names nothing.
fn schema(
    rule: &RuleDefinition,
    pipeline: &PipelineDefinition,
    scope: &Scope<'_>,
    report: &mut impl FnMut(Fault),
) -> Option<Schema> {
    if rule.on == READINGS {
        return (!scope.feeds.is_empty()).then(|| scope.schema());
    }
    if let Some(window) = pipeline.windows.iter().find(|window| window.name == rule.on) {
        return Some(Schema::of_window(window));
    }
    let names = pipeline.windows.iter().map(|window| window.name.as_str()).chain([READINGS]);
    let remedy = near::suggest(&rule.on, names, "");
    report(Fault::new(format!("there is no window `{}` in this pipeline", rule.on), remedy).under("on"));
    None
}

fn check_condition(place: &str, sql: &str, schema: &Schema, report: &mut impl FnMut(Fault)) {
    match Expression::compile(sql, schema) {
        Err(fault) => report(fault.under(place)),
        Ok(condition) if condition.columns().is_empty() => {
            let names: Vec<&str> = schema.columns().iter().map(|column| &*column.name).collect();
            let message = "the condition looks at nothing, and is always the same";
            report(Fault::new(message, near::suggest("", names, "name a field")).under(place));
        }
        Ok(_) => {}
    }
}

/// Every placeholder names a column of what the rule looks at.
fn check_text(place: &str, text: &LocalText, schema: &Schema, report: &mut impl FnMut(Fault)) {
    for (language, text) in [("es", &text.es), ("en", &text.en)] {
        let mut refuse = |fault: Fault| report(at([key(place), key(language)], fault));
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(fault) => {
                refuse(fault);
                continue;
            }
        };
        for (name, within) in template.placeholders() {
            if schema.column(name).is_none() {
                let names: Vec<&str> = schema.columns().iter().map(|column| &*column.name).collect();
                let mut fault = Fault::new(
                    format!("there is nothing called `{name}` here"),
                    near::suggest(name, names, ""),
                );
                fault.within = Some(within);
                refuse(fault);
            }
        }
    }
}

fn check_times(
    rule: &RuleDefinition,
    pipeline: &PipelineDefinition,
    scope: &Scope<'_>,
    report: &mut impl FnMut(Fault),
) {
    let spans =
        [("for", rule.hold), ("keep_firing_for", rule.keep_firing_for), ("stale_after", rule.stale_after)];
    for (place, span) in spans {
        if span > LONGEST {
            let message = format!("{span} is longer than an alert is kept open");
            report(Fault::new(message, format!("write {LONGEST} or less")).under(place));
        }
    }
    if rule.on == READINGS && rule.stale_after == Span::ZERO {
        let fault = Fault::new("a verdict on readings would never stand", "write how long, as in \"1h\"");
        report(fault.under("stale_after"));
    }
    let closes = Span(out_of_orderness(scope).0.saturating_add(close_after(pipeline, scope).0));
    if rule.notify_within < closes {
        let message = format!(
            "nobody would be told: a window can close {closes} after its end, later than {}",
            rule.notify_within
        );
        let remedy = format!("write {closes} or more (out_of_orderness and close_after)");
        report(Fault::new(message, remedy).under("notify_within"));
    }
}
