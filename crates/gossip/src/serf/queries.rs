//! [pure] Queries of others, and our answers to them.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tracing::{error, warn};

use super::filters;
use super::machine::Serf;
use super::ring::Seen;
use super::{Error, Event, Member, QueryEvent, QueryKey, Status, internal};
use crate::moment::Moment;
use crate::swim::Name;
use crate::wire::Address;
use crate::wire::serf::{Query, QueryResponse, Relay};

/// The least memberlist protocol of a member that passes answers on.
const PROTOCOL_OF_RELAY: u8 = 5;

/// A query that can still be answered.
#[derive(Clone, Debug)]
pub(super) struct Open {
    asker: Asker,
    deadline: Moment,
    is_answered: bool,
}

/// Who gets the answer.
#[derive(Clone, Debug)]
enum Asker {
    Us,
    Other {
        name: Name,
        address: Address,
        port: u16,
        relay_factor: u8,
    },
}

impl Asker {
    fn of(query: &Query) -> Self {
        Self::Other {
            name: query.source_node.clone(),
            address: query.address,
            port: query.port,
            relay_factor: query.relay_factor,
        }
    }
}

impl Serf {
    /// A query of another member came. True if it is to be passed on.
    pub(super) fn see_query(&mut self, now: Moment, query: &Query) -> bool {
        self.handle_query(now, query, Asker::of(query))
    }

    /// A query of ours is handled here as everywhere.
    pub(super) fn see_own_query(&mut self, now: Moment, query: &Query) {
        self.handle_query(now, query, Asker::Us);
    }

    fn handle_query(&mut self, now: Moment, query: &Query, asker: Asker) -> bool {
        self.query_clock.witness(query.ltime);
        match self
            .seen_queries
            .see(query.ltime, self.query_clock.time(), query.id)
        {
            Seen::New => {}
            Seen::TooOld => {
                let (time, current) = (query.ltime, self.query_clock.time());
                warn!(
                    "received old query {} from time {time} (current: {current})",
                    query.name
                );
                return false;
            }
            Seen::TooMany => {
                warn!(
                    "too many different queries at time {}: one is dropped",
                    query.ltime
                );
                return false;
            }
            Seen::Before | Seen::Swallowed => return false,
        }
        self.counters.queries += 1;
        // Those that are not meant pass it on all the same.
        if filters::mean(&query.filters, &self.config.name, &self.config.tags) {
            self.be_asked(now, query, asker);
        }
        query.flags & Query::NO_BROADCAST == 0
    }

    fn be_asked(&mut self, now: Moment, query: &Query, asker: Asker) {
        let key = QueryKey {
            time: query.ltime,
            id: query.id,
        };
        if query.flags & Query::ACK != 0 {
            let ack = self.response(key, QueryResponse::ACK, Bytes::new());
            if let Err(error) = self.send_answer(now, &asker, &ack) {
                error!("failed to relay ack: {error}");
            }
        }
        self.make_room(now);
        let deadline = now + query.timeout;
        self.open.insert(
            key,
            Open {
                asker,
                deadline,
                is_answered: false,
            },
        );
        let payload = Bytes::copy_from_slice(&query.payload);
        // Told even when internal: the snapshot notes its time. The owner keeps it from the users.
        self.out.events.push(Event::Query(QueryEvent {
            key,
            from: query.source_node.clone(),
            name: query.name.clone(),
            payload: payload.clone(),
            deadline,
        }));
        if internal::is_internal(&query.name) {
            self.internal_query(now, key, &query.name, &payload);
        }
    }

    /// Forgets queries that are over, and the one that ends first if there are too many.
    fn make_room(&mut self, now: Moment) {
        self.open.retain(|_, open| open.deadline > now);
        while self.open.len() >= self.config.open_queries_max.max(1) {
            let first = self
                .open
                .iter()
                .min_by_key(|(key, open)| (open.deadline, **key));
            let Some(key) = first.map(|(key, _)| *key) else {
                return;
            };
            warn!("too many queries are open: one can no longer be answered");
            self.open.remove(&key);
        }
    }

    /// Answers a query of another member, or one of ours, once.
    ///
    /// # Errors
    /// When the answer is too large, comes twice or too late.
    pub fn respond(&mut self, now: Moment, key: QueryKey, payload: Bytes) -> Result<(), Error> {
        let max = self.config.query_response_bytes_max;
        let response = self.response(key, 0, payload);
        if encoded(&response).len() > max {
            return Err(Error::ResponseTooLarge { max });
        }
        let open = self.open.get_mut(&key).ok_or(Error::PastDeadline)?;
        if open.is_answered {
            return Err(Error::AlreadyAnswered);
        }
        if open.deadline < now {
            return Err(Error::PastDeadline);
        }
        open.is_answered = true;
        let asker = open.asker.clone();
        self.send_answer(now, &asker, &response)
    }

    /// How many bytes an answer takes, encoded with all that goes with it.
    pub(super) fn response_bytes(&self, key: QueryKey, payload: &Bytes) -> usize {
        encoded(&self.response(key, 0, payload.clone())).len()
    }

    fn response(&self, key: QueryKey, flags: u32, payload: Bytes) -> QueryResponse {
        let from = self.config.name.clone();
        QueryResponse {
            ltime: key.time,
            id: key.id,
            from,
            flags,
            payload,
        }
    }

    /// Sends an ack or an answer straight to who asked, and by way of others if they wished so.
    fn send_answer(
        &mut self,
        now: Moment,
        asker: &Asker,
        response: &QueryResponse,
    ) -> Result<(), Error> {
        let Asker::Other {
            name,
            address,
            port,
            relay_factor,
        } = asker
        else {
            self.take_answer(now, response);
            return Ok(());
        };
        let bytes = encoded(response);
        self.out.sends.push((address.socket(*port), bytes.clone()));
        let relays = self.relays(usize::from(*relay_factor), name);
        if relays.is_empty() {
            return Ok(());
        }
        let relay = Relay {
            address: *address,
            port: *port,
            node: name.clone(),
            inner: bytes,
        };
        let mut wrapped = BytesMut::new();
        relay.encode(&mut wrapped);
        let max = self.config.query_response_bytes_max;
        if wrapped.len() > max {
            return Err(Error::RelayedResponseTooLarge { max });
        }
        let wrapped = wrapped.freeze();
        self.out
            .sends
            .extend(relays.into_iter().map(|to| (to, wrapped.clone())));
        Ok(())
    }

    /// Some members, chosen by chance, that can pass an answer on to `asker`.
    fn relays(&mut self, factor: usize, asker: &Name) -> Vec<SocketAddr> {
        if factor == 0 || self.members.all.len() < factor.saturating_add(1) {
            return Vec::new();
        }
        let can = |member: &Member| {
            member.status == Status::Alive
                && member.versions.protocol_max >= PROTOCOL_OF_RELAY
                && member.name != self.config.name
                && member.name != *asker
        };
        let able = self.members.all.values().filter(|known| can(&known.member));
        let mut able: Vec<SocketAddr> = able
            .map(|known| known.member.address.socket(known.member.port))
            .collect();
        let mut chosen = Vec::new();
        while chosen.len() < factor && !able.is_empty() {
            let index = usize::try_from(self.rng.below(able.len() as u64)).unwrap_or(0);
            chosen.push(able.swap_remove(index));
        }
        chosen
    }
}

pub(super) fn encoded(response: &QueryResponse) -> Bytes {
    let mut out = BytesMut::new();
    response.encode(&mut out);
    out.freeze()
}
