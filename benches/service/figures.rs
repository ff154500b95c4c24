//! What was measured: samples of repeated runs, their table and their JSON line.

use serde_json::{Value, json};

use super::machine;

/// The values of one figure, one a run.
#[derive(Clone, Debug)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Of at least one run.
    pub fn new(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "a figure has at least one run");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The middle one; between the middle two of an even number.
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if !self.0.len().is_multiple_of(2) {
            self.0[middle]
        } else {
            f64::midpoint(self.0[middle - 1], self.0[middle])
        }
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// The smallest value that at least the share `q` of all does not exceed (nearest rank).
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = (q * self.0.len() as f64).ceil().max(1.0) as usize;
        self.0[rank.min(self.0.len()) - 1]
    }
}

/// What a figure's median must be.
#[derive(Clone, Copy, Debug)]
pub enum Must {
    /// At least so much.
    AtLeast(f64),
    /// Less than so much.
    Below(f64),
}

impl Must {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::Below(bound) => value < bound,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {}", plain(least)),
            Self::Below(bound) => format!("< {}", plain(bound)),
        }
    }
}

struct Figure {
    name: &'static str,
    unit: &'static str,
    samples: Samples,
    must: Option<Must>,
}

/// All figures, in the order they were taken.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
    /// Load averages at the beginning of each part.
    loads: Vec<(&'static str, String)>,
}

impl Report {
    /// A part begins; says so, with the load of the machine.
    pub fn begin(&mut self, part: &'static str) {
        let load = machine::load();
        println!("{part}: load average {load}");
        self.loads.push((part, load));
    }

    /// Takes a figure.
    pub fn add(&mut self, name: &'static str, unit: &'static str, values: Vec<f64>, must: Option<Must>) {
        self.figures.push(Figure { name, unit, samples: Samples::new(values), must });
    }

    /// The table and the JSON line.
    pub fn print(&self) {
        println!();
        println!(
            "{:<44} {:>12} {:>27} {:>5}  {:<8} must",
            "figure", "median", "smallest .. largest", "runs", "unit"
        );
        for figure in &self.figures {
            let samples = &figure.samples;
            let range = format!("{} .. {}", plain(samples.min()), plain(samples.max()));
            let must = figure.must.map_or(String::new(), |must| {
                let verdict = if must.met(samples.median()) { "met" } else { "NOT MET" };
                format!("{}: {verdict}", must.words())
            });
            println!(
                "{:<44} {:>12} {range:>27} {:>5}  {:<8} {must}",
                figure.name,
                plain(samples.median()),
                samples.0.len(),
                figure.unit
            );
        }
        println!();
        println!("{}", self.json());
    }

    fn json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "name": figure.name,
                    "unit": figure.unit,
                    "median": figure.samples.median(),
                    "values": figure.samples.0,
                    "must": figure.must.map(Must::words),
                    "met": figure.must.map(|must| must.met(figure.samples.median())),
                })
            })
            .collect();
        let loads: serde_json::Map<String, Value> =
            self.loads.iter().map(|(part, load)| ((*part).to_owned(), load.as_str().into())).collect();
        json!({ "machine": machine::words(), "load": loads, "figures": figures })
    }
}

/// A number with as many digits as it deserves, thousands apart.
fn plain(value: f64) -> String {
    if value.abs() < 1_000.0 {
        let decimals = if value.abs() < 10.0 { 2 } else { 1 };
        let text = format!("{value:.decimals$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut apart = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}
