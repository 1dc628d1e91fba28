//! Timers of one partition: proposed in the order in which they are due.

use std::sync::{Mutex, PoisonError};

use taraf_base::Timestamp;
use tokio::sync::Notify;

use crate::partition::{self, Timer};

/// The timers that are set, and who waits for them.
#[derive(Default)]
pub(crate) struct Timers {
    set: Mutex<partition::Timers>,
    changed: Notify,
}

impl Timers {
    pub(crate) fn set(&self, timer: Timer) {
        self.locked(|set| set.set(timer));
        self.changed.notify_one();
    }

    pub(crate) fn clear(&self, timer: Timer) {
        self.locked(|set| set.clear(&timer));
    }

    /// Waits until timers are due and takes them, in order.
    pub(crate) async fn due(&self) -> Vec<Timer> {
        loop {
            // Asked for before looking, so that a timer set meanwhile wakes this wait.
            let changed = self.changed.notified();
            let now = Timestamp::now();
            let (due, rest) = self.locked(|set| set.take_due(now));
            if !due.is_empty() {
                return due;
            }
            match rest {
                None => changed.await,
                Some(rest) => {
                    // Either way the loop looks again.
                    let _elapsed = tokio::time::timeout(rest, changed).await;
                }
            }
        }
    }

    fn locked<T>(&self, change: impl FnOnce(&mut partition::Timers) -> T) -> T {
        change(&mut self.set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunId;
    use crate::partition::Purpose;

    #[tokio::test]
    async fn timers_come_in_the_order_in_which_they_are_due() {
        let timer = |at| (Timestamp::from_millis(at), RunId::new(1), 1, Purpose::Delay);
        let timers = Timers::default();
        for at in [30, 10, 20] {
            timers.set(timer(at));
        }
        timers.clear(timer(20));
        assert_eq!(timers.due().await, [timer(10), timer(30)]);
    }
}
