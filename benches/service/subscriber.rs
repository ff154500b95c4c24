//! A subscriber at QoS 1 that acknowledges each message itself, once it has it: a bare rumqttc client
//! with manual acknowledgements.
//!
//! They are written straight to the connection and flushed once nothing more was read, which is much
//! quicker than rumqttc's own channel: that flushes each. So a reference of this kind is the best that
//! the client can do.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, PubAck, QoS};
use tokio::task::JoinHandle;

/// A connected subscriber; ends with its drop.
pub struct Subscriber(JoinHandle<()>);

impl Subscriber {
    /// Connects to a port of 127.0.0.1 and subscribes, in a runtime; returns once that is acknowledged.
    /// Each message's payload is handed to `take` before it is acknowledged.
    pub async fn connect(port: u16, topic: &str, mut take: impl FnMut(Vec<u8>) + Send + 'static) -> Self {
        let mut options = MqttOptions::new("sereno-bench-subscriber", "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(60)).set_manual_acks(true);
        let (client, mut events) = AsyncClient::new(options, 1);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        events.set_network_options(network);
        client.subscribe(topic, QoS::AtLeastOnce).await.expect("the client has room for it");
        loop {
            if matches!(next(&mut events).await, Event::Incoming(Packet::SubAck(_))) {
                break;
            }
        }
        Self(tokio::spawn(async move {
            // An event loop without its client ends.
            let _client = client;
            loop {
                if let Event::Incoming(Packet::Publish(publish)) = next(&mut events).await {
                    take(publish.payload.into());
                    let network = events.network.as_mut().expect("the connection stands");
                    let ack = Packet::PubAck(PubAck::new(publish.pkid));
                    network.write(ack).await.expect("the connection stands");
                }
                if events.state.events.is_empty() {
                    let network = events.network.as_mut().expect("the connection stands");
                    network.flush().await.expect("the connection stands");
                }
            }
        }))
    }
}

async fn next(events: &mut EventLoop) -> Event {
    events.poll().await.expect("the connection stands")
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.abort();
    }
}
