//! What the running service says of itself.

use std::sync::LazyLock;

use serde_json::Value;

/// One for all requests: to make one takes longer than to ask.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);

/// Events that it holds.
pub async fn events(http: u16) -> u64 {
    json(http, "status").await["events"].as_u64().expect("the status tells the events")
}

/// Whether its first feed is connected.
pub async fn connected(http: u16) -> bool {
    json(http, "feeds").await["feeds"][0]["connected"]
        .as_bool()
        .expect("a feed tells whether it is connected")
}

/// The sum of a metric over its labels.
pub async fn metric(http: u16, name: &str) -> f64 {
    let text = get(http, "metrics").await;
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = if let Some(labels) = rest.strip_prefix('{') { labels.split_once('}')?.1 } else { rest };
        rest.strip_prefix(' ')?.trim().parse::<f64>().ok()
    });
    let values: Vec<f64> = values.collect();
    assert!(!values.is_empty(), "there is a metric {name}");
    values.into_iter().sum()
}

async fn json(http: u16, path: &str) -> Value {
    serde_json::from_str(&get(http, &format!("api/v1/{path}")).await).expect("the API answers with JSON")
}

async fn get(http: u16, path: &str) -> String {
    let answer = CLIENT.get(format!("http://127.0.0.1:{http}/{path}")).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status).expect("the service answers");
    answer.text().await.expect("an answer has a body")
}
