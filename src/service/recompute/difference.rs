//! How a window that is computed again differs from the one that was published: in what was counted, in
//! its values, and in how much of what was expected it is made of.

use std::sync::Arc;

use crate::model::{Aggregate, Key, Timestamp};

/// One window that would be another.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Pipeline and window.
    pub window: String,
    /// Key.
    pub key: Key,
    /// Start.
    pub start: Timestamp,
    /// Events counted as published, if it was published, and as computed again.
    pub count: (Option<u64>, u64),
    /// Its capture, if it differs from what was published.
    pub capture: Option<(Option<f64>, Option<f64>)>,
    /// Whether it is a basis for verdicts, if that differs.
    pub sufficient: Option<(bool, bool)>,
    /// Fields that differ: name, as published, as computed again.
    pub fields: Vec<(Arc<str>, Option<f64>, Option<f64>)>,
}

/// What was published of a window.
pub(super) struct Published {
    /// Events counted.
    pub(super) count: u64,
    /// Counted share of the expected events.
    pub(super) capture: Option<f64>,
    /// Whether it is a basis for verdicts.
    pub(super) sufficient: bool,
    /// Values by field.
    pub(super) fields: Vec<(Arc<str>, Option<f64>)>,
}

impl Difference {
    /// How a window would differ; `None` when it stays as it is.
    pub(super) fn of(window: String, row: Aggregate, published: Option<&Published>) -> Option<Self> {
        let names = row.plan.fields.iter().map(|field| &field.name);
        let before =
            |name: &Arc<str>| published.and_then(|held| held.fields.iter().find(|own| own.0 == *name)?.1);
        let fields: Vec<_> = names
            .zip(&row.fields)
            .map(|(name, now)| (name.clone(), before(name), *now))
            .filter(|(_, before, now)| before != now)
            .collect();
        let count = (published.map(|held| held.count), row.count);
        let capture = published.map(|held| (held.capture, row.capture)).filter(|two| two.0 != two.1);
        let sufficient = published.map(|held| (held.sufficient, row.sufficient)).filter(|two| two.0 != two.1);
        let same =
            fields.is_empty() && count.0 == Some(count.1) && (capture.is_none() && sufficient.is_none());
        let (key, start) = (row.key, row.start);
        (!same).then_some(Self { window, key, start, count, capture, sufficient, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Field;
    use crate::model::result::PlanDescription;

    fn row() -> Aggregate {
        let plan = PlanDescription {
            hash: 1,
            pipeline: "air".into(),
            window: "hour".into(),
            size_ns: 1,
            slide_ns: 1,
            unit: None,
            by: vec!["sensor".into()],
            fields: vec![Field { name: "mean".into(), unit: "".into() }],
        };
        Aggregate {
            cause: 0,
            plan: Arc::new(plan),
            key: Key(vec!["a".into()].into()),
            start: Timestamp(0),
            end: Timestamp(1),
            revision: 0,
            count: 12,
            capture: Some(0.2),
            sufficient: false,
            fields: vec![Some(1.5)],
        }
    }

    fn published() -> Published {
        let fields = vec![("mean".into(), Some(1.5))];
        Published { count: 12, capture: Some(0.2), sufficient: false, fields }
    }

    fn differs(published: Option<&Published>) -> Option<Difference> {
        Difference::of("air.hour".into(), row(), published)
    }

    #[test]
    fn a_window_differs_in_what_was_counted_and_in_its_values() {
        assert_eq!(differs(Some(&published())), None);
        let other = differs(Some(&Published { count: 11, ..published() })).unwrap();
        assert_eq!((other.count, other.fields), ((Some(11), 12), vec![]));
        let fields = vec![("mean".into(), None)];
        let other = differs(Some(&Published { fields, ..published() })).unwrap();
        assert_eq!(other.fields, [("mean".into(), None, Some(1.5))]);
        let new = differs(None).unwrap();
        assert_eq!((new.count, new.capture, new.sufficient), ((None, 12), None, None));
        assert_eq!(new.fields, [("mean".into(), None, Some(1.5))]);
    }

    #[test]
    fn a_window_differs_when_its_sensor_is_expected_to_report_at_another_interval() {
        let other = differs(Some(&Published { capture: Some(1.0), ..published() })).unwrap();
        assert_eq!((other.capture, other.sufficient), (Some((Some(1.0), Some(0.2))), None));
        assert_eq!(other.fields, [], "its values are the same");
        let unregistered = Published { capture: None, sufficient: true, ..published() };
        let other = differs(Some(&unregistered)).unwrap();
        assert_eq!((other.capture, other.sufficient), (Some((None, Some(0.2))), Some((true, false))));
    }
}
