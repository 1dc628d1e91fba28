//! [pure] Connections that are held to a few members, so that the death of a process is known when it happens.
//!
//! Ours; Serf has probes alone. Each member of our kind stands on a ring, in the order of a checksum of its name, and
//! holds a silent connection to the next few. The system closes the connections of a process that ends, whatever ended
//! it, and refuses new ones: then see [`super::refusal`]. A member lets one of our kind hold it for longer than a
//! stream may last. Serf, which would complain about
//! each in its log, is left alone.
#![warn(clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use super::machine::Turn;
use super::timers::Timer;
use super::{Name, StreamId, Swim};
use crate::moment::Moment;

/// To so many members a connection is held, and so many hold one to us.
const WATCHED: usize = 3;
/// A connection that was closed sooner says that something stands between us: it is not opened again at once.
const SHORT: Duration = Duration::from_millis(800);
/// A connection is given up after so many times the limit of a stream, since it may be dead and not know.
pub(super) const LIFE_MULT: u32 = 3;

/// The connections that are held.
#[derive(Debug, Default)]
pub(super) struct Watches {
    held: BTreeMap<Name, Held>,
    /// The member of our kind that comes next on the ring.
    next: Option<Name>,
    /// Whether [`Timer::Watch`] is set.
    is_planned: bool,
}

#[derive(Debug)]
struct Held {
    stream: StreamId,
    since: Moment,
}

impl Swim {
    /// Somebody came or went, or a connection could not be held: whom we watch is looked at soon.
    pub(super) fn plan_watch(&mut self, now: Moment) {
        if self.config.extends && !self.watches.is_planned {
            self.watches.is_planned = true;
            let interval = self.config.probe_interval.max(Duration::from_millis(1));
            self.timers.set(now + interval, Timer::Watch);
        }
    }

    /// Time to look whom we watch.
    pub(super) fn watch(&mut self, turn: &mut Turn<'_>) {
        self.watches.is_planned = false;
        let chosen = if self.is_leaving() {
            Vec::new()
        } else {
            self.next_on_the_ring()
        };
        self.watches.next = chosen.first().cloned();
        let held = std::mem::take(&mut self.watches.held);
        for (name, held) in held {
            if chosen.contains(&name) {
                self.watches.held.insert(name, held);
            } else {
                self.close_stream(held.stream);
            }
        }
        for name in chosen {
            if !self.watches.held.contains_key(&name) {
                self.hold(turn, name);
            }
        }
    }

    /// The one whom we ping beside the probes.
    pub(super) fn neighbour(&self) -> Option<&Name> {
        self.watches.next.as_ref()
    }

    /// The members of our kind that follow us.
    fn next_on_the_ring(&self) -> Vec<Name> {
        let me = place(&self.config.name);
        let mut next: Vec<(u32, &Name)> = Vec::with_capacity(WATCHED + 1);
        let others = self.members().filter(|member| {
            member.is_our_kind() && !member.is_gone() && member.name != self.config.name
        });
        for member in others {
            let distance = (place(&member.name).wrapping_sub(me), &member.name);
            let at = next.partition_point(|other| *other < distance);
            if at < WATCHED {
                next.insert(at, distance);
                next.truncate(WATCHED);
            }
        }
        next.into_iter().map(|(_, name)| name.clone()).collect()
    }

    fn hold(&mut self, turn: &Turn<'_>, name: Name) {
        let Some(member) = self.member(name.as_bytes()) else {
            return;
        };
        let to = member.socket();
        let deadline = turn.now + self.config.stream_timeout.saturating_mul(LIFE_MULT);
        let stream = self.open_silent(to, name.clone(), deadline);
        let since = turn.now;
        self.watches.held.insert(name, Held { stream, since });
    }

    /// A connection that was held has ended, but was not refused.
    pub(super) fn watch_ended(&mut self, turn: &Turn<'_>, id: StreamId, name: &Name) {
        let is_it = |held: &Held| held.stream == id;
        let Some(held) = self.watches.held.get(name).filter(|held| is_it(held)) else {
            return;
        };
        let lasted = turn.now - held.since;
        self.watches.held.remove(name);
        if lasted < SHORT {
            self.plan_watch(turn.now);
        } else if self.member(name.as_bytes()).is_some_and(|it| !it.is_gone()) {
            // Closed in good order or by the end of the process: the next try tells which.
            self.hold(turn, name.clone());
        }
    }
}

/// Where a member stands on the ring.
fn place(name: &Name) -> u32 {
    crc32fast::hash(name.as_bytes())
}
