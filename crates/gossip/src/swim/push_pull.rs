//! [pure] Exchanges of state: two members tell each other all that they know of all, and believe what is newer.

use std::time::Duration;

use super::delegate::Doubt;
use super::machine::Turn;
use super::members::Entry;
use super::timers::Timer;
use super::{Member, State, Swim};
use crate::wire::memberlist::{Alive, Dead, NodeState, PushPull, Suspect, Versions};

/// Up to so many members the interval holds as it is set.
const UNSCALED_MEMBERS: usize = 32;

impl Swim {
    /// Time for an exchange with somebody.
    pub(super) fn push_pull(&mut self, turn: &mut Turn<'_>) {
        let interval = scaled(self.config.push_pull_interval, self.members.len());
        self.timers.set(turn.now + interval, Timer::PushPull);
        self.exchange(turn);
    }

    /// Time for an exchange because the last one taught us something.
    pub(super) fn catch_up(&mut self, turn: &mut Turn<'_>) {
        self.is_catching_up = false;
        // Many join through one, who knows them all a moment later, when those that came first know few.
        match self.joined_through.take() {
            Some(to) => self.open_push_pull(turn, to, None),
            None => self.exchange(turn),
        }
    }

    /// Exchanges states with somebody.
    fn exchange(&mut self, turn: &mut Turn<'_>) {
        let name = &self.config.name;
        let is_asked = |member: &Member| member.state == State::Alive && member.name != *name;
        let partner = self.members.draw(1, &mut self.chance, is_asked);
        let partner = partner.first().and_then(|&slot| self.members.get(slot));
        if let Some(to) = partner.map(|entry| entry.member.socket()) {
            self.open_push_pull(turn, to, None);
        }
    }

    /// All that we know.
    pub(super) fn own_state(&self, turn: &mut Turn<'_>, is_join: bool) -> PushPull {
        let state = |entry: &Entry| {
            let member = &entry.member;
            NodeState {
                name: member.name.clone(),
                address: member.address,
                port: member.port,
                meta: member.meta.clone(),
                incarnation: member.incarnation,
                state: member.state,
                versions: member.versions,
            }
        };
        PushPull {
            is_join,
            states: self.members.iter().map(state).collect(),
            unusable: 0,
            user_state: turn.delegate.local_state(is_join),
        }
    }

    /// Believes what is newer in the state of another. All of it or, when it cannot be spoken with, none.
    pub(super) fn merge(&mut self, turn: &mut Turn<'_>, theirs: PushPull) -> Result<(), String> {
        self.check_versions(&theirs.states)?;
        self.check_cluster(turn, &theirs.states)?;
        self.counters.push_pulls += 1;
        let known = self.members.len();
        for state in theirs.states {
            self.merge_state(turn, state);
        }
        if self.members.len() > known {
            self.plan_catch_up(turn);
        }
        if !theirs.user_state.is_empty() {
            turn.delegate
                .merge_state(turn.now, &theirs.user_state, theirs.is_join);
        }
        Ok(())
    }

    /// Who did not know of members a moment ago does not know of others either, perhaps. Gossip has its time first.
    fn plan_catch_up(&mut self, turn: &Turn<'_>) {
        let interval = self.config.catch_up_interval;
        if !interval.is_zero() && !self.is_catching_up {
            self.is_catching_up = true;
            let after = interval.mul_f64(0.5 + self.chance.unit() / 2.0);
            self.timers.set(turn.now + after, Timer::CatchUp);
        }
    }

    fn merge_state(&mut self, turn: &mut Turn<'_>, theirs: NodeState) {
        match theirs.state {
            State::Alive => self.alive(
                turn,
                Alive {
                    incarnation: theirs.incarnation,
                    node: theirs.name,
                    address: theirs.address,
                    port: theirs.port,
                    meta: theirs.meta,
                    versions: theirs.versions,
                },
            ),
            State::Left => {
                let dead = Dead {
                    incarnation: theirs.incarnation,
                    node: theirs.name.clone(),
                    from: theirs.name,
                };
                self.dead(turn, dead, None);
            }
            // That it is dead is only believed when it does not refute.
            State::Dead | State::Suspect => {
                let suspect = Suspect {
                    incarnation: theirs.incarnation,
                    node: theirs.name,
                    from: self.config.name.clone(),
                };
                if !self.looks_first(turn, &suspect) {
                    self.suspect(turn, suspect, Doubt::PushPull);
                }
            }
        }
    }

    /// Two clusters whose names differ are not merged by somebody's mistake. Whoever knows members of ours already, as
    /// one without a name may who has joined both, is heard all the same: its other members are passed over.
    fn check_cluster(&mut self, turn: &Turn<'_>, theirs: &[NodeState]) -> Result<(), String> {
        let Some(own) = turn.delegate.own_cluster() else {
            return Ok(());
        };
        let mut live = theirs.iter().filter(|state| state.state == State::Alive);
        if live
            .clone()
            .any(|state| self.members.find(state.name.as_bytes()).is_some())
        {
            return Ok(());
        }
        let other = live.find_map(|state| {
            let other = turn.delegate.other_cluster(&state.meta)?;
            Some((&state.name, other))
        });
        let Some((name, other)) = other else {
            return Ok(());
        };
        self.counters.strangers += 1;
        Err(format!(
            "Member '{name}' belongs to the cluster '{other}', and we to '{own}'"
        ))
    }

    /// Whether everybody can speak with everybody: what each speaks must lie within what all that are alive
    /// understand. Those that never said what they understand are not asked.
    fn check_versions(&self, theirs: &[NodeState]) -> Result<(), String> {
        let (mut protocol, mut delegate) = (Range::ALL, Range::ALL);
        let live_theirs = theirs.iter().filter(|state| state.state == State::Alive);
        let live_ours = self.members().filter(|member| member.state == State::Alive);
        let understood = live_theirs.filter_map(|state| state.versions);
        let understood = understood.chain(live_ours.filter_map(|member| member.versions));
        for versions in understood {
            protocol.narrow(versions.protocol_min, versions.protocol_max);
            delegate.narrow(versions.delegate_min, versions.delegate_max);
        }
        let spoken_theirs = theirs.iter().map(|state| (&state.name, state.versions));
        let spoken_ours = self.members().map(|member| (&member.name, member.versions));
        for (name, versions) in spoken_theirs.chain(spoken_ours) {
            let Some(Versions {
                protocol: p,
                delegate: d,
                ..
            }) = versions
            else {
                continue;
            };
            for (what, range, spoken) in [
                ("protocol", &protocol, p),
                ("delegate protocol", &delegate, d),
            ] {
                if !(range.min..=range.max).contains(&spoken) {
                    return Err(format!(
                        "Node '{name}' {what} version ({spoken}) is incompatible: [{}, {}]",
                        range.min, range.max
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Versions that all understand.
struct Range {
    min: u8,
    max: u8,
}

impl Range {
    const ALL: Self = Self {
        min: 0,
        max: u8::MAX,
    };

    fn narrow(&mut self, min: u8, max: u8) {
        self.min = self.min.max(min);
        self.max = self.max.min(max);
    }
}

/// The interval for so many members: each doubling beyond 32 adds one.
fn scaled(interval: Duration, members: usize) -> Duration {
    if members <= UNSCALED_MEMBERS {
        return interval;
    }
    // ceil(log2 n) is the logarithm of the next power of two.
    let doublings = members
        .checked_next_power_of_two()
        .map_or(usize::BITS, usize::ilog2);
    interval.saturating_mul(doublings - UNSCALED_MEMBERS.ilog2() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_become_rarer_with_each_doubling() {
        let second = Duration::from_secs(1);
        for (members, factor) in [
            (1, 1),
            (32, 1),
            (33, 2),
            (64, 2),
            (65, 3),
            (128, 3),
            (1024, 6),
            (1025, 7),
            (2048, 7),
        ] {
            assert_eq!(
                scaled(second, members),
                factor * second,
                "{members} members"
            );
        }
    }
}
