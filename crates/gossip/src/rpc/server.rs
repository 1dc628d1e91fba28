//! Serves an agent to its clients: accepts them, within limits, and gives each a connection.

use std::sync::Arc;
use std::time::Duration;

use taraf_base::{Secret, Tasks};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::agent::Agent;
use super::connection::Connection;
use super::lines::Lines;
use super::listener::{Listener, Peer, Stream};

/// How long to wait when no client can be accepted, as when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have to take their last answers when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// How much clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients at the same time; further ones are closed at once.
    pub connections_max: usize,
    /// Streams of events of one client at the same time.
    pub streams_max: usize,
    /// Queries of one client under way at the same time.
    pub queries_max: usize,
    /// How long a client has to shake hands and prove itself, and to send the rest of a request.
    pub patience: Duration,
    /// How long a client may take nothing of what it is sent before it is given up.
    pub deafness: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 512,
            streams_max: 64,
            queries_max: 64,
            patience: Duration::from_secs(30),
            deafness: Duration::from_secs(60),
        }
    }
}

/// Who may do what, and how much.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What clients must know; nothing when empty.
    pub key: Secret,
    /// Users who may enter at a socket in the file system, beside the one whose agent it is. They need no key.
    pub users: Vec<u32>,
    /// How much clients may take.
    pub limits: Limits,
}

/// Serves an agent. Clones serve the same one, under the same limits.
#[derive(Debug)]
pub struct Server<A> {
    pub(super) shared: Arc<Shared<A>>,
}

#[derive(Debug)]
pub(super) struct Shared<A> {
    pub(super) agent: A,
    pub(super) lines: Lines,
    pub(super) settings: Settings,
    room: Arc<Semaphore>,
}

impl<A> Clone for Server<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<A: Agent> Server<A> {
    /// Serves an agent and its log lines. Nobody can come yet: see [`Server::listen`].
    #[must_use]
    pub fn new(agent: A, lines: Lines, settings: Settings) -> Self {
        let room = Arc::new(Semaphore::new(settings.limits.connections_max));
        let shared = Shared {
            agent,
            lines,
            settings,
            room,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Lets clients in at a door, until the tasks are stopped.
    pub fn listen(&self, listener: Listener, tasks: &Tasks) {
        let (server, inner) = (self.clone(), tasks.child());
        tasks.spawn("rpc listener", async move {
            tokio::select! {
                () = server.accept_all(&listener, &inner) => {}
                () = inner.stopping() => {}
            }
            drop(listener);
            let late = inner.drain(STOP_LIMIT).await;
            if !late.is_empty() {
                tracing::debug!("{} connections were cut", late.len());
            }
        });
    }

    async fn accept_all(&self, listener: &Listener, tasks: &Tasks) {
        let owner = listener.owner();
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::error!("Failed to accept client: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if !self.may_enter(peer, owner) {
                tracing::warn!("Refused client: {peer}: not one of the users that may");
                continue;
            }
            let Ok(place) = Arc::clone(&self.shared.room).try_acquire_owned() else {
                let max = self.shared.settings.limits.connections_max;
                tracing::warn!("Refused client: {peer}: there are {max} already");
                continue;
            };
            tracing::info!("Accepted client: {peer}");
            self.enter(stream, peer, place, tasks);
        }
    }

    fn may_enter(&self, peer: Peer, owner: Option<u32>) -> bool {
        match peer {
            Peer::Tcp(_) => true,
            Peer::Local(caller) => {
                owner == Some(caller.user) || self.shared.settings.users.contains(&caller.user)
            }
        }
    }

    fn enter(
        &self,
        stream: Box<dyn Stream>,
        peer: Peer,
        place: OwnedSemaphorePermit,
        tasks: &Tasks,
    ) {
        let (shared, inner) = (Arc::clone(&self.shared), tasks.child());
        tasks.spawn("rpc connection", async move {
            Connection::new(shared, peer, inner).run(stream).await;
            drop(place);
        });
    }
}
