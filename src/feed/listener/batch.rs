//! What a connection does with each packet, and the batch that comes of it.

use std::sync::Arc;

use hashbrown::HashSet;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{DisconnectReasonCode, ToReasonCode};
use tokio::sync::mpsc;

use super::connection::{Connection, End};
use super::handshake::{Will, is_forbidden};
use super::session::Session;
use super::turns::Turns;
use super::wire::{Answer, NO_SUBSCRIBERS, NOT_AUTHORIZED, Request, SUCCESS};
use crate::feed::BATCH_MESSAGES_MAX;
use crate::feed::counters::{count, count_many};
use crate::feed::intake::Placed;
use crate::feed::route::is_topic;
use crate::model::definition::{AckLevel, Identity};
use crate::model::{Ack, Brought, Gate, Input, Submission};

/// Identifiers at QoS 2 held for a client that does not release them, as a multiple of its
/// receive maximum.
const HELD_FACTOR: usize = 4;
/// Bytes of payloads beyond which nothing more is taken while a batch waits for the sequencer.
const BATCH_BYTES_MAX: usize = 64 * 1_024;

/// Messages on their way to the sequencer.
#[derive(Default)]
pub(super) struct Batch {
    submissions: Vec<Submission>,
    claims: Vec<ClaimOf>,
    /// Submissions refused for their rate.
    refused: usize,
    /// Bytes of the payloads.
    bytes: usize,
}

/// A submission that its connection hands over only while it owns the session.
struct ClaimOf {
    submission: usize,
    id: u16,
    level: Level,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    AtLeastOnce,
    ExactlyOnce,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.submissions.is_empty()
    }

    /// Whether more may wait with it for its turn with the sequencer.
    pub(super) fn has_room(&self) -> bool {
        self.submissions.len() < BATCH_MESSAGES_MAX && self.bytes < BATCH_BYTES_MAX
    }

    /// Whether most of it was refused for its rate: somebody behind the connection floods.
    pub(super) fn is_a_flood(&self) -> bool {
        self.refused * 2 > self.submissions.len()
    }

    /// Hands the batch to the sequencer and marks its claims. A connection that lost its session
    /// keeps back what it claimed: the client sends that again to the owner.
    pub(super) fn hand_over(
        mut self,
        connection: u64,
        session: &Session,
        turns: &Arc<Turns>,
        permit: mpsc::Permit<'_, Input>,
    ) {
        if let Some(last) = self.submissions.last_mut().filter(|last| last.ack.is_none()) {
            turns.begin();
            last.ack = Some(Ack { gate: Arc::clone(turns) as Arc<dyn Gate>, ticket: 0 });
        }
        if self.claims.is_empty() {
            permit.send(Input::Messages(self.submissions));
            return;
        }
        let mut state = session.lock();
        if session.is_owned_by(connection) {
            for claim in &self.claims {
                if claim.level == Level::ExactlyOnce {
                    state.held.handed(claim.id, connection);
                }
            }
        } else {
            let lost: HashSet<usize> = self.claims.iter().map(|claim| claim.submission).collect();
            let mut index = 0;
            self.submissions.retain(|_| {
                index += 1;
                !lost.contains(&(index - 1))
            });
        }
        // Under the lock: a new owner of the session finds claims and channel in agreement.
        if !self.submissions.is_empty() {
            permit.send(Input::Messages(self.submissions));
        }
    }
}

/// The end of a connection that sent what cannot be read.
pub(super) fn malformed(error: &DecodeError) -> End {
    let what = match error {
        DecodeError::MaxSizeExceeded { .. } => "packet larger than packet_bytes_max",
        _ => "malformed packet",
    };
    End::Fault(error.to_reason_code(), what)
}

impl Connection {
    /// Takes one packet.
    pub(super) fn take(&mut self, request: Request) -> Result<(), End> {
        match request {
            Request::Publish(publish) => self.publish(*publish),
            Request::Acknowledged(id) => {
                self.session.lock().outbox.acknowledged(id);
                Ok(())
            }
            Request::Release(id) => {
                let held = self.session.lock().held.release(id);
                self.wire.complete(id, held, &mut self.outgoing);
                Ok(())
            }
            Request::Subscribe { id, filters, identifier } => {
                self.subscribe(id, filters, identifier);
                Ok(())
            }
            Request::Unsubscribe { id, filters } => {
                self.unsubscribe(id, &filters);
                Ok(())
            }
            Request::Ping => {
                self.wire.pong(&mut self.outgoing);
                Ok(())
            }
            Request::Disconnect { with_will, expiry } => {
                if let Some(seconds) = expiry {
                    let keep = std::time::Duration::from_secs(seconds.into());
                    self.session.set_keep(keep.min(self.shared.options.limits.session_keep_max));
                }
                Err(End::Goodbye { with_will })
            }
            Request::Unexpected => Err(End::Fault(DisconnectReasonCode::ProtocolError, "unexpected packet")),
        }
    }

    fn publish(&mut self, publish: Publish) -> Result<(), End> {
        let counters = Arc::clone(&self.shared.counters);
        count(&counters.messages);
        count_many(&counters.bytes, publish.payload.len());
        self.check_publish(&publish)?;
        if is_forbidden(&publish.topic) {
            count(&counters.forbidden);
            return self.forbid(&publish);
        }
        let Some(placed) = self.intake.place(&publish.topic) else {
            count(&counters.unrouted);
            self.answer_free(&publish, NO_SUBSCRIBERS);
            return Ok(());
        };
        let repeated = self.is_repeated(&publish, &placed)?;
        if repeated {
            count(&counters.repeated);
        }
        let ack = self.open_slot(&publish, placed.route.ack);
        let brought = publish.packet_id.filter(|_| publish.qos != QoS::AtMostOnce).map(|id| {
            let identity = placed.route.identity;
            let packet = self.session.id.packet(id.get(), identity, &publish.topic, &publish.payload);
            let released = publish.qos == QoS::ExactlyOnce && self.session.lock().held.was_released(id.get());
            Brought { packet, again: publish.dup && !released }
        });
        self.batch.bytes += publish.payload.len();
        let submission = self.intake.submission(placed, publish.payload, (repeated, brought), ack);
        self.batch.refused += usize::from(submission.decoded.is_over_rate());
        self.batch.submissions.push(submission);
        Ok(())
    }

    /// What MQTT forbids of a PUBLISH, whatever its topic is for.
    fn check_publish(&self, publish: &Publish) -> Result<(), End> {
        let limit = usize::from(self.shared.options.limits.receive_max);
        let alias = publish.properties.as_ref().is_some_and(|properties| properties.topic_alias.is_some());
        if alias {
            // We advertise a topic alias maximum of 0.
            return Err(End::Fault(DisconnectReasonCode::TopicAliasInvalid, "topic alias"));
        }
        if !is_topic(&publish.topic) {
            return Err(End::Fault(DisconnectReasonCode::TopicNameInvalid, "topic not allowed"));
        }
        if publish.qos != QoS::AtMostOnce && self.outstanding >= limit {
            return Err(End::Fault(DisconnectReasonCode::ReceiveMaximumExceeded, "receive maximum exceeded"));
        }
        Ok(())
    }

    /// A topic no client may publish on: MQTT 5 says so in the answer, MQTT 3.1.1 can only end the
    /// connection, for an acknowledgement would be a lie.
    fn forbid(&mut self, publish: &Publish) -> Result<(), End> {
        if !self.wire.is_v5() {
            return Err(End::Fault(DisconnectReasonCode::NotAuthorized, "topic not allowed to clients"));
        }
        self.answer_free(publish, NOT_AUTHORIZED);
        Ok(())
    }

    /// An answer for a message the journal does not hold, in its turn.
    fn answer_free(&mut self, publish: &Publish, reason: u8) {
        if let Some(answer) = answer(publish, reason) {
            if publish.qos == QoS::ExactlyOnce
                && reason < 0x80
                && let Some(id) = publish.packet_id
            {
                let mut state = self.session.lock();
                state.held.hold(id.get(), self.number);
                state.held.handed(id.get(), self.number);
            }
            self.gate.open_free(answer);
            self.outstanding += 1;
        }
    }

    fn open_slot(&mut self, publish: &Publish, level: AckLevel) -> Option<Ack> {
        let answer = answer(publish, SUCCESS)?;
        let ticket = self.gate.open(level, answer);
        self.outstanding += 1;
        Some(Ack { gate: Arc::clone(&self.gate) as Arc<dyn Gate>, ticket })
    }

    /// Whether the session has the message already, by its identifier at QoS 2 until that is released;
    /// holds the identifier if not. At QoS 1 the sequencer knows what comes again; but a message that
    /// only the protocol tells is handed over by the session's owner alone, since the client sends it
    /// to the owner again.
    fn is_repeated(&mut self, publish: &Publish, placed: &Placed) -> Result<bool, End> {
        let Some(id) = publish.packet_id.map(std::num::NonZeroU16::get) else { return Ok(false) };
        let level = match publish.qos {
            QoS::AtMostOnce => return Ok(false),
            QoS::AtLeastOnce if placed.route.identity != Identity::Protocol => return Ok(false),
            QoS::AtLeastOnce => Level::AtLeastOnce,
            QoS::ExactlyOnce => Level::ExactlyOnce,
        };
        if level == Level::ExactlyOnce {
            let held_max = HELD_FACTOR * usize::from(self.shared.options.limits.receive_max);
            let mut state = self.session.lock();
            if state.held.holds(id, self.number) {
                return Ok(true);
            }
            if state.held.len() >= held_max {
                return Err(End::Fault(
                    DisconnectReasonCode::ReceiveMaximumExceeded,
                    "identifiers never released",
                ));
            }
            state.held.hold(id, self.number);
        }
        self.batch.claims.push(ClaimOf { submission: self.batch.submissions.len(), id, level });
        Ok(false)
    }

    /// The will as a message, if its topic is a feed's.
    pub(super) fn last_will(&mut self, will: Will) -> Option<Submission> {
        self.intake.refresh();
        let counters = Arc::clone(&self.shared.counters);
        let Some(placed) = self.intake.place(&will.topic) else {
            count(&counters.unrouted);
            return None;
        };
        count(&counters.messages);
        count_many(&counters.bytes, will.payload.len());
        Some(self.intake.submission(placed, will.payload, (false, None), None))
    }
}

/// The acknowledgement a message is owed, none at QoS 0.
fn answer(publish: &Publish, reason: u8) -> Option<Answer> {
    let id = publish.packet_id?.get();
    match publish.qos {
        QoS::AtMostOnce => None,
        QoS::AtLeastOnce => Some(Answer::Acknowledge(id, reason)),
        QoS::ExactlyOnce => Some(Answer::Receive(id, reason)),
    }
}
