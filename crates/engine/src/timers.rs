//! Timers of one partition: proposed in the order in which they are due.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taraf_base::{Tasks, Timestamp};
use taraf_log::Space;
use taraf_log::machine::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::insist::insist;
use crate::invoker::Means;
use crate::partition::{self, Input, Partition, Purpose, Timer};

/// A timer that comes so much later than it was due was due while nobody led.
const OVERDUE: Duration = Duration::from_secs(1);

/// The timers that are set, and who waits for them.
#[derive(Default)]
pub(crate) struct Timers {
    set: Mutex<partition::Timers>,
    changed: Notify,
}

impl Timers {
    /// Sets (`true`) and clears timers, all at once: nobody sees some of them without the others.
    pub(crate) fn change(&self, timers: Vec<(bool, Timer)>) {
        if timers.is_empty() {
            return;
        }
        self.locked(|set| {
            for (is_set, timer) in timers {
                if is_set {
                    set.set(timer);
                } else {
                    set.clear(&timer);
                }
            }
        });
        self.changed.notify_one();
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

    /// Takes the next timer, whenever it is due.
    pub(crate) fn take_first(&self) -> Option<Timer> {
        self.locked(partition::Timers::take_first)
    }

    fn locked<T>(&self, change: impl FnOnce(&mut partition::Timers) -> T) -> T {
        change(&mut self.set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Proposes timers when they are due.
pub(crate) struct Driver {
    pub(crate) timers: Arc<Timers>,
    pub(crate) handle: Handle<Partition>,
    pub(crate) means: Arc<Means>,
    /// How much room is left for what must survive.
    pub(crate) space: watch::Receiver<Space>,
}

impl Driver {
    /// Goes on until the tasks stop.
    pub(crate) async fn run(self, tasks: Tasks) {
        let stopping = tasks.token();
        let work = async {
            self.means.pace.let_go().await;
            if self.means.config.skip_waits {
                self.skip().await;
            } else {
                self.wait().await;
            }
        };
        tokio::select! {
            // What was taken and not proposed is due again after the next start.
            () = stopping.cancelled() => {}
            () = work => {}
        }
    }

    async fn wait(&self) {
        let mut space = self.space.clone();
        // Due, and held back for want of room. Bounded as timers are: by the number of live steps.
        let mut held = Vec::new();
        loop {
            let due = tokio::select! {
                due = self.timers.due() => due,
                // Who tells of the room may be gone; then there is room.
                _room = space.wait_for(|space| *space != Space::Full), if !held.is_empty() => {
                    std::mem::take(&mut held)
                }
            };
            let is_full = *space.borrow() == Space::Full;
            let (waits, goes) = due
                .into_iter()
                .partition(|timer| is_full && begins_work(timer));
            held.extend::<Vec<Timer>>(waits);
            self.propose_all(goes).await;
        }
    }

    async fn propose_all(&self, due: Vec<Timer>) {
        let mut proposals = JoinSet::new();
        for timer in due {
            // What became due while nobody led goes on no faster than calls made again.
            if Timestamp::now().since(timer.0) > OVERDUE {
                self.means.pace.turn().await;
            }
            let handle = self.handle.clone();
            proposals.spawn(async move { propose(&handle, timer).await });
        }
        while proposals.join_next().await.is_some() {}
    }

    /// Timers come in their order as soon as nothing else is under way, whenever they are due.
    async fn skip(&self) {
        loop {
            // Asked for before looking, so that what changes meanwhile wakes this wait.
            let (changed, idle) = (
                self.timers.changed.notified(),
                self.means.busy.idle.notified(),
            );
            if self.means.busy.is_idle() {
                match self.timers.take_first() {
                    Some(timer) => propose(&self.handle, timer).await,
                    None => changed.await,
                }
                continue;
            }
            tokio::select! {
                () = idle => {}
                // A timeout of what is under way.
                due = self.timers.due() => {
                    for timer in due {
                        propose(&self.handle, timer).await;
                    }
                }
            }
        }
    }
}

/// What a delay wakes begins work, so it waits while there is no room: the outcomes of what runs come
/// first. A timeout ends what runs, and does not wait. What was cleared while it was held is refused
/// as any late timer is.
fn begins_work((_, _, _, purpose): &Timer) -> bool {
    match purpose {
        Purpose::Delay => true,
        Purpose::Timeout | Purpose::AttemptTimeout => false,
    }
}

async fn propose(handle: &Handle<Partition>, (due, run, step, purpose): Timer) {
    let input = Input::TimerDue {
        run,
        step,
        purpose,
        due,
    };
    insist(handle, input).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunId;

    #[tokio::test]
    async fn timers_come_in_the_order_in_which_they_are_due() {
        let timer = |at| (Timestamp::from_millis(at), RunId::new(1), 1, Purpose::Delay);
        let timers = Timers::default();
        timers.change([30, 10, 20].map(|at| (true, timer(at))).to_vec());
        timers.change(vec![(false, timer(20))]);
        assert_eq!(timers.due().await, [timer(10), timer(30)]);
    }
}
