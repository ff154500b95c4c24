//! What the feeds' tests share: a scripted sequencer, a decoder that takes everything, and the
//! mosquitto programs.

#[cfg(feature = "broker")]
pub(super) mod listener;

use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::{Clock, Decode, Filter, Route, Routes};
use crate::journal::packets::Packets;
use crate::model::definition::{AckLevel, Identity};
use crate::model::{Arrival, Brought, Decoded, Durable, Input, Reason, Rejected, Timestamp};

/// What the sequencer's channel holds.
pub(super) const CHANNEL: usize = 4;

/// A message the sequencer got.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Taken {
    pub(super) feed: String,
    pub(super) topic: String,
    pub(super) payload: String,
    /// The connection knew it for a redelivery, or the real sequencer would.
    pub(super) repeated: bool,
}

/// A sequencer that journals at once and makes the journal durable when it is let.
pub(super) struct Sequencer {
    pub(super) input: mpsc::Sender<Input>,
    pub(super) durable: watch::Receiver<Durable>,
    moves: watch::Sender<Durable>,
    epoch: Arc<AtomicU64>,
    held: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<Taken>>>,
    connected: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Sequencer {
    pub(super) fn start() -> Self {
        let (input, mut inputs) = mpsc::channel(CHANNEL);
        let (moves, durable) = watch::channel(Durable::default());
        let epoch = Arc::new(AtomicU64::new(0));
        let held = Arc::new(AtomicBool::new(false));
        let paused = Arc::new(AtomicBool::new(false));
        let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
        let connected: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
        let this = Self {
            input,
            durable,
            moves: moves.clone(),
            epoch: Arc::clone(&epoch),
            held: Arc::clone(&held),
            paused: Arc::clone(&paused),
            taken: Arc::clone(&taken),
            connected: Arc::clone(&connected),
        };
        let mut packets = Packets::default();
        let mut is_brought_again = move |brought: Brought| {
            let again = brought.again && packets.holds(&brought.packet);
            if !again && packets.is_news(&brought.packet) {
                packets.take(&brought.packet);
            }
            again
        };
        tokio::spawn(async move {
            while let Some(input) = inputs.recv().await {
                while paused.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                match input {
                    Input::Messages(messages) => {
                        let epoch = epoch.fetch_add(1, Ordering::SeqCst);
                        for message in messages {
                            let again =
                                !message.repeated && message.brought.is_some_and(&mut is_brought_again);
                            taken.lock().unwrap().push(Taken {
                                feed: message.feed.to_string(),
                                topic: message.topic.to_string(),
                                payload: String::from_utf8_lossy(&message.payload).into_owned(),
                                repeated: message.repeated || again,
                            });
                            if let Some(ack) = message.ack {
                                if message.payload.starts_with(b"invented") {
                                    ack.gate.overdrawn();
                                }
                                ack.gate.journaled(ack.ticket, epoch);
                            }
                        }
                        if !held.load(Ordering::SeqCst) {
                            moves.send_replace(Durable { written: epoch + 1, synced: epoch + 1 });
                        }
                    }
                    Input::Connected { feed, up } => connected.lock().unwrap().push((feed.to_string(), up)),
                    _ => {}
                }
            }
        });
        this
    }

    /// The journal stays as durable as it is.
    pub(super) fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Takes nothing more than the one input it may have in hand, or goes on.
    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// Everything journaled is durable, and so it goes on.
    pub(super) fn let_go(&self) {
        self.held.store(false, Ordering::SeqCst);
        let epoch = self.epoch.load(Ordering::SeqCst);
        self.moves.send_replace(Durable { written: epoch, synced: epoch });
    }

    pub(super) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    pub(super) fn payloads(&self) -> Vec<String> {
        self.taken().into_iter().map(|one| one.payload).collect()
    }

    pub(super) fn connected(&self) -> Vec<(String, bool)> {
        self.connected.lock().unwrap().clone()
    }
}

/// Takes everything; a payload `flood` is beyond its device's quota.
struct Anything;

impl Decode for Anything {
    fn decode(&self, arrival: &Arrival) -> Decoded {
        let flood = arrival.payload.starts_with(b"flood");
        let rejected = flood.then(|| Rejected::message(Reason::OverRate, "more than its quota"));
        Decoded { rejected: rejected.into_iter().collect(), ..Decoded::default() }
    }
}

/// Routes of feeds named by their filters' first level.
pub(super) fn routes(filters: &[(&str, Identity)]) -> watch::Sender<Arc<Routes>> {
    let routes = filters.iter().map(|(filter, identity)| Route {
        feed: filter.split('/').next().unwrap().into(),
        filter: Filter::parse(filter).unwrap(),
        ack: AckLevel::Synced,
        identity: *identity,
        decode: Arc::new(Anything),
    });
    watch::Sender::new(Arc::new(Routes::new(routes.collect())))
}

pub(super) fn clock() -> Clock {
    Arc::new(|| Timestamp(0))
}

/// Waits until `condition` holds.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Long enough for what must not happen to happen.
pub(super) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// Whether the mosquitto programs are there; says so if not.
pub(super) fn has_mosquitto() -> bool {
    let all = ["mosquitto_pub", "mosquitto_sub"]
        .iter()
        .all(|name| Command::new(name).arg("--help").output().is_ok());
    let broker = mosquitto().is_some();
    if !all || !broker {
        println!("skipped: mosquitto, mosquitto_pub and mosquitto_sub are not installed");
    }
    all && broker
}

/// The mosquitto broker's path.
pub(super) fn mosquitto() -> Option<&'static str> {
    ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
}

/// Runs a program to its end, off the runtime.
pub(super) async fn program(name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(name);
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}
