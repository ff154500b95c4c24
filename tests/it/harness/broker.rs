//! The real mosquitto, with the settings that the compose stack gives it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::peers::program;
use super::ports::free_port;
use super::process::Process;
use super::site::succeeded;
use super::wait::{eventually, seconds};

/// A broker with its own folder.
pub struct Mosquitto {
    folder: TempDir,
    process: Option<Process>,
    subscriptions: usize,
    /// Lines of its configuration that say who may come in, and how.
    access: String,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Mosquitto {
    /// Starts a broker; `None` where there is none, or no client for it.
    pub fn start() -> Option<Self> {
        Self::with_access(|_| Some("allow_anonymous true\n".to_owned()))
    }

    /// Starts a broker that speaks TLS, by a certificate of its own, to one user; both lie in its
    /// folder as `ca.pem` and `password`.
    pub fn start_secured(user: &str, password: &str) -> Option<Self> {
        Self::with_access(|folder| {
            let path = |name: &str| folder.join(name).display().to_string();
            let mut passwords = Command::new(program("mosquitto_passwd")?);
            passwords.args(["-b", "-c", &path("users"), user, password]);
            succeeded(passwords);
            let mut certificate = Command::new(program("openssl")?);
            certificate.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
            certificate.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
            certificate.args(["-keyout", &path("key.pem"), "-out", &path("ca.pem")]);
            succeeded(certificate);
            std::fs::write(folder.join("password"), password).unwrap();
            let (users, cert, key) = (path("users"), path("ca.pem"), path("key.pem"));
            Some(format!("allow_anonymous false\npassword_file {users}\ncertfile {cert}\nkeyfile {key}\n"))
        })
    }

    fn with_access(access: impl Fn(&Path) -> Option<String>) -> Option<Self> {
        program("mosquitto")?;
        program("mosquitto_pub")?;
        let folder = tempfile::tempdir().unwrap();
        let access = access(folder.path())?;
        let mut broker = Self { folder, process: None, subscriptions: 0, access, port: free_port() };
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
            "listener {} 127.0.0.1\n{}persistence true\npersistence_location {}/\n\
             max_inflight_messages 1000\nmax_queued_messages 1000000\nmax_queued_bytes 536870912\n\
             set_tcp_nodelay true\nuser {}\n\
             log_type all\n",
            self.port,
            self.access,
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

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
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
