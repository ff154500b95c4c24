//! Files become the payloads they should, in the order they should.

use super::*;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file in the system's temporary directory, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(extension: &str, text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("sereno-play-{}-{number}.{extension}", std::process::id()));
        fs::write(&path, text).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn options(files: &[&Scratch], topic: &str) -> PlayOptions {
    let files = files.iter().map(|file| file.0.clone()).collect();
    PlayOptions { topic: Some(topic.to_owned()), ..PlayOptions::new(files) }
}

fn play(options: PlayOptions) -> Vec<Message> {
    Player::open(options).unwrap().map(Result::unwrap).collect()
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.payload).unwrap()).collect()
}

const SDS: &str = "\u{feff}sensor_id;sensor_type;lat;timestamp;P1;durP1\n\
    15092;SDS011;56.963;2018-07-08T00:01:26;11.40;\n\
    15093;SDS/011;056.9;2018-07-08T00:03:55;-1e-2;NA\n";

#[test]
fn rows_become_objects_with_exact_numbers_and_without_empty_cells() {
    let file = Scratch::new("csv", SDS);
    let time_column = Some("timestamp".into());
    let messages = play(PlayOptions {
        delimiter: b';',
        time_column,
        ..options(&[&file], "air/{sensor_type}/{sensor_id}")
    });
    let expected = [
        r#"{"sensor_id":15092,"sensor_type":"SDS011","lat":56.963,"timestamp":"2018-07-08T00:01:26","P1":11.40}"#,
        r#"{"sensor_id":15093,"sensor_type":"SDS/011","lat":"056.9","timestamp":"2018-07-08T00:03:55","P1":-1e-2,"durP1":"NA"}"#,
    ];
    assert_eq!(texts(&messages), expected);
    let topics: Vec<&str> = messages.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(topics, ["air/SDS011/15092", "air/SDS_011/15093"]);
    assert_eq!(messages[1].sent_at_ms - messages[0].sent_at_ms, 149_000);
}

#[test]
fn json_lines_are_published_as_they_are_even_when_broken() {
    let file = Scratch::new("ndjson", "{\"a\": 1.50}\n\n{broken\n");
    assert_eq!(texts(&play(options(&[&file], "x"))), ["{\"a\": 1.50}", "{broken"]);
    let document = Scratch::new("json", "{\n  \"a\": 1\n}\n");
    assert_eq!(texts(&play(options(&[&document], "x"))), ["{\n  \"a\": 1\n}"]);
}

#[test]
fn several_files_are_interleaved_by_time_and_keep_their_own_order() {
    let first = Scratch::new("csv", "t,v\n10,a\n30,b\n20,c\n");
    let second = Scratch::new("csv", "t,v\n5,d\n25,e\n40,f\n");
    let options = PlayOptions {
        time_column: Some("t".into()),
        time_format: Some("unix_s".into()),
        ..options(&[&first, &second], "{v}")
    };
    let topics: Vec<String> = play(options).into_iter().map(|message| message.topic).collect();
    assert_eq!(topics, ["d", "a", "e", "b", "c", "f"]);
}

#[test]
fn every_nth_is_repeated_a_share_is_dropped_and_the_seed_decides() {
    let rows: String = (0..1_000).map(|row| format!("{row},x\n")).collect();
    let file = Scratch::new("csv", &format!("n,v\n{rows}"));
    let base = options(&[&file], "t");
    assert_eq!(play(PlayOptions { duplicate_every: 10, ..base.clone() }).len(), 1_100);
    let dropping = PlayOptions { drop: 0.2, ..base };
    let kept = play(dropping.clone());
    assert!((740..860).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept, play(dropping.clone()));
    assert_ne!(kept, play(PlayOptions { seed: 2, ..dropping }));
}

#[test]
fn shuffling_needs_times_and_keeps_all() {
    let rows: String = (0..500).map(|row| format!("{row},x\n")).collect();
    let file = Scratch::new("csv", &format!("t,v\n{rows}"));
    let without = PlayOptions { shuffle_within_ms: 30_000, ..options(&[&file], "t") };
    assert!(Player::open(without.clone()).is_err_and(|error| error.to_string().contains("--time-column")));
    let shuffled =
        play(PlayOptions { time_column: Some("t".into()), time_format: Some("unix_s".into()), ..without });
    let mut numbers: Vec<&str> = texts(&shuffled);
    assert!(!numbers.is_sorted());
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 500);
}

#[test]
fn arrivals_are_played_back_byte_for_byte() {
    let original = [
        Message {
            sent_at_ms: 1_772_384_400_000,
            gateway: 0,
            topic: "a/b".into(),
            payload: b"{\"x\":1}".to_vec(),
        },
        Message { sent_at_ms: 1_772_384_400_500, gateway: 0, topic: "a/c".into(), payload: vec![0xff, 0x00] },
    ];
    let lines: Vec<String> = original.iter().map(Message::arrival_line).collect();
    let file = Scratch::new("ndjson", &lines.join("\n"));
    assert_eq!(play(PlayOptions::new(vec![file.0.clone()])), original);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let file = Scratch::new("csv", "a,b\n1,2\n3\n");
    let missing = Player::open(options(&[&file], "{c}")).err().unwrap().to_string();
    assert!(missing.contains("no column `c`") && missing.contains("a, b"), "{missing}");
    let results: Vec<_> = Player::open(options(&[&file], "t")).unwrap().collect();
    assert!(results.last().unwrap().as_ref().is_err_and(|error| error.to_string().contains("line 3")));
    let twice = Scratch::new("csv", "a,a\n1,2\n");
    assert!(Player::open(options(&[&twice], "t")).is_err_and(|error| error.to_string().contains("twice")));
    assert!(Player::open(options(&[&file], "t/#")).is_err());
    assert!(Player::open(PlayOptions::new(Vec::new())).is_err());
}

#[test]
fn devices_keep_to_their_connections() {
    let rows: String = (0..200).map(|row| format!("d{},{row}\n", row % 20)).collect();
    let file = Scratch::new("csv", &format!("id,v\n{rows}"));
    let spread = PlayOptions { id_column: Some("id".into()), connections: 4, ..options(&[&file], "d/{id}") };
    let mut of: std::collections::BTreeMap<String, u16> = std::collections::BTreeMap::new();
    for message in play(spread) {
        assert_eq!(*of.entry(message.topic).or_insert(message.gateway), message.gateway);
    }
    let used: std::collections::BTreeSet<u16> = of.into_values().collect();
    assert!(used.len() >= 3 && used.iter().all(|gateway| *gateway < 4));
}
