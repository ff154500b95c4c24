//! Messages a second through a real mosquitto at QoS 1: into Sereno's journal, synced before each is
//! acknowledged, against a bare rumqttc subscriber that counts and acknowledges; in turn, each with
//! a broker of its own.
//!
//! One connection publishes, as fast as acknowledgements from the broker and the subscriber let it: at most
//! a receive maximum of 1,000 under way to the broker, and so many in the broker as its queue takes
//! easily, so that it neither drops nor swaps. The share of the bare subscriber's pace is the figure: with
//! publisher and broker on the same cores both have the same to share them with. Every message must
//! arrive exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

use super::api;
use super::figures::{Must, Report};
use super::ingest::{PIPELINE, PUBACK_BYTES, UNDER_WAY_MAX, connect, packet};
use super::mosquitto::Mosquitto;
use super::process::Service;
use super::site::Site;
use super::subscriber::Subscriber;

const PAIRS: usize = 5;
const WARM_UP: Duration = Duration::from_secs(2);
const COUNTED: Duration = Duration::from_secs(6);
/// The subscriber's count is asked this often.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Messages that wait in the broker for the subscriber.
const QUEUED_MAX: u64 = 50_000;
/// Until the last message is through.
const REST: Duration = Duration::from_secs(20);
/// Of the bare subscriber's pace.
const SHARE: f64 = 90.0;

/// Measures.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("broker");
    let (mut own, mut bare, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=PAIRS {
        // In turn, so that whatever comes and goes on the machine meets both.
        let bare_first = number % 2 == 1;
        let one = |bare| {
            let broker = Mosquitto::start()?;
            Some(if bare { bare_subscriber(runtime, &broker) } else { sereno(runtime, &broker) })
        };
        let (Some(first), Some(second)) = (one(bare_first), one(!bare_first)) else {
            println!("  passed over: there is no mosquitto");
            return;
        };
        let (of_bare, of_own) = if bare_first { (first, second) } else { (second, first) };
        println!("  run {number}: {of_own:.0} messages/s, bare subscriber {of_bare:.0}");
        own.push(of_own);
        bare.push(of_bare);
        shares.push(of_own / of_bare * 100.0);
    }
    report.add("mosquitto to journal, synced", "messages/s", own, None);
    report.add("mosquitto to a bare subscriber", "messages/s", bare, None);
    report.add("mosquitto to journal, of the bare subscriber", "%", shares, Some(Must::AtLeast(SHARE)));
}

fn bare_subscriber(runtime: &Runtime, broker: &Mosquitto) -> f64 {
    let taken = Arc::<AtomicU64>::default();
    let shared = taken.clone();
    runtime.block_on(async {
        let take = move |_| _ = shared.fetch_add(1, Ordering::Relaxed);
        let subscriber = Subscriber::connect(broker.port, "bench/+", take).await;
        let rate = rate(broker.port, async || taken.load(Ordering::Relaxed)).await;
        drop(subscriber);
        rate
    })
}

fn sereno(runtime: &Runtime, broker: &Mosquitto) -> f64 {
    let pipeline = PIPELINE.replace("decoder = ", "from = \"city\"\ndecoder = ");
    let site = Site::new(&format!("[broker.city]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port))
        .with_pipeline("ingest", &pipeline);
    let data = site.data();
    let service = Service::start(runtime, &site, data.path());
    let rate = runtime.block_on(async {
        while !api::connected(site.http).await {
            tokio::time::sleep(ASK_EVERY).await;
        }
        rate(broker.port, async || api::events(site.http).await).await
    });
    service.stop();
    rate
}

/// Publishes for a while, never further ahead of what was `taken` than [`QUEUED_MAX`]; messages taken a
/// second after the warm-up.
async fn rate(port: u16, taken: impl AsyncFn() -> u64) -> f64 {
    let sent = Arc::<AtomicU64>::default();
    let allowed = Arc::new(AtomicU64::new(QUEUED_MAX));
    let publisher = tokio::spawn(publish(port, sent.clone(), allowed.clone()));
    let began = Instant::now();
    let mut from = None;
    let rate = loop {
        let (now, count) = (Instant::now(), taken().await);
        allowed.store(count + QUEUED_MAX, Ordering::Relaxed);
        match from {
            None if now - began > WARM_UP => from = Some((now, count)),
            Some((then, before)) if now - then > COUNTED => {
                break (count - before) as f64 / (now - then).as_secs_f64();
            }
            _ => {}
        }
        tokio::time::sleep(ASK_EVERY).await;
    };
    // No more than is under way.
    allowed.store(0, Ordering::Relaxed);
    publisher.await.expect("the publisher ends well");
    let (began, sent) = (Instant::now(), sent.load(Ordering::Relaxed));
    while taken().await < sent && began.elapsed() < REST {
        tokio::time::sleep(ASK_EVERY).await;
    }
    assert_eq!(taken().await, sent, "every message arrives once");
    rate
}

/// Publishes as many as are allowed, until none is; returns once all are acknowledged.
async fn publish(port: u16, sent: Arc<AtomicU64>, allowed: Arc<AtomicU64>) {
    let (mut acks, mut out) = connect(port, "bench-publisher").await;
    let (mut number, mut bytes) = (0, 0);
    let mut packets = Vec::with_capacity(256 * 1_024);
    let mut taken = vec![0; 16 * 1_024];
    loop {
        let (acked, may) = (bytes / PUBACK_BYTES, allowed.load(Ordering::Relaxed));
        if may == 0 && acked == number {
            sent.store(number, Ordering::Relaxed);
            return;
        }
        packets.clear();
        while number - acked < UNDER_WAY_MAX && number < may {
            packet(&mut packets, 0, number);
            number += 1;
        }
        if packets.is_empty() && acked == number {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        out.write_all(&packets).await.expect("the connection stands");
        let read = acks.read(&mut taken).await.expect("the connection stands");
        assert!(read > 0, "the broker ended the connection");
        bytes += read as u64;
    }
}
