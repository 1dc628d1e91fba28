//! One request at a time may start, and none sooner than an interval after the one before.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Spaces the starts of requests, in the order in which they were asked for.
#[derive(Debug)]
pub(crate) struct Limiter {
    interval: Duration,
    /// Whoever holds the permit is next.
    next: Semaphore,
    last: Mutex<Option<Instant>>,
}

impl Limiter {
    pub(crate) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            next: Semaphore::const_new(1),
            last: Mutex::new(None),
        }
    }

    /// Returns when a request may start. A caller that gives up before has used nothing up.
    pub(crate) async fn turn(&self) {
        let _permit = self.next.acquire().await.expect("it is never closed");
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last {
            tokio::time::sleep_until(last + self.interval).await;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn starts_are_an_interval_apart() {
        let limiter = Limiter::new(Duration::from_secs(1));
        let begin = Instant::now();
        let mut starts = Vec::new();
        for _ in 0..3 {
            limiter.turn().await;
            starts.push(begin.elapsed());
        }
        assert_eq!(starts, [0, 1, 2].map(Duration::from_secs));
        tokio::time::advance(Duration::from_secs(5)).await;
        limiter.turn().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_has_used_nothing_up() {
        let limiter = Limiter::new(Duration::from_secs(10));
        let begin = Instant::now();
        limiter.turn().await;
        let impatient = tokio::time::timeout(Duration::from_secs(1), limiter.turn());
        assert!(impatient.await.is_err());
        limiter.turn().await;
        assert_eq!(begin.elapsed(), Duration::from_secs(10));
    }
}
