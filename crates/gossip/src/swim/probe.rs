//! [pure] Probes: one member after the other is asked whether it is there, directly, through others, over TCP.
//!
//! Source: "SWIM", §3.1; memberlist 0.2.2. One probe is under way at a time; who does not answer is suspected.

use std::time::Duration;

use super::delegate::Doubt;
use super::machine::Turn;
use super::members::Slot;
use super::states::encode;
use super::timers::Timer;
use super::{Member, Name, State, StreamId, Swim};
use crate::moment::Moment;
use crate::wire::memberlist::{Ack, IndirectPing, Message, Ping, Source, Suspect};

/// The probe under way, if any.
#[derive(Debug, Default)]
pub(super) struct Probes {
    current: Option<Probe>,
    /// The next one's time has come while the last was still under way.
    is_next_due: bool,
}

#[derive(Debug)]
struct Probe {
    sequence: u32,
    target: Slot,
    name: Name,
    sent: Moment,
    /// How long it may take in all.
    limit: Duration,
    /// Others have been asked: an answer does not tell the distance any more.
    is_indirect: bool,
    nacks_expected: u32,
    nacks: u32,
    stream: Option<StreamId>,
    was_reached_over_tcp: bool,
}

impl Swim {
    /// Time for the next probe.
    pub(super) fn probe_next(&mut self, turn: &mut Turn<'_>, at: Moment) {
        let interval = self.config.probe_interval.max(Duration::from_millis(1));
        // Times that were missed are left out, as with Serf's ticker.
        let next = if at + interval > turn.now {
            at
        } else {
            turn.now
        };
        self.timers.set(next + interval, Timer::Probe);
        self.vigil(turn);
        if self.probes.current.is_some() {
            self.probes.is_next_due = true;
            return;
        }
        self.probes.is_next_due = false;
        if let Some(slot) = self.next_target(turn) {
            self.probe(turn, slot);
        }
    }

    /// The next of the round that is not ourselves and not gone.
    fn next_target(&mut self, turn: &Turn<'_>) -> Option<Slot> {
        // Twice through the list at most: the rest of this round and the whole of the next.
        for _ in 0..=self.members.len().saturating_mul(2) {
            let Some(slot) = self.members.walk() else {
                let kept = self.config.gossip_to_the_dead_time;
                self.members
                    .begin_round(turn.now, kept, self.me, &mut self.chance);
                continue;
            };
            let entry = self.members.get(slot)?;
            if slot != self.me && !entry.member.is_gone() {
                return Some(slot);
            }
        }
        None
    }

    fn probe(&mut self, turn: &mut Turn<'_>, target: Slot) {
        let Some(member) = self.members.get(target).map(|entry| entry.member.clone()) else {
            return;
        };
        let sequence = self.next_sequence();
        let limit = self.awareness.scale(self.config.probe_interval);
        self.counters.probes += 1;
        let asked = turn.now + self.config.probe_timeout;
        self.timers.set(asked, Timer::ProbeIndirectly(sequence));
        self.timers
            .set(turn.now + limit, Timer::ProbeEnds(sequence));
        self.probes.current = Some(Probe {
            sequence,
            target,
            name: member.name.clone(),
            sent: turn.now,
            limit,
            is_indirect: false,
            nacks_expected: 0,
            nacks: 0,
            stream: None,
            was_reached_over_tcp: false,
        });
        let ping = Message::Ping(Ping {
            seq: sequence,
            node: member.name.clone(),
            source: Some(self.own_source()),
        });
        if member.state == State::Alive {
            self.send(turn, member.socket(), &ping);
            return;
        }
        // It learns of the doubt in the same packet, and can refute at once.
        let suspect = Message::Suspect(Suspect {
            incarnation: member.incarnation,
            node: member.name.clone(),
            from: self.config.name.clone(),
        });
        let parts = vec![encode(&ping), encode(&suspect)];
        self.send_parts(member.socket(), member.understands_crc(), parts);
    }

    /// A ping has come: answers it, if it is for us.
    pub(super) fn pinged(&mut self, turn: &mut Turn<'_>, ping: Ping, from: std::net::SocketAddr) {
        if !ping.node.is_empty() && ping.node != self.config.name {
            tracing::warn!("got a ping for {} from {from}", ping.node);
            return;
        }
        let to = ping
            .source
            .map_or(from, |source| source.address.socket(source.port));
        let payload = turn.delegate.ack_payload();
        let ack = Ack {
            seq: ping.seq,
            payload,
        };
        self.send(turn, to, &Message::Ack(ack));
    }

    /// An ack has come: for our probe, for one that we do for another, or too late.
    pub(super) fn acked(&mut self, turn: &mut Turn<'_>, ack: &Ack) {
        let is_for_others = self.relay_answered(turn, ack.seq);
        if is_for_others || self.refusal_answered(ack.seq) || self.silence_broken(ack.seq) {
            return;
        }
        let is_ours = |probe: &mut Probe| probe.sequence == ack.seq;
        let Some(probe) = self.probes.current.take_if(is_ours) else {
            return;
        };
        if !probe.is_indirect {
            let rtt = turn.now - probe.sent;
            turn.delegate
                .ping_complete(turn.now, &probe.name, rtt, &ack.payload);
        }
        self.probe_succeeded(turn, &probe);
    }

    /// Somebody whom we asked could not reach the member either, but could tell us.
    pub(super) fn nacked(&mut self, sequence: u32) {
        if let Some(probe) = &mut self.probes.current
            && probe.sequence == sequence
        {
            probe.nacks = probe.nacks.saturating_add(1);
        }
    }

    /// The stream of our TCP ping has brought the answer to the probe of this number.
    pub(super) fn probe_reached_over_tcp(&mut self, sequence: u32) {
        if let Some(probe) = &mut self.probes.current
            && probe.sequence == sequence
        {
            probe.stream = None;
            probe.was_reached_over_tcp = true;
        }
    }

    /// Whom the probe of this number asks, while it is under way.
    pub(super) fn probed(&self, sequence: u32) -> Option<Name> {
        let probe = self.probes.current.as_ref()?;
        (probe.sequence == sequence).then(|| probe.name.clone())
    }

    /// No direct answer in time: asks others to try, and tries TCP.
    pub(super) fn probe_indirectly(&mut self, turn: &mut Turn<'_>, sequence: u32) {
        let Some(probe) = self
            .probes
            .current
            .as_mut()
            .filter(|probe| probe.sequence == sequence)
        else {
            return;
        };
        probe.is_indirect = true;
        let (name, ends) = (probe.name.clone(), probe.sent + probe.limit);
        let Some(target) = self
            .members
            .get(probe.target)
            .map(|entry| entry.member.clone())
        else {
            return;
        };
        let is_asked = |member: &Member| {
            member.state == State::Alive && member.name != name && member.name != self.config.name
        };
        let helpers = self
            .members
            .draw(self.config.indirect_checks, &mut self.chance, is_asked);
        let mut nacks_expected = 0;
        for slot in helpers {
            let Some(helper) = self.members.get(slot).map(|entry| &entry.member) else {
                continue;
            };
            let (to, wants_nack) = (helper.socket(), helper.sends_nacks());
            nacks_expected += u32::from(wants_nack);
            let ping = IndirectPing {
                seq: sequence,
                target: target.address,
                port: target.port,
                node: name.clone(),
                wants_nack,
                source: Some(self.own_source()),
            };
            self.send(turn, to, &Message::IndirectPing(ping));
        }
        let is_tcp_tried = self.config.tcp_pings && target.answers_tcp_pings();
        let stream = is_tcp_tried.then(|| {
            let ping = Ping {
                seq: sequence,
                node: name.clone(),
                source: Some(self.own_source()),
            };
            self.open_ping(target.socket(), ping, ends)
        });
        if let Some(probe) = &mut self.probes.current {
            probe.nacks_expected = nacks_expected;
            probe.stream = stream;
        }
    }

    /// The time of a probe is over, unless it was answered.
    pub(super) fn probe_ends(&mut self, turn: &mut Turn<'_>, sequence: u32) {
        let is_ours = |probe: &mut Probe| probe.sequence == sequence;
        let Some(probe) = self.probes.current.take_if(is_ours) else {
            return;
        };
        if probe.was_reached_over_tcp {
            self.counters.probes_over_tcp += 1;
            tracing::warn!(
                "was able to connect to {} but other probes failed, the network may be misconfigured",
                probe.name
            );
            self.probe_succeeded(turn, &probe);
            return;
        }
        self.close_probe(&probe);
        self.counters.probes_failed += 1;
        // Those that were asked and did not even say "no" point at us, not at the member.
        let missing = probe.nacks_expected.saturating_sub(probe.nacks);
        self.awareness
            .worse(if probe.nacks_expected > 0 { missing } else { 1 });
        if let Some(entry) = self.members.get(probe.target)
            && entry.member.name == probe.name
        {
            tracing::info!("suspect {} has failed, no acks received", probe.name);
            let suspect = Suspect {
                incarnation: entry.member.incarnation,
                node: probe.name.clone(),
                from: self.config.name.clone(),
            };
            self.suspect(turn, suspect, Doubt::Probe);
            self.ask_to_look(&probe.name);
        }
        self.probe_is_over(turn);
    }

    /// The probe under way counts neither for nor against anybody.
    pub(super) fn abandon_probe(&mut self) {
        if let Some(probe) = self.probes.current.take() {
            self.close_probe(&probe);
        }
    }

    fn probe_succeeded(&mut self, turn: &mut Turn<'_>, probe: &Probe) {
        self.close_probe(probe);
        self.awareness.better();
        self.probe_is_over(turn);
    }

    fn close_probe(&mut self, probe: &Probe) {
        if let Some(stream) = probe.stream {
            self.close_stream(stream);
        }
    }

    /// Begins the next one if its time came meanwhile.
    fn probe_is_over(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.probes.is_next_due)
            && let Some(slot) = self.next_target(turn)
        {
            self.probe(turn, slot);
        }
    }

    /// Where answers to us go.
    pub(super) fn own_source(&self) -> Source {
        Source {
            address: self.config.address,
            port: self.config.port,
            node: self.config.name.clone(),
        }
    }
}
