//! What Sereno remembers of a client beyond one connection: its subscriptions with what they still
//! have to bring, and the identifiers at QoS 2 that it did not release.
//!
//! A session belongs to one connection at a time, its owner; a new connection of the same user and
//! client identifier takes it over, and the old one ends. Sessions live in memory: a restart of
//! Sereno ends them all, and clients learn it from CONNACK. What they brought last is known to the
//! sequencer all the same: a message that comes again after a restart, with DUP, is recognised.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::sync::Notify;

use super::held::Held;
use super::options::ListenerLimits;
use super::outbox::{Outbox, Parcel};
use super::publications::{Publication, PublicationLimits};
use crate::feed::Filter;
use crate::feed::redelivery::SessionId;

/// No connection owns the session.
const NOBODY: u64 = 0;

/// One client's session.
pub(super) struct Session {
    key: Key,
    /// By which the sequencer knows it, also after a restart.
    pub(super) id: SessionId,
    owner: AtomicU64,
    state: Mutex<State>,
    /// Something is in the outbox, or the owner changed.
    pub(super) wake: Notify,
}

/// User, empty without one, and client identifier: one user cannot take over another's session.
type Key = (String, String);

/// The parts of a session that change.
pub(super) struct State {
    /// Identifiers of messages at QoS 2 received and not yet released.
    pub(super) held: Held,
    pub(super) outbox: Outbox,
    subscriptions: Vec<Subscription>,
    /// The outbox overflowed, or the session expired with something still coming: it is over.
    overflowed: bool,
    keep: Duration,
    detached_at: Option<Instant>,
}

/// One subscription.
pub(super) struct Subscription {
    pub(super) filter: Filter,
    /// At QoS 1; else at QoS 0.
    pub(super) assured: bool,
}

impl State {
    fn has_expired(&self) -> bool {
        self.detached_at.is_some_and(|since| since.elapsed() >= self.keep)
    }
}

impl Session {
    fn new(
        key: Key,
        owner: u64,
        keep: Duration,
        limits: &ListenerLimits,
        outbox: &PublicationLimits,
    ) -> Self {
        let state = State {
            held: Held::default(),
            outbox: Outbox::new(outbox.outbox_messages_max, outbox.outbox_bytes_max),
            subscriptions: Vec::new(),
            overflowed: false,
            keep,
            detached_at: None,
        };
        let id = SessionId::of(&["listener", &key.0, &key.1], limits.redeliveries_max);
        Self { key, id, owner: AtomicU64::new(owner), state: Mutex::new(state), wake: Notify::new() }
    }

    /// Whether `connection` still owns the session.
    pub(super) fn is_owned_by(&self, connection: u64) -> bool {
        self.owner.load(Ordering::Acquire) == connection
    }

    /// Whether the outbox overflowed.
    pub(super) fn has_overflowed(&self) -> bool {
        self.lock().overflowed
    }

    /// The changing parts.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new time to keep the session, from the client's DISCONNECT.
    pub(super) fn set_keep(&self, keep: Duration) {
        self.lock().keep = keep;
    }

    /// Puts a message into the outbox if a subscription matches; false if there is no room.
    pub(super) fn offer(&self, publication: &Arc<Publication>) -> bool {
        let mut state = self.lock();
        if state.has_expired() {
            state.overflowed = true;
        }
        let matching = state.subscriptions.iter().filter(|one| one.filter.matches(&publication.topic));
        // Several subscriptions that match bring a message once, at the best of their levels.
        let Some(assured) = matching.map(|one| one.assured).max() else { return !state.overflowed };
        let nobody_there = state.detached_at.is_some() && !assured;
        if state.overflowed || nobody_there {
            return !state.overflowed;
        }
        let publication = Arc::clone(publication);
        let parcel = Parcel { publication, assured, retained: false, id: None, dup: false };
        if !state.outbox.push(parcel) {
            state.overflowed = true;
        }
        let took = !state.overflowed;
        drop(state);
        self.wake.notify_waiters();
        took
    }

    /// Puts retained messages into the outbox.
    pub(super) fn offer_all(&self, parcels: impl Iterator<Item = Parcel>) {
        let mut state = self.lock();
        for parcel in parcels {
            if !state.outbox.push(parcel) {
                state.overflowed = true;
                break;
            }
        }
    }

    /// Adds or changes a subscription: whether it is a new one, `None` if there are too many.
    pub(super) fn subscribe(&self, subscription: Subscription, max: usize) -> Option<bool> {
        let mut state = self.lock();
        if let Some(known) = state.subscriptions.iter_mut().find(|known| known.filter == subscription.filter)
        {
            known.assured = subscription.assured;
            return Some(false);
        }
        if state.subscriptions.len() >= max {
            return None;
        }
        state.subscriptions.push(subscription);
        Some(true)
    }

    /// Ends a subscription; whether there was one.
    pub(super) fn unsubscribe(&self, filter: &str) -> bool {
        let mut state = self.lock();
        let before = state.subscriptions.len();
        state.subscriptions.retain(|known| known.filter.as_str() != filter);
        state.subscriptions.len() < before
    }

    fn hand_to(&self, owner: u64, keep: Duration) {
        let mut state = self.lock();
        self.owner.store(owner, Ordering::Release);
        state.keep = keep;
        state.detached_at = None;
        state.outbox.ground();
        drop(state);
        self.wake.notify_waiters();
    }

    fn end(&self) {
        let state = self.lock();
        self.owner.store(NOBODY, Ordering::Release);
        drop(state);
        self.wake.notify_waiters();
    }

    fn is_over(&self) -> bool {
        let state = self.lock();
        state.has_expired() || state.overflowed
    }

    fn detached_at(&self) -> Option<Instant> {
        self.lock().detached_at
    }
}

/// All sessions, by user and client identifier.
#[derive(Default)]
pub(super) struct Sessions {
    table: Mutex<HashMap<Key, Arc<Session>>>,
}

/// What a connection got.
pub(super) struct Attached {
    pub(super) session: Arc<Session>,
    /// Whether it goes on from an earlier connection.
    pub(super) present: bool,
    /// Sessions that ended for it; they get no more publications.
    pub(super) ended: Vec<Arc<Session>>,
}

impl Sessions {
    /// Gives `connection` its session; `None` if there is no room, not even by ending one that has
    /// no connection.
    pub(super) fn attach(
        &self,
        key: Key,
        connection: u64,
        (clean, keep): (bool, Duration),
        limits: &ListenerLimits,
        outbox: &PublicationLimits,
    ) -> Option<Attached> {
        let mut table = self.lock();
        let mut ended = Vec::new();
        if let Some(known) = table.get(&key) {
            if !clean && !known.is_over() {
                let session = Arc::clone(known);
                session.hand_to(connection, keep);
                return Some(Attached { session, present: true, ended });
            }
            known.end();
            ended.push(Arc::clone(known));
            table.remove(&key);
        }
        if table.len() >= limits.sessions_max {
            make_room(&mut table, &mut ended);
        }
        if table.len() >= limits.sessions_max {
            return None;
        }
        let session = Arc::new(Session::new(key.clone(), connection, keep, limits, outbox));
        table.insert(key, Arc::clone(&session));
        Some(Attached { session, present: false, ended })
    }

    /// The connection is gone; whether the session is over with it.
    pub(super) fn detach(&self, session: &Arc<Session>, connection: u64) -> bool {
        let mut table = self.lock();
        let mut state = session.lock();
        if !session.is_owned_by(connection) {
            return false;
        }
        session.owner.store(NOBODY, Ordering::Release);
        state.detached_at = Some(Instant::now());
        state.outbox.ground();
        let over = state.keep.is_zero() || state.overflowed;
        drop(state);
        if over && table.get(&session.key).is_some_and(|known| Arc::ptr_eq(known, session)) {
            table.remove(&session.key);
        }
        over
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Session>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the sessions that are over, or else the one away for longest.
fn make_room(table: &mut HashMap<Key, Arc<Session>>, ended: &mut Vec<Arc<Session>>) {
    let over: Vec<Key> =
        table.values().filter(|session| session.is_over()).map(|session| session.key.clone()).collect();
    let victims = if over.is_empty() {
        let away = table.values().filter_map(|session| Some((session.detached_at()?, session)));
        away.min_by_key(|(since, _)| *since).map(|(_, session)| session.key.clone()).into_iter().collect()
    } else {
        over
    };
    for key in victims {
        if let Some(session) = table.remove(&key) {
            session.end();
            ended.push(session);
        }
    }
}
