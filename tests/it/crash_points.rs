//! Every named crash point once (`SERENO_ROUNDS` times), through the real service: it aborts there,
//! is started again, and in the end everything is as the witness knows it.

use std::os::unix::process::ExitStatusExt as _;

use crate::crash;
use crate::harness::receiver::Receiver;
use crate::harness::site::output;
use crate::harness::victoria::Victoria;
use crate::harness::wait::now_ms;
use crate::harness::witness::{self, Load};
use crate::harness::{Random, Site, Witness, eventually, seconds};

/// A point is passed within this long of a start under load: each second ends a memory of the
/// store, every few seconds a segment.
const PASSED_WITHIN: u64 = 40;
const SIGABRT: i32 = 6;
/// After a segment of a log was removed.
const REMOVED: &str = "segment.removed";
/// Half an hour ago; recent enough that its alerts are sent.
const BEGIN_MS: i64 = 1_800_000;

/// The names, as the service tells them to somebody who asks for another.
fn points(site: &Site) -> Vec<String> {
    let mut command = site.command("run");
    command.env("SERENO_CRASH_AT", "nowhere");
    let said = String::from_utf8(output(command).stderr).unwrap();
    // The message may be broken into lines.
    let said = said.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, names) = said.split_once("there are ").unwrap_or_else(|| panic!("no crash points: {said}"));
    names.split(", ").map(|name| name.trim_end_matches('.').to_owned()).collect()
}

fn rounds() -> u64 {
    std::env::var("SERENO_ROUNDS").map_or(1, |text| text.parse().expect("SERENO_ROUNDS is a number"))
}

#[test]
fn a_crash_at_every_named_point_changes_nothing() {
    let Some(victoria) = Victoria::start() else { return };
    let mut random = Random::of_test("crash points");
    let receiver = Receiver::start();
    let settings = format!(
        "{}{}[store]\nflush_every = \"1s\"\n[[receiver]]\nname = \"desk\"\n\
         webhook = {{ url = \"http://127.0.0.1:{}/\" }}\n",
        victoria.settings(),
        witness::SETTINGS,
        receiver.port
    );
    let site = Site::new(&settings).with_pipeline("level", &witness::pipeline());
    let points = points(&site);
    assert!(points.len() > 15, "{points:?}");
    let load = Load { begin_ms: now_ms() - BEGIN_MS, step_ms: 10, rate: 1_000, ..Load::usual() };
    let witness = Witness::start(site.mqtt, load, &mut random);
    // Segments go when they are an hour old at least: the simulation visits that point.
    let points: Vec<String> = points.into_iter().filter(|point| point != REMOVED).collect();
    for point in (0..rounds()).flat_map(|_| &points) {
        // Segments end seldom.
        let nth = if point.starts_with("segment.") { 1 } else { random.within(1..3) };
        let armed = format!("{point}:{nth}");
        let mut service = site.launch(&[("SERENO_CRASH_AT", &armed)]);
        let status = eventually(&format!("a crash at {armed}"), seconds(PASSED_WITHIN), || service.ended());
        assert_eq!(status.signal(), Some(SIGABRT), "at {armed} it ended with {status}: {}", service.stderr());
    }
    let service = site.start();
    let tally = witness.finish();
    crash::check(&site, service, &tally);
}
