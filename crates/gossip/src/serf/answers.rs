//! [pure] Queries of ours: asked, and their answers gathered until the time is up.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tracing::warn;

use super::conflict::Votes;
use super::filters;
use super::internal;
use super::keys::Gathering;
use super::machine::Serf;
use super::members::is_there;
use super::{Error, QueryKey};
use crate::moment::Moment;
use crate::swim::Name;
use crate::wire::serf::{Filter, Query, QueryResponse};

/// At least so many may answer one query, however few members we know: others may know more.
const ANSWERS_MIN: usize = 1024;
/// Tags that one query can filter by.
const FILTERS_MAX: usize = 255;

/// How to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryParams {
    /// Only these members; all if empty.
    pub nodes: Vec<Name>,
    /// Only members whose tags match these expressions.
    pub tags: BTreeMap<String, String>,
    /// Whether each member that is meant says that the query came.
    pub wants_acks: bool,
    /// Over how many others each answer comes as well.
    pub relay_factor: u8,
    /// How long to wait; none for what the size of the cluster suggests.
    pub timeout: Option<Duration>,
    /// Whether the query ends when all that are meant have answered. Serf always waits for the timeout.
    pub ends_early: bool,
}

/// What comes of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It came to this member.
    Ack(Name),
    /// This member answers.
    Response(Name, Bytes),
    /// Nothing more will come.
    Done,
}

/// What a query of ours is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Somebody asked, who gets the answers.
    User,
    /// A command about keys.
    Keys(Gathering),
    /// Who has our name.
    Conflict(Votes),
}

/// A query of ours whose time is not up.
#[derive(Debug)]
pub(super) struct Running {
    id: u32,
    deadline: Moment,
    /// Who has acked; none if no acks are wanted.
    acks: Option<HashSet<Name>>,
    responses: HashSet<Name>,
    /// How many are meant, as far as we know.
    expected: usize,
    /// Whether only acks come.
    is_ping: bool,
    ends_early: bool,
    pub(super) purpose: Purpose,
}

impl Running {
    fn has_all(&self) -> bool {
        let has_acks = self
            .acks
            .as_ref()
            .is_none_or(|acks| acks.len() >= self.expected);
        let has_responses = self.is_ping || self.responses.len() >= self.expected;
        self.ends_early && has_acks && has_responses
    }

    /// Whether one more fits.
    fn has_room(&self, count: usize) -> bool {
        count < self.expected.saturating_mul(2).max(ANSWERS_MIN)
    }
}

impl Serf {
    /// How long a query waits unless it says otherwise.
    #[must_use]
    pub fn default_query_timeout(&self) -> Duration {
        let members = self.members.count_there();
        let digits = members
            .checked_ilog10()
            .map_or(0, |tens| tens.saturating_add(1));
        let mult = self.config.query_timeout_mult.saturating_mul(digits);
        self.config.gossip_interval.saturating_mul(mult)
    }

    /// Asks; returns by which key the answers come, and until when.
    ///
    /// # Errors
    /// When the query is too large, too many run, or the name is Serf's own.
    pub fn query(
        &mut self,
        now: Moment,
        name: &Name,
        payload: Bytes,
        params: &QueryParams,
    ) -> Result<(QueryKey, Moment), Error> {
        let is_ping = name.as_bytes() == internal::PING && payload.is_empty();
        if internal::is_internal(name) && !is_ping {
            return Err(Error::InternalQuery);
        }
        self.ask(now, name, payload, params, Purpose::User)
    }

    pub(super) fn ask(
        &mut self,
        now: Moment,
        name: &Name,
        payload: Bytes,
        params: &QueryParams,
        purpose: Purpose,
    ) -> Result<(QueryKey, Moment), Error> {
        if !self.config.has_queries() {
            return Err(Error::NotSupported);
        }
        if self.running.len() >= self.config.running_queries_max {
            return Err(Error::TooManyQueries {
                max: self.config.running_queries_max,
            });
        }
        let query = self.message(name, payload, params)?;
        let mut encoded = BytesMut::new();
        query.encode(&mut encoded);
        if encoded.len() > self.config.query_bytes_max {
            return Err(Error::QueryTooLarge {
                max: self.config.query_bytes_max,
            });
        }
        let deadline = now + query.timeout;
        let key = QueryKey {
            time: query.ltime,
            id: query.id,
        };
        let running = Running {
            id: query.id,
            deadline,
            acks: params.wants_acks.then(HashSet::new),
            responses: HashSet::new(),
            expected: self.meant_by(&query.filters),
            is_ping: name.as_bytes() == internal::PING,
            ends_early: params.ends_early,
            purpose,
        };
        self.running.insert(query.ltime, running);
        self.see_own_query(now, &query);
        let encoded = encoded.freeze();
        self.spread(now, &encoded, None);
        self.query_queue.push(encoded, None, None);
        Ok((key, deadline))
    }

    fn message(
        &mut self,
        name: &Name,
        payload: Bytes,
        params: &QueryParams,
    ) -> Result<Query, Error> {
        let mut filters = Vec::new();
        if !params.nodes.is_empty() {
            filters.push(Filter::Nodes(params.nodes.clone()).to_bytes());
        }
        for (tag, expression) in &params.tags {
            let (tag, expression) = (tag.clone(), expression.clone());
            filters.push(Filter::Tag { tag, expression }.to_bytes());
        }
        if filters.len() > FILTERS_MAX {
            return Err(Error::Filter(format!("more than {FILTERS_MAX}")));
        }
        // Before membership has announced us there is nobody to answer to either.
        let me = self
            .member(self.config.name.as_bytes())
            .ok_or(Error::NotAlive)?;
        let (address, port) = (me.address, me.port);
        let flags = if params.wants_acks { Query::ACK } else { 0 };
        // Go's `rand.Int31`.
        let id = u32::try_from(self.rng.below(1 << 31)).unwrap_or(0);
        let timeout = params.timeout.filter(|timeout| !timeout.is_zero());
        Ok(Query {
            ltime: self.query_clock.time(),
            id,
            address,
            port,
            source_node: self.config.name.clone(),
            filters,
            flags,
            relay_factor: params.relay_factor,
            timeout: timeout.unwrap_or_else(|| self.default_query_timeout()),
            name: name.clone(),
            payload,
        })
    }

    /// How many members are there that `filters` mean.
    fn meant_by(&self, filters: &[Bytes]) -> usize {
        if filters.is_empty() {
            return self.members.count_there();
        }
        let there = self.members().filter(|member| is_there(member.status));
        there
            .filter(|member| filters::mean(filters, &member.name, &member.tags))
            .count()
    }

    /// An ack or an answer came.
    pub(super) fn take_answer(&mut self, now: Moment, response: &QueryResponse) {
        let QueryResponse {
            ltime, id, from, ..
        } = response;
        let Some(running) = self.running.get_mut(ltime) else {
            warn!("reply for non-running query (LTime: {ltime}, ID: {id}, From: {from})");
            return;
        };
        if running.id != *id {
            warn!(
                "query reply ID mismatch (Local: {}, Response: {id})",
                running.id
            );
            return;
        }
        if running.deadline <= now {
            return;
        }
        let key = QueryKey {
            time: *ltime,
            id: *id,
        };
        if response.flags & QueryResponse::ACK == 0 {
            self.take_response(key, from, &response.payload);
        } else {
            self.take_ack(key, from);
        }
        if self.running.get(ltime).is_some_and(Running::has_all) {
            self.end_query(*ltime);
        }
    }

    fn take_ack(&mut self, key: QueryKey, from: &Name) {
        let Some(running) = self.running.get_mut(&key.time) else {
            return;
        };
        self.counters.query_acks += 1;
        let count = running.acks.as_ref().map_or(0, HashSet::len);
        let has_room = running.has_room(count);
        match &mut running.acks {
            Some(acks) if acks.contains(from) => self.counters.query_duplicate_acks += 1,
            Some(acks) if has_room => {
                acks.insert(from.clone());
                self.out.answers.push((key, Answer::Ack(from.clone())));
            }
            Some(_) | None => warn!("Failed to deliver query ack, dropping"),
        }
    }

    fn take_response(&mut self, key: QueryKey, from: &Name, payload: &Bytes) {
        let me = self.member(self.config.name.as_bytes()).cloned();
        let Some(running) = self.running.get_mut(&key.time) else {
            return;
        };
        self.counters.query_responses += 1;
        if running.responses.contains(from) {
            self.counters.query_duplicate_responses += 1;
            return;
        }
        if !running.has_room(running.responses.len()) {
            warn!("Failed to deliver query response, dropping");
            return;
        }
        running.responses.insert(from.clone());
        match &mut running.purpose {
            Purpose::User => {
                let payload = Bytes::copy_from_slice(payload);
                self.out
                    .answers
                    .push((key, Answer::Response(from.clone(), payload)));
            }
            Purpose::Keys(gathering) => gathering.take(from, payload),
            Purpose::Conflict(votes) => votes.take(me.as_deref(), payload),
        }
    }

    /// Ends the queries whose time is up.
    pub(super) fn end_queries(&mut self, now: Moment) {
        let over = self
            .running
            .iter()
            .filter(|(_, running)| running.deadline <= now);
        let over: Vec<_> = over.map(|(time, _)| *time).collect();
        for time in over {
            self.end_query(time);
        }
    }

    fn end_query(&mut self, time: super::LTime) {
        let Some(running) = self.running.remove(&time) else {
            return;
        };
        match running.purpose {
            Purpose::User => {
                let key = QueryKey {
                    time,
                    id: running.id,
                };
                self.out.answers.push((key, Answer::Done));
            }
            Purpose::Keys(gathering) => self.out.keys_done.push(gathering.end()),
            Purpose::Conflict(votes) => self.decide_conflict(&votes),
        }
    }

    /// When the next query ends.
    pub(super) fn next_query_end(&self) -> Option<Moment> {
        self.running.values().map(|running| running.deadline).min()
    }
}
