//! Real stream levels of Medellin (SIATA, 2019-05-27), with the colour published per reading: the
//! state of an alert is the colour, on every reading.

use std::fmt::Write as _;

use crate::harness::mqtt::publish;
use crate::harness::peers::corpus;
use crate::harness::table::{self, Row};
use crate::harness::{Mosquitto, Site};

const FILE: &str = "11_data/siata_water_level_a.csv";
/// Colours from the lowest; their names in the data, and as rules.
const COLOURS: [(&str, &str); 4] =
    [("green", "green"), ("#FAF16A", "yellow"), ("orange", "orange"), ("red", "red")];

/// A station as published: its readings in order.
struct Station {
    slug: String,
    readings: Vec<Reading>,
}

struct Reading {
    /// Local time, without a zone.
    at: String,
    level: f64,
    /// Index in `COLOURS`.
    colour: usize,
}

impl Station {
    fn read(rows: &[Row], name: &str) -> Self {
        let rows: Vec<&Row> = rows.iter().filter(|row| row["nombre"].starts_with(name)).collect();
        let reading = |row: &&Row| Reading {
            at: row["date"].clone(),
            level: row["water_level"].parse().unwrap(),
            colour: COLOURS.iter().position(|(colour, _)| *colour == row["water_level_color"]).unwrap(),
        };
        Self { slug: rows[0]["slug"].clone(), readings: rows.iter().map(reading).collect() }
    }

    /// Colours above the lowest one seen, each with a threshold between its lowest level and the
    /// highest of those below.
    fn thresholds(&self) -> Vec<(&'static str, usize, f64)> {
        let levels = |is: &dyn Fn(usize) -> bool| -> Vec<f64> {
            self.readings.iter().filter(|reading| is(reading.colour)).map(|reading| reading.level).collect()
        };
        let bracket = |colour: usize| {
            let above = levels(&|other| other >= colour).into_iter().reduce(f64::min)?;
            let below = levels(&|other| other < colour).into_iter().reduce(f64::max)?;
            assert!(below < above, "the colour is monotone in the level");
            Some((COLOURS[colour].1, colour, f64::midpoint(above, below)))
        };
        (1..COLOURS.len()).filter_map(bracket).collect()
    }

    fn pipeline(&self, name: &str) -> String {
        let slug = &self.slug;
        let mut text = format!(
            "version = 1\nname = \"{name}\"\ntitle = {{ es = \"Nivel\", en = \"Level\" }}\nopen_max = \"36500d\"\n\
             [[feed]]\nname = \"{name}\"\ntopic = \"siata/level/{slug}\"\ndecoder = \"json\"\nsensor = \"/slug\"\n\
             time = {{ path = \"/date\", format = \"%Y-%m-%d %H:%M:%S\" }}\ntimezone = \"America/Bogota\"\n\
             [feed.quantity.water_level]\npath = \"/water_level\"\nunit = \"cm\"\ndecimals = 2\n"
        );
        for (colour, _, threshold) in self.thresholds() {
            write!(
                text,
                "[[rule]]\nname = \"{colour}\"\non = \"readings\"\nwhen = \"water_level >= {threshold:.4}\"\n\
                 severity = \"warning\"\ntitle = {{ es = \"Nivel\", en = \"Level\" }}\n\
                 message = {{ es = \"{{sensor}}\", en = \"{{sensor}}\" }}\n"
            )
            .unwrap();
        }
        text
    }

    fn messages(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.readings.iter().map(|Reading { at, level, .. }| {
            let text = format!("{{\"date\":\"{at}\",\"water_level\":{level},\"slug\":\"{}\"}}", self.slug);
            (format!("siata/level/{}", self.slug), text.into_bytes())
        })
    }
}

#[test]
fn the_alert_is_the_published_colour_on_every_reading() {
    let Some(file) = corpus(FILE) else { return };
    let Some(mut broker) = Mosquitto::start() else { return };
    let rows = table::read(&file);
    let stations = [("dona-maria", "Q. Dona Maria"), ("gabino", "Puente Gabino")];
    let stations = stations.map(|(name, published)| (name, Station::read(&rows, published)));
    let mut site = Site::new(&broker.settings());
    for (name, station) in &stations {
        assert!(!station.thresholds().is_empty(), "{name} changes colour");
        site = site.with_pipeline(name, &station.pipeline(name));
    }
    let service = site.start();
    broker.wait_for_subscription();
    let messages: Vec<_> = stations.iter().flat_map(|(_, station)| station.messages()).collect();
    publish(broker.port, "siata", messages);
    for (name, station) in &stations {
        service.wait_for_messages(name, station.readings.len() as u64);
        service.wait_for_values(
            &station.slug,
            "water_level",
            &station.readings.iter().map(|reading| reading.level).collect::<Vec<_>>(),
        );
    }
    service.stop();
    for (name, station) in &stations {
        for (rule, colour, threshold) in station.thresholds() {
            let steps = site.query(&format!(
                "SELECT time, to_state FROM transitions WHERE pipeline = '{name}' AND rule = '{rule}' ORDER BY time"
            ));
            for reading in &station.readings {
                // Bogota is five hours behind UTC; `T` and `Z` aside the texts compare as times.
                let at = utc(&reading.at);
                let state =
                    steps.iter().rfind(|step| step["time"] <= at).map_or("none", |step| &step["to_state"]);
                let (is, due) = (state == "firing", reading.colour >= colour);
                assert_eq!(
                    is, due,
                    "{name} {rule} (from {threshold}) at {at}, {} cm: {steps:?}",
                    reading.level
                );
            }
        }
    }
}

/// A local time of Bogota before 19:00 as UTC.
fn utc(local: &str) -> String {
    let (date, time) = local.split_once(' ').unwrap();
    let (hour, rest) = time.split_once(':').unwrap();
    format!("{date}T{:02}:{rest}Z", hour.parse::<u8>().unwrap() + 5)
}
