//! The outbox: order, back-off, bounds.

use super::super::testing::{ledger, open, raised, resolved, s};
use super::*;

fn ids(due: &Due) -> Vec<String> {
    due.notifications.iter().map(|n| n.id.clone()).collect()
}

#[test]
fn a_lane_is_sent_in_order_and_others_do_not_wait_for_it() {
    let (_directory, ledger) = ledger(&["a"]);
    ledger.apply(3, &[raised("rio-01", 60), resolved("rio-01", 90), raised("rio-02", 91)]).unwrap();
    let outbox = ledger.outbox();

    let due = outbox.due("a", s(100), 10).unwrap();
    assert_eq!(due.notifications.len(), 2, "the end of rio-01 waits for its beginning");
    assert!(due.notifications[0].id.ends_with(":1:a"));
    assert_eq!(due.notifications[0].lane, "river/river-high/rio-01");

    outbox.failed(&due.notifications[0].id, s(100), "away", Some(Duration::from_secs(5))).unwrap();
    let later = outbox.due("a", s(101), 10).unwrap();
    assert_eq!(later.next_attempt_at, Some(s(105)));
    assert_eq!(ids(&later), ids(&due)[1..], "only rio-02");

    let again = outbox.due("a", s(105), 10).unwrap();
    assert_eq!((again.notifications[0].attempts, again.notifications[0].failing_since), (1, Some(s(100))));
    outbox.delivered(&again.notifications[0].id).unwrap();
    let end = outbox.due("a", s(105), 1).unwrap();
    assert!(end.notifications[0].id.ends_with(":2:a"));
    assert_eq!(end.notifications[0].state, AlertState::Resolved);
}

#[test]
fn the_body_is_the_alert_of_that_moment_with_its_delivery() {
    let (_directory, ledger) = ledger(&["a"]);
    ledger.apply(2, &[raised("rio-01", 60), resolved("rio-01", 90)]).unwrap();
    let due = ledger.outbox().due("a", s(100), 10).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&due.notifications[0].body).unwrap();
    assert_eq!(body["state"], "firing");
    assert_eq!(body["delivery_id"], due.notifications[0].id);
    assert_eq!(body["transition"]["to"], "firing");
    assert_eq!(body["key"]["sensor"], "rio-01");
}

#[test]
fn given_up_frees_the_lane_and_is_counted() {
    let (_directory, ledger) = ledger(&["a"]);
    ledger.apply(2, &[raised("rio-01", 60), resolved("rio-01", 90)]).unwrap();
    let outbox = ledger.outbox();
    let first = outbox.due("a", s(100), 1).unwrap().notifications.remove(0);
    outbox.failed(&first.id, s(100), &"é".repeat(400), None).unwrap();
    let second = outbox.due("a", s(100), 1).unwrap().notifications.remove(0);
    assert!(second.id.ends_with(":2:a"));
    let account = &outbox.accounts().unwrap()[0];
    assert_eq!((account.given_up, account.waiting), (1, 1));
}

#[test]
fn a_receiver_that_was_removed_is_owed_nothing() {
    let (directory, ledger) = ledger(&["a", "b"]);
    ledger.apply(1, &[raised("rio-01", 60)]).unwrap();
    drop(ledger);
    let ledger = open(&directory, &["b"]);
    let accounts = ledger.outbox().accounts().unwrap();
    let (a, b) = (&accounts[0], &accounts[1]);
    assert_eq!((a.waiting, a.given_up, b.waiting, b.given_up), (0, 1, 1, 0));
}

#[test]
fn beyond_its_bound_a_receiver_sheds_and_counts() {
    let (_directory, ledger) = ledger(&["a"]);
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO outbox (id, receiver, lane, change, state, body) SELECT i, 'a', i, i, 'firing', '' FROM n";
    let outbox = ledger.outbox();
    outbox.database.writer().execute(sql, [signed(WAITING_MAX)]).unwrap();
    ledger.apply(1, &[raised("rio-01", 60)]).unwrap();
    let account = &outbox.accounts().unwrap()[0];
    assert_eq!((account.waiting, account.shed), (WAITING_MAX, 1));
    assert_eq!(ledger.alerts(super::super::StateFilter::All, 9).unwrap().len(), 1, "the alert is known");
}
