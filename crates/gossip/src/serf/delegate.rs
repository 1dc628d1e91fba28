//! [pure] What membership tells Serf's layer and asks it for.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tracing::{debug, error, trace, warn};

use super::extensions::Extensions;
use super::history::Verdict;
use super::machine::{CLUSTER_TAG, Serf};
use super::{Coordinate, LTime, Tags, Vivaldi};
use crate::moment::Moment;
use crate::swim::{Delegate, Doubt, Member, Name, transmit_limit};
use crate::wire::serf::{Coordinate as Sent, Message, PushPull};

/// Where all have events at once and pull what they miss, gossip carries each in one of so many packets.
const PULLED_SHARE: u32 = 3;
/// No more parts of ours in one packet than a compound can count.
const PARTS_MAX: usize = 255;

impl Delegate for Serf {
    fn meta(&self) -> Bytes {
        self.meta.clone()
    }

    fn message(&mut self, now: Moment, body: &Bytes, from: SocketAddr) {
        if Extensions::is_ours(body) {
            self.extended(body, from);
            return;
        }
        let message = match Message::decode(body) {
            Ok(message) => message,
            Err(error) => {
                self.counters.malformed += 1;
                warn!("Received message that cannot be read: {error}");
                return;
            }
        };
        // What is passed on is what came in, byte by byte: there may be fields that only others know.
        match message {
            Message::Leave(leave) if self.leave_intent(now, &leave) => {
                self.intent_queue.push(copy(body), None, None);
            }
            Message::Join(join) if self.join_intent(now, &join) => {
                self.intent_queue.push(copy(body), None, None);
            }
            Message::UserEvent(event) => {
                if let Some(told) = self.see_user_event(&event) {
                    self.pass_event(now, event.ltime, &told, copy(body), Some(from));
                }
            }
            Message::Query(query) if self.see_query(now, &query) => {
                let body = copy(body);
                self.spread(now, &body, Some(from));
                self.query_queue.push(body, None, None);
            }
            Message::QueryResponse(response) => self.take_answer(now, &response),
            Message::Relay(relay) => {
                let to = relay.address.socket(relay.port);
                debug!("Relaying response to addr: {to}");
                self.out.sends.push((to, relay.inner));
            }
            Message::Leave(_) | Message::Join(_) | Message::Query(_) => {}
        }
    }

    fn broadcasts(&mut self, _now: Moment, overhead: usize, room: usize, into: &mut Vec<Bytes>) {
        let limit = transmit_limit(self.config.retransmit_mult, self.members.all.len());
        let has_events = !self.event_queue.is_empty();
        let events_limit = match has_events && self.is_among_our_kind() {
            true => limit.div_ceil(PULLED_SHARE),
            false => limit,
        };
        let (mut room, mut count) = (room, PARTS_MAX);
        let before = into.len();
        let mut queues = [
            (&mut self.intent_queue, limit),
            (&mut self.query_queue, limit),
            (&mut self.event_queue, events_limit),
        ];
        // Each is the first in turn: a flood of one kind leaves room for the others.
        let first = self.first_queue % queues.len();
        queues.rotate_left(first);
        self.first_queue = self.first_queue.wrapping_add(1);
        for (queue, limit) in queues {
            let used = queue.take(overhead, room, limit, count, into);
            room = room.saturating_sub(used);
            count = PARTS_MAX.saturating_sub(into.len().saturating_sub(before));
        }
    }

    fn local_state(&mut self, _is_join: bool) -> Bytes {
        let mut out = BytesMut::new();
        self.own_state().encode(&mut out);
        out.freeze()
    }

    fn merge_state(&mut self, now: Moment, state: &Bytes, is_join: bool) {
        match PushPull::decode(state) {
            Ok(state) => self.merge(now, &state, is_join),
            Err(error) => {
                self.counters.malformed += 1;
                error!("Failed to decode remote state: {error}");
            }
        }
    }

    fn ack_payload(&mut self) -> Bytes {
        let own = self.vivaldi.as_ref().map(Vivaldi::coordinate);
        let own = own.and_then(Coordinate::to_wire);
        own.map_or_else(Bytes::new, Sent::to_bytes)
    }

    fn ping_complete(&mut self, _now: Moment, node: &Name, rtt: Duration, payload: &Bytes) {
        let Some(vivaldi) = self.vivaldi.as_mut().filter(|_| !payload.is_empty()) else {
            return;
        };
        let other = match crate::wire::serf::Coordinate::decode(payload) {
            Ok(coordinate) => Coordinate::from(coordinate),
            Err(error) => {
                self.counters.malformed += 1;
                error!("Failed to decode coordinate from ping: {error}");
                return;
            }
        };
        if let Err(reason) = vivaldi.observe(node, &other, rtt) {
            self.counters.coordinates_rejected += 1;
            trace!("Rejected coordinate from {node}: {reason}");
            return;
        }
        let own = vivaldi.coordinate().clone();
        if self.members.all.contains_key(node) {
            self.coordinates.insert(node.clone(), other);
        }
        self.coordinates.insert(self.config.name.clone(), own);
    }

    fn member_joined(&mut self, now: Moment, member: &Member) {
        self.joined(now, member);
    }

    fn member_left(&mut self, now: Moment, member: &Member) {
        self.went(now, member);
    }

    fn member_updated(&mut self, _now: Moment, member: &Member) {
        self.updated(member);
    }

    fn other_cluster(&self, meta: &Bytes) -> Option<String> {
        let own = self.config.cluster.as_deref()?;
        let theirs = Tags::decode(meta).ok()?.0.remove(CLUSTER_TAG)?;
        (theirs != own).then_some(theirs)
    }

    fn own_cluster(&self) -> Option<&str> {
        self.config.cluster.as_deref()
    }

    fn conflict(&mut self, now: Moment, mine: &Member, theirs: &Member) {
        self.name_conflict(now, mine, theirs);
    }

    fn suspected(&mut self, now: Moment, node: &Name, by: &Name, why: Doubt) {
        let why = match why {
            Doubt::Probe => "it did not answer our probe",
            Doubt::Message => "another member got no answer from it",
            Doubt::Refusal => "its port refuses connections",
            Doubt::PushPull => "another member believes it to be gone",
        };
        self.history_note(now, node, Verdict::Suspected, Some(by.clone()), why);
        self.members.is_changed = true;
    }

    fn refuted(&mut self, now: Moment, node: &Name) {
        self.history_note(
            now,
            node,
            Verdict::Cleared,
            Some(node.clone()),
            "it says that it is alive",
        );
        self.members.is_changed = true;
    }
}

/// What stays for a while must not keep the whole packet that it came in.
fn copy(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

// State that two members exchange.
impl Serf {
    fn own_state(&self) -> PushPull {
        use super::Status;
        use crate::wire::serf::{Event, EventsAt};
        let all = &self.members.all;
        let left = all
            .iter()
            .filter(|(_, known)| known.status() == Status::Left);
        let event = |told: &super::machine::Told| Event {
            name: told.name.clone(),
            payload: told.payload.clone(),
        };
        let events = self.events.iter().map(|(ltime, told)| EventsAt {
            ltime,
            events: told.iter().map(event).collect(),
        });
        PushPull {
            ltime: self.clock.time(),
            status_ltimes: all
                .iter()
                .map(|(name, known)| (name.clone(), known.time))
                .collect(),
            left_members: left.map(|(name, _)| name.clone()).collect(),
            event_ltime: self.event_clock.time(),
            events: events.collect(),
            query_ltime: self.query_clock.time(),
            said: self.said(),
        }
    }

    fn merge(&mut self, now: Moment, state: &PushPull, is_join: bool) {
        use crate::wire::serf::{Join, Leave, UserEvent};
        if let Some(said) = &state.said {
            self.compare(now, said);
        }
        // One less: nothing has been sent with the clock's own value yet.
        self.clock.witness(state.ltime.previous());
        self.event_clock.witness(state.event_ltime.previous());
        self.query_clock.witness(state.query_ltime.previous());
        let times: std::collections::HashMap<&Name, LTime> = state
            .status_ltimes
            .iter()
            .map(|(name, time)| (name, *time))
            .collect();
        let left: std::collections::HashSet<&Name> = state.left_members.iter().collect();
        // First those that left, whose leave was later than the time that is known of them.
        for node in &state.left_members {
            let time = times.get(node).copied().unwrap_or_default();
            // If that is no news only the time is: else two that exchange it raise each other's for ever, and all
            // clocks with it, as Serf does.
            let is_news = !self.members.has_status(node, super::Status::Left);
            let ltime = if is_news { time.next() } else { time };
            self.leave_intent(
                now,
                &Leave {
                    ltime,
                    node: node.clone(),
                    prune: false,
                },
            );
        }
        for (node, ltime) in state
            .status_ltimes
            .iter()
            .filter(|(node, _)| !left.contains(node))
        {
            self.join_intent(
                now,
                &Join {
                    ltime: *ltime,
                    node: node.clone(),
                },
            );
        }
        if is_join && self.ignores_old_events {
            self.events.raise_min(state.event_ltime);
        }
        for at in &state.events {
            for event in &at.events {
                self.see_user_event(&UserEvent {
                    ltime: at.ltime,
                    name: event.name.clone(),
                    payload: event.payload.clone(),
                    coalesce: false,
                });
            }
        }
    }
}
