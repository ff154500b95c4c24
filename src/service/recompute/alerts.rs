//! What a recompute would do to alerts: the rules asked again, beside what the ledger holds.

use std::collections::BTreeMap;
use std::path::Path;

use crate::alert::{Because, Episode, Life, Step, StepKind};
use crate::flow::judged::{Judged, Standing};
use crate::model::{Aggregate, Timestamp};
use crate::notify::LedgerError;
use crate::notify::standing::standing;

/// What would become of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It would be recorded.
    Recorded,
    /// It would have other times.
    Moved,
    /// It would be annulled.
    Annulled,
    /// It would be one with an earlier alert.
    Merged,
}

/// One alert that would be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertDifference {
    /// What would become of it.
    pub fate: Fate,
    /// Pipeline and rule.
    pub rule: String,
    /// Key.
    pub key: Vec<String>,
    /// When it fired as it was published, if it was: raised, over.
    pub before: Option<(Timestamp, Option<Timestamp>)>,
    /// When it would have fired.
    pub now: Option<(Timestamp, Option<Timestamp>)>,
}

/// What the ledger holds of one pipeline.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// By rule and key.
    alerts: BTreeMap<(String, BTreeMap<String, String>), Vec<Episode>>,
    /// What would be different.
    pub(super) differences: Vec<AlertDifference>,
}

/// What the ledger of a file holds of a range, for each of these pipelines.
///
/// # Errors
/// [`LedgerError`]: it does not read.
pub(super) fn published<'a>(
    path: &Path,
    range: (Timestamp, Timestamp),
    pipelines: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, Published>, LedgerError> {
    let mut published: BTreeMap<String, Published> =
        pipelines.map(|name| (name.to_owned(), Published::default())).collect();
    for alert in standing(path, range)? {
        let Some(pipeline) = published.get_mut(&alert.pipeline) else { continue };
        let episode = Episode {
            began_at: alert.began_at,
            raised_at: alert.raised_at,
            resolved_at: alert.resolved_at,
            raised: Because::Condition,
            ended: Because::Condition,
            changes: 0,
        };
        pipeline.alerts.entry((alert.rule, alert.key)).or_default().push(episode);
    }
    Ok(published)
}

impl Standing for Published {
    /// What may still be amended is compared too: it says the same.
    fn may_amend(&self, _: &Aggregate) -> bool {
        false
    }

    fn judge_again(&mut self, judged: &Judged) -> Vec<Step> {
        let Judged { rule, key, episodes, range, .. } = judged;
        let known = self.alerts.remove(&(rule.name.to_string(), rule.named(key))).unwrap_or_default();
        // Numbered by their place, so that each step says which it is about.
        let numbered = (0_u64..).zip(&known).map(|(n, episode)| (episode.began_at, n, *episode));
        let mut life = Life::of_alerts(numbered);
        let identify = |began_at, number| rule.identify(key, began_at, number);
        let of = |step: &Step| {
            let mut own = (0_u64..).zip(&known);
            own.find(|(n, episode)| identify(episode.began_at, *n) == step.id).map(|(_, episode)| *episode)
        };
        let steps = life.judge_again(episodes, *range, &identify);
        for step in &steps {
            let times = |episode: Episode| (episode.raised_at, episode.resolved_at);
            let (fate, now) = match step.kind {
                StepKind::Recorded => (Fate::Recorded, Some(times(step.episode))),
                StepKind::Moved => (Fate::Moved, Some(times(step.episode))),
                StepKind::Merged(_) => (Fate::Merged, None),
                _ => (Fate::Annulled, None),
            };
            let before = of(step).filter(|_| fate != Fate::Recorded).map(times);
            let key = key.0.iter().map(ToString::to_string).collect();
            self.differences.push(AlertDifference { fate, rule: rule.place(), key, before, now });
        }
        steps
    }
}
