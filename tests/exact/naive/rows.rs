//! The rows of the results log that the steps of an alert are.

use std::sync::Arc;

use sereno::model::definition::{LocalText, RuleDefinition};
use sereno::model::{AlertId, AlertState, Key, ResultRow, Transition};
use xxhash_rust::xxh3::xxh3_128;

use super::life::{Episode, Name, Step, What};
use super::world::stamp;

/// Names and values that were seen last, and the window or moment they are of.
pub type Evidence = (Vec<(Arc<str>, Option<f64>)>, (i64, i64));

/// Whose steps they are, and what decided them.
pub struct Teller<'a> {
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The rule, in its last words.
    pub rule: &'a RuleDefinition,
    /// What its key's parts are called.
    pub names: &'a [Arc<str>],
    /// The key.
    pub key: &'a Key,
    /// What was seen last.
    pub evidence: &'a Evidence,
    /// The arrival clock.
    pub arrival: i64,
    /// The record.
    pub cause: u64,
}

impl Teller<'_> {
    /// The row of a step.
    pub fn row(&self, (what, name, episode): Step) -> ResultRow {
        let (from, to, at, reason) = self.told(what, &episode);
        let before = to == AlertState::Pending || from == AlertState::Pending;
        ResultRow::Transition(Box::new(Transition {
            cause: self.cause,
            id: self.id(name),
            pipeline: self.pipeline.into(),
            rule: self.rule.name.as_str().into(),
            severity: self.rule.severity,
            by: self.names.to_vec(),
            key: self.key.clone(),
            from,
            to,
            began_at: stamp(episode.began),
            raised_at: (!before).then_some(stamp(episode.raised)),
            resolved_at: episode.resolved.map(stamp),
            at: stamp(at),
            decided_at: stamp(self.arrival),
            notify: self.arrival - at <= self.rule.notify_within.0,
            reason: reason.into(),
            title: self.rule.title.clone(),
            message: LocalText {
                es: self.fill(&self.rule.message.es, "sin dato"),
                en: self.fill(&self.rule.message.en, "no data"),
            },
            labels: self.rule.labels.clone(),
            evidence: self.evidence.0.clone(),
            window: (stamp(self.evidence.1.0), stamp(self.evidence.1.1)),
        }))
    }

    fn told(&self, what: What, episode: &Episode) -> (AlertState, AlertState, i64, String) {
        use AlertState::{Firing, Inactive, Pending, Resolved};
        let stands = if episode.resolved.is_some() { Resolved } else { Firing };
        let over = episode.resolved.unwrap_or(episode.raised);
        let [met, ended] = episode.why;
        match what {
            What::Pending => (Inactive, Pending, episode.began, met.to_owned()),
            What::Dropped => (Pending, Inactive, episode.began, "condition ended before its time".to_owned()),
            What::Raised(_) => (Inactive, Firing, episode.raised, met.to_owned()),
            What::Resolved => (Firing, Resolved, over, ended.to_owned()),
            What::Moved => (stands, stands, over, "times changed by late data".to_owned()),
            What::Reopened => (Resolved, Firing, episode.raised, "still holds by late data".to_owned()),
            What::Annulled => (stands, Inactive, episode.raised, "annulled by late data".to_owned()),
            What::Again => (Inactive, Firing, episode.raised, "raised again by late data".to_owned()),
            What::Merged(into) => (stands, Resolved, over, format!("merged into {}", self.id(into))),
            What::GoesOn => (Firing, Firing, self.evidence.1.1, "rule changed".to_owned()),
        }
    }

    /// A message; the words of a rule on readings may be those of a plan that has no sensor.
    fn fill(&self, text: &str, none: &str) -> String {
        let parts = self.names.iter().zip(self.key.0.iter());
        let filled =
            parts.fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
        filled.replace("{sensor}", none)
    }

    /// The id that a name stands for.
    fn id(&self, name: Name) -> AlertId {
        let mut bytes = Vec::new();
        let parts = [self.pipeline, self.rule.name.as_str()].into_iter();
        for part in parts.chain(self.key.0.iter().map(|part| &**part)) {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes.extend(name.0.to_le_bytes());
        if name.1 > 0 {
            bytes.extend(name.1.to_le_bytes());
        }
        AlertId(xxh3_128(&bytes))
    }
}

/// What a step is called where it is counted that it was met.
pub fn kind(step: &Step, rule: &RuleDefinition) -> String {
    let kept = rule.keep_firing_for.0 > 0;
    let kind = match (step.0, step.2.why) {
        (What::Raised(true), _) => "alert split",
        (What::Raised(_), ["no data", _]) if rule.absent_for.is_some() => "alert fired: absent",
        (What::Raised(_), ["no data", _]) => "alert fired: no data",
        (What::Raised(_), _) if step.2.raised > step.2.began => "alert fired by for",
        (What::Raised(_), _) => "alert fired at once",
        (What::Resolved, [_, "condition ended"]) if kept => "alert over: kept firing",
        (What::Resolved, [_, ended]) => return format!("alert over: {ended}"),
        (What::Merged(_), _) => "alert merged",
        (What::Pending, _) => "alert pending",
        (What::Dropped, _) => "alert dropped",
        (What::Moved, _) => "alert's times changed",
        (What::Reopened, _) => "alert still holds",
        (What::Annulled, _) => "alert annulled",
        (What::Again, _) => "alert raised again",
        (What::GoesOn, _) => "alert goes on, rule changed",
    };
    kind.to_owned()
}
