//! A full disk: nothing is acknowledged that cannot be kept, people go on reading, and everything
//! resumes by itself once there is room. Each folder of the data is filled alone, and all of them
//! together; meanwhile the service may be killed.
//!
//! It needs the right to mount a file system in memory; without it says so and is skipped.

use crate::crash;
use crate::harness::filesystem::Filesystem;
use crate::harness::witness::{self, Load};
use crate::harness::{Mosquitto, Random, Sereno, Site, Witness, seconds};

const MEBIBYTES: u64 = 64;
const FLUSHING: &str = "[store]\nflush_every = \"1s\"\n";

/// What is filled, and what happens meanwhile.
struct Case {
    /// Folder of the data.
    folder: &'static str,
    /// Whether what comes in cannot be kept.
    holds: bool,
    /// Whether the service is killed while the disk is full.
    killed: bool,
}

fn site(settings: &str) -> Site {
    let settings = format!("{settings}{}{FLUSHING}", witness::SETTINGS);
    Site::new(&settings).with_pipeline("level", &witness::pipeline())
}

impl Case {
    #[track_caller]
    fn run(&self) {
        let site = site("");
        let Some(disk) = Filesystem::memory(&site.path(self.folder), MEBIBYTES) else { return };
        let mut random = Random::of_test("disk full");
        let witness = Witness::start(site.mqtt, Load::usual(), &mut random);
        let mut service = site.start();
        witness.wait_for_more(2_000, seconds(20));
        disk.fill();
        std::thread::sleep(seconds(3));
        if self.holds {
            self.nothing_is_acknowledged(&witness);
        } else {
            std::thread::sleep(seconds(2));
        }
        self.people_go_on(&mut service);
        if self.killed {
            service.kill();
            disk.empty();
            service = site.start();
        } else {
            disk.empty();
        }
        witness.wait_for_more(2_000, seconds(20));
        let tally = witness.finish();
        crash::check(&site, service, &tally);
    }

    /// While nothing is acknowledged the connections stand: pings are answered.
    #[track_caller]
    fn nothing_is_acknowledged(&self, witness: &Witness) {
        let (before, pongs, connections) = (witness.acknowledged(), witness.pongs(), witness.reconnects());
        std::thread::sleep(seconds(4));
        assert_eq!(witness.acknowledged(), before, "{}: acknowledged without room", self.folder);
        assert!(witness.pongs() > pongs, "{}: no ping is answered", self.folder);
        assert_eq!(witness.reconnects(), connections, "{}: a connection ended", self.folder);
    }

    #[track_caller]
    fn people_go_on(&self, service: &mut Sereno) {
        assert!(service.process.ended().is_none(), "{}: it ended: {}", self.folder, service.process.stderr());
        assert!(service.api("status", &[])["events"].as_u64() > Some(0));
        let readings = service.values("w0-0", "level");
        assert!(!readings.is_empty(), "{}: readings are read while the disk is full", self.folder);
        let rows = service.sql("SELECT count(*) AS n FROM level");
        assert!(rows[0]["n"].as_u64() > Some(0), "{}: SQL is answered", self.folder);
    }
}

#[test]
fn a_full_journal_holds_everything_until_there_is_room() {
    Case { folder: "data/journal", holds: true, killed: false }.run();
}

#[test]
fn full_results_wait_until_there_is_room() {
    Case { folder: "data/results", holds: false, killed: false }.run();
}

#[test]
fn full_checkpoints_wait_until_there_is_room() {
    Case { folder: "data/checkpoints", holds: false, killed: false }.run();
}

#[test]
fn a_full_store_waits_until_there_is_room() {
    Case { folder: "data/store", holds: false, killed: false }.run();
}

#[test]
fn a_full_disk_holds_everything_until_there_is_room() {
    Case { folder: "data", holds: true, killed: false }.run();
}

#[test]
fn killed_while_its_disk_is_full_it_goes_on_when_there_is_room() {
    Case { folder: "data", holds: true, killed: true }.run();
}

#[test]
fn while_the_disk_is_full_the_broker_holds() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let site = site(&broker.settings());
    let Some(disk) = Filesystem::memory(&site.path("data"), MEBIBYTES) else { return };
    let service = site.start();
    broker.wait_for_subscription();
    let mut random = Random::of_test("disk full behind mosquitto");
    let witness = Witness::start(broker.port, Load::usual(), &mut random);
    witness.wait_for_more(2_000, seconds(20));
    disk.fill();
    std::thread::sleep(seconds(3));
    let received = service.messages("level", "received");
    witness.wait_for_more(2_000, seconds(20));
    std::thread::sleep(seconds(3));
    assert_eq!(service.messages("level", "received"), received, "taken in without room");
    disk.empty();
    let tally = witness.finish();
    crash::check(&site, service, &tally);
}
