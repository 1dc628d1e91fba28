//! [pure] One batch on its way to the log, its blobs before it, through lost answers and a full disk, until
//! it is settled.

use std::time::Duration;

use super::Config;
use crate::{Error, Resolution, blob};

/// What is to be done with the batch next.
#[derive(Debug)]
pub enum Next {
    /// Make the blobs that it names durable, after that time.
    Put(Duration),
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
    /// A batch that was not offered yet; see [`Delivery::first`].
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

    /// The first thing to do with a batch that names blobs or not.
    ///
    /// Invariant: a batch is appended only after all blobs that it names are durable. It holds because
    /// an append follows from nothing else but [`Delivery::put`] saying that they are.
    #[must_use]
    pub const fn first(has_blobs: bool) -> Next {
        if has_blobs {
            Next::Put(Duration::ZERO)
        } else {
            Next::Append(Duration::ZERO)
        }
    }

    /// What follows from the attempt to store all its blobs.
    pub fn put(&mut self, result: Result<(), blob::Error>) -> Next {
        self.is_full = matches!(result, Err(blob::Error::Full));
        match result {
            Ok(()) => Next::Append(Duration::ZERO),
            Err(blob::Error::Full) => Next::Put(self.full_retry),
            // As with the log itself: what the disk has is not known any more.
            Err(error) => Next::Settled(Err(Error::Poisoned(with_cause(&error)))),
        }
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

fn with_cause(error: &dyn std::error::Error) -> String {
    let source = error.source();
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
