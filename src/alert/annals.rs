//! The alerts of one life that are over and final, kept so that a recompute can judge them again.
//!
//! What is final is no part of the fold any more; this is its memory, bounded: of more than
//! [`FINAL_KEPT_MAX`] alerts the oldest are forgotten, and nothing that reaches back to where it
//! forgot is judged again.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::episode::Episode;
use super::life::Name;
use crate::model::{Span, Timestamp};

/// Final alerts that a life keeps.
pub(super) const FINAL_KEPT_MAX: usize = 32;
/// Bytes that annals take at most.
pub(super) const BYTES_MAX: usize =
    size_of::<Annals>() + FINAL_KEPT_MAX * (size_of::<(Name, Episode)>() + size_of::<Name>());

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Annals {
    /// In the order of their episodes, which have no instant in common.
    alerts: VecDeque<(Name, Episode)>,
    /// Names of alerts that are one with an earlier one, and closed for ever.
    closed: VecDeque<Name>,
    /// Alerts that were over at or before are forgotten.
    forgotten_to: Option<Timestamp>,
}

impl Annals {
    /// Adds an alert in its place. The oldest of all is forgotten where there is no place left.
    pub(super) fn add(&mut self, name: Name, episode: Episode) {
        let is_older = |held: &mut (Name, Episode)| held.1.began_at < episode.began_at;
        while self.alerts.len() >= FINAL_KEPT_MAX {
            let oldest = self.alerts.pop_front_if(is_older);
            let is_it = oldest.is_none();
            let over = oldest.map_or(episode, |alert| alert.1).resolved_at;
            self.forgotten_to = self.forgotten_to.max(over);
            if is_it {
                return;
            }
        }
        make_room(&mut self.alerts);
        let place = self.alerts.partition_point(|held| held.1.began_at < episode.began_at);
        self.alerts.insert(place, (name, episode));
    }

    /// Gives an alert another episode.
    pub(super) fn moved(&mut self, name: Name, episode: Episode) {
        self.remove(name);
        self.add(name, episode);
    }

    /// Takes an alert out.
    pub(super) fn remove(&mut self, name: Name) {
        self.alerts.retain(|alert| alert.0 != name);
    }

    /// Closes a name for ever, unless it is that of an alert that stands.
    pub(super) fn close(&mut self, name: Name) {
        if !self.holds(name) {
            while self.closed.len() >= FINAL_KEPT_MAX {
                self.closed.pop_front();
            }
            make_room(&mut self.closed);
            self.closed.push_back(name);
        }
    }

    /// Whether no other alert may take a name.
    pub(super) fn holds(&self, name: Name) -> bool {
        self.alerts.iter().any(|alert| alert.0 == name) || self.closed.contains(&name)
    }

    /// Alerts by their episodes.
    pub(super) fn alerts(&self) -> impl Iterator<Item = (Name, Episode)> {
        self.alerts.iter().copied()
    }

    /// Says that alerts that were over at or before `at` are not known.
    pub(super) fn forget_to(&mut self, at: Timestamp) {
        self.forgotten_to = self.forgotten_to.max(Some(at));
    }

    /// Until when alerts were over that are forgotten.
    pub(super) fn forgotten_to(&self) -> Option<Timestamp> {
        self.forgotten_to
    }
}

/// Lets a list that is full grow, as lists do, but to no more than [`FINAL_KEPT_MAX`] places: one read
/// from a checkpoint begins with as many as it holds.
fn make_room<T>(list: &mut VecDeque<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len().max(4).min(FINAL_KEPT_MAX.saturating_sub(list.len())));
    }
}

/// An alert that stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its name.
    pub(super) name: Name,
    /// Its episode.
    pub(super) episode: Episode,
    /// Late data cannot change it any more.
    pub(super) is_final: bool,
}

/// What an alert comes to when its range is judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// An episode that no alert stands for.
    New(Episode),
    /// It has other times.
    Moved(Name, Episode),
    /// Its condition never held.
    Annulled(Name, Episode),
    /// It is one with an earlier alert.
    Joined(Name, Episode, Name),
}

/// Compares alerts with the episodes that now follow, both in order. Those that touch one another
/// are one group; a group of which a part is not final or does not lie in (after, to] is left alone.
pub(super) fn changes<'a>(
    mut known: &'a [Known],
    mut judged: &'a [Episode],
    (after, to): (Timestamp, Timestamp),
) -> Vec<Change> {
    let within = |episode: &Episode| {
        episode.began_at > after && episode.resolved_at.is_some_and(|resolved_at| resolved_at <= to)
    };
    let mut changes = Vec::new();
    while let Some((alerts, episodes)) = next_group(&mut known, &mut judged) {
        let settled = alerts.iter().all(|alert| alert.is_final && within(&alert.episode));
        if settled && episodes.iter().all(within) {
            compare(alerts, episodes, &mut changes);
        }
    }
    changes
}

/// Splits off what touches one another, earliest first.
fn next_group<'a>(
    known: &mut &'a [Known],
    judged: &mut &'a [Episode],
) -> Option<(&'a [Known], &'a [Episode])> {
    let first = known.first().map(|alert| alert.episode.began_at);
    let begin = first.into_iter().chain(judged.first().map(|episode| episode.began_at)).min()?;
    let mut end = begin.plus(Span(1));
    let (mut alerts, mut episodes) = (0, 0);
    loop {
        let next = match (known.get(alerts), judged.get(episodes)) {
            (Some(alert), _) if alert.episode.began_at < end => {
                alerts += 1;
                alert.episode
            }
            (_, Some(episode)) if episode.began_at < end => {
                episodes += 1;
                *episode
            }
            _ => break,
        };
        end = end.max(next.resolved_at.unwrap_or(Timestamp::MAX));
    }
    let (alerts, later) = known.split_at_checked(alerts)?;
    *known = later;
    let (episodes, later) = judged.split_at_checked(episodes)?;
    *judged = later;
    Some((alerts, episodes))
}

/// One group, as `Life::reconcile` would: the first alert that overlaps an episode stands for it.
fn compare(alerts: &[Known], episodes: &[Episode], changes: &mut Vec<Change>) {
    let mut old: VecDeque<&Known> = alerts.iter().collect();
    let times = |episode: &Episode| (episode.began_at, episode.raised_at, episode.resolved_at);
    for episode in episodes {
        while let Some(alert) = old.pop_front_if(|alert| alert.episode.lies_before(episode.began_at)) {
            changes.push(Change::Annulled(alert.name, alert.episode));
        }
        let Some(alert) = old.pop_front_if(|alert| alert.episode.overlaps(episode)) else {
            changes.push(Change::New(*episode));
            continue;
        };
        if times(&alert.episode) != times(episode) {
            changes.push(Change::Moved(alert.name, *episode));
        }
        while let Some(joined) = old.pop_front_if(|alert| alert.episode.overlaps(episode)) {
            changes.push(Change::Joined(joined.name, joined.episode, alert.name));
        }
    }
    changes.extend(old.into_iter().map(|alert| Change::Annulled(alert.name, alert.episode)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::episode::Because;

    fn alert(at: i64) -> (Name, Episode) {
        let episode = Episode {
            began_at: Timestamp(at),
            raised_at: Timestamp(at),
            resolved_at: Some(Timestamp(at + 5)),
            raised: Because::default(),
            ended: Because::default(),
            changes: 0,
        };
        (Name { first: Timestamp(at), number: 0 }, episode)
    }

    fn filled(annals: &mut Annals, times: impl Iterator<Item = i64>) {
        for (name, episode) in times.map(alert) {
            annals.add(name, episode);
            annals.close(Name { number: 1, ..name });
        }
    }

    fn bytes(annals: &Annals) -> usize {
        size_of::<Annals>()
            + annals.alerts.capacity() * size_of::<(Name, Episode)>()
            + annals.closed.capacity() * size_of::<Name>()
    }

    #[test]
    fn the_oldest_are_forgotten_and_what_is_kept_never_takes_more_than_it_may() {
        let mut annals = Annals::default();
        filled(&mut annals, (0..1_000).map(|n| n * 10));
        let begins: Vec<i64> = annals.alerts().map(|alert| alert.1.began_at.0).collect();
        assert_eq!(begins, (968..1_000).map(|n| n * 10).collect::<Vec<_>>());
        assert_eq!(annals.forgotten_to(), Some(Timestamp(9_675)));
        assert_eq!(bytes(&annals), BYTES_MAX);
        // As after a checkpoint, which keeps no room free.
        for held in [1, 5, 17, 20, 31] {
            let mut annals = Annals::default();
            filled(&mut annals, 0..held);
            let mut annals = annals.clone();
            filled(&mut annals, held..held + 300);
            assert_eq!(bytes(&annals), BYTES_MAX, "{held} before");
        }
    }

    #[test]
    fn one_that_is_older_than_all_that_are_kept_is_forgotten_itself() {
        let mut annals = Annals::default();
        filled(&mut annals, (1..=32).map(|n| n * 10));
        let (name, episode) = alert(3);
        annals.add(name, episode);
        assert!(!annals.holds(name));
        assert_eq!((annals.alerts().count(), annals.forgotten_to()), (32, Some(Timestamp(8))));
        let (name, episode) = alert(15);
        annals.add(name, episode);
        assert!(annals.holds(name) && annals.alerts().next().unwrap().0 == name);
        assert_eq!((annals.alerts().count(), annals.forgotten_to()), (32, Some(Timestamp(15))));
    }
}
