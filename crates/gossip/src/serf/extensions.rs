//! [pure] What members of our own kind do among themselves: events at once, missed ones pulled, the reaped found again.
//!
//! Whoever announces [`PROTOCOL`] takes part; a member that does not hears nothing of it. All of it comes on top of
//! what Serf does, so that a cluster of both kinds is no worse than one of Serf's.
//!
//! ```text
//! digest: 0x40, then for each of the last events  LTime (8 bytes), checksum (4 bytes)
//! pull:   0x41, then the same for each that was missed; answered by those events as they came
//! ```
#![warn(clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::machine::{Serf, Told};
use super::members::{Known, is_there};
use super::{LTime, Member, Status};
use crate::moment::Moment;
use crate::swim::Name;

/// The memberlist protocol that our kind understands at most.
pub const PROTOCOL: u8 = crate::swim::OUR_PROTOCOL;
/// Far from Serf's own codes.
const DIGEST: u8 = 0x40;
const PULL: u8 = 0x41;
const ENTRY_BYTES: usize = 12;
/// A digest of so many fits a packet.
const DIGEST_MAX: usize = 100;
/// Events older than this are left to Serf's own exchange of state.
const RECENT: Duration = Duration::from_secs(10);
/// After an event so many rounds of digests are sent, each but the second after twice the time.
const ROUNDS: u32 = 5;
/// So many of them go to two members, the others to one.
const ROUNDS_OF_TWO: u32 = 2;
/// What goes at once goes to so many at least, whoever comes next not counted.
const FANOUT_MIN: usize = 1;
/// Packets sent at once in one interval of gossip. What is beyond waits for the next round of gossip, as in Serf.
const EAGER_MAX: usize = 128;
/// Members that were forgotten after they failed, and are looked for.
const LOST_MAX: usize = 64;
/// And for how long.
const LOST_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// What our kind needs to know beyond what Serf knows.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    /// The last events, as they came.
    recent: VecDeque<Recent>,
    /// When the next digest is sent, and how many were.
    digest: Option<(Moment, u32)>,
    /// When the current interval began, and how many packets were sent at once in it.
    eager: (Moment, usize),
    lost: VecDeque<Lost>,
}

#[derive(Debug)]
struct Recent {
    at: Moment,
    entry: Entry,
    bytes: Bytes,
}

/// Names an event: two at one time are told apart by their checksums.
type Entry = (LTime, u32);

#[derive(Debug)]
struct Lost {
    name: Name,
    address: SocketAddr,
    until: Moment,
}

impl Extensions {
    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.digest.map(|(at, _)| at)
    }

    /// It is known again.
    pub(super) fn found(&mut self, name: &Name) {
        self.lost.retain(|lost| lost.name != *name);
    }

    /// Whether a message is one of ours.
    pub(super) fn is_ours(body: &Bytes) -> bool {
        matches!(body.first(), Some(&(DIGEST | PULL)))
    }
}

/// Whether a member takes part.
fn takes_part(member: &Member) -> bool {
    member.versions.protocol_max >= PROTOCOL
}

impl Serf {
    /// Something is news here: those of our kind get it now and not with the next round of gossip.
    pub(super) fn spread(&mut self, now: Moment, body: &Bytes, from: Option<SocketAddr>) {
        if !self.config.extends {
            return;
        }
        let (since, _) = self.extensions.eager;
        if now.since(since) >= self.config.gossip_interval {
            self.extensions.eager = (now, 0);
        }
        let next = self.next_by_name();
        let mut others = self.our_kind(from);
        others.retain(|to| Some(*to) != next);
        // Whoever gets none by chance gets it from the one that stands before it. More copies would be taken by those that
        // have it already, who are awake for that instead of telling those that have not; what is lost is pulled.
        let digits = others.len().saturating_add(1).checked_ilog2().unwrap_or(0);
        let fanout = usize::try_from(digits / 4).unwrap_or(0).max(FANOUT_MIN);
        let left = EAGER_MAX.saturating_sub(self.extensions.eager.1);
        let some = self.some_of(&mut others, fanout);
        let next = next.filter(|next| Some(*next) != from);
        for to in next.into_iter().chain(some).take(left) {
            self.extensions.eager.1 = self.extensions.eager.1.saturating_add(1);
            self.out.sends.push((to, body.clone()));
        }
    }

    /// A user event is news: digests will tell of it.
    pub(super) fn remember(&mut self, now: Moment, time: LTime, told: &Told, bytes: Bytes) {
        if !self.config.extends {
            return;
        }
        let recent = &mut self.extensions.recent;
        while recent.len() >= DIGEST_MAX {
            recent.pop_front();
        }
        recent.push_back(Recent {
            at: now,
            entry: (time, checksum(told)),
            bytes,
        });
        // In a stream of events digests keep their beat: none is put off by the next event.
        let first = now + self.config.gossip_interval / 2;
        let planned = self.extensions.digest.map(|(at, _)| at);
        self.extensions.digest = Some((planned.map_or(first, |at| at.min(first)), 0));
    }

    /// Sends digests, if it is time.
    pub(super) fn digest_timer(&mut self, now: Moment) {
        let Some((_, sent)) = self.extensions.digest.filter(|(at, _)| *at <= now) else {
            return;
        };
        self.extensions
            .recent
            .retain(|recent| now.since(recent.at) < RECENT);
        let half = self.config.gossip_interval / 2;
        let wait = half.saturating_mul(2_u32.saturating_pow(sent));
        let next = sent.saturating_add(1);
        self.extensions.digest = (next < ROUNDS).then(|| (now + wait, next));
        let entries: Vec<Entry> = self.extensions.recent.iter().map(|one| one.entry).collect();
        if entries.is_empty() {
            return;
        }
        let digest = encode(DIGEST, &entries);
        for to in self.digested(sent) {
            self.out.sends.push((to, digest.clone()));
        }
    }

    /// Who gets the digests of a round: one or two in the order of names, in each round others, at the same distances
    /// from each sender. So each member gets as many, where chance would give some none.
    fn digested(&self, round: u32) -> Vec<SocketAddr> {
        let me = &self.config.name;
        let there = |known: &&Known| is_there(known.status()) && takes_part(&known.member);
        let after = (Bound::Excluded(me), Bound::Unbounded);
        let all = &self.members.all;
        let next = all
            .range::<Name, _>(after)
            .chain(all.range::<Name, _>(..me));
        let others: Vec<&Known> = next.map(|(_, known)| known).filter(there).collect();
        let count = if round < ROUNDS_OF_TWO { 2 } else { 1 };
        // Whoever comes next got the event from us.
        let round = usize::try_from(round).unwrap_or(0);
        let distances = [
            round.saturating_add(1),
            (others.len() / 2).saturating_add(round),
        ];
        let mut chosen = Vec::new();
        for distance in distances.into_iter().take(count) {
            let place = distance.checked_rem(others.len()).unwrap_or(0);
            let to = others
                .get(place)
                .map(|it| it.member.address.socket(it.member.port));
            chosen.extend(to.filter(|to| !chosen.contains(to)));
        }
        chosen
    }

    /// Whether all others take part: what one misses it pulls, and gossip need not carry it to everybody many times.
    pub(super) fn is_among_our_kind(&self) -> bool {
        self.config.extends
            && self
                .members()
                .all(|it| !is_there(it.status) || takes_part(it))
    }

    /// A digest or a pull came.
    pub(super) fn extended(&mut self, body: &Bytes, from: SocketAddr) {
        if !self.config.extends {
            // As Serf would: it is no message that we know.
            self.counters.malformed = self.counters.malformed.saturating_add(1);
            return;
        }
        let Some((&code, entries)) = body.split_first() else {
            return;
        };
        let entries = decode(entries);
        if code == DIGEST {
            let missed: Vec<Entry> = entries
                .into_iter()
                .filter(|entry| self.has_missed(*entry))
                .collect();
            if !missed.is_empty() {
                self.out.sends.push((from, encode(PULL, &missed)));
            }
            return;
        }
        for recent in self
            .extensions
            .recent
            .iter()
            .filter(|one| entries.contains(&one.entry))
        {
            self.out.sends.push((from, recent.bytes.clone()));
        }
    }

    fn has_missed(&self, (time, sum): Entry) -> bool {
        let mut known = self.events.at(time).iter();
        self.events.reaches(time, self.event_clock.time())
            && !known.any(|told| checksum(told) == sum)
    }

    /// A failed member is about to be forgotten: after a split that lasted for days it may still be there.
    pub(super) fn lose(&mut self, now: Moment, member: &Member) {
        if !self.config.extends || member.status != Status::Failed || !takes_part(member) {
            return;
        }
        let lost = &mut self.extensions.lost;
        while lost.len() >= LOST_MAX {
            lost.pop_front();
        }
        let address = member.address.socket(member.port);
        lost.push_back(Lost {
            name: member.name.clone(),
            address,
            until: now + LOST_FOR,
        });
    }

    /// One of those that were lost, to be tried again; each in turn.
    pub(super) fn next_lost(&mut self, now: Moment) -> Option<SocketAddr> {
        self.extensions.lost.retain(|lost| lost.until > now);
        let lost = self.extensions.lost.pop_front()?;
        let address = lost.address;
        self.extensions.lost.push_back(lost);
        Some(address)
    }

    /// Where the member of our kind is that follows us in the order of names; after the last comes the first.
    fn next_by_name(&self) -> Option<SocketAddr> {
        let me = &self.config.name;
        let after = (Bound::Excluded(me), Bound::Unbounded);
        let all = &self.members.all;
        let others = all
            .range::<Name, _>(after)
            .chain(all.range::<Name, _>(..me));
        let mut others = others.map(|(_, known)| &known.member);
        let next = others.find(|member| is_there(member.status) && takes_part(member))?;
        Some(next.address.socket(next.port))
    }

    /// Where members of our kind are, but for ourselves and `except`.
    fn our_kind(&self, except: Option<SocketAddr>) -> Vec<SocketAddr> {
        let me = &self.config.name;
        let there = self
            .members()
            .filter(|member| is_there(member.status) && takes_part(member) && member.name != *me);
        let addresses = there.map(|member| member.address.socket(member.port));
        addresses
            .filter(|address| Some(*address) != except)
            .collect()
    }

    /// So many of `all`, chosen by chance.
    fn some_of(&mut self, all: &mut Vec<SocketAddr>, count: usize) -> Vec<SocketAddr> {
        let mut chosen = Vec::new();
        while chosen.len() < count && !all.is_empty() {
            let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
            let index = usize::try_from(self.rng.below(count)).unwrap_or(0);
            chosen.push(all.swap_remove(index));
        }
        chosen
    }
}

fn checksum(told: &Told) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(told.name.as_bytes());
    hasher.update(&[0]);
    hasher.update(&told.payload);
    hasher.finalize()
}

fn encode(code: u8, entries: &[Entry]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(code);
    for (time, sum) in entries.iter().take(DIGEST_MAX) {
        out.put_u64(time.0);
        out.put_u32(*sum);
    }
    out.freeze()
}

/// Whole entries only, and no more than we would send.
fn decode(bytes: &[u8]) -> Vec<Entry> {
    let entry = |chunk: &[u8]| {
        let (time, sum) = chunk.split_at_checked(8)?;
        let time = u64::from_be_bytes(time.try_into().ok()?);
        Some((LTime(time), u32::from_be_bytes(sum.try_into().ok()?)))
    };
    bytes
        .chunks_exact(ENTRY_BYTES)
        .take(DIGEST_MAX)
        .filter_map(entry)
        .collect()
}
