//! What a connection tells of the packet that brings a message, so that the sequencer knows one that
//! comes again (`identity = "protocol"`): see [`crate::model::packet`].

use xxhash_rust::xxh3::Xxh3;

use crate::model::Packet;
use crate::model::definition::Identity;

/// The sessions of one door: how they are told apart, and how much may be on its way in each.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionId {
    hash: u64,
    in_flight_max: u16,
}

impl SessionId {
    /// The session that these names name: the same after every restart.
    pub(super) fn of(names: &[&str], in_flight_max: u16) -> Self {
        let mut hasher = Xxh3::new();
        names.iter().for_each(|name| add(&mut hasher, name.as_bytes()));
        Self { hash: hasher.digest(), in_flight_max }
    }

    /// A message's packet in this session. Only feeds that have nothing else to tell a message by ask for
    /// its content.
    pub(super) fn packet(self, id: u16, identity: Identity, topic: &str, payload: &[u8]) -> Packet {
        let print = if identity == Identity::Protocol { print(topic, payload) } else { 0 };
        Packet { session: self.hash, in_flight_max: self.in_flight_max, id, print }
    }
}

/// 64 bits of topic and payload, never 0.
fn print(topic: &str, payload: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    add(&mut hasher, topic.as_bytes());
    hasher.update(payload);
    hasher.digest().max(1)
}

fn add(hasher: &mut Xxh3, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_and_contents_are_told_apart() {
        let session = |names: &[&str]| SessionId::of(names, 10).hash;
        assert_eq!(session(&["broker", "city"]), session(&["broker", "city"]));
        assert_ne!(session(&["broker", "city"]), session(&["broker", "cit", "y"]));
        let packet = |identity, topic, payload: &[u8]| {
            SessionId::of(&["broker", "city"], 10).packet(7, identity, topic, payload).print
        };
        let print = packet(Identity::Protocol, "a", b"1");
        assert_eq!(print, packet(Identity::Protocol, "a", b"1"));
        assert_ne!(print, packet(Identity::Protocol, "a", b"2"));
        assert_ne!(print, packet(Identity::Protocol, "a1", b""));
        assert_eq!(packet(Identity::Time, "a", b"1"), 0);
    }
}
