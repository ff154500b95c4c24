//! Engine and reference over the same file say the same of every window.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use sereno::model::ResultRow;

use super::engine::{self, Part};
use super::reference::{self, Row};

/// Both quantiles are within 0.5 % of the same value.
const QUANTILES_APART: f64 = 0.0101;

/// Of each window (name, key, start in ms) the last revision's fields.
type Last = BTreeMap<(&'static str, String, i64), Vec<f64>>;

/// Runs the engine to the end of all windows and writes each one's last revision as CSV: name, key, start
/// in milliseconds, fields in the order of their names. `compare/compare.py` looks at them.
pub fn write_last(file: &Path, out: &Path) {
    let mut text = String::new();
    for ((name, key, start_ms), fields) in of_engine(file) {
        let fields: Vec<String> = fields.iter().map(f64::to_string).collect();
        let _ = writeln!(text, "{name},{key},{start_ms},{}", fields.join(","));
    }
    std::fs::write(out, text).expect("the folder can be written");
}

/// Runs both to the end of all windows.
pub fn compare(file: &Path) {
    let (engine, reference) = (of_engine(file), of_reference(file));
    assert_eq!(engine.len(), reference.len(), "as many windows");
    let mut quantiles_apart = 0.0_f64;
    for ((place, mut own), (other_place, mut other)) in engine.into_iter().zip(reference) {
        assert_eq!(place, other_place);
        if place.0 == "b" {
            let (own, other) = (own.pop().expect("a p95"), other.pop().expect("a p95"));
            quantiles_apart = quantiles_apart.max((own / other - 1.0).abs());
        }
        assert_eq!(own, other, "{place:?}");
    }
    assert!(quantiles_apart <= QUANTILES_APART, "quantiles are {quantiles_apart} apart");
    println!("every window's last revision is the same; p95 at most {quantiles_apart:.5} apart");
}

fn of_engine(file: &Path) -> Last {
    let mut last = Last::new();
    let mut transitions = 0;
    engine::run(file, Part::ToTheEnd, &mut |rows| {
        for row in rows {
            match row {
                ResultRow::Aggregate(row) => {
                    let name = if &*row.plan.window == "a" { "a" } else { "b" };
                    let key: Vec<&str> = row.key.0.iter().map(|part| &**part).collect();
                    let fields = row.fields.iter().map(|field| field.unwrap_or(f64::NAN)).collect();
                    last.insert((name, key.join("/"), row.start.millis()), fields);
                }
                ResultRow::Transition(_) => transitions += 1,
                ResultRow::Plan(..) => {}
                ResultRow::Retraction(row) => panic!("nothing is taken back: {row:?}"),
            }
        }
    });
    assert_eq!(transitions, 0, "no mean of this load is above 55");
    println!("engine: {} windows", last.len());
    last
}

fn of_reference(file: &Path) -> Last {
    let mut rows = Vec::new();
    let [sensors, zones] = reference::run_to_the_end(file, &mut |row| rows.push(row));
    let mut last = Last::new();
    for row in rows {
        let (place, fields) = match row {
            // Fields of a plan are in the order of their names.
            Row::Sensor { sensor, start_ms, fields: [n, mean, min, max] } => {
                (("a", sensors[sensor as usize].to_string(), start_ms), vec![n, max, mean, min])
            }
            Row::Zone { zone, start_ms, fields: [mean, max, p95] } => {
                (("b", zones[zone as usize].to_string(), start_ms), vec![max, mean, p95])
            }
            Row::Alert { .. } => panic!("no mean of this load is above 55"),
        };
        last.insert(place, fields);
    }
    println!("reference: {} windows", last.len());
    last
}
