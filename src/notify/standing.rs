//! The alerts that stand in a range of time, read beside a running service; nothing is written.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::database::{LedgerError, check_format};
use super::history::from_json;
use crate::model::Timestamp;

/// An alert that was raised and neither annulled nor merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingAlert {
    /// Pipeline of the rule.
    pub pipeline: String,
    /// Rule.
    pub rule: String,
    /// Tag names to values.
    pub key: BTreeMap<String, String>,
    /// Event time at which the condition began to hold.
    pub began_at: Timestamp,
    /// Event time from which it fired.
    pub raised_at: Timestamp,
    /// Event time at which it was over; `None` while it lasts.
    pub resolved_at: Option<Timestamp>,
}

/// What the ledger of a file holds between two times, by begin; nothing when there is no file.
///
/// # Errors
/// [`LedgerError`]: it does not read.
pub fn standing(path: &Path, (from, to): (Timestamp, Timestamp)) -> Result<Vec<StandingAlert>, LedgerError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check_format(&connection, path)?;
    let mut statement = connection.prepare(
        "SELECT pipeline, rule, key, began_at, raised_at, resolved_at FROM alert
         WHERE raised_at IS NOT NULL AND state IN ('firing', 'resolved')
         AND began_at <= ?2 AND (resolved_at IS NULL OR resolved_at >= ?1)
         AND NOT EXISTS (SELECT 1 FROM step WHERE step.alert = alert.id AND reason LIKE 'merged into %')
         ORDER BY began_at, id",
    )?;
    let mut rows = statement.query(params![from.0, to.0])?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        alerts.push(StandingAlert {
            pipeline: row.get(0)?,
            rule: row.get(1)?,
            key: from_json(&row.get::<_, String>(2)?, "the key of an alert")?,
            began_at: Timestamp(row.get(3)?),
            raised_at: Timestamp(row.get(4)?),
            resolved_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        });
    }
    Ok(alerts)
}

#[cfg(test)]
mod tests {
    use AlertState::{Firing, Inactive, Resolved};

    use super::super::testing::{ledger, raised, resolved, s, transition};
    use super::*;
    use crate::model::{AlertState, ResultRow, Transition};

    #[test]
    fn of_a_range_those_stand_that_were_raised_and_neither_annulled_nor_merged() {
        let (directory, ledger) = ledger(&["operations"]);
        let step = |sensor, from, to, reason: &str| {
            let row = Transition { reason: reason.into(), ..transition(sensor, from, to, 120) };
            ResultRow::Transition(Box::new(row))
        };
        let rows = [
            raised("rio-01", 60),
            resolved("rio-01", 120),
            raised("rio-02", 60),
            step("rio-02", Firing, Inactive, "annulled by late data"),
            raised("rio-03", 60),
            step("rio-03", Firing, Resolved, "merged into 00"),
            raised("rio-04", 90),
        ];
        ledger.apply(1, &rows).unwrap();
        let path = directory.path().join("ledger.sqlite");
        let names = |from, to| -> Vec<String> {
            let alerts = standing(&path, (s(from), s(to))).unwrap();
            // Those that began at one time come by their ids, which say nothing.
            let mut names: Vec<String> = alerts.iter().map(|alert| alert.key["sensor"].clone()).collect();
            names.sort();
            names
        };
        assert_eq!(names(0, 300), ["rio-01", "rio-04"]);
        assert_eq!(names(130, 300), ["rio-04"], "the first was over by then");
        assert_eq!(standing(&directory.path().join("none"), (s(0), s(300))).unwrap(), []);
    }
}
