//! Names: how they are spelt, and that no two are the same.

use std::collections::BTreeMap;

use super::{Findings, In, at, key};
use crate::model::Fault;
use crate::model::definition::PipelineDefinition;
use crate::rule::is_reserved;

/// Bytes of a name.
const LENGTH_MAX: usize = 64;

/// Columns that rows have already: of raw events, and of windows.
const COLUMNS_OF_ROWS: [&str; 5] = ["time", "arrived_at", "sequence", "counter", "feed"];
const COLUMNS_OF_WINDOWS: [&str; 12] = [
    "time",
    "end",
    "count",
    "capture",
    "sufficient",
    "revision",
    "plan",
    "cause",
    "ordinal",
    "retracted",
    "pipeline",
    "window",
];

/// Checks the name of a pipeline, feed, rule, broker or receiver.
pub(super) fn dashed(name: &str, what: &str) -> Result<(), Fault> {
    spelt(name, what, |c| matches!(c, '-' | '_'), "`-` and `_`")
}

/// Checks the name of a window.
pub(super) fn plain(name: &str, what: &str) -> Result<(), Fault> {
    spelt(name, what, |c| c == '_', "`_`")
}

/// Checks the name of a column of raw events: a quantity or a tag.
pub(super) fn column_of_rows(name: &str, what: &str) -> Result<(), Fault> {
    column(name, what, &COLUMNS_OF_ROWS)
}

/// Checks the name of a column of a window's rows: a field or a key.
pub(super) fn column_of_windows(name: &str, what: &str) -> Result<(), Fault> {
    column(name, what, &COLUMNS_OF_WINDOWS)
}

fn column(name: &str, what: &str, taken: &[&str]) -> Result<(), Fault> {
    plain(name, what)?;
    if taken.contains(&name) {
        let message = format!("{what} cannot be called `{name}`: every row has a column of that name");
        return Err(Fault::new(message, format!("call it for example `{name}_1`")));
    }
    if !is_reserved(name) {
        return Ok(());
    }
    let message = format!("{what} cannot be called `{name}`: it is a word of SQL");
    Err(Fault::new(message, format!("call it for example `{name}_1`")))
}

fn spelt(name: &str, what: &str, also: impl Fn(char) -> bool, signs: &str) -> Result<(), Fault> {
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || also(c);
    if begins && name.chars().all(letters) && name.len() <= LENGTH_MAX {
        return Ok(());
    }
    let message = match name {
        "" => format!("the name of {what} is empty"),
        _ if name.len() > LENGTH_MAX => format!("the name of {what} has more than {LENGTH_MAX} letters"),
        _ => format!("`{name}` cannot be the name of {what}"),
    };
    let remedy = format!("begin with a lower-case letter, and go on with those, digits, {signs}");
    Err(Fault::new(message, remedy))
}

/// Refuses pipelines and feeds of the same name, across all files.
pub(super) fn check_unique(pipelines: &[PipelineDefinition], findings: &mut Findings) {
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for (index, pipeline) in pipelines.iter().enumerate() {
        if names.insert(comparable(&pipeline.name), &pipeline.name).is_some() {
            let fault = twice("pipeline", &pipeline.name);
            findings.error(In::Pipeline(index), at([key("name")], fault));
        }
    }
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for (index, pipeline) in pipelines.iter().enumerate() {
        for (feed, definition) in pipeline.feeds.iter().enumerate() {
            if names.insert(comparable(&definition.name), &pipeline.name).is_some() {
                let path = [key("feed"), feed.into(), key("name")];
                findings.error(In::Pipeline(index), at(path, twice("feed", &definition.name)));
            }
        }
        let windows = pipeline.windows.iter().map(|window| window.name.as_str());
        check_once(index, "window", windows, findings);
        check_once(index, "rule", pipeline.rules.iter().map(|rule| rule.name.as_str()), findings);
    }
}

fn check_once<'a>(index: usize, what: &str, names: impl Iterator<Item = &'a str>, findings: &mut Findings) {
    let mut known: Vec<String> = Vec::new();
    for (position, name) in names.enumerate() {
        let comparable = comparable(name);
        if known.contains(&comparable) {
            let path = [key(what), position.into(), key("name")];
            findings.error(In::Pipeline(index), at(path, twice(what, name)));
        }
        known.push(comparable);
    }
}

/// Names that differ in `-` and `_` only would be one table of the store.
fn comparable(name: &str) -> String {
    name.replace('-', "_")
}

fn twice(what: &str, name: &str) -> Fault {
    let message = format!("there is another {what} called `{name}`");
    Fault::new(message, "give one of them another name; `-` and `_` count as the same")
}
