//! Identifiers of messages at QoS 2 that a session received and did not release: until then the
//! identifier alone tells a message that comes again.
//!
//! One is held when it is read and handed when the sequencer has it. In between it counts only for the
//! connection that read it: if that connection dies first, the message comes again on the next one and
//! must count as new there.

use hashbrown::HashMap;

/// See the module.
#[derive(Default)]
pub(super) struct Held(HashMap<u16, One>);

struct One {
    connection: u64,
    handed: bool,
}

impl Held {
    /// Whether `connection` must take a message with this identifier for one that the sequencer has, or
    /// that the connection is about to hand over.
    pub(super) fn holds(&self, id: u16, connection: u64) -> bool {
        self.0.get(&id).is_some_and(|one| one.handed || one.connection == connection)
    }

    /// Holds an identifier for `connection`.
    pub(super) fn hold(&mut self, id: u16, connection: u64) {
        self.0.insert(id, One { connection, handed: false });
    }

    /// The sequencer has the message.
    pub(super) fn handed(&mut self, id: u16, connection: u64) {
        if let Some(one) = self.0.get_mut(&id)
            && one.connection == connection
        {
            one.handed = true;
        }
    }

    /// Lets an identifier go; whether it was held.
    pub(super) fn release(&mut self, id: u16) -> bool {
        self.0.remove(&id).is_some()
    }

    /// Identifiers held.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_counts_for_others_once_handed() {
        let mut held = Held::default();
        held.hold(7, 1);
        assert!(held.holds(7, 1));
        assert!(!held.holds(7, 2), "connection 1 may still die with it");
        held.handed(7, 2);
        assert!(!held.holds(7, 2), "it was not connection 2 that handed it over");
        held.handed(7, 1);
        assert!(held.holds(7, 2) && held.len() == 1);
        assert!(held.release(7) && !held.release(7));
        assert!(!held.holds(7, 1));
    }
}
