//! [pure] Timers of one partition: taken in the order in which they are due.

use std::collections::BTreeSet;
use std::time::Duration;

use taraf_base::Timestamp;

use super::action::Purpose;
use crate::RunId;

/// A timer: when, of which run and step, and what for.
pub type Timer = (Timestamp, RunId, u32, Purpose);

/// Longest wait between two looks at the clock, which may jump and goes on while a machine sleeps.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Timers proposed at the same time after a long stop.
const TOGETHER_MAX: usize = 64;

/// The timers that are set. Their number is bounded by that of live steps.
#[derive(Debug, Default)]
pub struct Timers {
    set: BTreeSet<Timer>,
}

impl Timers {
    /// Sets a timer; one that is set already stays one.
    pub fn set(&mut self, timer: Timer) {
        self.set.insert(timer);
    }

    /// Takes a timer away, if it is set.
    pub fn clear(&mut self, timer: &Timer) {
        self.set.remove(timer);
    }

    /// Whether it is set.
    #[must_use]
    pub fn contains(&self, timer: &Timer) -> bool {
        self.set.contains(timer)
    }

    /// Takes the next one, whenever it is due.
    pub fn take_first(&mut self) -> Option<Timer> {
        self.set.pop_first()
    }

    /// Takes those that are due, not too many at once. When none is: how long to wait before the
    /// next look, unless none is set.
    pub fn take_due(&mut self, now: Timestamp) -> (Vec<Timer>, Option<Duration>) {
        let mut due = Vec::new();
        while let Some(first) = self.set.first().copied() {
            if first.0 > now || due.len() >= TOGETHER_MAX {
                let rest = first.0.since(now);
                return (due, Some(rest.clamp(Duration::from_millis(1), LOOK_AGAIN)));
            }
            self.set.remove(&first);
            due.push(first);
        }
        (due, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(at: i64) -> Timer {
        (Timestamp::from_millis(at), RunId::new(1), 1, Purpose::Delay)
    }

    fn timers(at: &[i64]) -> Timers {
        let mut timers = Timers::default();
        for at in at {
            timers.set(timer(*at));
        }
        timers
    }

    #[test]
    fn what_is_not_due_stays_and_says_when_it_will_be() {
        let mut timers = timers(&[50, 10, 90_000]);
        let (due, rest) = timers.take_due(Timestamp::from_millis(20));
        assert_eq!(due, [timer(10)]);
        assert_eq!(rest, Some(Duration::from_millis(30)));
        let (due, rest) = timers.take_due(Timestamp::from_millis(60));
        assert_eq!(due, [timer(50)]);
        assert_eq!(rest, Some(LOOK_AGAIN), "the clock may jump");
        timers.clear(&timer(90_000));
        assert_eq!(timers.take_due(Timestamp::from_millis(60)), (vec![], None));
    }

    #[test]
    fn after_a_long_stop_not_all_are_taken_at_once() {
        let all: Vec<i64> = (0..100).collect();
        let mut timers = timers(&all);
        let now = Timestamp::from_millis(1_000);
        assert_eq!(timers.take_due(now).0.len(), TOGETHER_MAX);
        assert_eq!(timers.take_due(now).0.len(), 100 - TOGETHER_MAX);
    }
}
