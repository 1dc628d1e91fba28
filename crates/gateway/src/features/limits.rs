//! What a route as a whole takes, whoever calls: calls at once, calls a second, time of an attempt.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use taraf_service::{CallPolicy, Problem, problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Wrong;
use crate::answer;
use crate::quota::{Bucket, Rate};

/// How long a caller that found all places taken should wait.
const WAIT: Duration = Duration::from_secs(1);

/// What a route takes, whoever calls. All of it is open unless it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteLimits {
    /// Calls at once, to the last byte of their answers. Answered 503.
    pub in_flight: Option<usize>,
    /// Calls a second in the long run. Answered 429.
    pub rate_per_second: Option<u32>,
    /// Calls at once after a rest: as many as a second has.
    pub burst: Option<u32>,
    /// The longest time of one attempt to reach the service; the route's deadline without it.
    #[serde(deserialize_with = "duration")]
    pub attempt: Option<Duration>,
    /// The longest pause within the service's answer: 30 s.
    #[serde(deserialize_with = "duration")]
    pub answer_pause: Option<Duration>,
    /// Attempts after the first, where a call may be repeated: 1.
    pub retries: Option<u32>,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let read = taraf_base::duration::parse(&text);
    read.map(Some).map_err(D::Error::custom)
}

/// The most attempts after the first: each is a load on a service that is in trouble already.
const RETRIES_MAX: u32 = 10;

#[derive(Debug)]
pub(crate) struct Plan {
    places: Option<Arc<Semaphore>>,
    rate: Option<(Rate, Mutex<Bucket>)>,
    attempt: Option<Duration>,
    answer_pause: Option<Duration>,
    retries: Option<u32>,
    /// What times are counted from.
    origin: Instant,
}

impl Plan {
    pub(crate) fn build(limits: &RouteLimits) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let mut must = |is_so: bool, at: &str, why: &str| {
            if !is_so {
                wrong.push(Wrong::new(format!("limits.{at}"), why));
            }
        };
        let places = 1..=Semaphore::MAX_PERMITS;
        must(
            limits.in_flight.is_none_or(|count| places.contains(&count)),
            "in_flight",
            "at least 1 is needed",
        );
        must(
            limits.rate_per_second != Some(0),
            "rate_per_second",
            "at least 1 is needed",
        );
        must(limits.burst != Some(0), "burst", "at least 1 is needed");
        must(
            limits.burst.is_none() || limits.rate_per_second.is_some(),
            "burst",
            "`rate_per_second` is needed beside it",
        );
        must(
            limits.retries.is_none_or(|count| count <= RETRIES_MAX),
            "retries",
            "at most 10 are allowed",
        );
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let rate = limits.rate_per_second.map(|rate| {
            let rate = Rate::per(rate, Duration::from_secs(1), limits.burst.unwrap_or(rate));
            (rate, Mutex::default())
        });
        Ok(Self {
            places: limits
                .in_flight
                .map(|count| Arc::new(Semaphore::new(count))),
            rate,
            attempt: limits.attempt,
            answer_pause: limits.answer_pause,
            retries: limits.retries,
            origin: Instant::now(),
        })
    }

    /// Lets a call in, or says why not. The place is held as long as what is returned.
    pub(crate) fn enter(&self, now: Instant) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        if let Some((rate, bucket)) = &self.rate {
            let passed = now.saturating_duration_since(self.origin);
            let now_ns = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(*rate, now_ns, 1).map_err(|empty| {
                let problem =
                    problem::RATE_LIMITED.with_detail("the route takes no more calls now");
                answer::retry_after(problem, empty.wait)
            })?;
        }
        let Some(places) = &self.places else {
            return Ok(None);
        };
        let place = Arc::clone(places).try_acquire_owned();
        place.map(Some).map_err(|_full| {
            let problem =
                problem::OVERLOADED.with_detail("the route has as many calls as it takes");
            answer::retry_after(problem, WAIT)
        })
    }

    /// Puts the route's own times in place of the usual ones.
    pub(crate) fn tighten(&self, policy: &mut CallPolicy) {
        policy.attempt = self.attempt.or(policy.attempt);
        policy.body_idle = self.answer_pause.unwrap_or(policy.body_idle);
        policy.retries = self.retries.unwrap_or(policy.retries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: serde_json::Value) -> Result<Plan, Vec<Wrong>> {
        Plan::build(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn places_are_taken_and_given_back() {
        let plan = plan(serde_json::json!({"in_flight": 1})).unwrap();
        let place = plan.enter(plan.origin).unwrap();
        assert_eq!(plan.enter(plan.origin).unwrap_err().status, 503);
        drop(place);
        assert!(plan.enter(plan.origin).unwrap().is_some());
    }

    #[test]
    fn a_rate_is_that_of_all_callers_together() {
        let plan = plan(serde_json::json!({"rate_per_second": 10, "burst": 2})).unwrap();
        plan.enter(plan.origin).unwrap();
        plan.enter(plan.origin).unwrap();
        let refused = plan.enter(plan.origin).unwrap_err();
        assert_eq!((refused.status, refused.headers.len()), (429, 1));
        plan.enter(plan.origin + Duration::from_millis(100))
            .unwrap();
    }

    #[test]
    fn limits_that_let_nothing_through_are_refused() {
        for (json, at) in [
            (serde_json::json!({"in_flight": 0}), "limits.in_flight"),
            (
                serde_json::json!({"rate_per_second": 0}),
                "limits.rate_per_second",
            ),
            (serde_json::json!({"burst": 1}), "limits.burst"),
            (serde_json::json!({"retries": 99}), "limits.retries"),
        ] {
            assert_eq!(plan(json).unwrap_err()[0].at, at);
        }
    }
}
