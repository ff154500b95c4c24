//! The register of a feed: sensors that are known by name and expected to report.
//!
//! A sensor of the register is missed when nothing comes from it; one that is only known from its
//! messages is not.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::time::{Span, Timestamp};

/// One entry: a sensor, or one stretch of its time in service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SensorDefinition {
    /// Name, as its messages carry it.
    pub name: String,
    /// Event time from which it is in service: a date (`2026-03-01`, from midnight in the feed's
    /// time zone) or an instant (RFC 3339). Absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Event time from which it no longer is, written like `from`. Absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Expected time between two of its events, if not the feed's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_interval: Option<Span>,
}

impl SensorDefinition {
    /// The event times [from, to) in which it is in service; dates begin at midnight in `zone`.
    ///
    /// # Errors
    /// A text that is neither date nor instant, or a stretch that ends before it begins.
    pub fn service(&self, zone: &TimeZone) -> Result<(Timestamp, Timestamp), Fault> {
        let read = |text: &Option<String>, open: Timestamp| match text {
            Some(text) => instant(text, zone),
            None => Ok(open),
        };
        let from = read(&self.from, Timestamp::MIN).map_err(|fault| fault.under("from"))?;
        let to = read(&self.to, Timestamp::MAX).map_err(|fault| fault.under("to"))?;
        if to <= from {
            let fault = Fault::new("the sensor's service ends before it begins", "let `to` be after `from`");
            return Err(fault.under("to"));
        }
        Ok((from, to))
    }
}

fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp, Fault> {
    if let Some(instant) = Timestamp::parse_rfc3339(text) {
        return Ok(instant);
    }
    let midnight = || {
        let date: Date = (text.trim().len() == 10).then(|| text.trim().parse().ok()).flatten()?;
        let begin = date.to_zoned(zone.clone()).ok()?;
        i64::try_from(begin.timestamp().as_nanosecond()).ok().map(Timestamp)
    };
    midnight().ok_or_else(|| {
        Fault::new(
            format!("`{text}` is neither a date nor an instant"),
            "write \"2026-03-01\" or \"2026-03-01T08:00:00-05:00\"",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensor(from: Option<&str>, to: Option<&str>) -> SensorDefinition {
        let text = |text: Option<&str>| text.map(str::to_owned);
        SensorDefinition { name: "aire-01".into(), from: text(from), to: text(to), expected_interval: None }
    }

    #[test]
    fn dates_begin_at_midnight_of_the_zone() {
        let bogota = TimeZone::get("America/Bogota").unwrap();
        let (from, to) = sensor(Some("2026-03-01"), Some("2026-04-01T12:00:00Z")).service(&bogota).unwrap();
        assert_eq!(from.to_string(), "2026-03-01T05:00:00Z");
        assert_eq!(to.to_string(), "2026-04-01T12:00:00Z");
        assert_eq!(sensor(None, None).service(&bogota), Ok((Timestamp::MIN, Timestamp::MAX)));
    }

    #[test]
    fn what_is_no_time_and_what_ends_before_it_begins_is_refused() {
        let refused = |from, to| sensor(from, to).service(&TimeZone::UTC).unwrap_err().to_string();
        assert!(refused(Some("March"), None).starts_with("from."));
        assert!(refused(Some("2026-02-30"), None).starts_with("from."));
        assert!(refused(Some("2026-03-01T08:00:00"), None).starts_with("from."));
        assert!(refused(Some("2026-03-01"), Some("2026-03-01")).starts_with("to."));
    }
}
