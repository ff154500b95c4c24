//! The listener's subscribers, its bounds before a login, its start and its end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::listener::{
    Authority, Listener, ListenerEdges, ListenerOptions, PublicationError, PublicationLimits, TlsFiles,
};
use super::testing::listener::{Bare, ack, serve, serve_anyone};
use super::testing::{a_moment, clock, has_mosquitto, program, routes, until};

#[tokio::test]
async fn only_users_with_their_password_come_in() {
    if !has_mosquitto() {
        return;
    }
    let served = serve(Authority::new(false, [("meteo".into(), "lluvia".into())]), |_, _| {}).await;
    let port = served.port.to_string();
    for version in ["mqttv311", "mqttv5"] {
        for (user, password, welcome) in
            [("meteo", "lluvia", true), ("meteo", "sol", false), ("otro", "lluvia", false)]
        {
            let arguments = [
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-V",
                version,
                "-q",
                "1",
                "-t",
                "time/a",
                "-m",
                user,
                "-u",
                user,
                "-P",
                password,
            ];
            let output = program("mosquitto_pub", &arguments).await;
            assert_eq!(output.status.success(), welcome, "{version} {user} {password}");
        }
        let arguments = ["-h", "127.0.0.1", "-p", &port, "-V", version, "-t", "time/a", "-m", "nobody"];
        assert!(!program("mosquitto_pub", &arguments).await.status.success());
    }
    assert_eq!(served.sequencer.payloads(), ["meteo", "meteo"]);
    assert_eq!(served.counters.logins_refused.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn real_subscribers_get_retained_and_live_messages_and_nothing_else() {
    if !has_mosquitto() {
        return;
    }
    let served = serve_anyone().await;
    let port = served.port.to_string();
    served.publications.publish("sereno/alerts/1", Bytes::from_static(b"old"), true).unwrap();
    served.publications.publish("sereno/alerts/2", Bytes::from_static(b"over"), true).unwrap();
    served.publications.publish("sereno/alerts/2", Bytes::new(), true).unwrap();
    let refused = served.publications.publish("ciudad/x", Bytes::new(), false);
    assert_eq!(refused, Err(PublicationError::Topic));
    for (version, qos) in [("mqttv311", "0"), ("mqttv311", "1"), ("mqttv5", "1")] {
        let arguments = [
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-V",
            version,
            "-q",
            qos,
            "-t",
            "sereno/#",
            "-C",
            "2",
            "-W",
            "10",
            "-v",
        ];
        let publications = served.publications.clone();
        let live = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                publications.publish("sereno/live", Bytes::from_static(b"new"), false).unwrap();
            }
        });
        let output = program("mosquitto_sub", &arguments).await;
        live.abort();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "sereno/alerts/1 old\nsereno/live new\n");
        let arguments =
            ["-h", "127.0.0.1", "-p", &port, "-V", version, "-q", qos, "-t", "time/#", "-C", "1", "-W", "2"];
        let output = program("mosquitto_sub", &arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("denied") && output.stdout.is_empty(), "{output:?}");
    }
}

#[tokio::test]
async fn alerts_wait_for_a_subscriber_with_a_session() {
    let served = serve_anyone().await;
    let (mut bare, _) = Bare::connect(served.port, "panel", false, 60).await;
    bare.send(0x82, b"\x00\x01\x00\x08sereno/#\x02\x00\x06time/#\x00").await;
    assert_eq!(bare.read(6).await, [0x90, 4, 0, 1, 1, 0x80]);
    served.publications.publish("sereno/a", Bytes::from_static(b"1"), false).unwrap();
    let first = bare.read(15).await;
    assert_eq!(&first[..12], b"\x32\x0d\x00\x08sereno/a");
    drop(bare);
    a_moment().await;
    served.publications.publish("sereno/a", Bytes::from_static(b"2"), false).unwrap();
    let (mut bare, present) = Bare::connect(served.port, "panel", false, 60).await;
    assert!(present);
    let again = bare.read(15).await;
    assert_eq!((again[0], &again[12..]), (0x3A, &first[12..]), "sent again, as a duplicate");
    let second = bare.read(15).await;
    assert_eq!((second[0], second[14]), (0x32, b'2'));
    bare.send(0xA2, b"\x00\x02\x00\x08sereno/#").await;
    assert_eq!(bare.read(4).await, ack(0xB0, 2));
    served.publications.publish("sereno/a", Bytes::from_static(b"3"), false).unwrap();
    assert!(bare.is_silent().await);
}

#[tokio::test]
async fn a_subscriber_that_stalls_is_dropped_at_its_cap() {
    let served =
        serve(Authority::new(true, []), |_, publications| publications.outbox_bytes_max = 1_000_000).await;
    let (mut bare, _) = Bare::connect(served.port, "stalled", true, 0).await;
    bare.send(0x82, b"\x00\x01\x00\x08sereno/#\x00").await;
    assert_eq!(bare.read(5).await, [0x90, 3, 0, 1, 0]);
    let payload = Bytes::from(vec![b'x'; 50_000]);
    until("dropped", || {
        for _ in 0..10 {
            served.publications.publish("sereno/a", payload.clone(), false).unwrap();
        }
        served.counters.subscribers_dropped.load(Ordering::Relaxed) == 1
    })
    .await;
    assert!(bare.is_closed().await);
}

#[tokio::test]
async fn connections_beyond_the_most_are_refused_and_slow_logins_end() {
    let served = serve(Authority::new(true, []), |options, _| {
        options.limits.connections_max = 1;
        options.limits.connect_timeout = Duration::from_millis(500);
    })
    .await;
    let mut slow = Bare(TcpStream::connect(("127.0.0.1", served.port)).await.unwrap());
    a_moment().await;
    let mut second = Bare(TcpStream::connect(("127.0.0.1", served.port)).await.unwrap());
    assert!(second.is_closed().await);
    assert_eq!(served.counters.connections_refused.load(Ordering::Relaxed), 1);
    assert!(slow.is_closed().await);
    until("room", || served.counters.connections() == 0).await;
    Bare::connect(served.port, "third", true, 0).await;
}

#[tokio::test]
async fn garbage_and_oversized_connects_only_end_their_connection() {
    let served = serve_anyone().await;
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x04\x02\x00\x3c".to_vec(),
        b"\x10\x0c\x00\x04MQTT\x09\x02\x00\x3c\x00\x00".to_vec(),
        b"\x30\x07\x00\x06time/a".to_vec(),
    ] {
        let mut bare = Bare(TcpStream::connect(("127.0.0.1", served.port)).await.unwrap());
        bare.0.write_all(&bytes).await.unwrap();
        assert!(bare.is_closed().await);
    }
    assert!(served.sequencer.payloads().is_empty());
    Bare::connect(served.port, "good", true, 0).await;
}

#[tokio::test]
async fn stopping_waits_for_acknowledgements_still_to_come() {
    let mut served = serve_anyone().await;
    served.sequencer.hold();
    let (mut bare, _) = Bare::connect(served.port, "a", true, 60).await;
    bare.publish("time/a", "1", 1, 1, false).await;
    until("taken", || served.sequencer.payloads().len() == 1).await;
    served.stop.take();
    a_moment().await;
    assert!(!served.done.is_finished());
    served.sequencer.let_go();
    assert_eq!(bare.read(4).await, ack(0x40, 1));
    timeout(Duration::from_secs(5), served.done).await.unwrap().unwrap();
    until("feeds down", || served.sequencer.connected().iter().filter(|(_, up)| !up).count() == 2).await;
}

#[tokio::test]
async fn tls_works_with_a_real_client() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (file("key.pem"), file("cert.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-keyout", &key, "-out", &certificate])
        .output();
    if !has_mosquitto() || !made.is_ok_and(|made| made.status.success()) {
        println!("skipped: openssl cannot make a certificate");
        return;
    }
    let files = TlsFiles { certificate: certificate.clone().into(), key: key.into() };
    let served = serve(Authority::new(true, []), |options, _| options.tls = Some(files)).await;
    let port = served.port.to_string();
    let arguments =
        ["-h", "localhost", "-p", &port, "--cafile", &certificate, "-q", "1", "-t", "time/a", "-m", "secret"];
    let output = program("mosquitto_pub", &arguments).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(served.sequencer.payloads(), ["secret"]);
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_says_so() {
    let served = serve_anyone().await;
    let routes = routes(&[]);
    let bind = format!("127.0.0.1:{}", served.port).parse().unwrap();
    let options = ListenerOptions::new(bind, Authority::default());
    let edges = ListenerEdges {
        routes: routes.subscribe(),
        input: served.sequencer.input.clone(),
        durable: served.sequencer.durable.clone(),
        clock: clock(),
    };
    let error = Listener::bind(options, PublicationLimits::default(), edges).await.err().unwrap();
    assert!(error.to_string().contains("listener.bind"), "{error}");
}
