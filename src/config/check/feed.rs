//! Feeds: where they come from, what they carry.

use super::topic::Topic;
use super::{Findings, In, at, key, name, register};
use crate::config::sereno::{LISTENER, Sereno};
use crate::decode::Decoder;
use crate::flow::compile::wrap;
use crate::model::decimal::DECIMALS_MAX;
use crate::model::definition::{FeedDefinition, Identity, PipelineDefinition, QuantityDefinition};
use crate::model::{Fault, Span};
use crate::rule::near;

/// A feed and what its definition makes of topics.
pub(super) struct Known<'a> {
    /// File it is defined in.
    pub(super) file: usize,
    /// Its number in that file.
    pub(super) index: usize,
    /// Its definition.
    pub(super) feed: &'a FeedDefinition,
    /// What it subscribes and names.
    pub(super) shape: Shape,
}

/// What a feed subscribes, and the tags its events carry.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// The MQTT filter.
    pub(super) filter: String,
    /// Names of the tags, out of topic and payload.
    pub(super) tags: Vec<String>,
}

/// Checks what belongs to decoding: topic, paths, time. The one place that asks `decode`.
fn check_feed(feed: &FeedDefinition) -> Result<Shape, Vec<Fault>> {
    let topic = Topic::parse(&feed.topic).map_err(|fault| vec![fault.under("topic")])?;
    let mut faults = Vec::new();
    if feed.quantities.is_empty() {
        let remedy = "add one, as in [feed.quantity.pm25]";
        faults.push(Fault::new("the feed has no quantity", remedy).under("quantity"));
    }
    if feed.identity == Identity::Sequence && feed.sequence.is_none() {
        let remedy = "add it, as in sequence = \"/number\"";
        faults.push(Fault::new("identity = \"sequence\" needs `sequence`", remedy).under("identity"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Decoder::new(feed)?;
    let tags = topic.names.into_iter().chain(feed.tags.keys().cloned());
    Ok(Shape { filter: topic.filter, tags: tags.filter(|tag| tag != "sensor").collect() })
}

/// Checks every feed of every pipeline.
pub(super) fn check_all<'a>(
    sereno: &Sereno,
    pipelines: &'a [PipelineDefinition],
    findings: &mut Findings,
) -> Vec<Known<'a>> {
    let mut known = Vec::new();
    for (file, pipeline) in pipelines.iter().enumerate() {
        for (index, feed) in pipeline.feeds.iter().enumerate() {
            let mut report =
                |fault: Fault| findings.error(In::Pipeline(file), at([key("feed"), index.into()], fault));
            check_settings(sereno, feed, &mut report);
            let shape = check_feed(feed).unwrap_or_else(|faults| {
                faults.into_iter().for_each(&mut report);
                // What there is of it, so that one mistake does not make others.
                let topic = Topic::parse(&feed.topic).ok();
                let captured = topic.as_ref().map(|topic| topic.names.clone()).unwrap_or_default();
                let tags = captured.into_iter().chain(feed.tags.keys().cloned()).collect();
                Shape { filter: topic.map(|topic| topic.filter).unwrap_or_default(), tags }
            });
            check_columns(feed, &shape, &mut report);
            known.push(Known { file, index, feed, shape });
        }
    }
    known
}

fn check_settings(sereno: &Sereno, feed: &FeedDefinition, report: &mut impl FnMut(Fault)) {
    if let Err(fault) = name::dashed(&feed.name, "a feed") {
        report(fault.under("name"));
    }
    match &feed.from {
        Some(from) => check_source(sereno, from).unwrap_or_else(|fault| report(fault.under("from"))),
        // An unknown `default_source` is a mistake of sereno.toml, and told there.
        None if sereno.default_source == LISTENER && !sereno.listener.enabled => {
            report(listener_off().under("from"));
        }
        None => {}
    }
    if let Err(fault) = timezone(&feed.timezone) {
        report(fault.under("timezone"));
    }
    if feed.expected_interval == Some(Span::ZERO) {
        let fault = Fault::new(
            "the expected interval is no time at all",
            "write how often a device reports, as in \"10s\"",
        );
        report(fault.under("expected_interval"));
    }
    if feed.devices_max == 0 {
        report(Fault::new("the feed takes no device", "allow at least one").under("devices_max"));
    }
    check_rates(feed, report);
    register::check(feed, report);
    for (name, quantity) in &feed.quantities {
        check_quantity(quantity, &mut |fault| report(at([key("quantity"), key(name)], fault)));
    }
}

fn check_rates(feed: &FeedDefinition, report: &mut impl FnMut(Fault)) {
    let remedy = "allow at least one an hour, or leave it out";
    if feed.messages_per_hour_max == 0 {
        report(Fault::new("the feed takes no message", remedy).under("messages_per_hour_max"));
    }
    if feed.device_messages_per_hour_max == 0 {
        report(
            Fault::new("the feed takes no message of any device", remedy)
                .under("device_messages_per_hour_max"),
        );
    }
    if let Some(interval) = feed.expected_interval.filter(|interval| *interval > Span::ZERO) {
        let expected = Span::seconds(3_600).0 / interval.0;
        if expected > i64::from(feed.device_messages_per_hour_max) {
            let message = format!(
                "a device is expected to send {expected} messages an hour, and {} are taken",
                feed.device_messages_per_hour_max
            );
            let remedy = "raise it to several times what a device sends, or mend expected_interval";
            report(Fault::new(message, remedy).under("device_messages_per_hour_max"));
        }
    }
}

/// Whether a feed can come from a source of that name.
pub(super) fn check_source(sereno: &Sereno, from: &str) -> Result<(), Fault> {
    if from == LISTENER {
        return if sereno.listener.enabled { Ok(()) } else { Err(listener_off()) };
    }
    if sereno.brokers.contains_key(from) {
        return Ok(());
    }
    let names = std::iter::once(LISTENER).chain(sereno.brokers.keys().map(String::as_str));
    let mut remedy = near::suggest(from, names.clone(), "");
    if near::nearest(from, names).is_none() {
        remedy = format!("{remedy}; define it in sereno.toml with [broker.{from}]");
    }
    Err(Fault::new(format!("there is no source `{from}`"), remedy))
}

fn listener_off() -> Fault {
    let remedy = "set enabled = true under [listener] in sereno.toml, or name a broker in `from`";
    Fault::new("the feed comes from the listener, and that is switched off", remedy)
}

/// Whether the tz database has a zone of that name.
pub(super) fn timezone(name: &str) -> Result<(), Fault> {
    if jiff::tz::TimeZone::get(name).is_ok() {
        return Ok(());
    }
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let remedy = near::nearest(name, known.iter().map(String::as_str))
        .map_or("write it as in \"America/Bogota\"".to_owned(), |near| format!("did you mean `{near}`?"));
    Err(Fault::new(format!("there is no time zone `{name}`"), remedy))
}

fn check_quantity(quantity: &QuantityDefinition, report: &mut impl FnMut(Fault)) {
    if quantity.decimals > DECIMALS_MAX {
        let message = format!("{} decimals are more than a value keeps", quantity.decimals);
        report(Fault::new(message, format!("keep {DECIMALS_MAX} or fewer")).under("decimals"));
    }
    for (name, limit) in [("min", quantity.min), ("max", quantity.max)] {
        if limit.is_some_and(|limit| !limit.is_finite()) {
            report(
                Fault::new("the limit is no finite number", "write a number, or take it away").under(name),
            );
        }
    }
    if quantity.counter_max.is_some() && wrap(quantity).is_none() {
        let message = format!("no counter of {} decimals starts over there", quantity.decimals);
        let remedy = "write the count at which it starts over at 0, as in 65536, or keep fewer decimals";
        report(Fault::new(message, remedy).under("counter_max"));
    }
    if let (Some(min), Some(max)) = (quantity.min, quantity.max)
        && min >= max
    {
        let message = format!("no reading lies between min = {min} and max = {max}");
        report(Fault::new(message, "make min smaller than max").under("min"));
    }
}

/// Quantities and tags are columns of the same rows.
fn check_columns(feed: &FeedDefinition, shape: &Shape, report: &mut impl FnMut(Fault)) {
    for name in feed.quantities.keys() {
        let mut refuse = |fault: Fault| report(at([key("quantity"), key(name)], fault));
        if let Err(fault) = name::column_of_rows(name, "a quantity") {
            refuse(fault);
        } else if name == "sensor" || shape.tags.contains(name) {
            let message = format!("`{name}` is a quantity and a tag at once");
            refuse(Fault::new(message, "give one of them another name"));
        }
    }
    let tags: Vec<&String> = shape.tags.iter().collect();
    for (index, tag) in tags.iter().enumerate() {
        let place =
            if feed.tags.contains_key(*tag) { vec![key("tags"), key(tag)] } else { vec![key("topic")] };
        if let Err(fault) = name::column_of_rows(tag, "a tag") {
            report(Fault { path: place, ..fault });
        } else if tags.iter().take(index).any(|other| other == tag) {
            let message = format!("the tag `{tag}` comes from two places");
            report(Fault { path: place, ..Fault::new(message, "take one of them away") });
        }
    }
}
