//! Timelines of notifications against a real HTTP server on the loopback.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tempfile::TempDir;

use super::super::testing::{ledger, open, raised, resolved, s};
use super::*;
use crate::notify::{Webhook, WebhookOptions};

/// What the server got: delivery key, signature header, body.
type Got = (String, Option<String>, String);

/// A receiver's side: keeps what came and answers what it is told, 200 once that is used up.
#[derive(Clone, Default)]
struct Server {
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Server {
    async fn start(answers: &[u16]) -> (Self, String) {
        let server = Self { answers: Arc::new(Mutex::new(answers.to_vec())), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let app = Router::new().route("/alerts", post(Self::take)).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (server, url)
    }

    async fn take(State(server): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let body = String::from_utf8(body.to_vec()).unwrap();
        server.got.lock().unwrap().push((text("idempotency-key").unwrap(), text("sereno-signature"), body));
        let mut answers = server.answers.lock().unwrap();
        let code = if answers.is_empty() { 200 } else { answers.remove(0) };
        StatusCode::from_u16(code).unwrap()
    }

    async fn wait_for(&self, count: usize) -> Vec<Got> {
        let until = Instant::now() + Duration::from_secs(10);
        while self.got.lock().unwrap().len() < count {
            assert!(Instant::now() < until, "{count} notifications do not come");
            sleep(Duration::from_millis(2)).await;
        }
        self.got.lock().unwrap().clone()
    }
}

fn wall_clock() -> Clock {
    Arc::new(|| Timestamp(jiff::Timestamp::now().as_nanosecond() as i64))
}

fn dispatcher(ledger: &Arc<Ledger>) -> Dispatcher {
    let (first, longest) = (Duration::from_millis(20), Duration::from_millis(80));
    Dispatcher {
        ledger: ledger.clone(),
        metrics: Arc::new(Metrics::new()),
        backoff: Backoff { first, longest, give_up_after: Duration::from_secs(60) },
        clock: wall_clock(),
    }
}

fn route(name: &str, url: &str, secret: Option<&TempDir>) -> Route {
    let secret_file = secret.map(|directory| {
        let path = directory.path().join("secret");
        std::fs::write(&path, "a shared secret").unwrap();
        path
    });
    let options = WebhookOptions { url: url.to_owned(), secret_file };
    let receiver = Arc::new(Webhook::try_new(&options, wall_clock()).unwrap());
    Route { name: name.into(), concurrency: 4, receiver }
}

async fn wait_until_nothing_waits(ledger: &Ledger) {
    let until = Instant::now() + Duration::from_secs(10);
    while ledger.outbox().accounts().unwrap().iter().any(|account| account.waiting > 0) {
        assert!(Instant::now() < until, "the outbox does not empty");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_raised_alert_is_posted_at_once_with_key_and_signature() {
    let (server, url) = Server::start(&[]).await;
    let (directory, ledger) = ledger(&["office"]);
    let (stop, stopping) = watch::channel(false);
    let running =
        tokio::spawn(dispatcher(&ledger).run(vec![route("office", &url, Some(&directory))], stopping));

    ledger.apply(1, &[raised("rio-00", 30)]).unwrap();
    server.wait_for(1).await;
    let begin = Instant::now();
    let changes = ledger.apply(2, &[raised("rio-01", 60)]).unwrap();
    let got = server.wait_for(2).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());

    let (key, signature, body) = &got[1];
    assert_eq!(*key, format!("{}:1:office", changes[0].alert.id));
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&json["delivery_id"], &json["state"]), (&key.as_str().into(), &"firing".into()));
    let signature = signature.as_deref().unwrap();
    let seconds: i64 = signature[2..].split_once(',').unwrap().0.parse().unwrap();
    let secret = super::super::signature::Secret::read(&directory.path().join("secret")).unwrap();
    assert_eq!(signature, secret.sign(seconds, body.as_bytes()));

    wait_until_nothing_waits(&ledger).await;
    stop.send_replace(true);
    running.await.unwrap();
    assert_eq!(ledger.outbox().accounts().unwrap()[0].delivered, 2);
}

#[tokio::test]
async fn a_busy_receiver_is_tried_again_with_the_same_key_and_in_order() {
    let (server, url) = Server::start(&[503, 503]).await;
    let (_directory, ledger) = ledger(&["office"]);
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(dispatcher(&ledger).run(vec![route("office", &url, None)], stopping));
    ledger.apply(2, &[raised("rio-01", 60), resolved("rio-01", 90)]).unwrap();
    wait_until_nothing_waits(&ledger).await;
    let keys: Vec<String> = server
        .got
        .lock()
        .unwrap()
        .iter()
        .map(|(key, signature, _)| {
            assert_eq!(*signature, None, "no secret, no signature");
            key[33..].to_owned()
        })
        .collect();
    assert_eq!(keys, ["1:office", "1:office", "1:office", "2:office"]);
}

#[tokio::test]
async fn one_that_refuses_is_given_up_and_holds_back_nobody() {
    let (stubborn, stubborn_url) = Server::start(&[410]).await;
    let (fine, fine_url) = Server::start(&[]).await;
    let (_directory, ledger) = ledger(&["dead", "fine", "stubborn"]);
    let (_stop, stopping) = watch::channel(false);
    let routes = vec![
        route("stubborn", &stubborn_url, None),
        route("fine", &fine_url, None),
        // Nothing listens on the discard port: refused at once, tried again for a day.
        route("dead", "http://127.0.0.1:9/", None),
    ];
    tokio::spawn(dispatcher(&ledger).run(routes, stopping));
    ledger.apply(2, &[raised("rio-01", 60), resolved("rio-01", 90)]).unwrap();
    stubborn.wait_for(2).await;
    fine.wait_for(2).await;
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let accounts = ledger.outbox().accounts().unwrap();
        let found: BTreeMap<_, _> =
            accounts.iter().map(|a| (a.receiver.as_str(), (a.waiting, a.delivered, a.given_up))).collect();
        let want = [("dead", (2, 0, 0)), ("fine", (0, 2, 0)), ("stubborn", (0, 1, 1))];
        if found == BTreeMap::from(want) {
            break;
        }
        assert!(Instant::now() < until, "{found:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_was_owed_at_a_restart_arrives_and_no_key_is_missing() {
    let (server, url) = Server::start(&[503; 30]).await;
    let (directory, first) = ledger(&["office"]);
    let names: Vec<String> = (0..20).map(|n| format!("rio-{n:02}")).collect();
    let rows: Vec<_> = names.iter().map(|name| raised(name, 60)).collect();
    first.apply(20, &rows).unwrap();
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(dispatcher(&first).run(vec![route("office", &url, None)], stopping));
    server.wait_for(10).await;
    stop.send_replace(true);
    running.await.unwrap();
    drop(first);

    let ledger = open(&directory, &["office"]);
    assert!(ledger.apply(20, &rows).unwrap().is_empty(), "the last batch comes again after a restart");
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(dispatcher(&ledger).run(vec![route("office", &url, None)], stopping));
    wait_until_nothing_waits(&ledger).await;
    let keys: std::collections::BTreeSet<String> =
        server.got.lock().unwrap().iter().map(|(key, ..)| key.clone()).collect();
    assert_eq!(keys.len(), 20);
    assert_eq!(ledger.outbox().accounts().unwrap()[0].delivered, 20);
}

#[test]
fn a_day_of_failures_is_enough() {
    let (_directory, ledger) = ledger(&[]);
    let dispatcher = Dispatcher { backoff: Backoff::default(), ..dispatcher(&ledger) };
    let outbox = ledger.outbox();
    let route = route("office", "http://127.0.0.1:9/", None);
    let courier = Courier { route, outbox, dispatcher, in_flight: Vec::new() };
    let notification = Notification {
        id: "9f:1:office".into(),
        lane: "a/b/c".into(),
        state: crate::model::AlertState::Firing,
        body: Bytes::new(),
        attempts: 150,
        failing_since: Some(s(0)),
    };
    let away = SendError::Retry { message: "away".into(), after: Some(Duration::from_secs(3_000)) };
    let wait = |error: &SendError, at| courier.wait_after(&notification, error, s(at));
    assert_eq!(wait(&away, 86_399), Some(Duration::from_secs(3_000)), "the receiver's own wish counts");
    assert_eq!(wait(&away, 86_400), None);
    assert_eq!(wait(&SendError::refused("no"), 1), None);
}

/// `cargo test --release -- --ignored --nocapture from_publish_to_webhook`: a figure, no verdict.
#[tokio::test]
#[ignore = "a measurement"]
async fn from_publish_to_webhook() {
    let (server, url) = Server::start(&[]).await;
    let (_directory, ledger) = ledger(&["office"]);
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(dispatcher(&ledger).run(vec![route("office", &url, None)], stopping));
    let mut took = Vec::new();
    for n in 0..500_u16 {
        let begin = Instant::now();
        ledger.apply(u64::from(n), &[raised(&format!("rio-{n}"), 60)]).unwrap();
        while server.got.lock().unwrap().len() <= usize::from(n) {
            sleep(Duration::from_micros(200)).await;
        }
        took.push(begin.elapsed());
    }
    took.sort();
    println!("from publish to webhook: p50 {:?}, p99 {:?}, max {:?}", took[250], took[495], took[499]);
}
