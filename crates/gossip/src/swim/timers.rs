//! [pure] What happens when: one heap of deadlines, those that no longer hold skipped when they come up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::StreamId;
use super::members::Slot;
use crate::moment::Moment;

/// What is due. A timer that was overtaken by events stays in the heap until it would come up next; whoever
/// gets it checks that it still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The next member is to be probed.
    Probe,
    /// The probe with this number has had no direct answer.
    ProbeIndirectly(u32),
    /// The time of the probe with this number is over.
    ProbeEnds(u32),
    /// A probe that we do for another, with this number, has had no answer.
    Relayed(u32),
    /// A round of gossip.
    Gossip,
    /// An exchange of state.
    PushPull,
    /// An exchange of state because the last one taught us something.
    CatchUp,
    /// The suspicion of the member in this slot may be over.
    Suspicion(Slot),
    /// Whom we watch is to be looked at.
    Watch,
    /// The last ping with this number, to a member whose port refused us, has had its time.
    Refusal(u32),
    /// The ping with this number to the neighbour has had its time.
    VigilEnds(u32),
    /// The look with this number pings once more.
    LookAgain(u32),
    /// The look with this number has had its time.
    LookEnds(u32),
    /// A stream has had its time.
    Stream(StreamId),
}

/// Invariant: deadlines set for one moment come up in the order in which they were set.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Moment, u64, Timer)>>,
    next: u64,
}

impl Timers {
    pub(super) fn set(&mut self, at: Moment, timer: Timer) {
        self.next += 1;
        self.heap.push(Reverse((at, self.next, timer)));
    }

    /// The next that is due at `now`, with its deadline.
    pub(super) fn due(&mut self, now: Moment) -> Option<(Moment, Timer)> {
        if self.next_deadline()? > now {
            return None;
        }
        let Reverse((at, _, timer)) = self.heap.pop()?;
        Some((at, timer))
    }

    /// What comes up next, whether it still holds or not.
    pub(super) fn next(&self) -> Option<Timer> {
        self.heap.peek().map(|&Reverse((.., timer))| timer)
    }

    /// Drops what comes up next.
    pub(super) fn drop_next(&mut self) {
        self.heap.pop();
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.heap.peek().map(|&Reverse((at, ..))| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_and_not_before_their_time() {
        let at = Moment::from_nanos;
        let mut timers = Timers::default();
        timers.set(at(5), Timer::Gossip);
        timers.set(at(3), Timer::PushPull);
        timers.set(at(3), Timer::Probe);
        assert_eq!(timers.next_deadline(), Some(at(3)));
        assert_eq!(timers.due(at(2)), None);
        assert_eq!(timers.due(at(4)), Some((at(3), Timer::PushPull)));
        assert_eq!(timers.due(at(4)), Some((at(3), Timer::Probe)));
        assert_eq!(timers.due(at(4)), None);
        assert_eq!(timers.due(at(9)), Some((at(5), Timer::Gossip)));
    }
}
