//! [pure] Rounds of gossip: what waits is told to a few members at a time, on a fixed beat, while there is anything.

use super::machine::Turn;
use super::timers::Timer;
use super::{Member, State, Swim};
use crate::moment::Moment;

impl Swim {
    /// There is something to tell, here or in the layer above: the next round takes place.
    ///
    /// Serf's rounds come whether there is anything or not. Here they keep Serf's beat, and rest while all is told.
    pub fn broadcasts_waiting(&mut self, now: Moment) {
        if self.next_gossip.is_some() {
            return;
        }
        let interval = u64::try_from(self.config.gossip_interval.as_nanos().max(1));
        let interval = interval.unwrap_or(u64::MAX);
        let phase = self.gossip_phase.as_nanos();
        let beats = now.as_nanos().saturating_sub(phase) / interval;
        let passed = phase.saturating_add(beats.saturating_mul(interval));
        let next = match passed > now.as_nanos() {
            true => passed,
            false => passed.saturating_add(interval),
        };
        let next = Moment::from_nanos(next);
        self.next_gossip = Some(next);
        self.timers.set(next, Timer::Gossip);
    }

    /// A round: one packet to each of some members, as long as there is something to put in.
    pub(super) fn gossip(&mut self, turn: &mut Turn<'_>, at: Moment) {
        if self.next_gossip != Some(at) {
            return;
        }
        self.next_gossip = None;
        let (name, to_the_dead) = (&self.config.name, self.config.gossip_to_the_dead_time);
        let is_told = |member: &Member| {
            let is_worth_it = match member.state {
                State::Alive | State::Suspect => true,
                // It may be alive after all, and learn here what is said about it.
                State::Dead => turn.now - member.changed <= to_the_dead,
                State::Left => false,
            };
            is_worth_it && member.name != *name
        };
        let targets = self
            .members
            .draw(self.config.gossip_nodes, &mut self.chance, is_told);
        let mut has_told = false;
        for slot in targets {
            let Some(member) = self.members.get(slot).map(|entry| &entry.member) else {
                continue;
            };
            let (to, has_checksum) = (member.socket(), member.understands_crc());
            let parts = self.broadcasts(turn, self.packet_room());
            if parts.is_empty() {
                break;
            }
            has_told = true;
            self.send_parts(to, has_checksum, parts);
        }
        if has_told {
            self.broadcasts_waiting(turn.now);
        }
    }
}
