//! Windows: their grid, their fields, their keys.

use super::scope::Scope;
use super::sensors;
use super::{Findings, In, at, key, name};
use crate::model::definition::{PERIOD, WindowDefinition};
use crate::model::{CalendarUnit, DailyPeriod, Fault, Span, WindowLength};
use crate::rule::{AggregateCall, near};
use crate::window::grid::nests;

/// Slides of one size: panes that one window is put together from.
pub(in crate::config) const PANES_MAX: i64 = 10_000;
/// Tags of one key.
const KEYS_MAX: usize = 8;
/// Periods of a day.
const PERIODS_MAX: usize = 24;
/// Fields of one window.
const FIELDS_MAX: usize = 64;

/// Checks one window.
pub(super) fn check(
    file: In,
    index: usize,
    window: &WindowDefinition,
    scope: &Scope<'_>,
    findings: &mut Findings,
) {
    let mut report = |fault: Fault| findings.error(file, at([key("window"), index.into()], fault));
    if let Err(fault) = name::plain(&window.name, "a window") {
        report(fault.under("name"));
    }
    if window.name == READINGS {
        let fault =
            Fault::new("a window cannot be called `readings`: rules on events say so", "call it otherwise");
        report(fault.under("name"));
    }
    if let Err(fault) = check_grid(window) {
        report(fault);
    }
    check_periods(window, &mut report);
    if let Err(fault) = check_capture(window, scope) {
        report(fault.under("capture_min"));
    }
    sensors::check(window, scope, &mut report);
    check_keys(window, scope, &mut report);
    if window.fields.is_empty() || window.fields.len() > FIELDS_MAX {
        let message = format!("the window has {} fields", window.fields.len());
        let remedy = format!("write 1 to {FIELDS_MAX}, as in fields = {{ pm25_mean = \"mean(pm25)\" }}");
        report(Fault::new(message, remedy).under("fields"));
    }
    for (name, call) in &window.fields {
        let path = || [key("window"), index.into(), key("fields"), key(name)];
        if let Err(fault) = check_field_name(window, name) {
            findings.error_at_key(file, at(path(), fault));
        }
        if let Err(fault) = check_call(call, window, scope) {
            findings.error(file, at(path(), fault));
        }
    }
}

/// What rules on events name instead of a window.
pub(super) const READINGS: &str = "readings";

fn check_grid(window: &WindowDefinition) -> Result<(), Fault> {
    if window.size.nominal() == Span::ZERO {
        return Err(Fault::new("the window has no length", "write for example \"1h\"").under("size"));
    }
    let Some(slide) = window.slide else { return Ok(()) };
    let (size, step) = (window.size, slide.nominal().0);
    if step == 0 {
        return Err(Fault::new("the slide is no time at all", "write for example \"5m\", or take it away")
            .under("slide"));
    }
    if slide.nominal() > size.nominal() {
        let message =
            format!("the slide, {slide}, is longer than the window, {size}: events would be left out");
        return Err(Fault::new(message, "make it the size or a part of it").under("slide"));
    }
    if !nests(size, slide) {
        let message = format!("the slide, {slide}, does not divide the size, {size}");
        return Err(Fault::new(message, nesting(size, slide)).under("slide"));
    }
    let panes = size.nominal().0 / step;
    if panes > PANES_MAX {
        let message = format!("the size, {size}, has {panes} slides of {slide}");
        return Err(
            Fault::new(message, format!("make the slide longer: {PANES_MAX} are the most")).under("slide")
        );
    }
    Ok(())
}

/// What to write for a slide that does not nest in a size.
fn nesting(size: WindowLength, slide: WindowLength) -> String {
    match (size, slide) {
        (WindowLength::Span(size), WindowLength::Span(slide)) => format!("{} would", dividing(size, slide)),
        (WindowLength::Span(span), WindowLength::Unit(_)) => {
            match CalendarUnit::ALL.into_iter().find(|unit| unit.nominal() == span) {
                Some(unit) => format!("write size = \"{}\", or a slide such as \"1h\"", unit.as_str()),
                None => "write the slide in hours and minutes too, or a size of the calendar".to_owned(),
            }
        }
        (WindowLength::Unit(CalendarUnit::Hour), _) => {
            "write one that divides an hour, as \"15m\"".to_owned()
        }
        (WindowLength::Unit(_), WindowLength::Span(slide)) => {
            let day = CalendarUnit::Day.nominal();
            format!("write one that divides a day: {} would", dividing(day, slide.min(day)))
        }
        (WindowLength::Unit(unit), WindowLength::Unit(_)) => {
            format!("weeks begin in the middle of a {}; write slide = \"day\"", unit.as_str())
        }
    }
}

/// Periods of the day: a window a day for each.
fn check_periods(window: &WindowDefinition, refuse: &mut impl FnMut(Fault)) {
    let periods: Vec<(&String, &DailyPeriod)> = window.periods.iter().collect();
    if periods.is_empty() {
        return;
    }
    let day = CalendarUnit::Day.nominal();
    if window.size.nominal() != day {
        let message = format!("the window has periods of a day, and its size is {}", window.size);
        refuse(Fault::new(message, "write size = \"day\", or take the periods away").under("size"));
    }
    if window.slide.is_some_and(|slide| slide.nominal() != day) {
        let message = "each period has one window a day, so that nothing slides";
        refuse(Fault::new(message, "take the slide away").under("slide"));
    }
    if periods.len() > PERIODS_MAX {
        let message = format!("the window has {} periods", periods.len());
        refuse(Fault::new(message, format!("{PERIODS_MAX} are the most")).under("periods"));
    }
    for (position, (name, period)) in periods.iter().enumerate() {
        let mut refuse = |fault: Fault| refuse(at([key("periods"), key(name)], fault));
        if let Err(fault) = name::plain(name, "a period") {
            refuse(fault);
        }
        let shared =
            |(other, held): &&(&String, &DailyPeriod)| Some((other.to_string(), held.shared(**period)?));
        if let Some((other, minute)) = periods.iter().take(position).find_map(|held| shared(&held)) {
            let message = format!("{minute} lies in `{name}` and in `{other}`");
            let remedy = "a period includes its last minute; let the next begin one later, as in \"07:01-21:00\" and \"21:01-07:00\"";
            refuse(Fault::new(message, remedy));
        }
    }
    if window.by.iter().any(|tag| tag == PERIOD) {
        let message = "`period` is the key of the periods themselves";
        refuse(Fault::new(message, "take it out of `by`: it is added").under("by"));
    }
}

/// The longest span that is shorter than `slide` and divides `size`.
fn dividing(size: Span, slide: Span) -> Span {
    let parts = size.0 / slide.0 + 1;
    let divides = |parts: &i64| size.0 % *parts == 0;
    Span(size.0 / (parts..parts + PANES_MAX).find(divides).unwrap_or(1))
}

/// The length of a window, or of its shortest period.
fn shortest(window: &WindowDefinition) -> Span {
    let periods = window.periods.values().map(|period| period.end().minus(period.begin()));
    periods.min().unwrap_or_else(|| window.size.nominal())
}

fn check_capture(window: &WindowDefinition, scope: &Scope<'_>) -> Result<(), Fault> {
    let Some(share) = window.capture_min else { return Ok(()) };
    check_share(share, window, scope)
}

/// Whether a share of the expected readings can be told.
pub(super) fn check_share(share: f64, window: &WindowDefinition, scope: &Scope<'_>) -> Result<(), Fault> {
    if !(0.0..=1.0).contains(&share) {
        return Err(Fault::new(format!("{share} is no share"), "write 0 to 1, as in 0.75"));
    }
    // The register speaks of windows by the sensor alone.
    let by_register = window.by.iter().all(|tag| tag == "sensor") && sensors::single(window);
    for feed in &scope.feeds {
        let registered = feed.registered.iter().filter(|_| by_register);
        let own = || registered.clone().filter_map(|sensor| Some((sensor, sensor.expected_interval?)));
        if feed.expected_interval.is_none() && own().next().is_none() {
            let message = format!("feed `{}` expects no interval, so that nothing can be missing", feed.name);
            return Err(Fault::new(message, "give the feed `expected_interval`, as in \"10s\""));
        }
        let remedy = "make the window longer, or take capture_min away";
        if let Some(interval) = feed.expected_interval.filter(|interval| *interval > shortest(window)) {
            let message =
                format!("feed `{}` expects a reading every {interval}, longer than the window", feed.name);
            return Err(Fault::new(message, remedy));
        }
        if let Some((sensor, interval)) = own().find(|(_, interval)| *interval > shortest(window)) {
            let (feed, sensor) = (&feed.name, &sensor.name);
            let message = format!(
                "feed `{feed}` expects a reading of `{sensor}` every {interval}, longer than the window"
            );
            return Err(Fault::new(message, remedy));
        }
    }
    Ok(())
}

fn check_keys(window: &WindowDefinition, scope: &Scope<'_>, report: &mut impl FnMut(Fault)) {
    if window.by.len() > KEYS_MAX {
        let message = format!("the window groups by {} tags", window.by.len());
        report(Fault::new(message, format!("group by {KEYS_MAX} or fewer")).under("by"));
    }
    for (position, tag) in window.by.iter().enumerate() {
        let mut refuse = |fault: Fault| report(at([key("by"), position.into()], fault));
        if window.by.iter().take(position).any(|other| other == tag) {
            refuse(Fault::new(format!("`{tag}` stands here twice"), "take one away"));
        } else if !scope.feeds.is_empty() && !scope.keys().any(|known| known == tag) {
            let remedy = near::suggest(tag, scope.keys(), "");
            refuse(Fault::new(format!("no feed of the pipeline has the tag `{tag}`"), remedy));
        } else if let Err(fault) = name::column_of_windows(tag, "a key") {
            refuse(fault);
        }
    }
}

fn check_field_name(window: &WindowDefinition, name: &str) -> Result<(), Fault> {
    if matches!(name, "count" | "capture") {
        let message = format!("every window has `{name}` of itself");
        return Err(Fault::new(message, "take the field away; conditions can name it all the same"));
    }
    name::column_of_windows(name, "a field")?;
    if window.key_names().any(|tag| tag == name) {
        let message = format!("`{name}` is a field and a key at once");
        return Err(Fault::new(message, "give the field another name"));
    }
    Ok(())
}

fn check_call(call: &str, window: &WindowDefinition, scope: &Scope<'_>) -> Result<(), Fault> {
    let parsed = AggregateCall::parse(call)?.in_window(sensors::single(window), window.of)?;
    let Some(quantity) = &parsed.quantity else {
        return sensors::check_capture_percent(&parsed, window, scope);
    };
    if scope.feeds.is_empty() {
        return Ok(());
    }
    let Some((unit, decimals)) = scope.quantity(quantity) else {
        let remedy = near::suggest(quantity, scope.quantities(), "give a feed quantities first");
        let mut fault = Fault::new(format!("no feed of the pipeline has the quantity `{quantity}`"), remedy);
        let inside = call.rfind('(').map_or(0, |open| open + 1);
        let found = call.get(inside..).and_then(|rest| rest.to_lowercase().find(quantity.as_str()));
        fault.within = found.map(|start| (inside + start, inside + start + quantity.len()));
        return Err(fault);
    };
    parsed.fits(unit, decimals)?;
    sensors::check_held(&parsed, window, scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposes_a_slide_that_divides() {
        assert_eq!(dividing(Span::seconds(3_600), Span::seconds(7 * 60)).to_string(), "6m40s");
        assert_eq!(dividing(Span::seconds(3_600), Span::seconds(25 * 60)).to_string(), "20m");
    }
}
