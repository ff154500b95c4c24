//! Accounts by feed and hour of arrival: a fold of the batch headers. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::accounts::Account;
use crate::model::time::SECOND;
use crate::model::{Accounts, Timestamp};

/// Hours kept, counted back from the newest: 31 days.
pub(crate) const HOURS_KEPT_MAX: i64 = 31 * 24;

/// The table; an hour is counted since 1970.
#[derive(Debug, Default)]
pub(super) struct AccountTable(BTreeMap<(i64, Arc<str>), Accounts>);

impl AccountTable {
    pub(super) fn add(&mut self, arrived_at: Timestamp, feed: &Arc<str>, delta: &Accounts) {
        let hour = hour_of(arrived_at);
        let is_new = !self.0.contains_key(&(hour, feed.clone()));
        self.0.entry((hour, feed.clone())).or_default().add(delta);
        if is_new {
            let newest = self.0.keys().next_back().map_or(hour, |(hour, _)| *hour);
            let oldest_kept = (newest - HOURS_KEPT_MAX + 1, Arc::from(""));
            self.0 = self.0.split_off(&oldest_kept);
        }
    }

    /// The accounts of a whole hour, unless the table holds as much of it.
    pub(super) fn recall(&mut self, hour: Timestamp, feed: &str, accounts: &Accounts) {
        let key = (hour_of(hour), Arc::from(feed));
        let newest = self.0.keys().next_back().map_or(key.0, |(hour, _)| *hour);
        let held = self.0.get(&key).map_or(0, |held| held.messages_received);
        if key.0 > newest - HOURS_KEPT_MAX && accounts.messages_received > held {
            self.0.insert(key, *accounts);
        }
    }

    pub(super) fn list(&self, feed: Option<&str>, hour: Option<Timestamp>) -> Vec<Account> {
        let hour = hour.map(hour_of);
        let wanted = |(at, name): &(i64, Arc<str>)| {
            hour.is_none_or(|hour| hour == *at) && feed.is_none_or(|feed| feed == &**name)
        };
        let mut rows: Vec<_> = self.0.iter().filter(|(key, _)| wanted(key)).collect();
        // The newest hour first; within it, feeds by name.
        rows.sort_by_key(|((hour, _), _)| std::cmp::Reverse(*hour));
        let row = |((hour, name), accounts): (&(i64, Arc<str>), &Accounts)| {
            Account::of(name, Timestamp(hour.saturating_mul(3_600 * SECOND)), accounts)
        };
        rows.into_iter().map(row).collect()
    }
}

fn hour_of(at: Timestamp) -> i64 {
    at.0.div_euclid(3_600 * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_add_up_and_a_month_is_kept() {
        let mut table = AccountTable::default();
        let delta = Accounts { messages_received: 2, ..Accounts::default() };
        let hour = |hour: i64| Timestamp(hour * 3_600 * SECOND + 5);
        for n in 0..800 {
            table.add(hour(n), &"air".into(), &delta);
            table.add(hour(n), &"river".into(), &delta);
            table.add(hour(n), &"air".into(), &delta);
        }
        assert_eq!(table.list(None, None).len() as i64, 2 * HOURS_KEPT_MAX);
        let air = table.list(Some("air"), Some(hour(799)));
        assert_eq!((air.len(), air[0].messages.received), (1, 4));
        assert_eq!(table.list(None, None)[0].hour, hour(799).minus(crate::model::Span(5)).to_string());
        table.add(hour(3), &"air".into(), &delta);
        assert!(table.list(None, Some(hour(3))).is_empty(), "too old to keep");
    }
}
