//! What is read, printed and refused.

use super::*;

fn call(sql: &str) -> AggregateCall {
    AggregateCall::parse(sql).unwrap()
}

#[test]
fn reads_what_it_prints() {
    for text in [
        "mean(pm25)",
        "count(*)",
        "count(pm25)",
        "p05(a_b)",
        "p99(x)",
        "stddev(x)",
        "last(x)",
        "capture_percent(*)",
        "quantile(x, 0.999)",
        "quantile(x, 0.000001)",
        "max(mean(pm25))",
        "p95(quantile(x, 0.125))",
        // To SQL the word of `count(DISTINCT x)`.
        "sum(distinct(x))",
        "distinct(distinct(x))",
        "quantile(distinct(x), 0.125)",
        "quantile(max(x), 0.999)",
        "sum(increase(litros))",
    ] {
        assert_eq!(call(text).to_string(), text);
    }
    for (name, _) in NAMES.iter().filter(|(_, function)| *function != Function::CapturePercent) {
        assert_eq!(call(&format!("{name}(x)")).to_string(), format!("{name}(x)"));
    }
    assert_eq!(call(" MEAN ( PM25 ) ").to_string(), "mean(pm25)");
    assert_eq!(call("median(x)"), call("p50(x)"));
    assert_eq!(call("quantile(x, .95)"), call("p95(x)"));
}

#[test]
fn says_what_there_is() {
    let example = "write one aggregate of one quantity, as in mean(pm25)";
    let quantile = "write for example quantile(pm25, 0.999)";
    let between = "a quantile lies between 0 and 1, with six decimals at most";
    let share = "write for example 0.999; 0 is min and 1 is max";
    for (text, message, remedy) in [
        ("meen(pm25)", "there is no aggregate `meen`", "did you mean `mean`?"),
        ("avg(pm25)", "there is no aggregate `avg`", "it is called `mean` here"),
        (
            "p100(pm25)",
            "there is no aggregate `p100`",
            "there are count, sum, mean, min, max, range, first, last, delta, variance, stddev, distinct, \
             increase, rate, time_mean, energy_mean, circular_mean, capture_percent, median, quantile and \
             p01 to p99",
        ),
        ("sum(distinct x)", "`sum` takes the name of one quantity", example),
        (
            "first(distinct(x))",
            "`first` of sensors' values: sensors have no order in time",
            "fold them with count, sum, mean, min, max or a quantile",
        ),
        ("sum(*)", "`sum` of `*`", "only count and capture_percent take `*`; name a quantity"),
        ("mean(a + b)", "`mean` takes the name of one quantity", example),
        ("mean(distinct a)", "`mean` takes the name of one quantity", example),
        ("pm25", "a window's field is an aggregate, and this is none", example),
        ("quantile(pm25)", "`quantile` takes a quantity and which quantile", quantile),
        ("quantile(pm25, a)", "which quantile is a number", quantile),
        ("quantile(pm25, 1)", between, share),
        ("quantile(pm25, 0.9999999)", between, share),
        (
            "capture_percent(x)",
            "the capture is that of the window, not of a quantity",
            "write capture_percent(*)",
        ),
        (
            "last(mean(x))",
            "`last` of sensors' values: sensors have no order in time",
            "fold them with count, sum, mean, min, max or a quantile",
        ),
        (
            "max(mean(min(x)))",
            "three aggregates stand in one another",
            "nest two at most: the inner one of each sensor, the outer one over sensors",
        ),
        (
            "max(count(*))",
            "`count` of each sensor is not of a quantity",
            "name one inside, as in count(mean(pm25))",
        ),
        ("max(meen(x))", "there is no aggregate `meen`", "did you mean `mean`?"),
    ] {
        let fault = AggregateCall::parse(text).unwrap_err();
        assert_eq!((fault.message.as_str(), fault.remedy.as_str()), (message, remedy), "{text}");
    }
    let fault = AggregateCall::parse("max(meen(x))").unwrap_err();
    assert_eq!(fault.within, Some((4, 8)));
}

#[test]
fn over_sensors_a_plain_call_folds_their_values() {
    let sensors = Some(FoldOf::Sensors);
    assert_eq!(call("max(x)").in_window(false, sensors).unwrap(), call("max(max(x))"));
    assert_eq!(call("max(x)").in_window(false, None).unwrap(), call("max(x)"));
    assert_eq!(call("max(mean(x))").in_window(false, Some(FoldOf::Readings)).unwrap(), call("max(mean(x))"));
    assert_eq!(call("count(*)").in_window(false, sensors).unwrap(), call("count(*)"));
    let fault = call("increase(x)").in_window(false, sensors).unwrap_err();
    assert_eq!(fault.remedy, "say how to fold them, as in sum(increase(x))");
    let fault = call("max(mean(x))").in_window(true, None).unwrap_err();
    assert_eq!(fault.remedy, "write mean(x), or take `sensor` out of `by`");
}

#[test]
fn units_follow_the_functions() {
    for (text, unit, want) in [
        ("mean(x)", "ug/m3", "ug/m3"),
        ("variance(x)", "ug/m3", "(ug/m3)2"),
        ("variance(x)", "Cel", "Cel2"),
        ("variance(x)", "m2", "(m2)2"),
        ("rate(x)", "L", "L/s"),
        ("rate(x)", "", "1/s"),
        ("distinct(x)", "Cel", "1"),
        ("count(mean(x))", "Cel", "1"),
        ("variance(rate(x))", "L", "(L/s)2"),
        ("capture_percent(*)", "1", "%"),
    ] {
        assert_eq!(call(text).unit(unit), want, "{text}");
    }
}

#[test]
fn means_of_levels_and_angles_want_their_units() {
    assert!(call("energy_mean(x)").fits("dB[A]", 1).is_ok());
    assert!(call("circular_mean(x)").fits("deg", 1).is_ok());
    assert!(call("max(energy_mean(x))").fits("Cel", 1).is_err());
    let fault = call("circular_mean(x)").fits("Cel", 1).unwrap_err();
    assert_eq!(fault.message, "`circular_mean` is of degrees, and the quantity's unit is `Cel`");
    assert!(call("rate(x)").fits("L", 0).is_ok());
    assert!(call("max(rate(x))").fits("L", 0).is_err());
}
