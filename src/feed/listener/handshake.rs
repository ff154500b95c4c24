//! The first packet of a connection: CONNECT, who it is from and what it may do.
//!
//! Until it is through, a connection holds nothing but a buffer of `connect_bytes_max`, for
//! `connect_timeout` at the most.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use rmqtt_codec::types::QoS;
use rmqtt_codec::version::{ProtocolVersion, VersionCodec};
use rmqtt_codec::{v3, v5};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::{Decoder, Encoder};

use super::authority::{Authority, Denied};
use super::options::ListenerLimits;
use super::wire::Wire;
use crate::feed::OWN_TOPICS;
use crate::feed::route::is_topic;

/// The longest client identifier taken, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 256;

/// The smallest packet limit of a client that can still be told why it is refused.
const CLIENT_PACKET_BYTES_MIN: u32 = 128;

/// A client that may come in.
pub(super) struct Login {
    pub(super) wire: Wire,
    /// What came behind the CONNECT.
    pub(super) buffer: BytesMut,
    pub(super) user: Option<ByteString>,
    pub(super) client_id: ByteString,
    /// The client left its identifier to us.
    pub(super) assigned: bool,
    pub(super) clean: bool,
    /// How long the session outlives the connection.
    pub(super) keep: Duration,
    pub(super) keep_alive: Option<Duration>,
    pub(super) will: Option<Will>,
    /// Messages of ours the client takes unacknowledged.
    pub(super) receive_max: u16,
    /// The largest packet the client takes.
    pub(super) packet_bytes_max: usize,
}

/// What is published for a client that goes without a word.
pub(super) struct Will {
    pub(super) topic: ByteString,
    pub(super) payload: Bytes,
}

/// Why a client does not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("malformed or oversized CONNECT")]
    Malformed,
    #[error("the connection closed before CONNECT")]
    Closed,
    #[error("wrong user or password")]
    Credentials,
    #[error("no user name, and anonymous clients are not allowed")]
    Anonymous,
    #[error("client identifier not allowed")]
    ClientId,
    #[error("the will's topic may not be published")]
    WillTopic,
    #[error("authentication method not supported")]
    Method,
    #[error("the client takes only tiny packets")]
    PacketBytes,
    #[error("all sessions are in use")]
    SessionsFull,
}

impl Refusal {
    fn v3(self) -> Option<v3::ConnectAckReason> {
        match self {
            Self::Malformed | Self::Closed => None,
            Self::Credentials => Some(v3::ConnectAckReason::BadUserNameOrPassword),
            Self::Anonymous | Self::WillTopic | Self::Method => Some(v3::ConnectAckReason::NotAuthorized),
            Self::ClientId => Some(v3::ConnectAckReason::IdentifierRejected),
            Self::PacketBytes | Self::SessionsFull => Some(v3::ConnectAckReason::ServiceUnavailable),
        }
    }

    fn v5(self) -> Option<v5::ConnectAckReason> {
        match self {
            Self::Malformed | Self::Closed => None,
            Self::Credentials => Some(v5::ConnectAckReason::BadUserNameOrPassword),
            Self::Anonymous | Self::WillTopic => Some(v5::ConnectAckReason::NotAuthorized),
            Self::Method => Some(v5::ConnectAckReason::BadAuthenticationMethod),
            Self::ClientId => Some(v5::ConnectAckReason::ClientIdentifierNotValid),
            Self::PacketBytes => Some(v5::ConnectAckReason::PacketTooLarge),
            Self::SessionsFull => Some(v5::ConnectAckReason::QuotaExceeded),
        }
    }
}

/// Reads CONNECT and checks it; a refusal has been answered when this returns.
pub(super) async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    authority: &Authority,
    limits: &ListenerLimits,
    connection: u64,
) -> Result<Login, Refusal> {
    let mut buffer = BytesMut::with_capacity(1_024);
    let version = loop {
        match VersionCodec.decode(&mut buffer) {
            Ok(Some(version)) => break version,
            Ok(None) => read(stream, &mut buffer, limits).await?,
            Err(_) => return Err(Refusal::Malformed),
        }
    };
    let login = match version {
        ProtocolVersion::MQTT3 => {
            let mut codec = v3::Codec::new(limits.connect_bytes_max);
            let connect = loop {
                match codec.decode(&mut buffer) {
                    Ok(Some((v3::Packet::Connect(connect), _))) => break connect,
                    Ok(None) => read(stream, &mut buffer, limits).await?,
                    Ok(Some(_)) | Err(_) => return Err(Refusal::Malformed),
                }
            };
            from_v3(*connect, codec, limits)
        }
        ProtocolVersion::MQTT5 => {
            let mut codec = v5::Codec::new(limits.connect_bytes_max, 0);
            let connect = loop {
                match codec.decode(&mut buffer) {
                    Ok(Some((v5::Packet::Connect(connect), _))) => break connect,
                    Ok(None) => read(stream, &mut buffer, limits).await?,
                    Ok(Some(_)) | Err(_) => return Err(Refusal::Malformed),
                }
            };
            from_v5(*connect, codec, limits)
        }
    };
    let (mut login, password, refused) = login;
    login.buffer = buffer;
    let checked = match refused {
        Some(refusal) => Err(refusal),
        None => check(&mut login, password.as_deref(), authority, connection),
    };
    if let Err(refusal) = checked {
        refuse(stream, &mut login.wire, refusal).await;
        return Err(refusal);
    }
    login.wire.set_packet_bytes_max(limits.packet_bytes_max);
    Ok(login)
}

/// Answers with the reason, best effort.
pub(super) async fn refuse<S: AsyncWrite + Unpin>(stream: &mut S, wire: &mut Wire, refusal: Refusal) {
    let mut out = BytesMut::new();
    let encoded = match wire {
        Wire::V3(codec) => refusal.v3().map(|return_code| {
            codec.encode(
                v3::Packet::ConnectAck(v3::ConnectAck { return_code, session_present: false }),
                &mut out,
            )
        }),
        Wire::V5(codec) => refusal.v5().map(|reason_code| {
            let ack = v5::ConnectAck { reason_code, ..v5::ConnectAck::default() };
            codec.encode(v5::Packet::ConnectAck(Box::new(ack)), &mut out)
        }),
    };
    if encoded.is_some_and(|encoded| encoded.is_ok()) {
        // The client may be gone already.
        let _ = stream.write_all(&out).await;
        let _ = stream.shutdown().await;
    }
}

/// Writes the CONNACK that lets a client in.
pub(super) fn accept(login: &mut Login, session_present: bool, limits: &ListenerLimits, out: &mut BytesMut) {
    let assigned = login.assigned.then(|| login.client_id.clone());
    let encoded = match &mut login.wire {
        Wire::V3(codec) => {
            let return_code = v3::ConnectAckReason::ConnectionAccepted;
            codec.encode(v3::Packet::ConnectAck(v3::ConnectAck { return_code, session_present }), out)
        }
        Wire::V5(codec) => {
            let ack = v5::ConnectAck {
                session_present,
                session_expiry_interval_secs: u32::try_from(login.keep.as_secs()).ok(),
                receive_max: limits.receive_max.try_into().unwrap_or(std::num::NonZeroU16::MIN),
                max_packet_size: Some(limits.packet_bytes_max),
                assigned_client_id: assigned,
                topic_alias_max: 0,
                subscription_identifiers_available: false,
                shared_subscription_available: false,
                ..v5::ConnectAck::default()
            };
            codec.encode(v5::Packet::ConnectAck(Box::new(ack)), out)
        }
    };
    debug_assert!(encoded.is_ok(), "{encoded:?}");
}

async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
    limits: &ListenerLimits,
) -> Result<(), Refusal> {
    if buffer.len() > limits.connect_bytes_max as usize + 8 {
        return Err(Refusal::Malformed);
    }
    match stream.read_buf(buffer).await {
        Ok(0) | Err(_) => Err(Refusal::Closed),
        Ok(_) => Ok(()),
    }
}

/// Login, password, and a refusal that shows already.
type Read = (Login, Option<Bytes>, Option<Refusal>);

fn from_v3(connect: v3::Connect, codec: v3::Codec, limits: &ListenerLimits) -> Read {
    let keep = if connect.clean_session { Duration::ZERO } else { limits.session_keep_max };
    let login = Login {
        wire: Wire::V3(codec),
        buffer: BytesMut::new(),
        user: connect.username,
        client_id: connect.client_id,
        assigned: false,
        clean: connect.clean_session,
        keep,
        keep_alive: keep_alive(connect.keep_alive),
        will: connect.last_will.map(|will| Will { topic: will.topic, payload: will.message }),
        receive_max: u16::MAX,
        packet_bytes_max: usize::MAX,
    };
    (login, connect.password, None)
}

fn from_v5(connect: v5::Connect, codec: v5::Codec, limits: &ListenerLimits) -> Read {
    let expiry = Duration::from_secs(connect.session_expiry_interval_secs.into());
    let packet_bytes_max = connect.max_packet_size.map_or(u32::MAX, std::num::NonZeroU32::get);
    let refusal = if connect.auth_method.is_some() {
        Some(Refusal::Method)
    } else if packet_bytes_max < CLIENT_PACKET_BYTES_MIN {
        Some(Refusal::PacketBytes)
    } else {
        None
    };
    let login = Login {
        wire: Wire::V5(codec),
        buffer: BytesMut::new(),
        user: connect.username,
        client_id: connect.client_id,
        assigned: false,
        clean: connect.clean_start,
        keep: expiry.min(limits.session_keep_max),
        keep_alive: keep_alive(connect.keep_alive),
        will: connect.last_will.map(|will| Will { topic: will.topic, payload: will.message }),
        receive_max: connect.receive_max.map_or(u16::MAX, std::num::NonZeroU16::get),
        packet_bytes_max: packet_bytes_max as usize,
    };
    (login, connect.password, refusal)
}

/// One and a half times what the client said; none if it said 0.
fn keep_alive(seconds: u16) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_millis(u64::from(seconds) * 1_500))
}

fn check(
    login: &mut Login,
    password: Option<&[u8]>,
    authority: &Authority,
    connection: u64,
) -> Result<(), Refusal> {
    authority.check(login.user.as_deref(), password).map_err(|denied| match denied {
        Denied::Credentials => Refusal::Credentials,
        Denied::Anonymous => Refusal::Anonymous,
    })?;
    if login.client_id.len() > CLIENT_ID_BYTES_MAX {
        return Err(Refusal::ClientId);
    }
    if login.client_id.is_empty() {
        login.client_id = format!("sereno-{connection:016x}").into();
        login.assigned = true;
    }
    match &login.will {
        Some(will) if !is_topic(&will.topic) || is_forbidden(&will.topic) => Err(Refusal::WillTopic),
        _ => Ok(()),
    }
}

/// Topics that no client publishes: Sereno's own, and the `$` ones.
pub(super) fn is_forbidden(topic: &str) -> bool {
    topic.starts_with(OWN_TOPICS) || topic.starts_with('$')
}

/// The QoS granted: we publish at most at QoS 1.
pub(super) fn granted(qos: QoS) -> QoS {
    qos.less_value(QoS::AtLeastOnce)
}
