//! Timers of one partition: proposed in the order in which they are due.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use taraf_base::Timestamp;
use tokio::sync::Notify;

use crate::RunId;
use crate::partition::Purpose;

/// A timer: when, of which run and step, and what for.
pub(crate) type Timer = (Timestamp, RunId, u32, Purpose);

/// Longest wait between two looks at the clock, which may jump and goes on while a machine sleeps.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Timers proposed at the same time after a long stop.
const TOGETHER_MAX: usize = 64;

/// The timers that are set. Their number is bounded by that of live steps.
#[derive(Default)]
pub(crate) struct Timers {
    set: Mutex<BTreeSet<Timer>>,
    changed: Notify,
}

impl Timers {
    pub(crate) fn set(&self, timer: Timer) {
        self.locked(|set| set.insert(timer));
        self.changed.notify_one();
    }

    pub(crate) fn clear(&self, timer: Timer) {
        self.locked(|set| set.remove(&timer));
    }

    /// Waits until timers are due and takes them, in order.
    pub(crate) async fn due(&self) -> Vec<Timer> {
        loop {
            // Asked for before looking, so that a timer set meanwhile wakes this wait.
            let changed = self.changed.notified();
            let now = Timestamp::now();
            let (due, next) = self.locked(|set| take_due(set, now));
            if !due.is_empty() {
                return due;
            }
            match next {
                None => changed.await,
                Some(next) => {
                    let rest = next.since(now).clamp(Duration::from_millis(1), LOOK_AGAIN);
                    // Either way the loop looks again.
                    let _elapsed = tokio::time::timeout(rest, changed).await;
                }
            }
        }
    }

    fn locked<T>(&self, change: impl FnOnce(&mut BTreeSet<Timer>) -> T) -> T {
        change(&mut self.set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes what is due, and answers when the next one will be.
fn take_due(set: &mut BTreeSet<Timer>, now: Timestamp) -> (Vec<Timer>, Option<Timestamp>) {
    let mut due = Vec::new();
    while let Some(first) = set.first().copied() {
        if first.0 > now || due.len() >= TOGETHER_MAX {
            return (due, Some(first.0));
        }
        set.remove(&first);
        due.push(first);
    }
    (due, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(at: i64) -> Timer {
        (Timestamp::from_millis(at), RunId::new(1), 1, Purpose::Delay)
    }

    #[tokio::test]
    async fn timers_come_in_the_order_in_which_they_are_due() {
        let timers = Timers::default();
        for at in [30, 10, 20] {
            timers.set(timer(at));
        }
        timers.clear(timer(20));
        let due: Vec<i64> = timers
            .due()
            .await
            .iter()
            .map(|timer| timer.0.as_millis())
            .collect();
        assert_eq!(due, [10, 30]);
    }

    #[test]
    fn what_is_not_due_stays() {
        let mut set = BTreeSet::from([timer(10), timer(50)]);
        let (due, next) = take_due(&mut set, Timestamp::from_millis(20));
        assert_eq!((due.len(), next), (1, Some(Timestamp::from_millis(50))));
        assert_eq!(set.len(), 1);
    }
}
