//! Publishing and subscribing, by mosquitto's clients and, for many messages, by our own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

use super::peers::program;
use super::process::Process;
use super::site::succeeded;

/// Messages under way.
const INFLIGHT: u16 = 200;

/// `mosquitto_pub` of one message at QoS 1; `extra` as on its command line.
#[track_caller]
pub fn mosquitto_pub(port: u16, topic: &str, payload: &str, extra: &[&str]) {
    let mut command = Command::new(program("mosquitto_pub").expect("comes with mosquitto-clients"));
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic, "-m", payload]);
    command.args(extra);
    succeeded(command);
}

/// `mosquitto_sub` in the background; lines `<retain> <topic> <payload>` in `<folder>/<name>.out`.
pub fn mosquitto_sub(name: &str, folder: &Path, port: u16, topic: &str) -> Option<Process> {
    let mut command = Command::new(program("mosquitto_sub")?);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic]);
    command.args(["-F", "%r %t %p"]);
    Some(Process::start(name, folder, command))
}

/// Publishes messages at QoS 1 in order, and returns when the broker has acknowledged them all.
#[track_caller]
pub fn publish(port: u16, client_id: &str, messages: Vec<(String, Vec<u8>)>) {
    let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
    options.set_inflight(INFLIGHT).set_keep_alive(Duration::from_secs(60));
    options.set_max_packet_size(4 << 20, 4 << 20);
    let (client, mut connection) = Client::new(options, 64);
    let wanted = messages.len();
    let sender = std::thread::spawn(move || {
        for (topic, payload) in messages {
            client.publish(topic, QoS::AtLeastOnce, false, payload).unwrap();
        }
        client
    });
    let mut acknowledged = 0;
    while acknowledged < wanted {
        match connection.recv() {
            Ok(Ok(Event::Incoming(Packet::PubAck(_)))) => acknowledged += 1,
            Ok(Ok(_)) => {}
            other => panic!("after {acknowledged} of {wanted} messages: {other:?}"),
        }
    }
    let client = sender.join().unwrap();
    client.disconnect().unwrap();
    while let Ok(Ok(_)) = connection.recv() {}
}
