//! One batch on its way to the log, through lost answers and a full disk, until it is settled.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Config, Status};
use crate::{Batch, BatchId, Error, Resolution, Term};

/// How a batch is repeated.
pub(super) struct Patience {
    pub(super) full_retry: Duration,
    pub(super) resolve_retry: Duration,
    pub(super) resolve_attempts_max: u32,
}

impl Patience {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            full_retry: config.full_retry,
            resolve_retry: config.resolve_retry,
            resolve_attempts_max: config.resolve_attempts_max,
        }
    }
}

/// Appends until the batch is durable or can no longer become so. While the log is full the status
/// says so and the batch is tried again; a stop ends that with [`Error::Full`].
pub(super) async fn settle<T: Term>(
    mut term: T,
    batch: Batch,
    patience: Patience,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) -> (T, Result<(), Error>) {
    loop {
        match term.append(batch.clone()).await {
            Err(Error::Full) => {
                set_full(&status, true);
                tokio::select! {
                    () = stop.cancelled() => return (term, Err(Error::Full)),
                    () = tokio::time::sleep(patience.full_retry) => {}
                }
            }
            Err(Error::Ambiguous) => match resolve(&mut term, &batch.id, &patience).await {
                Ok(true) => return (term, Ok(())),
                Ok(false) => {}
                Err(error) => return (term, Err(error)),
            },
            settled => {
                set_full(&status, false);
                return (term, settled);
            }
        }
    }
}

/// Whether the batch is stored.
async fn resolve<T: Term>(term: &mut T, id: &BatchId, patience: &Patience) -> Result<bool, Error> {
    let mut attempt = 0;
    loop {
        match term.resolve(id).await {
            Ok(Resolution::Stored) => return Ok(true),
            Ok(Resolution::NotStored) => return Ok(false),
            Ok(Resolution::Fenced) => {
                // Who and where is told by the next append, which the fence refuses.
                return Ok(false);
            }
            Err(error @ (Error::Poisoned(_) | Error::Fenced { .. })) => return Err(error),
            Err(error) => {
                attempt += 1;
                if attempt >= patience.resolve_attempts_max {
                    return Err(error);
                }
                tracing::warn!(batch = %id, %error, "failed to learn whether a batch was stored");
                tokio::time::sleep(patience.resolve_retry).await;
            }
        }
    }
}

fn set_full(status: &watch::Sender<Status>, is_full: bool) {
    status.send_if_modified(|status| std::mem::replace(&mut status.is_full, is_full) != is_full);
}
