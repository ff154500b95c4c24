//! Messages through the listener: real clients (mosquitto_pub), and a bare socket for what no
//! well-behaved client does.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::listener::Authority;
use super::testing::listener::{Bare, ack, publish, serve, serve_anyone};
use super::testing::{CHANNEL, a_moment, has_mosquitto, program, until};

#[tokio::test]
async fn real_clients_publish_in_every_version_and_level() {
    if !has_mosquitto() {
        return;
    }
    let served = serve_anyone().await;
    let port = served.port.to_string();
    let mut wanted = Vec::new();
    for version in ["mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let payload = format!("{version}-{qos}");
            let arguments =
                ["-h", "127.0.0.1", "-p", &port, "-V", version, "-q", qos, "-t", "time/a", "-m", &payload];
            let output = program("mosquitto_pub", &arguments).await;
            assert!(output.status.success(), "{payload}: {output:?}");
            wanted.push(payload);
        }
    }
    until("all six taken", || served.sequencer.payloads().len() == 6).await;
    assert_eq!(served.sequencer.payloads(), wanted);
    assert_eq!(served.sequencer.connected(), [("protocol".to_owned(), true), ("time".to_owned(), true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_of_a_real_client_come_once_and_in_order() {
    if !has_mosquitto() {
        return;
    }
    let served = serve_anyone().await;
    for qos in ["1", "2"] {
        let before = served.sequencer.payloads().len();
        let command = format!(
            "seq 1 3000 | mosquitto_pub -h 127.0.0.1 -p {} -q {qos} -l -V mqttv5 -t protocol/a",
            served.port
        );
        assert!(program("sh", &["-c", &command]).await.status.success());
        until("3000 taken", || served.sequencer.payloads().len() >= before + 3_000).await;
        let wanted: Vec<_> = (1..=3_000).map(|number| number.to_string()).collect();
        assert_eq!(served.sequencer.payloads()[before..], wanted);
    }
}

#[tokio::test]
async fn an_oversized_packet_ends_its_connection_only() {
    if !has_mosquitto() {
        return;
    }
    let served = serve_anyone().await;
    let port = served.port.to_string();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'x'; 1_200_000]).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "time/a", "-f", &path];
    let oversized = timeout(Duration::from_secs(3), program("mosquitto_pub", &arguments)).await;
    assert!(oversized.is_err() || !oversized.unwrap().status.success());
    until("a fault", || served.counters.faults.load(Ordering::Relaxed) >= 1).await;
    std::fs::write(file.path(), vec![b'x'; 1_024 * 1_024]).unwrap();
    assert!(program("mosquitto_pub", &arguments).await.status.success(), "1 MiB is allowed");
    assert_eq!(served.sequencer.payloads().len(), 1);
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_durable() {
    let served = serve_anyone().await;
    served.sequencer.hold();
    let (mut bare, _) = Bare::connect(served.port, "a", true, 60).await;
    for id in [3, 1, 2] {
        bare.publish("time/a", "x", 1, id, false).await;
    }
    bare.publish("time/a", "y", 2, 9, false).await;
    bare.publish("nobody/a", "z", 1, 4, false).await;
    until("four taken", || served.sequencer.payloads().len() == 4).await;
    assert!(bare.is_silent().await);
    bare.send(0xC0, &[]).await;
    assert_eq!(bare.read(2).await, [0xD0, 0], "pings are answered meanwhile");
    served.sequencer.let_go();
    let wanted = [ack(0x40, 3), ack(0x40, 1), ack(0x40, 2), ack(0x50, 9), ack(0x40, 4)].concat();
    assert_eq!(bare.read(wanted.len()).await, wanted, "in receive order, the message of no feed too");
    bare.send(0x62, &[0, 9]).await;
    assert_eq!(bare.read(4).await, ack(0x70, 9));
    assert_eq!(served.counters.unrouted.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_floods_without_reading_is_bounded() {
    let served = serve(Authority::new(true, []), |options, _| options.limits.receive_max = 100).await;
    served.sequencer.hold();
    let (bare, _) = Bare::connect(served.port, "flood", true, 0).await;
    let (mut reader, mut writer) = bare.0.into_split();
    let flood = tokio::spawn(async move {
        let payload = "x".repeat(1_000);
        for number in 0..20_000_u32 {
            let id = (number % 65_535 + 1) as u16;
            writer.write_all(&publish("time/a", &payload, 1, id, false)).await.unwrap();
        }
        writer
    });
    until("its share taken", || served.sequencer.payloads().len() == 100).await;
    a_moment().await;
    assert_eq!(served.sequencer.payloads().len(), 100, "nothing more is read from it");
    assert!(!flood.is_finished());
    served.sequencer.let_go();
    let mut acks = vec![0; 4 * 20_000];
    timeout(Duration::from_secs(20), reader.read_exact(&mut acks)).await.unwrap().unwrap();
    let ids: Vec<u32> = acks.chunks(4).map(|ack| u32::from(u16::from_be_bytes([ack[2], ack[3]]))).collect();
    assert!(ids.iter().copied().eq((0..20_000).map(|number| number % 65_535 + 1)));
    flood.await.unwrap();
}

#[tokio::test]
async fn mqtt5_beyond_the_receive_maximum_is_sent_off() {
    let served = serve(Authority::new(true, []), |options, _| options.limits.receive_max = 3).await;
    served.sequencer.hold();
    let mut bare = Bare(TcpStream::connect(("127.0.0.1", served.port)).await.unwrap());
    bare.send(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00").await;
    let head = bare.read(2).await;
    let connack = bare.read(usize::from(head[1])).await;
    assert_eq!(connack[1], 0);
    assert!(connack.windows(3).any(|window| window == [0x21, 0, 3]), "receive maximum is told");
    assert!(connack.contains(&0x12), "a client identifier is assigned");
    for id in 1..=4 {
        bare.send(0x32, &[b"\x00\x06time/a".as_slice(), &[0, id, 0], b"x"].concat()).await;
    }
    let goodbye = bare.read(4).await;
    assert_eq!(goodbye[..3], [0xE0, 2, 0x93]);
    until("three taken", || served.sequencer.payloads().len() == 3).await;
}

#[tokio::test]
async fn a_redelivery_on_a_new_connection_counts_once() {
    let served = serve_anyone().await;
    served.sequencer.hold();
    let (mut bare, present) = Bare::connect(served.port, "device", false, 60).await;
    assert!(!present);
    bare.publish("protocol/a", "1", 1, 7, false).await;
    bare.publish("protocol/a", "2", 2, 8, false).await;
    until("both taken", || served.sequencer.payloads().len() == 2).await;
    drop(bare);
    let (mut bare, present) = Bare::connect(served.port, "device", false, 60).await;
    assert!(present);
    bare.publish("protocol/a", "1", 1, 7, true).await;
    bare.publish("protocol/a", "2", 2, 8, true).await;
    bare.publish("protocol/a", "3", 1, 7, false).await;
    bare.publish("protocol/a", "4", 1, 9, true).await;
    until("six taken", || served.sequencer.payloads().len() == 6).await;
    let repeated: Vec<bool> = served.sequencer.taken().iter().map(|one| one.repeated).collect();
    assert_eq!(repeated, [false, false, true, true, false, false]);
    assert!(bare.is_silent().await);
    served.sequencer.let_go();
    let wanted = [ack(0x40, 7), ack(0x50, 8), ack(0x40, 7), ack(0x40, 9)].concat();
    assert_eq!(bare.read(16).await, wanted);
    bare.send(0x62, &[0, 8]).await;
    assert_eq!(bare.read(4).await, ack(0x70, 8));
    bare.publish("protocol/a", "5", 2, 8, false).await;
    assert_eq!(bare.read(4).await, ack(0x50, 8));
    assert!(!served.sequencer.taken().last().unwrap().repeated, "a released identifier is free");
}

#[tokio::test]
async fn a_second_connection_takes_the_session_over() {
    let served = serve_anyone().await;
    served.sequencer.hold();
    let (mut first, _) = Bare::connect(served.port, "device", false, 60).await;
    first.publish("time/a", "1", 1, 1, false).await;
    until("taken", || served.sequencer.payloads().len() == 1).await;
    let (mut second, present) = Bare::connect(served.port, "device", false, 60).await;
    assert!(present);
    assert!(first.is_closed().await);
    served.sequencer.let_go();
    assert!(second.is_silent().await, "an older connection's acknowledgement never comes here");
}

#[tokio::test]
async fn a_message_read_by_a_connection_that_lost_its_session_is_not_lost_and_not_doubled() {
    let served = serve_anyone().await;
    let (mut first, _) = Bare::connect(served.port, "device", false, 60).await;
    // Given a sequencer that takes nothing, and its channel full,
    served.sequencer.pause(true);
    for number in 1..=CHANNEL as u16 + 1 {
        first.publish("time/a", &number.to_string(), 1, number, false).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // when a message at QoS 2 waits on a connection whose client comes back on another one,
    first.publish("protocol/a", "x", 2, 88, false).await;
    first.publish("time/a", "y", 0, 0, false).await;
    a_moment().await;
    let (mut second, present) = Bare::connect(served.port, "device", false, 60).await;
    assert!(present && first.is_closed().await);
    second.publish("protocol/a", "x", 2, 88, true).await;
    a_moment().await;
    served.sequencer.pause(false);
    // then it comes once, as new, and what the first connection had at QoS 0 comes too.
    assert_eq!(second.read(4).await, ack(0x50, 88));
    until("all", || served.sequencer.payloads().len() >= CHANNEL + 3).await;
    let taken = served.sequencer.taken();
    let copies: Vec<bool> = taken.iter().filter(|one| one.payload == "x").map(|one| one.repeated).collect();
    assert_eq!((copies, taken.len()), (vec![false], CHANNEL + 3));
}

#[tokio::test]
async fn silence_ends_a_connection_also_while_it_waits_for_acknowledgements() {
    let served = serve_anyone().await;
    served.sequencer.hold();
    let (mut bare, _) = Bare::connect(served.port, "silent", true, 1).await;
    bare.publish("time/a", "1", 1, 1, false).await;
    let started = std::time::Instant::now();
    assert!(bare.is_closed().await);
    let silence = started.elapsed();
    assert!(silence >= Duration::from_millis(1_300) && silence < Duration::from_secs(4), "{silence:?}");
}

#[tokio::test]
async fn a_will_comes_as_a_message_unless_the_client_says_goodbye() {
    let served = serve_anyone().await;
    let connect = |topic: &str| {
        let mut packet = b"\x00\x04MQTT\x04\x06\x00\x3c\x00\x01w".to_vec();
        packet.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        packet.extend_from_slice(topic.as_bytes());
        packet.extend_from_slice(b"\x00\x04gone");
        packet
    };
    let (mut bare, _) = Bare::connect_with(served.port, connect("time/w")).await;
    bare.send(0xE0, &[]).await;
    assert!(bare.is_closed().await);
    let (bare, _) = Bare::connect_with(served.port, connect("time/w")).await;
    drop(bare);
    until("the will", || served.sequencer.payloads() == ["gone"]).await;
    let mut bare = Bare(TcpStream::connect(("127.0.0.1", served.port)).await.unwrap());
    bare.send(0x10, &connect("sereno/alerts")).await;
    assert_eq!(bare.read(4).await, [0x20, 2, 0, 5]);
}

#[tokio::test]
async fn own_topics_are_closed_to_clients() {
    let served = serve_anyone().await;
    let (mut bare, _) = Bare::connect(served.port, "a", true, 60).await;
    bare.publish("sereno/alerts/x", "false alarm", 1, 1, false).await;
    assert!(bare.is_closed().await);
    assert_eq!(served.counters.forbidden.load(Ordering::Relaxed), 1);
    assert!(served.sequencer.payloads().is_empty());
}

/// Five messages that are refused, and how long a neighbour's wait for their acknowledgements.
async fn beside_a_flood(refused: &str) {
    let served = serve_anyone().await;
    let (mut flood, _) = Bare::connect(served.port, "flood", true, 0).await;
    let (mut neighbour, _) = Bare::connect(served.port, "neighbour", true, 0).await;
    let begun = Instant::now();
    let mut waited = Duration::ZERO;
    for id in 1..=5 {
        flood.publish("time/flood", refused, 1, id, false).await;
        assert_eq!(flood.read(4).await, ack(0x40, id), "what is refused is acknowledged");
        let asked = Instant::now();
        neighbour.publish("time/neighbour", "1", 1, id, false).await;
        assert_eq!(neighbour.read(4).await, ack(0x40, id));
        waited += asked.elapsed();
    }
    assert!(begun.elapsed() >= Duration::from_millis(400), "five floods in {:?}", begun.elapsed());
    assert!(waited < begun.elapsed() / 2, "the neighbour waited {waited:?} of {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_floods_is_read_ten_times_a_second_and_its_neighbour_at_once() {
    beside_a_flood("flood").await;
}

#[tokio::test]
async fn a_client_that_invents_names_is_read_ten_times_a_second_and_its_neighbour_at_once() {
    beside_a_flood("invented").await;
}

#[tokio::test]
async fn a_client_at_qos_0_does_not_fill_the_channel() {
    let served = serve_anyone().await;
    until("the feeds are up", || served.sequencer.connected().len() == 2).await;
    served.sequencer.pause(true);
    let (mut flood, _) = Bare::connect(served.port, "flood", true, 0).await;
    // One batch is in the hand of the sequencer, and all the others that may be under way fit.
    for _ in 0..3 * CHANNEL {
        flood.publish("time/flood", "1", 0, 0, false).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (mut neighbour, _) = Bare::connect(served.port, "neighbour", true, 0).await;
    neighbour.publish("time/neighbour", "2", 1, 1, false).await;
    until("the neighbour's message is in the channel", || served.sequencer.input.capacity() == 0).await;
    served.sequencer.pause(false);
    assert_eq!(neighbour.read(4).await, ack(0x40, 1));
    let at = served.sequencer.payloads().iter().position(|payload| payload == "2").unwrap();
    assert!(at <= CHANNEL, "{at} messages of the flood went before");
    until("the flood goes on", || served.sequencer.payloads().len() == 3 * CHANNEL + 1).await;
}
