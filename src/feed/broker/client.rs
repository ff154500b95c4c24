//! What Sereno needs of an MQTT 3.1.1 client, so that a simulation can script a broker.

use std::future::Future;

use bytes::Bytes;

use crate::feed::Filter;

/// An MQTT client whose acknowledgements the owner sends.
pub trait MqttClient: Send {
    /// The next event; connects first if there is no connection. Safe to cancel: an event is
    /// either returned or comes at the next call.
    ///
    /// # Errors
    /// When the connection is lost or could not be made.
    fn next(&mut self) -> impl Future<Output = Result<ClientEvent, ClientError>> + Send;

    /// Subscribes at QoS 1 by one packet; [`ClientEvent::Subscribed`] answers, in order.
    ///
    /// # Errors
    /// When the connection is lost.
    fn subscribe(&mut self, filters: &[Filter]) -> impl Future<Output = Result<(), ClientError>> + Send;

    /// Ends subscriptions.
    ///
    /// # Errors
    /// When the connection is lost.
    fn unsubscribe(&mut self, filters: &[Filter]) -> impl Future<Output = Result<(), ClientError>> + Send;

    /// Sends a PUBACK for each packet identifier, in order, in one write.
    ///
    /// # Errors
    /// When the connection is lost.
    fn acknowledge(&mut self, packet_ids: &[u16]) -> impl Future<Output = Result<(), ClientError>> + Send;

    /// Sends a PINGREQ while nothing else is read or sent.
    ///
    /// # Errors
    /// When the connection is lost.
    fn ping(&mut self) -> impl Future<Output = Result<(), ClientError>> + Send;

    /// Says DISCONNECT, best effort; the session stays with the broker.
    fn close(&mut self) -> impl Future<Output = ()> + Send;

    /// Drops the connection and everything read or queued for it.
    fn reset(&mut self);
}

/// What comes from a broker.
#[derive(Debug)]
pub enum ClientEvent {
    /// The broker took the connection.
    Connected {
        /// Whether it kept the session.
        session_present: bool,
    },
    /// The broker answered a SUBSCRIBE: for each filter whether it is granted.
    Subscribed(Vec<bool>),
    /// A message.
    Message(Delivery),
    /// Anything else, as a PINGRESP.
    Other,
}

/// A message from a broker.
#[derive(Debug)]
pub struct Delivery {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Packet identifier of QoS 1; `None` for QoS 0.
    pub packet_id: Option<u16>,
    /// Whether the broker may have sent it before.
    pub dup: bool,
}

/// Why there is no connection. All are retried; the remedy says what may help.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The broker refused the user or the client.
    #[error("the broker refused the connection: {0}")]
    Refused(String),
    /// A message is larger than the client takes; the broker would send it again for ever.
    #[error("a message of {0} bytes is larger than packet_bytes_max")]
    TooLarge(usize),
    /// The network, TLS or the protocol failed.
    #[error("{0}")]
    Lost(String),
    /// The sequencer is gone: the service stops.
    #[error("the service stops")]
    Stopped,
}

impl ClientError {
    /// What the operator can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Refused(_) => "check the broker's user and password_file in sereno.toml",
            Self::TooLarge(_) => "raise packet_bytes_max of the broker in sereno.toml above that size",
            Self::Lost(_) => "check the broker's host, port and tls in sereno.toml, and that it runs",
            Self::Stopped => "none needed",
        }
    }
}
