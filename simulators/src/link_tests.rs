//! The ledger forgets nothing before its acknowledgement, and a broken connection loses nothing.

use super::*;
use rumqttc::PubAck;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

fn message(number: u16) -> Message {
    Message {
        sent_at_ms: 0,
        gateway: 0,
        topic: format!("t/{number}"),
        payload: number.to_string().into_bytes(),
    }
}

fn client() -> AsyncClient {
    AsyncClient::new(MqttOptions::new("test", "localhost", 1883), OUTSTANDING_MAX + 8).0
}

fn acknowledged(id: u16) -> Event {
    Event::Incoming(Packet::PubAck(PubAck::new(id)))
}

#[test]
fn a_restart_keeps_the_order_and_what_was_not_acknowledged() {
    // The event loops are dropped, so handing over only warns: the ledger's own order is what counts.
    let mut ledger = Ledger::new(client());
    (1..=5).for_each(|number| ledger.publish(message(number)));
    (1..=3).for_each(|id| assert_eq!(ledger.note(&Event::Outgoing(Outgoing::Publish(id))), 0));
    assert_eq!(ledger.note(&acknowledged(2)), 1);
    assert_eq!(ledger.note(&acknowledged(9)), 0, "never sent");
    ledger.restart(client());
    let waiting: Vec<&str> = ledger.waiting.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(waiting, ["t/1", "t/3", "t/4", "t/5"]);
    assert!(ledger.inflight.is_empty());
    assert_eq!((ledger.report.acknowledged, ledger.report.resent), (1, 2));
}

/// Reads one MQTT packet: its first byte and its body.
fn read_packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0u8];
    stream.read_exact(&mut byte).ok()?;
    let kind = byte[0];
    let (mut length, mut shift) = (0usize, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0u8; length];
    stream.read_exact(&mut body).ok()?;
    Some((kind, body))
}

/// A broker on the loopback that acknowledges, but hangs up once after `first` publishes without
/// acknowledging the last; returns the payloads it acknowledged.
fn broker(listener: TcpListener, first: usize) -> Vec<String> {
    let mut taken = Vec::new();
    for connection in 0..2 {
        let mut stream = listener.accept().unwrap().0;
        while let Some((kind, body)) = read_packet(&mut stream) {
            match kind >> 4 {
                1 => stream.write_all(&[0x20, 2, 0, 0]).unwrap(),
                3 => {
                    let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                    if connection == 0 && taken.len() == first {
                        break;
                    }
                    taken.push(String::from_utf8(body[topic + 4..].to_vec()).unwrap());
                    stream.write_all(&[0x40, 2, body[topic + 2], body[topic + 3]]).unwrap();
                }
                14 => return taken,
                _ => {}
            }
        }
    }
    taken
}

#[test]
fn a_broken_connection_is_made_anew_and_nothing_is_lost_or_out_of_order() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || broker(listener, 300));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = PublishOptions { speed: 0.0, ..PublishOptions::new("127.0.0.1", port, 0) };
    let messages = (1..=1_000).map(message);
    let published = runtime.block_on(crate::publish_all(messages, &options, std::future::pending())).unwrap();
    let taken: Vec<u32> = server.join().unwrap().iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!((published.published, published.acknowledged, published.connections), (1_000, 1_000, 2));
    let distinct: std::collections::BTreeSet<u32> = taken.iter().copied().collect();
    assert_eq!(distinct.len(), 1_000, "all arrived");
    assert!(taken.windows(2).filter(|pair| pair[1] < pair[0]).count() <= 1, "in order but for one step back");
    assert!(published.resent >= 1);
}
