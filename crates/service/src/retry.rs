//! [pure] Which calls may be tried again, how many of all, and after what wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use taraf_base::Backoff;

/// One retry in the budget's unit, so that a part of a retry can be added.
const RETRY: u64 = 1_000;

/// How many retries there may be, and how long they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Retries for each hundred calls. Default 20.
    pub percent: u32,
    /// Retries each second even with few calls. Default 10.
    pub per_second_min: u32,
    /// Retries that can be saved up. Default 100.
    pub saved_max: u32,
    /// The longest first wait; each further one doubles it. Default 25 ms.
    #[serde(with = "taraf_base::duration::serde")]
    pub wait_first: Duration,
    /// The longest wait. Default 1 s.
    #[serde(with = "taraf_base::duration::serde")]
    pub wait_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            percent: 20,
            per_second_min: 10,
            saved_max: 100,
            wait_first: Duration::from_millis(25),
            wait_max: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// The waits between attempts.
    #[must_use]
    pub const fn backoff(&self) -> Backoff {
        Backoff {
            first: self.wait_first,
            max: self.wait_max,
            factor: 2,
        }
    }
}

/// How an attempt ended, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The other side certainly saw nothing of it.
    Unsent,
    /// It may have been seen; no answer came.
    NoAnswer,
    /// This answer came.
    Answer(StatusCode),
}

/// Whether a method promises that asking twice is as asking once (RFC 9110 §9.2.2).
#[must_use]
pub fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// Whether a failed attempt may be followed by another one: always when nothing was sent, otherwise
/// only what is idempotent, and of answers only those that say "not now" (502, 503, 504).
#[must_use]
pub const fn may_repeat(failure: Failure, is_idempotent: bool) -> bool {
    match failure {
        Failure::Unsent => true,
        Failure::NoAnswer => is_idempotent,
        Failure::Answer(status) => is_idempotent && matches!(status.as_u16(), 502..=504),
    }
}

/// How many retries a pool has left: a share of its calls and a few each second, so that retries
/// help against single failures and cannot multiply the load when everything fails.
#[derive(Debug)]
pub struct Budget {
    per_call: u64,
    per_second: u64,
    saved_max: u64,
    saved: AtomicU64,
    /// Up to when the retries of each second are added, in milliseconds.
    added_ms: AtomicU64,
}

impl Budget {
    /// A budget that begins with the retries of one second.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let per_second = u64::from(config.per_second_min) * RETRY;
        let saved_max = (u64::from(config.saved_max) * RETRY).max(per_second);
        Self {
            per_call: u64::from(config.percent) * RETRY / 100,
            per_second,
            saved_max,
            saved: AtomicU64::new(per_second),
            added_ms: AtomicU64::new(0),
        }
    }

    /// A call begins; a part of a retry is added.
    pub fn deposit(&self) {
        // Two callers at the limit may both add: the limit is exceeded by a part of a retry at most
        // for each thread.
        if self.saved.load(Ordering::Relaxed) < self.saved_max {
            self.saved.fetch_add(self.per_call, Ordering::Relaxed);
        }
    }

    /// Takes one retry, if there is one. `now` is the time since some fixed beginning.
    pub fn withdraw(&self, now: Duration) -> bool {
        self.add_time(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let take = |saved: u64| saved.checked_sub(RETRY);
        self.saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    fn add_time(&self, now_ms: u64) {
        let before = self.added_ms.load(Ordering::Relaxed);
        let passed = now_ms.saturating_sub(before);
        let won = passed > 0
            && self
                .added_ms
                .compare_exchange(before, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if won {
            let added = self.per_second.saturating_mul(passed) / 1_000;
            let add = |saved: u64| Some(saved.saturating_add(added).min(self.saved_max));
            // The closure always gives a value, so the update cannot fail.
            let _previous = self
                .saved
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn withdrawn(budget: &Budget, now: Duration) -> u32 {
        let mut count = 0;
        while budget.withdraw(now) {
            count += 1;
        }
        count
    }

    #[test]
    fn a_share_of_the_calls_may_be_repeated() {
        let budget = Budget::new(&Config::default());
        assert_eq!(withdrawn(&budget, Duration::ZERO), 10);
        (0..100).for_each(|_| budget.deposit());
        assert_eq!(withdrawn(&budget, Duration::ZERO), 20);
    }

    #[test]
    fn each_second_adds_a_few_up_to_what_can_be_saved() {
        let budget = Budget::new(&Config::default());
        assert_eq!(withdrawn(&budget, Duration::from_secs(1)), 20);
        assert_eq!(withdrawn(&budget, Duration::from_millis(1_500)), 5);
        assert_eq!(withdrawn(&budget, Duration::from_secs(3_600)), 100);
    }

    #[test]
    fn what_may_have_had_an_effect_is_repeated_only_when_harmless() {
        let unavailable = Failure::Answer(StatusCode::SERVICE_UNAVAILABLE);
        let refused = Failure::Answer(StatusCode::BAD_REQUEST);
        let internal = Failure::Answer(StatusCode::INTERNAL_SERVER_ERROR);
        for (failure, is_idempotent, expected) in [
            (Failure::Unsent, false, true),
            (Failure::NoAnswer, false, false),
            (Failure::NoAnswer, true, true),
            (unavailable, true, true),
            (unavailable, false, false),
            (refused, true, false),
            (internal, true, false),
        ] {
            assert_eq!(may_repeat(failure, is_idempotent), expected, "{failure:?}");
        }
        assert!(is_idempotent(&Method::GET) && is_idempotent(&Method::DELETE));
        assert!(!is_idempotent(&Method::POST) && !is_idempotent(&Method::PATCH));
    }

    proptest! {
        #[test]
        fn retries_stay_below_the_share_and_the_few(
            steps in prop::collection::vec((0_u64..50, 0_u32..20), 1..200),
        ) {
            let config = Config::default();
            let budget = Budget::new(&config);
            let (mut now, mut calls, mut retries) = (Duration::ZERO, 0_u64, 0_u64);
            for (wait, wanted) in steps {
                now += Duration::from_millis(wait);
                budget.deposit();
                calls += 1;
                for _ in 0..wanted {
                    retries += u64::from(budget.withdraw(now));
                }
            }
            let seconds = u64::try_from(now.as_millis()).unwrap() / 1_000 + 2;
            prop_assert!(retries <= calls / 5 + 10 * seconds);
        }
    }
}
