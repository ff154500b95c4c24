//! Where feeds come from: routes for the own listener and for each external broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::ServiceError;
use crate::config::broker::Broker as BrokerSettings;
use crate::config::{Configuration, LISTENER};
use crate::decode::{Decoder, Template};
use crate::feed::broker::{BrokerOptions, BrokerTls};
use crate::feed::{Decode, Filter, Route, Routes};
use crate::journal::quota;
use crate::model::definition::FeedDefinition;
use crate::model::{Arrival, Decoded, DecodedEvent, Throttle, UsedUp};

/// The routes of every source, replaceable while running.
pub struct RouteTables {
    throttle: Arc<dyn Throttle>,
    tables: BTreeMap<String, watch::Sender<Arc<Routes>>>,
}

impl RouteTables {
    /// Tables for the listener and every configured broker; what `throttle` says is refused anyway is
    /// not decoded.
    ///
    /// # Errors
    /// [`ServiceError::Setting`]: a feed that `check` would have refused.
    pub fn new(configuration: &Configuration, throttle: Arc<dyn Throttle>) -> Result<Self, ServiceError> {
        let names = std::iter::once(LISTENER.to_owned()).chain(configuration.sereno.brokers.keys().cloned());
        let mut tables = BTreeMap::new();
        for name in names {
            let routes = routes(configuration, &name, &throttle)?;
            tables.insert(name, watch::Sender::new(Arc::new(routes)));
        }
        Ok(Self { throttle, tables })
    }

    /// The table of one source.
    #[must_use]
    pub fn of(&self, source: &str) -> Option<watch::Receiver<Arc<Routes>>> {
        self.tables.get(source).map(watch::Sender::subscribe)
    }

    /// Replaces every table.
    ///
    /// # Errors
    /// [`ServiceError::Setting`]: nothing was replaced.
    pub fn replace(&self, configuration: &Configuration) -> Result<(), ServiceError> {
        let mut built = Vec::new();
        for name in self.tables.keys() {
            built.push(Arc::new(routes(configuration, name, &self.throttle)?));
        }
        for (table, routes) in self.tables.values().zip(built) {
            table.send_replace(routes);
        }
        Ok(())
    }
}

/// The routes of the feeds of one source.
fn routes(
    configuration: &Configuration,
    source: &str,
    throttle: &Arc<dyn Throttle>,
) -> Result<Routes, ServiceError> {
    let feeds = configuration.feeds().filter(|feed| configuration.source_of(feed) == source);
    feeds.map(|feed| within_rate(feed, throttle)).collect::<Result<Vec<_>, _>>().map(Routes::new)
}

/// The route of one feed.
///
/// # Errors
/// [`ServiceError::Setting`]: a feed that `check` would have refused.
pub fn route(feed: &FeedDefinition) -> Result<Route, ServiceError> {
    let wrong = |what: String| ServiceError::Setting(format!("feed {}: {what}", feed.name));
    let template = Template::parse(&feed.topic).map_err(|fault| wrong(fault.to_string()))?;
    let filter = Filter::parse(template.filter()).map_err(|error| wrong(error.to_string()))?;
    let decoder = Decoder::new(feed)
        .map_err(|faults| wrong(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    let decode = Arc::new(FeedDecoder(decoder));
    Ok(Route { feed: feed.name.as_str().into(), filter, ack: feed.ack, identity: feed.identity, decode })
}

/// Decodes what is not refused for its rate in any case.
struct WithinRate {
    feed: Box<FeedDefinition>,
    template: Template,
    decode: Arc<dyn Decode>,
    throttle: Arc<dyn Throttle>,
}

impl WithinRate {
    fn refused(&self, sensor: Option<&str>) -> Decoded {
        Decoded { rejected: vec![quota::refusal(&self.feed, sensor)], ..Decoded::default() }
    }
}

impl Decode for WithinRate {
    fn decode(&self, arrival: &Arrival) -> Decoded {
        if self.throttle.is_idle() {
            return self.decode.decode(arrival);
        }
        let captures = self.template.captures(&arrival.topic);
        let sensor = captures.as_ref().and_then(|captures| captures.get("sensor"));
        if let Some(used_up) = self.throttle.refuses(&self.feed.name, sensor) {
            return self.refused(sensor.filter(|_| used_up == UsedUp::Sensor));
        }
        let decoded = self.decode.decode(arrival);
        let refused =
            |event: &DecodedEvent| self.throttle.refuses(&self.feed.name, Some(&event.sensor)).is_some();
        match decoded.events.first() {
            Some(first) if decoded.events.iter().all(refused) => self.refused(Some(&first.sensor)),
            _ => decoded,
        }
    }
}

/// The route of one feed that decodes nothing that is refused in any case.
fn within_rate(feed: &FeedDefinition, throttle: &Arc<dyn Throttle>) -> Result<Route, ServiceError> {
    let route = route(feed)?;
    let template = Template::parse(&feed.topic)
        .map_err(|fault| ServiceError::Setting(format!("feed {}: {fault}", feed.name)))?;
    let (feed, throttle) = (Box::new(feed.clone()), throttle.clone());
    let decode = Arc::new(WithinRate { feed, template, decode: route.decode, throttle });
    Ok(Route { decode, ..route })
}

struct FeedDecoder(Decoder);

impl Decode for FeedDecoder {
    fn decode(&self, arrival: &Arrival) -> Decoded {
        self.0.decode(arrival)
    }
}

/// How a configured broker is reached.
///
/// # Errors
/// [`ServiceError::Setting`] or [`ServiceError::Io`]: the password's file.
pub fn broker_options(
    configuration: &Configuration,
    name: &str,
    settings: &BrokerSettings,
) -> Result<BrokerOptions, ServiceError> {
    let address = settings.address().ok_or_else(|| {
        ServiceError::Setting(format!("broker {name}: url must be mqtt://host:port or mqtts://host:port"))
    })?;
    let mut options = BrokerOptions::new(name, &address.host, address.port);
    if let Some(client_id) = &settings.client_id {
        options.client_id.clone_from(client_id);
    }
    options.user.clone_from(&settings.username);
    options.password =
        settings.password_file.as_ref().map(|file| secret(&configuration.path(file))).transpose()?;
    let ca_file = settings.ca_file.as_ref().map(|file| configuration.path(file));
    options.tls = address.tls.then_some(BrokerTls { ca_file });
    options.inflight_max = settings.inflight;
    options.packet_bytes_max = usize::try_from(settings.packet_bytes_max.0).unwrap_or(usize::MAX);
    Ok(options)
}

/// A secret from its file, without the line end.
///
/// # Errors
/// [`ServiceError::Io`] naming the file; never its content.
pub fn secret(path: &std::path::Path) -> Result<String, ServiceError> {
    let text =
        std::fs::read_to_string(path).map_err(ServiceError::io(format!("secret file {}", path.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
