//! Packet identifiers a session has seen, to tell a redelivery from a new message.
//!
//! A message is claimed when it is read and handed when the sequencer has it. In between, the
//! claim counts only for the connection that made it: if that connection dies first, the message
//! comes again on the next one and must count as new there.

use std::collections::VecDeque;

use hashbrown::HashMap;
use xxhash_rust::xxh3::Xxh3;

/// Claims on packet identifiers, at most `max` of them; the oldest is forgotten first.
pub(super) struct Claims {
    claims: HashMap<u16, Claim>,
    /// Identifiers in the order they were claimed, with the serial that tells a claim renewed.
    order: VecDeque<(u16, u64)>,
    serial: u64,
    max: usize,
}

struct Claim {
    fingerprint: u128,
    connection: u64,
    handed: bool,
    serial: u64,
}

impl Claims {
    /// No claims yet.
    pub(super) fn new(max: usize) -> Self {
        Self { claims: HashMap::new(), order: VecDeque::new(), serial: 0, max }
    }

    /// Whether `connection` must take a message with this identifier and content for a
    /// redelivery of one the sequencer has, or that the connection is about to hand over.
    pub(super) fn holds(&self, id: u16, connection: u64, fingerprint: u128) -> bool {
        self.claims.get(&id).is_some_and(|claim| {
            claim.fingerprint == fingerprint && (claim.handed || claim.connection == connection)
        })
    }

    /// Claims an identifier for `connection`.
    pub(super) fn claim(&mut self, id: u16, connection: u64, fingerprint: u128) {
        self.serial += 1;
        let claim = Claim { fingerprint, connection, handed: false, serial: self.serial };
        self.claims.insert(id, claim);
        self.order.push_back((id, self.serial));
        while self.order.len() > self.max {
            if let Some((old, serial)) = self.order.pop_front()
                && self.claims.get(&old).is_some_and(|claim| claim.serial == serial)
            {
                self.claims.remove(&old);
            }
        }
    }

    /// The sequencer has the message.
    pub(super) fn handed(&mut self, id: u16, connection: u64) {
        if let Some(claim) = self.claims.get_mut(&id)
            && claim.connection == connection
        {
            claim.handed = true;
        }
    }

    /// Ends a claim; whether there was one.
    #[cfg(any(test, feature = "broker"))]
    pub(super) fn release(&mut self, id: u16) -> bool {
        let held = self.claims.remove(&id).is_some();
        if self.claims.is_empty() {
            self.order.clear();
        }
        held
    }

    /// Claims held.
    #[cfg(any(test, feature = "broker"))]
    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }
}

/// What tells two messages of one packet identifier apart: topic and payload, 128 bits.
pub(super) fn fingerprint(topic: &str, payload: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&(topic.len() as u64).to_le_bytes());
    hasher.update(topic.as_bytes());
    hasher.update(payload);
    hasher.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_counts_for_others_once_handed() {
        let mut claims = Claims::new(10);
        let print = fingerprint("a", b"1");
        claims.claim(7, 1, print);
        assert!(claims.holds(7, 1, print));
        assert!(!claims.holds(7, 2, print), "connection 1 may still die with it");
        claims.handed(7, 1);
        assert!(claims.holds(7, 2, print));
        assert!(!claims.holds(7, 2, fingerprint("a", b"2")), "another message under the same id");
        assert!(claims.release(7));
        assert!(!claims.holds(7, 2, print));
    }

    #[test]
    fn the_oldest_claims_are_forgotten_at_the_bound() {
        let mut claims = Claims::new(3);
        for id in [1, 2, 1, 3] {
            claims.claim(id, 1, 0);
        }
        assert!(claims.holds(1, 1, 0), "claimed again later");
        claims.claim(4, 1, 0);
        assert!(!claims.holds(2, 1, 0));
        assert!(claims.holds(1, 1, 0) && claims.holds(3, 1, 0) && claims.holds(4, 1, 0));
        assert!(claims.len() <= 3);
    }
}
