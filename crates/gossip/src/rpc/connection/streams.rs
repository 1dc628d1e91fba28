//! What a client is told without asking again: events, log lines, and what comes back of its queries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::Out;
use crate::rpc::agent::{Answered, QueryKey};
use crate::rpc::codec::{EventRecord, QueryRecord};
use crate::rpc::event::{Event, Query};
use crate::rpc::filter::Filter;
use crate::rpc::lines::{Level, Lines};
use crate::rpc::listener::Peer;

/// How many queries a client may have been told of and not answered; then the oldest is forgotten.
const PENDING_MAX: usize = 512;

/// How long the end of a query waits behind its last reply when it comes before the deadline.
///
/// Serf's command line reads acks and answers from two queues, whichever it comes by, and stops at the first
/// that is closed: an end right behind the last reply would cost it those that it has not read.
const END_PAUSE: Duration = Duration::from_millis(100);

/// The queries that a client was told of, by the numbers that it knows them by.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    last: u64,
    queries: BTreeMap<u64, (QueryKey, Instant)>,
}

impl Pending {
    /// The number for a query; it holds until the query's deadline.
    pub(super) fn add(&self, query: &Query, now: Instant) -> u64 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.queries.retain(|_, (_, deadline)| *deadline > now);
        if known.queries.len() >= PENDING_MAX {
            known.queries.pop_first();
        }
        known.last += 1;
        let number = known.last;
        known.queries.insert(number, (query.key, query.deadline));
        number
    }

    /// The query of a number, while there is time to answer it.
    pub(super) fn key(&self, number: u64, now: Instant) -> Option<QueryKey> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, deadline) = known.queries.get(&number)?;
        (*deadline > now).then_some(*key)
    }
}

/// A stream of events.
pub(super) struct Events {
    pub(super) seq: u64,
    pub(super) events: broadcast::Receiver<Arc<Event>>,
    pub(super) filters: Vec<Filter>,
    pub(super) peer: Peer,
    pub(super) pending: Arc<Pending>,
    pub(super) out: Out,
}

impl Events {
    /// Until the client goes or the agent ends. A client that takes too little loses events, the oldest first.
    pub(super) async fn run(mut self) {
        loop {
            let event = match self.events.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(count)) => {
                    tracing::warn!(
                        "Dropping event to ipc.client: {} ({count} of them)",
                        self.peer
                    );
                    continue;
                }
                Err(RecvError::Closed) => return,
            };
            if !self.filters.iter().any(|filter| filter.takes(&event)) {
                continue;
            }
            let record = self.record(event);
            if !self.out.record(self.seq, &record).await {
                return;
            }
        }
    }

    fn record(&self, event: Arc<Event>) -> EventRecord {
        match &*event {
            Event::Query(query) => EventRecord::Query {
                id: self.pending.add(query, Instant::now()),
                ltime: query.key.ltime,
                name: query.name.clone(),
                payload: query.payload.clone(),
            },
            Event::Members(..) | Event::User(_) => EventRecord::Event(event),
        }
    }
}

/// A stream of log lines.
pub(super) struct Monitor {
    pub(super) seq: u64,
    pub(super) level: Level,
    pub(super) lines: Lines,
    pub(super) out: Out,
}

impl Monitor {
    /// First the lines that are kept, then each new one. Lines that the client does not take in time are lost
    /// without a word: a line about it would be one more.
    pub(super) async fn run(self) {
        let (kept, mut follow) = self.lines.follow();
        for line in kept {
            if line.level >= self.level && !self.out.record(self.seq, &line.text).await {
                return;
            }
        }
        loop {
            match follow.recv().await {
                Ok(line) if line.level < self.level => {}
                Ok(line) => {
                    if !self.out.record(self.seq, &line.text).await {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// What comes back of a query, and its end: at the deadline, or soon after nothing more can come.
pub(super) async fn replies(seq: u64, mut answered: Answered, out: &Out) {
    while let Ok(Some(reply)) = timeout_at(answered.deadline, answered.replies.recv()).await {
        if !out.record(seq, &QueryRecord::Reply(reply)).await {
            return;
        }
    }
    tokio::time::sleep_until(answered.deadline.min(Instant::now() + END_PAUSE)).await;
    out.record(seq, &QueryRecord::Done).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_number_holds_until_the_deadline_of_its_query() {
        let pending = Pending::default();
        let now = Instant::now();
        let query = Query {
            key: QueryKey { ltime: 7, id: 1 },
            name: "load".into(),
            payload: bytes::Bytes::new(),
            deadline: now + Duration::from_secs(3),
        };
        let number = pending.add(&query, now);
        assert_eq!(pending.key(number, now), Some(query.key));
        assert_eq!(pending.key(number + 1, now), None);
        assert_eq!(pending.key(number, now + Duration::from_secs(3)), None);
        assert_ne!(pending.add(&query, now), number);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_too_many_queries_is_forgotten() {
        let (pending, now) = (Pending::default(), Instant::now());
        let deadline = now + Duration::from_secs(3);
        for id in 0..=u32::try_from(PENDING_MAX).unwrap() {
            let key = QueryKey { ltime: 1, id };
            let (name, payload) = ("load".into(), bytes::Bytes::new());
            pending.add(
                &Query {
                    key,
                    name,
                    payload,
                    deadline,
                },
                now,
            );
        }
        assert_eq!(pending.key(1, now), None);
        assert_eq!(pending.key(2, now), Some(QueryKey { ltime: 1, id: 1 }));
    }
}
