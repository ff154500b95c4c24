//! Identifiers of messages at QoS 2 that a session received and did not release: until then the
//! identifier alone tells a message that comes again.
//!
//! One is held when it is read and handed when the sequencer has it. In between it counts only for the
//! connection that read it: if that connection dies first, the message comes again on the next one and
//! must count as new there.
//!
//! What was released is remembered, too: a message under such an identifier is a new one, also if it says
//! that it was sent before (DUP) and has the content of the one that was released.

use hashbrown::HashMap;

/// Words of a bit for each identifier.
const WORDS: usize = (u16::MAX as usize + 1) / 64;

/// See the module.
#[derive(Default)]
pub(super) struct Held {
    held: HashMap<u16, One>,
    /// A bit for each identifier that was released; none until one was.
    released: Option<Box<[u64; WORDS]>>,
}

struct One {
    connection: u64,
    handed: bool,
}

impl Held {
    /// Whether `connection` must take a message with this identifier for one that the sequencer has, or
    /// that the connection is about to hand over.
    pub(super) fn holds(&self, id: u16, connection: u64) -> bool {
        self.held.get(&id).is_some_and(|one| one.handed || one.connection == connection)
    }

    /// Holds an identifier for `connection`.
    pub(super) fn hold(&mut self, id: u16, connection: u64) {
        self.held.insert(id, One { connection, handed: false });
    }

    /// Whether the identifier's last message was released: then the next is another one.
    pub(super) fn was_released(&self, id: u16) -> bool {
        let word = self.released.as_ref().and_then(|words| words.get(usize::from(id / 64)));
        word.is_some_and(|word| word & 1 << (id % 64) != 0)
    }

    /// The sequencer has the message.
    pub(super) fn handed(&mut self, id: u16, connection: u64) {
        if let Some(one) = self.held.get_mut(&id)
            && one.connection == connection
        {
            one.handed = true;
        }
    }

    /// Lets an identifier go; whether it was held.
    pub(super) fn release(&mut self, id: u16) -> bool {
        let held = self.held.remove(&id).is_some();
        if held {
            let words = self.released.get_or_insert_with(|| Box::new([0; WORDS]));
            if let Some(word) = words.get_mut(usize::from(id / 64)) {
                *word |= 1 << (id % 64);
            }
        }
        held
    }

    /// Identifiers held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
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
        assert!(!held.holds(7, 1) && held.was_released(7) && !held.was_released(8));
    }

    #[test]
    fn what_was_released_is_remembered() {
        let mut held = Held::default();
        assert!(!held.was_released(1));
        held.release(1);
        assert!(!held.was_released(1), "it was never held");
        for id in [0, 1, 63, 64, u16::MAX] {
            held.hold(id, 1);
            held.release(id);
            assert!(held.was_released(id));
        }
        assert_eq!((0..=u16::MAX).filter(|id| held.was_released(*id)).count(), 5);
    }
}
