//! [pure] Ports that refuse: a member whose process is gone is told from one that is slow, by several who try.
//!
//! Ours; Serf hears a refusal and waits all the same. Whoever is refused by the port of a member pings it once more,
//! and asks others of our kind to try. Each that is refused too and gets no answer says so; when enough have, the
//! member is dead, without a suspicion. A machine that is away or a process that stands still refuses nothing, and is
//! left to suspicion. Where there are others but too few of our kind to ask, it is left to suspicion too.
//!
//! ```text
//! refusal: 0x42, 0 look or 1 refused, incarnation (4 bytes), length of the name (2 bytes), the name
//! ```
#![warn(clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::delegate::Doubt;
use super::machine::Turn;
use super::states::encode;
use super::timers::Timer;
use super::{Member, Name, State, Swim};
use crate::moment::Moment;
use crate::wire::memberlist::{Dead, Message, Ping};

/// The first byte of a user message of this kind; 40 and 41 are Serf's layer's.
const CODE: u8 = 0x42;
const LOOK: u8 = 0;
const REFUSED: u8 = 1;
/// So many must have been refused, ourselves included, or all that there are.
const OBSERVERS: usize = 3;
/// So many are asked to look.
const ASKED: usize = 4;
/// How long a member may take to answer the last ping, at most.
const LISTEN_MAX: Duration = Duration::from_millis(200);
/// What was seen counts for so long.
const FRESH: Duration = Duration::from_secs(5);
/// Members that are looked at, at a time.
const LOOKED_AT_MAX: usize = 128;
/// Deaths and refutations that are told at once, in one interval of gossip: packets. What is beyond waits for the rounds
/// of gossip.
const EAGER_MAX: usize = 128;

/// What is known of ports that refuse.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    seen: BTreeMap<Name, Seen>,
    /// When the current interval of gossip began, and how many packets told of deaths and refutations in it at once.
    eager: (Moment, usize),
}

/// Of one member.
#[derive(Debug)]
struct Seen {
    until: Moment,
    incarnation: u32,
    mine: Mine,
    /// Who else was refused.
    others: Vec<Name>,
    /// Whoever asked us to look, or told us.
    tell: Vec<SocketAddr>,
}

/// What we saw ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mine {
    Nothing,
    /// We are trying.
    Trying,
    /// Refused; the ping of this number is not answered yet.
    Pinged(u32),
    /// Refused, and no answer.
    Refused,
}

impl Swim {
    /// The port of a member has refused us.
    pub(super) fn refused_by(&mut self, turn: &mut Turn<'_>, name: &Name) {
        if !self.config.extends || self.is_leaving() {
            return;
        }
        let Some(seen) = self.seen_of(turn, name) else {
            return;
        };
        let (mine, incarnation) = (seen.mine, seen.incarnation);
        let is_first = seen.tell.is_empty();
        match mine {
            Mine::Pinged(_) => return,
            // Too few of those that were asked could tell: others are asked.
            Mine::Refused => return self.ask_others(name, incarnation),
            Mine::Nothing | Mine::Trying => {}
        }
        let sequence = self.next_sequence();
        if let Some(seen) = self.refusals.seen.get_mut(name) {
            seen.mine = Mine::Pinged(sequence);
        }
        let listen = self.config.probe_timeout.min(LISTEN_MAX);
        self.timers.set(turn.now + listen, Timer::Refusal(sequence));
        if let Some(to) = self.member(name.as_bytes()).map(Member::socket) {
            let ping = Message::Ping(Ping {
                seq: sequence,
                node: name.clone(),
                source: Some(self.own_source()),
            });
            self.send_parts(to, false, vec![encode(&ping)]);
        }
        if is_first {
            self.ask_others(name, incarnation);
        }
    }

    /// Asks some of our kind, chosen by chance, to look.
    fn ask_others(&mut self, about: &Name, incarnation: u32) {
        let me = &self.config.name;
        let can = |member: &Member| {
            member.is_our_kind()
                && member.state == State::Alive
                && member.name != *me
                && member.name != *about
        };
        let drawn = self.members.draw(ASKED, &mut self.chance, can);
        let look = word(LOOK, incarnation, about);
        for slot in drawn {
            if let Some(to) = self.members.get(slot).map(|entry| entry.member.socket()) {
                self.send_user(to, &look, false);
            }
        }
    }

    /// What is known of the port of a member that is not gone; none if too many are looked at.
    fn seen_of(&mut self, turn: &Turn<'_>, name: &Name) -> Option<&mut Seen> {
        let member = self.member(name.as_bytes())?;
        if member.is_gone() || member.name == self.config.name {
            return None;
        }
        let incarnation = member.incarnation;
        let all = &mut self.refusals.seen;
        all.retain(|_, seen| seen.until > turn.now);
        if all.len() >= LOOKED_AT_MAX && !all.contains_key(name) {
            return None;
        }
        let fresh = || Seen {
            until: turn.now + FRESH,
            incarnation,
            mine: Mine::Nothing,
            others: Vec::new(),
            tell: Vec::new(),
        };
        let seen = all.entry(name.clone()).or_insert_with(fresh);
        if seen.incarnation != incarnation {
            *seen = fresh();
        }
        Some(seen)
    }

    /// Whether a user message is one of these; then it has been taken.
    pub(super) fn refusal_told(
        &mut self,
        turn: &mut Turn<'_>,
        body: &Bytes,
        from: SocketAddr,
    ) -> bool {
        if !self.config.extends || body.first() != Some(&CODE) {
            return false;
        }
        let teller = self.members().find(|member| member.socket() == from);
        let teller = teller
            .filter(|member| !member.is_gone())
            .map(|member| member.name.clone());
        if let (Some(teller), Some((kind, incarnation, name))) = (teller, read(body)) {
            self.take_refusal(turn, kind, (incarnation, &name), (teller, from));
        } else {
            self.counters.packets_bad += 1;
        }
        true
    }

    fn take_refusal(
        &mut self,
        turn: &mut Turn<'_>,
        kind: u8,
        (incarnation, about): (u32, &Name),
        (teller, from): (Name, SocketAddr),
    ) {
        let Some(seen) = self.seen_of(turn, about) else {
            return;
        };
        if incarnation < seen.incarnation || teller == *about {
            return;
        }
        if !seen.tell.contains(&from) && seen.tell.len() < OBSERVERS + ASKED {
            seen.tell.push(from);
        }
        let is_news = kind == REFUSED
            && !seen.others.contains(&teller)
            && seen.others.len() < OBSERVERS + ASKED;
        if is_news {
            seen.others.push(teller.clone());
        }
        let (mine, incarnation) = (seen.mine, seen.incarnation);
        match mine {
            Mine::Nothing => {
                seen.mine = Mine::Trying;
                self.look(turn, about);
            }
            // Whoever asks after we have seen it hears of it now.
            Mine::Refused if kind == LOOK => {
                self.send_user(from, &word(REFUSED, incarnation, about), false);
            }
            Mine::Trying | Mine::Pinged(_) | Mine::Refused => {}
        }
        if is_news {
            turn.delegate
                .suspected(turn.now, about, &teller, Doubt::Refusal);
            self.judge(turn, about);
        }
    }

    /// Tries the port of a member.
    fn look(&mut self, turn: &Turn<'_>, about: &Name) {
        let Some(to) = self.member(about.as_bytes()).map(Member::socket) else {
            return;
        };
        let ping = Ping {
            seq: self.next_sequence(),
            node: about.clone(),
            source: Some(self.own_source()),
        };
        let deadline = turn.now + self.config.probe_timeout;
        self.open_look(to, about.clone(), ping, deadline);
    }

    /// The port took our connection, or the try went otherwise: it was not refused.
    pub(super) fn look_ended(&mut self, name: &Name) {
        if let Some(seen) = self.refusals.seen.get_mut(name)
            && seen.mine == Mine::Trying
        {
            seen.mine = Mine::Nothing;
        }
    }

    /// An ack came. True if it answers a last ping: the member lives, only its port for streams does not.
    pub(super) fn refusal_answered(&mut self, sequence: u32) -> bool {
        let before = self.refusals.seen.len();
        let is_it = |seen: &Seen| seen.mine == Mine::Pinged(sequence);
        self.refusals.seen.retain(|_, seen| !is_it(seen));
        self.refusals.seen.len() < before
    }

    /// The last ping of this number has had its time.
    pub(super) fn refusal_stands(&mut self, turn: &mut Turn<'_>, sequence: u32) {
        let is_it = |(_, seen): &(&Name, &mut Seen)| seen.mine == Mine::Pinged(sequence);
        let Some((name, seen)) = self.refusals.seen.iter_mut().find(is_it) else {
            return;
        };
        seen.mine = Mine::Refused;
        let (name, incarnation) = (name.clone(), seen.incarnation);
        let refused = word(REFUSED, incarnation, &name);
        for to in seen.tell.clone() {
            self.send_user(to, &refused, false);
        }
        self.counters.refusals += 1;
        let me = self.config.name.clone();
        turn.delegate
            .suspected(turn.now, &name, &me, Doubt::Refusal);
        self.judge(turn, &name);
    }

    /// Enough have been refused: it is dead.
    fn judge(&mut self, turn: &mut Turn<'_>, about: &Name) {
        let is_other = |member: &&Member| {
            !member.is_gone() && member.name != self.config.name && member.name != *about
        };
        let needed = OBSERVERS.min(1 + self.members().filter(is_other).take(OBSERVERS).count());
        let Some(seen) = self.refusals.seen.get(about) else {
            return;
        };
        if seen.mine != Mine::Refused || 1 + seen.others.len() < needed {
            return;
        }
        let observers = 1 + seen.others.len();
        let Some(member) = self.member(about.as_bytes()) else {
            return;
        };
        let dead = Dead {
            incarnation: member.incarnation,
            node: about.clone(),
            from: self.config.name.clone(),
        };
        self.refusals.seen.remove(about);
        self.counters.deaths_refused += 1;
        tracing::info!("marking {about} as failed, its port refused {observers} members");
        self.dead(turn, dead, None);
    }

    /// It has said that it lives: what was seen before counts no more.
    pub(super) fn forget_refusals(&mut self, name: &Name) {
        self.refusals.seen.remove(name);
    }

    /// Tells some members of a death or a refutation now and not with the next round of gossip; they do the same.
    pub(super) fn tell_at_once(&mut self, turn: &Turn<'_>, message: &Message) {
        if !self.config.extends {
            return;
        }
        let (since, _) = self.refusals.eager;
        if turn.now - since >= self.config.gossip_interval {
            self.refusals.eager = (turn.now, 0);
        }
        // With so many copies each, all but one in e^e members get one even if nobody gets two from one sender.
        let digits = self.members.len().checked_ilog2().unwrap_or(0);
        let fanout = usize::try_from(digits).unwrap_or(0) + 1;
        let left = EAGER_MAX.saturating_sub(self.refusals.eager.1);
        let me = &self.config.name;
        let is_told = |member: &Member| !member.is_gone() && member.name != *me;
        let told = self
            .members
            .draw(fanout.min(left), &mut self.chance, is_told);
        for slot in told {
            let Some(member) = self.members.get(slot).map(|entry| &entry.member) else {
                continue;
            };
            let (to, has_checksum) = (member.socket(), member.understands_crc());
            self.refusals.eager.1 += 1;
            self.send_parts(to, has_checksum, vec![encode(message)]);
        }
    }
}

fn word(kind: u8, incarnation: u32, name: &Name) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(CODE);
    out.put_u8(kind);
    out.put_u32(incarnation);
    // A name is never that long: the reader of the wire refuses it.
    out.put_u16(u16::try_from(name.as_bytes().len()).unwrap_or(u16::MAX));
    out.put_slice(name.as_bytes());
    out.freeze()
}

fn read(body: &[u8]) -> Option<(u8, u32, Name)> {
    let (head, rest) = body.split_at_checked(2)?;
    let kind = *head.get(1)?;
    let (incarnation, rest) = rest.split_at_checked(4)?;
    let (length, name) = rest.split_at_checked(2)?;
    let incarnation = u32::from_be_bytes(incarnation.try_into().ok()?);
    let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
    let is_sound = matches!(kind, LOOK | REFUSED) && length > 0 && name.len() == length;
    is_sound.then(|| (kind, incarnation, Name::new(name)))
}
