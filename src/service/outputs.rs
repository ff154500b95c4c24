//! Where alerts leave: webhooks, and MQTT by the own listener or an external broker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::{ServiceError, sources};
use crate::config::Configuration;
use crate::feed::broker::Publisher;
use crate::notify::{Clock, Mqtt, Publish, Route, SendError, Subscription, Webhook, WebhookOptions};

/// Deliveries in flight to one webhook.
const WEBHOOK_CONCURRENCY: usize = 8;
/// Deliveries in flight to one MQTT receiver.
const MQTT_CONCURRENCY: usize = 4;

/// What the own listener publishes by.
#[derive(Clone)]
pub struct Own {
    /// The listener's handle.
    #[cfg(feature = "broker")]
    pub publications: Option<crate::feed::listener::Publications>,
}

/// What each receiver wants to be told of.
#[must_use]
pub fn subscriptions(configuration: &Configuration) -> Vec<Subscription> {
    let receivers = configuration.sereno.receivers.iter();
    let wants = receivers.map(|receiver| Subscription {
        receiver: receiver.name.as_str().into(),
        severity_min: receiver.severity_min,
    });
    wants.collect()
}

/// Builds the ways to the receivers; publishers to external brokers are spawned until `stop`.
///
/// # Errors
/// [`ServiceError::Setting`] naming the receiver.
pub fn build(
    configuration: &Configuration,
    own: &Own,
    clock: &Clock,
    stop: &watch::Receiver<bool>,
) -> Result<Vec<Route>, ServiceError> {
    let mut routes = Vec::new();
    for receiver in &configuration.sereno.receivers {
        let name: Arc<str> = receiver.name.as_str().into();
        if let Some(webhook) = &receiver.webhook {
            let secret_file = webhook.secret_file.as_ref().map(|file| configuration.path(file));
            let options = WebhookOptions { url: webhook.url.clone(), secret_file };
            let webhook = Webhook::try_new(&options, clock.clone());
            let webhook =
                webhook.map_err(|error| ServiceError::Setting(format!("receiver {name}: {error}")))?;
            routes.push(Route { name, concurrency: WEBHOOK_CONCURRENCY, receiver: Arc::new(webhook) });
        } else if let Some(mqtt) = &receiver.mqtt {
            let publisher = publisher(configuration, &mqtt.broker, own, stop)?;
            let receiver = Arc::new(Mqtt::new(publisher, &mqtt.topic_prefix));
            routes.push(Route { name, concurrency: MQTT_CONCURRENCY, receiver });
        }
    }
    Ok(routes)
}

fn publisher(
    configuration: &Configuration,
    broker: &str,
    own: &Own,
    stop: &watch::Receiver<bool>,
) -> Result<AnyPublisher, ServiceError> {
    if let Some(settings) = configuration.sereno.brokers.get(broker) {
        let options = sources::broker_options(configuration, broker, settings)?;
        let (publisher, task) = Publisher::new(&options)?;
        let stop = stop.clone();
        tokio::spawn(task.run(super::run::stopped(stop)));
        return Ok(AnyPublisher::Broker(publisher));
    }
    own_publisher(own).ok_or_else(|| {
        ServiceError::Setting(format!("there is no listener and no broker `{broker}` to publish alerts by"))
    })
}

#[cfg(feature = "broker")]
fn own_publisher(own: &Own) -> Option<AnyPublisher> {
    own.publications.clone().map(AnyPublisher::Own)
}

#[cfg(not(feature = "broker"))]
fn own_publisher(_: &Own) -> Option<AnyPublisher> {
    None
}

/// Either way out.
enum AnyPublisher {
    Broker(Publisher),
    #[cfg(feature = "broker")]
    Own(crate::feed::listener::Publications),
}

impl Publish for AnyPublisher {
    async fn publish(&self, topic: String, payload: Vec<u8>, retain: bool) -> Result<(), SendError> {
        match self {
            Self::Broker(publisher) => {
                let sent = publisher.publish(&topic, Bytes::from(payload), retain).await;
                sent.map_err(|error| SendError::Retry {
                    message: error.to_string(),
                    after: Some(Duration::from_secs(1)),
                })
            }
            #[cfg(feature = "broker")]
            Self::Own(publications) => {
                let sent = publications.publish(&topic, Bytes::from(payload), retain);
                sent.map_err(|error| SendError::refused(error.to_string()))
            }
        }
    }
}

#[cfg(feature = "broker")]
pub use retained::retain_firing;

#[cfg(feature = "broker")]
mod retained {
    use bytes::Bytes;
    use tracing::warn;

    use super::super::ServiceError;
    use crate::feed::listener::Publications;
    use crate::model::AlertState;
    use crate::notify::lane::lane_of;
    use crate::notify::{Ledger, StateFilter};

    /// Alerts that are retained again at a start.
    const RETAINED_MAX: usize = 10_000;

    /// The listener's retained table is in memory: at a start, every firing alert is put back.
    ///
    /// # Errors
    /// [`ServiceError::Ledger`].
    pub fn retain_firing(
        ledger: &Ledger,
        publications: &Publications,
        prefix: &str,
    ) -> Result<(), ServiceError> {
        for alert in ledger.alerts(StateFilter::In(AlertState::Firing), RETAINED_MAX)? {
            let topic = format!("{prefix}/{}", lane_of(&alert));
            let body = serde_json::to_vec(&alert).unwrap_or_default();
            if let Err(error) = publications.publish(&topic, Bytes::from(body), true) {
                warn!(%topic, %error, "a firing alert could not be retained");
            }
        }
        Ok(())
    }
}
