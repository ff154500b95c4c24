//! Starts from checkpoints: damaged ones cost time and nothing else, and a stop may come while the
//! dataflow loads one.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::crash::check;
use crate::harness::witness::{self, Load};
use crate::harness::{Random, Site, Witness, eventually, seconds};

/// Files of checkpoints with this ending, the newest first.
fn files(site: &Site, ending: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(site.path("data/checkpoints")).into_iter().flatten();
    let mut found: Vec<PathBuf> = found.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|own| own == ending));
    found.sort();
    found.reverse();
    found
}

#[test]
fn damaged_checkpoints_cost_time_and_nothing_else() {
    let mut random = Random::of_test("checkpoints: damaged");
    let site = Site::new(witness::SETTINGS).with_pipeline("level", &witness::pipeline());
    let witness = Witness::start(site.mqtt, Load::usual(), &mut random);
    // The newest cannot be used, then neither of the two.
    for (ending, damaged, said) in [
        ("manifest", 1, "the one before it is tried"),
        ("base", usize::MAX, "everything is derived again from the journal's beginning"),
    ] {
        let service = site.start();
        let newest = files(&site, "manifest").first().cloned();
        eventually("another checkpoint", seconds(30), || {
            let now = files(&site, "manifest");
            (now.len() >= 2 && now.first() != newest.as_ref()).then_some(())
        });
        service.kill();
        let hit = files(&site, ending);
        assert!(!hit.is_empty(), "there is no .{ending}");
        for path in hit.iter().take(damaged) {
            let mut bytes = fs::read(path).unwrap();
            let at = usize::try_from(random.within(0..bytes.len() as u64)).unwrap();
            bytes[at] ^= 1 << random.within(0..8);
            fs::write(path, bytes).unwrap();
        }
        let mut process = site.launch(&[]);
        eventually("what is wrong is said", seconds(60), || process.stderr().contains(said).then_some(()));
        process.kill();
    }
    let service = site.start();
    let tally = witness.finish();
    check(&site, service, &tally);
}

#[test]
fn a_stop_may_come_while_the_dataflow_loads() {
    let mut random = Random::of_test("checkpoints: stopped at the start");
    let site = Site::new(witness::SETTINGS).with_pipeline("level", &witness::pipeline());
    let witness = Witness::start(site.mqtt, Load::usual(), &mut random);
    let service = site.start();
    witness.wait_for_more(2_000, seconds(60));
    service.kill();
    for _ in 0..8 {
        let mut process = site.launch(&[]);
        std::thread::sleep(Duration::from_millis(random.within(20..400)));
        let status = process.stop();
        // Before it minds signals, the signal itself ends it.
        let ended = status.success() || status.code().is_none();
        assert!(ended, "{status}: {}", process.stderr());
    }
    let service = site.start();
    let tally = witness.finish();
    check(&site, service, &tally);
}
