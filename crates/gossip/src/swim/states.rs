//! [pure] What is believed of members, and how messages change it: alive, suspect, dead, and our refutations.
//!
//! Source: memberlist 0.2.2. Everything believed newly is told on; what is older than what is known is ignored.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::delegate::Doubt;
use super::machine::Turn;
use super::members::Slot;
use super::suspicion::Suspicion;
use super::timers::Timer;
use super::{Member, Name, State, Swim, Token};
use crate::wire::memberlist::{Alive, Dead, Message, Suspect};

impl Swim {
    /// Takes what somebody says about a live member; also how we announce ourselves.
    pub(super) fn alive(&mut self, turn: &mut Turn<'_>, mut alive: Alive) {
        let is_me = alive.node == self.config.name;
        if is_me && self.is_leaving() || !is_sound(&alive) {
            return;
        }
        if alive.port == 0 {
            alive.port = self.config.port;
        }
        if !is_me && self.is_stranger(turn, &alive) {
            return;
        }
        let Some(slot) = self.slot_of(turn, &alive) else {
            return;
        };
        let Some(old) = self.members.get(slot).map(|entry| &entry.member) else {
            return;
        };
        let is_elsewhere = old.address != alive.address || old.port != alive.port;
        if is_elsewhere && !self.is_free(turn, old) {
            let theirs = Member {
                address: alive.address,
                port: alive.port,
                meta: alive.meta,
                ..old.clone()
            };
            self.counters.conflicts += 1;
            tracing::error!(
                "conflicting address for {}: mine {}, theirs {}",
                old.name,
                old.socket(),
                theirs.socket()
            );
            turn.delegate.conflict(turn.now, old, &theirs);
            return;
        }
        if is_me {
            self.alive_about_me(turn, slot, &alive);
        } else if alive.incarnation > old.incarnation || is_elsewhere {
            self.believe_alive(turn, slot, alive, None);
        }
    }

    /// Whether a member says that it belongs to another cluster: somebody who knows both has told us of it.
    fn is_stranger(&mut self, turn: &Turn<'_>, alive: &Alive) -> bool {
        let Some(other) = turn.delegate.other_cluster(&alive.meta) else {
            return false;
        };
        self.counters.strangers += 1;
        tracing::debug!(
            "ignoring {}: it belongs to the cluster '{other}'",
            alive.node
        );
        true
    }

    /// Takes what somebody says about us: if it is not what we are, we say louder what we are.
    fn alive_about_me(&mut self, turn: &mut Turn<'_>, slot: Slot, alive: &Alive) {
        let Some(me) = self.members.get(slot).map(|entry| &entry.member) else {
            return;
        };
        let is_same = alive.incarnation == me.incarnation
            && alive.meta == me.meta
            && alive.versions == me.versions;
        if alive.incarnation < me.incarnation || is_same {
            return;
        }
        tracing::warn!("refuting an alive message for {}", me.name);
        self.refute(turn, alive.incarnation);
    }

    /// Believes it, tells it on, and tells the layer above what is new to it.
    pub(super) fn believe_alive(
        &mut self,
        turn: &mut Turn<'_>,
        slot: Slot,
        alive: Alive,
        token: Option<Token>,
    ) {
        let message = Message::Alive(alive.clone());
        self.tell(turn, &message, token);
        let Some(entry) = self.members.get_mut(slot) else {
            return;
        };
        let was_doubted = entry.suspicion.take().is_some();
        if was_doubted {
            turn.delegate.refuted(turn.now, &entry.member.name);
        }
        let member = &mut entry.member;
        let was_gone = member.is_gone();
        let name = member.name.clone();
        let is_updated = member.meta != alive.meta;
        member.incarnation = alive.incarnation;
        member.address = alive.address;
        member.port = alive.port;
        member.meta = alive.meta;
        member.versions = alive.versions.or(member.versions);
        if member.state != State::Alive {
            member.state = State::Alive;
            member.changed = turn.now;
        }
        if was_gone {
            turn.delegate.member_joined(turn.now, member);
        } else if is_updated {
            turn.delegate.member_updated(turn.now, member);
        }
        self.forget_refusals(&name);
        self.looked(&name);
        if was_doubted {
            self.tell_at_once(turn, &message);
        }
        if was_gone {
            self.plan_watch(turn.now);
        }
    }

    /// Takes somebody's doubt about a member, our own included.
    pub(super) fn suspect(&mut self, turn: &mut Turn<'_>, suspect: Suspect, why: Doubt) {
        let Some(slot) = self.members.find(suspect.node.as_bytes()) else {
            return;
        };
        let members = self.members.len();
        // Those of our kind doubt only whom they did not reach themselves.
        let has_looked = why != Doubt::PushPull && self.is_of_our_kind(&suspect.from);
        let Some(entry) = self.members.get_mut(slot) else {
            return;
        };
        if suspect.incarnation < entry.member.incarnation {
            return;
        }
        if let Some(suspicion) = &mut entry.suspicion {
            if suspicion.confirm(&suspect.from, has_looked) {
                self.timers
                    .set(suspicion.deadline(), Timer::Suspicion(slot));
                turn.delegate
                    .suspected(turn.now, &suspect.node, &suspect.from, why);
                self.tell(turn, &Message::Suspect(suspect), None);
            }
            return;
        }
        if entry.member.state != State::Alive {
            return;
        }
        if slot == self.me {
            tracing::warn!("refuting a suspect message from {}", suspect.from);
            self.refute(turn, suspect.incarnation);
            return;
        }
        let mut suspicion = Suspicion::new(&self.config, members, suspect.from.clone(), turn.now);
        if self.config.extends && entry.member.is_our_kind() {
            suspicion.observe(self.config.suspicion_observed, has_looked);
        }
        self.timers
            .set(suspicion.deadline(), Timer::Suspicion(slot));
        entry.suspicion = Some(Box::new(suspicion));
        entry.member.incarnation = suspect.incarnation;
        entry.member.state = State::Suspect;
        entry.member.changed = turn.now;
        turn.delegate
            .suspected(turn.now, &suspect.node, &suspect.from, why);
        self.tell(turn, &Message::Suspect(suspect), None);
    }

    /// The deadline of a suspicion has come, unless it was refuted or there is another by now.
    pub(super) fn suspicion_ends(&mut self, turn: &mut Turn<'_>, slot: Slot) {
        let Some(entry) = self.members.get(slot) else {
            return;
        };
        let Some(suspicion) = &entry.suspicion else {
            return;
        };
        if suspicion.deadline() > turn.now {
            return;
        }
        let patient = suspicion.deadline_with(self.awareness);
        if patient > turn.now {
            self.timers.set(patient, Timer::Suspicion(slot));
            return;
        }
        self.counters.suspicions_lonely += u64::from(suspicion.is_lonely());
        let dead = Dead {
            incarnation: entry.member.incarnation,
            node: entry.member.name.clone(),
            from: self.config.name.clone(),
        };
        tracing::info!(
            "marking {} as failed, suspected by {:?}",
            dead.node,
            suspicion.accusers()
        );
        self.dead(turn, dead, None);
    }

    /// Takes somebody's word that a member is gone; it is the member's own when it leaves.
    pub(super) fn dead(&mut self, turn: &mut Turn<'_>, dead: Dead, token: Option<Token>) {
        let Some(slot) = self.members.find(dead.node.as_bytes()) else {
            return;
        };
        let is_leaving = self.is_leaving();
        let Some(entry) = self.members.get_mut(slot) else {
            return;
        };
        if dead.incarnation < entry.member.incarnation || entry.member.is_gone() {
            return;
        }
        if slot == self.me && !is_leaving {
            tracing::warn!("refuting a dead message from {}", dead.from);
            self.refute(turn, dead.incarnation);
            return;
        }
        entry.suspicion = None;
        entry.member.incarnation = dead.incarnation;
        entry.member.state = match dead.node == dead.from {
            true => State::Left,
            false => State::Dead,
        };
        entry.member.changed = turn.now;
        turn.delegate.member_left(turn.now, &entry.member);
        self.forget_refusals(&dead.node);
        self.looked(&dead.node);
        self.plan_watch(turn.now);
        let dead = Message::Dead(dead);
        self.tell(turn, &dead, token);
        self.tell_at_once(turn, &dead);
    }

    /// Says that we are alive, louder than `accused`.
    ///
    /// Serf 0.9.4 queues this under the text of our address; under our name it takes the place of the accusation
    /// that we would otherwise spread ourselves.
    fn refute(&mut self, turn: &mut Turn<'_>, accused: u32) {
        self.raise_incarnation(accused);
        self.awareness.worse(1);
        self.counters.refutations += 1;
        let alive = Message::Alive(self.own_alive());
        self.tell(turn, &alive, None);
        self.tell_at_once(turn, &alive);
    }

    /// Somebody has told us of a doubt about ourselves: they hear that we are here, and not only by gossip.
    pub(super) fn answer_accuser(&mut self, accuser: SocketAddr) {
        let is_known = || self.members().any(|member| member.socket() == accuser);
        if self.config.extends && !self.is_leaving() && is_known() {
            let alive = Message::Alive(self.own_alive());
            self.send_parts(accuser, false, vec![encode(&alive)]);
        }
    }

    /// Whether a member of this name takes part in what Serf does not do, as we do.
    fn is_of_our_kind(&self, name: &Name) -> bool {
        let member = self.member(name.as_bytes());
        self.config.extends && member.is_some_and(Member::is_our_kind)
    }

    /// Ours is above `accused` afterwards.
    pub(super) fn raise_incarnation(&mut self, accused: u32) {
        if let Some(entry) = self.members.get_mut(self.me) {
            // A forged message can say the largest number of all; there is nothing above it.
            let highest = entry.member.incarnation.max(accused);
            entry.member.incarnation = highest.saturating_add(1);
        }
    }

    /// What we say about ourselves.
    pub(super) fn own_alive(&self) -> Alive {
        let me = self.me();
        Alive {
            incarnation: me.incarnation,
            node: me.name.clone(),
            address: me.address,
            port: me.port,
            meta: me.meta.clone(),
            versions: me.versions,
        }
    }

    /// Queues a message about a member for everybody, in place of what is queued about it.
    fn tell(&mut self, turn: &Turn<'_>, message: &Message, token: Option<Token>) {
        let name: Option<&Name> = match message {
            Message::Alive(alive) => Some(&alive.node),
            Message::Suspect(suspect) => Some(&suspect.node),
            Message::Dead(dead) => Some(&dead.node),
            Message::Ping(_)
            | Message::IndirectPing(_)
            | Message::Ack(_)
            | Message::Nack(_)
            | Message::User(_) => None,
        };
        self.queue.push(encode(message), name.cloned(), token);
        self.finish_broadcasts();
        self.broadcasts_waiting(turn.now);
    }

    /// The member's slot; one that nobody knows begins as dead.
    fn slot_of(&mut self, turn: &Turn<'_>, alive: &Alive) -> Option<Slot> {
        if let Some(slot) = self.members.find(alive.node.as_bytes()) {
            return Some(slot);
        }
        // Serf lists such a one as dead for ever, since 0 is not more than 0.
        if alive.incarnation == 0 {
            return None;
        }
        if self.members.len() >= self.config.members_max {
            self.counters.members_refused += 1;
            tracing::warn!(
                "ignoring {}: {} members are known",
                alive.node,
                self.members.len()
            );
            return None;
        }
        let member = Member {
            name: alive.node.clone(),
            address: alive.address,
            port: alive.port,
            meta: alive.meta.clone(),
            incarnation: 0,
            state: State::Dead,
            changed: turn.now,
            versions: alive.versions,
        };
        Some(self.members.insert(member, &mut self.chance))
    }

    /// Whether the name of `old` may be taken by another address.
    fn is_free(&self, turn: &Turn<'_>, old: &Member) -> bool {
        let reclaim = self.config.dead_node_reclaim_time;
        match old.state {
            State::Left => true,
            State::Dead => !reclaim.is_zero() && turn.now - old.changed > reclaim,
            State::Alive | State::Suspect => false,
        }
    }
}

/// A nameless member, or one whose versions cannot be, is ignored.
fn is_sound(alive: &Alive) -> bool {
    let possible = alive.versions.is_none_or(|versions| {
        versions.protocol_min != 0
            && versions.protocol_max != 0
            && versions.protocol_min <= versions.protocol_max
    });
    if !possible {
        tracing::warn!(
            "ignoring an alive message for {} with wrong versions",
            alive.node
        );
    }
    possible && !alive.node.is_empty()
}

/// A message as it goes into a packet.
pub(super) fn encode(message: &Message) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes);
    bytes.freeze()
}
