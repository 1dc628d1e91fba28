//! What the driver and all handles share: the machine, who waits for what, and what is published.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taraf_base::{Tasks, Timestamp};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::cluster::{Cluster, Members};
use crate::moment::Moment;
use crate::rpc::Reply;
use crate::rpc::event::Event;
use crate::serf::{Error, KeyOutcome, QueryKey};
use crate::swim::{Joined, Name, Token};

/// How many events are kept for those who are slow to take them.
const EVENTS_KEPT: usize = 512;

/// How a command has ended.
#[derive(Debug)]
pub(super) enum Ended {
    Joined(Result<Joined, Error>),
    Done(Result<(), Error>),
    Keys(KeyOutcome),
}

/// Shared by the driver and the handles.
///
/// The machine is locked for each input and each question, never across a wait; whoever has put something in wakes
/// the driver, who performs what the machine then asks for.
pub(super) struct Shared {
    pub(super) name: Name,
    pub(super) begun: Instant,
    pub(super) port: u16,
    machine: Mutex<Cluster>,
    pub(super) wake: Notify,
    waiting: Mutex<BTreeMap<Token, oneshot::Sender<Ended>>>,
    queries: Mutex<HashMap<QueryKey, mpsc::Sender<Reply>>>,
    next_token: AtomicU64,
    pub(super) members: watch::Sender<Arc<Members>>,
    pub(super) events: broadcast::Sender<Arc<Event>>,
    pub(super) tasks: Tasks,
}

impl Shared {
    pub(super) fn new(
        cluster: Cluster,
        name: Name,
        begun: Instant,
        port: u16,
        tasks: Tasks,
    ) -> Self {
        let members = Arc::new(cluster.members());
        Self {
            name,
            begun,
            port,
            machine: Mutex::new(cluster),
            wake: Notify::new(),
            waiting: Mutex::default(),
            queries: Mutex::default(),
            next_token: AtomicU64::new(1),
            members: watch::Sender::new(members),
            events: broadcast::Sender::new(EVENTS_KEPT),
            tasks,
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::START + self.begun.elapsed()
    }

    pub(super) fn instant(&self, moment: Moment) -> Instant {
        self.begun + (moment - Moment::START)
    }

    /// The machine, to be asked.
    pub(super) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        lock(&self.machine)
    }

    /// Puts something into the machine and has the driver perform what follows.
    pub(super) fn put<T>(&self, input: impl FnOnce(&mut Cluster, Moment) -> T) -> T {
        let now = self.now();
        let mut cluster = self.cluster();
        cluster.set_clock(unix_ms());
        let result = input(&mut cluster, now);
        drop(cluster);
        self.wake.notify_one();
        result
    }

    /// Gives the machine a command and waits for its end; none when the agent ends before.
    pub(super) async fn command(
        &self,
        command: impl FnOnce(&mut Cluster, Moment, Token),
    ) -> Option<Ended> {
        let token = Token(self.next_token.fetch_add(1, Ordering::Relaxed));
        let (end, ended) = oneshot::channel();
        lock(&self.waiting).insert(token, end);
        // Whoever gives up waiting must not be waited for.
        let _forget = Forget {
            shared: self,
            token,
        };
        self.put(|cluster, now| command(cluster, now, token));
        tokio::select! {
            ended = ended => ended.ok(),
            () = self.tasks.stopping() => None,
        }
    }

    /// A command has ended.
    pub(super) fn ended(&self, token: Token, how: Ended) {
        if let Some(waiting) = lock(&self.waiting).remove(&token) {
            // Whoever waited may have given up.
            drop(waiting.send(how));
        }
    }

    /// Answers to the query go there from now on. The machine must be locked since before it was asked, so that no
    /// answer comes earlier.
    pub(super) fn expect(&self, query: QueryKey, replies: mpsc::Sender<Reply>) {
        lock(&self.queries).insert(query, replies);
    }

    /// An answer has come; none for the last.
    pub(super) fn answered(&self, query: QueryKey, reply: Option<Reply>) {
        let mut queries = lock(&self.queries);
        let Some(reply) = reply else {
            queries.remove(&query);
            return;
        };
        let Some(replies) = queries.get(&query) else {
            return;
        };
        match replies.try_send(reply) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!("an answer to a query is lost: whoever asked is too slow");
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                queries.remove(&query);
            }
        }
    }
}

/// Takes a command off the list of those waited for.
struct Forget<'a> {
    shared: &'a Shared,
    token: Token,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.shared.waiting).remove(&self.token);
    }
}

/// The wall clock. One that stands before 1970 says nothing.
pub(super) fn unix_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millis()).unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
