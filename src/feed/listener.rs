//! An MQTT ingest listener of our own: 3.1.1 and 5, QoS 0 to 2, TLS, for cities without a broker.
//!
//! Devices publish to feeds, and dashboards subscribe to what Sereno itself publishes below
//! `sereno/` ([`Publications`]). Messages of one device never go to another.
//!
//! One task a connection. A read burst is decoded and handed to the sequencer as one batch;
//! acknowledgements come back through the connection's [`OutputGate`](super::OutputGate) once the
//! journal is durable. Before a login a connection costs one small buffer for a few seconds; after
//! it, every queue has its bound in [`ListenerLimits`].
//!
//! Topics no feed takes are acknowledged, as by any broker without a subscriber, and counted
//! (`unrouted`); MQTT 5 clients are told (reason 0x10). Topics below `sereno/` and `$` are refused.

mod authority;
mod batch;
mod connection;
mod handshake;
mod held;
mod options;
mod outbox;
mod publications;
mod session;
mod subscribe;
mod tls;
mod turns;
mod wire;

pub use authority::Authority;
pub use options::{ListenerLimits, ListenerOptions, TlsFiles};
pub use publications::{PublicationError, PublicationLimits, Publications};

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_native_tls::TlsAcceptor;
use tracing::{debug, info, warn};

use self::connection::{Connection, End};
use self::handshake::Refusal;
use self::session::Sessions;
use super::counters::count;
use super::{Clock, FeedCounters, Routes};
use crate::model::{Durable, Input};

/// Why the listener does not start; mend the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// The address is taken or not ours.
    #[error("cannot listen at {address}: {reason}; check listener.bind")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        reason: std::io::Error,
    },
    /// A certificate or key cannot be read.
    #[error("cannot read {path}: {reason}; check listener.tls")]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// Certificate and key do not work.
    #[error("TLS cannot start: {0}; listener.tls wants a PEM certificate chain and its PKCS #8 key")]
    Tls(native_tls::Error),
}

/// What the listener works with.
pub struct ListenerEdges {
    /// The feeds of the listener, replaceable while running.
    pub routes: watch::Receiver<Arc<Routes>>,
    /// The sequencer.
    pub input: mpsc::Sender<Input>,
    /// How far the journal is durable.
    pub durable: watch::Receiver<Durable>,
    /// Time of arrival for decoders.
    pub clock: Clock,
}

/// The listener, bound to its address.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

/// What all connections share.
struct Shared {
    options: ListenerOptions,
    counters: Arc<FeedCounters>,
    sessions: Sessions,
    publications: Publications,
    routes: watch::Receiver<Arc<Routes>>,
    input: mpsc::Sender<Input>,
    durable: watch::Receiver<Durable>,
    clock: Clock,
    stop: watch::Receiver<bool>,
    /// Numbers connections from 1.
    connections: AtomicU64,
}

impl Listener {
    /// Binds the address; nobody is served before [`Listener::run`].
    ///
    /// # Errors
    /// If the address or the certificates are not usable.
    pub async fn bind(
        options: ListenerOptions,
        publications: PublicationLimits,
        edges: ListenerEdges,
    ) -> Result<Self, ListenerError> {
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
        let address = options.bind;
        let unbound = |reason| ListenerError::Bind { address, reason };
        let socket = TcpListener::bind(address).await.map_err(unbound)?;
        let address = socket.local_addr().map_err(unbound)?;
        let counters: Arc<FeedCounters> = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let ListenerEdges { routes, input, durable, clock } = edges;
        let shared = Shared {
            publications: Publications::new(publications, Arc::clone(&counters)),
            options,
            counters,
            sessions: Sessions::default(),
            routes,
            input,
            durable,
            clock,
            stop: stopped,
            connections: AtomicU64::new(1),
        };
        Ok(Self { socket, address, tls, shared: Arc::new(shared), stop })
    }

    /// Where it listens, with the port the system chose if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handle to publish to subscribers.
    #[must_use]
    pub fn publications(&self) -> Publications {
        self.shared.publications.clone()
    }

    /// The listener's counters, for telemetry.
    #[must_use]
    pub fn counters(&self) -> Arc<FeedCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// Serves connections until `stop` resolves; then nothing more is read, what is outstanding is
    /// acknowledged if the journal gets that far within `drain_timeout`, and everybody is sent off.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let limits = self.shared.options.limits.clone();
        let slots = Arc::new(Semaphore::new(limits.connections_max));
        let mut pace = Pace::new(limits.connects_per_second_max);
        let mut routes = self.shared.routes.clone();
        let mut announced = BTreeSet::new();
        self.announce(&mut announced, &mut routes).await;
        let mut connections = JoinSet::new();
        info!(address = %self.address, tls = self.tls.is_some(), "listener started");
        loop {
            select! {
                accepted = self.socket.accept(), if pace.is_open() => match accepted {
                    Ok((stream, peer)) => {
                        pace.spend();
                        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                            count(&self.shared.counters.connections_refused);
                            debug!(peer = %peer, "connection refused, connections_max reached");
                            continue;
                        };
                        let client = Client { shared: Arc::clone(&self.shared), tls: self.tls.clone(), peer };
                        connections.spawn(async move {
                            client.serve(stream).await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: others must close first.
                        warn!(error = %error, "accepting a connection failed");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
                () = pace.refill() => {}
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                Ok(()) = routes.changed() => self.announce(&mut announced, &mut routes).await,
                () = stop.as_mut() => break,
            }
        }
        drop(self.socket);
        self.stop.send_replace(true);
        while connections.join_next().await.is_some() {}
        for feed in announced {
            // The sequencer may have stopped before us.
            let _ = self.shared.input.send(Input::Connected { feed, up: false }).await;
        }
        info!("listener stopped");
    }

    /// Tells the sequencer which feeds are open for messages now.
    async fn announce(&self, announced: &mut BTreeSet<Arc<str>>, routes: &mut watch::Receiver<Arc<Routes>>) {
        let current = Arc::clone(&routes.borrow_and_update());
        let wanted: BTreeSet<_> = current.iter().map(|route| Arc::clone(&route.feed)).collect();
        let gone = announced.difference(&wanted).map(|feed| (Arc::clone(feed), false));
        let new = wanted.difference(announced).map(|feed| (Arc::clone(feed), true));
        let changes: Vec<_> = gone.chain(new).collect();
        for (feed, up) in changes {
            // A closed channel means the service stops.
            let _ = self.shared.input.send(Input::Connected { feed, up }).await;
        }
        *announced = wanted;
    }
}

/// A client that has just been accepted.
struct Client {
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    peer: SocketAddr,
}

impl Client {
    async fn serve(self, stream: TcpStream) {
        let shared = Arc::clone(&self.shared);
        count(&shared.counters.connections_opened);
        let until = Instant::now() + shared.options.limits.connect_timeout;
        // Without it small answers wait for the client's next packet, up to 40 ms.
        if stream.set_nodelay(true).is_ok() {
            match &self.tls {
                None => self.log_in(stream, until).await,
                Some(tls) => match timeout(until.duration_since(Instant::now()), tls.accept(stream)).await {
                    Ok(Ok(stream)) => self.log_in(stream, until).await,
                    Ok(Err(error)) => debug!(peer = %self.peer, error = %error, "TLS handshake failed"),
                    Err(_) => debug!(peer = %self.peer, "TLS handshake took too long"),
                },
            }
        }
        count(&shared.counters.connections_closed);
    }

    async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(self, mut stream: S, until: Instant) {
        let shared = self.shared;
        let limits = &shared.options.limits;
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        let received = handshake::receive(&mut stream, &shared.options.authority, limits, number);
        let mut login = match timeout(until.duration_since(Instant::now()), received).await {
            Ok(Ok(login)) => login,
            Ok(Err(refusal)) => return refused(&shared, self.peer, refusal),
            Err(_) => return refused(&shared, self.peer, Refusal::Closed),
        };
        let key = (login.user.as_deref().unwrap_or_default().to_owned(), login.client_id.to_string());
        let kept = (login.clean, login.keep);
        let outbox = shared.publications.limits();
        let Some(attached) = shared.sessions.attach(key, number, kept, limits, outbox) else {
            let refusal = Refusal::SessionsFull;
            let _ = timeout(limits.connect_timeout, handshake::refuse(&mut stream, &mut login.wire, refusal))
                .await;
            return refused(&shared, self.peer, refusal);
        };
        for ended in &attached.ended {
            shared.publications.forget(ended);
        }
        let mut outgoing = BytesMut::new();
        handshake::accept(&mut login, attached.present, limits, &mut outgoing);
        let client = login.client_id.clone();
        debug!(peer = %self.peer, client = %client, session_present = attached.present, "client connected");
        let end =
            Connection::new(number, Arc::clone(&shared), attached.session, login, outgoing).run(stream).await;
        match end {
            End::Fault(reason, what) => {
                count(&shared.counters.faults);
                warn!(peer = %self.peer, client = %client, reason = ?reason, what, "client disconnected for a fault");
            }
            end => debug!(peer = %self.peer, client = %client, end = ?end, "client disconnected"),
        }
    }
}

fn refused(shared: &Shared, peer: SocketAddr, refusal: Refusal) {
    count(&shared.counters.logins_refused);
    match refusal {
        Refusal::Closed => debug!(peer = %peer, "connection ended before its login"),
        refusal => warn!(peer = %peer, reason = %refusal, "login refused"),
    }
}

/// How many connections may still be accepted in this second.
struct Pace {
    per_second: u32,
    left: u32,
    next: Instant,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        Self { per_second, left: per_second, next: Instant::now() + Duration::from_secs(1) }
    }

    fn is_open(&self) -> bool {
        self.left > 0
    }

    fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Opens the next second; waits for it only when this one is used up.
    async fn refill(&mut self) {
        if self.left == self.per_second {
            return std::future::pending().await;
        }
        sleep_until(self.next).await;
        self.left = self.per_second;
        self.next = Instant::now() + Duration::from_secs(1);
    }
}
