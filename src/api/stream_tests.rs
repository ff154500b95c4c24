//! The live stream as a browser sees it.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use super::super::live::hub::{LiveEvent, QUEUE_EVENTS, STREAMS_MAX};
use super::super::testing::{City, at, dictionary, event};
use crate::notify::testing::{raised, resolved};

/// One stream, taken apart by the rules of the standard.
struct Browser {
    response: Response,
    text: String,
}

/// One event: name, id, data.
type Seen = (String, Option<String>, String);

impl Browser {
    async fn open(city: &City, last_event_id: Option<&str>) -> Self {
        let mut request = city.client.get(city.url("/api/v1/live"));
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next block, `None` at the end.
    async fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim_start_matches([':', ' ']).to_owned())
                };
                let seen =
                    (field("event").unwrap_or_default(), field("id"), field("data").unwrap_or_default());
                let comment = block.starts_with(':').then(|| ("comment".to_owned(), None, block.to_owned()));
                self.text = rest.to_owned();
                return comment.or(Some(seen));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(5), self.response.chunk()).await;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap().ok()??).unwrap());
        }
    }

    /// The next event of a name.
    async fn next_of(&mut self, name: &str) -> (Option<String>, Value) {
        loop {
            let (found, id, data) = self.next().await.unwrap();
            if found == name {
                return (id, serde_json::from_str(&data).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn readings_alerts_and_status_come_as_they_happen() {
    let city = City::start().await;
    let mut browser = Browser::open(&city, None).await;
    let (_, status) = browser.next_of("status").await;
    assert_eq!(status["events"], 2);

    city.live.apply_batch(&event(9, 0, 100, 101, &[31.5]), &dictionary());
    let (id, reading) = browser.next_of("reading").await;
    assert_eq!(id, None);
    assert_eq!((&reading["sensor"], &reading["feed"]), (&"aire-00042".into(), &"air".into()));
    assert_eq!((&reading["latitude"], &reading["event_at"]), (&6.251234.into(), &at(100).into()));
    assert_eq!(
        (&reading["readings"][0]["value"], &reading["readings"][0]["unit"]),
        (&31.5.into(), &"ug/m3".into())
    );

    let changes = city.ledger.apply(1, &[raised("rio-01", 60)]).unwrap();
    city.live.alerts_changed(&changes);
    let (id, alert) = browser.next_of("alert").await;
    assert_eq!((id.as_deref(), &alert["state"]), (Some("1"), &"firing".into()));

    // One more may have been on its way.
    while browser.next_of("status").await.1["alerts_firing"] != 1 {}
}

#[tokio::test]
async fn a_reader_that_comes_back_gets_the_alerts_it_missed_once() {
    let city = City::start().await;
    let rows = [raised("rio-01", 60), raised("rio-02", 61), resolved("rio-01", 90), raised("rio-03", 91)];
    let changes = city.ledger.apply(4, &rows).unwrap();
    let mut browser = Browser::open(&city, Some("2")).await;
    // It was in the ledger when the reader looked back: not sent again.
    city.live.alerts_changed(&changes[3..]);
    let next = city.ledger.apply(5, &[resolved("rio-03", 95)]).unwrap();
    city.live.alerts_changed(&next);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (id, alert) = browser.next_of("alert").await;
        seen.push((id.unwrap(), alert["key"]["sensor"].clone(), alert["state"].clone()));
    }
    let want = [("3", "rio-01", "resolved"), ("4", "rio-03", "firing"), ("5", "rio-03", "resolved")];
    assert_eq!(seen, want.map(|(id, key, state)| (id.to_owned(), key.into(), state.into())));

    let mut stranger = Browser::open(&city, Some("999")).await;
    let (id, _) = stranger.next_of("alert").await;
    assert_eq!(id.as_deref(), Some("2"), "an id of another ledger: all alerts come");

    let bad = city.client.get(city.url("/api/v1/live")).header("Last-Event-ID", "x").send().await.unwrap();
    assert_eq!(bad.status(), 400);
}

#[tokio::test]
async fn a_reader_too_slow_for_the_queue_is_told_and_dropped() {
    let city = City::start().await;
    let mut browser = Browser::open(&city, None).await;
    browser.next_of("status").await;
    // More than the sockets and the queue hold.
    let event = LiveEvent::new("reading", None, &"x".repeat(4_096)).unwrap();
    city.live.hub().send(vec![event; 2 * QUEUE_EVENTS]);
    let mut last = None;
    while let Some(seen) = browser.next().await {
        last = Some(seen);
    }
    let (name, _, text) = last.unwrap();
    assert!(name == "comment" && text.contains("dropped"), "{name} {text:.80}");
    let mut again = Browser::open(&city, None).await;
    again.next_of("status").await;
}

#[tokio::test]
async fn more_streams_than_places_are_refused_and_a_place_comes_free() {
    let city = City::start().await;
    let places = city.live.hub().places.clone();
    let mut taken = places.acquire_many_owned(STREAMS_MAX as u32).await.unwrap();
    let (status, body) = city.get("/api/v1/live").await;
    assert_eq!((status, &body["error"]["code"]), (503, &"too_many_streams".into()));
    drop(taken.split(1));
    Browser::open(&city, None).await;
}
