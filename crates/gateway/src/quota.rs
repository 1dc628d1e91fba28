//! [pure] What a key may spend: a token bucket for the rate, blocks of the monthly quota for the rest.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;

/// The share of a month's quota that one block holds.
const BLOCKS_PER_QUOTA: u64 = 100;
/// The block of a plan without a quota: only counted, so it may be generous.
const BLOCK_UNLIMITED: u64 = 1_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// A calendar month in UTC, counted from January of the year 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Month(u32);

impl Month {
    /// The month that `now` lies in.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        let (year, month) = civil_month(now.as_millis().div_euclid(MILLIS_PER_DAY));
        let number = year.saturating_mul(12).saturating_add(month - 1);
        Self(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
    }

    /// Midnight of its first day.
    #[must_use]
    pub fn start(self) -> Timestamp {
        let days = days_before(i64::from(self.0 / 12), i64::from(self.0 % 12 + 1));
        Timestamp::from_millis(days.saturating_mul(MILLIS_PER_DAY))
    }

    /// The month after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// As `2026-01`.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

/// Year and month of a day counted from 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms": years begin in March, so that the leap day is the last).
fn civil_month(days: i64) -> (i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month)
}

/// Days from 1970-01-01 to the first day of a month; the inverse of [`civil_month`].
fn days_before(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// What a key may spend: calls a second with a burst, and calls a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Calls a second in the long run; at least 1.
    pub rate_per_second: u32,
    /// Calls at once after a rest; at least 1.
    pub burst: u32,
    /// Calls a month in UTC; without it calls are counted and never refused.
    #[serde(default)]
    pub quota_per_month: Option<u64>,
}

impl Plan {
    /// The rate as a bucket counts it.
    #[must_use]
    pub fn rate(&self) -> Rate {
        Rate::per(self.rate_per_second, Duration::from_secs(1), self.burst)
    }

    /// How much is reserved in the log at a time: a hundredth of the quota, at least 1.
    #[must_use]
    pub fn block(&self) -> u64 {
        self.quota_per_month
            .map_or(BLOCK_UNLIMITED, |quota| (quota / BLOCKS_PER_QUOTA).max(1))
    }
}

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval_ns: u64,
    burst: u32,
}

impl Rate {
    /// `count` tokens in each `period`, at most `burst` at once; zeros count as one.
    #[must_use]
    pub fn per(count: u32, period: Duration, burst: u32) -> Self {
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Self {
            interval_ns: (period_ns / u64::from(count.max(1))).max(1),
            burst: burst.max(1),
        }
    }

    /// The tokens of a full bucket.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// The time that an empty bucket takes to fill.
    #[must_use]
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.interval_ns.saturating_mul(u64::from(self.burst)))
    }
}

/// A token bucket in the form of a single number: the time at which it will be full again (the
/// generic cell rate algorithm). Time is in nanoseconds from any origin.
///
/// Invariant: `full_at <= now + burst * interval` after each [`Bucket::take`] that succeeded, as a
/// take that would go beyond is refused. So the bucket never lends more than the burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: u64,
}

/// The bucket holds too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty {
    /// After this time the same take succeeds, if nothing else is taken meanwhile.
    pub wait: Duration,
}

impl Bucket {
    /// Takes `count` tokens at the time `now`, or says how long to wait.
    ///
    /// # Errors
    /// [`Empty`] when fewer tokens are there.
    pub fn take(&mut self, rate: Rate, now: u64, count: u32) -> Result<(), Empty> {
        let filling = |tokens: u32| rate.interval_ns.saturating_mul(u64::from(tokens));
        let full_at = self.full_at.max(now).saturating_add(filling(count));
        let limit = now.saturating_add(filling(rate.burst));
        if full_at > limit {
            let wait = Duration::from_nanos(full_at - limit);
            return Err(Empty { wait });
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Whole tokens that could be taken now.
    #[must_use]
    pub fn available(&self, rate: Rate, now: u64) -> u32 {
        let missing = self.full_at.saturating_sub(now).div_ceil(rate.interval_ns);
        rate.burst
            .saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    /// Whether nothing is missing: such a bucket need not be remembered.
    #[must_use]
    pub fn is_full(&self, now: u64) -> bool {
        self.full_at <= now
    }
}

/// The blocks of one key's quota that this process holds: reserved in the log, not yet spent.
///
/// Invariant: units held, plus those asked for and not yet granted, are at most one block (or one
/// call's cost, if that is more), because [`Blocks::spend`] asks for what is missing to a block and
/// [`Blocks::ask`] never asks twice. A crash loses what is held, so it charges the key at most one
/// block too much; as units are reserved before they are spent, it never gives a call back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    month: Month,
    held: u64,
    asked: u64,
    charged: u64,
    is_used_up: bool,
}

/// What came of an attempt to spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// The units are spent. With `renew` the next block should be asked for, beside the request.
    Taken {
        /// The block is half empty and nothing is asked for yet.
        renew: bool,
    },
    /// Too few units are held: a reservation must come first.
    Short,
    /// The month's quota is used up.
    UsedUp,
}

impl Blocks {
    /// Nothing held, in a month that was charged so much before.
    #[must_use]
    pub fn new(month: Month, charged: u64) -> Self {
        Self {
            month,
            charged,
            ..Self::default()
        }
    }

    /// The plan has changed: there may be more to reserve.
    pub fn reopen(&mut self) {
        self.is_used_up = false;
    }

    /// Spends `cost` units in `month`.
    pub fn spend(&mut self, plan: &Plan, month: Month, cost: u64) -> Spend {
        self.enter(month);
        if self.held < cost {
            return if self.is_used_up {
                Spend::UsedUp
            } else {
                Spend::Short
            };
        }
        self.held -= cost;
        let is_low = self.held <= plan.block() / 2 && plan.block() > 1;
        Spend::Taken {
            renew: is_low && self.asked == 0 && !self.is_used_up,
        }
    }

    /// The units to reserve now and their month, or nothing when a reservation is under way or not
    /// needed. The month is that of the blocks, which a call that began before midnight may lag
    /// behind. The answer must be given back with [`Blocks::granted`] or [`Blocks::failed`] and that
    /// month.
    pub fn ask(&mut self, plan: &Plan, month: Month, cost: u64) -> Option<(Month, u64)> {
        self.enter(month);
        let wanted = plan.block().max(cost).saturating_sub(self.held);
        if self.asked > 0 || wanted == 0 {
            return None;
        }
        self.asked = wanted;
        Some((self.month, wanted))
    }

    /// A reservation is durable: `units` may be spent; `charged` is the month's sum in the log.
    pub fn granted(&mut self, month: Month, units: u64, charged: u64) {
        // Units of another month are lost: they are charged to that month, as after a crash.
        if month != self.month {
            return;
        }
        self.is_used_up = units < self.asked;
        self.asked = 0;
        self.held = self.held.saturating_add(units);
        self.charged = charged;
    }

    /// A reservation came to nothing.
    pub fn failed(&mut self, month: Month) {
        if month == self.month {
            self.asked = 0;
        }
    }

    /// Gives up what is held, so that it can be returned at an orderly stop.
    pub fn surrender(&mut self) -> (Month, u64) {
        // Nothing may be spent after this: the units are about to be someone else's.
        self.is_used_up = true;
        let held = std::mem::take(&mut self.held);
        self.charged = self.charged.saturating_sub(held);
        (self.month, held)
    }

    /// What was charged this month and is not held: the calls that were made.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.charged.saturating_sub(self.held)
    }

    /// What is left of the month's quota; nothing for a plan without one.
    #[must_use]
    pub fn remaining(&self, plan: &Plan) -> Option<u64> {
        plan.quota_per_month
            .map(|quota| quota.saturating_sub(self.used()))
    }

    /// Goes on to `month`, so that what is told is of that month.
    pub fn look(&mut self, month: Month) {
        self.enter(month);
    }

    fn enter(&mut self, month: Month) {
        // A clock that steps back over midnight of the first day must not open the old month again.
        if month > self.month {
            *self = Self {
                month,
                ..Self::default()
            };
        }
    }
}

#[cfg(test)]
mod tests;
