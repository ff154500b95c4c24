//! A listener under test, and a bare MQTT 3.1.1 client that does what no well-behaved one would.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::{Sequencer, clock, routes};
use crate::feed::listener::{
    Authority, Listener, ListenerEdges, ListenerOptions, PublicationLimits, Publications,
};
use crate::feed::{FeedCounters, Routes};
use crate::model::definition::Identity;

pub(in crate::feed) struct Served {
    pub(in crate::feed) sequencer: Sequencer,
    pub(in crate::feed) publications: Publications,
    pub(in crate::feed) counters: Arc<FeedCounters>,
    pub(in crate::feed) port: u16,
    pub(in crate::feed) stop: Option<oneshot::Sender<()>>,
    pub(in crate::feed) done: tokio::task::JoinHandle<()>,
    _routes: watch::Sender<Arc<Routes>>,
}

pub(in crate::feed) async fn serve(
    authority: Authority,
    change: impl FnOnce(&mut ListenerOptions, &mut PublicationLimits),
) -> Served {
    let sequencer = Sequencer::start();
    let routes = routes(&[("time/#", Identity::Time), ("protocol/#", Identity::Protocol)]);
    let mut options = ListenerOptions::new("127.0.0.1:0".parse().unwrap(), authority);
    let mut publications = PublicationLimits::default();
    change(&mut options, &mut publications);
    let edges = ListenerEdges {
        routes: routes.subscribe(),
        input: sequencer.input.clone(),
        durable: sequencer.durable.clone(),
        clock: clock(),
    };
    let listener = Listener::bind(options, publications, edges).await.unwrap();
    let (port, counters, publications) =
        (listener.address().port(), listener.counters(), listener.publications());
    let (stop, stopped) = oneshot::channel::<()>();
    let done = tokio::spawn(listener.run(async {
        let _ = stopped.await;
    }));
    Served { sequencer, publications, counters, port, stop: Some(stop), done, _routes: routes }
}

pub(in crate::feed) async fn serve_anyone() -> Served {
    serve(Authority::new(true, []), |_, _| {}).await
}

/// A bare MQTT 3.1.1 client.
pub(in crate::feed) struct Bare(pub(in crate::feed) TcpStream);

impl Bare {
    pub(in crate::feed) async fn connect(port: u16, id: &str, clean: bool, keep_alive: u16) -> (Self, bool) {
        let mut packet = vec![0, 4];
        packet.extend_from_slice(b"MQTT\x04");
        packet.push(if clean { 2 } else { 0 });
        packet.extend_from_slice(&keep_alive.to_be_bytes());
        packet.extend_from_slice(&(id.len() as u16).to_be_bytes());
        packet.extend_from_slice(id.as_bytes());
        Self::connect_with(port, packet).await
    }

    pub(in crate::feed) async fn connect_with(port: u16, packet: Vec<u8>) -> (Self, bool) {
        let mut bare = Self(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        bare.send(0x10, &packet).await;
        let answer = bare.read(4).await;
        assert_eq!((answer[0], answer[3]), (0x20, 0), "CONNACK");
        (bare, answer[2] == 1)
    }

    pub(in crate::feed) async fn send(&mut self, first: u8, body: &[u8]) {
        self.0.write_all(&packet(first, body)).await.unwrap();
    }

    pub(in crate::feed) async fn publish(&mut self, topic: &str, payload: &str, qos: u8, id: u16, dup: bool) {
        self.0.write_all(&publish(topic, payload, qos, id, dup)).await.unwrap();
    }

    pub(in crate::feed) async fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut answer = vec![0; bytes];
        timeout(Duration::from_secs(10), self.0.read_exact(&mut answer)).await.expect("an answer").unwrap();
        answer
    }

    pub(in crate::feed) async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(300), self.0.read_u8()).await.is_err()
    }

    pub(in crate::feed) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        timeout(Duration::from_secs(10), self.0.read_to_end(&mut rest)).await.is_ok()
    }
}

pub(in crate::feed) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let more = length > 127;
        packet.push((length % 128) as u8 | if more { 0x80 } else { 0 });
        length /= 128;
        if !more {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

pub(in crate::feed) fn publish(topic: &str, payload: &str, qos: u8, id: u16, dup: bool) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    if qos > 0 {
        body.extend_from_slice(&id.to_be_bytes());
    }
    body.extend_from_slice(payload.as_bytes());
    packet(0x30 | (qos << 1) | if dup { 8 } else { 0 }, &body)
}

pub(in crate::feed) fn ack(first: u8, id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![first, 2, high, low]
}
