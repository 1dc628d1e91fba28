//! Takes one batch to the log, its blobs before it, as `delivery.rs` says.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Status;
use super::core::Outgoing;
use super::delivery::{Delivery, Next};
use crate::blob::{self, Blob, BlobStore};
use crate::{Error, Term};

/// Stores the blobs and appends until the batch is durable or can no longer become so. While the log is full the status
/// says so and the batch is tried again; a stop ends that with [`Error::Full`].
pub(super) async fn settle<T: Term>(
    mut term: T,
    outgoing: Outgoing,
    store: Option<BlobStore>,
    mut delivery: Delivery,
    (status, stop): (watch::Sender<Status>, CancellationToken),
) -> (T, Result<(), Error>) {
    let Outgoing { batch, blobs } = outgoing;
    let mut next = Delivery::first(!blobs.is_empty());
    loop {
        next = match next {
            Next::Put(after) => {
                if !after.is_zero() {
                    tokio::select! {
                        () = stop.cancelled() => return (term, Err(Error::Full)),
                        () = tokio::time::sleep(after) => {}
                    }
                }
                delivery.put(put_all(store.as_ref(), &blobs).await)
            }
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

/// Stores them one after the other. What was stored before a refusal is not written again.
async fn put_all(store: Option<&BlobStore>, blobs: &[Arc<Blob>]) -> Result<(), blob::Error> {
    for blob in blobs {
        match store {
            Some(store) => store.put_blob(Arc::clone(blob)).await?,
            None => return Err(blob::Error::Missing(blob.id)),
        }
    }
    Ok(())
}

fn set_full(status: &watch::Sender<Status>, is_full: bool) {
    status.send_if_modified(|status| std::mem::replace(&mut status.is_full, is_full) != is_full);
}
