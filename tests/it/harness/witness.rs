//! The witness: devices that number their events, write down every acknowledgement, and know
//! afterwards what the store and the accounts must hold.
//!
//! Each client is one MQTT session with devices of its own. A connection that ends is taken up
//! again, and what was not acknowledged is sent once more: mostly as the standard says (same packet
//! id, DUP), at times as devices that lost their session do (new ids, no DUP). An acknowledgement
//! out of order, or of a message that the connection did not carry, is a fault.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::level;
use super::random::Random;
use super::session::Session;
use super::table::Row;
use super::wait::utc_ms;

/// Numbers of one client's events stay below the next one's.
const CLIENT: u64 = 10_000_000;
const KEEP_ALIVE_S: u16 = 10;
const PING_EVERY: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(4);

/// What a witness does.
#[derive(Clone, Copy)]
pub struct Load {
    /// Sessions at once.
    pub clients: u64,
    /// Devices of each.
    pub devices: u64,
    /// Messages a second of each.
    pub rate: u64,
    /// Messages of each under way.
    pub inflight: usize,
    /// Every so many messages one does not decode.
    pub bad_every: u64,
    /// Event time of the first event, in milliseconds since 1970.
    pub begin_ms: i64,
    /// Event time between two events of a client.
    pub step_ms: i64,
}

impl Load {
    /// Three gateways of a hundred devices each, an hour ago. A broker that lost the answers of one
    /// connection sends at most 65,535 messages again (packet ids have 16 bits): with so many
    /// devices that is less of each than the 256 events by which its repeats are known.
    pub fn usual() -> Self {
        let begin_ms = level::at(0);
        Self { clients: 3, devices: 100, rate: 2_000, inflight: 100, bad_every: 97, begin_ms, step_ms: 10 }
    }

    /// The topic and the payload of one number of a client.
    fn message(&self, client: u64, number: u64) -> (String, Vec<u8>) {
        let topic = format!("city/center/level/{}", self.sensor(client, number));
        let level = client * CLIENT + number;
        let end = if self.is_bad(number) { "" } else { "}" };
        (topic, format!("{{\"t\":{},\"level\":{level}{end}", self.at(number)).into_bytes())
    }

    fn sensor(&self, client: u64, number: u64) -> String {
        format!("w{client}-{}", number % self.devices)
    }

    fn at(&self, number: u64) -> i64 {
        self.begin_ms + i64::try_from(number).unwrap() * self.step_ms
    }

    fn is_bad(&self, number: u64) -> bool {
        number % self.bad_every == self.bad_every - 1
    }
}

const WINDOWS: &str = r#"
[[window]]
name = "level_10s"
size = "10s"
fields = { level_mean = "mean(level)", level_max = "max(level)", level_last = "last(level)" }

[[window]]
name = "zone_30s"
size = "30s"
by = ["zone"]
fields = { level_mean = "mean(level)", level_p50 = "p50(level)" }

[[rule]]
name = "level-odd"
on = "level_10s"
when = "level_last % 20000 < 1000"
severity = "info"
title = { es = "Nivel", en = "Level" }
message = { es = "{sensor}", en = "{sensor}" }
"#;

/// The pipeline that a witness publishes to: short windows, many results.
pub fn pipeline() -> String {
    let feed = "out_of_orderness = \"1s\"\ndevices_max = 1000";
    level::pipeline("amend_every = \"1s\"", feed, WINDOWS)
}

/// Settings that let a query answer with everything a witness sent.
pub const SETTINGS: &str = "[limits]\nquery_rows_max = 10000000\nstate_bytes_max = \"8GiB\"\n[checkpoint]\nevery = \"1s\"\n[journal]\nsegment_bytes = \"1MiB\"\n";

/// Running clients.
pub struct Witness {
    load: Load,
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Record>>,
}

#[derive(Default)]
struct Shared {
    ending: AtomicBool,
    /// The test failed: nobody waits for acknowledgements any more.
    abandoned: AtomicBool,
    acknowledged: AtomicU64,
    pongs: AtomicU64,
    reconnects: AtomicU64,
}

/// What one client did.
#[derive(Default)]
struct Record {
    client: u64,
    /// Numbers from 0 that were sent; all of them were acknowledged.
    numbers: u64,
    /// Messages sent, with repetitions.
    packets: u64,
    faults: Vec<String>,
}

/// What all clients did, once everything was acknowledged.
pub struct Tally {
    load: Load,
    records: Vec<Record>,
}

impl Witness {
    /// Starts the clients against a listener or a broker on `port`.
    pub fn start(port: u16, load: Load, random: &mut Random) -> Self {
        let shared = Arc::<Shared>::default();
        let client = |number| {
            let (shared, random) = (shared.clone(), Random::new(random.draw()));
            std::thread::spawn(move || {
                let record = Record { client: number, ..Record::default() };
                Client { port, load, shared, random, record, inflight: VecDeque::new(), next_id: 1 }.run()
            })
        };
        let clients = (0..load.clients).map(client).collect();
        Self { load, shared, clients }
    }

    /// Messages acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Pings answered so far.
    pub fn pongs(&self) -> u64 {
        self.shared.pongs.load(Ordering::SeqCst)
    }

    /// Connections that ended so far.
    pub fn reconnects(&self) -> u64 {
        self.shared.reconnects.load(Ordering::SeqCst)
    }

    /// Waits until so many more messages were acknowledged.
    #[track_caller]
    pub fn wait_for_more(&self, messages: u64, within: Duration) {
        let wanted = self.acknowledged() + messages;
        let what = format!("{messages} more messages acknowledged");
        super::eventually(&what, within, || (self.acknowledged() >= wanted).then_some(()));
    }

    /// Sends nothing new, and ends once everything sent is acknowledged.
    #[track_caller]
    pub fn finish(mut self) -> Tally {
        self.shared.ending.store(true, Ordering::SeqCst);
        let records: Vec<Record> =
            std::mem::take(&mut self.clients).into_iter().map(|client| client.join().unwrap()).collect();
        let faults: Vec<&String> = records.iter().flat_map(|record| &record.faults).collect();
        assert!(faults.is_empty(), "{} faults of acknowledgements: {:#?}", faults.len(), faults[0]);
        let tally = Tally { load: self.load, records };
        let (events, packets, reconnects) = (tally.events(), tally.packets(), self.reconnects());
        println!("witness: {events} events in {packets} messages over {reconnects} connections");
        tally
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::SeqCst);
    }
}

impl Tally {
    /// Events that must be stored.
    pub fn events(&self) -> u64 {
        self.records.iter().map(|record| record.numbers).sum::<u64>() - self.bad()
    }

    /// Messages that must have been quarantined at least once.
    pub fn bad(&self) -> u64 {
        self.records.iter().map(|record| record.numbers / self.load.bad_every).sum()
    }

    /// Messages sent, with repetitions.
    pub fn packets(&self) -> u64 {
        self.records.iter().map(|record| record.packets).sum()
    }

    /// Checks the stored rows (`sensor`, `number`, `time`): every event that was acknowledged is
    /// there once, with its time, and nothing else.
    #[track_caller]
    pub fn compare(&self, rows: &[Row]) {
        let mut seen: Vec<Vec<bool>> =
            self.records.iter().map(|record| vec![false; usize::try_from(record.numbers).unwrap()]).collect();
        let mut faults = Vec::new();
        for row in rows {
            let level: u64 = row["number"].parse().unwrap();
            let (client, number) = (level / CLIENT, level % CLIENT);
            let place = seen.get_mut(usize::try_from(client).unwrap());
            let place = place.and_then(|seen| seen.get_mut(usize::try_from(number).unwrap()));
            let is_sent = row["sensor"] == self.load.sensor(client, number)
                && utc_ms(&row["time"]) == self.load.at(number)
                && !self.load.is_bad(number);
            match place {
                Some(seen) if is_sent && !*seen => *seen = true,
                Some(_) if is_sent => faults.push(format!("stored twice: {row:?}")),
                _ => faults.push(format!("never sent like this: {row:?}")),
            }
        }
        for (record, seen) in self.records.iter().zip(&seen) {
            let missing = (0..).zip(seen).filter(|(number, seen)| !**seen && !self.load.is_bad(*number));
            faults.extend(missing.map(|(number, _)| {
                format!("acknowledged and lost: number {number} of client {}", record.client)
            }));
        }
        let shown = &faults[..faults.len().min(10)];
        assert!(faults.is_empty(), "{} differences, the first: {shown:#?}", faults.len());
    }
}

/// A message on its way.
struct Sent {
    id: u16,
    number: u64,
}

struct Client {
    port: u16,
    load: Load,
    shared: Arc<Shared>,
    random: Random,
    record: Record,
    inflight: VecDeque<Sent>,
    next_id: u16,
}

impl Client {
    /// Runs until told to end and everything is acknowledged.
    fn run(mut self) -> Record {
        let mut clean = true;
        while !self.is_done() {
            let name = format!("witness-{}", self.record.client);
            match Session::connect(self.port, &name, clean, KEEP_ALIVE_S) {
                Ok(session) => {
                    let _ = self.serve(session, clean);
                    self.shared.reconnects.fetch_add(1, Ordering::SeqCst);
                    clean = self.random.one_in(3);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        self.record
    }

    fn is_done(&self) -> bool {
        let all = self.shared.ending.load(Ordering::SeqCst) && self.inflight.is_empty();
        all || self.shared.abandoned.load(Ordering::SeqCst)
    }

    fn serve(&mut self, mut session: Session, clean: bool) -> io::Result<()> {
        for place in 0..self.inflight.len() {
            // A device that lost its session gives new ids; the ids of before mean nothing now.
            let id = if clean { self.fresh_id() } else { self.inflight[place].id };
            self.inflight[place].id = id;
            self.send(&mut session, place, !clean)?;
        }
        let (start, mut sent, mut pinged) = (Instant::now(), 0, Instant::now());
        while !self.is_done() {
            let due = self.load.rate * u64::try_from(start.elapsed().as_millis()).unwrap() / 1_000;
            let is_room = |client: &Self| client.inflight.len() < client.load.inflight;
            while sent < due && is_room(self) && !self.shared.ending.load(Ordering::SeqCst) {
                let sending = Sent { id: self.fresh_id(), number: self.record.numbers };
                self.record.numbers += 1;
                self.inflight.push_back(sending);
                self.send(&mut session, self.inflight.len() - 1, false)?;
                sent += 1;
            }
            if pinged.elapsed() > PING_EVERY {
                pinged = Instant::now();
                session.ping()?;
            }
            let pongs = session.pongs;
            let ids = session.acknowledged(LOOK)?;
            self.shared.pongs.fetch_add(u64::from(session.pongs - pongs), Ordering::SeqCst);
            ids.into_iter().for_each(|id| self.acknowledged(id));
        }
        Ok(())
    }

    fn send(&mut self, session: &mut Session, place: usize, again: bool) -> io::Result<()> {
        let Sent { id, number } = self.inflight[place];
        let (topic, payload) = self.load.message(self.record.client, number);
        self.record.packets += 1;
        session.publish(&topic, id, &payload, again)
    }

    fn acknowledged(&mut self, id: u16) {
        match self.inflight.front() {
            Some(first) if first.id == id => {
                self.inflight.pop_front();
                self.shared.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            first => {
                let wanted = first.map(|sent| sent.id);
                self.record.faults.push(format!("{id} was acknowledged, {wanted:?} was to be first"));
                self.inflight.retain(|sent| sent.id != id);
            }
        }
    }

    fn fresh_id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = if id == u16::MAX { 1 } else { id + 1 };
        id
    }
}
