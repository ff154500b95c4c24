//! A webhook receiver: an HTTP/1.1 server that keeps each request's body and its arrival time.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Requests with the moment their last byte was read.
type Taken = Arc<Mutex<Vec<(Instant, Vec<u8>)>>>;

/// A receiver on a port of its own.
pub struct Webhook {
    /// Its port of 127.0.0.1.
    pub port: u16,
    taken: Taken,
}

impl Webhook {
    /// Starts one; in a runtime.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let taken = Taken::default();
        let shared = taken.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { port, taken }
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.taken.lock().expect("no thread panicked").len()
    }

    /// What came.
    pub fn take(&self) -> Vec<(Instant, Vec<u8>)> {
        std::mem::take(&mut self.taken.lock().expect("no thread panicked"))
    }
}

/// Serves one connection until its end.
async fn serve(stream: TcpStream, taken: Taken) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        taken.lock().expect("no thread panicked").push((Instant::now(), body));
        stream.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").await.ok()?;
    }
}
