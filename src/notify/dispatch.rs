//! The dispatcher: takes what is due from the outbox to the receivers.
//!
//! One task a receiver, so that the trouble of one holds back nobody else. A task looks into the
//! outbox when the ledger has changed, when an attempt comes due, or when a delivery ended; it
//! keeps at most its concurrency in flight and never two notifications of one lane.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::backoff::Backoff;
use super::database::LedgerError;
use super::ledger::Ledger;
use super::outbox::{Due, Outbox};
use super::receiver::{Clock, Notification, Receiver, SendError};
use crate::model::Timestamp;
use crate::model::crash::Point;
use crate::telemetry::{Metrics, Outcome};

/// The longest a task sleeps without looking: a wall clock that was set back costs no more.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long a task waits after the outbox itself failed.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// Deliveries in flight may end within this time when the service stops; what does not is sent
/// again after the start, under the same id.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A receiver with its name and the number of deliveries it takes at once.
pub struct Route {
    /// Name, the one it is subscribed by.
    pub name: Arc<str>,
    /// Deliveries in flight, at least 1.
    pub concurrency: usize,
    /// Where to.
    pub receiver: Arc<dyn Receiver>,
}

/// Drains the outbox.
#[derive(Clone)]
pub struct Dispatcher {
    /// What is owed.
    pub ledger: Arc<Ledger>,
    /// Where deliveries are counted.
    pub metrics: Arc<Metrics>,
    /// When to try again.
    pub backoff: Backoff,
    /// The wall clock.
    pub clock: Clock,
}

/// A delivery that ended, with its notification.
type Ended = (Notification, Result<(), SendError>);

impl Dispatcher {
    /// Runs until `stop` says true, or its sender is gone.
    pub async fn run(self, routes: Vec<Route>, stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        for route in routes {
            let changed = self.ledger.changed();
            let outbox = self.ledger.outbox();
            let courier = Courier { route, outbox, dispatcher: self.clone(), in_flight: Vec::new() };
            tasks.spawn(courier.run(changed, stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// One receiver's task.
struct Courier {
    route: Route,
    outbox: Outbox,
    dispatcher: Dispatcher,
    /// Ids of the notifications on their way.
    in_flight: Vec<String>,
}

impl Courier {
    async fn run(mut self, mut changed: watch::Receiver<u64>, mut stop: watch::Receiver<bool>) {
        let mut deliveries: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
        loop {
            let pause = match self.due().await {
                Ok(due) => {
                    let pause = self.pause(due.next_attempt_at);
                    self.start(due.notifications, &mut deliveries);
                    pause
                }
                Err(error) => {
                    warn!(receiver = %self.route.name, %error, "outbox cannot be read");
                    TROUBLE_PAUSE
                }
            };
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                Some(ended) = deliveries.next(), if !deliveries.is_empty() => self.settle(ended).await,
                Ok(()) = changed.changed() => {}
                () = sleep(pause) => {}
            }
        }
        let rest = async {
            while let Some(ended) = deliveries.next().await {
                self.settle(ended).await;
            }
        };
        // Running out of time is fine: the rest is sent again after the next start.
        let _ = timeout(STOP_GRACE, rest).await;
    }

    async fn due(&self) -> Result<Due, LedgerError> {
        let free = self.route.concurrency.max(1).saturating_sub(self.in_flight.len());
        if free == 0 {
            return Ok(Due::default());
        }
        let (outbox, name, now) = (self.outbox.clone(), self.route.name.clone(), self.now());
        // Those in flight are still in the outbox and come first: ask for that many more.
        let limit = free + self.in_flight.len();
        let mut due = blocking(move || outbox.due(&name, now, limit)).await?;
        due.notifications.retain(|notification| !self.in_flight.contains(&notification.id));
        due.notifications.truncate(free);
        Ok(due)
    }

    fn start(
        &mut self,
        due: Vec<Notification>,
        deliveries: &mut FuturesUnordered<BoxFuture<'static, Ended>>,
    ) {
        for notification in due {
            self.in_flight.push(notification.id.clone());
            let receiver = self.route.receiver.clone();
            deliveries.push(Box::pin(async move {
                Point::OutboxSending.pass();
                let result = receiver.send(&notification).await;
                Point::OutboxSent.pass();
                (notification, result)
            }));
        }
    }

    /// Writes down how a delivery ended. Should that fail, it is sent again under the same id.
    async fn settle(&mut self, (notification, result): Ended) {
        let (outbox, id, now) = (self.outbox.clone(), notification.id.clone(), self.now());
        let (outcome, written) = match result {
            Ok(()) => (Outcome::Delivered, blocking(move || outbox.delivered(&id)).await),
            Err(error) => {
                let wait = self.wait_after(&notification, &error, now);
                let outcome = if wait.is_some() { Outcome::Retried } else { Outcome::GivenUp };
                self.report(&notification, &error, wait);
                let text = error.to_string();
                (outcome, blocking(move || outbox.failed(&id, now, &text, wait)).await)
            }
        };
        self.dispatcher.metrics.notified(&self.route.name, outcome);
        if let Err(error) = written {
            warn!(receiver = %self.route.name, %error, "outbox cannot be written");
            sleep(TROUBLE_PAUSE).await;
        }
        self.in_flight.retain(|held| *held != notification.id);
    }

    /// How long to wait after a failure at `now`; `None` gives up.
    fn wait_after(&self, notification: &Notification, error: &SendError, now: Timestamp) -> Option<Duration> {
        let SendError::Retry { after, .. } = error else { return None };
        let backoff = &self.dispatcher.backoff;
        let failing_ns = now.since(notification.failing_since.unwrap_or(now)).0;
        let failing = Duration::from_nanos(u64::try_from(failing_ns).unwrap_or_default());
        let wait = backoff.wait(&notification.id, notification.attempts.saturating_add(1));
        (failing < backoff.give_up_after).then(|| wait.max(after.unwrap_or_default()))
    }

    fn report(&self, notification: &Notification, error: &SendError, wait: Option<Duration>) {
        let (receiver, delivery) = (&self.route.name, &notification.id);
        match wait {
            Some(wait) if notification.attempts == 0 => {
                info!(%receiver, delivery, %error, wait_ms = wait.as_millis() as u64, "notification failed, will be tried again");
            }
            // Further failures are in the outbox and the metrics.
            Some(_) => {}
            None => warn!(%receiver, delivery, %error, "notification given up"),
        }
    }

    fn pause(&self, next_attempt_at: Option<Timestamp>) -> Duration {
        let Some(next) = next_attempt_at else { return LOOK_AGAIN };
        let wait_ns = u64::try_from(next.since(self.now()).0).unwrap_or_default();
        Duration::from_nanos(wait_ns).min(LOOK_AGAIN)
    }

    fn now(&self) -> Timestamp {
        (self.dispatcher.clock)()
    }
}

/// Ends when the service is to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same as one that says stop.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Runs a short piece of SQLite work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    spawn_blocking(work).await.unwrap_or(Err(LedgerError::Stopping))
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
