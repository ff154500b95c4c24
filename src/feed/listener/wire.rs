//! MQTT 3.1.1 and 5 behind one set of requests and answers.
//!
//! Bytes become packets by `rmqtt-codec`. Acknowledgements, which are most of what leaves, are
//! written here directly: four bytes each, five with an MQTT 5 reason.

use std::num::NonZeroU16;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{DisconnectReasonCode, RetainHandling, SubscribeAckReason, UnsubscribeAckReason};
use rmqtt_codec::{v3, v5};
use tokio_util::codec::{Decoder, Encoder};

use super::publications::Publication;

/// The packets of one connection, in its version of MQTT.
pub(super) enum Wire {
    /// MQTT 3.1 and 3.1.1.
    V3(v3::Codec),
    /// MQTT 5.
    V5(v5::Codec),
}

/// What a client asks after its CONNECT.
pub(super) enum Request {
    Publish(Box<Publish>),
    /// PUBACK of something we published.
    Acknowledged(u16),
    /// PUBREL of a message at QoS 2.
    Release(u16),
    Subscribe {
        id: NonZeroU16,
        filters: Vec<Wanted>,
        /// MQTT 5 only, and not offered.
        identifier: bool,
    },
    Unsubscribe {
        id: NonZeroU16,
        filters: Vec<ByteString>,
    },
    Ping,
    Disconnect {
        /// The will is wanted all the same.
        with_will: bool,
        /// A new session expiry, in seconds.
        expiry: Option<u32>,
    },
    /// A packet no client sends at this point.
    Unexpected,
}

/// One subscription asked for.
pub(super) struct Wanted {
    pub(super) filter: ByteString,
    pub(super) qos: QoS,
    pub(super) retained: RetainHandling,
}

/// An acknowledgement of a client's message.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// PUBACK, for QoS 1.
    Acknowledge(u16, u8),
    /// PUBREC, for QoS 2.
    Receive(u16, u8),
}

/// MQTT 5 reason: success.
pub(super) const SUCCESS: u8 = 0;
/// MQTT 5 reason: taken, and nobody reads it.
pub(super) const NO_SUBSCRIBERS: u8 = 0x10;
/// MQTT 5 reason: the client may not publish there.
pub(super) const NOT_AUTHORIZED: u8 = 0x87;
/// MQTT 5 reason: PUBREL for an identifier not held.
const ID_NOT_FOUND: u8 = 0x92;

impl Wire {
    /// Whether the client speaks MQTT 5.
    pub(super) fn is_v5(&self) -> bool {
        matches!(self, Self::V5(_))
    }

    /// Sets the size of packets taken from now on, in bytes.
    pub(super) fn set_packet_bytes_max(&mut self, bytes: u32) {
        match self {
            Self::V3(codec) => codec.set_max_size(bytes),
            Self::V5(codec) => codec.set_max_inbound_size(bytes),
        }
    }

    /// The next request, if the buffer holds all of it.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Request>, DecodeError> {
        Ok(match self {
            Self::V3(codec) => codec.decode(buffer)?.map(|(packet, _)| from_v3(packet)),
            Self::V5(codec) => codec.decode(buffer)?.map(|(packet, _)| from_v5(packet)),
        })
    }

    /// Writes an acknowledgement.
    pub(super) fn answer(&self, answer: Answer, out: &mut BytesMut) {
        match answer {
            Answer::Acknowledge(id, reason) => self.short(0x40, id, reason, out),
            Answer::Receive(id, reason) => self.short(0x50, id, reason, out),
        }
    }

    /// Writes PUBCOMP.
    pub(super) fn complete(&self, id: u16, held: bool, out: &mut BytesMut) {
        self.short(0x70, id, if held { SUCCESS } else { ID_NOT_FOUND }, out);
    }

    /// Writes PINGRESP.
    pub(super) fn pong(&self, out: &mut BytesMut) {
        out.put_slice(&[0xD0, 0]);
    }

    /// Writes SUBACK.
    pub(super) fn subscribed(
        &mut self,
        packet_id: NonZeroU16,
        status: Vec<SubscribeAckReason>,
        out: &mut BytesMut,
    ) {
        match self {
            Self::V3(codec) => {
                let status = status.into_iter().map(to_v3).collect();
                written(codec.encode(v3::Packet::SubscribeAck { packet_id, status }, out));
            }
            Self::V5(codec) => {
                let ack = v5::SubscribeAck { packet_id, properties: Vec::new(), reason_string: None, status };
                written(codec.encode(v5::Packet::SubscribeAck(ack), out));
            }
        }
    }

    /// Writes UNSUBACK.
    pub(super) fn unsubscribed(&mut self, packet_id: NonZeroU16, existed: &[bool], out: &mut BytesMut) {
        match self {
            Self::V3(codec) => written(codec.encode(v3::Packet::UnsubscribeAck { packet_id }, out)),
            Self::V5(codec) => {
                let status = existed.iter().map(|existed| match existed {
                    true => UnsubscribeAckReason::Success,
                    false => UnsubscribeAckReason::NoSubscriptionExisted,
                });
                let status = status.collect();
                let ack =
                    v5::UnsubscribeAck { packet_id, properties: Vec::new(), reason_string: None, status };
                written(codec.encode(v5::Packet::UnsubscribeAck(ack), out));
            }
        }
    }

    /// Writes a message of Sereno's; `packet_id` makes it QoS 1.
    pub(super) fn publish(
        &mut self,
        publication: &Publication,
        packet_id: Option<NonZeroU16>,
        dup: bool,
        retain: bool,
        out: &mut BytesMut,
    ) {
        let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let topic = ByteString::from(&*publication.topic);
        let payload = Bytes::clone(&publication.payload);
        let publish = Publish { dup, retain, qos, topic, packet_id, payload, properties: None };
        match self {
            Self::V3(codec) => written(codec.encode(v3::Packet::Publish(Box::new(publish)), out)),
            Self::V5(codec) => written(codec.encode(v5::Packet::Publish(Box::new(publish)), out)),
        }
    }

    /// Writes DISCONNECT with its reason; MQTT 3.1.1 has no such packet from a server.
    pub(super) fn disconnect(&mut self, reason: DisconnectReasonCode, out: &mut BytesMut) {
        if let Self::V5(codec) = self {
            written(codec.encode(v5::Packet::Disconnect(v5::Disconnect::new(reason)), out));
        }
    }

    /// A packet of a type, an identifier and, in MQTT 5, a reason other than success.
    fn short(&self, first: u8, id: u16, reason: u8, out: &mut BytesMut) {
        let [high, low] = id.to_be_bytes();
        if self.is_v5() && reason != SUCCESS {
            out.put_slice(&[first, 3, high, low, reason]);
        } else {
            out.put_slice(&[first, 2, high, low]);
        }
    }
}

/// Our own packets always encode: they are small, and identifiers are set where they must be.
fn written<E: std::fmt::Debug>(outcome: Result<(), E>) {
    debug_assert!(outcome.is_ok(), "{outcome:?}");
}

fn from_v3(packet: v3::Packet) -> Request {
    match packet {
        v3::Packet::Publish(publish) => Request::Publish(publish),
        v3::Packet::PublishAck { packet_id } => Request::Acknowledged(packet_id.get()),
        v3::Packet::PublishRelease { packet_id } => Request::Release(packet_id.get()),
        v3::Packet::Subscribe { packet_id, topic_filters } => Request::Subscribe {
            id: packet_id,
            filters: topic_filters
                .into_iter()
                .map(|(filter, qos)| Wanted { filter, qos, retained: RetainHandling::AtSubscribe })
                .collect(),
            identifier: false,
        },
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            Request::Unsubscribe { id: packet_id, filters: topic_filters }
        }
        v3::Packet::PingRequest => Request::Ping,
        v3::Packet::Disconnect => Request::Disconnect { with_will: false, expiry: None },
        _ => Request::Unexpected,
    }
}

fn from_v5(packet: v5::Packet) -> Request {
    match packet {
        v5::Packet::Publish(publish) => Request::Publish(publish),
        v5::Packet::PublishAck(ack) => Request::Acknowledged(ack.packet_id.get()),
        v5::Packet::PublishRelease(release) => Request::Release(release.packet_id.get()),
        v5::Packet::Subscribe(subscribe) => Request::Subscribe {
            id: subscribe.packet_id,
            identifier: subscribe.id.is_some(),
            filters: subscribe
                .topic_filters
                .into_iter()
                .map(|(filter, options)| Wanted {
                    filter,
                    qos: options.qos,
                    retained: options.retain_handling,
                })
                .collect(),
        },
        v5::Packet::Unsubscribe(unsubscribe) => {
            Request::Unsubscribe { id: unsubscribe.packet_id, filters: unsubscribe.topic_filters }
        }
        v5::Packet::PingRequest => Request::Ping,
        v5::Packet::Disconnect(disconnect) => Request::Disconnect {
            with_will: disconnect.reason_code != DisconnectReasonCode::NormalDisconnection,
            expiry: disconnect.session_expiry_interval_secs,
        },
        _ => Request::Unexpected,
    }
}

fn to_v3(reason: SubscribeAckReason) -> v3::SubscribeReturnCode {
    match reason {
        SubscribeAckReason::GrantedQos0 => v3::SubscribeReturnCode::Success(QoS::AtMostOnce),
        SubscribeAckReason::GrantedQos1 => v3::SubscribeReturnCode::Success(QoS::AtLeastOnce),
        SubscribeAckReason::GrantedQos2 => v3::SubscribeReturnCode::Success(QoS::ExactlyOnce),
        _ => v3::SubscribeReturnCode::Failure,
    }
}
