//! [pure] One batch on its way to the log, through lost answers and a full disk, until it is settled.

use std::time::Duration;

use super::Config;
use crate::{Error, Resolution};

/// What is to be done with the batch next.
#[derive(Debug)]
pub enum Next {
    /// Append it, after that time.
    Append(Duration),
    /// Ask what became of it, after that time.
    Resolve(Duration),
    /// Nothing: this became of it.
    Settled(Result<(), Error>),
}

/// Decides how a batch is repeated until it is durable or can no longer become so.
#[derive(Debug)]
pub struct Delivery {
    full_retry: Duration,
    resolve_retry: Duration,
    resolve_attempts_max: u32,
    asked: u32,
    is_full: bool,
}

impl Delivery {
    /// A batch that was not offered yet: the first thing to do is to append it.
    #[must_use]
    pub const fn new(config: &Config) -> Self {
        Self {
            full_retry: config.full_retry,
            resolve_retry: config.resolve_retry,
            resolve_attempts_max: config.resolve_attempts_max,
            asked: 0,
            is_full: false,
        }
    }

    /// Whether it waits for space.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// What follows from the answer to an append.
    pub fn appended(&mut self, result: Result<(), Error>) -> Next {
        self.is_full = matches!(result, Err(Error::Full));
        match result {
            Err(Error::Full) => Next::Append(self.full_retry),
            Err(Error::Ambiguous) => {
                self.asked = 0;
                Next::Resolve(Duration::ZERO)
            }
            settled => Next::Settled(settled),
        }
    }

    /// What follows from the answer to the question what became of it.
    pub fn resolved(&mut self, result: Result<Resolution, Error>) -> Next {
        self.is_full = matches!(result, Err(Error::Full));
        match result {
            // It is told as soon as there is space: no reason to give up.
            Err(Error::Full) => Next::Resolve(self.full_retry),
            Ok(Resolution::Stored) => Next::Settled(Ok(())),
            // When it is fenced, who and where is told by the next append, which the fence refuses.
            Ok(Resolution::NotStored | Resolution::Fenced) => Next::Append(Duration::ZERO),
            Err(error @ (Error::Poisoned(_) | Error::Fenced { .. })) => Next::Settled(Err(error)),
            Err(error) => {
                self.asked = self.asked.saturating_add(1);
                if self.asked >= self.resolve_attempts_max {
                    return Next::Settled(Err(error));
                }
                tracing::warn!(%error, "failed to learn whether a batch was stored");
                Next::Resolve(self.resolve_retry)
            }
        }
    }
}
