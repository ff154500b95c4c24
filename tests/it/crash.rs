//! `kill -9` of the real service at random moments under load, by both doors: every acknowledged
//! event is stored once, nothing else is, and what is published follows from the journal alone.
//!
//! `SERENO_KILLS` says how many kills by each door (10), `SERENO_SEED` repeats a run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::harness::table::Row;
use crate::harness::witness::{self, Load, Tally};
use crate::harness::{Mosquitto, Random, Sereno, Site, Witness, eventually, seconds};

/// Event time and number of every stored row.
pub const STORED: &str = "SELECT sensor, CAST(level AS BIGINT) AS number, time FROM level";
/// What says which window a row is of.
const WINDOW: [&str; 3] = ["sensor", "zone", "time"];
const RESULTS: [&str; 3] = ["level_level_10s_revisions", "level_zone_30s_revisions", "transitions"];

fn kills() -> u64 {
    std::env::var("SERENO_KILLS").map_or(10, |text| text.parse().expect("SERENO_KILLS is a number"))
}

#[test]
fn killed_at_random_the_own_listener_keeps_what_it_acknowledged() {
    let mut random = Random::of_test("crash: own listener");
    let site = Site::new(witness::SETTINGS).with_pipeline("level", &witness::pipeline());
    let witness = Witness::start(site.mqtt, Load::usual(), &mut random);
    kill_again_and_again(&site, &mut random);
    let service = site.start();
    let tally = witness.finish();
    check(&site, service, &tally);
}

#[test]
fn killed_at_random_behind_mosquitto_it_takes_each_message_once() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let mut random = Random::of_test("crash: mosquitto");
    let settings = format!("{}{}", broker.settings(), witness::SETTINGS);
    let site = Site::new(&settings).with_pipeline("level", &witness::pipeline());
    let service = site.start();
    broker.wait_for_subscription();
    service.kill();
    let witness = Witness::start(broker.port, Load::usual(), &mut random);
    kill_again_and_again(&site, &mut random);
    let service = site.start();
    let tally = witness.finish();
    check(&site, service, &tally);
}

/// Kills, each time a while after the service is ready or, once in three, at any moment of its
/// start.
pub fn kill_again_and_again(site: &Site, random: &mut Random) {
    for _ in 0..kills() {
        if random.one_in(3) {
            let mut process = site.launch(&[]);
            std::thread::sleep(Duration::from_millis(random.within(0..600)));
            assert!(process.ended().is_none(), "sereno ended of itself: {}", process.stderr());
            process.kill();
        } else {
            let service = site.start();
            std::thread::sleep(Duration::from_millis(random.within(0..1_500)));
            service.kill();
        }
    }
}

/// Waits until everything is stored and published, stops, and compares store, windows, accounts
/// and a second derivation from the journal with what the witness knows.
#[track_caller]
pub fn check(site: &Site, service: Sereno, tally: &Tally) {
    wait_until_stored(&service, tally);
    check_accounts(&service, tally);
    let counted = || {
        let answer = service.sql("SELECT sum(count) AS n FROM level_level_10s");
        answer[0]["n"].as_u64().filter(|counted| *counted >= tally.events())
    };
    eventually("every window is closed", seconds(90), counted);
    service.stop();
    tally.compare(&site.query(STORED));
    let counted = site.query("SELECT sum(count) AS n FROM level_level_10s");
    assert_eq!(counted[0]["n"], tally.events().to_string(), "readings counted in windows");
    check_derivation(site);
}

/// Waits for every event; where that is in vain, the rows say which are lost.
#[track_caller]
fn wait_until_stored(service: &Sereno, tally: &Tally) {
    let is_stored = || service.api("status", &[])["events"].as_u64() >= Some(tally.events());
    let start = Instant::now();
    while !is_stored() && start.elapsed() < seconds(30) {
        std::thread::sleep(Duration::from_millis(100));
    }
    if !is_stored() {
        let rows = service.sql("SELECT count(*) AS n FROM level");
        panic!("{} events were acknowledged, {} are stored", tally.events(), rows[0]["n"]);
    }
}

/// Publisher's count, accounts and `count(*)` are one.
#[track_caller]
fn check_accounts(service: &Sereno, tally: &Tally) {
    let messages = |what| service.messages("level", what);
    let events = |what| service.account("level", "events", what);
    let (received, quarantined) = (messages("received"), messages("quarantined"));
    assert_eq!(events("stored"), tally.events(), "events stored by the accounts");
    assert_eq!(events("conflicting"), 0, "events in conflict");
    assert_eq!(
        received,
        messages("decoded") + quarantined + messages("repeated"),
        "every message received became something"
    );
    assert_eq!(events("found"), events("stored") + events("duplicate"), "every event became something");
    assert!(quarantined >= tally.bad(), "{quarantined} of {} bad messages are quarantined", tally.bad());
    // The store reads behind the journal.
    let rows = || service.sql("SELECT count(*) AS n FROM level")[0]["n"].as_u64();
    let stored = || rows().filter(|rows| *rows >= tally.events());
    eventually("every event is a row", seconds(30), stored);
    assert_eq!(rows(), Some(tally.events()), "rows stored");
}

/// The journal alone gives the same results, byte by byte, as all the runs that were killed; the
/// store holds them, but for revisions that a merge of files dropped because a later one followed.
#[track_caller]
pub fn check_derivation(site: &Site) {
    let again = site.with_journal_alone(witness::SETTINGS);
    again.start().stop();
    check_results_logs(site, &again);
    for table in RESULTS {
        let last = site.query(&format!("SELECT max(cause) AS cause FROM {table}"))[0]["cause"].clone();
        let sql = format!("SELECT * FROM {table} WHERE cause <= {last}");
        let rows = |site: &Site| site.query(&sql).into_iter().collect::<BTreeSet<Row>>();
        let (before, after) = (rows(site), rows(&again));
        assert!(!before.is_empty(), "{table} holds something");
        let invented = before.difference(&after).next();
        assert!(invented.is_none(), "{table} holds what the journal does not give: {invented:#?}");
        let lost = after.difference(&before).find(|row| !is_superseded(row, &before));
        assert!(lost.is_none(), "{table} lacks what the journal gives: {lost:#?}");
    }
}

/// Every segment of the results log that both hold begins alike: derived again, the log may have
/// grown by what the clock brought meanwhile.
#[track_caller]
fn check_results_logs(site: &Site, again: &Site) {
    let mut compared = 0;
    for entry in std::fs::read_dir(site.path("data/results")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".log") {
            continue;
        }
        let read = |site: &Site| std::fs::read(site.path(&format!("data/results/{name}"))).unwrap();
        let (before, after) = (read(site), read(again));
        let same = before.iter().zip(&after).take_while(|(before, after)| before == after).count();
        assert_eq!(same, before.len(), "bytes of results/{name} that are the same, derived again");
        compared += same;
    }
    assert!(compared > 0, "the results log holds something");
}

/// Whether a later revision of the row's window is there.
fn is_superseded(row: &Row, rows: &BTreeSet<Row>) -> bool {
    let window = |row: &Row| WINDOW.map(|column| row.get(column).cloned());
    let cause = |row: &Row| row["cause"].parse::<u64>().unwrap();
    row.contains_key("revision")
        && rows.iter().any(|other| window(other) == window(row) && cause(other) > cause(row))
}
