//! Sereno's alerts about itself: they stand in the ledger like any other and go to the same
//! receivers, but follow from no rule and from no row of the results log.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::definition::{LocalText, Severity};
use crate::model::{AlertId, AlertState, Key, Timestamp, Transition};

/// The pipeline under which they are listed.
pub(super) const PIPELINE: &str = "sereno";

/// One such alert.
#[derive(Clone, Debug)]
pub(super) struct OwnAlert {
    /// Which.
    pub(super) id: AlertId,
    /// What it is about.
    pub(super) rule: &'static str,
    /// Name of the key's one tag, and its value.
    pub(super) key: (&'static str, Arc<str>),
    /// Arrival time from which it is firing.
    pub(super) began_at: Timestamp,
    /// Title.
    pub(super) title: LocalText,
    /// Message, with what to do.
    pub(super) message: LocalText,
    /// Figures.
    pub(super) evidence: Vec<(Arc<str>, Option<f64>)>,
}

impl OwnAlert {
    /// The step that raises it: decided at `decided_at` by the record `cause`.
    pub(super) fn raised(&self, cause: u64, decided_at: Timestamp, reason: &str) -> Transition {
        self.step((AlertState::Inactive, AlertState::Firing), None, (cause, decided_at, reason))
    }

    /// The step that ends it at `at`.
    pub(super) fn resolved(
        &self,
        at: Timestamp,
        cause: u64,
        decided_at: Timestamp,
        reason: &str,
    ) -> Transition {
        self.step((AlertState::Firing, AlertState::Resolved), Some(at), (cause, decided_at, reason))
    }

    fn step(
        &self,
        (from, to): (AlertState, AlertState),
        resolved_at: Option<Timestamp>,
        (cause, decided_at, reason): (u64, Timestamp, &str),
    ) -> Transition {
        Transition {
            cause,
            id: self.id,
            pipeline: PIPELINE.into(),
            rule: self.rule.into(),
            severity: Severity::Critical,
            by: vec![self.key.0.into()],
            key: Key([self.key.1.clone()].into()),
            from,
            to,
            began_at: self.began_at,
            raised_at: Some(self.began_at),
            resolved_at,
            at: resolved_at.unwrap_or(self.began_at),
            decided_at,
            notify: true,
            reason: reason.into(),
            title: self.title.clone(),
            message: self.message.clone(),
            labels: BTreeMap::new(),
            evidence: self.evidence.clone(),
            window: (self.began_at, self.began_at),
        }
    }
}
