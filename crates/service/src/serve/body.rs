//! Bodies at the server: of requests, with their limits; of answers, with the call they belong to.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::InCall;
use crate::BoxError;
use crate::timer::Timer;

/// A request's body that fails when the client pauses too long, and says so to the call.
pub(super) struct RequestBody<B> {
    inner: B,
    idle_timeout: Duration,
    paused_since: Option<Instant>,
    timer: Timer,
    has_stalled: Arc<AtomicBool>,
}

impl<B> RequestBody<B> {
    pub(super) fn new(inner: B, idle_timeout: Duration, has_stalled: Arc<AtomicBool>) -> Self {
        Self {
            inner,
            idle_timeout,
            paused_since: None,
            timer: Timer::default(),
            has_stalled,
        }
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.paused_since = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let since = *self.paused_since.get_or_insert_with(Instant::now);
        let due = since + self.idle_timeout;
        self.timer.poll(cx, due).map(|()| {
            self.has_stalled.store(true, Ordering::Relaxed);
            Some(Err("the request's body stalled".into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body; the call lasts until it is sent or given up.
pub(super) struct AnswerBody {
    pub(super) inner: axum::body::Body,
    pub(super) _call: InCall,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
