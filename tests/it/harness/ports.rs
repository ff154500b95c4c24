//! TCP ports that nobody uses, below the range that the system gives to outgoing connections.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Two runs of the suite at once begin at different ports.
const LOWEST: u16 = 20_000;
const BLOCKS: u32 = 110;
const BLOCK: u16 = 100;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that no other test of this run gets.
pub fn free_port() -> u16 {
    let block = u16::try_from(std::process::id() % BLOCKS).unwrap();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = LOWEST + block * BLOCK + step;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
