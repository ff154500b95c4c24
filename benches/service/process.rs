//! The running service: when it is ready, what memory it holds, its end.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::machine;
use super::site::Site;

/// `/readyz` is asked this often.
const ASK_EVERY: Duration = Duration::from_millis(2);
/// A service that is not ready by then never will be.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// The binary under test.
pub fn binary() -> PathBuf {
    let built = option_env!("CARGO_BIN_EXE_sereno").map(PathBuf::from);
    let named = std::env::var_os("SERENO_BIN").map(PathBuf::from);
    named.or(built).expect("set SERENO_BIN to the sereno binary")
}

/// A running service; killed when it is dropped.
pub struct Service {
    child: Child,
    /// From its spawning to the first connection that its listener takes.
    pub open_after: Duration,
    /// From its spawning to the first 200 of `/readyz`.
    pub ready_after: Duration,
}

impl Service {
    /// Runs `sereno run` for the site and waits until it is ready.
    pub fn start(runtime: &Runtime, site: &Site, data: &std::path::Path) -> Self {
        let mut command = site.command("run", data);
        let log = std::fs::File::create(site.path("sereno.log")).expect("a log file can be made");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let url = format!("http://127.0.0.1:{}/readyz", site.http);
        let client = reqwest::Client::new();
        let began = Instant::now();
        let child = command.spawn().expect("the binary starts");
        let mut service = Self { child, open_after: Duration::ZERO, ready_after: Duration::ZERO };
        runtime.block_on(async {
            loop {
                if service.open_after.is_zero()
                    && tokio::net::TcpStream::connect(("127.0.0.1", site.mqtt)).await.is_ok()
                {
                    service.open_after = began.elapsed();
                }
                let answer = client.get(&url).send().await;
                if answer.is_ok_and(|answer| answer.status() == 200) && !service.open_after.is_zero() {
                    return;
                }
                let ended = service.child.try_wait().expect("a child can be asked");
                assert!(ended.is_none(), "sereno ended: {}", log_of(site));
                assert!(began.elapsed() < READY_WITHIN, "sereno never became ready: {}", log_of(site));
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        service.ready_after = began.elapsed();
        service
    }

    /// A figure of `/proc/<pid>/status` in MiB: `VmRSS:`, `VmHWM:`.
    pub fn memory_mib(&self, name: &str) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).expect("the service runs");
        machine::kib(&text, name).expect("Linux tells the memory of a process") / 1_024.0
    }

    /// A clean stop.
    pub fn stop(mut self) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().expect("there is `kill`");
        assert!(told.success(), "kill -TERM {id}");
        let ended = self.child.wait().expect("a child can be waited for");
        assert!(ended.success(), "sereno ended with {ended}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_of(site: &Site) -> String {
    std::fs::read_to_string(site.path("sereno.log")).unwrap_or_default()
}
