//! Real data in two other orders, with repetitions: the last revision of every window is the same
//! but for its number, and is the published answer.

use std::fmt::Write as _;

use crate::harness::mqtt::publish;
use crate::harness::peers::corpus;
use crate::harness::table::{self, Row};
use crate::harness::{Random, Site, eventually, seconds};

/// Repetitions come within so many messages: a device's identity remembers 256 events.
const BLOCK: usize = 100;
const FIELDS: [&str; 8] = ["mean", "min", "max", "first", "last", "stddev", "sum", "p95"];

type Message = (String, Vec<u8>);

/// A corpus as a pipeline and its messages in the order of the file.
struct Corpus {
    pipeline: String,
    windows: Vec<String>,
    messages: Vec<Message>,
}

impl Corpus {
    /// Windows of an hour and a day by sensor, and of an hour over all sensors.
    fn new(quantities: &[&str], timezone: &str, messages: Vec<Message>) -> Self {
        let mut pipeline = format!(
            "version = 1\nname = \"corpus\"\ntitle = {{ es = \"Datos\", en = \"Data\" }}\n\
             timezone = \"{timezone}\"\nopen_max = \"36500d\"\nallowed_lateness = \"4d\"\namend_every = \"1s\"\n\
             [[feed]]\nname = \"corpus\"\ntopic = \"corpus/{{sensor}}\"\ndecoder = \"json\"\ndevices_max = 100\n\
             time = {{ path = \"/t\", format = \"%Y-%m-%d %H:%M:%S\" }}\ntimezone = \"{timezone}\"\n"
        );
        for quantity in quantities {
            writeln!(pipeline, "[feed.quantity.{quantity}]\npath = \"/{quantity}\"\ndecimals = 4").unwrap();
        }
        let fields = quantities.iter().flat_map(|quantity| {
            FIELDS.iter().map(move |name| format!("{quantity}_{name} = \"{name}({quantity})\""))
        });
        let fields = fields.collect::<Vec<_>>().join(", ");
        let windows = [
            ("hour", "1h", "by = [\"sensor\"]"),
            ("day", "1d", "by = [\"sensor\"]"),
            ("all", "1h", "by = []"),
        ];
        for (name, size, by) in windows {
            write!(
                pipeline,
                "[[window]]\nname = \"{name}\"\nsize = \"{size}\"\n{by}\nfields = {{ {fields} }}\n"
            )
            .unwrap();
        }
        let windows = windows.map(|(name, ..)| format!("corpus_{name}")).to_vec();
        Self { pipeline, windows, messages }
    }

    /// Every order gives what the order of the file gives; these are the last revisions of it.
    #[track_caller]
    fn in_any_order(&self, name: &str) -> Vec<Vec<Row>> {
        let mut random = Random::of_test(name);
        let wanted = self.last_revisions(self.messages.clone());
        for _ in 0..2 {
            let found = self.last_revisions(self.shuffled(&mut random));
            for ((window, wanted), found) in self.windows.iter().zip(&wanted).zip(&found) {
                let differs = wanted.iter().zip(found).find(|(wanted, found)| wanted != found);
                assert!(differs.is_none(), "{window} in another order: {differs:#?}");
                assert_eq!(wanted.len(), found.len(), "windows of {window}");
            }
        }
        wanted
    }

    /// In another order, every third message twice.
    fn shuffled(&self, random: &mut Random) -> Vec<Message> {
        let mut blocks: Vec<Vec<Message>> = self.messages.chunks(BLOCK).map(<[Message]>::to_vec).collect();
        for block in &mut blocks {
            let again: Vec<Message> = block.iter().filter(|_| random.one_in(3)).cloned().collect();
            block.extend(again);
            random.shuffle(block);
        }
        random.shuffle(&mut blocks);
        blocks.into_iter().flatten().collect()
    }

    fn last_revisions(&self, messages: Vec<Message>) -> Vec<Vec<Row>> {
        let site =
            Site::new("[limits]\nstate_bytes_max = \"64GiB\"\n").with_pipeline("corpus", &self.pipeline);
        let service = site.start();
        let (sent, events) = (messages.len() as u64, self.messages.len() as u64);
        publish(site.mqtt, "player", messages);
        service.wait_for_messages("corpus", sent);
        assert_eq!(service.account("corpus", "events", "stored"), events, "each event once");
        assert_eq!(service.account("corpus", "events", "duplicate"), sent - events);
        for window in &self.windows {
            let is_table = || service.sql("SHOW TABLES").iter().any(|row| row.to_string().contains(window));
            eventually(window, seconds(40), || is_table().then_some(()));
            let sql = format!("SELECT sum(count) AS n FROM {window}");
            let what = format!("{events} readings in {window}");
            eventually(&what, seconds(40), || (service.sql(&sql)[0]["n"] == events).then_some(()));
        }
        service.stop();
        let rows = |window: &String| {
            let mut rows = site.query(&format!("SELECT * FROM {window} ORDER BY time"));
            rows.iter_mut().for_each(|row| row.retain(|name, _| name != "revision" && name != "cause"));
            rows.sort();
            rows
        };
        self.windows.iter().map(rows).collect()
    }
}

fn number(row: &Row, name: &str) -> f64 {
    row[name].parse().unwrap_or_else(|_| panic!("{name} of {row:?}"))
}

/// sensor.community: semicolons, empty columns, no zone.
#[test]
fn days_of_a_citizens_sensor_are_the_same_in_any_order() {
    let day = |day: &str| corpus(&format!("11_data/sensor_community/2018-07-{day}_sds011_sensor_15092.csv"));
    let (Some(first), Some(second)) = (day("08"), day("09")) else { return };
    let mut messages = Vec::new();
    for file in [first, second] {
        let text = std::fs::read_to_string(file).unwrap().replace(',', ".").replace(';', ",");
        for row in table::rows(&text) {
            let (time, p1, p2) = (row["timestamp"].replace('T', " "), &row["P1"], &row["P2"]);
            let text = format!("{{\"t\":\"{time}\",\"p1\":{p1},\"p2\":{p2}}}");
            messages.push((format!("corpus/{}", row["sensor_id"]), text.into_bytes()));
        }
    }
    let rows = Corpus::new(&["p1", "p2"], "UTC", messages).in_any_order("sensor.community");
    let first = rows[1].iter().find(|row| row["time"].starts_with("2018-07-08")).expect("the first day");
    assert_eq!(number(first, "count"), 572.0);
    // As published: daily means to four decimals.
    assert!((number(first, "p1_mean") - 5.6712).abs() < 0.000_05, "{first:?}");
    assert!((number(first, "p2_mean") - 2.2596).abs() < 0.000_05, "{first:?}");
}

/// SIATA: the levels of 72 streams.
#[test]
fn levels_of_streams_are_the_same_in_any_order() {
    let Some(file) = corpus("11_data/siata_water_level_a.csv") else { return };
    let rows = table::read(&file);
    let message = |row: &Row| {
        let text = format!("{{\"t\":\"{}\",\"level\":{}}}", row["date"], row["water_level"]);
        (format!("corpus/{}", row["slug"]), text.into_bytes())
    };
    let rows: Vec<Row> = rows.into_iter().filter(|row| !row["water_level"].is_empty()).collect();
    let messages: Vec<Message> = rows.iter().map(message).collect();
    let found = Corpus::new(&["level"], "America/Bogota", messages).in_any_order("SIATA levels");
    // One station by hand: the mean and the extremes of its day.
    let of_station = |row: &&Row| row["slug"] == rows[0]["slug"];
    let levels: Vec<f64> =
        rows.iter().filter(of_station).map(|row| row["water_level"].parse().unwrap()).collect();
    let mean = levels.iter().sum::<f64>() / levels.len() as f64;
    let day = found[1].iter().find(|row| row["sensor"] == rows[0]["slug"]).expect("its day");
    assert_eq!(number(day, "count"), levels.len() as f64);
    assert!((number(day, "level_mean") - mean).abs() < 1e-9, "{day:?}");
    assert_eq!(number(day, "level_max"), levels.iter().copied().fold(f64::MIN, f64::max));
    assert_eq!(number(day, "level_min"), levels.iter().copied().fold(f64::MAX, f64::min));
}
