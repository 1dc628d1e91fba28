//! [pure] Members that fall silent: each is asked by its neighbour, and who does not answer is looked at by several.
//!
//! Ours; Serf finds a silent member when chance leads a probe to it, and then waits long for it to refute, since the
//! one that got no answer may be the slow one. Here each member of our kind also pings the one that follows it on the
//! ring of [`super::watch`] in every interval, beside its probes. Who gets no answer tries again, over TCP too, and only
//! then doubts; and asks others of our kind to look, who doubt only what they did not reach themselves. What three have
//! looked at on purpose is no matter of one slow member any more: such a suspicion is short
//! ([`super::Config::suspicion_observed`]), unless we are not well ourselves. Each that looks tells the member of the
//! doubt, so that it can refute, and refutations are told at once.
//!
//! ```text
//! look: 0x43, incarnation (4 bytes), then the name
//! ```
#![warn(clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::delegate::Doubt;
use super::machine::Turn;
use super::states::encode;
use super::timers::Timer;
use super::{Member, Name, State, StreamId, Swim};
use crate::wire::memberlist::{Message, Ping, Suspect};

/// The first byte of a user message of this kind.
const CODE: u8 = 0x43;
/// So many are asked to look.
const ASKED: usize = 4;
/// Members that are looked at, at a time.
const LOOKS_MAX: usize = 32;

/// Whom we listen for.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// The ping to our neighbour that is not answered yet.
    vigil: Option<(u32, Name)>,
    looks: BTreeMap<Name, Look>,
}

/// A look at one member.
#[derive(Debug)]
struct Look {
    /// The number of its pings.
    sequence: u32,
    stream: Option<StreamId>,
    /// What the member is told, if somebody doubts it already.
    doubt: Option<Suspect>,
    /// Whoever asked us.
    asker: Option<SocketAddr>,
}

impl Swim {
    /// Time to ping the neighbour, together with a probe, so that nobody wakes for it alone.
    pub(super) fn vigil(&mut self, turn: &mut Turn<'_>) {
        let is_off = !self.config.extends || self.config.suspicion_observed.is_zero();
        if is_off || self.is_leaving() {
            return;
        }
        let neighbour = self
            .neighbour()
            .and_then(|name| self.member(name.as_bytes()));
        let Some(neighbour) = neighbour.filter(|it| !it.is_gone()) else {
            return;
        };
        let (name, to, state) = (neighbour.name.clone(), neighbour.socket(), neighbour.state);
        if state == State::Suspect {
            // Those who were asked may not have heard it.
            self.ask_to_look(&name);
        }
        let sequence = self.next_sequence();
        self.silence.vigil = Some((sequence, name.clone()));
        let ends = turn.now + self.config.probe_timeout;
        self.timers.set(ends, Timer::VigilEnds(sequence));
        let ping = self.ping_of(sequence, name);
        self.send(turn, to, &Message::Ping(ping));
    }

    /// The neighbour has not answered, unless it has.
    pub(super) fn vigil_ends(&mut self, turn: &mut Turn<'_>, sequence: u32) {
        let is_it = |(number, _): &mut (u32, Name)| *number == sequence;
        if let Some((_, name)) = self.silence.vigil.take_if(is_it) {
            self.look_at(turn, name, None, None);
        }
    }

    /// Looks whether a member answers, now and once more, over TCP too. False if it cannot be looked at.
    pub(super) fn look_at(
        &mut self,
        turn: &mut Turn<'_>,
        name: Name,
        doubt: Option<Suspect>,
        asker: Option<SocketAddr>,
    ) -> bool {
        let can = !self.is_leaving() && self.silence.looks.len() < LOOKS_MAX;
        let looked_at = |member: &&Member| {
            member.is_our_kind() && !member.is_gone() && member.name != self.config.name
        };
        let member = self.member(name.as_bytes()).filter(looked_at);
        let Some((to, tcp)) = member.map(|it| (it.socket(), it.answers_tcp_pings())) else {
            return false;
        };
        if let Some(look) = self.silence.looks.get_mut(&name) {
            look.asker = look.asker.or(asker);
            return true;
        }
        if !can {
            return false;
        }
        let sequence = self.next_sequence();
        let limit = self.awareness.scale(self.config.probe_timeout);
        let ends = turn.now + limit;
        self.timers
            .set(turn.now + limit / 2, Timer::LookAgain(sequence));
        self.timers.set(ends, Timer::LookEnds(sequence));
        let stream = (self.config.tcp_pings && tcp).then(|| {
            let ping = self.ping_of(sequence, name.clone());
            self.open_look_at(to, name.clone(), ping, ends)
        });
        let look = Look {
            sequence,
            stream,
            doubt,
            asker,
        };
        self.silence.looks.insert(name, look);
        self.look_again(sequence);
        true
    }

    /// Pings, with what is said of the member.
    pub(super) fn look_again(&mut self, sequence: u32) {
        let mut looks = self.silence.looks.iter();
        let Some((name, look)) = looks.find(|(_, look)| look.sequence == sequence) else {
            return;
        };
        let Some(member) = self.member(name.as_bytes()) else {
            return;
        };
        let to = member.socket();
        let doubted = || {
            (member.state == State::Suspect).then(|| Suspect {
                incarnation: member.incarnation,
                node: name.clone(),
                from: self.config.name.clone(),
            })
        };
        let doubt = look.doubt.clone().or_else(doubted);
        let ping = Message::Ping(self.ping_of(sequence, name.clone()));
        let parts = [Some(ping), doubt.map(Message::Suspect)];
        let parts = parts.iter().flatten().map(encode).collect();
        self.send_parts(to, false, parts);
    }

    /// An ack came. True if it answers the ping to the neighbour or a look.
    pub(super) fn silence_broken(&mut self, sequence: u32) -> bool {
        let is_it = |(number, _): &mut (u32, Name)| *number == sequence;
        if self.silence.vigil.take_if(is_it).is_some() {
            return true;
        }
        let mut looks = self.silence.looks.iter();
        let found = looks.find(|(_, look)| look.sequence == sequence);
        let Some(name) = found.map(|(name, _)| name.clone()) else {
            return false;
        };
        self.looked(&name);
        true
    }

    /// A look is over, since the member answers or is gone.
    pub(super) fn looked(&mut self, name: &Name) {
        if let Some(stream) = self.silence.looks.remove(name).and_then(|it| it.stream) {
            self.close_stream(stream);
        }
    }

    /// The time of a look is over, unless it was answered: we doubt the member ourselves now, and say so.
    pub(super) fn look_ends(&mut self, turn: &mut Turn<'_>, sequence: u32) {
        let mut looks = self.silence.looks.iter();
        let found = looks.find(|(_, look)| look.sequence == sequence);
        let Some(name) = found.map(|(name, _)| name.clone()) else {
            return;
        };
        let asker = self.silence.looks.get(&name).and_then(|look| look.asker);
        self.looked(&name);
        let member = self.member(name.as_bytes()).filter(|it| !it.is_gone());
        let Some(incarnation) = member.map(|member| member.incarnation) else {
            return;
        };
        let suspect = Suspect {
            incarnation,
            node: name.clone(),
            from: self.config.name.clone(),
        };
        tracing::info!("suspect {name} has failed, it does not answer");
        self.suspect(turn, suspect.clone(), Doubt::Probe);
        match asker {
            Some(asker) => self.send_parts(asker, false, vec![encode(&Message::Suspect(suspect))]),
            None => self.ask_to_look(&name),
        }
    }

    /// Asks some of our kind, chosen by chance, to look at a member of our kind.
    pub(super) fn ask_to_look(&mut self, about: &Name) {
        let is_off = !self.config.extends || self.config.suspicion_observed.is_zero();
        let member = self
            .member(about.as_bytes())
            .filter(|it| it.is_our_kind() && !it.is_gone());
        let Some(incarnation) = member.map(|it| it.incarnation).filter(|_| !is_off) else {
            return;
        };
        let me = &self.config.name;
        let can = |member: &Member| {
            member.is_our_kind()
                && member.state == State::Alive
                && member.name != *me
                && member.name != *about
        };
        let look = word(incarnation, about);
        for slot in self.members.draw(ASKED, &mut self.chance, can) {
            if let Some(to) = self.members.get(slot).map(|entry| entry.member.socket()) {
                self.send_user(to, &look, false);
            }
        }
    }

    /// Whether a user message asks us to look; then it has been taken.
    pub(super) fn asked_to_look(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
        from: SocketAddr,
    ) -> bool {
        if !self.config.extends || body.first() != Some(&CODE) {
            return false;
        }
        let asker = self.members().find(|member| member.socket() == from);
        let asker = asker.filter(|member| !member.is_gone());
        let (Some(asker), Some((incarnation, about))) =
            (asker.map(|member| member.name.clone()), read(body))
        else {
            self.counters.packets_bad += 1;
            return true;
        };
        // It has said since that it lives.
        let is_over = |member: &Member| member.incarnation > incarnation;
        if self.member(about.as_bytes()).is_none_or(is_over) {
            return true;
        }
        let doubt = Suspect {
            incarnation,
            node: about.clone(),
            from: asker,
        };
        self.look_at(turn, about, Some(doubt), Some(from));
        true
    }

    /// Another's state says that a member is gone. If it is of our kind we look first; true if we do. What we doubt is
    /// then what we have seen, and not what one has said to many.
    pub(super) fn looks_first(&mut self, turn: &mut Turn<'_>, suspect: &Suspect) -> bool {
        let is_off = !self.config.extends || self.config.suspicion_observed.is_zero();
        let member = self
            .member(suspect.node.as_bytes())
            .filter(|member| member.state == State::Alive);
        let is_news = member.is_some_and(|member| member.incarnation <= suspect.incarnation);
        if is_off || !is_news {
            return false;
        }
        self.look_at(turn, suspect.node.clone(), Some(suspect.clone()), None)
    }

    /// What was not answered while we stood still counts against nobody.
    pub(super) fn abandon_looks(&mut self) {
        self.silence.vigil = None;
        let names: Vec<Name> = self.silence.looks.keys().cloned().collect();
        for name in names {
            self.looked(&name);
        }
    }

    /// Whether the ping of this number to the neighbour is not answered yet.
    pub(super) fn is_on_vigil(&self, sequence: u32) -> bool {
        let vigil = self.silence.vigil.as_ref();
        vigil.is_some_and(|(number, _)| *number == sequence)
    }

    /// Whether the look of this number is under way.
    pub(super) fn is_looking(&self, sequence: u32) -> bool {
        let mut looks = self.silence.looks.values();
        looks.any(|look| look.sequence == sequence)
    }

    fn ping_of(&self, seq: u32, node: Name) -> Ping {
        Ping {
            seq,
            node,
            source: Some(self.own_source()),
        }
    }
}

fn word(incarnation: u32, name: &Name) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(CODE);
    out.put_u32(incarnation);
    out.put_slice(name.as_bytes());
    out.freeze()
}

fn read(body: &[u8]) -> Option<(u32, Name)> {
    let (_, rest) = body.split_first()?;
    let (incarnation, name) = rest.split_at_checked(4)?;
    let incarnation = u32::from_be_bytes(incarnation.try_into().ok()?);
    (!name.is_empty()).then(|| (incarnation, Name::new(name)))
}
