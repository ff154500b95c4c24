//! A device's MQTT 3.1.1 session, byte by byte: what was sent and what was acknowledged is known
//! exactly, which a client library's buffers would hide.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer that does not come within this long ends the connection.
const ANSWER: Duration = Duration::from_secs(10);
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x32;
const PUBLISH_ONCE: u8 = 0x34;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;
const DUP: u8 = 0x08;
const PUBACK: u8 = 0x40;
const PINGREQ: u8 = 0xc0;
const PINGRESP: u8 = 0xd0;

/// One connection of a session.
pub struct Session {
    stream: TcpStream,
    /// Bytes that came and make no whole packet yet.
    pending: Vec<u8>,
    /// Answers to pings so far.
    pub pongs: u32,
}

impl Session {
    /// Connects; `clean` begins a new session, otherwise the one of this name goes on.
    ///
    /// # Errors
    /// Nobody listens, or refuses.
    pub fn connect(port: u16, client_id: &str, clean: bool, keep_alive_s: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(ANSWER))?;
        let mut session = Self { stream, pending: Vec::new(), pongs: 0 };
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, u8::from(clean) << 1];
        body.extend(keep_alive_s.to_be_bytes());
        text(&mut body, client_id);
        session.send(CONNECT, &body)?;
        session.stream.set_read_timeout(Some(ANSWER))?;
        let mut answer = [0; 4];
        session.stream.read_exact(&mut answer)?;
        match answer {
            [CONNACK, 2, _, 0] => Ok(session),
            other => Err(io::Error::new(ErrorKind::PermissionDenied, format!("refused: {other:?}"))),
        }
    }

    /// Sends a message at QoS 1.
    ///
    /// # Errors
    /// The connection ended.
    pub fn publish(&mut self, topic: &str, packet_id: u16, payload: &[u8], again: bool) -> io::Result<()> {
        let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
        text(&mut body, topic);
        body.extend(packet_id.to_be_bytes());
        body.extend(payload);
        self.send(if again { PUBLISH | DUP } else { PUBLISH }, &body)
    }

    /// Sends a message at QoS 2 and waits until it is received.
    ///
    /// # Errors
    /// The connection ended, or something else was answered.
    pub fn publish_once(
        &mut self,
        topic: &str,
        packet_id: u16,
        payload: &[u8],
        again: bool,
    ) -> io::Result<()> {
        let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
        text(&mut body, topic);
        body.extend(packet_id.to_be_bytes());
        body.extend(payload);
        self.send(if again { PUBLISH_ONCE | DUP } else { PUBLISH_ONCE }, &body)?;
        self.answered(PUBREC, packet_id)
    }

    /// Releases a message that was received at QoS 2.
    ///
    /// # Errors
    /// As for [`Self::publish_once`].
    pub fn release(&mut self, packet_id: u16) -> io::Result<()> {
        self.send(PUBREL, &packet_id.to_be_bytes())?;
        self.answered(PUBCOMP, packet_id)
    }

    fn answered(&mut self, kind: u8, packet_id: u16) -> io::Result<()> {
        let [high, low] = packet_id.to_be_bytes();
        let mut answer = [0; 4];
        self.stream.set_read_timeout(Some(ANSWER))?;
        self.stream.read_exact(&mut answer)?;
        if answer == [kind, 2, high, low] {
            return Ok(());
        }
        Err(io::Error::new(ErrorKind::InvalidData, format!("{answer:?}")))
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// The connection ended.
    pub fn ping(&mut self) -> io::Result<()> {
        self.stream.write_all(&[PINGREQ, 0])
    }

    /// The packet ids acknowledged meanwhile, in order; waits at most `within` for the first.
    ///
    /// # Errors
    /// The connection ended.
    pub fn acknowledged(&mut self, within: Duration) -> io::Result<Vec<u16>> {
        self.stream.set_read_timeout(Some(within))?;
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.pending.extend(&bytes[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        let mut ids = Vec::new();
        while self.pending.len() >= 2 && self.pending.len() >= 2 + usize::from(self.pending[1]) {
            let packet: Vec<u8> = self.pending.drain(..2 + usize::from(self.pending[1])).collect();
            match packet[..] {
                [PUBACK, 2, high, low] => ids.push(u16::from_be_bytes([high, low])),
                [PINGRESP, 0] => self.pongs += 1,
                _ => return Err(io::Error::new(ErrorKind::InvalidData, format!("{packet:?}"))),
            }
        }
        Ok(ids)
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let mut packet = vec![kind];
        let mut length = body.len();
        loop {
            let low = u8::try_from(length % 128).unwrap();
            length /= 128;
            packet.push(if length > 0 { low | 0x80 } else { low });
            if length == 0 {
                break;
            }
        }
        packet.extend(body);
        self.stream.write_all(&packet)
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend(text.as_bytes());
}
