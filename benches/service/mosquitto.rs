//! The real mosquitto, with the settings that `deploy/mosquitto.conf` gives it; whatever comes in is
//! let in.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::site;

/// Until it takes connections.
const WITHIN: Duration = Duration::from_secs(10);

/// A running one; killed when it is dropped.
pub struct Mosquitto {
    child: Child,
    /// Its port of 127.0.0.1.
    pub port: u16,
    _folder: TempDir,
}

impl Mosquitto {
    /// Starts one; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let port = site::free_port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
             persistence_location {}/\nautosave_interval 30\nmax_inflight_messages 1000\n\
             max_queued_messages 1000000\nmax_queued_bytes 536870912\nset_tcp_nodelay true\nlog_type error\n",
            folder.path().display()
        );
        std::fs::write(&file, text).expect("the folder can be written");
        // Debian has it where only root looks.
        let child = ["mosquitto", "/usr/sbin/mosquitto"].into_iter().find_map(|program| {
            let mut command = Command::new(program);
            command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(Stdio::null()).spawn().ok()
        })?;
        let began = Instant::now();
        let broker = Self { child, port, _folder: folder };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < WITHIN, "mosquitto takes no connections");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(broker)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
