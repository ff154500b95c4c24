//! The output gate of one connection: the acknowledgements it owes, in the order the messages came.
//!
//! The connection opens a slot for each message and puts its ticket into the submission. The
//! sequencer tells the epoch that holds the message ([`Gate::journaled`]); the connection lets the
//! leading slots go once the journal is durable past their epochs. A slot behind one that still
//! waits, waits too: acknowledgements leave in receive order.
//!
//! A gate belongs to one network connection and dies with it, so an acknowledgement never reaches
//! a later connection, where its packet identifier may mean another message.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::definition::AckLevel;
use crate::model::{Durable, Gate};

/// The acknowledgements one connection owes; `T` is what leaves for each.
pub struct OutputGate<T> {
    state: Mutex<State<T>>,
    /// Events refused for their names since they were last asked for.
    overdrawn: AtomicUsize,
}

struct State<T> {
    /// Ticket of the oldest slot.
    first: u64,
    slots: VecDeque<Slot<T>>,
}

struct Slot<T> {
    response: T,
    stand: Stand,
}

#[derive(Clone, Copy)]
enum Stand {
    /// Handed over; the journal's epoch is not known yet.
    Waiting(AckLevel),
    /// In the journal's epoch; leaves when that is durable.
    Journaled(AckLevel, u64),
    /// Answers nothing the journal holds; only keeps its place in the order.
    Free,
}

/// An acknowledgement whose turn has come.
#[derive(Debug)]
pub struct Released<T> {
    response: T,
    holds: Option<(AckLevel, u64)>,
}

impl<T> Released<T> {
    /// What may now leave.
    ///
    /// # Panics
    /// If the journal is not durable past the message's epoch by `durable`: the promise that
    /// nothing acknowledged is lost would be broken, and the process must not go on.
    pub fn into_response(self, durable: Durable) -> T {
        if let Some((level, epoch)) = self.holds {
            let passed = passed(level, durable);
            assert!(epoch < passed, "acknowledging epoch {epoch} while the journal is durable to {passed}");
        }
        self.response
    }
}

impl<T> Default for OutputGate<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { first: 0, slots: VecDeque::new() }), overdrawn: AtomicUsize::new(0) }
    }
}

impl<T> OutputGate<T> {
    /// Opens a slot for a message that is handed to the sequencer; the ticket goes with it.
    pub fn open(&self, level: AckLevel, response: T) -> u64 {
        self.push(response, Stand::Waiting(level))
    }

    /// Opens a slot for an answer that waits for nothing but its turn.
    pub fn open_free(&self, response: T) {
        self.push(response, Stand::Free);
    }

    /// Moves the answers whose turn has come to `released`, in receive order.
    pub fn release(&self, durable: Durable, released: &mut Vec<Released<T>>) {
        let mut state = self.lock();
        while state.slots.front().is_some_and(|slot| may_leave(slot.stand, durable)) {
            let Some(slot) = state.slots.pop_front() else { break };
            state.first += 1;
            let holds = match slot.stand {
                Stand::Journaled(level, epoch) => Some((level, epoch)),
                Stand::Waiting(_) | Stand::Free => None,
            };
            released.push(Released { response: slot.response, holds });
        }
    }

    /// Resolves when [`OutputGate::release`] would release something. Wakes for the moves of
    /// `durable` only while a slot is open: a thousand idle connections cost nothing at each sync. Asked
    /// by whoever opens slots. Safe to cancel.
    pub async fn ready(&self, durable: &mut watch::Receiver<Durable>) {
        loop {
            // First how durable it is, then the slot: an epoch is told before it becomes durable, so that
            // none is told and durable in between.
            let now = *durable.borrow_and_update();
            match self.front() {
                Some(stand) if may_leave(stand, now) => return,
                Some(_) if durable.changed().await.is_ok() => {}
                // Nothing is owed, or the journal is gone and nothing becomes durable any more.
                _ => std::future::pending::<()>().await,
            }
        }
    }

    /// Events of its messages that were refused since this was last asked, since their feed may use no more
    /// names.
    #[must_use]
    pub fn take_overdrawn(&self) -> usize {
        self.overdrawn.swap(0, Ordering::Relaxed)
    }

    /// Slots open: messages received and not yet answered.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.lock().slots.len()
    }

    fn push(&self, response: T, stand: Stand) -> u64 {
        let mut state = self.lock();
        let ticket = state.first + state.slots.len() as u64;
        state.slots.push_back(Slot { response, stand });
        ticket
    }

    fn front(&self) -> Option<Stand> {
        self.lock().slots.front().map(|slot| slot.stand)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> Gate for OutputGate<T> {
    fn journaled(&self, ticket: u64, epoch: u64) -> bool {
        let mut state = self.lock();
        let index = ticket.checked_sub(state.first).and_then(|index| usize::try_from(index).ok());
        let slot = index.and_then(|index| state.slots.get_mut(index));
        if let Some(slot) = slot
            && let Stand::Waiting(level) = slot.stand
        {
            slot.stand = Stand::Journaled(level, epoch);
            return level == AckLevel::Written;
        }
        false
    }

    fn overdrawn(&self) {
        self.overdrawn.fetch_add(1, Ordering::Relaxed);
    }
}

fn passed(level: AckLevel, durable: Durable) -> u64 {
    match level {
        AckLevel::Synced => durable.synced,
        AckLevel::Written => durable.written,
    }
}

fn may_leave(stand: Stand, durable: Durable) -> bool {
    match stand {
        Stand::Waiting(_) => false,
        Stand::Journaled(level, epoch) => epoch < passed(level, durable),
        Stand::Free => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn release(gate: &OutputGate<u16>, durable: Durable) -> Vec<u16> {
        let mut released = Vec::new();
        gate.release(durable, &mut released);
        released.into_iter().map(|one| one.into_response(durable)).collect()
    }

    #[test]
    fn answers_leave_in_receive_order() {
        let gate = OutputGate::default();
        let first = gate.open(AckLevel::Synced, 1);
        let second = gate.open(AckLevel::Synced, 2);
        gate.open_free(3);
        gate.journaled(second, 0);
        assert!(release(&gate, Durable { written: 9, synced: 9 }).is_empty());
        gate.journaled(first, 1);
        assert!(release(&gate, Durable { written: 9, synced: 1 }).is_empty());
        assert_eq!(release(&gate, Durable { written: 9, synced: 2 }), [1, 2, 3]);
        assert_eq!(gate.outstanding(), 0);
    }

    #[test]
    fn each_feed_waits_for_its_own_level() {
        let gate = OutputGate::default();
        let written = gate.open(AckLevel::Written, 1);
        let synced = gate.open(AckLevel::Synced, 2);
        gate.journaled(written, 4);
        gate.journaled(synced, 4);
        assert_eq!(release(&gate, Durable { written: 5, synced: 4 }), [1]);
        assert_eq!(release(&gate, Durable { written: 5, synced: 5 }), [2]);
    }

    #[test]
    fn late_and_unknown_tickets_change_nothing() {
        let gate = OutputGate::default();
        let ticket = gate.open(AckLevel::Synced, 1);
        gate.journaled(ticket, 3);
        gate.journaled(ticket, 0);
        gate.journaled(77, 0);
        assert!(release(&gate, Durable { written: 3, synced: 3 }).is_empty());
        assert_eq!(release(&gate, Durable { written: 4, synced: 4 }), [1]);
        gate.journaled(ticket, 0);
    }

    #[test]
    #[should_panic(expected = "acknowledging epoch 7")]
    fn an_answer_before_durability_stops_the_process() {
        let gate = OutputGate::default();
        let ticket = gate.open(AckLevel::Synced, 1);
        gate.journaled(ticket, 7);
        let mut released = Vec::new();
        gate.release(Durable { written: 8, synced: 8 }, &mut released);
        released.remove(0).into_response(Durable { written: 8, synced: 7 });
    }

    #[tokio::test]
    async fn ready_wakes_for_the_oldest_slot_only() {
        let gate = Arc::new(OutputGate::default());
        let (sender, mut durable) = watch::channel(Durable::default());
        let first = gate.open(AckLevel::Synced, 1);
        let second = gate.open(AckLevel::Synced, 2);
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.ready(&mut durable).await }
        });
        gate.journaled(second, 0);
        sender.send_replace(Durable { written: 5, synced: 5 });
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        gate.journaled(first, 5);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        sender.send_replace(Durable { written: 6, synced: 6 });
        waiting.await.unwrap();
    }
}
