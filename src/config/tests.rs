//! A table of broken configurations with the place and words of what is said of each, the example
//! that is right, and how a diagnostic looks.
//!
//! `tests/fixtures/check/broken.txt` is the table: `#` a title, `@` the file that is changed
//! (`pipeline.toml` if none), `-` what is taken away from the right one (nothing: the end of the
//! file), `+` what is put there, `=` what is said. `SERENO_BLESS=1` rewrites the `=` lines; read
//! the difference before you keep it.

use std::path::Path;

use super::*;
use crate::model::Control;

const AIR: &str = include_str!("../../tests/fixtures/check/valid/air-quality.toml");
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/check/broken.txt");
const DRAWN: &str = include_str!("../../tests/fixtures/check/drawn.txt");

fn loaded(sereno: &str, pipelines: &[(&str, &str)]) -> Result<Configuration, Vec<Diagnostic>> {
    let sereno = SourceFile::new("sereno.toml", sereno);
    let files: Vec<SourceFile> = pipelines.iter().map(|(name, text)| SourceFile::new(*name, *text)).collect();
    Configuration::from_files(Path::new(""), Some(&sereno), &files)
}

fn loaded_air(sereno: &str, air: &str) -> Result<Configuration, Vec<Diagnostic>> {
    loaded(sereno, &[("pipelines/air-quality/pipeline.toml", air)])
}

/// What is said of one case, as the table has it.
fn said(case: &str) -> String {
    let (mut sereno, mut air) = (String::new(), AIR.to_owned());
    let (mut old, mut new, mut in_sereno) = (String::new(), String::new(), false);
    let mut apply = |in_sereno: bool, old: &mut String, new: &mut String| {
        let text = if in_sereno { &mut sereno } else { &mut air };
        if old.is_empty() {
            text.push_str(new);
        } else {
            assert!(text.contains(old.trim_end_matches('\n')), "{case}");
            *text = text.replacen(old.trim_end_matches('\n'), new.trim_end_matches('\n'), 1);
        }
        old.clear();
        new.clear();
    };
    for line in case.lines() {
        let rest = line.get(1..).unwrap_or_default().strip_prefix(' ').unwrap_or_default();
        match line.chars().next() {
            Some('@') => {
                apply(in_sereno, &mut old, &mut new);
                in_sereno = rest == "sereno.toml";
            }
            Some('-') => old.extend([rest, "\n"]),
            Some('+') => new.extend([rest, "\n"]),
            _ => {}
        }
    }
    apply(in_sereno, &mut old, &mut new);
    let diagnostics = match loaded_air(&sereno, &air) {
        Ok(configuration) => configuration.notes,
        Err(diagnostics) => diagnostics,
    };
    let mut text = String::new();
    for diagnostic in diagnostics {
        let level = if diagnostic.level() == Level::Note { "note at " } else { "" };
        let (place, part) = (diagnostic.location(), diagnostic.pointed_at().replace('\n', "\\n"));
        text += &format!(
            "= {level}{place} at {part}\n=   {}\n=   {}\n",
            diagnostic.message(),
            diagnostic.remedy()
        );
    }
    text
}

#[test]
fn broken_configurations_are_told_where_and_how() {
    let table = std::fs::read_to_string(TABLE).unwrap();
    let mut now = String::new();
    for case in table.split("\n\n") {
        let asked: String =
            case.lines().filter(|line| !line.starts_with('=')).flat_map(|line| [line, "\n"]).collect();
        let said = said(&asked);
        assert!(!said.is_empty(), "nothing is said of\n{asked}");
        now += &format!("{asked}{said}\n");
    }
    let now = now.trim_end().to_owned() + "\n";
    if std::env::var_os("SERENO_BLESS").is_some() {
        std::fs::write(TABLE, &now).unwrap();
        return;
    }
    for (now, then) in now.split("\n\n").zip(table.split("\n\n")) {
        assert_eq!(now.trim_end(), then.trim_end());
    }
}

#[test]
fn the_example_is_right() {
    let configuration = loaded_air("", AIR).unwrap();
    assert!(configuration.notes.is_empty());
    let estimate = &configuration.estimates[0];
    assert_eq!((estimate.keys, estimate.assumed, estimate.panes), (10_000, true, 5));
    assert!(estimate.to_string().starts_with("air-quality.pm25_1h: about "), "{estimate}");
}

#[test]
fn rules_and_known_repeats_are_part_of_the_estimate() {
    let lines = |air: &str| -> Vec<String> {
        let estimates = loaded_air("", air).unwrap().estimates;
        estimates.iter().map(ToString::to_string).collect()
    };
    let plain = lines(AIR);
    assert_eq!(plain.len(), 2);
    assert!(plain[1].ends_with(" (10000 devices assumed, 256 events each)"), "{plain:?}");
    let twice = AIR.replace("[[rule]]", "[[rule]]\nname = \"other\"\non = \"pm25_1h\"\nwhen = \"pm25_mean > 9\"\nseverity = \"info\"\ntitle = { es = \"t\", en = \"t\" }\nmessage = { es = \"m\", en = \"m\" }\n\n[[rule]]");
    let bytes = |air: &str| loaded_air("", air).unwrap().estimates[0].bytes.0;
    let of_one = (bytes(&twice) - bytes(AIR)) / 10_000;
    assert!(of_one > 32 * (56 + 16), "each rule of a window counts, with its final alerts: {of_one}");
    let on_readings =
        twice.replacen("on = \"pm25_1h\"\nwhen = \"pm25_mean", "on = \"readings\"\nwhen = \"pm25", 1);
    // Two hours of lateness and 30 s out of order at one event in 10 s.
    let [_, readings, _] = &*lines(&on_readings) else { panic!("three lines") };
    assert!(readings.starts_with("air-quality.readings: about "), "{readings}");
    assert!(readings.ends_with("(10000 sensors assumed, 724 verdicts each)"), "{readings}");
    let bytes = loaded_air("", &on_readings).unwrap().estimates[1].bytes.0;
    assert!((10_000 * 724 * 30..10_000 * 2_048 * 64).contains(&bytes), "{bytes}");
    let of_feed = |air: &str| loaded_air("", air).unwrap().estimates.pop().unwrap().bytes.0;
    let both = AIR.replace("[[window]]", "[feed.quantity.humidity]\npath = \"/hum\"\n\n[[window]]");
    let rings = 10_000 * 256 * 8;
    assert_eq!(of_feed(&both) - of_feed(AIR), rings + 65_536 * (16 + 8), "also behind the rings");
    let one = AIR.replace("decoder = \"json\"", "decoder = \"json\"\nidentity = \"protocol\"");
    assert_eq!(lines(&one).len(), 1, "nothing is remembered of a feed without times of its own");
}

#[test]
fn the_pipelines_that_come_with_sereno_fit_into_the_limit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path().join("pipeline.toml");
        if file.exists() {
            files.push((file.display().to_string(), std::fs::read_to_string(&file).unwrap()));
        }
    }
    files.sort();
    assert!(files.len() >= 4);
    let named: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    if let Err(faults) = loaded("", &named) {
        panic!("{:?}", faults.iter().map(Diagnostic::line).collect::<Vec<_>>());
    }
}

#[test]
fn an_interval_that_only_the_register_gives_is_one() {
    let register = r#"registered = [{ name = "aire-1", expected_interval = "10s" }, { name = "aire-2", expected_interval = "1m" }]"#;
    let air = AIR.replace(r#"expected_interval = "10s""#, register);
    assert_ne!(air, AIR);
    loaded_air("", &air).unwrap();
}

#[test]
fn controls_are_feeds_then_pipelines() {
    let other = AIR.replace("air-quality", "aaa").replace("name = \"air\"", "name = \"zzz\"");
    let other = other.replace("ciudad/", "otra/");
    let configuration = loaded("", &[("b", AIR), ("a", &other)]).unwrap();
    let names: Vec<String> = controls(&configuration)
        .into_iter()
        .map(|control| match control {
            Control::Feed { feed } => format!("feed {}", feed.name),
            Control::Pipeline { pipeline } => {
                assert!(pipeline.feeds.is_empty());
                format!("{} reads {:?}", pipeline.name, pipeline.reads.unwrap())
            }
            Control::PipelineRemoved { name } => format!("removed {name}"),
            other @ (Control::Recompute(_) | Control::HostClock { .. }) => {
                panic!("{other:?} of a configuration")
            }
        })
        .collect();
    assert_eq!(names, ["feed air", "feed zzz", "aaa reads [\"zzz\"]", "air-quality reads [\"air\"]"]);
}

#[test]
fn names_are_one_of_a_kind_across_files() {
    let wrong = loaded("", &[("a", AIR), ("b", AIR)]).unwrap_err();
    let lines: Vec<String> = wrong.iter().map(Diagnostic::line).collect();
    let remedy = "give one of them another name; `-` and `_` count as the same";
    assert!(
        lines.contains(&format!("b:2:8: there is another pipeline called `air-quality`; {remedy}")),
        "{lines:?}"
    );
    assert!(lines.contains(&format!("b:7:8: there is another feed called `air`; {remedy}")), "{lines:?}");
}

#[test]
fn diagnostics_are_drawn_with_their_lines() {
    let broken = AIR.replace("pm25_mean > 55", "pm25_maen > 55").replace("{zone}", "x{zone}");
    let drawn: String = loaded_air("", &broken)
        .unwrap_err()
        .iter()
        .map(|diagnostic| diagnostic.render(Style::Plain))
        .collect();
    assert_eq!(drawn, DRAWN, "{drawn}");
}
