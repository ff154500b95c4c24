//! The real mosquitto, with the settings that the compose stack gives it.

use std::net::TcpStream;
use std::process::Command;

use tempfile::TempDir;

use super::peers::program;
use super::ports::free_port;
use super::process::Process;
use super::wait::{eventually, seconds};

/// A broker with its own folder.
pub struct Mosquitto {
    folder: TempDir,
    process: Option<Process>,
    subscriptions: usize,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Mosquitto {
    /// Starts a broker; `None` where there is none.
    pub fn start() -> Option<Self> {
        program("mosquitto")?;
        let folder = tempfile::tempdir().unwrap();
        let mut broker = Self { folder, process: None, subscriptions: 0, port: free_port() };
        broker.run();
        Some(broker)
    }

    /// Stops it as a service manager does.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop();
        }
    }

    /// Runs it (again) and waits until it answers.
    pub fn run(&mut self) {
        let folder = self.folder.path();
        let file = folder.join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             max_inflight_messages 1000\nmax_queued_messages 1000000\nmax_queued_bytes 536870912\n\
             set_tcp_nodelay true\nuser {}\n\
             log_type all\n",
            self.port,
            folder.display(),
            user(),
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program("mosquitto").unwrap());
        command.arg("-c").arg(&file);
        self.process = Some(Process::start("mosquitto", folder, command));
        eventually("mosquitto", seconds(10), || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Waits until Sereno has subscribed once more: what is published before it goes to nobody.
    pub fn wait_for_subscription(&mut self) {
        self.subscriptions += 1;
        let wanted = self.subscriptions;
        let process = self.process.as_ref().expect("a running broker");
        eventually("a subscription", seconds(30), || {
            let subscribed = process.stderr().matches("Sending SUBACK to sereno-city").count();
            (subscribed >= wanted).then_some(())
        });
    }

    /// Settings that make it the source of every feed.
    pub fn settings(&self) -> String {
        let port = self.port;
        format!("default_source = \"city\"\n[broker.city]\nurl = \"mqtt://127.0.0.1:{port}\"\n")
    }
}

/// Mosquitto started as root would become a user that cannot write a temporary folder.
fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
