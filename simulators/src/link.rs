//! One gateway's MQTT connection: bounded, in order, and made anew when it breaks.
//!
//! Two halves share a [`Ledger`]. One takes messages and hands them to the client while fewer than
//! [`OUTSTANDING_MAX`] wait for their acknowledgement; the other polls the connection and strikes off
//! what is acknowledged. The client library forgets what it had in flight when a broker comes back
//! without the session, so the ledger keeps every message until its PUBACK, and each new connection
//! begins by sending what is still in it, in order.

use crate::message::Message;
use crate::publish::{PublishError, PublishOptions};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS,
};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

/// Messages of one gateway that may wait for their acknowledgement.
const OUTSTANDING_MAX: usize = 500;
/// Of these, those on the wire at once; brokers commonly take no more.
const INFLIGHT_MAX: u16 = 200;
/// Messages taken over and not yet with the client.
const QUEUE_MAX: usize = 64;
const PACKET_BYTES_MAX: usize = 1 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long the last acknowledgements are awaited.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// The sending end of a gateway's connection.
pub(crate) struct Link {
    gateway: u16,
    queue: mpsc::Sender<Message>,
    task: JoinHandle<LinkReport>,
}

/// What one connection did; the fields are those of [`crate::Published`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkReport {
    pub(crate) published: u64,
    pub(crate) acknowledged: u64,
    pub(crate) resent: u64,
    pub(crate) connections: u64,
}

impl Link {
    /// Starts the connection; a refusal by the broker goes to `refusals`.
    pub(crate) fn open(gateway: u16, options: &PublishOptions, refusals: mpsc::Sender<PublishError>) -> Link {
        let (queue, messages) = mpsc::channel(QUEUE_MAX);
        let task = tokio::spawn(run(Broker::new(gateway, options), messages, refusals));
        Link { gateway, queue, task }
    }

    /// Hands a message over; waits while the connection has enough to do.
    pub(crate) async fn send(&self, message: Message) -> Result<(), PublishError> {
        self.queue.send(message).await.map_err(|_| PublishError::Ended { gateway: self.gateway })
    }

    /// Lets the connection end once everything is acknowledged, or [`FAREWELL_MAX`] has passed.
    pub(crate) fn close(self) -> impl Future<Output = Result<LinkReport, PublishError>> {
        drop(self.queue);
        async move { self.task.await.map_err(|_| PublishError::Ended { gateway: self.gateway }) }
    }
}

/// How to reach the broker.
struct Broker {
    host: String,
    port: u16,
    client_id: String,
    credentials: Option<(String, String)>,
}

impl Broker {
    fn new(gateway: u16, options: &PublishOptions) -> Self {
        let password = options.password.clone().unwrap_or_default();
        Self {
            host: options.host.clone(),
            port: options.port,
            client_id: format!("{}-gateway-{gateway}", options.client_prefix),
            credentials: options.username.clone().map(|username| (username, password)),
        }
    }

    fn connection(&self) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(&self.client_id, &self.host, self.port);
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(true).set_inflight(INFLIGHT_MAX);
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
        if let Some((username, password)) = &self.credentials {
            options.set_credentials(username, password);
        }
        // Room for everything outstanding and the farewell: handing over never has to wait.
        let (client, mut event_loop) = AsyncClient::new(options, OUTSTANDING_MAX + 8);
        event_loop.network_options.set_tcp_nodelay(true);
        (client, event_loop)
    }

    fn refusal(&self, code: ConnectReturnCode) -> PublishError {
        let (host, port, client_id) = (self.host.clone(), self.port, self.client_id.clone());
        PublishError::Refused { host, port, client_id, code: format!("{code:?}") }
    }
}

async fn run(
    broker: Broker,
    messages: mpsc::Receiver<Message>,
    refusals: mpsc::Sender<PublishError>,
) -> LinkReport {
    let (client, event_loop) = broker.connection();
    let shared = Shared { ledger: Mutex::new(Ledger::new(client)), room: Semaphore::new(OUTSTANDING_MAX) };
    tokio::select! {
        refusal = drive(&broker, &shared, event_loop) => {
            if let Err(error) = refusal {
                // One refusal is enough for all; the receiver takes the first.
                let _ = refusals.try_send(error);
            }
        }
        () = feed(&shared, messages) => {}
    }
    shared.ledger().report
}

struct Shared {
    ledger: Mutex<Ledger>,
    room: Semaphore,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A panic elsewhere leaves the ledger whole: every change to it is one call.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands messages to the client until there are no more and all are acknowledged, then asks for the end.
async fn feed(shared: &Shared, mut messages: mpsc::Receiver<Message>) {
    while let Some(message) = messages.recv().await {
        let Ok(permit) = shared.room.acquire().await else { return };
        permit.forget();
        shared.ledger().publish(message);
    }
    let everything = shared.room.acquire_many(OUTSTANDING_MAX as u32);
    if timeout(FAREWELL_MAX, everything).await.is_ok() {
        // The other half sees the goodbye go out and ends both; it may also be without connection.
        let _ = shared.ledger().client.try_disconnect();
        sleep(PAUSE_MIN).await;
    } else {
        debug!("the broker did not acknowledge the last messages");
    }
}

/// Polls the connection and makes it anew when it breaks; ends at a goodbye, or with a refusal.
async fn drive(broker: &Broker, shared: &Shared, mut event_loop: EventLoop) -> Result<(), PublishError> {
    let mut pause = PAUSE_MIN;
    loop {
        let error = loop {
            match event_loop.poll().await {
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
                Ok(event) => {
                    if matches!(event, Event::Incoming(Packet::ConnAck(_))) {
                        info!(client = broker.client_id, "connected to the broker");
                        pause = PAUSE_MIN;
                    }
                    shared.room.add_permits(shared.ledger().note(&event));
                }
                Err(error) => break error,
            }
        };
        if let ConnectionError::ConnectionRefused(code) = &error
            && *code != ConnectReturnCode::ServiceUnavailable
        {
            return Err(broker.refusal(*code));
        }
        if pause == PAUSE_MIN {
            warn!(client = broker.client_id, %error, "no connection to the broker; trying again");
        } else {
            debug!(client = broker.client_id, %error, "still no connection to the broker");
        }
        // Acknowledgements that were read before the break still count.
        let late: usize = event_loop.state.events.drain(..).map(|event| shared.ledger().note(&event)).sum();
        shared.room.add_permits(late);
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        let (client, fresh) = broker.connection();
        event_loop = fresh;
        shared.ledger().restart(client);
    }
}

/// The messages of a connection that are not acknowledged, and the counts.
struct Ledger {
    client: AsyncClient,
    /// Handed to the client, not yet on the wire; in order.
    waiting: VecDeque<Message>,
    /// On the wire, with the packet id; in order.
    inflight: VecDeque<(u16, Message)>,
    report: LinkReport,
}

impl Ledger {
    fn new(client: AsyncClient) -> Self {
        Self { client, waiting: VecDeque::new(), inflight: VecDeque::new(), report: LinkReport::default() }
    }

    fn publish(&mut self, message: Message) {
        self.report.published += 1;
        self.hand_over(&message);
        self.waiting.push_back(message);
    }

    fn hand_over(&self, message: &Message) {
        // The client's queue has room for all outstanding messages, so this does not fail.
        let topic = message.topic.clone();
        if let Err(error) = self.client.try_publish(topic, QoS::AtLeastOnce, false, message.payload.clone()) {
            warn!(topic = message.topic, %error, "the client did not take a message");
        }
    }

    /// Notes what happened on the connection; returns how many messages were acknowledged.
    fn note(&mut self, event: &Event) -> usize {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => self.report.connections += 1,
            Event::Outgoing(Outgoing::Publish(id)) => {
                self.inflight.extend(self.waiting.pop_front().map(|message| (*id, message)));
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                let place = self.inflight.iter().position(|(id, _)| *id == ack.pkid);
                if place.and_then(|place| self.inflight.remove(place)).is_some() {
                    self.report.acknowledged += 1;
                    return 1;
                }
            }
            _ => {}
        }
        0
    }

    /// Begins a new connection with everything that is not acknowledged, in order.
    fn restart(&mut self, client: AsyncClient) {
        self.client = client;
        self.report.resent += self.inflight.len() as u64;
        let mut again: VecDeque<Message> = self.inflight.drain(..).map(|(_, message)| message).collect();
        again.append(&mut self.waiting);
        again.iter().for_each(|message| self.hand_over(message));
        self.waiting = again;
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
