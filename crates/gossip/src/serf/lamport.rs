//! [pure] Lamport clocks: the order of intents, user events and queries without any agreement on the hour.

use std::fmt;

use super::LTime;

impl LTime {
    /// The next one; the last one is followed by itself.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one before; zero is preceded by itself.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for LTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A Lamport clock.
///
/// Invariant: its time is later than every time it has given out or witnessed, for both only ever move it
/// forward. (At the end of 64 bits, which only a forged message reaches, it stands still.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    time: LTime,
}

impl Default for Clock {
    /// Serf's clocks begin at 1, so that 0 is older than everything.
    fn default() -> Self {
        Self { time: LTime(1) }
    }
}

impl Clock {
    /// The time that the next message of ours will carry.
    #[must_use]
    pub const fn time(&self) -> LTime {
        self.time
    }

    /// The time for a message of ours, after which the clock is one later.
    pub const fn take(&mut self) -> LTime {
        let time = self.time;
        self.time = time.next();
        time
    }

    /// A message with this time was seen: the clock is later than it from now on.
    pub fn witness(&mut self, seen: LTime) {
        self.time = self.time.max(seen.next());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clock_begins_at_one_and_carries_the_value_before_the_step() {
        let mut clock = Clock::default();
        assert_eq!(clock.take(), LTime(1));
        assert_eq!(clock.time(), LTime(2));
    }

    #[test]
    fn what_is_older_does_not_move_a_clock() {
        let mut clock = Clock::default();
        clock.witness(LTime(41));
        assert_eq!(clock.time(), LTime(42));
        clock.witness(LTime(41));
        clock.witness(LTime(3));
        assert_eq!(clock.time(), LTime(42));
        clock.witness(LTime(42));
        assert_eq!(clock.time(), LTime(43));
    }

    #[test]
    fn a_forged_time_does_not_turn_a_clock_back() {
        let mut clock = Clock::default();
        clock.witness(LTime(u64::MAX));
        assert_eq!(clock.take(), LTime(u64::MAX));
        assert_eq!(clock.time(), LTime(u64::MAX));
    }

    proptest! {
        /// Messages between clocks: whoever has seen a message sends only later ones.
        #[test]
        fn what_follows_a_message_is_later_than_it(
            steps in proptest::collection::vec((0..5_usize, 0..5_usize), 1..200)
        ) {
            let mut clocks = vec![Clock::default(); 5];
            let mut seen = [LTime(0); 5];
            for (from, to) in steps {
                let sent = clocks[from].take();
                prop_assert!(sent > seen[from]);
                seen[from] = sent;
                clocks[to].witness(sent);
                seen[to] = seen[to].max(sent);
                prop_assert!(clocks[to].time() > seen[to]);
            }
        }
    }
}
