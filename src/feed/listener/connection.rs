//! One client's connection after its login: one task that reads, hands over, answers and publishes.
//!
//! The task never waits for one thing only. While the sequencer's channel is full, or the client
//! has too much unacknowledged, or does not read what it is sent, nothing more is read from it;
//! acknowledgements, pings and the keep-alive go on.
//!
//! A batch is handed over under the session's lock and only by its owner, so that of two
//! connections of one client exactly one brings a message whose identifier is claimed.

use std::sync::Arc;

use bytes::BytesMut;
use rmqtt_codec::v5::DisconnectReasonCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Shared;
use super::batch::Batch;
use super::handshake::{Login, Will};
use super::session::Session;
use super::turns::Turns;
use super::wire::{Answer, Wire};
use crate::feed::OutputGate;
use crate::feed::counters::count_many;
use crate::feed::gate::Released;
use crate::feed::intake::Intake;
use crate::model::crash::Point;
use crate::model::{Durable, Input};

/// More than this waiting to be written, and nothing more is read, in bytes.
const OUT_BYTES_MAX: usize = 128 * 1_024;

/// The smallest and the largest read, in bytes.
const READ_BYTES: (usize, usize) = (2 * 1_024, 64 * 1_024);

/// A connection whose messages were mostly refused, for their rate or for names that their feed may use no
/// more, is not read for this long: its flood waits with its sender, and its neighbours for nothing. What
/// it sends within the quota is a batch at most each time, so that a gateway with one bad device goes on.
const FLOOD_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// How long a goodbye may take.
const GOODBYE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client said DISCONNECT; whether its will is wanted all the same.
    Goodbye { with_will: bool },
    /// The client went without a word.
    Gone,
    /// A newer connection of the client has the session.
    TakenOver,
    /// The client broke the protocol or a bound.
    Fault(DisconnectReasonCode, &'static str),
    /// The service stops.
    Stopping,
}

/// The state of one connection.
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) shared: Arc<Shared>,
    pub(super) wire: Wire,
    pub(super) session: Arc<Session>,
    pub(super) gate: Arc<OutputGate<Answer>>,
    pub(super) intake: Intake,
    pub(super) batch: Batch,
    turns: Arc<Turns>,
    pub(super) outgoing: BytesMut,
    incoming: BytesMut,
    /// The buffer may hold whole packets that were not looked at.
    unread: bool,
    /// Slots open in the gate.
    pub(super) outstanding: usize,
    /// Messages of ours the client takes unacknowledged.
    receive_max: u16,
    packet_bytes_max: usize,
    durable: watch::Receiver<Durable>,
    released: Vec<Released<Answer>>,
    pub(super) will: Option<Will>,
    keep_alive: Option<std::time::Duration>,
    heard_at: Instant,
    written_at: Instant,
    read_bytes: usize,
    /// Nothing is taken from the client before.
    paused_until: Option<Instant>,
    drain_until: Option<Instant>,
}

impl Connection {
    /// The connection of `login`, with its CONNACK already in `outgoing`.
    pub(super) fn new(
        number: u64,
        shared: Arc<Shared>,
        session: Arc<Session>,
        login: Login,
        outgoing: BytesMut,
    ) -> Self {
        let Login { wire, buffer, will, keep_alive, receive_max, packet_bytes_max, .. } = login;
        let payload_bytes_max = shared.options.limits.packet_bytes_max as usize;
        let intake = Intake::new(shared.routes.clone(), Arc::clone(&shared.clock), payload_bytes_max);
        let now = Instant::now();
        Self {
            number,
            durable: shared.durable.clone(),
            shared,
            wire,
            session,
            gate: Arc::default(),
            intake,
            batch: Batch::default(),
            turns: Arc::default(),
            outgoing,
            unread: !buffer.is_empty(),
            incoming: buffer,
            outstanding: 0,
            receive_max,
            packet_bytes_max,
            released: Vec::new(),
            will,
            keep_alive,
            heard_at: now,
            written_at: now,
            read_bytes: READ_BYTES.0,
            paused_until: None,
            drain_until: None,
        }
    }

    /// Serves the connection to its end, and ends it.
    pub(super) async fn run<S: AsyncRead + AsyncWrite>(mut self, stream: S) -> End {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let end = match self.serve(&mut reader, &mut writer).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let reason = match end {
            End::Fault(reason, _) => Some(reason),
            End::TakenOver => Some(DisconnectReasonCode::SessionTakenOver),
            End::Stopping => Some(DisconnectReasonCode::ServerShuttingDown),
            End::Goodbye { .. } | End::Gone => None,
        };
        if let Some(reason) = reason {
            self.wire.disconnect(reason, &mut self.outgoing);
        }
        let goodbye = async {
            // The client may be gone: nothing depends on these bytes.
            let _ = writer.write_all_buf(&mut self.outgoing).await;
            let _ = writer.shutdown().await;
        };
        let _ = timeout(GOODBYE_TIMEOUT, goodbye).await;
        self.leave(&end).await;
        end
    }

    async fn serve<R, W>(&mut self, reader: &mut R, writer: &mut W) -> Result<std::convert::Infallible, End>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let input = self.shared.input.clone();
        let mut stop = self.shared.stop.clone();
        let session = Arc::clone(&self.session);
        loop {
            // Made before the session is looked at: a change in between still wakes.
            let woken = session.wake.notified();
            self.check_session()?;
            self.release();
            self.paused_until = self.paused_until.filter(|until| Instant::now() < *until);
            self.process()?;
            self.write_publications();
            let may_read = self.may_read();
            let now = Instant::now();
            if !may_read {
                // Nobody listens: the client's silence is ours.
                self.heard_at = now;
            }
            if self.outgoing.is_empty() {
                self.written_at = now;
            }
            self.incoming.reserve(if may_read { self.read_bytes } else { 0 });
            let deadline = self.deadline();
            select! {
                permit = input.reserve(), if !self.batch.is_empty() => self.hand_over(permit.ok()),
                read = reader.read_buf(&mut self.incoming), if may_read => self.heard(read)?,
                written = writer.write_buf(&mut self.outgoing), if !self.outgoing.is_empty() => match written {
                    Ok(bytes) if bytes > 0 => self.written_at = Instant::now(),
                    _ => return Err(End::Gone),
                },
                () = self.gate.ready(&mut self.durable) => {}
                () = self.turns.freed(), if !self.turns.is_free() => {}
                () = woken => {}
                () = sleep_until(deadline) => self.check_deadlines()?,
                () = stopped(&mut stop), if self.drain_until.is_none() => {
                    self.drain_until = Some(Instant::now() + self.shared.options.limits.drain_timeout);
                }
            }
        }
    }

    /// Looks at the packets read, until the batch is full or the client has too much outstanding. Also while
    /// a batch waits for the sequencer: what waits behind it may be a ping.
    fn process(&mut self) -> Result<(), End> {
        if !self.unread {
            return Ok(());
        }
        self.intake.refresh();
        while self.batch.has_room() && self.has_room() {
            match self.wire.decode(&mut self.incoming) {
                Ok(Some(request)) => self.take(request)?,
                Ok(None) => {
                    self.unread = false;
                    break;
                }
                Err(error) => return Err(super::batch::malformed(&error)),
            }
        }
        Ok(())
    }

    /// Whether more may be taken from the client. MQTT 5 clients are told `receive_max` and end
    /// beyond it; for others nothing more is read.
    fn has_room(&self) -> bool {
        let limit = usize::from(self.shared.options.limits.receive_max);
        let is_ready = self.paused_until.is_none() && self.turns.is_free();
        is_ready && (self.wire.is_v5() || self.outstanding < limit) && self.outgoing.len() < OUT_BYTES_MAX
    }

    fn may_read(&self) -> bool {
        self.batch.has_room() && !self.unread && self.has_room() && self.drain_until.is_none()
    }

    fn heard(&mut self, read: std::io::Result<usize>) -> Result<(), End> {
        match read {
            Ok(0) | Err(_) => Err(End::Gone),
            Ok(bytes) => {
                self.heard_at = Instant::now();
                self.unread = true;
                // Reads grow with what comes: an idle connection costs little.
                let (least, most) = READ_BYTES;
                let wanted =
                    if bytes >= self.read_bytes { self.read_bytes * 2 } else { bytes.next_power_of_two() };
                self.read_bytes = wanted.clamp(least, most);
                Ok(())
            }
        }
    }

    /// Gives the batch to the sequencer; without a permit the sequencer is gone.
    fn hand_over(&mut self, permit: Option<mpsc::Permit<'_, Input>>) {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_a_flood() {
            self.paused_until = Some(Instant::now() + FLOOD_PAUSE);
        }
        match permit {
            Some(permit) => batch.hand_over(self.number, &self.session, &self.turns, permit),
            None => self.drain_until = Some(Instant::now()),
        }
    }

    /// Writes the acknowledgements whose turn has come.
    fn release(&mut self) {
        if self.outstanding == 0 {
            return;
        }
        let durable = *self.durable.borrow_and_update();
        self.gate.release(durable, &mut self.released);
        self.outstanding -= self.released.len();
        count_many(&self.shared.counters.acknowledged, self.released.len());
        if self.released.is_empty() {
            return;
        }
        if self.gate.take_overdrawn() * 2 > self.released.len() {
            self.paused_until = Some(Instant::now() + FLOOD_PAUSE);
        }
        Point::FeedAcknowledging.pass();
        for released in self.released.drain(..) {
            self.wire.answer(released.into_response(durable), &mut self.outgoing);
        }
        Point::FeedAcknowledged.pass();
    }

    /// Ends if the session is another connection's, or over.
    fn check_session(&self) -> Result<(), End> {
        if !self.session.is_owned_by(self.number) {
            return Err(End::TakenOver);
        }
        if self.session.has_overflowed() {
            return Err(End::Fault(DisconnectReasonCode::QuotaExceeded, "subscriber did not keep up"));
        }
        Ok(())
    }

    /// Writes what waits in the session's outbox.
    fn write_publications(&mut self) {
        while self.outgoing.len() < OUT_BYTES_MAX {
            let Some(parcel) = self.session.lock().outbox.next(self.receive_max) else { break };
            if parcel.publication.bytes() > self.packet_bytes_max {
                // MQTT 5, 3.1.2.11.4: dropped as if it were delivered.
                if let Some(id) = parcel.id {
                    self.session.lock().outbox.acknowledged(id.get());
                }
                continue;
            }
            self.wire.publish(
                &parcel.publication,
                parcel.id,
                parcel.dup,
                parcel.retained,
                &mut self.outgoing,
            );
        }
    }

    /// When to look at the clock next.
    fn deadline(&self) -> Instant {
        let far = Instant::now() + std::time::Duration::from_secs(3_600);
        let silent = self.keep_alive.map_or(far, |keep_alive| self.heard_at + keep_alive);
        let stalled = self.written_at + self.shared.options.limits.stall_timeout;
        let stalled = if self.outgoing.is_empty() { far } else { stalled };
        let drained = match self.drain_until {
            Some(_) if self.is_drained() => Instant::now(),
            Some(until) => until,
            None => far,
        };
        silent.min(stalled).min(drained).min(self.paused_until.unwrap_or(far))
    }

    fn check_deadlines(&self) -> Result<(), End> {
        let now = Instant::now();
        if let Some(until) = self.drain_until
            && (now >= until || self.is_drained())
        {
            return Err(End::Stopping);
        }
        if !self.outgoing.is_empty() && now >= self.written_at + self.shared.options.limits.stall_timeout {
            return Err(End::Fault(DisconnectReasonCode::UnspecifiedError, "client does not read"));
        }
        match self.keep_alive {
            Some(keep_alive) if now >= self.heard_at + keep_alive => {
                Err(End::Fault(DisconnectReasonCode::KeepAliveTimeout, "keep-alive ran out"))
            }
            _ => Ok(()),
        }
    }

    fn is_drained(&self) -> bool {
        self.batch.is_empty() && self.outstanding == 0 && self.outgoing.is_empty()
    }

    /// Hands over what was read, publishes the will, and leaves the session.
    async fn leave(&mut self, end: &End) {
        let input = self.shared.input.clone();
        if !self.batch.is_empty() {
            let mut stop = self.shared.stop.clone();
            let given_up = async {
                stopped(&mut stop).await;
                sleep(self.shared.options.limits.drain_timeout).await;
            };
            select! {
                permit = input.reserve() => if let Ok(permit) = permit {
                    std::mem::take(&mut self.batch).hand_over(self.number, &self.session, &self.turns, permit);
                },
                () = given_up => {}
            }
        }
        let will_wanted = !matches!(end, End::Goodbye { with_will: false } | End::Stopping);
        if let Some(will) = self.will.take().filter(|_| will_wanted)
            && let Some(submission) = self.last_will(will)
        {
            // A closed channel means the service has stopped.
            let _ = input.send(Input::Messages(vec![submission])).await;
        }
        if self.shared.sessions.detach(&self.session, self.number) {
            self.shared.publications.forget(&self.session);
        }
    }
}

/// Resolves when the service stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stopping| *stopping).await;
}
