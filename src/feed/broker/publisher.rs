//! A second client of the same broker, which publishes alerts.
//!
//! QoS 1, one message at a time: a message counts as published when the broker acknowledged it.
//! After a loss nothing is sent again from here; whoever asked gets the failure and decides (the
//! outbox retries).

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{AsyncClient, Event, EventLoop, Packet, QoS};
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::backoff::Backoff;
use super::client::ClientError;
use super::options::{BrokerError, BrokerOptions};
use super::rumqtt::{connection_error, mqtt_options, network_options};

/// Messages that wait for their turn.
const WAITING_MAX: usize = 64;

/// How long a message may wait and travel.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// A message was not acknowledged by the broker; it may or may not have arrived. Retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishFailed {
    /// No connection, or none that answered in time.
    #[error("the broker did not acknowledge the message in time")]
    Timeout,
    /// The connection was lost while the message was on its way.
    #[error("the connection to the broker was lost")]
    Lost,
    /// The publisher has stopped.
    #[error("the publisher has stopped")]
    Stopped,
}

/// Publishes to one broker; clones share its connection.
#[derive(Clone)]
pub struct Publisher {
    messages: mpsc::Sender<Message>,
}

struct Message {
    topic: String,
    payload: Bytes,
    retain: bool,
    done: oneshot::Sender<Result<(), PublishFailed>>,
}

/// The publisher's connection; runs beside it.
pub struct PublisherTask {
    name: Arc<str>,
    client: AsyncClient,
    events: EventLoop,
    messages: mpsc::Receiver<Message>,
    backoff: Backoff,
}

impl Publisher {
    /// A publisher for the broker `options` describes, under a client identifier of its own, and
    /// the task that must run for it.
    ///
    /// # Errors
    /// If the certificates cannot be read.
    pub fn new(options: &BrokerOptions) -> Result<(Self, PublisherTask), BrokerError> {
        let mut mqtt = mqtt_options(options, &format!("{}-alerts", options.client_id))?;
        mqtt.set_clean_session(true);
        let (client, mut events) = AsyncClient::new(mqtt, 1);
        events.set_network_options(network_options(options));
        let (sender, messages) = mpsc::channel(WAITING_MAX);
        let backoff = Backoff::new(options.backoff_min, options.backoff_max);
        let task = PublisherTask { name: options.name.clone(), client, events, messages, backoff };
        Ok((Self { messages: sender }, task))
    }

    /// Publishes at QoS 1 and waits for the broker's acknowledgement.
    ///
    /// # Errors
    /// If it did not come; the message may have arrived all the same.
    pub async fn publish(&self, topic: &str, payload: Bytes, retain: bool) -> Result<(), PublishFailed> {
        let (done, answer) = oneshot::channel();
        let message = Message { topic: topic.to_owned(), payload, retain, done };
        let published = async {
            self.messages.send(message).await.map_err(|_| PublishFailed::Stopped)?;
            answer.await.map_err(|_| PublishFailed::Stopped)?
        };
        timeout(PUBLISH_TIMEOUT, published).await.unwrap_or(Err(PublishFailed::Timeout))
    }
}

impl PublisherTask {
    /// Connects, and again after each loss, until `stop` resolves.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            let reason = select! {
                reason = self.serve() => reason,
                () = stop.as_mut() => break,
            };
            // What was on its way is not sent again: its sender has been told.
            self.events.clean();
            self.events.pending.clear();
            self.events.state.events.clear();
            let Some(reason) = reason else { break };
            let wait = self.backoff.next_wait();
            warn!(broker = %self.name, reason = %reason, remedy = reason.remedy(), "publisher lost the broker");
            select! {
                () = sleep(wait) => {}
                () = stop.as_mut() => break,
            }
        }
    }

    /// Serves one connection; `None` when all publishers are gone.
    async fn serve(&mut self) -> Option<ClientError> {
        let mut connected = false;
        let mut travelling: Option<Message> = None;
        loop {
            select! {
                event = self.events.poll() => match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        connected = true;
                        self.backoff.reset();
                        info!(broker = %self.name, "publisher connected");
                    }
                    Ok(Event::Incoming(Packet::PubAck(_))) => settle(travelling.take(), Ok(())),
                    Ok(_) => {}
                    Err(error) => {
                        settle(travelling, Err(PublishFailed::Lost));
                        return Some(connection_error(error));
                    }
                },
                () = given_up(&mut travelling) => {
                    return Some(ClientError::Lost("the broker did not acknowledge in time".into()));
                }
                message = self.messages.recv(), if connected && travelling.is_none() => {
                    let message = message?;
                    if message.done.is_closed() {
                        // Its sender gave up while it waited.
                        continue;
                    }
                    let Message { topic, payload, retain, .. } = &message;
                    let queued = self.client.try_publish(topic, QoS::AtLeastOnce, *retain, payload.clone());
                    match queued {
                        Ok(()) => travelling = Some(message),
                        Err(_) => settle(Some(message), Err(PublishFailed::Lost)),
                    }
                }
            }
        }
    }
}

/// Resolves when the sender of the travelling message no longer waits.
async fn given_up(travelling: &mut Option<Message>) {
    match travelling {
        Some(message) => message.done.closed().await,
        None => std::future::pending().await,
    }
}

fn settle(message: Option<Message>, outcome: Result<(), PublishFailed>) {
    if let Some(message) = message {
        // A sender that no longer waits does not mind.
        let _ = message.done.send(outcome);
    }
}
