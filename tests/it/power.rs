//! Power loss: an ext4 of its own is shut down under the running service without flushing
//! anything. Whatever was not synced may be lost, nothing that was acknowledged.
//!
//! It needs root and loop devices; without them it says so and is skipped.

use std::time::Duration;

use crate::crash;
use crate::harness::filesystem::Filesystem;
use crate::harness::witness::{self, Load};
use crate::harness::{Random, Site, Witness, seconds};

const CUTS: u64 = 4;
const MEBIBYTES: u64 = 256;

#[test]
fn a_power_loss_loses_nothing_that_was_acknowledged() {
    let mut random = Random::of_test("power");
    let site = Site::new(witness::SETTINGS).with_pipeline("level", &witness::pipeline());
    let Some(disk) = Filesystem::ext4(&site.path("data"), MEBIBYTES) else { return };
    let witness = Witness::start(site.mqtt, Load::usual(), &mut random);
    for cut in 0..CUTS {
        let mut service = site.start();
        witness.wait_for_more(500, seconds(20));
        std::thread::sleep(Duration::from_millis(random.within(0..1_500)));
        disk.cut_power();
        if cut == 0 {
            // Without a disk it carries on in no doubt, and says so by its exit code.
            let code = service.process.wait(seconds(20)).code();
            assert!(matches!(code, Some(65 | 74)), "{code:?}: {}", service.process.stderr());
        } else {
            // A while without a disk: nothing of this time may be acknowledged and lost.
            std::thread::sleep(Duration::from_millis(random.within(0..200)));
            service.kill();
        }
        disk.restore_power();
    }
    let service = site.start();
    let tally = witness.finish();
    crash::check(&site, service, &tally);
}
