//! A backup of everything that the node keeps, as one stream, while it works.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use http_body::Frame;
use taraf_log::FileLog;
use taraf_log::backup::{self, BLOBS, Item, LOG, Pack};
use taraf_log::blob::{BlobHold, BlobStore};
use taraf_log::file::Hold;
use taraf_log::file::disk::OsDisk;
use taraf_service::{BoxError, Problem, problem};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::Shared;
use crate::node::{ARCHIVE, RUNS};

/// Pieces that wait for the reader, of 256 KiB.
const WAITING_MAX: usize = 8;
/// A reader that takes nothing for so long is gone: it must not hold the log for ever.
const STALL: Duration = Duration::from_secs(60);
/// How many bytes will come, without headers: so that a client can say how far it is.
pub(crate) const BYTES_HEADER: HeaderName = HeaderName::from_static("taraf-backup-bytes");
/// Endings of files and folders that are in the making, and of locks: nobody misses them after a restore.
const PASSING: [&str; 3] = [".tmp", ".new", ".lock"];

/// What a node keeps, and where.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) log: Arc<FileLog>,
    pub(crate) blobs: BlobStore,
    pub(crate) dir: PathBuf,
}

/// `GET /v1/backup`.
pub(crate) async fn stream(State(parts): State<Shared>) -> Result<Response, Problem> {
    let Some(kept) = parts.kept.clone() else {
        let why = "the node keeps its data in memory: there is nothing to back up";
        return Err(problem::CONFLICT.with_detail(why));
    };
    let listing = tokio::task::spawn_blocking(move || {
        let hold = (kept.log.hold(), kept.blobs.hold());
        kept.items(&hold.0).map(|items| (items, hold))
    });
    let (items, hold) = match listing.await {
        Ok(Ok(listed)) => listed,
        Ok(Err(error)) => return Err(failed(&error)),
        Err(panic) => return Err(failed(&panic)),
    };
    let pack = Pack::new(Arc::new(OsDisk), items);
    let bytes = HeaderValue::from(pack.left());
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let runtime = Handle::current();
    let token = parts.tasks.token();
    parts.tasks.spawn_blocking("backup", move || {
        let send = |piece| {
            runtime.block_on(async {
                tokio::select! {
                    sent = sender.send_timeout(piece, STALL) => sent.is_ok(),
                    () = token.cancelled() => false,
                }
            })
        };
        hand_on(pack, &hold, send);
    });
    let mut response = Response::new(Body::new(Pieces(receiver)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.insert(BYTES_HEADER, bytes);
    Ok(response)
}

/// Hands the pieces on until the last, or until nobody takes them. A piece that cannot be read breaks
/// the answer off, and without its manifest a backup is not whole.
fn hand_on(
    mut pack: Pack,
    _hold: &(Hold, BlobHold),
    send: impl Fn(Result<Bytes, BoxError>) -> bool,
) {
    loop {
        let piece = match pack.next_piece() {
            Ok(Some(piece)) => piece,
            Ok(None) => {
                tracing::info!("a backup was made");
                return;
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "failed to make a backup");
                send(Err(error.into()));
                return;
            }
        };
        if !send(Ok(piece)) {
            tracing::warn!("the reader of a backup is gone");
            return;
        }
    }
}

impl Kept {
    /// The journals of live runs before the log: what they lack is in it, and what it lost they
    /// have. Then the cut of the log. What a record promises to be elsewhere was durable before it:
    /// the archive and the blobs that are listed afterwards hold it.
    fn items(&self, hold: &Hold) -> Result<Vec<Item>, backup::Error> {
        let mut items = backup::open_items_in(&OsDisk, &self.dir.join(RUNS), RUNS)?;
        items.extend(self.log.cut(hold)?);
        let is_index = |path: &str| !path.ends_with(".pack");
        let archive = self.dir.join(ARCHIVE);
        items.extend(backup::items_in(&OsDisk, &archive, ARCHIVE, &is_index)?);
        let is_partial = |path: &str| path.ends_with(".tmp");
        let blobs = self.dir.join(BLOBS);
        items.extend(backup::items_in(&OsDisk, &blobs, BLOBS, &is_partial)?);
        // The rest: what applications keep, tokens, the format.
        let is_listed = |path: &str| {
            let is_passing = PASSING.iter().any(|end| path.ends_with(end));
            is_passing || [LOG, ARCHIVE, BLOBS, RUNS].contains(&path)
        };
        items.extend(backup::items_in(&OsDisk, &self.dir, "", &is_listed)?);
        Ok(items)
    }
}

fn failed(error: &dyn std::error::Error) -> Problem {
    tracing::error!(error = chain(error), "failed to begin a backup");
    problem::INTERNAL.with_detail("failed to begin the backup; the node's trace says why")
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source();
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// The body: what comes through the channel.
struct Pieces(mpsc::Receiver<Result<Bytes, BoxError>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = self.0.poll_recv(context);
        next.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
