//! External brokers: a scripted one for what must never happen, and a real mosquitto, restarted in
//! the middle.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};

use super::broker::{
    Broker, BrokerEdges, BrokerOptions, ClientError, ClientEvent, Delivery, MqttClient, PublishFailed,
    Publisher, RumqttClient,
};
use super::testing::{Sequencer, a_moment, clock, has_mosquitto, mosquitto, program, routes, until};
use super::{FeedCounters, Filter, Routes};
use crate::model::definition::Identity;

fn options(port: u16) -> BrokerOptions {
    let mut options = BrokerOptions::new("city", "127.0.0.1", port);
    options.backoff_min = Duration::from_millis(50);
    options.backoff_max = Duration::from_millis(200);
    options
}

struct Running {
    counters: Arc<FeedCounters>,
    routes: watch::Sender<Arc<Routes>>,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<()>,
}

fn run(options: &BrokerOptions, sequencer: &Sequencer, client: impl MqttClient + 'static) -> Running {
    let routes = routes(&[("time/#", Identity::Time), ("protocol/#", Identity::Protocol)]);
    let edges = BrokerEdges {
        routes: routes.subscribe(),
        input: sequencer.input.clone(),
        durable: sequencer.durable.clone(),
        clock: clock(),
    };
    let broker = Broker::new(options, edges);
    let counters = broker.counters();
    let (stop, stopped) = oneshot::channel::<()>();
    let done = tokio::spawn(broker.run(client, async {
        let _ = stopped.await;
    }));
    Running { counters, routes, stop, done }
}

/// A broker that says what it is told to.
#[derive(Clone, Default)]
struct Script {
    events: Arc<Mutex<VecDeque<Result<ClientEvent, ClientError>>>>,
    wake: Arc<Notify>,
    /// What the client did, in order.
    done: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn say(&self, event: Result<ClientEvent, ClientError>) {
        self.events.lock().unwrap().push_back(event);
        self.wake.notify_one();
    }

    fn connect(&self, granted: &[bool]) {
        self.say(Ok(ClientEvent::Connected { session_present: true }));
        self.say(Ok(ClientEvent::Subscribed(granted.to_vec())));
    }

    fn message(&self, topic: &str, payload: &'static str, id: u16, dup: bool) {
        let (topic, payload) = (topic.to_owned(), payload.into());
        self.say(Ok(ClientEvent::Message(Delivery { topic, payload, packet_id: Some(id), dup })));
    }

    fn acknowledged(&self) -> Vec<String> {
        self.done.lock().unwrap().iter().filter(|what| what.starts_with("ack")).cloned().collect()
    }

    fn did(&self, what: String) {
        self.done.lock().unwrap().push(what);
    }
}

impl MqttClient for Script {
    async fn next(&mut self) -> Result<ClientEvent, ClientError> {
        loop {
            let event = self.events.lock().unwrap().pop_front();
            match event {
                Some(event) => return event,
                None => self.wake.notified().await,
            }
        }
    }

    async fn subscribe(&mut self, filters: &[Filter]) -> Result<(), ClientError> {
        self.did(format!("subscribe {}", filters.iter().map(Filter::as_str).collect::<Vec<_>>().join(" ")));
        Ok(())
    }

    async fn unsubscribe(&mut self, filters: &[Filter]) -> Result<(), ClientError> {
        self.did(format!("unsubscribe {}", filters.iter().map(Filter::as_str).collect::<Vec<_>>().join(" ")));
        Ok(())
    }

    async fn acknowledge(&mut self, packet_ids: &[u16]) -> Result<(), ClientError> {
        for id in packet_ids {
            self.did(format!("ack {id}"));
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), ClientError> {
        self.did("ping".into());
        Ok(())
    }

    async fn close(&mut self) {
        self.did("close".into());
    }

    fn reset(&mut self) {
        self.did("reset".into());
    }
}

#[tokio::test]
async fn a_stale_acknowledgement_never_reaches_the_next_connection() {
    let (sequencer, script) = (Sequencer::start(), Script::default());
    sequencer.hold();
    let _running = run(&options(0), &sequencer, script.clone());
    script.connect(&[true, true]);
    script.message("time/a", "1", 1, false);
    script.message("time/a", "2", 2, false);
    until("taken", || sequencer.payloads().len() == 2).await;
    script.say(Err(ClientError::Lost("cable cut".into())));
    script.connect(&[true, true]);
    a_moment().await;
    sequencer.let_go();
    a_moment().await;
    assert!(script.acknowledged().is_empty(), "messages 1 and 2 were another connection's");
    sequencer.hold();
    script.message("time/a", "another", 1, false);
    until("taken", || sequencer.payloads().len() == 3).await;
    a_moment().await;
    assert!(script.acknowledged().is_empty());
    sequencer.let_go();
    until("acknowledged", || script.acknowledged() == ["ack 1"]).await;
}

#[tokio::test]
async fn acknowledgements_leave_in_receive_order() {
    let (sequencer, script) = (Sequencer::start(), Script::default());
    sequencer.hold();
    let running = run(&options(0), &sequencer, script.clone());
    script.connect(&[true, true]);
    for id in [5, 3, 4] {
        script.message("time/a", "x", id, false);
    }
    script.message("nobody/a", "x", 9, false);
    until("taken", || sequencer.payloads().len() == 3).await;
    a_moment().await;
    assert!(script.acknowledged().is_empty());
    sequencer.let_go();
    until("acknowledged", || script.acknowledged() == ["ack 5", "ack 3", "ack 4", "ack 9"]).await;
    assert_eq!(running.counters.unrouted.load(Ordering::Relaxed), 1);
    running.stop.send(()).unwrap();
    running.done.await.unwrap();
    assert!(script.done.lock().unwrap().contains(&"close".to_owned()));
}

#[tokio::test]
async fn redeliveries_of_protocol_feeds_are_recognised() {
    let (sequencer, script) = (Sequencer::start(), Script::default());
    sequencer.hold();
    let _running = run(&options(0), &sequencer, script.clone());
    script.connect(&[true, true]);
    script.message("protocol/a", "1", 1, false);
    until("taken", || sequencer.payloads().len() == 1).await;
    script.say(Err(ClientError::Lost("cable cut".into())));
    script.connect(&[true, true]);
    script.message("protocol/a", "1", 1, true);
    script.message("protocol/a", "2", 2, true);
    script.message("protocol/a", "1", 1, false);
    until("taken", || sequencer.payloads().len() == 4).await;
    let repeated: Vec<bool> = sequencer.taken().iter().map(|one| one.repeated).collect();
    assert_eq!(repeated, [false, true, false, false]);
}

#[tokio::test]
async fn feeds_are_up_while_their_subscription_stands() {
    let (sequencer, script) = (Sequencer::start(), Script::default());
    let running = run(&options(0), &sequencer, script.clone());
    script.connect(&[true, false]);
    let up = |feed: &str| (feed.to_owned(), true);
    let down = |feed: &str| (feed.to_owned(), false);
    until("time is up", || sequencer.connected() == [up("time")]).await;
    running.routes.send_replace(routes(&[("new/#", Identity::Time)]).borrow().clone());
    until("subscribed", || script.done.lock().unwrap().contains(&"subscribe new/#".to_owned())).await;
    script.say(Ok(ClientEvent::Subscribed(vec![true])));
    until("new is up", || sequencer.connected() == [up("time"), down("time"), up("new")]).await;
    assert!(script.done.lock().unwrap().contains(&"unsubscribe time/#".to_owned()));
    script.say(Err(ClientError::Lost("cable cut".into())));
    until("new is down", || sequencer.connected().last() == Some(&down("new"))).await;
    script.connect(&[true]);
    until("new is up again", || sequencer.connected().last() == Some(&up("new"))).await;
}

#[tokio::test]
async fn pings_and_acknowledgements_go_on_while_the_sequencer_takes_nothing() {
    let (sequencer, script) = (Sequencer::start(), Script::default());
    let mut options = options(0);
    options.keep_alive = Duration::from_secs(2);
    sequencer.hold();
    let _running = run(&options, &sequencer, script.clone());
    script.connect(&[true, true]);
    script.message("time/a", "1", 1, false);
    until("taken", || sequencer.payloads().len() == 1).await;
    sequencer.pause(true);
    for id in 2..20 {
        script.message("time/a", "x", id, false);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until("a ping", || script.done.lock().unwrap().contains(&"ping".to_owned())).await;
    sequencer.let_go();
    until("acknowledged", || script.acknowledged() == ["ack 1"]).await;
    sequencer.pause(false);
    until("all acknowledged", || script.acknowledged().len() == 19).await;
}

/// A mosquitto of our own, ended with the test.
struct Mosquitto {
    child: Child,
    port: u16,
}

impl Mosquitto {
    fn start(folder: &Path, port: u16) -> Self {
        let config = folder.join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\n\
             max_inflight_messages 1000\nmax_queued_messages 100000\nset_tcp_nodelay true\n",
            folder.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(mosquitto().unwrap())
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    /// Ends it as an operator would: it saves its sessions first.
    fn stop(&mut self) {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        self.child.wait().unwrap();
    }

    async fn publish(&self, topic: &str, from: u32, to: u32) {
        let command =
            format!("seq {from} {to} | mosquitto_pub -h 127.0.0.1 -p {} -q 1 -l -t {topic}", self.port);
        let output = program("sh", &["-c", &command]).await;
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A folder mosquitto may write to when the tests run as root and it drops its rights.
fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

#[tokio::test]
async fn a_broker_restart_loses_nothing_and_acknowledges_nothing_early() {
    if !has_mosquitto() {
        return;
    }
    let folder = folder();
    let mut broker = Mosquitto::start(folder.path(), free_port());
    let options = options(broker.port);
    let sequencer = Sequencer::start();
    let running = run(&options, &sequencer, RumqttClient::new(&options).unwrap());
    until("up", || sequencer.connected().len() == 2).await;
    broker.publish("time/a", 1, 500).await;
    until("500 acknowledged", || running.counters.acknowledged.load(Ordering::Relaxed) == 500).await;

    // Given 500 more that are journaled and not durable, when the broker restarts,
    sequencer.hold();
    broker.publish("protocol/a", 501, 1_000).await;
    until("1000 taken", || sequencer.payloads().len() == 1_000).await;
    a_moment().await;
    assert_eq!(running.counters.acknowledged.load(Ordering::Relaxed), 500, "none before it is durable");
    broker.stop();
    until("down", || sequencer.connected().len() == 4).await;
    broker = Mosquitto::start(folder.path(), broker.port);

    // then they come again, recognised, and are acknowledged once they are durable.
    until("up again", || sequencer.connected().len() == 6).await;
    until("500 taken again", || sequencer.payloads().len() == 1_500).await;
    assert!(sequencer.taken()[1_000..].iter().all(|one| one.repeated));
    assert_eq!(running.counters.acknowledged.load(Ordering::Relaxed), 500);
    sequencer.let_go();
    until("all acknowledged", || running.counters.acknowledged.load(Ordering::Relaxed) == 1_000).await;

    // And after our own restart nothing acknowledged comes again, and what came meanwhile does.
    running.stop.send(()).unwrap();
    running.done.await.unwrap();
    broker.publish("time/a", 1_001, 1_300).await;
    let running = run(&options, &sequencer, RumqttClient::new(&options).unwrap());
    until("300 more", || running.counters.acknowledged.load(Ordering::Relaxed) == 300).await;
    a_moment().await;
    let taken = sequencer.taken();
    let mut numbers: Vec<u32> =
        taken.iter().filter(|one| !one.repeated).map(|one| one.payload.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=1_300).collect::<Vec<_>>());
    assert_eq!(taken.len(), 1_800);
}

#[tokio::test]
async fn a_killed_broker_is_found_again() {
    if !has_mosquitto() {
        return;
    }
    let folder = folder();
    let mut broker = Mosquitto::start(folder.path(), free_port());
    let options = options(broker.port);
    let sequencer = Sequencer::start();
    let running = run(&options, &sequencer, RumqttClient::new(&options).unwrap());
    until("up", || sequencer.connected().len() == 2).await;
    broker.child.kill().unwrap();
    broker.child.wait().unwrap();
    until("down", || sequencer.connected().len() == 4).await;
    broker = Mosquitto::start(folder.path(), broker.port);
    until("up again", || sequencer.connected().len() == 6).await;
    broker.publish("time/a", 1, 10).await;
    until("acknowledged", || running.counters.acknowledged.load(Ordering::Relaxed) == 10).await;
    assert_eq!(running.counters.connections(), 1);
}

#[tokio::test]
async fn a_large_message_is_quarantined_and_does_not_loop() {
    if !has_mosquitto() {
        return;
    }
    let folder = folder();
    let broker = Mosquitto::start(folder.path(), free_port());
    let options = options(broker.port);
    let sequencer = Sequencer::start();
    let running = run(&options, &sequencer, RumqttClient::new(&options).unwrap());
    until("up", || sequencer.connected().len() == 2).await;
    let file = folder.path().join("large");
    std::fs::write(&file, vec![b'x'; 3_000_000]).unwrap();
    let (port, path) = (broker.port.to_string(), file.to_str().unwrap().to_owned());
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "time/a", "-f", &path];
    assert!(program("mosquitto_pub", &arguments).await.status.success());
    until("acknowledged", || running.counters.acknowledged.load(Ordering::Relaxed) == 1).await;
    assert_eq!(running.counters.connections_opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_publisher_waits_for_the_brokers_word() {
    if !has_mosquitto() {
        return;
    }
    let folder = folder();
    let mut broker = Mosquitto::start(folder.path(), free_port());
    let port = broker.port.to_string();
    let (publisher, task) = Publisher::new(&options(broker.port)).unwrap();
    let running = tokio::spawn(task.run(std::future::pending()));
    for number in 0..100 {
        publisher.publish("sereno/alerts/1", Bytes::from(format!("{number}")), true).await.unwrap();
    }
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", "sereno/#", "-C", "1", "-W", "5"];
    let output = program("mosquitto_sub", &arguments).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "99\n", "retained");
    broker.stop();
    let down = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.publish("sereno/alerts/1", Bytes::from_static(b"late"), true).await }
    });
    a_moment().await;
    let _broker = Mosquitto::start(folder.path(), broker.port);
    let outcome = down.await.unwrap();
    assert!(matches!(outcome, Ok(()) | Err(PublishFailed::Lost)), "{outcome:?}");
    until_published(&publisher).await;
    running.abort();
}

async fn until_published(publisher: &Publisher) {
    for _ in 0..20 {
        if publisher.publish("sereno/x", Bytes::from_static(b"x"), false).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the publisher never came back");
}
