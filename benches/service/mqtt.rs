//! A publisher at QoS 1 over one connection, with its acknowledgements counted.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, NetworkOptions, Packet, QoS};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Publications under way without an acknowledgement; more wait in the client.
const INFLIGHT_MAX: u16 = 10_000;
/// Publications that wait in the client for its connection.
const WAITING_MAX: usize = 100_000;

/// A connected publisher.
pub struct Publisher {
    client: AsyncClient,
    acknowledged: watch::Receiver<u64>,
    connection: JoinHandle<()>,
}

impl Publisher {
    /// Connects to a port of 127.0.0.1; in a runtime.
    pub fn connect(port: u16) -> Self {
        let mut options = MqttOptions::new("sereno-bench", "127.0.0.1", port);
        options.set_inflight(INFLIGHT_MAX).set_keep_alive(Duration::from_secs(60));
        let (client, mut events) = AsyncClient::new(options, WAITING_MAX);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        events.set_network_options(network);
        let (count, acknowledged) = watch::channel(0);
        let connection = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::PubAck(_))) => count.send_modify(|count| *count += 1),
                    Ok(_) => {}
                    // After a disconnect; an earlier end shows in the acknowledgements.
                    Err(_) => return,
                }
            }
        });
        Self { client, acknowledged, connection }
    }

    /// Hands a publication over without waiting for anything.
    pub fn send(&self, topic: String, payload: String) {
        let sent = self.client.try_publish(topic, QoS::AtLeastOnce, false, payload);
        sent.expect("the client has room for what waits");
    }

    /// Hands a publication over as soon as the client has room.
    pub async fn push(&self, topic: String, payload: String) {
        let sent = self.client.publish(topic, QoS::AtLeastOnce, false, payload).await;
        sent.expect("the connection stands");
    }

    /// Waits until so many publications are acknowledged.
    pub async fn wait_for(&mut self, wanted: u64) {
        self.acknowledged.wait_for(|count| *count >= wanted).await.expect("the connection stands");
    }

    /// Ends the connection.
    pub async fn end(self) {
        // It may have ended on the other side.
        let _ = self.client.disconnect().await;
        let _ = self.connection.await;
    }
}
