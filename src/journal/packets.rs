//! Packets that sessions brought last, so that a message that comes again is known by the protocol alone,
//! also after a crash between its journalling and its acknowledgement. A fold of the journal's batches.
//!
//! A session acknowledges in the order in which messages came, so that what may come again is among its
//! last [`Packet::in_flight_max`].
//!
//! # Format
//!
//! As a batch and a snapshot's manifest hold them; integers as in [`super::wire`]:
//!
//! ```text
//! packets = runs:uint { run }
//! run     = session:8 bytes in_flight_max:uint count:uint { id:uint print:8 bytes }
//! ```
//!
//! Session and print are little-endian, ids 1 to 65,535. Packets stand in the order in which they were taken in; a
//! run holds those of one session that follow one another.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::wire::{BadContent, Reader, Writer};
use crate::model::Packet;

/// Packets remembered of all sessions, about 60 bytes each; beyond it the session that was silent longest
/// is forgotten.
pub const PACKETS_MAX: usize = 1_000_000;
/// Packets that a session counts as by itself: its tables take some 400 bytes.
const SESSION_PACKETS: usize = 6;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Packets {
    sessions: HashMap<u64, Session>,
    /// Sessions by the serial of the last packet that changed them.
    used: BTreeMap<u64, u64>,
    /// Counts what was taken.
    serial: u64,
    held: usize,
}

#[derive(Clone, Debug, Default)]
struct Session {
    in_flight_max: u16,
    /// By identifier: print and serial.
    prints: HashMap<u16, (u64, u64)>,
    /// Identifiers by serial.
    order: BTreeMap<u64, u16>,
    used: u64,
}

impl Packets {
    /// Whether the last message under this packet's identifier had its content.
    #[must_use]
    pub fn holds(&self, packet: &Packet) -> bool {
        packet.print != 0 && self.print(packet) == Some(packet.print)
    }

    /// Whether taking `packet` in changes what is remembered.
    #[must_use]
    pub fn is_news(&self, packet: &Packet) -> bool {
        packet.print != 0 || self.print(packet).is_some()
    }

    /// Takes a packet in: its identifier is its message's from here on.
    pub fn take(&mut self, packet: &Packet) {
        let Packet { session: id, in_flight_max, .. } = *packet;
        self.serial += 1;
        let session = self.sessions.entry(id).or_default();
        let before = session.prints.len();
        self.used.remove(&session.used);
        session.take(packet, self.serial);
        session.in_flight_max = in_flight_max;
        session.forget();
        session.used = self.serial;
        self.held = self.held + session.prints.len() - before;
        if session.prints.is_empty() {
            self.sessions.remove(&id);
        } else {
            self.used.insert(self.serial, id);
        }
        while self.held + SESSION_PACKETS * self.sessions.len() > PACKETS_MAX
            && let Some((_, silent)) = self.used.pop_first()
            && let Some(gone) = self.sessions.remove(&silent)
        {
            self.held -= gone.prints.len();
        }
    }

    /// Everything remembered, in an order in which taking it in gives the same again.
    #[must_use]
    pub fn all(&self) -> Vec<Packet> {
        let mut all = Vec::with_capacity(self.held);
        for id in self.used.values() {
            let Some(session) = self.sessions.get(id) else { continue };
            let prints = session.order.values().filter_map(|id| Some((*id, session.prints.get(id)?.0)));
            let in_flight_max = session.in_flight_max;
            all.extend(prints.map(|(packet, print)| Packet {
                session: *id,
                in_flight_max,
                id: packet,
                print,
            }));
        }
        all
    }

    fn print(&self, packet: &Packet) -> Option<u64> {
        Some(self.sessions.get(&packet.session)?.prints.get(&packet.id)?.0)
    }
}

impl<'a> FromIterator<&'a Packet> for Packets {
    fn from_iter<I: IntoIterator<Item = &'a Packet>>(packets: I) -> Self {
        let mut this = Self::default();
        packets.into_iter().for_each(|packet| this.take(packet));
        this
    }
}

impl Session {
    fn take(&mut self, packet: &Packet, serial: u64) {
        if let Some((_, before)) = self.prints.remove(&packet.id) {
            self.order.remove(&before);
        }
        if packet.print != 0 {
            self.prints.insert(packet.id, (packet.print, serial));
            self.order.insert(serial, packet.id);
        }
    }

    /// Forgets what can no longer be on its way.
    fn forget(&mut self) {
        while self.prints.len() > usize::from(self.in_flight_max)
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.prints.remove(&oldest);
        }
    }
}

/// Writes packets.
pub fn encode(packets: &[Packet], out: &mut Writer) {
    let of_one = |one: &Packet, other: &Packet| {
        (one.session, one.in_flight_max) == (other.session, other.in_flight_max)
    };
    out.uint(packets.chunk_by(of_one).count() as u64);
    for run in packets.chunk_by(of_one) {
        let Some(first) = run.first() else { continue };
        out.0.extend_from_slice(&first.session.to_le_bytes());
        out.uint(u64::from(first.in_flight_max));
        out.uint(run.len() as u64);
        for packet in run {
            out.uint(u64::from(packet.id));
            out.0.extend_from_slice(&packet.print.to_le_bytes());
        }
    }
}

/// Reads packets.
///
/// # Errors
/// [`BadContent`].
pub fn decode(input: &mut Reader<'_>) -> Result<Vec<Packet>, BadContent> {
    let mut packets = Vec::new();
    for _ in 0..input.count()? {
        let (session, in_flight_max) = (input.eight()?, input.small()?);
        for _ in 0..input.count()? {
            packets.push(Packet { session, in_flight_max, id: input.small()?, print: input.eight()? });
        }
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(session: u64, id: u16, print: u64) -> Packet {
        Packet { session, in_flight_max: 3, id, print }
    }

    #[test]
    fn the_last_message_under_an_identifier_is_known_and_no_other() {
        let mut packets = Packets::default();
        packets.take(&packet(1, 7, 70));
        assert!(packets.holds(&packet(1, 7, 70)));
        assert!(!packets.holds(&packet(1, 7, 71)) && !packets.holds(&packet(1, 8, 70)));
        assert!(!packets.holds(&packet(2, 7, 70)), "another session's");
        packets.take(&packet(1, 7, 71));
        assert!(packets.holds(&packet(1, 7, 71)) && !packets.holds(&packet(1, 7, 70)));
        assert!(packets.is_news(&packet(1, 7, 0)) && !packets.is_news(&packet(1, 8, 0)));
        packets.take(&packet(1, 7, 0));
        assert!(!packets.holds(&packet(1, 7, 71)) && !packets.holds(&packet(1, 7, 0)));
        assert!(packets.sessions.is_empty() && packets.used.is_empty() && packets.held == 0);
    }

    #[test]
    fn the_format_is_as_it_is_written_down() {
        let one = Packet { session: 0x0102, in_flight_max: 300, id: 200, print: 0x0304 };
        let other = Packet { session: 1, in_flight_max: 2, id: 1, print: 0 };
        let mut out = Writer::default();
        encode(&[one, one, other], &mut out);
        let first =
            [&[2, 2, 1, 0, 0, 0, 0, 0, 0, 0xac, 2, 2][..], &[0xc8, 1, 4, 3, 0, 0, 0, 0, 0, 0]].concat();
        let second = [0xc8, 1, 4, 3, 0, 0, 0, 0, 0, 0];
        let third = [1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(out.0, [&first[..], &second, &third].concat());
    }

    #[test]
    fn what_cannot_be_on_its_way_is_forgotten() {
        let mut packets = Packets::default();
        (1..=3).for_each(|id| packets.take(&packet(1, id, 5)));
        packets.take(&packet(1, 1, 6));
        packets.take(&packet(1, 4, 5));
        assert!(!packets.holds(&packet(1, 2, 5)), "three came since");
        assert!(packets.holds(&packet(1, 1, 6)) && packets.holds(&packet(1, 3, 5)));
        assert_eq!(packets.held, 3);
    }

    #[test]
    fn the_session_that_was_silent_longest_is_forgotten_at_the_bound() {
        let mut packets = Packets::default();
        let one = |session, id| Packet { session, in_flight_max: u16::MAX, id, print: 1 };
        let sessions = PACKETS_MAX as u64 / 50_000;
        let last = 50_000 - SESSION_PACKETS as u16;
        for session in 0..sessions {
            (1..=last).for_each(|id| packets.take(&one(session, id)));
        }
        packets.take(&one(0, 1));
        assert_eq!(packets.held, sessions as usize * usize::from(last));
        packets.take(&one(sessions, 1));
        assert_eq!(packets.held, (sessions as usize - 1) * usize::from(last) + 1);
        assert!(packets.holds(&one(0, 2)) && !packets.holds(&one(1, last)) && packets.holds(&one(2, 1)));
    }

    #[test]
    fn sessions_of_one_message_are_bounded_by_what_their_tables_take() {
        let mut packets = Packets::default();
        for session in 0..200_000 {
            packets.take(&Packet { session, in_flight_max: 10, id: 1, print: 1 });
        }
        assert_eq!(packets.sessions.len(), PACKETS_MAX / (1 + SESSION_PACKETS));
        assert_eq!((packets.held, packets.used.len()), (packets.sessions.len(), packets.sessions.len()));
    }

    proptest! {
        #[test]
        fn what_is_written_down_reads_back_and_goes_on_alike(
            taken in prop::collection::vec((0_u64..4, 1_u16..8, 0_u64..3), 0..200),
            later in prop::collection::vec((0_u64..4, 1_u16..8, 0_u64..3), 0..50),
        ) {
            let taken: Vec<Packet> = taken.into_iter().map(|(session, id, print)| packet(session, id, print)).collect();
            let mut packets: Packets = taken.iter().collect();
            let mut out = Writer::default();
            encode(&taken, &mut out);
            prop_assert_eq!(decode(&mut Reader(&out.0)).unwrap(), taken);
            let mut again: Packets = packets.all().iter().collect();
            for (session, id, print) in later {
                packets.take(&packet(session, id, print));
                again.take(&packet(session, id, print));
                prop_assert_eq!(again.all(), packets.all());
            }
        }
    }
}
