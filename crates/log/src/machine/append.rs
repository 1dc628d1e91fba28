//! Takes one batch to the log, as `delivery.rs` says.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Status;
use super::delivery::{Delivery, Next};
use crate::{Batch, Error, Term};

/// Appends until the batch is durable or can no longer become so. While the log is full the status
/// says so and the batch is tried again; a stop ends that with [`Error::Full`].
pub(super) async fn settle<T: Term>(
    mut term: T,
    batch: Batch,
    mut delivery: Delivery,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) -> (T, Result<(), Error>) {
    let mut next = Next::Append(Duration::ZERO);
    loop {
        next = match next {
            Next::Append(after) => {
                if !after.is_zero() {
                    tokio::select! {
                        () = stop.cancelled() => return (term, Err(Error::Full)),
                        () = tokio::time::sleep(after) => {}
                    }
                }
                delivery.appended(term.append(batch.clone()).await)
            }
            Next::Resolve(after) => {
                if !after.is_zero() {
                    tokio::select! {
                        () = stop.cancelled(), if delivery.is_full() => {
                            return (term, Err(Error::Full));
                        }
                        () = tokio::time::sleep(after) => {}
                    }
                }
                delivery.resolved(term.resolve(&batch.id).await)
            }
            Next::Settled(result) => return (term, result),
        };
        set_full(&status, delivery.is_full());
    }
}

fn set_full(status: &watch::Sender<Status>, is_full: bool) {
    status.send_if_modified(|status| std::mem::replace(&mut status.is_full, is_full) != is_full);
}
