//! Messages a second through the own listener into the journal, QoS 1, acknowledged once synced; and
//! what an idle connection costs.
//!
//! Each connection keeps as many messages under way as a receive maximum of 1,000 lets it, and counts
//! acknowledgements. Publishers share the machine's cores with the service, which stores everything
//! as it does for users.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Runtime;

use super::api;
use super::figures::{Must, Report};
use super::process::Service;
use super::site::Site;

const RUNS: usize = 3;
/// Messages of one connection without an acknowledgement.
pub const UNDER_WAY_MAX: u64 = 1_000;
/// Before counting begins, and counted.
const WARM_UP: Duration = Duration::from_secs(2);
const COUNTED: Duration = Duration::from_secs(6);
/// Many.
pub const CONNECTIONS: u64 = 50;
const SENSORS: u64 = 10_000;
const PAYLOAD_BYTES: usize = 170;
const IDLE: u64 = 9_000;
/// Until an idle connection's buffers are back.
const SETTLE: Duration = Duration::from_secs(5);
/// An acknowledgement: type, length, two bytes of packet identifier.
pub const PUBACK_BYTES: u64 = 4;

/// A feed of its own listener that takes everything.
pub const PIPELINE: &str = r#"
version = 1
name = "ingest"
title = { es = "Entrada", en = "Ingest" }

[[feed]]
name = "readings"
topic = "bench/{sensor}"
decoder = "json"
time = { path = "/t", format = "ms" }
ack = "synced"
messages_per_hour_max = 4000000000

[feed.quantity.pm25]
path = "/pm25"
unit = "ug/m3"
decimals = 1

[feed.quantity.temp]
path = "/temp"
unit = "Cel"
decimals = 1
"#;

/// Measures.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("ingest");
    let (mut many, mut one, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=RUNS {
        many.push(rate(runtime, &site(), CONNECTIONS).messages);
        one.push(rate(runtime, &site(), 1).messages);
        idle.push(kib_of_idle(runtime));
        let (many, one, idle) = (many[number - 1], one[number - 1], idle[number - 1]);
        println!("  run {number}: {many:.0} and {one:.0} messages/s, {idle:.1} KiB");
    }
    report.add("own listener, synced, 50 connections", "messages/s", many, Some(Must::AtLeast(200_000.0)));
    report.add("own listener, synced, one connection", "messages/s", one, Some(Must::AtLeast(50_000.0)));
    report.add("an idle connection", "KiB", idle, Some(Must::Below(20.0)));
}

/// An installation with that feed.
pub fn site() -> Site {
    Site::new("").with_pipeline("ingest", PIPELINE)
}

/// How one run went.
pub struct Rate {
    /// Messages acknowledged a second.
    pub messages: f64,
    /// How long a sync of the journal took, on average.
    pub sync_ms: f64,
}

/// Publishes over so many connections.
pub fn rate(runtime: &Runtime, site: &Site, connections: u64) -> Rate {
    let data = site.data();
    let service = Service::start(runtime, site, data.path());
    let counted = runtime.block_on(async {
        let until = Instant::now() + WARM_UP + COUNTED;
        let publishers: Vec<_> =
            (0..connections).map(|number| tokio::spawn(count(site.mqtt, number, until))).collect();
        let mut counted = 0;
        for publisher in publishers {
            counted += publisher.await.expect("a publisher ends well");
        }
        counted
    });
    let syncs = ["sum", "count"].map(|of| format!("sereno_journal_sync_seconds_{of}"));
    let [seconds, syncs] = syncs.map(|name| runtime.block_on(api::metric(site.http, &name)));
    service.stop();
    Rate { messages: counted as f64 / COUNTED.as_secs_f64(), sync_ms: seconds / syncs * 1e3 }
}

/// Publishes until then; how many messages were acknowledged after the warm-up.
async fn count(port: u16, number: u64, until: Instant) -> u64 {
    let mut before = 0;
    let going = |acked| {
        let left = until.saturating_duration_since(Instant::now());
        if left > COUNTED {
            before = acked;
        }
        !left.is_zero()
    };
    let name = format!("bench-{number}");
    let acked = publish(port, &name, |packets, sent| packet(packets, number, sent), going).await;
    acked - before
}

/// Publishes what `make` appends for each number, as fast as acknowledgements let it, for as long as
/// `going` says so, which is told how many were acknowledged; as many as that were at last.
pub async fn publish(
    port: u16,
    name: &str,
    make: impl Fn(&mut Vec<u8>, u64),
    mut going: impl FnMut(u64) -> bool,
) -> u64 {
    let (mut acks, mut out) = connect(port, name).await;
    let (mut sent, mut bytes) = (0_u64, 0_u64);
    let mut packets = Vec::with_capacity(256 * 1_024);
    let mut taken = vec![0; 16 * 1_024];
    while going(bytes / PUBACK_BYTES) {
        packets.clear();
        while sent - bytes / PUBACK_BYTES < UNDER_WAY_MAX {
            make(&mut packets, sent);
            sent += 1;
        }
        out.write_all(&packets).await.expect("the connection stands");
        let read = acks.read(&mut taken).await.expect("the connection stands");
        assert!(read > 0, "the service ended the connection");
        bytes += read as u64;
    }
    bytes / PUBACK_BYTES
}

/// Message `number` of a publisher to [`PIPELINE`].
pub fn packet(out: &mut Vec<u8>, publisher: u64, number: u64) {
    let sensor = (publisher * 977 + number * 7_919) % SENSORS;
    let topic = format!("bench/s-{sensor:05}");
    let mut payload = String::with_capacity(PAYLOAD_BYTES);
    // No two of a sensor have one time, and none is further ahead than clocks may be.
    let at_ms = 1_772_370_000_000 + number * 50 + publisher;
    let _ = write!(
        payload,
        "{{\"t\":{at_ms},\"pm25\":{}.{},\"pm10\":41.0,\"temp\":18.{},\"hum\":71,\"zona\":\"comuna-07\",\"nota\":\"",
        number % 60,
        number % 10,
        sensor % 10
    );
    while payload.len() < PAYLOAD_BYTES - 2 {
        payload.push('.');
    }
    payload.push_str("\"}");
    publication(out, number, &topic, &payload);
}

/// A PUBLISH at QoS 1 (MQTT 3.1.1, section 3.3): identifiers 1 to 1,000, free again when they come round.
pub fn publication(out: &mut Vec<u8>, number: u64, topic: &str, payload: &str) {
    out.push(0x32);
    let mut rest = 2 + topic.len() + 2 + payload.len();
    while rest > 127 {
        out.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    out.push(rest as u8);
    out.extend((topic.len() as u16).to_be_bytes());
    out.extend(topic.as_bytes());
    out.extend(((number % UNDER_WAY_MAX) as u16 + 1).to_be_bytes());
    out.extend(payload.as_bytes());
}

/// Connects without keep-alive and takes the acknowledgement.
pub async fn connect(port: u16, name: &str) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the listener takes connections");
    stream.set_nodelay(true).expect("a socket has options");
    let (mut input, mut output) = stream.into_split();
    let mut packet = vec![0x10, (12 + name.len()) as u8, 0, 4];
    packet.extend(b"MQTT\x04\x02\x00\x00");
    packet.extend((name.len() as u16).to_be_bytes());
    packet.extend(name.as_bytes());
    output.write_all(&packet).await.expect("the connection stands");
    let mut answer = [0; 4];
    input.read_exact(&mut answer).await.expect("the connection stands");
    assert_eq!(answer, [0x20, 2, 0, 0], "the listener accepts");
    (input, output)
}

fn kib_of_idle(runtime: &Runtime) -> f64 {
    let site = site();
    let data = site.data();
    let service = Service::start(runtime, &site, data.path());
    // What the first connections bring along is not theirs.
    let first = runtime.block_on(async { connect(site.mqtt, "first").await });
    std::thread::sleep(SETTLE);
    let before = service.memory_mib("VmRSS:");
    let idle = runtime.block_on(async {
        let mut idle = Vec::new();
        for number in 0..IDLE {
            idle.push(connect(site.mqtt, &format!("idle-{number}")).await);
        }
        idle
    });
    std::thread::sleep(SETTLE);
    let after = service.memory_mib("VmRSS:");
    drop((first, idle));
    service.stop();
    (after - before) * 1_024.0 / IDLE as f64
}
