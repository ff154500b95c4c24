//! Whether everything that was written fits together: names, feeds, windows, rules, the service.
//!
//! Each file below checks one noun and reports into [`Findings`]; nothing here reads a file but
//! [`files`].

mod feed;
pub(super) mod files;
mod name;
mod pipeline;
mod register;
mod rule;
mod scope;
mod sensors;
mod service;
mod topic;
mod window;

use super::diagnostic::Level;
use super::estimate::{self, Estimate};
use super::place::Target;
use super::sereno::Sereno;
use crate::model::Fault;
use crate::model::definition::PipelineDefinition;
use crate::model::fault::Step;
use scope::Scope;
pub(super) use window::PANES_MAX;

/// The file that a finding is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum In {
    /// `sereno.toml`.
    Sereno,
    /// The `pipeline.toml` with this number, in the order they were given.
    Pipeline(usize),
}

/// One thing found.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) file: In,
    pub(super) level: Level,
    pub(super) target: Target,
    pub(super) fault: Fault,
}

/// Everything found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) list: Vec<Finding>,
}

impl Findings {
    /// A mistake in a value; one is told of each place, the first that was found.
    fn error(&mut self, file: In, fault: Fault) {
        let told = self.list.iter().any(|known| {
            known.file == file
                && known.level == Level::Error
                && (&known.fault.path, known.fault.within) == (&fault.path, fault.within)
        });
        if told && !fault.path.is_empty() {
            return;
        }
        self.list.push(Finding { file, level: Level::Error, target: Target::Value, fault });
    }

    /// A mistake in the key before a value.
    fn error_at_key(&mut self, file: In, fault: Fault) {
        self.list.push(Finding { file, level: Level::Error, target: Target::Key, fault });
    }

    /// Something worth knowing.
    fn note(&mut self, file: In, fault: Fault) {
        self.list.push(Finding { file, level: Level::Note, target: Target::Value, fault });
    }
}

/// The fault at the end of a path.
fn at<const N: usize>(path: [Step; N], mut fault: Fault) -> Fault {
    fault.path.splice(0..0, path);
    fault
}

/// A step of a path.
fn key(name: &str) -> Step {
    Step::from(name)
}

/// Checks the service and all pipelines together; also estimates the state they will need.
pub(super) fn check(sereno: &Sereno, pipelines: &[PipelineDefinition]) -> (Findings, Vec<Estimate>) {
    let mut findings = Findings::default();
    name::check_unique(pipelines, &mut findings);
    service::check(sereno, &mut findings);
    let known = feed::check_all(sereno, pipelines, &mut findings);
    topic::check_overlaps(sereno, &known, &mut findings);
    let mut estimates = Vec::new();
    for (index, pipeline) in pipelines.iter().enumerate() {
        let file = In::Pipeline(index);
        let scope = Scope::of(index, pipeline, &known, &mut findings);
        pipeline::check(file, pipeline, &scope, &mut findings);
        for (at, window) in pipeline.windows.iter().enumerate() {
            window::check(file, at, window, &scope, &mut findings);
            estimates.extend(estimate::of_window(index, at, pipeline, window, &scope.feeds));
        }
        estimates.extend(estimate::of_readings(index, pipeline, &scope.feeds));
        for (at, feed) in pipeline.feeds.iter().enumerate() {
            estimates.extend(estimate::of_feed(index, at, pipeline, feed));
        }
        for (at, rule) in pipeline.rules.iter().enumerate() {
            rule::check(file, at, rule, pipeline, &scope, &mut findings);
        }
    }
    if let Some((index, fault)) = estimate::refuse(&estimates, sereno.limits.state_bytes_max) {
        findings.error(In::Pipeline(index), fault);
    }
    (findings, estimates)
}
