//! All ways through a document find the same: the fields of scan and layouts are the plain path's, and
//! what the plain path refuses they leave to it. An event is a function of these fields, so that
//! equal fields are equal events and refusals.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::pointer::Pointer;
use super::testing::{corpora, document, files};
use super::trie::{Fields, Slot, Trie};

/// Places that feeds of this project's pipelines and of network servers ask for.
const PLACES: &[&[&str]] = &[
    &["/id", "/t", "/zona", "/pm25", "/pm10", "/temp", "/hum"],
    &["/time", "/deviceInfo/devEui", "/fCnt", "/data", "/rxInfo", "/object/t", "/object/long_member_name"],
    &["/uplink_message/decoded_payload", "/uplink_message/rx_metadata/0/rssi", "/end_device_ids/device_id"],
    &["/a/b", "/a/0", "/a/0/x", "/a/1/b/2", "/v", "/w/v", "/n"],
    &["", "/a"],
    &["/a", "/a/b"],
];

/// A trie that asks whether objects and lists are there, too.
fn trie(places: &[&str]) -> (Trie, Vec<Slot>) {
    let mut trie = Trie::default();
    let mut slots: Vec<Slot> =
        places.iter().map(|place| trie.text(&Pointer::parse(place).unwrap())).collect();
    slots.push(trie.presence(&Pointer::parse("/object").unwrap()));
    (trie, slots)
}

/// Compares both ways; whether the scan went its own to the end.
fn agree((trie, slots): &(Trie, Vec<Slot>), text: &str) -> bool {
    let found = |fields: Fields<'_>| {
        slots.iter().map(|slot| fields.get(*slot).map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut fields = trie.fields();
    let plain = trie.read_plainly(text, &mut fields).map(|()| found(fields));
    // The second time perhaps by the layout that was learned the first time.
    for _ in 0..2 {
        let mut fields = trie.fields();
        assert_eq!(trie.read(text, &mut fields).map(|()| found(fields)), plain, "{text}");
    }
    let learned = trie.learned(text, &mut trie.fields());
    assert!(learned.is_none() || plain.is_ok(), "a layout takes what is no document: {text}");
    let fast = trie.scan(text, &mut trie.fields());
    assert!(fast.is_none() || plain.is_ok(), "the scan takes what is no document: {text}");
    fast.is_some()
}

fn agree_everywhere(text: &str) -> bool {
    PLACES.iter().map(|places| agree(&trie(places), text)).fold(false, |some, fast| some | fast)
}

/// A line of the CITY-1 load.
fn line(n: u32) -> String {
    let (minute, second, millis) = (n / 600_000 % 60, n / 10_000 % 60, n / 10 % 1_000);
    format!(
        "{{\"id\":\"aire-{:05}\",\"t\":\"2026-03-01T12:{minute:02}:{second:02}.{millis:03}-05:00\",\"zona\":\"comuna-{:02}\",\
         \"pm25\":{}.{},\"pm10\":{}.5,\"temp\":-{}.25,\"hum\":{}}}",
        n % 100_000,
        n % 50 + 1,
        n % 60,
        n % 10,
        n % 90,
        n % 30,
        n % 100
    )
}

#[test]
fn city_lines_and_their_malformed_forms_are_read_alike() {
    let city = trie(PLACES[0]);
    for n in (0..100_000).step_by(37) {
        let line = line(n);
        assert!(agree(&city, &line), "the usual line goes the fast way: {line}");
        assert!(city.0.learned(&line, &mut city.0.fields()).is_some(), "and its layout was learned: {line}");
        let spoilt = [
            line[..1 + n as usize % (line.len() - 1)].to_owned(),
            line.replacen("\"pm25\":", "\"pm25\":NaN", 1),
            line.replacen("\",\"zona\"", ",\"zona\"", 1),
        ];
        for line in spoilt {
            assert!(!agree(&city, &line), "{line}");
        }
        for line in [
            line.replace(',', " ,\r\n\t "),
            line.replace("\"temp\":-", "\"temp\":"),
            line.replacen("\"hum\":", "\"hum\":null,\"more\":{\"a\":[1,{},[]]},\"hum\":", 1),
        ] {
            assert!(agree(&city, &line), "{line}");
        }
        agree(&city, &line.replacen("aire", "a\\u00edre", 1));
        agree(&city, &line.replacen("id", "\\u0069d", 1));
    }
}

#[test]
fn every_byte_in_every_place_is_read_alike() {
    let city = trie(PLACES[0]);
    let line = line(4_242);
    agree(&city, &line);
    for at in 0..line.len() {
        for byte in 0..=0x7f_u8 {
            let mut bytes = line.clone().into_bytes();
            bytes[at] = byte;
            agree(&city, std::str::from_utf8(&bytes).unwrap());
        }
    }
}

/// Values that are right, and values that are nearly.
const VALUES: [&str; 47] = [
    "0",
    "-0",
    "00",
    "-",
    "1.",
    ".5",
    "1.5e",
    "1e5",
    "1E+5",
    "1e-5",
    "1e999",
    "-1e999",
    "0.0",
    "01",
    "+1",
    "0x1",
    "true",
    "tru",
    "truee",
    "false",
    "falsy",
    "null",
    "nul",
    "nulll",
    "NaN",
    "\"\"",
    "\"ñandú\"",
    "\"1234567\"",
    "\"12345678\"",
    "\"1234567\u{7f}\"",
    "\"\\ud800\"",
    "\"\\\"\"",
    "\"\n\"",
    "\"",
    "{}",
    "{\"a\":1,}",
    "{,}",
    "[,]",
    "[1,]",
    "[1 2]",
    "{\"a\" 1}",
    "{a:1}",
    "[}",
    "{]",
    "{\"a\":[}]}",
    "[{\"a\":[{\"b\":{}}]},2]",
    "",
];

#[test]
fn numbers_words_and_nesting_are_read_alike() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let mut values: Vec<String> = VALUES.map(str::to_owned).to_vec();
    values.extend([1, 63, 64, 65, 127, 128, 129, 10_000].map(deep));
    for value in &values {
        for text in [
            value.clone(),
            format!("{{\"a\":{value}}}"),
            format!("{{\"a\":[{value},{{\"b\":[0,1,{value}]}}],\"n\":2}}"),
            format!(" {{ \"x\" : {value} , \"object\" : {value} }} "),
            format!("{{\"object\":{{\"t\":{value}}}}} {value}"),
        ] {
            agree_everywhere(&text);
        }
    }
}

#[test]
fn every_document_of_the_corpora_is_read_alike() {
    let Some(root) = corpora() else { return };
    let (mut documents, mut fast) = (0, 0);
    for path in files(Path::new(&root), "", "json").into_iter().chain(files(Path::new(&root), "", "jsonl")) {
        let Ok(text) = String::from_utf8(fs::read(&path).unwrap()) else { continue };
        for document in
            std::iter::once(text.as_str()).chain(text.lines().take(200)).filter(|text| text.len() < 1 << 20)
        {
            documents += 1;
            fast += u32::from(agree_everywhere(document));
        }
    }
    println!("{documents} documents, {fast} of them by the fast path");
    assert!(fast > 300, "{documents} documents, {fast} fast");
}

proptest! {
    #[test]
    fn documents_and_their_mutations_are_read_alike(
        document in document(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        places in prop::collection::vec("(/([a-c0-2nvt]|time|object|~0){1,2}){0,3}", 1..24),
    ) {
        let text = document.to_string();
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        let trie = trie(&places);
        agree(&trie, &text);
        agree_everywhere(&text);
        let mut bytes = text.into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                agree(&trie, text);
                agree_everywhere(text);
            }
        }
    }
}
