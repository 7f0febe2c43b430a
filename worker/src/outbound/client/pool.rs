//! Connections that wait for the next request of their origin, until they are idle for too long or too old.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use platform::clock::Clock;

use super::{Broken, Origin, Request, connect::Connection, http2};
use crate::outbound::answer::Heard;

/// Idle timeout, shorter than that of servers (some close after 2 s), so that none is used while it is closed.
pub(super) const MAX_IDLE: Duration = Duration::from_millis(1500);
/// Age at which a connection takes no more requests, so that an integrator that has moved is found at its new address
/// although orders flow.
pub(super) const MAX_AGE: Duration = Duration::from_secs(60);
/// Number of idle connections that are kept for one origin.
const MAX_PER_ORIGIN: usize = 64;
/// How often expired connections are closed.
const REAP_EVERY: Duration = Duration::from_millis(500);

/// A connection and its age.
#[derive(Debug)]
pub(super) struct Wire {
    connection: Connection,
    opened_at: DateTime<Utc>,
}

impl Wire {
    pub(super) fn new(connection: Connection, opened_at: DateTime<Utc>) -> Self {
        Self {
            connection,
            opened_at,
        }
    }

    /// Returns another handle of the connection, if several requests can share it.
    pub(super) fn shared(&self) -> Option<Self> {
        match &self.connection {
            Connection::Http1(_) => None,
            Connection::Http2(connection) => Some(Self {
                connection: Connection::Http2(connection.clone()),
                opened_at: self.opened_at,
            }),
        }
    }

    /// Sends one request; returns true if the connection can take another.
    pub(super) async fn exchange(
        &mut self,
        request: &Request,
        heard: &mut Heard,
    ) -> Result<bool, Broken> {
        match &mut self.connection {
            Connection::Http1(connection) => connection.exchange(request, heard).await,
            Connection::Http2(connection) => connection.exchange(request, heard).await,
        }
    }

    /// Returns true unless the connection was closed, or said something that nobody asked for.
    fn is_usable(&mut self) -> bool {
        match &mut self.connection {
            Connection::Http1(connection) => connection.is_quiet(),
            Connection::Http2(connection) => connection.is_usable(),
        }
    }

    fn http2(&self) -> Option<&http2::Connection> {
        match &self.connection {
            Connection::Http1(_) => None,
            Connection::Http2(connection) => Some(connection),
        }
    }
}

#[derive(Debug)]
pub(super) struct Pool {
    clock: Clock,
    idle: Mutex<HashMap<Origin, Vec<Idle>>>,
    is_reaped: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    wire: Wire,
    since: DateTime<Utc>,
}

impl Idle {
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        // A time in the future means that the clock was set back: nothing is known of the age.
        let within = |from, limit| from <= now && now < from + limit;
        let connection = self.wire.http2();
        let is_busy = connection.is_some_and(http2::Connection::is_busy);
        connection.is_none_or(http2::Connection::is_usable)
            && within(self.wire.opened_at, MAX_AGE)
            && (is_busy || within(self.since, MAX_IDLE))
    }
}

impl Pool {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            idle: Mutex::default(),
            is_reaped: AtomicBool::new(false),
        }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Takes a connection that can be used. A shared one also stays in the pool.
    pub(super) async fn take(&self, origin: &Origin) -> Option<Wire> {
        loop {
            let mut wire = self.pop(origin)?;
            // Lets the runtime learn what has arrived meanwhile, such as the end of the connection.
            tokio::task::yield_now().await;
            if wire.is_usable() {
                return Some(wire);
            }
        }
    }

    fn pop(&self, origin: &Origin) -> Option<Wire> {
        let now = self.now();
        let mut idle = self.idle.lock();
        let waiting = idle.get_mut(origin)?;
        waiting.retain(|one| one.is_fresh(now));
        let has_room = |one: &Idle| one.wire.http2().is_none_or(http2::Connection::has_room);
        let newest = waiting.remove(waiting.iter().rposition(has_room)?);
        if let Some(wire) = newest.wire.shared() {
            waiting.push(Idle { wire, since: now });
        }
        Some(newest.wire)
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(self: &Arc<Self>, origin: Origin, wire: Wire) {
        let now = self.now();
        let mut idle = self.idle.lock();
        let waiting = idle.entry(origin).or_default();
        let known = waiting.iter_mut().find(|one| {
            let pair = one.wire.http2().zip(wire.http2());
            pair.is_some_and(|(one, other)| one.is_same(other))
        });
        if let Some(known) = known {
            known.since = now;
        } else if waiting.len() < MAX_PER_ORIGIN {
            waiting.push(Idle { wire, since: now });
        }
        if !self.is_reaped.swap(true, Ordering::AcqRel) {
            self.start_reaper();
        }
    }

    /// Closes expired connections for as long as there are any.
    fn start_reaper(self: &Arc<Self>) {
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(REAP_EVERY).await;
                let Some(pool) = pool.upgrade() else { return };
                if pool.reap() {
                    return;
                }
            }
        });
    }

    /// Returns true if no connection is left.
    fn reap(&self) -> bool {
        let now = self.now();
        let mut idle = self.idle.lock();
        idle.retain(|_, waiting| {
            waiting.retain(|one| one.is_fresh(now));
            !waiting.is_empty()
        });
        let is_empty = idle.is_empty();
        if is_empty {
            self.is_reaped.store(false, Ordering::Release);
        }
        is_empty
    }
}
