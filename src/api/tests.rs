//! Every endpoint over real HTTP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH};
use serde_json::{Value, json};

use super::testing::{City, at};
use super::{HostPolicy, NoStore, RecomputeRefusal};
use crate::model::AlertState::{Inactive, Pending};
use crate::model::Span;
use crate::notify::testing::{raised, resolved, row};

#[tokio::test]
async fn status_shows_the_service_at_a_glance() {
    let city = City::start().await;
    city.ledger.apply(1, &[raised("rio-01", 60)]).unwrap();
    city.metrics.journal_bytes.set(4_096);
    city.ready.store(true, Ordering::Relaxed);
    let want = json!({
        "version": env!("CARGO_PKG_VERSION"), "ready": true, "started_at": at(0), "now": at(4),
        "events_per_second": 0.2, "events": 2, "sensors": 2, "alerts_firing": 1, "quarantined": 1,
        "journal_bytes": 4096, "host_clock_ahead_seconds": 0, "sinks": [], "zone": "America/Bogota",
        "languages": ["es", "en"],
        "checkpoint": {"age_seconds": 0.0, "pause_seconds": 0.0, "bytes": 0, "keys": 0, "failures": 0}
    });
    assert_eq!(city.get("/api/v1/status").await, (200, want));
}

#[tokio::test]
async fn sensors_are_filtered_and_paged() {
    let city = City::start().await;
    let air = json!({
        "id": 0, "name": "aire-00042", "feed": "air", "tags": {"zone": "comuna-07"},
        "latitude": 6.251234, "longitude": -75.561234, "last_event_at": at(1), "last_arrived_at": at(2),
        "readings": [{"quantity": "pm25", "unit": "ug/m3", "value": 23.4, "event_at": at(1)}]
    });
    let only_air = json!({"sensors": [air], "next": null});
    for query in ["feed=air", "tag.zone=comuna-07", "feed=air&tag.zone=comuna-07&limit=1"] {
        assert_eq!(city.get(&format!("/api/v1/sensors?{query}")).await, (200, only_air.clone()), "{query}");
    }
    let (_, first) = city.get("/api/v1/sensors?limit=1").await;
    assert_eq!(first, json!({"sensors": [air], "next": 0}));
    let (_, second) = city.get("/api/v1/sensors?limit=1&after=0").await;
    assert_eq!((&second["sensors"][0]["name"], &second["next"]), (&json!("rio-01"), &Value::Null));
    assert_eq!(city.get("/api/v1/sensors?feed=noise").await.1, json!({"sensors": [], "next": null}));
}

#[tokio::test]
async fn readings_and_aggregates_ask_the_store() {
    let city = City::start().await;
    let (from, to) = ("2026-03-01T12:00:00-05:00", "2026-03-01T13:00:00-05:00");
    let readings =
        format!("/api/v1/readings?sensor=aire-00042&quantity=pm25&from={from}&to={to}&limit=99999");
    let want = json!({"rows": [{"time": at(0), "sensor": "aire-00042", "feed": "air", "quantity": "pm25",
        "value": 23.4}], "truncated": false});
    assert_eq!(city.get(&readings).await, (200, want));
    let aggregates = format!(
        "/api/v1/aggregates?pipeline=air-quality&window=pm25_1h&sensor=a&key.zone=b&from={from}&to={to}"
    );
    let want = json!({"rows": [{"time": at(0), "end": at(3600), "pipeline": "air-quality", "window": "pm25_1h",
        "key": {"sensor": "a", "zone": "b"}, "revision": 123, "count": 360, "capture": 1.0,
        "fields": {"pm25_mean": 23.1}}], "truncated": true});
    assert_eq!(city.get(&aggregates).await, (200, want));
    let asked = city.reads.0.lock().unwrap().clone();
    assert!(asked[0].contains("limit: 10000"), "held at the maximum: {}", asked[0]);

    // Without a range: the day before now.
    city.get("/api/v1/readings").await;
    let asked = city.reads.0.lock().unwrap().pop().unwrap();
    assert!(asked.contains("sensor: None") && asked.contains("limit: 1000"), "{asked}");
}

#[tokio::test]
async fn alerts_are_listed_by_state_the_last_changed_first() {
    let city = City::start().await;
    let rows = [
        row("rio-00", Inactive, Pending, 0),
        raised("rio-01", 60),
        raised("rio-02", 61),
        resolved("rio-01", 90),
    ];
    city.ledger.apply(4, &rows).unwrap();
    for (state, want) in [
        ("?state=firing", vec!["rio-02"]),
        ("?state=resolved", vec!["rio-01"]),
        ("?state=pending", vec!["rio-00"]),
        ("?state=all", vec!["rio-01", "rio-02", "rio-00"]),
        ("?limit=1", vec!["rio-01"]),
        ("", vec!["rio-01", "rio-02", "rio-00"]),
    ] {
        let (status, body) = city.get(&format!("/api/v1/alerts{state}")).await;
        let found: Vec<_> =
            body["alerts"].as_array().unwrap().iter().map(|a| a["key"]["sensor"].as_str().unwrap()).collect();
        assert_eq!((status, found), (200, want), "{state}");
    }
    let (_, body) = city.get("/api/v1/alerts?state=resolved").await;
    let alert = &body["alerts"][0];
    let want = json!({
        "id": alert["id"], "pipeline": "river", "rule": "river-high", "severity": "warning", "state": "resolved",
        "key": {"sensor": "rio-01"}, "labels": {"area": "norte"},
        "title": {"es": "Río alto", "en": "River high"}, "message": {"es": "312 cm", "en": "312 cm"},
        "started_at": at(0), "raised_at": at(60), "resolved_at": at(90), "decided_at": at(91),
        "value": {"level_cm": 312.0, "rain_mm": null},
        "transitions": [
            {"from": "pending", "to": "firing", "at": at(60), "decided_at": at(61), "cause": "condition met"},
            {"from": "firing", "to": "resolved", "at": at(90), "decided_at": at(91), "cause": "condition met"}
        ]
    });
    assert_eq!(*alert, want);
    let one = format!("/api/v1/alerts/{}", alert["id"].as_str().unwrap());
    assert_eq!(city.get(&one).await, (200, want));
    let (status, body) = city.get("/api/v1/alerts/00").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn pipelines_feeds_accounts_and_quarantine_follow_the_journal() {
    let city = City::start().await;
    let pipeline = json!({
        "name": "air-quality", "title": {"es": "Calidad del aire", "en": "Air quality"}, "description": null,
        "timezone": "America/Bogota", "feeds": ["air"],
        "windows": [{"name": "pm25_1h", "by": ["sensor"], "size": "1h", "slide": "1h",
            "fields": ["n", "pm25_mean"], "units": {"n": "1", "pm25_mean": "ug/m3"}}],
        "rules": [{"name": "pm25-high", "on": "pm25_1h", "severity": "warning", "when": "pm25_mean > 37",
            "clear": null, "for": "2h", "title": {"es": "PM2.5 alto", "en": "High PM2.5"}}]
    });
    assert_eq!(city.get("/api/v1/pipelines").await, (200, json!({"pipelines": [pipeline]})));
    let quantity = |name: &str, unit: &str, label: &str| json!({"name": name, "unit": unit, "label": {"es": label, "en": label}});
    let feed = json!({
        "name": "air", "source": "listener", "topic": "ciudad/{zone}/aire/{sensor}", "decoder": "json",
        "connected": true, "observed": true, "last_arrived_at": at(3),
        "quantities": [quantity("lat", "", "lat"), quantity("lon", "", "lon"), quantity("pm25", "ug/m3", "PM2.5")]
    });
    assert_eq!(city.get("/api/v1/feeds").await, (200, json!({"feeds": [feed]})));
    let nothing =
        json!({"found": 0, "stored": 0, "duplicate": 0, "conflicting": 0, "quarantined": 0, "refused": 0});
    let account = json!({
        "feed": "air", "hour": at(0), "events": nothing, "readings": nothing, "readings_rejected": 0,
        "messages": {"received": 3, "decoded": 2, "partly_decoded": 0, "quarantined": 1, "repeated": 0,
            "ignored": 0, "refused": 0}
    });
    for (query, want) in [
        ("", vec![account.clone()]),
        ("?feed=air&hour=2026-03-01T12:59:59-05:00", vec![account]),
        ("?feed=river", vec![]),
        ("?hour=2026-03-01T13:00:00-05:00", vec![]),
    ] {
        let path = format!("/api/v1/accounts{query}");
        assert_eq!(city.get(&path).await, (200, json!({"accounts": want})), "{query}");
    }
    let (status, body) = city.get("/api/v1/accounts?sensor=aire-00042&hour=2026-03-01T12:59:59-05:00").await;
    let sensor = &body["accounts"][0];
    assert_eq!((status, &sensor["sensor"], &sensor["hour"]), (200, &json!("aire-00042"), &json!(at(0))));
    assert_eq!((&sensor["events"]["found"], &sensor["events"]["duplicate"]), (&json!(2), &json!(1)));
    let refused = json!({
        "sequence": 4, "arrived_at": at(3), "feed": "air", "topic": "ciudad/comuna-07/aire/aire-00042",
        "reason": "bad_json", "detail": "expected `:` at line 1 column 5", "payload": "{\"id\" 7}",
        "payload_bytes": 8
    });
    assert_eq!(
        city.get("/api/v1/quarantine?feed=air&limit=5").await,
        (200, json!({"quarantine": [refused]}))
    );
    assert_eq!(city.get("/api/v1/quarantine?feed=river").await, (200, json!({"quarantine": []})));
}

#[tokio::test]
async fn bad_requests_say_what_is_wrong_and_what_to_do() {
    let city = City::start().await;
    for (path, status, code) in [
        ("/api/v1/sensors?limit=0", 400, "bad_request"),
        ("/api/v1/sensors?fed=air", 400, "bad_request"),
        ("/api/v1/sensors?after=x", 400, "bad_request"),
        ("/api/v1/readings?from=yesterday", 400, "bad_request"),
        ("/api/v1/readings?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", 400, "bad_request"),
        ("/api/v1/aggregates?pipeline=air-quality", 400, "bad_request"),
        ("/api/v1/alerts?state=burning", 400, "bad_request"),
        ("/api/v1/accounts?hour=noon", 400, "bad_request"),
        ("/api/v1/nothing", 404, "not_found"),
        ("/api/v1/query", 405, "method_not_allowed"),
        ("/missing.js", 404, "not_found"),
    ] {
        let (found, body) = city.get(path).await;
        assert_eq!((found, &body["error"]["code"]), (status, &json!(code)), "{path}");
        for part in ["message", "remedy"] {
            assert!(!body["error"][part].as_str().unwrap().is_empty(), "{path}: {part}");
        }
    }
    let posted = city.client.post(city.url("/somewhere")).send().await.unwrap();
    assert_eq!(posted.status(), 405);
}

#[tokio::test]
async fn queries_read_as_json_or_csv_and_bad_ones_are_refused() {
    let city = City::start().await;
    let ask = async |body: String, content_type: &str| {
        let request =
            city.client.post(city.url("/api/v1/query")).header(CONTENT_TYPE, content_type).body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let json_type = "application/json";
    let (status, text) = ask(r#"{"sql":"SELECT 1"}"#.to_owned(), json_type).await;
    assert_eq!((status, text.as_str()), (200, r#"{"rows":[{"n":1}],"truncated":false}"#));
    let (status, text) = ask(r#"{"sql":"SELECT 1","format":"csv"}"#.to_owned(), json_type).await;
    assert_eq!((status, text.as_str()), (200, r#"[{"n":1}]"#), "as the store gave it");
    for (body, content_type, want) in [
        (r#"{"sql":"broken"}"#.to_owned(), json_type, 400),
        (r#"{"sql":" "}"#.to_owned(), json_type, 400),
        (r#"{"sql":"SELECT 1","fromat":"csv"}"#.to_owned(), json_type, 422),
        ("{".to_owned(), json_type, 400),
        (r#"{"sql":"SELECT 1"}"#.to_owned(), "text/plain", 415),
        (format!(r#"{{"sql":"{}"}}"#, "x".repeat(super::REQUEST_BYTES_MAX)), json_type, 413),
    ] {
        let (status, text) = ask(body.clone(), content_type).await;
        let want = if want == 422 { 400 } else { want };
        assert_eq!(status, want, "{:.60}", body);
        assert!(text.contains("remedy"), "{text}");
    }
    let proxied = city.client.post(city.url("/api/v1/query")).header("X-Forwarded-For", "10.0.0.1");
    assert_eq!(proxied.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn without_a_store_its_endpoints_say_how_to_get_one() {
    let city = City::start_with(|parts| parts.reads = std::sync::Arc::new(NoStore::default())).await;
    for path in ["/api/v1/readings", "/api/v1/aggregates?pipeline=a&window=b"] {
        let (status, body) = city.get(path).await;
        assert_eq!((status, &body["error"]["code"]), (501, &json!("not_available")));
        assert!(body["error"]["remedy"].as_str().unwrap().contains("store"));
    }
}

#[tokio::test]
async fn other_host_names_are_refused_and_every_answer_is_secured() {
    let city = City::start().await;
    let with_host = async |host: &str| {
        let request = city.client.get(city.url("/api/v1/status")).header(HOST, host);
        request.send().await.unwrap()
    };
    let refused = with_host("evil.example").await;
    assert_eq!(refused.status(), 403);
    let headers = refused.headers();
    assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert!(headers.get("access-control-allow-origin").is_none());
    assert_eq!(with_host("localhost:8080").await.status(), 200);

    let public = City::start_with(|parts| parts.hosts = HostPolicy::new(false, &[])).await;
    let request = public.client.get(public.url("/healthz")).header(HOST, "city.example");
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn health_readiness_metrics_and_description_answer() {
    let city = City::start().await;
    let get = async |path: &str| {
        let response = city.client.get(city.url(path)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/healthz").await.0, 200);
    assert_eq!(get("/readyz").await.0, 503);
    city.ready.store(true, Ordering::Relaxed);
    assert_eq!(get("/readyz").await.0, 200);
    city.ledger.apply(1, &[raised("rio-01", 60)]).unwrap();
    let (_, metrics) = get("/metrics").await;
    assert!(metrics.contains("sereno_alerts{state=\"firing\",severity=\"warning\"} 1"), "{metrics}");
    assert!(metrics.contains("sereno_outbox_pending{receiver=\"office\"} 1"), "{metrics}");
    assert!(metrics.contains("sereno_http_requests_total{route=\"/readyz\",status=\"503\"} 1"), "{metrics}");

    let (_, document) = city.get("/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 15, "{:?}", paths.keys());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for schema in
        ["Status", "Sensor", "Alert", "Pipeline", "Feed", "Account", "Refused", "LiveReadings", "ErrorBody"]
    {
        assert!(schemas.contains_key(schema), "{schema}");
    }
}

#[tokio::test]
async fn the_console_is_cached_by_hash_and_its_pages_by_tag() {
    let city = City::start().await;
    let get = async |path: &str| city.client.get(city.url(path)).send().await.unwrap();
    let asset = get("/assets/index-9f86d081.js").await;
    assert_eq!(asset.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert!(asset.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let page = get("/").await;
    assert_eq!(
        (page.status().as_u16(), page.headers()["cache-control"].to_str().unwrap()),
        (200, "no-cache")
    );
    let tag = page.headers()[ETAG].clone();
    assert_eq!(get("/alertas/9f").await.headers()[ETAG], tag, "a page of the front end");
    let again = city.client.get(city.url("/")).header(IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let zipped = city.client.get(city.url("/")).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");

    let bare = City::start_with(|parts| parts.console = super::console::Console(|_| None)).await;
    let text = bare.client.get(bare.url("/")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("make console") && text.contains("lang=\"en\""));
}

#[tokio::test]
async fn zones_are_geojson_that_need_not_be_sent_twice() {
    let city = City::start().await;
    let response = city.client.get(city.url("/api/v1/zones")).send().await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/geo+json");
    let tag = response.headers()[ETAG].clone();
    let again = city.client.get(city.url("/api/v1/zones")).header(IF_NONE_MATCH, tag);
    assert_eq!(again.send().await.unwrap().status(), 304);
    assert_eq!(city.get("/api/v1/zones").await.1["type"], "FeatureCollection");
}

#[tokio::test]
async fn the_service_stops_although_a_stream_is_open() {
    let city = City::start().await;
    let mut stream = city.client.get(city.url("/api/v1/live")).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    city.stop.send_replace(true);
    let ended = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(3), ended).await.unwrap();
    tokio::time::timeout(Duration::from_secs(3), city.served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_recompute_is_asked_for_and_what_is_computed_is_told() {
    let city = City::start().await;
    let (client, url) = (city.client.clone(), format!("http://{}/api/v1/recompute", city.address));
    let post = async |body: Value| {
        let request = client.post(&url).header(CONTENT_TYPE, "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
    };
    for body in [
        json!({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}),
        json!({"from": "yesterday", "to": "2026-03-01T00:00:00Z"}),
        json!({"from": "2026-03-01T00:00:00Z"}),
    ] {
        assert_eq!(post(body.clone()).await.0, 400, "{body}");
    }
    assert!(city.recomputes.asked.lock().unwrap().is_empty());
    let range = json!({"from": "2026-03-01T00:00:00-05:00", "to": "2026-03-02T00:00:00-05:00"});
    let (from, to) = ("2026-03-01T05:00:00Z", "2026-03-02T05:00:00Z");
    let want = json!({"epoch": 7, "from": from, "to": to, "readings_from": null});
    assert_eq!(post(range.clone()).await, (202, want));
    let (from, to) = city.recomputes.asked.lock().unwrap()[0];
    assert_eq!(to.since(from), Span::seconds(86_400));
    let gone = RecomputeRefusal::Gone { readings_from: to };
    for (refusal, status, says) in [
        (RecomputeRefusal::Busy, 503, "another recompute"),
        (gone, 400, "from 2026-03-02T05:00:00Z on"),
        (RecomputeRefusal::TooMany { events: 20_000_001, most: 20_000_000 }, 400, "20000001 events"),
    ] {
        city.recomputes.refusals.lock().unwrap().push(refusal);
        let (answered, body) = post(range.clone()).await;
        assert_eq!(answered, status);
        assert!(body["error"]["message"].as_str().unwrap().contains(says), "{body}");
    }
}

#[tokio::test]
async fn the_gap_of_a_sink_is_acknowledged() {
    let city = City::start().await;
    let sink = city.holders.sink("influx", 7, 3);
    sink.note_gap((8, 0));
    let (client, url) = (city.client.clone(), city.url("/api/v1/sinks/acknowledge"));
    let post = async |content_type: &str, body: &'static str| {
        let request = client.post(&url).header(CONTENT_TYPE, content_type).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("application/json", r#"{"sink": "kafka"}"#).await, 404);
    assert_eq!(post("application/json", "{}").await, 400);
    assert_eq!(post("text/plain", r#"{"sink": "influx"}"#).await, 400, "no page of another site may ask");
    let (_, status) = city.get("/api/v1/status").await;
    assert_eq!(status["sinks"], json!([{"name": "influx", "needs_backfill": true}]));
    for _ in 0..2 {
        assert_eq!(post("application/json", r#"{"sink": "influx"}"#).await, 204);
        assert!(!sink.needs_backfill());
    }
}
