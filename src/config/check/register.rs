//! The register of a feed: sensors that are missed when they fall silent.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{at, key};
use crate::model::definition::FeedDefinition;
use crate::model::register::SensorDefinition;
use crate::model::{Fault, Span, Timestamp};

/// Checks every entry; `report` takes faults by their path from the feed.
pub(super) fn check(feed: &FeedDefinition, report: &mut impl FnMut(Fault)) {
    let registered = feed.registered.len();
    if registered > feed.devices_max as usize {
        let message = format!("{registered} sensors are registered, and devices_max is {}", feed.devices_max);
        report(Fault::new(message, "raise it").under("devices_max"));
    }
    // A zone that does not exist is told where it is named.
    let zone = TimeZone::get(&feed.timezone).unwrap_or(TimeZone::UTC);
    let mut known: BTreeMap<&str, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    let mut told = false;
    for (position, sensor) in feed.registered.iter().enumerate() {
        let mut refuse = |fault: Fault| report(at([key("registered"), position.into()], fault));
        match check_entry(sensor, &zone) {
            Err(fault) => refuse(fault),
            Ok(service) => {
                let stretches = known.entry(&sensor.name).or_default();
                if stretches.iter().any(|other| other.0 < service.1 && service.0 < other.1) {
                    let message = format!("`{}` is registered twice for the same time", sensor.name);
                    let remedy = "take one away, or end it by `to` where the other begins";
                    refuse(Fault::new(message, remedy).under("name"));
                }
                stretches.push(service);
            }
        }
        let nothing_missing = sensor.expected_interval.is_none() && feed.expected_interval.is_none();
        if nothing_missing && !told {
            told = true;
            let message =
                format!("no interval is expected of `{}`, so that nothing can be missing", sensor.name);
            let remedy = "give the feed, or the sensor, `expected_interval`, as in \"10s\"";
            refuse(Fault::new(message, remedy).under("name"));
        }
    }
}

fn check_entry(sensor: &SensorDefinition, zone: &TimeZone) -> Result<(Timestamp, Timestamp), Fault> {
    if sensor.name.is_empty() {
        let fault = Fault::new("the sensor has no name", "write it as its messages carry it");
        return Err(fault.under("name"));
    }
    if sensor.expected_interval == Some(Span::ZERO) {
        let fault = Fault::new(
            "the expected interval is no time at all",
            "write how often it reports, as in \"10s\"",
        );
        return Err(fault.under("expected_interval"));
    }
    sensor.service(zone)
}
