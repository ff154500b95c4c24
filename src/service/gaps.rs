//! Gaps of sinks as alerts of Sereno about itself.
//!
//! A sink that was so far behind that what it had not read is removed from the logs has a gap
//! ([`crate::journal::holders`]). The alert is raised once, stands in the ledger through restarts,
//! and is over when a person says that the stretch is filled or accepted, or when the sink is
//! configured no more. What was acknowledged is not told again, also after a restart; when more of the
//! same stretch goes, the same alert fires again. It is durable before the sink reads on behind the
//! gap, because then nothing else tells of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_128;

use super::own::{OwnAlert, PIPELINE};
use super::{ServiceError, texts};
use crate::api::LiveView;
use crate::journal::{Holder, Holders, Progress};
use crate::model::{AlertId, Timestamp};
use crate::notify::Ledger;

/// The rule.
const RULE: &str = "sink-gap";
/// The name of its key.
const KEY: &str = "sink";
/// What an acknowledged alert says of how far the gap reached: an epoch and a frame.
const ACKNOWLEDGED: [&str; 2] = ["journal_to", "results_to"];

/// Raises and ends the alerts.
pub struct Gaps {
    ledger: Arc<Ledger>,
    live: Arc<LiveView>,
    journal: Arc<Progress>,
    /// Open alerts by sink.
    open: Mutex<BTreeMap<Arc<str>, Open>>,
}

/// An alert that the ledger has taken.
struct Open {
    alert: OwnAlert,
    /// Whether a loss of power cannot take it back.
    is_durable: bool,
}

impl Gaps {
    /// With the alerts that the ledger holds from before.
    ///
    /// # Errors
    /// [`ServiceError::Ledger`]: the service does not start.
    pub fn new(
        ledger: Arc<Ledger>,
        live: Arc<LiveView>,
        journal: Arc<Progress>,
    ) -> Result<Self, ServiceError> {
        let mut open = BTreeMap::new();
        for alert in ledger.firing_of(PIPELINE, RULE)? {
            let id = u128::from_str_radix(&alert.id, 16).map(AlertId);
            let began_at = Timestamp::parse_rfc3339(&alert.started_at);
            if let (Ok(id), Some(began_at), Some(sink)) = (id, began_at, alert.key.get(KEY)) {
                let sink: Arc<str> = sink.as_str().into();
                let evidence = alert.value.iter().map(|(name, value)| (name.as_str().into(), *value));
                let alert = own_alert(id, sink.clone(), began_at, evidence.collect());
                // Opening the ledger synced it, or nothing had room: then this is asked for again.
                open.insert(sink, Open { alert, is_durable: false });
            }
        }
        Ok(Self { ledger, live, journal, open: Mutex::new(open) })
    }

    /// A sink begins to read: a gap from before the start is a gap still, and one that was
    /// acknowledged stays so.
    ///
    /// # Errors
    /// [`ServiceError::Ledger`]: the service does not start.
    pub fn recall(&self, sink: &Holder) -> Result<(), ServiceError> {
        if self.open.lock().unwrap_or_else(PoisonError::into_inner).contains_key(sink.name()) {
            sink.recall_gap();
        } else if let Some(alert) = self.ledger.alert(&identity(sink).to_string())? {
            // A sink that is still away stands where it stood, and its gap has the same identity.
            let reached = ACKNOWLEDGED.map(|name| alert.value.get(name).copied().flatten());
            if let [Some(journal), Some(results)] = reached {
                sink.recall_acknowledged((journal as u64, results as u64));
            }
        }
        Ok(())
    }

    /// Raises the alert of a sink with a gap, unless it is raised; it is durable when this returns.
    ///
    /// # Errors
    /// [`ServiceError::Ledger`]; the sink must not read on.
    pub fn raise(&self, sink: &Holder) -> Result<(), ServiceError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.get_mut(sink.name()) {
            return self.secure(open);
        }
        let (journal, results) = sink.position();
        let name: Arc<str> = sink.name().into();
        let position = |at: u64| (at != u64::MAX).then_some(at as f64);
        let evidence = vec![("journal".into(), position(journal)), ("results".into(), position(results))];
        let id = identity(sink);
        let now = self.journal.arrived_at();
        let alert = own_alert(id, name.clone(), now, evidence);
        let step = alert.raised(self.journal.records(), now, "the logs no longer hold what comes next");
        self.live.alerts_changed(&self.ledger.observe(step)?);
        // It is told: where only the sync fails, that alone is tried again.
        self.secure(open.entry(name).or_insert(Open { alert, is_durable: false }))
    }

    fn secure(&self, open: &mut Open) -> Result<(), ServiceError> {
        if !open.is_durable {
            self.ledger.secure()?;
            open.is_durable = true;
        }
        Ok(())
    }

    /// Raises what is due, and ends what people acknowledged or configured away.
    ///
    /// # Errors
    /// [`ServiceError::Ledger`]; the same is due the next time.
    pub fn settle(&self, holders: &Holders) -> Result<(), ServiceError> {
        let sinks = holders.sinks();
        for sink in sinks.iter().filter(|sink| sink.needs_backfill()) {
            self.raise(sink)?;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = open.keys().cloned().collect();
        for name in names {
            let (reason, reached) = match sinks.iter().find(|sink| sink.name() == &*name) {
                Some(sink) if sink.needs_backfill() => continue,
                Some(sink) => ("acknowledged", Some(sink.acknowledged_to())),
                None => ("the sink is configured no more", None),
            };
            let now = self.journal.arrived_at();
            if let Some(Open { alert, .. }) = open.get(&name) {
                let mut alert = alert.clone();
                if let Some((journal, results)) = reached {
                    let reached = [journal, results].map(|at| Some(at as f64));
                    alert.evidence.extend(ACKNOWLEDGED.map(Arc::from).into_iter().zip(reached));
                }
                let step = alert.resolved(now, self.journal.records(), now, reason);
                self.live.alerts_changed(&self.ledger.observe(step)?);
            }
            open.remove(&name);
        }
        Ok(())
    }
}

/// Which gap: that of a sink that stood there.
fn identity(sink: &Holder) -> AlertId {
    let (journal, results) = sink.position();
    let identity = format!("{PIPELINE}\n{RULE}\n{}\n{journal}\n{results}", sink.name());
    AlertId(xxh3_128(identity.as_bytes()))
}

fn own_alert(
    id: AlertId,
    sink: Arc<str>,
    began_at: Timestamp,
    evidence: Vec<(Arc<str>, Option<f64>)>,
) -> OwnAlert {
    let places = [("sink", sink.to_string())];
    OwnAlert {
        id,
        rule: RULE,
        key: (KEY, sink),
        began_at,
        title: texts::both(|texts| texts.gap_title.to_owned()),
        message: texts::both(|texts| texts::fill(texts.gap_message, &places)),
        evidence,
    }
}

#[cfg(test)]
#[path = "gaps_tests.rs"]
mod tests;
