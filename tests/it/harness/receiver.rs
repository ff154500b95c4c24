//! A service of the city that takes alerts by webhook.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::http::RUNTIME;

/// One request that came in.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Headers by lower-case name.
    pub headers: HashMap<String, String>,
    /// Body as it came.
    pub body: String,
    /// The status it was answered with.
    pub status: u16,
}

impl Delivery {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The delivery id.
    pub fn id(&self) -> &str {
        &self.headers["idempotency-key"]
    }

    /// Whether `Sereno-Signature: t=<seconds>,v1=<hex>` is HMAC-SHA256 of `<seconds>.<body>`.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let Some(header) = self.headers.get("sereno-signature") else { return false };
        let Some((time, signature)) = header.split_once(",v1=") else { return false };
        let time = time.strip_prefix("t=").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.{}", self.body).as_bytes());
        let bytes = mac.finalize().into_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        hex == signature
    }
}

/// Takes POSTs and answers as told.
pub struct Receiver {
    /// Its port on 127.0.0.1.
    pub port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    refusing: bool,
    deliveries: Vec<Delivery>,
}

impl Receiver {
    /// Starts one.
    pub fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = state.clone();
        RUNTIME.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { port, state }
    }

    /// From now on answers 503, or 204 again.
    pub fn refuse(&self, refusing: bool) {
        self.state.lock().unwrap().refusing = refusing;
    }

    /// What came so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state.lock().unwrap().deliveries.clone()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            let is_end = stream.read_line(&mut line).await.ok()? == 0;
            if is_end {
                return None;
            }
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
        }
        let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let answer = {
            let mut state = state.lock().unwrap();
            let (status, answer) = if state.refusing { (503, "503 Busy") } else { (204, "204 No Content") };
            let body = String::from_utf8(body).unwrap();
            state.deliveries.push(Delivery { headers, body, status });
            format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n")
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
