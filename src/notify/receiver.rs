//! What every receiver of notifications looks like, and what it says when it fails.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use thiserror::Error;

use crate::model::definition::Severity;
use crate::model::{AlertState, Timestamp, Transition};

/// The wall clock, as an argument.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Which transitions a receiver wants; the ledger queues by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Name of the receiver, unique.
    pub receiver: Arc<str>,
    /// Alerts below are not sent to it.
    pub severity_min: Severity,
}

impl Subscription {
    /// Whether the receiver wants to be told of a transition: one that people are to be told of,
    /// to `firing`, to `resolved`, or from one of them to `inactive` (annulled by late data).
    #[must_use]
    pub fn wants(&self, transition: &Transition) -> bool {
        let (from, to) = (transition.from, transition.to);
        let raised_or_over = matches!(to, AlertState::Firing | AlertState::Resolved);
        let annulled = to == AlertState::Inactive && from != AlertState::Pending;
        // An amendment that leaves the state as it is (a moved start) is recorded, not sent.
        let told = from != to && (raised_or_over || annulled);
        transition.notify && told && transition.severity >= self.severity_min
    }
}

/// One transition on its way to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Delivery key: alert id, number of the transition and receiver. A repeat has the same.
    pub id: String,
    /// Pipeline, rule and key as one path (see [`super::lane`]).
    pub lane: String,
    /// State that the alert came to.
    pub state: AlertState,
    /// The alert at that moment as JSON, with `delivery_id` and `transition`.
    pub body: Bytes,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When the first attempt failed.
    pub failing_since: Option<Timestamp>,
}

/// Why a notification did not arrive; whether to try again is in the type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The receiver is away or busy: try again later.
    #[error("{message}")]
    Retry {
        /// What happened, for the operator.
        message: String,
        /// The least wait that the receiver asked for.
        after: Option<Duration>,
    },
    /// The receiver will not take it however often it is sent: give up.
    #[error("{message}")]
    Refused {
        /// What happened and what to mend, for the operator.
        message: String,
    },
}

impl SendError {
    /// Try again by the usual back-off.
    #[must_use]
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry { message: message.into(), after: None }
    }

    /// Do not try again.
    #[must_use]
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into() }
    }
}

/// A place that notifications go to. It sends; when and how often, the dispatcher decides.
pub trait Receiver: Send + Sync {
    /// Sends one notification and returns once the other side has it.
    ///
    /// # Errors
    /// [`SendError`] says whether another attempt can help.
    fn send<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<(), SendError>>;
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn wants_raised_resolved_and_annulled_from_its_severity_on() {
        use AlertState::{Firing, Inactive, Pending, Resolved};
        let warning = Subscription { receiver: "a".into(), severity_min: Severity::Warning };
        let critical = Subscription { receiver: "b".into(), severity_min: Severity::Critical };
        for (from, to, want) in [
            (Inactive, Pending, false),
            (Pending, Firing, true),
            (Pending, Inactive, false),
            (Firing, Resolved, true),
            (Firing, Inactive, true),
            (Resolved, Inactive, true),
            (Resolved, Firing, true),
            (Firing, Firing, false),
        ] {
            let transition = testing::transition("rio-01", from, to, 0);
            assert_eq!(warning.wants(&transition), want, "{from:?} to {to:?}");
            assert!(!critical.wants(&transition));
            let old = Transition { notify: false, ..transition };
            assert!(!warning.wants(&old), "too old to tell");
        }
    }
}
