//! [pure] What was seen at each of the last Lamport times: each user event and each query counts once.

use super::LTime;

/// Different things kept of one Lamport time. Serf has no limit; honest clocks give out a time once or twice.
const AT_ONE_TIME_MAX: usize = 1024;

/// What the ring says about something that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// For the first time: it is in the ring now.
    New,
    /// It was there before.
    Before,
    /// It is from before the least time that we care about.
    Swallowed,
    /// It is older than the ring reaches back.
    TooOld,
    /// Too many different things claim this time.
    TooMany,
}

/// The last `size` Lamport times and what was seen at each.
///
/// Invariant: a slot holds one time, and `time % size` is the slot. Two times in one slot are `size` apart, of
/// which the older is refused as too old once the clock has passed the newer.
#[derive(Debug)]
pub(super) struct Ring<T> {
    slots: Vec<Option<Slot<T>>>,
    /// What is older is swallowed without a word.
    min: LTime,
}

#[derive(Debug)]
struct Slot<T> {
    time: LTime,
    things: Vec<T>,
}

impl<T: PartialEq> Ring<T> {
    pub(super) fn new(size: usize) -> Self {
        let slots = std::iter::repeat_with(|| None).take(size.max(1)).collect();
        Self {
            slots,
            min: LTime(0),
        }
    }

    /// From now on what is older than `min` is swallowed. Never goes back.
    pub(super) fn raise_min(&mut self, min: LTime) {
        self.min = self.min.max(min);
    }

    /// Puts `thing` in, unless there is a reason not to. `clock` has witnessed `time` already.
    pub(super) fn see(&mut self, time: LTime, clock: LTime, thing: T) -> Seen {
        if time < self.min {
            return Seen::Swallowed;
        }
        let size = self.slots.len() as u64;
        if clock.0 > size && time.0 < clock.0 - size {
            return Seen::TooOld;
        }
        let index = usize::try_from(time.0 % size).unwrap_or(0);
        let Some(place) = self.slots.get_mut(index) else {
            return Seen::TooOld;
        };
        match place {
            Some(slot) if slot.time == time => {
                if slot.things.contains(&thing) {
                    return Seen::Before;
                }
                if slot.things.len() >= AT_ONE_TIME_MAX {
                    return Seen::TooMany;
                }
                slot.things.push(thing);
            }
            // Only a forged time at the very end of 64 bits can be newer than what has come since.
            Some(slot) if slot.time > time => return Seen::TooOld,
            Some(_) | None => {
                *place = Some(Slot {
                    time,
                    things: vec![thing],
                });
            }
        }
        Seen::New
    }

    /// Whether something of this time would be taken if it came now.
    pub(super) fn reaches(&self, time: LTime, clock: LTime) -> bool {
        time >= self.min && time.0 >= clock.0.saturating_sub(self.slots.len() as u64)
    }

    /// What was seen at one time.
    pub(super) fn at(&self, time: LTime) -> &[T] {
        let index = usize::try_from(time.0 % self.slots.len() as u64).unwrap_or(0);
        let slot = self.slots.get(index).and_then(Option::as_ref);
        slot.filter(|slot| slot.time == time)
            .map_or(&[], |slot| slot.things.as_slice())
    }

    /// Each time that is kept, with what was seen at it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LTime, &[T])> {
        self.slots
            .iter()
            .flatten()
            .map(|slot| (slot.time, slot.things.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Clock;
    use super::*;

    fn see(ring: &mut Ring<u32>, clock: &mut Clock, time: u64, thing: u32) -> Seen {
        clock.witness(LTime(time));
        ring.see(LTime(time), clock.time(), thing)
    }

    #[test]
    fn the_same_thing_at_the_same_time_counts_once() {
        let (mut ring, mut clock) = (Ring::new(8), Clock::default());
        assert_eq!(see(&mut ring, &mut clock, 3, 1), Seen::New);
        assert_eq!(see(&mut ring, &mut clock, 3, 1), Seen::Before);
        assert_eq!(see(&mut ring, &mut clock, 3, 2), Seen::New);
        assert_eq!(see(&mut ring, &mut clock, 4, 1), Seen::New);
        assert_eq!(see(&mut ring, &mut clock, 3, 2), Seen::Before);
    }

    #[test]
    fn the_ring_reaches_back_as_many_times_as_it_has_slots() {
        let (mut ring, mut clock) = (Ring::new(8), Clock::default());
        see(&mut ring, &mut clock, 20, 0);
        // The clock is at 21 now; 13 is the oldest that 8 slots reach.
        assert_eq!(see(&mut ring, &mut clock, 13, 0), Seen::New);
        assert_eq!(see(&mut ring, &mut clock, 12, 0), Seen::TooOld);
        // A new time takes the slot of the one that is too old now.
        assert_eq!(see(&mut ring, &mut clock, 21, 0), Seen::New);
        assert_eq!(see(&mut ring, &mut clock, 13, 0), Seen::TooOld);
    }

    #[test]
    fn what_is_before_the_least_time_is_swallowed() {
        let (mut ring, mut clock) = (Ring::new(8), Clock::default());
        ring.raise_min(LTime(5));
        ring.raise_min(LTime(4));
        assert_eq!(see(&mut ring, &mut clock, 4, 0), Seen::Swallowed);
        assert_eq!(see(&mut ring, &mut clock, 5, 0), Seen::New);
    }

    #[test]
    fn a_flood_at_one_time_is_bounded() {
        let (mut ring, mut clock) = (Ring::new(8), Clock::default());
        for thing in 0..u32::try_from(AT_ONE_TIME_MAX).unwrap() {
            assert_eq!(see(&mut ring, &mut clock, 1, thing), Seen::New);
        }
        assert_eq!(see(&mut ring, &mut clock, 1, u32::MAX), Seen::TooMany);
        assert_eq!(see(&mut ring, &mut clock, 1, 0), Seen::Before);
    }

    #[test]
    fn a_forged_time_at_the_end_breaks_nothing() {
        let (mut ring, mut clock) = (Ring::new(8), Clock::default());
        assert_eq!(see(&mut ring, &mut clock, u64::MAX, 0), Seen::New);
        assert_eq!(see(&mut ring, &mut clock, u64::MAX - 8, 0), Seen::TooOld);
        assert_eq!(see(&mut ring, &mut clock, 1, 0), Seen::TooOld);
    }

    proptest! {
        /// However often and in whatever order messages come, none is new twice.
        #[test]
        fn nothing_is_new_twice(
            arrivals in proptest::collection::vec((1..40_u64, 0..3_u32), 1..300)
        ) {
            let (mut ring, mut clock) = (Ring::new(16), Clock::default());
            let mut delivered = std::collections::HashSet::new();
            for (time, thing) in arrivals {
                if see(&mut ring, &mut clock, time, thing) == Seen::New {
                    prop_assert!(delivered.insert((time, thing)));
                }
            }
        }

        /// What is within reach when it first comes is delivered.
        #[test]
        fn what_is_in_reach_is_delivered(times in proptest::collection::vec(1..16_u64, 1..50)) {
            let (mut ring, mut clock) = (Ring::new(16), Clock::default());
            let mut delivered = std::collections::HashSet::new();
            for time in times {
                let seen = see(&mut ring, &mut clock, time, 0);
                prop_assert_eq!(seen == Seen::New, delivered.insert(time));
            }
        }
    }
}
