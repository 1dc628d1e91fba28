//! [pure] How a failed `try` is tried again: delays, jitter, limits.

use std::time::Duration;

use taraf_base::Timestamp;

use crate::data::Data;
use crate::duration::TimeSpan;
use crate::expression::{Expression, ExpressionError, Scope};

/// The longest delay.
pub const MAX_DELAY: Duration = Duration::from_secs(24 * 3_600);
/// The shortest: what a delay of nothing becomes.
pub const MIN_DELAY: Duration = Duration::from_millis(10);
/// The delay when there is a backoff but no delay.
const BACKOFF_DELAY: Duration = Duration::from_secs(1);

/// How the delay grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backoff {
    /// It does not.
    #[default]
    None,
    /// It does not; the delay is a second if none is given.
    Constant,
    /// By the delay each time.
    Linear,
    /// Twofold each time.
    Exponential,
}

/// A policy as a definition gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Retried only if true.
    pub when: Option<Expression>,
    /// Not retried if true.
    pub except_when: Option<Expression>,
    /// The first delay.
    pub delay: Option<TimeSpan>,
    /// How it grows.
    pub backoff: Backoff,
    /// Bounds of what is added at random.
    pub jitter: Option<(TimeSpan, TimeSpan)>,
    /// The most retries.
    pub count: Option<u32>,
    /// The longest that one attempt may take.
    pub attempt_duration: Option<TimeSpan>,
    /// The time from the task's start after which no retry begins.
    pub duration: Option<TimeSpan>,
}

/// A policy whose durations are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The first delay, if one is given.
    pub delay: Option<Duration>,
    /// How it grows.
    pub backoff: Backoff,
    /// Bounds of what is added at random.
    pub jitter: Option<(Duration, Duration)>,
    /// The most retries.
    pub count: Option<u32>,
    /// The longest that one attempt may take.
    pub attempt_duration: Option<Duration>,
    /// The time from the task's start after which no retry begins.
    pub duration: Option<Duration>,
}

impl Policy {
    /// Whether the policy's own conditions allow a retry after that error.
    ///
    /// # Errors
    /// When a condition fails.
    pub fn allows(&self, error: &Data, scope: &Scope) -> Result<bool, ExpressionError> {
        let holds = |condition: &Option<Expression>, absent| match condition {
            Some(condition) => condition.eval_condition(error, scope),
            None => Ok(absent),
        };
        Ok(holds(&self.when, true)? && !holds(&self.except_when, false)?)
    }

    /// The policy with its durations evaluated for a task that started then.
    ///
    /// # Errors
    /// When a duration's expression fails.
    pub fn schedule(
        &self,
        input: &Data,
        scope: &Scope,
        start: Timestamp,
    ) -> Result<Schedule, ExpressionError> {
        let length =
            |span: &TimeSpan| Ok::<_, ExpressionError>(span.eval(input, scope)?.length_from(start));
        let optional = |span: &Option<TimeSpan>| span.as_ref().map(length).transpose();
        let jitter = self.jitter.as_ref();
        Ok(Schedule {
            delay: optional(&self.delay)?,
            backoff: self.backoff,
            jitter: jitter
                .map(|(from, to)| Ok::<_, ExpressionError>((length(from)?, length(to)?)))
                .transpose()?,
            count: self.count,
            attempt_duration: optional(&self.attempt_duration)?,
            duration: optional(&self.duration)?,
        })
    }
}

impl Schedule {
    /// The delay before the n-th retry (from 1), with a random number that decides the jitter.
    #[must_use]
    pub fn delay(&self, n: u32, random: u64) -> Duration {
        let n = n.max(1);
        let first = self.delay.unwrap_or(match self.backoff {
            Backoff::None => Duration::ZERO,
            Backoff::Constant | Backoff::Linear | Backoff::Exponential => BACKOFF_DELAY,
        });
        let grown = match self.backoff {
            Backoff::None | Backoff::Constant => first,
            Backoff::Linear => first.saturating_mul(n),
            Backoff::Exponential => {
                let factor = 1_u32.checked_shl(n - 1).unwrap_or(u32::MAX);
                first.saturating_mul(factor)
            }
        };
        let jitter = self.jitter.map_or(Duration::ZERO, |(from, to)| {
            let width = to.saturating_sub(from).as_millis();
            // The high half of a 128-bit product is uniform enough.
            let share = (u128::from(random) * (width + 1)) >> 64;
            from + Duration::from_millis(u64::try_from(share).unwrap_or(0))
        });
        grown.saturating_add(jitter).clamp(MIN_DELAY, MAX_DELAY)
    }

    /// Whether the n-th retry (from 1) may begin at that instant, for a task that started then.
    #[must_use]
    pub fn may_retry(&self, n: u32, started: Timestamp, at: Timestamp) -> bool {
        self.count.is_none_or(|count| n <= count)
            && self.duration.is_none_or(|limit| at.since(started) < limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(schedule: Schedule) -> Vec<u128> {
        (1..=4).map(|n| schedule.delay(n, 0).as_millis()).collect()
    }

    fn with(backoff: Backoff, delay: Option<u64>) -> Schedule {
        Schedule {
            backoff,
            delay: delay.map(Duration::from_millis),
            ..Schedule::default()
        }
    }

    #[test]
    fn the_delay_grows_as_the_backoff_says() {
        assert_eq!(delays(with(Backoff::None, Some(500))), [500; 4]);
        assert_eq!(delays(with(Backoff::Constant, Some(500))), [500; 4]);
        assert_eq!(
            delays(with(Backoff::Linear, Some(500))),
            [500, 1_000, 1_500, 2_000]
        );
        assert_eq!(
            delays(with(Backoff::Exponential, Some(500))),
            [500, 1_000, 2_000, 4_000]
        );
        assert_eq!(delays(with(Backoff::None, None)), [10; 4]);
        assert_eq!(
            delays(with(Backoff::Exponential, None)),
            [1_000, 2_000, 4_000, 8_000]
        );
    }

    #[test]
    fn the_delay_is_capped_at_a_day() {
        assert_eq!(
            with(Backoff::Exponential, Some(1_000)).delay(200, 0),
            MAX_DELAY
        );
    }

    #[test]
    fn jitter_lies_between_its_bounds() {
        let schedule = Schedule {
            jitter: Some((Duration::from_millis(100), Duration::from_millis(200))),
            ..with(Backoff::Constant, Some(1_000))
        };
        assert_eq!(schedule.delay(1, 0).as_millis(), 1_100);
        assert_eq!(schedule.delay(1, u64::MAX).as_millis(), 1_200);
        assert_eq!(schedule.delay(1, u64::MAX / 2).as_millis(), 1_150);
    }

    #[test]
    fn the_count_counts_retries_and_the_duration_runs_from_the_start() {
        let schedule = Schedule {
            count: Some(2),
            duration: Some(Duration::from_secs(10)),
            ..Schedule::default()
        };
        let start = Timestamp::from_millis(0);
        let at = |millis| Timestamp::from_millis(millis);
        assert!(schedule.may_retry(2, start, at(9_999)));
        assert!(!schedule.may_retry(3, start, at(0)));
        assert!(!schedule.may_retry(1, start, at(10_000)));
        assert!(Schedule::default().may_retry(1_000_000, start, at(i64::MAX)));
    }
}
