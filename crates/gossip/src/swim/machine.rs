//! [pure] The machine of one member: its parts, its beginning, its timers, and what can be asked of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use taraf_base::Rng;

use super::awareness::Awareness;
use super::join::Join;
use super::leave::Leave;
use super::members::{Members, Slot, below};
use super::packets::Nonces;
use super::probe::Probes;
use super::refusal::Refusals;
use super::relay::Relays;
use super::silence::Silence;
use super::streams::Streams;
use super::timers::{Timer, Timers};
use super::watch::Watches;
use super::{Config, Counters, Delegate, Member, Output, Queue, State, Token};
use crate::moment::Moment;
use crate::wire::{Envelope, Nonce};

/// Membership of one member, without any I/O: inputs come in with the time, outputs are drained afterwards.
///
/// Invariant: our own member is in the list from the beginning to the end, in the slot `me`; it is never suspect,
/// and gone only after [`Swim::leave`].
#[derive(Debug)]
pub struct Swim {
    pub(super) config: Config,
    pub(super) envelope: Envelope,
    pub(super) nonces: Nonces,
    pub(super) chance: Rng,
    pub(super) members: Members,
    pub(super) me: Slot,
    pub(super) awareness: Awareness,
    pub(super) queue: Queue,
    pub(super) timers: Timers,
    pub(super) probes: Probes,
    pub(super) relays: Relays,
    pub(super) streams: Streams,
    pub(super) joins: BTreeMap<Token, Join>,
    pub(super) leave: Leave,
    pub(super) watches: Watches,
    pub(super) refusals: Refusals,
    pub(super) silence: Silence,
    /// When the next round of gossip is, if there is something to tell.
    pub(super) next_gossip: Option<Moment>,
    /// Rounds of gossip lie a whole number of intervals after this.
    pub(super) gossip_phase: Moment,
    /// Whether an exchange is due because the last one taught us something.
    pub(super) is_catching_up: bool,
    /// With whom, if that is known: with the one through whom we have joined.
    pub(super) joined_through: Option<std::net::SocketAddr>,
    pub(super) sequence: u32,
    pub(super) outputs: VecDeque<Output>,
    pub(super) counters: Counters,
}

/// One input being handled: when, and who hears of it.
pub(super) struct Turn<'a> {
    pub(super) now: Moment,
    pub(super) delegate: &'a mut dyn Delegate,
}

impl Swim {
    /// A member that is alive and alone. `chance` decides everything that is random, but for the nonces of
    /// encryption: `nonce` is where those begin, and must come from the operating system.
    #[must_use]
    pub fn new(
        config: Config,
        envelope: Envelope,
        mut chance: Rng,
        nonce: Nonce,
        now: Moment,
        delegate: &mut dyn Delegate,
    ) -> Self {
        let mut members = Members::default();
        let me = Member {
            name: config.name.clone(),
            address: config.address,
            port: config.port,
            meta: delegate.meta(),
            incarnation: 0,
            state: State::Dead,
            changed: now,
            versions: Some(config.versions),
        };
        let me = members.insert(me, &mut chance);
        let mut swim = Self {
            envelope,
            nonces: Nonces::new(nonce),
            members,
            me,
            awareness: Awareness::new(config.awareness_max),
            queue: Queue::default(),
            timers: Timers::default(),
            probes: Probes::default(),
            relays: Relays::default(),
            streams: Streams::default(),
            joins: BTreeMap::new(),
            leave: Leave::Staying,
            watches: Watches::default(),
            refusals: Refusals::default(),
            silence: Silence::default(),
            next_gossip: None,
            gossip_phase: now,
            is_catching_up: false,
            joined_through: None,
            // An answer to a forerunner that had our address must not be taken for one to us.
            sequence: u32::try_from(below(&mut chance, 1 << 30)).unwrap_or(0),
            outputs: VecDeque::new(),
            counters: Counters::default(),
            chance,
            config,
        };
        swim.begin(&mut Turn { now, delegate });
        swim
    }

    /// Announces us and starts the periodic timers, each after a part of its interval that chance decides.
    fn begin(&mut self, turn: &mut Turn<'_>) {
        let probe = self.chance.unit();
        self.timers.set(
            turn.now + self.config.probe_interval.mul_f64(probe),
            Timer::Probe,
        );
        let gossip = self.chance.unit();
        self.gossip_phase = turn.now + self.config.gossip_interval.mul_f64(gossip);
        if !self.config.push_pull_interval.is_zero() {
            let first = self.config.push_pull_interval.mul_f64(self.chance.unit());
            self.timers.set(turn.now + first, Timer::PushPull);
        }
        self.announce(turn, None);
    }

    /// Says what we are, under a new incarnation.
    pub(super) fn announce(&mut self, turn: &mut Turn<'_>, token: Option<Token>) {
        self.raise_incarnation(0);
        let mut alive = self.own_alive();
        alive.meta = turn.delegate.meta();
        self.believe_alive(turn, self.me, alive, token);
    }

    /// Our `Meta` is another: tells everybody. [`Output::Finished`] with `token` says when that is done.
    pub fn update_meta(&mut self, now: Moment, token: Token, delegate: &mut dyn Delegate) {
        let is_alone = !self.members.is_any_alive(self.me);
        if self.is_leaving() || is_alone {
            self.outputs.push_back(Output::Finished(token));
        }
        if !self.is_leaving() {
            let token = Some(token).filter(|_| !is_alone);
            self.announce(&mut Turn { now, delegate }, token);
        }
    }

    /// Handles what is due. To be called at [`Swim::next_deadline`], after the packets that wait by then.
    pub fn timer(&mut self, now: Moment, delegate: &mut dyn Delegate) {
        let turn = &mut Turn { now, delegate };
        self.notice_stall(turn);
        while let Some((at, timer)) = self.timers.due(now) {
            match timer {
                Timer::Probe => self.probe_next(turn, at),
                Timer::ProbeIndirectly(sequence) => self.probe_indirectly(turn, sequence),
                Timer::ProbeEnds(sequence) => self.probe_ends(turn, sequence),
                Timer::Relayed(sequence) => self.relay_ends(turn, sequence),
                Timer::Gossip => self.gossip(turn, at),
                Timer::PushPull => self.push_pull(turn),
                Timer::CatchUp => self.catch_up(turn),
                Timer::Suspicion(slot) => self.suspicion_ends(turn, slot),
                Timer::Watch => self.watch(turn),
                Timer::Refusal(sequence) => self.refusal_stands(turn, sequence),
                Timer::VigilEnds(sequence) => self.vigil_ends(turn, sequence),
                Timer::LookAgain(sequence) => self.look_again(sequence),
                Timer::LookEnds(sequence) => self.look_ends(turn, sequence),
                Timer::Stream(id) => self.stream_expired(turn, id),
            }
        }
        self.drop_overtaken();
    }

    /// Nobody wakes for what does not hold any more. Most probes are answered, and each has set two timers.
    pub(super) fn drop_overtaken(&mut self) {
        while let Some(timer) = self.timers.next() {
            let holds = match timer {
                Timer::ProbeIndirectly(sequence) | Timer::ProbeEnds(sequence) => {
                    self.probed(sequence).is_some()
                }
                Timer::VigilEnds(sequence) => self.is_on_vigil(sequence),
                Timer::LookAgain(sequence) | Timer::LookEnds(sequence) => self.is_looking(sequence),
                Timer::Relayed(number) => self.relays.contains_key(&number),
                Timer::Stream(id) => self.is_open(id),
                Timer::Suspicion(slot) => {
                    let entry = self.members.get(slot);
                    entry.is_some_and(|entry| entry.suspicion.is_some())
                }
                Timer::Gossip => self.next_gossip.is_some(),
                Timer::Probe
                | Timer::PushPull
                | Timer::CatchUp
                | Timer::Watch
                | Timer::Refusal(_) => true,
            };
            if holds {
                return;
            }
            self.timers.drop_next();
        }
    }

    /// Woken much too late, we blame nobody for what we did not hear meanwhile.
    fn notice_stall(&mut self, turn: &Turn<'_>) {
        let late = self
            .timers
            .next_deadline()
            .map_or(Duration::ZERO, |due| turn.now - due);
        let stall_min = self.config.stall_min;
        if stall_min.is_zero() || late < stall_min {
            return;
        }
        tracing::warn!("stood still for {late:?}: suspicions last longer by that");
        self.counters.stalls += 1;
        self.awareness.worse(1);
        self.abandon_probe();
        self.abandon_looks();
        for (slot, suspicion) in self.members.suspicions() {
            suspicion.postpone(late);
            self.timers
                .set(suspicion.deadline(), Timer::Suspicion(slot));
        }
    }

    /// When [`Swim::timer`] is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.timers.next_deadline()
    }

    /// The next thing to do. Drained after every input.
    pub fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// All members that are known, ourselves included, in no order.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().map(|entry| &entry.member)
    }

    /// The member of this name.
    #[must_use]
    pub fn member(&self, name: &[u8]) -> Option<&Member> {
        let slot = self.members.find(name)?;
        self.members.get(slot).map(|entry| &entry.member)
    }

    /// Who suspects the member of this name, the first accuser first; nobody unless it is suspect.
    #[must_use]
    pub fn accusers(&self, name: &[u8]) -> &[super::Name] {
        let entry = self
            .members
            .find(name)
            .and_then(|slot| self.members.get(slot));
        let suspicion = entry.and_then(|entry| entry.suspicion.as_ref());
        suspicion.map_or(&[], |suspicion| suspicion.accusers())
    }

    /// We as everybody should see us.
    #[must_use]
    pub fn me(&self) -> &Member {
        let entry = self.members.get(self.me);
        &entry.expect("our own slot is never dropped").member
    }

    /// How many members are listed, those included that are dead or have left and are not dropped yet.
    #[must_use]
    pub fn members_listed(&self) -> usize {
        self.members.len()
    }

    /// 0 when we are well; see Lifeguard.
    #[must_use]
    pub fn health_score(&self) -> u32 {
        self.awareness.score()
    }

    /// How many messages about members wait to be told.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A number for a probe.
    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Tells who waits that their broadcasts have left the queue.
    pub(super) fn finish_broadcasts(&mut self) {
        let finished = self.queue.finished();
        self.outputs
            .extend(finished.into_iter().map(Output::Finished));
    }

    /// Sends a user message (type 8) to one member alone, now. `has_checksum` puts a checksum before it, which the
    /// receiver must understand ([`Member::understands_crc`]).
    pub fn send_user(&mut self, to: std::net::SocketAddr, body: &[u8], has_checksum: bool) {
        let message = crate::wire::memberlist::Message::User(Bytes::copy_from_slice(body));
        self.send_parts(to, has_checksum, vec![super::states::encode(&message)]);
    }
}
