//! The windows of a case's pipelines.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Draw, QUANTITIES};

const FUNCTIONS: [&str; 9] = ["count", "sum", "mean", "min", "max", "first", "last", "stddev", "p95"];

impl Draw {
    pub(super) fn window(&mut self, n: usize) -> Json {
        let chance = &mut self.chance;
        let mut fields = BTreeMap::new();
        for _ in 0..chance.within(1, 4) {
            let (function, quantity) = (chance.one(&FUNCTIONS), chance.one(&QUANTITIES));
            fields.insert(format!("{function}_{quantity}"), format!("{function}({quantity})"));
        }
        fields.insert("mean_pm".to_owned(), "mean(pm)".to_owned());
        if chance.percent(30) {
            fields.insert("n".to_owned(), "count(*)".to_owned());
        }
        let (size, slide) = chance.one(&[
            ("10s", None),
            ("30s", None),
            ("1m", None),
            ("20s", Some("10s")),
            ("1m", Some("20s")),
            ("1m", Some("10s")),
            ("70s", None),
            ("5m", Some("1m")),
            ("7m", None),
            ("1h", None),
            ("hour", None),
            ("day", Some("hour")),
        ]);
        let by = chance.one(&[vec!["sensor"], vec!["sensor"], vec!["zone"], vec![], vec!["zone", "sensor"]]);
        let mut window = json!({"name": format!("w{n}"), "size": size, "by": by, "fields": fields});
        if let Some(slide) = slide {
            window["slide"] = json!(slide);
        }
        if chance.percent(30) {
            window["capture_min"] = json!(chance.one(&[0.1, 0.5, 0.75]));
        }
        window
    }
}
