//! What one subscriber still has to get, in order, within bounds.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::publications::Publication;

/// Messages on their way to one subscriber.
pub(super) struct Outbox {
    waiting: VecDeque<Parcel>,
    /// Sent at QoS 1 and not acknowledged, oldest first.
    flying: VecDeque<Parcel>,
    bytes: usize,
    last_id: u16,
    messages_max: usize,
    bytes_max: usize,
}

/// One message for one subscriber.
#[derive(Clone)]
pub(super) struct Parcel {
    pub(super) publication: Arc<Publication>,
    /// At QoS 1; else at QoS 0.
    pub(super) assured: bool,
    /// It comes from the retained table.
    pub(super) retained: bool,
    /// Its identifier, once it was sent at QoS 1.
    pub(super) id: Option<NonZeroU16>,
    /// It was sent on an earlier connection.
    pub(super) dup: bool,
}

impl Outbox {
    /// An empty outbox.
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            bytes: 0,
            last_id: 0,
            messages_max,
            bytes_max,
        }
    }

    /// Takes a message; false if there is no room.
    pub(super) fn push(&mut self, parcel: Parcel) -> bool {
        let bytes = parcel.publication.bytes();
        let full = self.waiting.len() + self.flying.len() >= self.messages_max
            || self.bytes + bytes > self.bytes_max;
        if full {
            return false;
        }
        self.bytes += bytes;
        self.waiting.push_back(parcel);
        true
    }

    /// The next message to write; none if the subscriber has `receive_max` unacknowledged.
    pub(super) fn next(&mut self, receive_max: u16) -> Option<Parcel> {
        let assured = self.waiting.front()?.assured;
        if assured && self.flying.len() >= usize::from(receive_max) {
            return None;
        }
        let mut parcel = self.waiting.pop_front()?;
        if assured {
            parcel.id = parcel.id.or_else(|| Some(self.free_id()));
            self.flying.push_back(parcel.clone());
        } else {
            self.bytes -= parcel.publication.bytes();
        }
        Some(parcel)
    }

    /// The subscriber has a message; unknown identifiers are ignored.
    pub(super) fn acknowledged(&mut self, id: u16) {
        let found = self.flying.iter().position(|parcel| parcel.id.is_some_and(|own| own.get() == id));
        if let Some(parcel) = found.and_then(|index| self.flying.remove(index)) {
            self.bytes -= parcel.publication.bytes();
        }
    }

    /// The connection is gone: what flew is sent again first, what was at QoS 0 is lost.
    pub(super) fn ground(&mut self) {
        for parcel in self.waiting.iter().filter(|parcel| !parcel.assured) {
            self.bytes -= parcel.publication.bytes();
        }
        self.waiting.retain(|parcel| parcel.assured);
        while let Some(mut parcel) = self.flying.pop_back() {
            parcel.dup = true;
            self.waiting.push_front(parcel);
        }
    }

    fn free_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let used = |parcel: &Parcel| parcel.id.is_some_and(|id| id.get() == self.last_id);
            let in_use = self.flying.iter().any(used) || self.waiting.iter().take_while(|p| p.dup).any(used);
            if let Some(id) = NonZeroU16::new(self.last_id)
                && !in_use
            {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(payload: &'static str, assured: bool) -> Parcel {
        let publication = Arc::new(Publication { topic: "sereno/x".into(), payload: payload.into() });
        Parcel { publication, assured, retained: false, id: None, dup: false }
    }

    #[test]
    fn unacknowledged_messages_come_again_first_with_their_ids() {
        let mut outbox = Outbox::new(10, 1_000);
        for payload in ["a", "b", "c"] {
            assert!(outbox.push(parcel(payload, true)));
        }
        assert!(outbox.push(parcel("lost", false)));
        let first = outbox.next(2).unwrap();
        let second = outbox.next(2).unwrap();
        assert!(outbox.next(2).is_none(), "two are unacknowledged");
        outbox.acknowledged(first.id.unwrap().get());
        outbox.ground();
        let again = outbox.next(9).unwrap();
        assert!(again.dup && again.id == second.id && &again.publication.payload[..] == b"b");
        let third = outbox.next(9).unwrap();
        assert!(!third.dup && third.id != second.id);
        assert!(outbox.next(9).is_none());
    }

    #[test]
    fn a_full_outbox_says_so() {
        let mut outbox = Outbox::new(2, 1_000);
        assert!(outbox.push(parcel("a", true)) && outbox.push(parcel("b", false)));
        assert!(!outbox.push(parcel("c", true)));
        let mut outbox = Outbox::new(100, 150);
        assert!(outbox.push(parcel("a", false)));
        assert!(!outbox.push(parcel("b", false)));
        assert!(outbox.next(1).is_some());
        assert!(outbox.push(parcel("b", false)), "room again");
    }
}
