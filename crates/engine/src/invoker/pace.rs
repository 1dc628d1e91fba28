//! How fast a node that took over goes on: nothing while it is held, then a bounded number a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Paces what is outstanding after a restart.
pub(crate) struct Pace {
    held: watch::Sender<bool>,
    every: Duration,
    /// When the next one may go.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// So many a second; none at all while held.
    pub(crate) fn new(per_second: u32, is_held: bool) -> Self {
        Self {
            held: watch::Sender::new(is_held),
            every: Duration::from_secs(1) / per_second.max(1),
            next: Mutex::default(),
        }
    }

    /// Whether nothing is performed.
    pub(crate) fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Lets everything go that was held; answers whether anything was.
    pub(crate) fn release(&self) -> bool {
        self.held.send_replace(false)
    }

    /// Resolves when nothing is held.
    pub(crate) async fn let_go(&self) {
        let mut held = self.held.subscribe();
        // Closed only with this.
        let _released = held.wait_for(|held| !held).await;
    }

    /// Resolves when it is the turn of one more that was outstanding.
    pub(crate) async fn turn(&self) {
        self.let_go().await;
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next = Some(turn + self.every);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_outstanding_goes_one_after_the_other() {
        let pace = Pace::new(100, false);
        let began = Instant::now();
        for _ in 0..101 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_goes_while_it_is_held() {
        let pace = Pace::new(100, true);
        let turn = tokio::time::timeout(Duration::from_secs(60), pace.turn());
        assert!(turn.await.is_err() && pace.is_held());
        assert!(pace.release() && !pace.release());
        pace.turn().await;
    }
}
