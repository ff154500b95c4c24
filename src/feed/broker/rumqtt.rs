//! [`MqttClient`] by rumqttc 0.25 (its v4 module).
//!
//! Everything we send goes straight to the event loop's network and is flushed before the loop is
//! polled again. Two things follow. No request ever waits in rumqttc's queues, so a reconnect has
//! nothing old to replay, acknowledgements least of all (0.4-1.2 million a second this way, against
//! 0.1 million through its request channel). And `EventLoop::poll` may be cancelled: its write
//! buffer is empty when it starts, so the only point where it would lose something (a request taken
//! from the channel, not yet written) does not arise.
//!
//! On an error rumqttc keeps events it has read and not yielded; [`RumqttClient::reset`] clears
//! them, for their acknowledgements would go to the next connection.

use std::time::Duration;

use rumqttc::mqttbytes::Error as ProtocolError;
use rumqttc::{
    ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet, PubAck, QoS, StateError,
    Subscribe, SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport, Unsubscribe,
};
use tokio::time::timeout;

use super::client::{ClientError, ClientEvent, Delivery, MqttClient};
use super::options::{BrokerError, BrokerOptions};
use crate::feed::Filter;

/// The request channel of the event loop; unused, see above.
const REQUESTS_MAX: usize = 1;

/// A persistent MQTT 3.1.1 session at one broker.
pub struct RumqttClient {
    events: EventLoop,
    write_timeout: Duration,
    packet_id: u16,
}

impl RumqttClient {
    /// A client for `options`, not connected yet.
    ///
    /// # Errors
    /// If the certificates cannot be read or the client identifier is empty.
    pub fn new(options: &BrokerOptions) -> Result<Self, BrokerError> {
        let mut mqtt = mqtt_options(options, &options.client_id)?;
        mqtt.set_clean_session(false).set_manual_acks(true);
        let mut events = EventLoop::new(mqtt, REQUESTS_MAX);
        events.set_network_options(network_options(options));
        Ok(Self { events, write_timeout: options.connect_timeout, packet_id: 0 })
    }

    /// Writes packets and flushes them.
    async fn send(
        &mut self,
        packets: impl IntoIterator<Item = Packet, IntoIter: Send> + Send,
    ) -> Result<(), ClientError> {
        let Some(network) = self.events.network.as_mut() else {
            return Err(ClientError::Lost("not connected".into()));
        };
        let write = async {
            for packet in packets {
                network.write(packet).await?;
            }
            network.flush().await
        };
        match timeout(self.write_timeout, write).await {
            Ok(written) => written.map_err(state_error),
            Err(_) => Err(ClientError::Lost("the broker does not read".into())),
        }
    }

    /// A packet identifier for SUBSCRIBE and UNSUBSCRIBE: one of each is rarely open at a time.
    fn next_packet_id(&mut self) -> u16 {
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        self.packet_id
    }
}

impl MqttClient for RumqttClient {
    async fn next(&mut self) -> Result<ClientEvent, ClientError> {
        match self.events.poll().await {
            Ok(event) => Ok(translate(event)),
            Err(reason) => Err(connection_error(reason)),
        }
    }

    async fn subscribe(&mut self, filters: &[Filter]) -> Result<(), ClientError> {
        let filters =
            filters.iter().map(|filter| SubscribeFilter::new(filter.as_str().into(), QoS::AtLeastOnce));
        let mut subscribe = Subscribe::new_many(filters);
        subscribe.pkid = self.next_packet_id();
        self.send([Packet::Subscribe(subscribe)]).await
    }

    async fn unsubscribe(&mut self, filters: &[Filter]) -> Result<(), ClientError> {
        let topics = filters.iter().map(|filter| filter.as_str().to_owned()).collect();
        let pkid = self.next_packet_id();
        self.send([Packet::Unsubscribe(Unsubscribe { pkid, topics })]).await
    }

    async fn acknowledge(&mut self, packet_ids: &[u16]) -> Result<(), ClientError> {
        let packets: Vec<_> = packet_ids.iter().map(|id| Packet::PubAck(PubAck::new(*id))).collect();
        self.send(packets).await
    }

    async fn ping(&mut self) -> Result<(), ClientError> {
        self.send([Packet::PingReq]).await
    }

    async fn close(&mut self) {
        // Best effort: a connection that is gone already needs no goodbye.
        let _ = self.send([Packet::Disconnect]).await;
    }

    fn reset(&mut self) {
        self.events.clean();
        self.events.pending.clear();
        self.events.state.events.clear();
    }
}

/// What the feeds' client and the publisher have in common.
pub(super) fn mqtt_options(options: &BrokerOptions, client_id: &str) -> Result<MqttOptions, BrokerError> {
    if client_id.is_empty() {
        return Err(BrokerError::ClientId { broker: options.name.clone() });
    }
    let mut mqtt = MqttOptions::new(client_id, &options.host, options.port);
    // MQTT counts whole seconds; rumqttc refuses less than one.
    mqtt.set_keep_alive(options.keep_alive.max(Duration::from_secs(1)));
    mqtt.set_inflight(options.inflight_max.max(1));
    mqtt.set_max_packet_size(options.packet_bytes_max, options.packet_bytes_max);
    if let Some(user) = &options.user {
        mqtt.set_credentials(user, options.password.clone().unwrap_or_default());
    }
    if options.tls.is_some() {
        mqtt.set_transport(Transport::tls_with_config(TlsConfiguration::NativeConnector(connector(
            options,
        )?)));
    }
    Ok(mqtt)
}

/// Without TCP_NODELAY acknowledgements take up to 40 ms.
pub(super) fn network_options(options: &BrokerOptions) -> NetworkOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(options.connect_timeout.as_secs().max(1));
    network
}

fn connector(options: &BrokerOptions) -> Result<native_tls::TlsConnector, BrokerError> {
    let failed = |reason| BrokerError::Tls { broker: options.name.clone(), reason };
    let mut builder = native_tls::TlsConnector::builder();
    builder.min_protocol_version(Some(native_tls::Protocol::Tlsv12));
    if let Some(path) = options.tls.as_ref().and_then(|tls| tls.ca_file.as_ref()) {
        let pem = std::fs::read(path).map_err(|reason| BrokerError::CaFile {
            broker: options.name.clone(),
            path: path.clone(),
            reason,
        })?;
        for certificate in native_tls::Certificate::stack_from_pem(&pem).map_err(failed)? {
            builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(failed)
}

fn translate(event: Event) -> ClientEvent {
    match event {
        Event::Incoming(Packet::ConnAck(connack)) => {
            ClientEvent::Connected { session_present: connack.session_present }
        }
        Event::Incoming(Packet::SubAck(suback)) => ClientEvent::Subscribed(
            suback.return_codes.iter().map(|code| matches!(code, SubscribeReasonCode::Success(_))).collect(),
        ),
        Event::Incoming(Packet::Publish(publish)) => ClientEvent::Message(Delivery {
            packet_id: (publish.qos != QoS::AtMostOnce).then_some(publish.pkid),
            topic: publish.topic,
            payload: publish.payload,
            dup: publish.dup,
        }),
        Event::Incoming(_) | Event::Outgoing(_) => ClientEvent::Other,
    }
}

pub(super) fn connection_error(error: ConnectionError) -> ClientError {
    match error {
        ConnectionError::ConnectionRefused(code) => ClientError::Refused(format!("{code:?}")),
        ConnectionError::MqttState(state) => state_error(state),
        other => ClientError::Lost(other.to_string()),
    }
}

fn state_error(error: StateError) -> ClientError {
    match error {
        StateError::Deserialization(ProtocolError::PayloadSizeLimitExceeded(size)) => {
            ClientError::TooLarge(size)
        }
        other => ClientError::Lost(other.to_string()),
    }
}
