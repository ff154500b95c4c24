//! The house's rules that a compiler does not check: layers, purity, lengths, headers.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Bottom first: a module names only those before it.
const LAYERS: [&str; 15] = [
    "model", "decode", "window", "rule", "alert", "flow", "journal", "store", "feed", "notify", "api",
    "config", "service", "cli", "main",
];
/// Modules of one floor that do not name one another; `service` joins them.
const NEIGHBOURS: [&str; 4] = ["journal", "store", "feed", "notify"];
/// What pure modules never name: clocks, IO, tokio, locks, chance.
const IMPURE: [&str; 12] = [
    "std::time::",
    "SystemTime",
    "Instant::now",
    "std::fs",
    "std::net",
    "std::io::",
    "std::thread",
    "tokio::",
    "Mutex",
    "RwLock",
    " rand::",
    "std::env",
];
const PURE: [&str; 5] = ["model", "decode", "window", "rule", "alert"];
/// Lines of a hand-written file, tests of its own included.
const FILE_LINES_MAX: usize = 500;

struct Source {
    path: PathBuf,
    module: String,
    text: String,
    /// Without its unit tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    files.into_iter().map(|path| source(&root, path)).collect()
}

fn source(root: &Path, path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).unwrap();
    let relative = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    let module = relative.split(['/', '.']).next().unwrap().to_owned();
    let test_file = relative.contains("test");
    let code =
        if test_file { String::new() } else { text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned() };
    let plain =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    Source { path: PathBuf::from(relative), module, text, code: plain }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn hold(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn modules_name_only_the_layers_below() {
    let mut faults = Vec::new();
    for source in sources() {
        let Some(layer) = LAYERS.iter().position(|layer| *layer == source.module) else { continue };
        for (above, name) in LAYERS.iter().enumerate().skip(layer + 1) {
            if source.code.contains(&format!("crate::{name}::")) {
                faults.push(format!(
                    "{}: `{}` names `{name}`, which lies above (floor {above})",
                    source.path.display(),
                    source.module
                ));
            }
        }
        for neighbour in NEIGHBOURS.iter().filter(|name| **name != source.module) {
            let names = NEIGHBOURS.contains(&source.module.as_str())
                && source.code.contains(&format!("crate::{neighbour}::"));
            if names {
                faults.push(format!(
                    "{}: `{}` and `{neighbour}` are joined in `service` only",
                    source.path.display(),
                    source.module
                ));
            }
        }
    }
    hold(&faults);
}

#[test]
fn pure_modules_name_no_clock_disk_or_lock() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| PURE.contains(&source.module.as_str())) {
        for word in IMPURE.iter().filter(|word| source.code.contains(**word)) {
            faults.push(format!("{}: names `{word}`", source.path.display()));
        }
    }
    hold(&faults);
}

#[test]
fn heavy_libraries_are_named_in_one_place() {
    let allowed = [
        ("timely::", vec!["flow/engine.rs"]),
        ("datafusion::", vec!["store", "api"]),
        ("rumqttc::", vec!["feed"]),
    ];
    let mut faults = Vec::new();
    for source in sources() {
        for (library, places) in &allowed {
            let own = places.iter().any(|place| source.path.starts_with(place));
            if !own && source.code.contains(library) {
                faults.push(format!("{}: names `{library}`", source.path.display()));
            }
        }
    }
    hold(&faults);
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let mut faults = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//!") {
            faults.push(format!("{}: does not open with `//!`", source.path.display()));
        }
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{}: {lines} lines, the most is {FILE_LINES_MAX}", source.path.display()));
        }
    }
    hold(&faults);
}

#[test]
fn nothing_unfinished_is_left() {
    let mut faults = Vec::new();
    for source in sources() {
        for word in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore]"] {
            if source.text.contains(word) {
                faults.push(format!("{}: `{word}`", source.path.display()));
            }
        }
    }
    hold(&faults);
}
