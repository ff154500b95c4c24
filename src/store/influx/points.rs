//! Events and results as points; the schema stands in [`super`].

use super::known::Known;
use super::line::{FieldValue, tag_fits};
use super::lines::LineBatch;
use crate::model::result::PlanDescription;
use crate::model::{
    Aggregate, Batch, Dictionary, Event, Key, Record, ResultRow, Retraction, Timestamp, Transition,
};
use crate::store::name;

/// The measurement of alert transitions.
pub const ALERTS: &str = "alerts";
/// Fields of every window beside its own.
const WINDOW_FIELDS: [&str; 4] = ["count", "capture", "revision", "end"];
/// Fields of a transition.
const ALERT_FIELDS: [&str; 4] = ["id", "state", "from", "message_es"];

/// Makes points of events and results.
///
/// What the protocol cannot say is left out and counted in the [`LineBatch`]: a tag of an event,
/// a field. A point whose sensor or key cannot be said is refused whole: it would overwrite
/// another's.
#[derive(Debug)]
pub struct Points {
    known: Known,
}

impl Points {
    /// Makes points, knowing what was written.
    #[must_use]
    pub fn new(known: Known) -> Self {
        Self { known }
    }

    /// What was written.
    #[must_use]
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Adds the events of a journal batch.
    pub fn add_batch(&self, batch: &Batch, dictionary: &Dictionary, lines: &mut LineBatch) {
        for (_, record) in batch.iter() {
            if let Record::Event(event) = record {
                add_event(event, batch, dictionary, lines);
            }
        }
    }

    /// Adds rows of the results log. A batch that could not be written is written again as it is,
    /// not made anew: a deletion is asked for once.
    pub fn add_results(&mut self, rows: &[ResultRow], lines: &mut LineBatch) {
        for row in rows {
            match row {
                ResultRow::Plan(..) => {}
                ResultRow::Aggregate(row) => self.add_aggregate(row, lines),
                ResultRow::Retraction(row) => add_retraction(row, lines),
                ResultRow::Transition(row) => add_transition(row, lines),
            }
        }
    }

    fn add_aggregate(&mut self, row: &Aggregate, lines: &mut LineBatch) {
        let measurement = name::of_window(&row.plan.pipeline, &row.plan.window);
        let size = row.plan.size();
        let Some(tags) = window_tags(&row.plan, &row.key, &size) else {
            lines.refused_points += 1;
            return;
        };
        if self.known.takes_away(&measurement, row) {
            lines.delete(&measurement, &tag_pairs(&tags), row.start);
        }
        let integer = |number: u64| FieldValue::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let mut fields = vec![("count", integer(row.count)), ("revision", integer(row.revision))];
        fields.push(("end", FieldValue::Integer(row.end.0)));
        fields.extend(row.capture.map(|capture| ("capture", FieldValue::Float(capture))));
        for (field, value) in row.plan.fields.iter().zip(&row.fields) {
            if WINDOW_FIELDS.contains(&&*field.name) {
                // `count` and its siblings are written already, from the same readings.
                continue;
            }
            fields.extend(value.map(|value| (&*field.name, FieldValue::Float(value))));
        }
        push(&measurement, &tags, &fields, row.start, lines);
    }
}

/// A tag whose key was changed to keep clear of a field.
type Tag<'a> = (std::borrow::Cow<'a, str>, &'a str);

fn tag<'a>(key: &'a str, value: &'a str, is_field: impl Fn(&str) -> bool) -> Tag<'a> {
    if is_field(key) { (format!("tag_{key}").into(), value) } else { (key.into(), value) }
}

fn tag_pairs<'a>(tags: &'a [Tag<'a>]) -> Vec<(&'a str, &'a str)> {
    tags.iter().map(|(key, value)| (&**key, *value)).collect()
}

fn push(
    measurement: &str,
    tags: &[Tag<'_>],
    fields: &[(&str, FieldValue<'_>)],
    at: Timestamp,
    lines: &mut LineBatch,
) {
    let writable = |&(key, value): &(&str, FieldValue<'_>)| {
        key != "time" && !matches!(value, FieldValue::Float(float) if !float.is_finite())
    };
    let kept: Vec<_> = fields.iter().copied().filter(writable).collect();
    lines.refused_parts += (fields.len() - kept.len()) as u64;
    let pushed = lines.push(measurement, &tag_pairs(tags), &kept, at);
    lines.refused_points += u64::from(pushed.is_err());
}

fn add_event(event: &Event, batch: &Batch, dictionary: &Dictionary, lines: &mut LineBatch) {
    let feed = dictionary.feed(event.feed);
    let sensor = dictionary.device(event.device).map(|(_, name)| name);
    let (Some(feed), Some(sensor)) = (feed, sensor) else {
        lines.refused_points += 1;
        return;
    };
    if !tag_fits("sensor", sensor) {
        lines.refused_points += 1;
        return;
    }
    let fields: Vec<_> = batch
        .readings_of(event)
        .iter()
        .filter_map(|reading| {
            let quantity = dictionary.quantity(reading.quantity)?;
            Some((&*quantity.name, FieldValue::Float(reading.value.to_f64(quantity.decimals))))
        })
        .collect();
    let is_field = |key: &str| key == "sensor" || fields.iter().any(|(name, _)| *name == key);
    let mut tags: Vec<Tag<'_>> = Vec::new();
    for (key, value) in dictionary.tags(event.tags).map_or(&[][..], |tags| tags) {
        let tag = tag(key, value, is_field);
        if tag_fits(&tag.0, tag.1) {
            tags.push(tag);
        } else {
            lines.refused_parts += 1;
        }
    }
    tags.push(tag("sensor", sensor, |key| fields.iter().any(|(name, _)| *name == key)));
    tags.sort();
    push(&name::plain(feed), &tags, &fields, event.event_at, lines);
}

fn window_tags<'a>(plan: &'a PlanDescription, key: &'a Key, size: &'a str) -> Option<Vec<Tag<'a>>> {
    let is_field = |key: &str| {
        key == "size" || WINDOW_FIELDS.contains(&key) || plan.fields.iter().any(|field| &*field.name == key)
    };
    let mut tags: Vec<Tag<'_>> =
        plan.by.iter().zip(key.0.iter()).map(|(name, value)| tag(name, value, is_field)).collect();
    if tags.iter().any(|(key, value)| !tag_fits(key, value)) {
        return None;
    }
    tags.push(("size".into(), size));
    tags.sort();
    Some(tags)
}

fn add_retraction(row: &Retraction, lines: &mut LineBatch) {
    let measurement = name::of_window(&row.plan.pipeline, &row.plan.window);
    let size = row.plan.size();
    match window_tags(&row.plan, &row.key, &size) {
        Some(tags) => lines.delete(&measurement, &tag_pairs(&tags), row.start),
        None => lines.refused_points += 1,
    }
}

fn add_transition(row: &Transition, lines: &mut LineBatch) {
    let id = row.id.to_string();
    let is_own = |key: &str| ALERT_FIELDS.contains(&key) || matches!(key, "pipeline" | "rule" | "severity");
    let mut tags: Vec<Tag<'_>> =
        row.by.iter().zip(row.key.0.iter()).map(|(name, value)| tag(name, value, is_own)).collect();
    tags.push(("pipeline".into(), &row.pipeline));
    tags.push(("rule".into(), &row.rule));
    tags.push(("severity".into(), row.severity.as_str()));
    if tags.iter().any(|(key, value)| !tag_fits(key, value)) {
        lines.refused_points += 1;
        return;
    }
    tags.sort();
    let fields = [
        ("id", FieldValue::Text(&id)),
        ("state", FieldValue::Text(row.to.as_str())),
        ("from", FieldValue::Text(row.from.as_str())),
        ("message_es", FieldValue::Text(&row.message.es)),
    ];
    push(ALERTS, &tags, &fields, row.at, lines);
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::sync::Arc;

    use super::*;
    use crate::model::definition::{LocalText, Severity};
    use crate::model::dictionary::{DeviceId, FeedId, QuantityId, TagSetId};
    use crate::model::time::SECOND;
    use crate::model::{AlertId, AlertState, Entry, Field, Quantity, Reading, Value};

    /// A one-hour window of one sensor, with one field for each value.
    pub(in crate::store::influx) fn aggregate(sensor: &str, start: i64, values: &[Option<f64>]) -> Aggregate {
        let field = |n| Field { name: format!("f{n}").into(), unit: "ug/m3".into() };
        let plan = PlanDescription {
            hash: 7,
            pipeline: "air-quality".into(),
            window: "pm25_1h".into(),
            size_ns: 3_600 * SECOND,
            slide_ns: 3_600 * SECOND,
            unit: None,
            by: vec!["sensor".into()],
            fields: (0..values.len()).map(field).collect(),
        };
        Aggregate {
            cause: 10,
            plan: Arc::new(plan),
            key: Key(Arc::from(vec![Arc::from(sensor)])),
            start: Timestamp(start),
            end: Timestamp(start + 3_600 * SECOND),
            revision: 9,
            count: 3,
            capture: Some(0.5),
            sufficient: true,
            fields: values.to_vec(),
        }
    }

    pub(in crate::store::influx) fn points() -> Points {
        Points::new(Known::new(HashMap::new(), 100))
    }

    /// A batch with one event for each `(second, value)` of one sensor, and its dictionary.
    pub(in crate::store::influx) fn batch(
        sensor: &str,
        zone: &str,
        rows: &[(i64, i64)],
    ) -> (Batch, Dictionary) {
        let mut dictionary = Dictionary::default();
        dictionary.insert(&Entry::Feed("air-feed".into()));
        dictionary.insert(&Entry::Device(FeedId(0), sensor.into()));
        dictionary.insert(&Entry::Tags(Arc::from(vec![("zone".into(), zone.into())])));
        let quantity = Quantity { name: "pm25".into(), unit: "ug/m3".into(), decimals: 1 };
        dictionary.insert(&Entry::Quantity(Arc::new(quantity)));
        let mut batch = Batch::default();
        for (n, (second, value)) in rows.iter().enumerate() {
            batch.readings.push(Reading { quantity: QuantityId(0), value: Value(*value) });
            batch.records.push(Record::Event(Event {
                feed: FeedId(0),
                device: DeviceId(0),
                tags: TagSetId(0),
                event_at: Timestamp(second * SECOND),
                arrived_at: Timestamp(second * SECOND),
                counter: None,
                readings: n as u32..n as u32 + 1,
            }));
        }
        (batch, dictionary)
    }

    #[test]
    fn an_event_is_one_point_with_its_tags() {
        let (batch, dictionary) = batch("aire-1", "comuna 07", &[(5, 234)]);
        let mut lines = LineBatch::default();
        points().add_batch(&batch, &dictionary, &mut lines);
        assert_eq!(lines.text(0..1), "air_feed,sensor=aire-1,zone=comuna\\ 07 pm25=23.4 5000000000\n");
    }

    #[test]
    fn a_tag_that_cannot_be_said_is_left_out_and_a_sensor_refuses_its_point() {
        let (tag_bad, dictionary) = batch("aire-1", "x\ny value=1", &[(5, 234)]);
        let mut lines = LineBatch::default();
        points().add_batch(&tag_bad, &dictionary, &mut lines);
        assert_eq!(lines.text(0..1), "air_feed,sensor=aire-1 pm25=23.4 5000000000\n");
        assert_eq!((lines.refused_parts, lines.refused_points), (1, 0));

        let (sensor_bad, dictionary) = batch("a\nb", "z", &[(5, 234)]);
        points().add_batch(&sensor_bad, &dictionary, &mut lines);
        assert_eq!((lines.len(), lines.refused_points), (1, 1));
    }

    #[test]
    fn a_revision_overwrites_and_one_that_lost_a_value_deletes_first() {
        let mut points = points();
        let mut lines = LineBatch::default();
        let first = aggregate("aire-1", 0, &[Some(23.1), None]);
        let emptied = Aggregate { fields: vec![None, None], count: 0, ..first.clone() };
        points.add_results(&[ResultRow::Aggregate(first), ResultRow::Aggregate(emptied)], &mut lines);
        assert_eq!(
            lines.text(0..1),
            "air_quality_pm25_1h,sensor=aire-1,size=1h count=3i,revision=9i,end=3600000000000i,capture=0.5,f0=23.1 0\n"
        );
        let steps = lines.steps(10, 10_000);
        let super::super::lines::Step::Delete(delete) = &steps[1] else { panic!("{steps:?}") };
        assert_eq!(
            delete.predicate,
            r#"_measurement="air_quality_pm25_1h" AND "sensor"="aire-1" AND "size"="1h""#
        );
        assert_eq!(lines.text(1..2).matches('=').count(), 6, "{}", lines.text(1..2));
    }

    #[test]
    fn a_retraction_deletes_its_point() {
        let row = aggregate("aire-1", 0, &[None]);
        let retraction =
            Retraction { cause: 1, plan: row.plan, key: row.key, start: Timestamp(60), revision: 2 };
        let mut lines = LineBatch::default();
        points().add_results(&[ResultRow::Retraction(retraction)], &mut lines);
        assert_eq!((lines.len(), lines.is_empty()), (0, false));
    }

    #[test]
    fn a_transition_is_a_point_of_alerts() {
        let text = LocalText { es: "nivel \"alto\"".into(), en: "high".into() };
        let row = Transition {
            cause: 1,
            id: AlertId(255),
            pipeline: "rio".into(),
            rule: "alto".into(),
            severity: Severity::Warning,
            by: vec!["sensor".into()],
            key: Key(Arc::from(vec![Arc::from("rio-01")])),
            from: AlertState::Pending,
            to: AlertState::Firing,
            began_at: Timestamp(1),
            raised_at: None,
            resolved_at: None,
            at: Timestamp(2),
            decided_at: Timestamp(3),
            notify: true,
            reason: "condition met".into(),
            title: text.clone(),
            message: text,
            labels: BTreeMap::new(),
            evidence: vec![],
            window: (Timestamp(0), Timestamp(1)),
        };
        let mut lines = LineBatch::default();
        points().add_results(&[ResultRow::Transition(Box::new(row))], &mut lines);
        assert_eq!(
            lines.text(0..1),
            "alerts,pipeline=rio,rule=alto,sensor=rio-01,severity=warning \
             id=\"000000000000000000000000000000ff\",state=\"firing\",from=\"pending\",\
             message_es=\"nivel \\\"alto\\\"\" 2\n"
        );
    }
}
