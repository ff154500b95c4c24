//! `sereno.toml`: addresses, brokers, sinks, receivers.

use std::net::{SocketAddr, ToSocketAddrs};

use super::feed::{check_source, timezone};
use super::{Findings, In, at, key, name};
use crate::config::byte_size::ByteSize;
use crate::config::listener::Listener;
use crate::config::receiver::{MqttReceiver, Receiver};
use crate::config::sereno::{Checkpoint, LISTENER, Sereno};
use crate::model::definition::Severity;
use crate::model::fault::Step;
use crate::model::{Fault, Span};
use crate::rule::near;

/// The format version of `sereno.toml`.
const VERSION: u32 = 1;
/// The smallest segment: below it, a journal is mostly files.
const SEGMENT_BYTES_MIN: ByteSize = ByteSize::mib(1);

/// The shortest time that the journal is kept.
const KEEP_MIN: Span = Span::seconds(3_600);
/// More often, writing them is most of the work.
const CHECKPOINT_EVERY_MIN: Span = Span::seconds(1);
const CHECKPOINT_RECORDS_MIN: u64 = 1_000;

/// Checks the service's settings.
pub(super) fn check(sereno: &Sereno, findings: &mut Findings) {
    let mut report = Report { findings };
    if sereno.version != VERSION {
        let fault = Fault::new(format!("version {} is unknown", sereno.version), "write version = 1");
        report.error([key("version")], fault);
    }
    report.check([key("timezone")], timezone(&sereno.timezone));
    if sereno.default_source != LISTENER {
        report.check([key("default_source")], check_source(sereno, &sereno.default_source));
    }
    check_http(sereno, &mut report);
    if sereno.listener.enabled {
        check_listener(&sereno.listener, &mut report);
    }
    check_brokers(sereno, &mut report);
    check_sinks(sereno, &mut report);
    for (index, receiver) in sereno.receivers.iter().enumerate() {
        check_receiver(sereno, index, receiver, &mut report);
    }
    if sereno.journal.segment_bytes < SEGMENT_BYTES_MIN {
        let fault = Fault::new(
            format!("segments of {} are too small", sereno.journal.segment_bytes),
            "write 1MiB or more",
        );
        report.error([key("journal"), key("segment_bytes")], fault);
    }
    check_checkpoint(&sereno.checkpoint, &mut report);
    for (name, span) in [("keep", sereno.journal.keep), ("behind_max", sereno.journal.behind_max)] {
        if span < KEEP_MIN {
            let fault = Fault::new(
                format!("{span} is too short: a restart needs what came in last"),
                "write 1h or more",
            );
            report.error([key("journal"), key(name)], fault);
        }
    }
}

fn check_checkpoint(checkpoint: &Checkpoint, report: &mut Report<'_>) {
    if checkpoint.every < CHECKPOINT_EVERY_MIN {
        let fault = Fault::new(format!("{} is too short", checkpoint.every), "write 1s or more");
        report.error([key("checkpoint"), key("every")], fault);
    }
    if checkpoint.records < CHECKPOINT_RECORDS_MIN {
        let fault = Fault::new(format!("{} are too few", checkpoint.records), "write 1000 or more");
        report.error([key("checkpoint"), key("records")], fault);
    }
}

struct Report<'a> {
    findings: &'a mut Findings,
}

impl Report<'_> {
    fn error<const N: usize>(&mut self, path: [Step; N], fault: Fault) {
        self.findings.error(In::Sereno, at(path, fault));
    }

    fn check<const N: usize>(&mut self, path: [Step; N], result: Result<(), Fault>) {
        if let Err(fault) = result {
            self.error(path, fault);
        }
    }
}

/// Address and port; whether it is reachable from other machines.
fn reachable(address: &str, example: &str) -> Result<bool, Fault> {
    if let Ok(address) = address.parse::<SocketAddr>() {
        return Ok(!address.ip().is_loopback());
    }
    // Only this name is looked up: checking asks no name server.
    let local = address.strip_prefix("localhost:").is_some_and(|_| address.to_socket_addrs().is_ok());
    if local {
        return Ok(false);
    }
    let remedy = format!("write an address and a port, as in \"{example}\"");
    Err(Fault::new(format!("`{address}` is no address to listen on"), remedy))
}

fn check_http(sereno: &Sereno, report: &mut Report<'_>) {
    let http = &sereno.http;
    let path = [key("http"), key("listen")];
    match reachable(&http.listen, "127.0.0.1:8080") {
        Err(fault) => report.error(path, fault),
        Ok(true) if !http.allow_remote => {
            let message =
                format!("`{}` is reachable from other machines, and nobody has to sign in", http.listen);
            let remedy =
                "listen on 127.0.0.1, or put a proxy with sign-in before it and set allow_remote = true";
            report.error(path, Fault::new(message, remedy));
        }
        Ok(_) => {}
    }
}

fn check_listener(listener: &Listener, report: &mut Report<'_>) {
    let place = |name: &str| [key("listener"), key(name)];
    match reachable(&listener.bind, "127.0.0.1:1883") {
        Err(fault) => report.error(place("bind"), fault),
        Ok(false) => {}
        Ok(true) => {
            let address = &listener.bind;
            if listener.anonymous() {
                let fault = if listener.allow_anonymous == Some(true) {
                    let message = format!(
                        "clients without a name are let in, and `{address}` is reachable from other machines"
                    );
                    (
                        place("allow_anonymous"),
                        Fault::new(message, "take allow_anonymous away, or listen on 127.0.0.1"),
                    )
                } else {
                    let message =
                        format!("`{address}` is reachable from other machines, and there are no users");
                    (place("bind"), Fault::new(message, "add [[listener.users]], or listen on 127.0.0.1"))
                };
                report.error(fault.0, fault.1);
            } else if !listener.allow_remote {
                let message = format!("`{address}` is reachable from other machines");
                report.error(
                    place("bind"),
                    Fault::new(message, "listen on 127.0.0.1, or set allow_remote = true"),
                );
            }
        }
    }
    for (index, user) in listener.users.iter().enumerate() {
        let path = || [key("listener"), key("users"), index.into(), key("name")];
        if user.name.is_empty() {
            report.error(path(), Fault::new("the user has no name", "give one"));
        } else if listener.users.iter().take(index).any(|other| other.name == user.name) {
            let message = format!("there is another user called `{}`", user.name);
            report.error(path(), Fault::new(message, "take one away"));
        }
    }
    if listener.connections_max == 0 {
        report.error(
            place("connections_max"),
            Fault::new("nobody could connect", "allow at least one, or set enabled = false"),
        );
    }
    if listener.packet_bytes_max < ByteSize(256) {
        let message = format!("packets of {} hold no measurement", listener.packet_bytes_max);
        report.error(place("packet_bytes_max"), Fault::new(message, "write for example \"1MiB\""));
    }
}

fn check_brokers(sereno: &Sereno, report: &mut Report<'_>) {
    for (name, broker) in &sereno.brokers {
        let path = |setting: &str| [key("broker"), key(name), key(setting)];
        if name == LISTENER {
            let fault =
                Fault::new("a broker cannot be called `listener`: that is the own one", "call it otherwise");
            report.error([key("broker"), key(name)], fault);
        }
        report.check([key("broker"), key(name)], name::dashed(name, "a broker"));
        let address = broker.address();
        if address.is_none() {
            let message = format!("`{}` is no address of a broker", broker.url);
            let remedy = "write \"mqtt://host:1883\", or \"mqtts://host:8883\" with TLS; names and passwords stand apart";
            report.error(path("url"), Fault::new(message, remedy));
        }
        if broker.ca_file.is_some() && address.is_some_and(|address| !address.tls) {
            report.error(
                path("ca_file"),
                Fault::new("the broker is asked without TLS", "write mqtts:// in `url`"),
            );
        }
        if broker.password_file.is_some() && broker.username.is_none() {
            report.error(
                path("password_file"),
                Fault::new("there is a password and no user", "add `username`"),
            );
        }
        if broker.inflight == 0 {
            report.error(path("inflight"), Fault::new("nothing could be published", "write 1 or more"));
        }
    }
}

fn check_sinks(sereno: &Sereno, report: &mut Report<'_>) {
    if sereno.store.flush_bytes < ByteSize::mib(1) {
        let fault = Fault::new("the store would write a file for every few rows", "write 1MiB or more");
        report.error([key("store"), key("flush_bytes")], fault);
    }
    if sereno.store.flush_every == Span::ZERO {
        let fault = Fault::new("the store would write a file for every row", "write for example \"30s\"");
        report.error([key("store"), key("flush_every")], fault);
    }
    let Some(influx) = &sereno.influx else { return };
    let path = |setting: &str| [key("influx"), key(setting)];
    if influx.url.starts_with("https://") {
        let remedy = "write http:// on a trusted network, or put a local proxy with TLS between";
        report.error(path("url"), Fault::new("this build speaks to InfluxDB without TLS", remedy));
    } else if influx.url.strip_prefix("http://").is_none_or(str::is_empty) {
        let message = format!("`{}` is no address of InfluxDB", influx.url);
        report.error(path("url"), Fault::new(message, "write for example \"http://127.0.0.1:8086\""));
    }
    if influx.batch_points == 0 {
        report.error(
            path("batch_points"),
            Fault::new("a request would hold no point", "write for example 5000"),
        );
    }
}

fn check_receiver(sereno: &Sereno, index: usize, receiver: &Receiver, report: &mut Report<'_>) {
    let path = || [key("receiver"), index.into()];
    let name = name::dashed(&receiver.name, "a receiver").map_err(|fault| fault.under("name"));
    report.check(path(), name);
    if sereno.receivers.iter().take(index).any(|other| other.name == receiver.name) {
        let message = format!("there is another receiver called `{}`", receiver.name);
        report.error(path(), Fault::new(message, "give one of them another name").under("name"));
    }
    match (&receiver.webhook, &receiver.mqtt) {
        (Some(_), Some(_)) => {
            let fault = Fault::new("the receiver is a webhook and MQTT at once", "make two receivers of it");
            report.error(path(), fault.under("mqtt"));
        }
        (None, None) => {
            let remedy = "add webhook = { url = \"https://...\" } or mqtt = { broker = \"listener\" }";
            report.error(path(), Fault::new("the receiver has no address", remedy));
        }
        (Some(webhook), None) => {
            let host = webhook.url.strip_prefix("https://").or_else(|| webhook.url.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
                let message = format!("`{}` is no address of a webhook", webhook.url);
                let fault = Fault::new(message, "write for example \"https://example.org/alerts\"");
                report.error(path(), fault.under("url").under("webhook"));
            }
        }
        (None, Some(mqtt)) => check_mqtt(sereno, mqtt, |fault| report.error(path(), fault.under("mqtt"))),
    }
    if receiver.severity_min > Severity::Critical {
        report.error(path(), Fault::new("no alert is as grave", "write critical").under("severity_min"));
    }
}

fn check_mqtt(sereno: &Sereno, mqtt: &MqttReceiver, mut report: impl FnMut(Fault)) {
    let prefix = &mqtt.topic_prefix;
    let levels = prefix.split('/').all(|level| !level.is_empty());
    if !levels || prefix.contains(['+', '#', '\0']) || prefix.len() > 256 {
        let message = format!("`{prefix}` cannot begin a topic");
        report(
            Fault::new(message, "write levels between `/`, as in \"sereno/alerts\"").under("topic_prefix"),
        );
    }
    if mqtt.broker == LISTENER {
        let own = prefix == "sereno" || prefix.starts_with("sereno/");
        if !own {
            let message = format!("the listener lets nobody subscribe `{prefix}`");
            report(
                Fault::new(message, "begin with \"sereno/\", as in \"sereno/alerts\"").under("topic_prefix"),
            );
        }
        if !sereno.listener.enabled {
            let remedy = "set enabled = true under [listener], or name a broker";
            report(Fault::new("the listener is switched off", remedy).under("broker"));
        }
    } else if !sereno.brokers.contains_key(&mqtt.broker) {
        let names = std::iter::once(LISTENER).chain(sereno.brokers.keys().map(String::as_str));
        let remedy = near::suggest(&mqtt.broker, names, "");
        report(Fault::new(format!("there is no broker `{}`", mqtt.broker), remedy).under("broker"));
    }
}
