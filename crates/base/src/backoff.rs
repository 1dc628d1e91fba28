//! [pure] How long to wait before trying again.

use std::time::Duration;

use crate::Rng;

/// Exponential back-off with jitter: the n-th wait lies between half and the whole of
/// `first * factor^n`, never above `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait.
    pub first: Duration,
    /// No wait is longer than this.
    pub max: Duration,
    /// How much longer each wait is than the one before.
    pub factor: u32,
}

impl Backoff {
    /// The wait before retry number `attempt`, which counts from 0.
    #[must_use]
    pub fn delay(&self, attempt: u32, rng: &mut Rng) -> Duration {
        let grown = self
            .factor
            .checked_pow(attempt)
            .and_then(|factor| self.first.checked_mul(factor))
            .map_or(self.max, |delay| delay.min(self.max));
        let half = grown / 2;
        half + half.mul_f64(rng.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_no_further() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_secs(2),
            factor: 2,
        };
        let mut rng = Rng::new(3);
        for (attempt, whole_ms) in [(0, 100), (1, 200), (4, 1600), (5, 2000), (200, 2000)] {
            let delay = backoff.delay(attempt, &mut rng);
            let whole = Duration::from_millis(whole_ms);
            assert!(
                delay >= whole / 2 && delay <= whole,
                "attempt {attempt}: {delay:?}"
            );
        }
    }
}
