//! Publishing messages over real MQTT connections, one for each gateway, at the pace they were sent.

use crate::city::City;
use crate::link::{Link, LinkReport};
use crate::message::Message;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Where and how fast to publish.
#[derive(Clone, Debug)]
pub struct PublishOptions {
    /// Host name or address of the broker.
    pub host: String,
    /// Port of the broker, usually 1883.
    pub port: u16,
    /// How many times faster than real time; 0 means as fast as the broker acknowledges.
    pub speed: f64,
    /// The first instant of the city to publish, milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// Where to end, exclusive; without it, publishing goes on until it is stopped.
    pub end_ms: Option<i64>,
    /// User name, if the broker wants one.
    pub username: Option<String>,
    /// Password; sent only with a user name.
    pub password: Option<String>,
    /// Client ids are this, `-gateway-` and the gateway's number.
    pub client_prefix: String,
}

impl PublishOptions {
    /// Publishing to a broker in real time from `start_ms` on, without end or credentials.
    pub fn new(host: impl Into<String>, port: u16, start_ms: i64) -> Self {
        Self {
            host: host.into(),
            port,
            speed: 1.0,
            start_ms,
            end_ms: None,
            username: None,
            password: None,
            client_prefix: "sereno-simulator".to_owned(),
        }
    }
}

/// What was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Messages handed to a connection, each counted once.
    pub published: u64,
    /// Of these, those that the broker acknowledged (PUBACK).
    pub acknowledged: u64,
    /// Messages sent once more because their connection broke before they were acknowledged.
    pub resent: u64,
    /// Connections that the broker accepted, reconnections included.
    pub connections: u64,
    /// Gateways that had something to say.
    pub gateways: u64,
}

/// Why publishing ended early.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The speed is negative or no number. The caller corrects it.
    #[error("speed {speed} is not a factor: give 0 for as fast as possible, 1 for real time, or more")]
    Speed {
        /// The speed asked for.
        speed: f64,
    },
    /// The broker will not have this client. Trying again does not help; the credentials must be mended.
    #[error("the broker at {host}:{port} refused client {client_id} ({code}); check user name and password")]
    Refused {
        /// The broker's host.
        host: String,
        /// The broker's port.
        port: u16,
        /// The client that was refused.
        client_id: String,
        /// The broker's reason, a CONNACK return code.
        code: String,
    },
    /// A connection's task ended by itself: a defect of this program.
    #[error("the connection of gateway {gateway} ended unexpectedly")]
    Ended {
        /// The gateway.
        gateway: u16,
    },
}

/// Publishes the city live from `options.start_ms` on, until `options.end_ms` or until `stop` resolves.
///
/// Each gateway is one MQTT 3.1.1 connection, QoS 1. A connection that breaks is made anew with a growing
/// pause (at most 10 s), and what was not acknowledged is sent again in order. After the end or the stop,
/// acknowledgements still due are awaited for a few seconds.
///
/// # Errors
/// [`PublishError`]: a speed that is none, or a broker that refuses the credentials.
pub async fn publish(
    city: &City,
    options: &PublishOptions,
    stop: impl Future<Output = ()>,
) -> Result<Published, PublishError> {
    let messages = city.messages(options.start_ms, options.end_ms.unwrap_or(i64::MAX));
    publish_all(messages, options, stop).await
}

/// Publishes any messages in their order, each at (`sent_at_ms` - `options.start_ms`) / speed after the call.
///
/// `options.end_ms` is not looked at: the iterator says when it ends.
///
/// # Errors
/// As [`publish`].
pub async fn publish_all(
    messages: impl Iterator<Item = Message>,
    options: &PublishOptions,
    stop: impl Future<Output = ()>,
) -> Result<Published, PublishError> {
    if !options.speed.is_finite() || options.speed < 0.0 {
        return Err(PublishError::Speed { speed: options.speed });
    }
    let mut stop = pin!(stop);
    let began = Instant::now();
    let mut links: BTreeMap<u16, Link> = BTreeMap::new();
    let (refusals, mut refused) = mpsc::channel(1);
    for message in messages {
        let due = due_at(began, options, message.sent_at_ms);
        let link = links.entry(message.gateway);
        let link = link.or_insert_with_key(|gateway| Link::open(*gateway, options, refusals.clone()));
        let hand_over = async {
            if let Some(due) = due {
                sleep_until(due).await;
            }
            link.send(message).await
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(error) = refused.recv() => return Err(error),
            sent = hand_over => if let Err(error) = sent {
                // A refusal explains it better than the closed connection does.
                return Err(refused.try_recv().unwrap_or(error));
            },
        }
    }
    close(links, refused).await
}

/// Ends every connection once its acknowledgements are in, and adds up what they did.
async fn close(
    links: BTreeMap<u16, Link>,
    mut refused: mpsc::Receiver<PublishError>,
) -> Result<Published, PublishError> {
    let mut total = Published { gateways: links.len() as u64, ..Published::default() };
    let closing: Vec<_> = links.into_values().map(Link::close).collect();
    for report in closing {
        let LinkReport { published, acknowledged, resent, connections } = report.await?;
        total.published += published;
        total.acknowledged += acknowledged;
        total.resent += resent;
        total.connections += connections;
    }
    match refused.try_recv() {
        Ok(error) => Err(error),
        Err(_) => Ok(total),
    }
}

/// When a message is due; none if it is due already, or if there is no pace.
fn due_at(began: Instant, options: &PublishOptions, sent_at_ms: i64) -> Option<Instant> {
    if options.speed == 0.0 {
        return None;
    }
    let ahead_ms = sent_at_ms.saturating_sub(options.start_ms).max(0);
    let due =
        began.checked_add(Duration::try_from_secs_f64(ahead_ms as f64 / 1_000.0 / options.speed).ok()?)?;
    (due > Instant::now()).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_the_speed_asked_for() {
        let began = Instant::now();
        let mut options = PublishOptions::new("localhost", 1883, 1_000);
        options.speed = 10.0;
        let due = due_at(began, &options, 601_000).unwrap();
        assert_eq!(due - began, Duration::from_secs(60));
        assert_eq!(due_at(began, &options, 1_000), None);
        options.speed = 0.0;
        assert_eq!(due_at(began, &options, 601_000), None);
    }

    #[test]
    fn publishing_can_be_spawned() {
        fn is_send<T: Send>(_: T) {}
        let (city, options) = (City::new(1), PublishOptions::new("localhost", 1883, 0));
        is_send(publish(&city, &options, std::future::pending()));
    }

    #[test]
    fn a_negative_speed_is_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = PublishOptions { speed: -1.0, ..PublishOptions::new("localhost", 1883, 0) };
        let result = runtime.block_on(publish_all(std::iter::empty(), &options, std::future::pending()));
        assert!(matches!(result, Err(PublishError::Speed { .. })));
    }
}
