//! The body of an answer: drives its connection while it is read, and gives it back at its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::Lease;
use crate::{Body, CallError, body};

/// The body of an answer. Dropped before its end, it closes its connection.
pub(crate) struct Reply {
    /// What came together with the head.
    first: Option<Frame<Bytes>>,
    incoming: Incoming,
    lease: Option<Lease>,
    idle_limit: Duration,
    /// Made at the first pause: most bodies come at once.
    idle: Option<Pin<Box<Sleep>>>,
    is_pausing: bool,
}

impl Reply {
    /// The body that callers get. What is at hand already is read here, so that the connection of a
    /// short answer is free for the next call before the caller has seen it.
    pub(crate) fn begin(
        incoming: Incoming,
        lease: Lease,
        idle_limit: Duration,
        cx: &mut Context<'_>,
    ) -> Result<Body, CallError> {
        let mut reply = Self {
            first: None,
            incoming,
            lease: Some(lease),
            idle_limit,
            idle: None,
            is_pausing: false,
        };
        if reply.incoming.is_end_stream() {
            reply.finish(cx);
            return Ok(body::empty());
        }
        // Without a known length the end comes as a frame of its own, so only bodies of known
        // length can be whole already.
        let Some(length) = reply.incoming.size_hint().exact() else {
            return Ok(Body::reply(reply));
        };
        match Pin::new(&mut reply.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let read = frame.data_ref().map(Bytes::len);
                let is_whole = read.and_then(|read| u64::try_from(read).ok()) == Some(length);
                // A body of HTTP/2 that has its length may still have trailers.
                if is_whole && reply.incoming.is_end_stream() {
                    reply.finish(cx);
                    return Ok(body::full(frame.into_data().unwrap_or_default()));
                }
                reply.first = Some(frame);
                Ok(Body::reply(reply))
            }
            Poll::Ready(Some(Err(error))) => Err(CallError::Closed(error.into())),
            Poll::Ready(None) => {
                reply.finish(cx);
                Ok(body::empty())
            }
            Poll::Pending => Ok(Body::reply(reply)),
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        if let Some(mut lease) = self.lease.take() {
            lease.finish(cx);
        }
    }

    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let closed = |error: hyper::Error| CallError::Closed(error.into());
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(closed)));
        }
        // Nothing at hand: the connection may read more, or send what is left of the request.
        let has_ended = self.lease.as_mut().is_none_or(|lease| lease.drive(cx));
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending if has_ended => {
                Poll::Ready(Some(Err(CallError::Closed("the connection ended".into()))))
            }
            polled => polled.map(|frame| frame.map(|frame| frame.map_err(closed))),
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<CallError> {
        let at = Instant::now() + self.idle_limit;
        let idle = self
            .idle
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if !self.is_pausing {
            self.is_pausing = true;
            idle.as_mut().reset(at);
        }
        ready!(idle.as_mut().poll(cx));
        Poll::Ready(CallError::Timeout {
            what: "more of the answer",
            limit: self.idle_limit,
        })
    }
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let result = match self.poll_incoming(cx) {
            Poll::Pending => {
                let error = ready!(self.poll_idle(cx));
                self.lease = None;
                return Poll::Ready(Some(Err(error)));
            }
            Poll::Ready(result) => result,
        };
        self.is_pausing = false;
        Poll::Ready(match result {
            Some(Ok(frame)) => {
                if self.incoming.is_end_stream() {
                    self.finish(cx);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.lease = None;
                Some(Err(error))
            }
            None => {
                self.finish(cx);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.incoming.size_hint();
        let first = self.first.as_ref().and_then(Frame::data_ref);
        let first = first.map_or(0, Bytes::len);
        let first = u64::try_from(first).unwrap_or(u64::MAX);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint.set_lower(hint.lower().saturating_add(first));
        hint
    }
}
