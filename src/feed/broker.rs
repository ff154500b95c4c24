//! Feeds from a broker the city runs, by MQTT 3.1.1 (a client of ours behind [`MqttClient`]).
//!
//! One task owns the connection and its acknowledgements. It subscribes at QoS 1 with a persistent
//! session, so that the broker keeps what arrives while Sereno is away, and acknowledges a message
//! only once the journal that holds it is durable. Each connection has an [`OutputGate`] of its
//! own, dropped with it: what was not acknowledged the broker sends again, and no acknowledgement
//! of an older connection ever reaches a newer one, where its packet identifier may mean another
//! message.
//!
//! A full sequencer channel stops the reading; pings and acknowledgements go on meanwhile.

mod backoff;
pub mod client;
mod options;
pub mod publisher;
mod rumqtt;

pub use backoff::Backoff;
pub use client::{ClientError, ClientEvent, Delivery, MqttClient};
pub use options::{BrokerError, BrokerOptions, BrokerTls};
pub use publisher::{PublishFailed, Publisher};
pub use rumqtt::RumqttClient;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep};
use tracing::{error, info, warn};

use crate::model::crash::Point;
use crate::model::{Ack, Brought, Durable, Gate, Input, Submission};

use super::counters::{count, count_many};
use super::intake::Intake;
use super::redelivery::SessionId;
use super::{BATCH_MESSAGES_MAX, Clock, FeedCounters, Filter, OutputGate, Routes};

/// Messages that a broker may have on their way: as many as there are packet identifiers.
const IN_FLIGHT_MAX: u16 = u16::MAX;

/// One broker's feeds.
pub struct Broker {
    name: Arc<str>,
    keep_alive: Duration,
    backoff: Backoff,
    routes: watch::Receiver<Arc<Routes>>,
    intake: Intake,
    input: mpsc::Sender<Input>,
    durable: watch::Receiver<Durable>,
    counters: Arc<FeedCounters>,
    session: SessionId,
}

/// What a broker's feeds work with.
pub struct BrokerEdges {
    /// The feeds of this broker, replaceable while running.
    pub routes: watch::Receiver<Arc<Routes>>,
    /// The sequencer.
    pub input: mpsc::Sender<Input>,
    /// How far the journal is durable.
    pub durable: watch::Receiver<Durable>,
    /// Time of arrival for decoders.
    pub clock: Clock,
}

/// How one connection's service ended.
enum Ended {
    Stopped,
    Lost(ClientError),
}

/// One connection's subscriptions and acknowledgements.
struct Link {
    gate: Arc<OutputGate<u16>>,
    /// Feeds and filters asked for, in the order of the SUBSCRIBE packets not yet answered.
    asked: Vec<Vec<(Arc<str>, Filter)>>,
    /// Feeds subscribed and announced to the sequencer.
    up: Vec<(Arc<str>, Filter)>,
}

impl Broker {
    /// The feeds of the broker `options` describes, not connected yet.
    #[must_use]
    pub fn new(options: &BrokerOptions, edges: BrokerEdges) -> Self {
        let BrokerEdges { routes, input, durable, clock } = edges;
        Self {
            name: Arc::clone(&options.name),
            keep_alive: options.keep_alive,
            backoff: Backoff::new(options.backoff_min, options.backoff_max),
            intake: Intake::new(routes.clone(), clock, options.payload_bytes_max),
            routes,
            input,
            durable,
            counters: Arc::default(),
            session: SessionId::of(&["broker", &options.name, &options.client_id], IN_FLIGHT_MAX),
        }
    }

    /// The broker's counters, for telemetry.
    #[must_use]
    pub fn counters(&self) -> Arc<FeedCounters> {
        Arc::clone(&self.counters)
    }

    /// Connects, and again after each loss, until `stop` resolves or the sequencer is gone.
    pub async fn run(mut self, mut client: impl MqttClient, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            let mut link = Link { gate: Arc::default(), asked: Vec::new(), up: Vec::new() };
            let ended = self.serve(&mut client, &mut link, stop.as_mut()).await;
            // The link's gate ends here: nothing of this connection is acknowledged on the next.
            client.reset();
            self.announce(std::mem::take(&mut link.up), false).await;
            let Ended::Lost(reason) = ended else { break };
            let wait = self.backoff.next_wait();
            self.report(&reason, wait);
            select! {
                () = sleep(wait) => {}
                () = stop.as_mut() => break,
            }
        }
        info!(broker = %self.name, "broker feeds stopped");
    }

    /// Serves one connection.
    async fn serve<C: MqttClient>(
        &mut self,
        client: &mut C,
        link: &mut Link,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Ended {
        let mut connected = false;
        loop {
            let step = select! {
                event = client.next() => match event {
                    Ok(event) => {
                        connected = connected || matches!(event, ClientEvent::Connected { .. });
                        self.take(client, link, event).await
                    }
                    Err(reason) => Err(reason),
                },
                () = link.gate.ready(&mut self.durable) => self.acknowledge(client, link).await,
                Ok(()) = self.routes.changed(), if connected => self.follow_routes(client, link).await,
                () = stop.as_mut() => {
                    client.close().await;
                    return Ended::Stopped;
                }
            };
            if let Err(reason) = step {
                if connected {
                    count(&self.counters.connections_closed);
                }
                return if self.input.is_closed() { Ended::Stopped } else { Ended::Lost(reason) };
            }
        }
    }

    /// Takes an event and whatever else has arrived, and hands the messages over in one batch.
    async fn take<C: MqttClient>(
        &mut self,
        client: &mut C,
        link: &mut Link,
        event: ClientEvent,
    ) -> Result<(), ClientError> {
        self.intake.refresh();
        let mut batch = Vec::new();
        let mut next = Some(Ok(event));
        let mut lost = None;
        while let Some(event) = next.take() {
            match event {
                Ok(ClientEvent::Connected { session_present }) => {
                    info!(broker = %self.name, session_present, "connected to the broker");
                    count(&self.counters.connections_opened);
                    self.follow_routes(client, link).await?;
                }
                Ok(ClientEvent::Subscribed(granted)) => self.subscribed(link, &granted).await,
                Ok(ClientEvent::Message(delivery)) => self.receive(link, delivery, &mut batch),
                Ok(ClientEvent::Other) => {}
                Err(reason) => {
                    lost = Some(reason);
                    break;
                }
            }
            if batch.len() < BATCH_MESSAGES_MAX {
                next = client.next().now_or_never();
            }
        }
        if !batch.is_empty() {
            self.hand_over(client, link, batch).await?;
        }
        lost.map_or(Ok(()), Err)
    }

    /// One message into the batch, and its slot into the gate.
    fn receive(&mut self, link: &Link, delivery: Delivery, batch: &mut Vec<Submission>) {
        let Delivery { topic, payload, packet_id, dup } = delivery;
        count(&self.counters.messages);
        count_many(&self.counters.bytes, payload.len());
        let Some(placed) = self.intake.place(&topic) else {
            // No feed's: acknowledged in its turn, so that it does not come again for ever.
            count(&self.counters.unrouted);
            if let Some(id) = packet_id {
                link.gate.open_free(id);
            }
            return;
        };
        let brought = packet_id.map(|id| {
            let packet = self.session.packet(id, placed.route.identity, &topic, &payload);
            Brought { packet, again: dup }
        });
        let ack = packet_id.map(|id| Ack {
            ticket: link.gate.open(placed.route.ack, id),
            gate: Arc::clone(&link.gate) as Arc<dyn Gate>,
        });
        batch.push(self.intake.submission(placed, payload, (false, brought), ack));
    }

    /// Waits for room in the sequencer's channel; acknowledgements and pings go on meanwhile.
    async fn hand_over<C: MqttClient>(
        &mut self,
        client: &mut C,
        link: &Link,
        batch: Vec<Submission>,
    ) -> Result<(), ClientError> {
        let mut pings = interval((self.keep_alive / 2).max(Duration::from_secs(1)));
        pings.reset();
        let input = self.input.clone();
        loop {
            select! {
                permit = input.reserve() => {
                    let permit = permit.map_err(|_| ClientError::Stopped)?;
                    permit.send(Input::Messages(batch));
                    return Ok(());
                }
                () = link.gate.ready(&mut self.durable) => self.acknowledge(client, link).await?,
                _ = pings.tick() => client.ping().await?,
            }
        }
    }

    /// Sends the acknowledgements whose turn has come, in one write.
    async fn acknowledge<C: MqttClient>(&mut self, client: &mut C, link: &Link) -> Result<(), ClientError> {
        let durable = *self.durable.borrow();
        let mut released = Vec::new();
        link.gate.release(durable, &mut released);
        let ids: Vec<u16> = released.into_iter().map(|one| one.into_response(durable)).collect();
        Point::FeedAcknowledging.pass();
        client.acknowledge(&ids).await?;
        Point::FeedAcknowledged.pass();
        count_many(&self.counters.acknowledged, ids.len());
        Ok(())
    }

    /// Subscribes what the routes have and the connection has not, and the other way round.
    async fn follow_routes<C: MqttClient>(
        &mut self,
        client: &mut C,
        link: &mut Link,
    ) -> Result<(), ClientError> {
        let routes = Arc::clone(&self.routes.borrow_and_update());
        self.intake.refresh();
        let wanted: Vec<_> =
            routes.iter().map(|route| (Arc::clone(&route.feed), route.filter.clone())).collect();
        let known =
            |one: &(Arc<str>, Filter)| link.up.contains(one) || link.asked.iter().flatten().any(|a| a == one);
        let new: Vec<_> = wanted.iter().filter(|one| !known(one)).cloned().collect();
        let (kept, gone): (Vec<_>, Vec<_>) = link.up.drain(..).partition(|one| wanted.contains(one));
        link.up = kept;
        let unused: Vec<_> = gone
            .iter()
            .map(|(_, filter)| filter.clone())
            .filter(|filter| !wanted.iter().any(|(_, w)| w == filter))
            .collect();
        self.announce(gone, false).await;
        if !unused.is_empty() {
            client.unsubscribe(&unused).await?;
        }
        if !new.is_empty() {
            let filters: Vec<_> = new.iter().map(|(_, filter)| filter.clone()).collect();
            link.asked.push(new);
            client.subscribe(&filters).await?;
        }
        Ok(())
    }

    /// The broker's answer to the oldest SUBSCRIBE.
    async fn subscribed(&mut self, link: &mut Link, granted: &[bool]) {
        if link.asked.is_empty() {
            return;
        }
        let asked = link.asked.remove(0);
        let routes = Arc::clone(&self.routes.borrow());
        // Routes may have changed since the question; what is no longer wanted is not announced.
        let wanted = |feed: &str| routes.iter().any(|route| &*route.feed == feed);
        let mut up = Vec::new();
        for (index, (feed, filter)) in asked.into_iter().enumerate() {
            if granted.get(index).copied().unwrap_or(false) {
                if wanted(&feed) {
                    up.push((feed, filter));
                }
            } else {
                error!(
                    broker = %self.name, feed = %feed, filter = filter.as_str(),
                    remedy = "let the broker's access control list grant this user to read the topic",
                    "the broker refused the subscription"
                );
            }
        }
        // A subscription is proof of a working connection: the next loss starts from the shortest wait.
        self.backoff.reset();
        link.up.extend(up.iter().cloned());
        self.announce(up, true).await;
    }

    async fn announce(&self, feeds: Vec<(Arc<str>, Filter)>, up: bool) {
        for (feed, _) in feeds {
            // A closed channel means the sequencer is gone; the next step notices.
            let _ = self.input.send(Input::Connected { feed, up }).await;
        }
    }

    fn report(&self, reason: &ClientError, wait: Duration) {
        let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let remedy = reason.remedy();
        warn!(broker = %self.name, reason = %reason, remedy, retry_ms, "connection to the broker lost");
    }
}
