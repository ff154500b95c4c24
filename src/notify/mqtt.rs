//! Alerts as MQTT messages on `sereno/alerts/<pipeline>/<rule>/<key>`.
//!
//! A firing alert is retained: who subscribes later still learns of it. When it is over, the
//! resolved (or annulled) alert is published without retain, then an empty retained message clears
//! the topic. So the retained messages are exactly the standing alerts, and a subscriber that was
//! there sees the end. A repeat after a lost acknowledgement does both again; the receiver knows
//! it by `delivery_id`.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::receiver::{Notification, Receiver, SendError};
use crate::model::AlertState;

/// Where MQTT messages leave: the own listener, or an external broker.
pub trait Publish: Send + Sync {
    /// Publishes at QoS 1; returns once the message is the broker's (or the listener's) to keep.
    ///
    /// # Errors
    /// [`SendError`] says whether another attempt can help.
    fn publish(
        &self,
        topic: String,
        payload: Vec<u8>,
        retain: bool,
    ) -> impl Future<Output = Result<(), SendError>> + Send;
}

/// The MQTT receiver.
#[derive(Debug)]
pub struct Mqtt<P> {
    publisher: P,
    topic_prefix: String,
}

impl<P: Publish> Mqtt<P> {
    /// Sends by way of `publisher` below `topic_prefix`, usually `sereno/alerts`.
    pub fn new(publisher: P, topic_prefix: &str) -> Self {
        Self { publisher, topic_prefix: topic_prefix.to_owned() }
    }

    async fn publish(&self, notification: &Notification) -> Result<(), SendError> {
        let topic = format!("{}/{}", self.topic_prefix, notification.lane);
        let payload = notification.body.to_vec();
        if notification.state == AlertState::Firing {
            return self.publisher.publish(topic, payload, true).await;
        }
        self.publisher.publish(topic.clone(), payload, false).await?;
        self.publisher.publish(topic, Vec::new(), true).await
    }
}

impl<P: Publish> Receiver for Mqtt<P> {
    fn send<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<(), SendError>> {
        self.publish(notification).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;

    use super::*;

    #[derive(Default)]
    struct Broker(Mutex<Vec<(String, String, bool)>>);

    impl Publish for Broker {
        async fn publish(&self, topic: String, payload: Vec<u8>, retain: bool) -> Result<(), SendError> {
            let text = String::from_utf8(payload).unwrap();
            self.0.lock().unwrap().push((topic, text, retain));
            Ok(())
        }
    }

    fn notification(state: AlertState, body: &'static str) -> Notification {
        Notification {
            id: "9f:1:mqtt".into(),
            lane: "river/river-high/rio-01".into(),
            state,
            body: Bytes::from_static(body.as_bytes()),
            attempts: 0,
            failing_since: None,
        }
    }

    #[tokio::test]
    async fn retained_messages_are_exactly_the_standing_alerts() {
        let receiver = Mqtt::new(Broker::default(), "sereno/alerts");
        receiver.send(&notification(AlertState::Firing, "up")).await.unwrap();
        receiver.send(&notification(AlertState::Resolved, "over")).await.unwrap();
        let topic = "sereno/alerts/river/river-high/rio-01";
        let sent: Vec<_> = receiver.publisher.0.into_inner().unwrap();
        let want = [("up", true), ("over", false), ("", true)];
        assert_eq!(sent, want.map(|(text, retain)| (topic.to_owned(), text.to_owned(), retain)));
    }
}
