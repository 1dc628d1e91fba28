//! Spending on the hot path: one meter for a line of keys, refilled from the log in blocks.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use taraf_base::Timestamp;
use tokio::sync::watch;

use crate::quota::{Blocks, Bucket, Month, Plan, Spend};
use crate::registry::KeyId;

/// The bucket and blocks of one line of keys.
///
/// The lock is held for a few arithmetic operations and never across an `.await`: no request waits
/// for another here. Who finds the block spent waits for the reservation, outside the lock.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) line: KeyId,
    spending: Mutex<Spending>,
    /// Counts reservations that ended, and tells whether the last one failed.
    /// Made when somebody first waits for a renewal: it is larger than all the rest, and most meters are
    /// renewed ahead of need.
    renewals: OnceLock<watch::Sender<Renewal>>,
}

#[derive(Debug)]
struct Spending {
    plan: Plan,
    bucket: Bucket,
    blocks: Blocks,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Renewal {
    ended: u64,
    pub(crate) has_failed: bool,
}

/// How a key stands with its plan, for headers and views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What the plan allows.
    pub plan: Plan,
    /// Calls this month.
    pub used: u64,
    /// What is left of the quota.
    pub remaining: Option<u64>,
    /// When the next month begins.
    pub reset: Timestamp,
    /// The time to it.
    pub reset_in: Duration,
    /// Calls that could be made at once.
    pub burst_left: u32,
}

/// The plan does not allow the call now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverPlan {
    /// Too many calls at once.
    Rate {
        /// When it could be tried again.
        wait: Duration,
    },
    /// The month's quota is used up.
    Quota,
}

impl Meter {
    pub(crate) fn new(line: KeyId, plan: Plan, month: Month, charged: u64) -> Self {
        Self {
            line,
            spending: Mutex::new(Spending {
                plan,
                bucket: Bucket::default(),
                blocks: Blocks::new(month, charged),
            }),
            renewals: OnceLock::new(),
        }
    }

    pub(crate) fn set_plan(&self, plan: Plan) {
        let mut spending = self.lock();
        spending.plan = plan;
        spending.blocks.reopen();
    }

    /// Takes a token of the rate, then spends; a call that costs nothing takes neither. Also tells how
    /// the line stands after it. One lock for all, as each call comes through here.
    pub(crate) fn pass(
        &self,
        now: Timestamp,
        now_ns: u64,
        cost: u64,
    ) -> (Result<Spend, OverPlan>, Standing) {
        let spending = &mut *self.lock();
        let passed = if cost == 0 {
            Ok(Spend::Taken { renew: false })
        } else {
            let rate = spending.plan.rate();
            let taken = spending.bucket.take(rate, now_ns, 1);
            let taken = taken.map_err(|empty| OverPlan::Rate { wait: empty.wait });
            taken.map(|()| spending.blocks.spend(&spending.plan, Month::of(now), cost))
        };
        (passed, spending.standing(now, now_ns))
    }

    pub(crate) fn spend(&self, month: Month, cost: u64) -> Spend {
        let spending = &mut *self.lock();
        spending.blocks.spend(&spending.plan, month, cost)
    }

    pub(crate) fn ask(&self, month: Month, cost: u64) -> Option<(Month, u64)> {
        let spending = &mut *self.lock();
        spending.blocks.ask(&spending.plan, month, cost)
    }

    /// A reservation ended: with the units and the month's sum, or with nothing.
    pub(crate) fn renewed(&self, month: Month, granted: Option<(u64, u64)>) {
        {
            let blocks = &mut self.lock().blocks;
            match granted {
                Some((units, charged)) => blocks.granted(month, units, charged),
                None => blocks.failed(month),
            }
        }
        // Who comes to wait from here on finds what was granted.
        if let Some(renewals) = self.renewals.get() {
            renewals.send_modify(|renewal| {
                renewal.ended += 1;
                renewal.has_failed = granted.is_none();
            });
        }
    }

    pub(crate) fn renewals(&self) -> watch::Receiver<Renewal> {
        self.renewals
            .get_or_init(watch::Sender::default)
            .subscribe()
    }

    pub(crate) fn surrender(&self) -> (Month, u64) {
        self.lock().blocks.surrender()
    }

    pub(crate) fn standing(&self, now: Timestamp, now_ns: u64) -> Standing {
        self.lock().standing(now, now_ns)
    }

    fn lock(&self) -> MutexGuard<'_, Spending> {
        self.spending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spending {
    fn standing(&mut self, now: Timestamp, now_ns: u64) -> Standing {
        let month = Month::of(now);
        let reset = month.next().start();
        self.blocks.look(month);
        Standing {
            used: self.blocks.used(),
            remaining: self.blocks.remaining(&self.plan),
            reset,
            reset_in: reset.since(now),
            burst_left: self.bucket.available(self.plan.rate(), now_ns),
            plan: self.plan.clone(),
        }
    }
}
