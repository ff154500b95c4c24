//! A simulated world: devices, broker, wire, host, disk and readers around one core after another,
//! all moved by one seed.

use std::cell::Cell;
use std::io::ErrorKind;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::broker::Broker;
use super::core::{Accepted, Core, Shape, SimClock, Stopped};
use super::devices::{Devices, FEED_DEFINITIONS};
use super::oracle::Oracle;
use super::reader::Reader;
use crate::journal::holders::Holder;
use crate::journal::snapshots::reach::Reach;
use crate::journal::steps::Appended;
use crate::journal::testing::{Chance, Loss, SimDisk};
use crate::model::crash::Point;
use crate::model::crash::testing::until_crash;
use crate::model::time::SECOND;
use crate::model::{Control, ResultRow, Span, Timestamp};

const BEGIN: i64 = 1_767_225_600 * SECOND;
const MILLISECOND: i64 = SECOND / 1_000;

/// The pipeline; a folder of pipelines changes between starts.
fn pipeline(variant: usize) -> String {
    let (threshold, more) = match variant {
        0 => (55, ""),
        1 => (35, ""),
        _ => (55, r#", {"name": "spread", "size": "2m", "by": ["zone"], "fields": {"most": "max(pm25)"}}"#),
    };
    format!(
        r#"{{"version": 1, "name": "town", "title": {{"es": "t", "en": "t"}}, "reads": ["air", "meter", "noise"],
            "allowed_lateness": "10m",
            "window": [
                {{"name": "minute", "size": "1m", "fields": {{"mean": "mean(pm25)", "n": "count(*)",
                 "sum": "sum(pm25)", "low": "min(pm25)", "high": "max(pm25)"}}}},
                {{"name": "zone", "size": "5m", "slide": "1m", "by": ["zone"], "fields": {{"top": "max(pm25)"}}}}{more}
            ],
            "rule": [
                {{"name": "high", "on": "minute", "when": "mean > {threshold}", "for": "1m", "severity": "warning",
                  "title": {{"es": "t", "en": "t"}}, "message": {{"es": "{{mean}}", "en": "{{mean}}"}}}},
                {{"name": "spike", "on": "readings", "when": "pm25 > 110", "severity": "critical",
                  "title": {{"es": "t", "en": "t"}}, "message": {{"es": "{{pm25}}", "en": "{{pm25}}"}}}}
            ]}}"#
    )
}

fn controls(variant: usize) -> Vec<Control> {
    let feeds =
        FEED_DEFINITIONS.iter().map(|feed| Control::Feed { feed: serde_json::from_str(feed).unwrap() });
    let pipeline = Control::Pipeline { pipeline: serde_json::from_str(&pipeline(variant)).unwrap() };
    feeds.chain([pipeline]).collect()
}

/// How often, in steps, something goes wrong; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) wire_breaks: u64,
    pub(super) disk_fills: u64,
    pub(super) sync_fails: u64,
    pub(super) clock_jumps: u64,
}

/// How a life ended.
#[derive(Debug)]
pub(super) enum End {
    /// Its steps were done; the process was killed there.
    Killed,
    /// At a crash point.
    Crashed(Point),
    /// The disk failed and the core stopped.
    Stopped,
}

/// See the module.
pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) shape: Shape,
    clock: &'static SimClock,
    pub(super) disk: Arc<SimDisk>,
    pub(super) devices: Devices,
    pub(super) broker: Broker,
    readers: [Reader; 2],
    pub(super) oracle: Oracle,
    accepted: Accepted,
    promised: u64,
    full: bool,
    checking: Rc<Cell<bool>>,
    holders: Vec<Arc<Holder>>,
    /// Segments that were collected.
    pub(super) collected: usize,
    /// The most that a start had to fold.
    pub(super) folded_max: Reach,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance::of(seed);
        let shape = Shape { segment_bytes_max: [600, 3_000, 20_000, 1 << 30][chance.below(4)], workers: 1 };
        // A clock for each world, for ever: a few bytes.
        let clock: &'static SimClock = Box::leak(Box::default());
        clock.wall.store(BEGIN, Ordering::Relaxed);
        Self {
            shape,
            clock,
            disk: Arc::default(),
            devices: Devices::new(chance.part(1)),
            broker: Broker::new(chance.part(2)),
            readers: [Reader::new(true), Reader::new(false)],
            oracle: Oracle::new(shape),
            accepted: Accepted::default(),
            promised: 0,
            full: false,
            checking: Rc::default(),
            holders: Vec::new(),
            collected: 0,
            folded_max: Reach::default(),
            chance,
        }
    }

    /// True time.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(BEGIN + self.clock.monotonic.load(Ordering::Relaxed))
    }

    /// Time passes.
    pub(super) fn pass(&self, nanoseconds: i64) {
        self.clock.monotonic.fetch_add(nanoseconds, Ordering::Relaxed);
        self.clock.wall.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// A device says something.
    pub(super) fn speak(&mut self) {
        let number = self.devices.speak(self.now());
        self.broker.publish(number);
    }

    /// One life of the core: a start, checked, and `steps` of whatever chance brings, unless it
    /// ends before: at a point of `crash`, or because the disk fails.
    pub(super) fn live(
        &mut self,
        steps: usize,
        weather: Weather,
        mut crash: impl FnMut(Point) -> bool + 'static,
    ) -> End {
        // The oracle keeps logs of its own: their points are not the core's.
        let checking = self.checking.clone();
        let outcome = until_crash(
            move |point| !checking.get() && crash(point),
            || {
                let mut core = self.start()?;
                for _ in 0..steps {
                    self.step(&mut core)?;
                    self.trouble(&mut core, weather);
                    self.promised = self.promised.max(core.journal.now().synced);
                }
                Ok(())
            },
        );
        match outcome {
            Ok(Ok(())) => End::Killed,
            Ok(Err(Stopped::Disk(kind, what))) => {
                let failed = weather.sync_fails > 0 && kind != ErrorKind::StorageFull;
                assert!(failed, "stopped: {what}; a full disk stops nobody");
                End::Stopped
            }
            Ok(Err(Stopped::Wrong(what))) => panic!("{what}"),
            Err(point) => End::Crashed(point),
        }
    }

    /// A start, and what must hold after it.
    fn start(&mut self) -> Result<Core, Stopped> {
        // Any number of workers goes on from what any other left.
        self.shape.workers = 1 + self.chance.below(3);
        let mut core = Core::open(&self.disk, self.clock, self.shape, self.accepted.clone())?;
        let folded = core.snapshot_behind();
        self.folded_max.records = self.folded_max.records.max(folded.records);
        self.folded_max.bytes = self.folded_max.bytes.max(folded.bytes);
        self.checking.set(true);
        self.oracle.learn(&core, self.promised, &self.accepted, &self.devices.said);
        self.oracle.names(&core.names.read().unwrap());
        self.oracle.acknowledged(&self.broker);
        self.oracle.results(&self.disk, false);
        self.readers.iter().for_each(|reader| self.oracle.reader(reader, false));
        self.checking.set(false);
        self.promised = core.journal.now().synced;
        let positions = self.positions();
        self.holders = positions.map(|(journal, results)| core.hold("reader", journal, results)).to_vec();
        core.configure(controls(self.chance.below(3)));
        Ok(core)
    }

    /// The end of a life: what the disk and the readers still have, and a while without a core.
    pub(super) fn die(&mut self, loss: Loss) {
        self.broker.break_wire();
        self.disk.lose(loss, &mut self.chance);
        self.disk.leave_room(None);
        self.full = false;
        for reader in &mut self.readers {
            reader.lose(loss, &mut self.chance);
        }
        for _ in 0..self.chance.below(6) {
            self.pass(SECOND * self.chance.part(3).below(20) as i64);
            self.speak();
        }
        self.set_clock_right();
    }

    pub(super) fn set_clock_right(&self) {
        self.clock.wall.store(self.now().0, Ordering::Relaxed);
    }

    fn step(&mut self, core: &mut Core) -> Result<(), Stopped> {
        match self.chance.below(16) {
            0 => {
                let passed = self.chance.below(4_000) as i64;
                self.pass(MILLISECOND * passed);
            }
            1 => (0..1 + self.chance.below(6)).for_each(|_| self.speak()),
            2 if self.broker.is_connected() => self.broker.send(),
            2 => core.connect(&mut self.broker),
            3 => core.receive(&mut self.broker, &self.devices.said, 1 + self.chance.below(6)),
            4 => core.hand_over(),
            5 | 6 => core.take(1 + self.chance.below(3)),
            7 | 8 => drop(core.append()?),
            9..=11 => drop(core.sync()?),
            12 => {
                if core.acknowledge(&mut self.broker) > 0 && self.chance.once_in(8) {
                    self.oracle.synced(&self.disk, &self.broker, &self.accepted);
                }
            }
            13 => (0..self.chance.below(8)).for_each(|_| self.broker.hear()),
            14 => {
                for _ in 0..self.chance.below(8) {
                    core.fold()?;
                }
                if self.chance.once_in(12) {
                    core.checkpoint()?;
                }
            }
            _ => {
                let reader = &mut self.readers[self.chance.below(2)];
                for _ in 0..self.chance.below(8) {
                    reader.read(core)?;
                }
                if self.chance.once_in(2) {
                    reader.commit();
                }
                self.keep_house(core)?;
            }
        }
        Ok(())
    }

    /// Snapshots, and the collection of what nobody needs.
    fn keep_house(&mut self, core: &mut Core) -> Result<(), Stopped> {
        match self.chance.below(12) {
            0 | 1 => core.offer(),
            2 | 3 => core.snapshot(),
            4 => {
                for (holder, (journal, results)) in self.holders.iter().zip(self.positions()) {
                    holder.advance(journal, results);
                }
                let keep = Span::seconds([0, 30, 300][self.chance.below(3)]);
                let collected = core.collect(keep)?;
                self.collected += collected.journal_segments + collected.results_segments;
            }
            _ => {}
        }
        Ok(())
    }

    /// What the readers need of the two logs, and what the oracle has not seen yet.
    fn positions(&self) -> [(u64, u64); 3] {
        let [one, other] = &self.readers;
        let of = |reader: &Reader| (reader.safe().journal, reader.safe().results);
        [of(one), of(other), (self.oracle.archive.len() as u64, u64::MAX)]
    }

    fn trouble(&mut self, core: &mut Core, weather: Weather) {
        let mut comes = |once_in: u64| once_in > 0 && self.chance.once_in(once_in);
        let (breaks, fails) = (comes(weather.wire_breaks), comes(weather.sync_fails));
        let (jumps, fills) = (comes(weather.clock_jumps), comes(weather.disk_fills));
        if breaks {
            core.disconnect(&mut self.broker);
        }
        if fails {
            self.disk.fail_sync_after(self.chance.below(4) as u64);
        }
        if jumps {
            let by = [-3_600, -30, 30, 3_600, 31_536_000][self.chance.below(5)];
            self.clock.wall.fetch_add(by * SECOND, Ordering::Relaxed);
        }
        if fills {
            self.full = !self.full;
            let room = self.full.then(|| self.chance.below(2_000) as u64);
            self.disk.leave_room(room);
        }
    }

    /// The last life: nothing goes wrong any more, everything said is taken in and worked off, and
    /// every check holds to the end.
    pub(super) fn settle(&mut self) {
        let mut core = self.start().unwrap();
        for round in 0.. {
            assert!(round < 20_000, "it never comes to rest");
            self.pass(100 * MILLISECOND);
            // Long enough for the last windows to close by tick, once the pause that it is has passed
            // and the feeds have drained again.
            if round == 3 {
                self.pass(1_200 * SECOND);
            }
            self.round(&mut core);
            if round > 33 && self.broker.is_done() && core.is_quiet() {
                break;
            }
        }
        self.readers.iter_mut().for_each(Reader::commit);
        self.oracle.learn(&core, self.promised, &self.accepted, &self.devices.said);
        assert_eq!(self.broker.acknowledged.len(), self.devices.said.len());
        self.oracle.acknowledged(&self.broker);
        self.oracle.results(&self.disk, true);
        self.readers.iter().for_each(|reader| self.oracle.reader(reader, true));
    }

    /// A day without accidents, in which everybody does their part each quarter of an hour; then
    /// the process ends. The wire is down in the hours of `outage`. Returns where the flow went on.
    pub(super) fn day(&mut self, keep: Span, outage: Range<i64>) -> u64 {
        let mut core = self.start().unwrap();
        let began = core.flow;
        for quarter in 0..96 {
            if outage.contains(&(quarter / 4)) {
                core.disconnect(&mut self.broker);
            }
            for _ in 0..1 + self.chance.below(4) {
                self.pass(SECOND * (60 + self.chance.part(5).below(120) as i64));
                self.speak();
            }
            self.pass(SECOND * 300);
            // A leap of time is a pause of the core; then it runs, and its feeds drain.
            for _ in 0..3 {
                core.take(0);
                self.pass(SECOND);
            }
            if outage.contains(&(quarter / 4)) {
                core.take(10);
                self.work_off(&mut core);
            } else {
                self.round(&mut core);
            }
            if quarter % 24 == 23 {
                self.readers.iter_mut().for_each(Reader::commit);
                core.offer();
                core.snapshot();
                core.merge();
                core.checkpoint().unwrap();
                for (holder, (journal, results)) in self.holders.iter().zip(self.positions()) {
                    holder.advance(journal, results);
                }
                let collected = core.collect(keep).unwrap();
                self.collected += collected.journal_segments + collected.results_segments;
            }
        }
        self.promised = core.journal.now().synced;
        began
    }

    /// Everybody does their part once.
    fn round(&mut self, core: &mut Core) {
        if !self.broker.is_connected() {
            core.connect(&mut self.broker);
        }
        self.broker.send();
        core.receive(&mut self.broker, &self.devices.said, 100);
        core.hand_over();
        core.take(10);
        self.work_off(core);
        core.acknowledge(&mut self.broker);
        (0..100).for_each(|_| self.broker.hear());
    }

    /// Appends, syncs, folds and reads until nothing moves.
    fn work_off(&mut self, core: &mut Core) {
        loop {
            while core.append().unwrap() != Appended::Nothing {}
            while core.sync().unwrap() {}
            if !core.is_held_back() {
                break;
            }
            core.snapshot();
        }
        while core.fold().unwrap() {}
        for reader in &mut self.readers {
            while reader.read(core).unwrap() {}
        }
    }

    /// What the first reader keeps of the results.
    pub(super) fn rows(&self) -> &[ResultRow] {
        &self.readers[0].rows
    }
}
