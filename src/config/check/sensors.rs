//! What a window says of its sensors: nested aggregates, counters, held readings.

use super::scope::Scope;
use super::window::check_share;
use crate::config::estimate::readings;
use crate::model::definition::{FoldOf, WindowDefinition};
use crate::model::{Fault, Span};
use crate::rule::AggregateCall;
use crate::window::Function;
use crate::window::held::READINGS_MAX;

/// Whether the window's key is a single sensor.
pub(super) fn single(window: &WindowDefinition) -> bool {
    window.by.iter().any(|tag| tag == "sensor")
}

/// Checks the window's settings of sensors.
pub(super) fn check(window: &WindowDefinition, scope: &Scope<'_>, report: &mut impl FnMut(Fault)) {
    let calls: Vec<AggregateCall> = window
        .fields
        .values()
        .filter_map(|call| AggregateCall::parse(call).ok()?.in_window(single(window), window.of).ok())
        .collect();
    let nested = calls.iter().any(|call| call.inner.is_some());
    let asks = |function| calls.iter().any(|call| call.function == function || call.inner == Some(function));
    if window.of == Some(FoldOf::Sensors) && single(window) {
        let message = "the window's key is a single sensor: there is nothing to fold over sensors";
        report(Fault::new(message, "take `of` away, or take `sensor` out of `by`").under("of"));
    }
    if let Some(share) = window.sensor_capture_min {
        if !nested {
            let message = "no field folds the values of sensors, so that none can be left out";
            let remedy = "nest an aggregate, as in mean(mean(pm25)), or take it away";
            report(Fault::new(message, remedy).under("sensor_capture_min"));
        } else if let Err(fault) = check_share(share, window, scope) {
            report(fault.under("sensor_capture_min"));
        }
    }
    if let Some(hold_max) = window.hold_max {
        let fault = if !asks(Function::TimeMean) {
            Fault::new("no field is weighted by time", "use time_mean in a field, or take it away")
        } else if hold_max == Span::ZERO {
            Fault::new("readings hold for no time at all", "write for example \"10m\"")
        } else {
            return;
        };
        report(fault.under("hold_max"));
    }
}

/// Whether the capture in percent can be told.
pub(super) fn check_capture_percent(
    call: &AggregateCall,
    window: &WindowDefinition,
    scope: &Scope<'_>,
) -> Result<(), Fault> {
    if call.function != Function::CapturePercent {
        return Ok(());
    }
    if !single(window) {
        let message = "only windows of single sensors have a capture";
        return Err(Fault::new(message, "take the field away, or group by `sensor`"));
    }
    check_share(0.0, window, scope)
}

/// Whether the readings that a call follows fit a pane.
pub(super) fn check_held(
    call: &AggregateCall,
    window: &WindowDefinition,
    scope: &Scope<'_>,
) -> Result<(), Fault> {
    let follows =
        |function: Function| matches!(function, Function::Increase | Function::Rate | Function::TimeMean);
    let function = call.inner.unwrap_or(call.function);
    let slide = window.step().nominal();
    let readings = readings(slide, &scope.feeds);
    if !follows(function) || readings <= READINGS_MAX as u64 {
        return Ok(());
    }
    let message =
        format!("`{function}` keeps a sensor's readings in order, and {slide} hold about {readings} of them");
    Err(Fault::new(message, format!("give the window a slide that holds {READINGS_MAX} at most")))
}
