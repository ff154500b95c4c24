//! A scripted MQTT broker: QoS 1 with a window in flight, sessions that are kept or lost, a wire
//! that breaks in both directions, and what is sent again in order or not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::journal::testing::Chance;

/// Publications on their way without an acknowledgement; few, so that packet ids come again soon.
const WINDOW: usize = 12;

/// One PUBLISH on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    pub(super) number: usize,
    pub(super) packet_id: u16,
    pub(super) dup: bool,
}

/// The broker and the wire to the one client it has.
pub(super) struct Broker {
    chance: Chance,
    waiting: VecDeque<usize>,
    /// By packet id: the message, and its place in the order of sending.
    in_flight: BTreeMap<u16, (u64, usize)>,
    last_id: u16,
    sent: u64,
    connected: bool,
    pub(super) wire: VecDeque<Delivery>,
    acks: VecDeque<u16>,
    /// Messages that the client acknowledged.
    pub(super) acknowledged: BTreeSet<usize>,
}

impl Broker {
    pub(super) fn new(chance: Chance) -> Self {
        Self {
            chance,
            waiting: VecDeque::new(),
            in_flight: BTreeMap::new(),
            last_id: 0,
            sent: 0,
            connected: false,
            wire: VecDeque::new(),
            acks: VecDeque::new(),
            acknowledged: BTreeSet::new(),
        }
    }

    pub(super) fn publish(&mut self, number: usize) {
        self.waiting.push_back(number);
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Everything was taken and acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// The connection breaks: what is on the wire in either direction is gone.
    pub(super) fn break_wire(&mut self) {
        self.connected = false;
        self.wire.clear();
        self.acks.clear();
    }

    /// The client connects. One session in five is lost: what was in flight comes with new ids and
    /// without DUP. Otherwise it comes again as it was, one time in four in another order.
    pub(super) fn connect(&mut self) {
        self.connected = true;
        let mut again: Vec<(u64, usize, u16)> =
            self.in_flight.iter().map(|(id, (place, number))| (*place, *number, *id)).collect();
        again.sort_unstable();
        if self.chance.once_in(5) {
            self.in_flight.clear();
            for (_, number, _) in again.into_iter().rev() {
                self.waiting.push_front(number);
            }
            return;
        }
        if self.chance.once_in(4) {
            for at in (1..again.len()).rev() {
                again.swap(at, self.chance.below(at + 1));
            }
        }
        self.wire.extend(again.into_iter().map(|(_, number, packet_id)| Delivery {
            number,
            packet_id,
            dup: true,
        }));
    }

    /// Sends what the window allows.
    pub(super) fn send(&mut self) {
        while self.connected
            && self.in_flight.len() < WINDOW
            && let Some(number) = self.waiting.pop_front()
        {
            while self.last_id == 0 || self.in_flight.contains_key(&self.last_id) {
                self.last_id = self.last_id % (WINDOW as u16 + 3) + 1;
            }
            self.sent += 1;
            self.in_flight.insert(self.last_id, (self.sent, number));
            self.wire.push_back(Delivery { number, packet_id: self.last_id, dup: false });
        }
    }

    /// The client's acknowledgements are on the wire.
    pub(super) fn acknowledge(&mut self, ids: impl IntoIterator<Item = u16>) {
        self.acks.extend(ids);
    }

    /// Messages whose acknowledgements are on the wire.
    pub(super) fn being_acknowledged(&self) -> impl Iterator<Item = usize> {
        self.acks.iter().filter_map(|id| Some(self.in_flight.get(id)?.1))
    }

    /// One acknowledgement arrives.
    pub(super) fn hear(&mut self) {
        if let Some(id) = self.acks.pop_front()
            && let Some((_, number)) = self.in_flight.remove(&id)
        {
            self.acknowledged.insert(number);
        }
    }
}
