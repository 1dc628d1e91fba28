//! From the words of the machine to those of RPC.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::shared::Shared;
use crate::rpc::event::{Event, Member, MemberChange, Query, Status, UserEvent, Versions};
use crate::rpc::{Coordinate, KeysAnswer, QueryKey, Refused};
use crate::serf;
use crate::wire::memberlist;

/// An event as RPC and handlers tell it.
pub(super) fn event(event: &serf::Event, shared: &Shared) -> Event {
    match event {
        serf::Event::Members(event) => {
            let members = event.members.iter().map(|seen| member(seen));
            Event::Members(change(event.change), members.collect())
        }
        serf::Event::User(event) => Event::User(UserEvent {
            ltime: event.time.0,
            name: event.name.clone(),
            payload: event.payload.clone(),
            coalesce: event.coalesce,
        }),
        serf::Event::Query(query) => Event::Query(Query {
            key: query_key(query.key),
            name: query.name.clone(),
            payload: query.payload.clone(),
            deadline: shared.instant(query.deadline),
        }),
    }
}

/// A member as RPC shows it.
pub(super) fn member(member: &serf::Member) -> Member {
    let memberlist::Versions {
        protocol_min,
        protocol_max,
        protocol,
        delegate_min,
        delegate_max,
        delegate,
    } = member.versions;
    Member {
        name: member.name.clone(),
        address: Some(member.address),
        port: member.port,
        tags: member.tags.0.clone(),
        status: status(member.status),
        protocol: Versions {
            min: protocol_min,
            max: protocol_max,
            current: protocol,
        },
        delegate: Versions {
            min: delegate_min,
            max: delegate_max,
            current: delegate,
        },
    }
}

const fn status(status: serf::Status) -> Status {
    match status {
        serf::Status::None => Status::None,
        serf::Status::Alive => Status::Alive,
        serf::Status::Leaving => Status::Leaving,
        serf::Status::Left => Status::Left,
        serf::Status::Failed => Status::Failed,
    }
}

const fn change(change: serf::Change) -> MemberChange {
    match change {
        serf::Change::Join => MemberChange::Join,
        serf::Change::Leave => MemberChange::Leave,
        serf::Change::Failed => MemberChange::Failed,
        serf::Change::Update => MemberChange::Update,
        serf::Change::Reap => MemberChange::Reap,
    }
}

/// Which query is meant, in RPC's words.
pub(super) const fn query_key(key: serf::QueryKey) -> QueryKey {
    QueryKey {
        ltime: key.time.0,
        id: key.id,
    }
}

/// Which query is meant, in the machine's words.
pub(super) const fn serf_key(key: QueryKey) -> serf::QueryKey {
    serf::QueryKey {
        time: serf::LTime(key.ltime),
        id: key.id,
    }
}

/// A query as the machine asks it, with its payload. `ends_queries` is the agent's setting.
pub(super) fn query(
    request: crate::rpc::QueryRequest,
    ends_queries: bool,
) -> (serf::QueryParams, Bytes) {
    let params = serf::QueryParams {
        nodes: request.nodes,
        tags: request.tags,
        wants_acks: request.wants_ack,
        relay_factor: request.relay_factor,
        timeout: (!request.timeout.is_zero()).then_some(request.timeout),
        ends_early: !request.waits && ends_queries,
    };
    (params, request.payload.unwrap_or_default())
}

/// What the members said about their keys.
pub(super) fn keys(outcome: &serf::KeyOutcome, is_list: bool) -> KeysAnswer {
    let error = outcome.error().map(Refused);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let messages = outcome.messages.iter();
    let counted: BTreeMap<String, u32> = outcome
        .keys
        .iter()
        .map(|(key, members)| (key.clone(), count(*members)))
        .collect();
    KeysAnswer {
        messages: messages
            .map(|(node, text)| (node.to_string(), text.clone()))
            .collect(),
        keys: is_list.then_some(counted),
        asked: count(outcome.nodes),
        failed: count(outcome.errors),
        answered: count(outcome.responses),
        error,
    }
}

/// A place in the space of round trips.
pub(super) fn coordinate(coordinate: &serf::Coordinate) -> Coordinate {
    Coordinate {
        vector: coordinate.vec.to_vec(),
        error: coordinate.error,
        adjustment: coordinate.adjustment,
        height: coordinate.height,
    }
}
