//! [pure] Rounds of gossip: what waits is told to a few members at a time, on a fixed beat, while there is anything.

use bytes::Bytes;

use super::machine::Turn;
use super::members::Slot;
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
    ///
    /// Serf draws from the living and the lately dead alike, so that in a small cluster most copies of a message can go to
    /// those who are away, and none to one who lives. Here one of the dead gets what a living member was told last.
    pub(super) fn gossip(&mut self, turn: &mut Turn<'_>, at: Moment) {
        if self.next_gossip != Some(at) {
            return;
        }
        self.next_gossip = None;
        let (name, to_the_dead) = (&self.config.name, self.config.gossip_to_the_dead_time);
        let is_living = |member: &Member| {
            matches!(member.state, State::Alive | State::Suspect) && member.name != *name
        };
        // It may be alive after all, and learn here what is said about it.
        let is_lately_dead = |member: &Member| {
            member.state == State::Dead && turn.now - member.changed <= to_the_dead
        };
        let nodes = self.config.gossip_nodes;
        let living = self.members.draw(nodes, &mut self.chance, is_living);
        let dead = self.members.draw(1, &mut self.chance, is_lately_dead);
        let mut told = Vec::new();
        for slot in living {
            let parts = self.broadcasts(turn, self.packet_room());
            if parts.is_empty() {
                break;
            }
            told.clone_from(&parts);
            self.tell_parts(slot, parts);
        }
        for slot in dead {
            if told.is_empty() {
                // Nobody else is there to be told.
                told = self.broadcasts(turn, self.packet_room());
            }
            if !told.is_empty() {
                self.tell_parts(slot, told.clone());
            }
        }
        if !told.is_empty() {
            self.broadcasts_waiting(turn.now);
        }
    }

    fn tell_parts(&mut self, slot: Slot, parts: Vec<Bytes>) {
        let Some(member) = self.members.get(slot).map(|entry| &entry.member) else {
            return;
        };
        let (to, has_checksum) = (member.socket(), member.understands_crc());
        self.send_parts(to, has_checksum, parts);
    }
}
