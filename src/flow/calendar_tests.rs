//! Windows of the calendar and empty windows of registered sensors, from journal to rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::ToSpan;
use jiff::civil::{Date, time};
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use super::cuts_testing::rows;
use crate::journal::Sequencer;
use crate::model::arrival::Quantity;
use crate::model::time::SECOND;
use crate::model::{
    Aggregate, AlertState, Batch, Control, Decoded, DecodedEvent, DecodedReading, ResultRow, Submission,
    Timestamp, Transition, Value,
};

const HOUR: i64 = 3_600;

/// A journal of one feed and one pipeline over it, second by second.
struct Journal {
    sequencer: Sequencer,
    batches: Vec<Batch>,
}

impl Journal {
    fn new(feed: Json, pipeline: Json, now: Timestamp) -> Self {
        let mut journal = Self { sequencer: Sequencer::default(), batches: Vec::new() };
        journal.configure(feed, pipeline, now);
        journal.sequencer.connected(&"ruido".into(), true, now);
        journal
    }

    fn configure(&mut self, feed: Json, pipeline: Json, now: Timestamp) {
        let feed = Box::new(serde_json::from_value(feed).unwrap());
        let pipeline = Box::new(serde_json::from_value(pipeline).unwrap());
        self.sequencer.configure(vec![Control::Feed { feed }, Control::Pipeline { pipeline }], now);
        self.take();
    }

    fn put(&mut self, sensor: &str, event_at: Timestamp, value: i64, now: Timestamp) {
        self.put_by("ruido", sensor, event_at, value, now);
    }

    fn put_by(&mut self, feed: &str, sensor: &str, event_at: Timestamp, value: i64, now: Timestamp) {
        let laeq = Quantity { name: "laeq".into(), unit: "dB[A]".into(), decimals: 0 };
        let event = DecodedEvent {
            sensor: sensor.into(),
            tags: Vec::new().into(),
            event_at: Some(event_at),
            counter: None,
            readings: vec![DecodedReading { quantity: Arc::new(laeq), value: Value(value) }].into(),
        };
        let message = Submission {
            feed: feed.into(),
            topic: "t".into(),
            payload: Bytes::new(),
            arrived_at: None,
            decoded: Decoded { events: vec![event].into(), rejected: Vec::new(), ignored: None },
            repeated: false,
            brought: None,
            ack: None,
        };
        self.sequencer.accept(vec![message], now);
        self.take();
    }

    fn pass(&mut self, now: Timestamp) {
        self.sequencer.pass(now);
        self.take();
    }

    fn take(&mut self) {
        self.batches.extend(self.sequencer.take().into_iter().map(|finished| finished.batch));
    }

    /// Its aggregates and transitions; the same with three workers as with one.
    fn rows(self) -> (Vec<Aggregate>, Vec<Transition>) {
        let all = rows(&self.batches, 1);
        assert_eq!(all, rows(&self.batches, 3));
        let (mut aggregates, mut transitions) = (Vec::new(), Vec::new());
        for row in all {
            match row {
                ResultRow::Aggregate(row) => aggregates.push(row),
                ResultRow::Transition(row) => transitions.push(*row),
                _ => {}
            }
        }
        (aggregates, transitions)
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn feed(expected_interval: &str, registered: &Json) -> Json {
    json!({
        "name": "ruido", "topic": "ruido/{sensor}", "decoder": "json", "expected_interval": expected_interval,
        "out_of_orderness": "1s", "quantity": {"laeq": {"unit": "dB[A]", "decimals": 0}},
        "registered": registered
    })
}

fn pipeline(windows: &Json, rules: &Json) -> Json {
    json!({
        "version": 1, "name": "ruido", "title": {"es": "Ruido", "en": "Noise"}, "reads": ["ruido"],
        "timezone": "Europe/Madrid", "window": windows, "rule": rules
    })
}

fn rule(name: &str, on: &str, when: &str) -> Json {
    json!({"name": name, "on": on, "when": when, "severity": "warning", "title": {"es": "t", "en": "t"},
           "message": {"es": "m", "en": "m"}})
}

/// Start and end of the day, ISO week, month and year of an instant, and of the day or the night
/// of the noise norm, by another calendar.
fn by_hand(instant: jiff::Timestamp, zone: &TimeZone) -> Vec<(&'static str, Timestamp, Timestamp)> {
    let stamp = |zoned: jiff::Zoned| Timestamp(zoned.timestamp().as_nanosecond() as i64);
    let midnight = |date: Date| stamp(date.to_zoned(zone.clone()).unwrap());
    let local = instant.to_zoned(zone.clone());
    let date = local.date();
    let monday = date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days()).unwrap();
    let (month, year) = (date.first_of_month(), date.first_of_year());
    let minute = |date: Date, hour: i8, minute: i8| {
        stamp(date.to_datetime(time(hour, minute, 0, 0)).to_zoned(zone.clone()).unwrap())
    };
    let own = Timestamp(instant.as_nanosecond() as i64);
    let (dawn, dusk) = (minute(date, 7, 1), minute(date, 21, 1));
    let (yesterday, tomorrow) = (date.yesterday().unwrap(), date.tomorrow().unwrap());
    let period = if own < dawn {
        ("noche", minute(yesterday, 21, 1), dawn)
    } else if own < dusk {
        ("dia", dawn, dusk)
    } else {
        ("noche", dusk, minute(tomorrow, 7, 1))
    };
    vec![
        ("day", midnight(date), midnight(tomorrow)),
        ("week", midnight(monday), midnight(monday.checked_add(7.days()).unwrap())),
        ("month", midnight(month), midnight(month.checked_add(1.month()).unwrap())),
        ("year", midnight(year), midnight(year.checked_add(1.year()).unwrap())),
        period,
    ]
}

#[test]
fn hours_of_a_year_fall_into_the_days_weeks_months_and_nights_of_another_calendar() {
    let windows = json!([
        {"name": "day", "size": "day", "fields": {"n": "count(*)"}},
        {"name": "week", "size": "week", "fields": {"n": "count(*)"}},
        {"name": "month", "size": "month", "fields": {"n": "count(*)"}},
        {"name": "year", "size": "year", "fields": {"n": "count(*)"}},
        {"name": "period", "size": "day", "fields": {"n": "count(*)"},
         "periods": {"dia": "07:01-21:00", "noche": "21:01-07:00"}}
    ]);
    let zone = TimeZone::get("Europe/Madrid").unwrap();
    let begin = at("2024-12-20T23:00:00Z");
    let mut journal = Journal::new(feed("1h", &json!([])), pipeline(&windows, &json!([])), begin);
    let mut expected: BTreeMap<(String, Timestamp, Timestamp), u64> = BTreeMap::new();
    let hours = 24 * 400;
    for hour in 0..hours {
        let now = Timestamp(begin.0 + hour * HOUR * SECOND);
        journal.put("son-1", now, 50, now);
        for (name, start, end) in by_hand(jiff::Timestamp::from_nanosecond(now.0.into()).unwrap(), &zone) {
            *expected.entry((name.into(), start, end)).or_default() += 1;
        }
    }
    let last = begin.0 + hours * HOUR * SECOND;
    journal.pass(Timestamp(last + 400 * 86_400 * SECOND));
    let (rows, _) = journal.rows();
    let mut seen = BTreeMap::new();
    for row in &rows {
        let name = row.key.0.get(1).map_or(&row.plan.window, |period| period);
        assert_eq!(row.plan.by.len(), row.key.0.len());
        let before = seen.insert((name.to_string(), row.start, row.end), row.count);
        assert_eq!(before, None, "{name} {} is published once", row.start);
        // Every hour of a whole window was there, of days of 23 and 25 hours too.
        if name.as_ref() == "day" && row.start >= begin && row.end.0 <= last {
            assert_eq!(row.capture, Some(1.0), "{}", row.start);
        }
    }
    assert_eq!(seen, expected);
    let day_lengths: Vec<i64> = rows
        .iter()
        .filter(|row| &*row.plan.window == "day")
        .map(|row| row.end.since(row.start).0 / (HOUR * SECOND))
        .collect();
    assert_eq!(day_lengths.iter().filter(|hours| **hours == 23).count(), 1);
    assert_eq!(day_lengths.iter().filter(|hours| **hours == 25).count(), 1);
}

#[test]
fn a_rule_tells_the_night_from_the_day_by_the_period() {
    let windows = json!([{"name": "period", "size": "day", "fields": {"level": "mean(laeq)"},
        "periods": {"dia": "07:01-21:00", "noche": "21:01-07:00"}}]);
    let limits = "(period = 'dia' AND level > 65) OR (period = 'noche' AND level > 55)";
    let begin = at("2025-06-10T00:00:00Z");
    let rules = json!([rule("limit", "period", limits)]);
    let mut journal = Journal::new(feed("1h", &json!([])), pipeline(&windows, &rules), begin);
    for hour in 0..72 {
        let now = Timestamp(begin.0 + hour * HOUR * SECOND);
        journal.put("son-1", now, 60, now);
    }
    let (_, transitions) = journal.rows();
    let raised: Vec<(&str, Timestamp)> = transitions
        .iter()
        .filter(|step| step.to == AlertState::Firing)
        .map(|step| (&*step.key.0[1], step.window.0))
        .collect();
    assert_eq!(raised, [("noche", at("2025-06-09T19:01:00Z"))]);
}

/// When a rule on a window with `size` is first raised if its condition holds for `hold` over all
/// of 2025-09 to 2026-04 in Madrid, one reading an hour: begin and raise.
fn raised_over_winter(window: Json, hold: &str) -> (Timestamp, Timestamp) {
    let mut steady = rule("steady", "w", "level > 40");
    steady["for"] = json!(hold);
    let mut window = window;
    window["name"] = json!("w");
    window["fields"] = json!({"level": "mean(laeq)"});
    let begin = at("2025-08-31T22:00:00Z");
    let mut journal =
        Journal::new(feed("1h", &json!([])), pipeline(&json!([window]), &json!([steady])), begin);
    for hour in 0..24 * 210 {
        let now = Timestamp(begin.0 + hour * HOUR * SECOND);
        journal.put("son-1", now, 50, now);
    }
    let (_, transitions) = journal.rows();
    let raised: Vec<&Transition> = transitions.iter().filter(|step| step.to == AlertState::Firing).collect();
    assert_eq!(raised.len(), 1, "{transitions:#?}");
    (raised[0].began_at, raised[0].raised_at.unwrap())
}

#[test]
fn a_long_day_or_month_is_no_gap_in_a_pending_for() {
    // 56 days, over the day of 25 hours.
    let days = raised_over_winter(json!({"size": "day"}), "1344h");
    assert_eq!(days, (at("2025-09-01T22:00:00Z"), at("2025-10-27T22:00:00Z")));
    let night = json!({"size": "day", "periods": {"noche": "21:01-07:00"}});
    assert_eq!(raised_over_winter(night, "1344h"), (at("2025-09-01T05:01:00Z"), at("2025-10-27T05:01:00Z")));
    let weeks = raised_over_winter(json!({"size": "week"}), "1344h");
    assert_eq!(weeks, (at("2025-09-07T22:00:00Z"), at("2025-11-02T22:00:00Z")));
    // Months of 31 days after the clock was put back.
    let months = raised_over_winter(json!({"size": "month"}), "2880h");
    assert_eq!(months, (at("2025-09-30T22:00:00Z"), at("2026-01-28T22:00:00Z")));
}

const BEGIN: i64 = 1_700_000_040;

fn s(seconds: i64) -> Timestamp {
    Timestamp((BEGIN + seconds) * SECOND)
}

/// What a sensor's windows said, as (start in minutes, count), in the order of publication.
fn said(rows: &[Aggregate], sensor: &str) -> Vec<(i64, u64)> {
    let own = rows.iter().filter(|row| &*row.key.0[0] == sensor);
    own.map(|row| (row.start.since(s(0)).0 / (60 * SECOND), row.count)).collect()
}

fn minutes(capture_min: f64) -> Json {
    json!([{"name": "minute", "size": "1m", "capture_min": capture_min,
            "fields": {"level": "mean(laeq)", "total": "sum(laeq)", "n": "count(*)", "of": "count(laeq)"}}])
}

/// Ten minutes in which `a` reports every 20 s, `b` in the first three minutes and from the
/// seventh on, then with a late reading of the fifth; `c` never. All but `d` are registered.
fn silent(capture_min: f64) -> (Vec<Aggregate>, Vec<Transition>) {
    let register = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]);
    let rules = json!([rule("silent", "minute", "n = 0")]);
    let mut journal = Journal::new(feed("20s", &register), pipeline(&minutes(capture_min), &rules), s(0));
    for second in 1..=600 {
        let now = s(second);
        journal.pass(now);
        if second % 20 == 5 {
            journal.put("a", now, 50, now);
            if !(180..=420).contains(&second) {
                journal.put("b", now, 60, now);
            }
        }
        if second == 100 {
            journal.put("d", now, 40, now);
        }
        if second == 470 {
            journal.put("b", s(310), 70, now);
        }
    }
    journal.rows()
}

#[test]
fn a_registered_sensor_that_falls_silent_has_empty_windows_and_late_data_amends_them() {
    let (rows, transitions) = silent(0.0);
    let all: Vec<(i64, u64)> = (1..9).map(|minute| (minute, 3)).collect();
    assert_eq!(said(&rows, "a")[1..9], all);
    assert_eq!(
        said(&rows, "b"),
        [(0, 3), (1, 3), (2, 3), (3, 0), (4, 0), (5, 0), (6, 0), (5, 1), (7, 3), (8, 3)]
    );
    // What began before the registration reached the journal is not missed.
    assert_eq!(said(&rows, "c"), (1..9).map(|minute| (minute, 0)).collect::<Vec<_>>());
    // A sensor that nobody registered is not missed.
    assert_eq!(said(&rows, "d"), [(1, 1)]);
    let empty = rows.iter().find(|row| row.count == 0).unwrap();
    assert_eq!(empty.capture, Some(0.0));
    // In the order of their names: the mean, n, the count of readings, the sum.
    let fields: Vec<&str> = empty.plan.fields.iter().map(|field| &*field.name).collect();
    assert_eq!(fields, ["level", "n", "of", "total"]);
    assert_eq!(empty.fields, [None, Some(0.0), Some(0.0), None]);
    let of_five: Vec<u64> = rows
        .iter()
        .filter(|row| &*row.key.0[0] == "b" && row.start == s(300))
        .map(|row| row.revision)
        .collect();
    assert_eq!(of_five.len(), 2);
    assert!(of_five[0] < of_five[1]);
    assert_eq!(rows.iter().find(|row| row.revision == of_five[0]).unwrap().cause, of_five[0]);
    let of_b: Vec<(AlertState, Timestamp)> = transitions
        .iter()
        .filter(|step| &*step.key.0[0] == "b" && step.to != AlertState::Pending)
        .map(|step| (step.to, step.at))
        .take(2)
        .collect();
    assert_eq!(of_b, [(AlertState::Firing, s(240)), (AlertState::Resolved, s(360))]);
}

#[test]
fn an_empty_window_is_no_verdict_where_capture_is_asked_for() {
    let (rows, transitions) = silent(0.5);
    assert!(said(&rows, "c").iter().all(|(_, count)| *count == 0));
    assert_eq!(transitions, []);
}

#[test]
fn service_and_register_bound_what_is_missed() {
    let from = s(120).to_string();
    let register = json!([{"name": "a", "from": from, "to": s(240).to_string()},
        {"name": "b", "expected_interval": "2m"}, {"name": "c", "expected_interval": "30s"}]);
    let rules = json!([]);
    let mut journal = Journal::new(feed("20s", &register), pipeline(&minutes(0.0), &rules), s(0));
    journal.pass(s(200));
    journal.put("c", s(201), 1, s(201));
    journal.pass(s(330));
    // `c` leaves the register at 330 s, and `d` comes into it.
    journal.configure(feed("20s", &json!([{"name": "d"}])), pipeline(&minutes(0.0), &rules), s(330));
    journal.pass(s(450));
    let (rows, _) = journal.rows();
    assert_eq!(said(&rows, "a"), [(2, 0), (3, 0)]);
    assert_eq!(said(&rows, "b"), []);
    assert_eq!(said(&rows, "c"), [(1, 0), (2, 0), (3, 1), (4, 0)]);
    assert_eq!(said(&rows, "d"), [(6, 0)]);
    // Its own interval: one of two readings.
    let own = rows.iter().find(|row| row.count == 1).unwrap();
    assert_eq!(own.capture, Some(0.5));
}

/// The captures of four minutes of `a`, which both feeds register; they speak in this order.
fn captures_of_two_feeds(order: [&str; 2]) -> Vec<Option<f64>> {
    let named = |name: &str, interval: &str, own: &str| {
        let mut feed = feed(interval, &json!([{"name": "a", "expected_interval": own}]));
        feed["name"] = json!(name);
        feed["topic"] = json!(format!("{name}/{{sensor}}"));
        feed
    };
    let mut both = pipeline(&minutes(0.0), &json!([]));
    both["reads"] = json!(["ruido", "calle"]);
    let mut journal = Journal::new(named("ruido", "20s", "30s"), pipeline(&minutes(0.0), &json!([])), s(0));
    journal.configure(named("calle", "10s", "15s"), both, s(0));
    journal.sequencer.connected(&"calle".into(), true, s(0));
    for second in 1..=420 {
        let now = s(second);
        journal.pass(now);
        let (first, later) = (second % 30 == 7, second % 30 == 22);
        for (at, feed) in [first, later].into_iter().zip(order) {
            if at && !(180..300).contains(&second) {
                journal.put_by(feed, "a", now, 50, now);
            }
        }
    }
    let (rows, _) = journal.rows();
    rows.iter().filter(|row| (s(60)..s(360)).contains(&row.start)).map(|row| row.capture).collect()
}

#[test]
fn a_name_of_two_feeds_is_expected_by_both_whichever_was_heard_first() {
    // Two a minute by one, four by the other; four of the six come, then none.
    let share = Some(4.0 / 6.0);
    let want = vec![share, share, Some(0.0), Some(0.0), share];
    assert_eq!(captures_of_two_feeds(["ruido", "calle"]), want);
    assert_eq!(captures_of_two_feeds(["calle", "ruido"]), want);
}

/// Sereno is down from the fifth minute to the fifteenth; `a` reports every 20 s all the time, `b`
/// never. Of what `a` said meanwhile everything comes afterwards, in order, or nothing does.
fn outage(backlog: bool) -> (Vec<Aggregate>, Vec<Transition>) {
    let rules = json!([rule("silent", "minute", "n = 0")]);
    let register = json!([{"name": "a"}, {"name": "b"}]);
    let mut journal = Journal::new(feed("20s", &register), pipeline(&minutes(0.0), &rules), s(0));
    let speaks = |second: &i64| second % 20 == 5;
    for second in 1..=300 {
        journal.pass(s(second));
        if speaks(&second) {
            journal.put("a", s(second), 50, s(second));
        }
    }
    journal.sequencer.connected(&"ruido".into(), false, s(300));
    journal.pass(s(900));
    journal.sequencer.connected(&"ruido".into(), true, s(900));
    if backlog {
        (301..=900).filter(speaks).for_each(|second| journal.put("a", s(second), 50, s(900)));
    }
    for second in 901..=1_300 {
        journal.pass(s(second));
        if speaks(&second) {
            journal.put("a", s(second), 50, s(second));
        }
    }
    journal.rows()
}

#[test]
fn an_outage_leaves_empty_windows_that_are_no_basis_for_a_verdict() {
    let (rows, transitions) = outage(false);
    let counts: Vec<(i64, u64)> =
        (0..21).map(|minute| (minute, if (5..15).contains(&minute) { 0 } else { 3 })).collect();
    assert_eq!(said(&rows, "a"), counts);
    for row in rows.iter().filter(|row| row.count == 0) {
        assert_eq!(row.capture, Some(0.0));
        let down = row.start >= s(300) && row.end <= s(900);
        assert_eq!(row.sufficient, !down, "{}", row.start);
    }
    // Nobody is told of `a`; `b` is missed since the first minute after its registration.
    let told: Vec<(&str, AlertState, Timestamp)> =
        transitions.iter().map(|step| (&*step.key.0[0], step.to, step.at)).collect();
    assert_eq!(told, [("b", AlertState::Firing, s(120))]);
}

#[test]
fn a_backlog_leaves_no_empty_window_of_an_outage() {
    let (rows, _) = outage(true);
    assert_eq!(said(&rows, "a"), (0..21).map(|minute| (minute, 3)).collect::<Vec<_>>());
    assert_eq!(said(&rows, "b"), (1..21).map(|minute| (minute, 0)).collect::<Vec<_>>());
}

#[test]
fn a_service_prolonged_after_its_end_is_missed_from_there_on() {
    let register = |to: i64| json!([{"name": "a", "to": s(to).to_string()}]);
    let none = json!([]);
    let mut journal = Journal::new(feed("20s", &register(120)), pipeline(&minutes(0.0), &none), s(0));
    journal.pass(s(330));
    journal.configure(feed("20s", &register(900)), pipeline(&minutes(0.0), &none), s(330));
    journal.pass(s(450));
    // What had closed by 330 s, close_after less, was not missed when it closed.
    assert_eq!(said(&journal.rows().0, "a"), [(1, 0), (5, 0), (6, 0)]);
}

#[test]
fn an_interval_of_the_register_counts_for_as_long_as_its_window_is_amended() {
    let register = |from: i64, to: i64| json!([{"name": "a", "from": s(from).to_string(), "to": s(to).to_string(), "expected_interval": "30s"}]);
    let sealed_late = || {
        let mut pipeline = pipeline(&minutes(0.0), &json!([]));
        pipeline["open_max"] = json!("100s");
        pipeline
    };
    let mut journal = Journal::new(feed("20s", &register(30, 90)), sealed_late(), s(0));
    journal.pass(s(70));
    journal.put("a", s(70), 1, s(70));
    journal.pass(s(195));
    // The service of that window is over, by ticks too; the window is not sealed before 220 s.
    journal.configure(feed("20s", &register(400, 500)), sealed_late(), s(195));
    journal.put("a", s(80), 2, s(196));
    journal.pass(s(210));
    let capture: Vec<_> = journal.rows().0.iter().map(|row| (row.count, row.capture)).collect();
    assert_eq!(capture, [(1, Some(0.5)), (2, Some(1.0))]);
}

#[test]
fn a_gap_of_years_is_not_made_up_for() {
    let register = json!([{"name": "a"}]);
    let mut journal = Journal::new(feed("20s", &register), pipeline(&minutes(0.0), &json!([])), s(0));
    journal.pass(s(60));
    let later = 3 * 365 * 86_400;
    journal.pass(s(later));
    let (rows, _) = journal.rows();
    assert_eq!(rows.len(), crate::window::vacant::VACANT_MAX);
    let last = rows.last().unwrap();
    assert!(last.end <= s(later) && s(later).since(last.end).0 < 120 * SECOND);
}
