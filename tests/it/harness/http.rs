//! HTTP requests as plain calls.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

/// Where everything asynchronous of the tests runs.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    // A service that was killed leaves dead connections behind.
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy();
    client.timeout(Duration::from_secs(20)).build().unwrap()
});

/// Status and body of a GET; `None` when nobody answers.
pub fn get(url: &str, query: &[(&str, &str)]) -> Option<(u16, String)> {
    let request = CLIENT.get(url).query(query);
    RUNTIME.block_on(async {
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.text().await.ok()?))
    })
}

/// The JSON of a GET that must succeed.
#[track_caller]
pub fn json(url: &str, query: &[(&str, &str)]) -> Value {
    let (status, text) = get(url, query).unwrap_or_else(|| panic!("no answer from {url}"));
    assert_eq!(status, 200, "{url} {query:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"))
}

/// The JSON of a POST of JSON that must succeed.
#[track_caller]
pub fn post_json(url: &str, body: &Value) -> Value {
    let request = CLIENT.post(url).header("Content-Type", "application/json").body(body.to_string());
    let text = RUNTIME.block_on(async { request.send().await.ok()?.text().await.ok() });
    let text = text.unwrap_or_else(|| panic!("no answer from {url}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"))
}
