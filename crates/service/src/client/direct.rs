//! Calls that pass as bytes: sent as they were written by the caller of this, answered as they came.
//!
//! Most calls through a gateway are not looked into. For those the head of the answer is read where
//! it lies, and no table of headers, no body type and no channel is made. What does not go well is
//! handed to the attempts that other calls make.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use super::attempt::{Call, Progress};
use super::{CallPolicy, Client, Shared, Target};
use crate::pool::{Direct, Lease, PIECE_BYTES_MAX, Pool, Silence};
use crate::retry::Failure;
use crate::wire::{AnswerHead, BodyReader, Step};
use crate::{Body, CallError};

/// A request as bytes.
#[derive(Clone, Copy, Debug)]
pub struct DirectRequest<'a> {
    /// Its method, which the bytes begin with.
    pub method: &'a Method,
    /// Head and body, as HTTP/1.1 has them, and nothing behind them.
    pub bytes: &'a [u8],
}

/// Why a call that should pass as bytes did not.
pub struct Missed(Why);

enum Why {
    /// It may be made in the other way, from here on.
    Again(Progress),
    Failed(CallError),
}

impl Missed {
    /// It is over.
    pub(super) const fn failed(error: CallError) -> Self {
        Self(Why::Failed(error))
    }

    /// How it may be made in the other way, if it may.
    pub(super) fn again(self) -> Result<Progress, CallError> {
        match self.0 {
            Why::Again(progress) => Ok(progress),
            Why::Failed(error) => Err(error),
        }
    }
}

/// The body of an answer that is passed on. Dropped before its end, it closes its connection.
pub struct DirectBody {
    direct: Option<Direct>,
    lease: Lease,
    reader: BodyReader,
    /// The piece at hand.
    step: Step,
    is_kept: bool,
    paused_since: Option<Instant>,
}

/// What is known when the head was read.
struct Headed<T> {
    /// What was made of it, or how the call goes on without it.
    read: Result<T, Progress>,
    reader: Option<BodyReader>,
    status: StatusCode,
    is_kept: bool,
}

impl Client {
    /// Sends a request that is there as bytes, and hands the head of the answer to `read`. It is tried
    /// once; what becomes of it after a failure is for [`Client::again`] to say.
    ///
    /// # Errors
    /// [`Missed`] when there was no answer, when the endpoints do not speak HTTP/1.1 without TLS, and
    /// for an answer that says "not now" to a call that may be tried again.
    pub async fn pass<T>(
        &self,
        request: DirectRequest<'_>,
        target: &Target,
        policy: &CallPolicy,
        read: impl FnMut(&AnswerHead<'_, '_>) -> T,
    ) -> Result<(T, DirectBody), Missed> {
        let shared = &self.inner.shared;
        let pool = self.inner.table.service(target.name.as_str(), shared);
        let pool = pool.map_err(|error| Missed(Why::Failed(error)))?;
        attempt(shared, &pool, request, policy, None, read).await
    }

    /// Goes on with a call that missed, if it may be tried again. The request is the one that was sent,
    /// as [`Client::forward`] takes it.
    ///
    /// # Errors
    /// When no answer came within the policy's limits.
    pub async fn again(
        &self,
        missed: Missed,
        request: Request<Body>,
        target: &Target,
        policy: &CallPolicy,
    ) -> Result<Response<Body>, CallError> {
        let progress = missed.again()?;
        self.forward_from(progress, request, target, policy).await
    }
}

/// One attempt: the first, or the next of a call that has come so far.
pub(super) async fn attempt<T>(
    shared: &Arc<Shared>,
    pool: &Pool,
    request: DirectRequest<'_>,
    policy: &CallPolicy,
    progress: Option<Progress>,
    mut read: impl FnMut(&AnswerHead<'_, '_>) -> T,
) -> Result<(T, DirectBody), Missed> {
    let mut call = Call::new(shared, &pool.standing, policy, request.method);
    if !pool.is_direct {
        return Err(Missed(Why::Again(call.beginning())));
    }
    let (avoid, only_fresh) = match progress {
        Some(progress) => call.go_on(progress).await,
        None => {
            call.standing.budget.deposit();
            (None, false)
        }
    };
    let lease = pool.lease(shared, avoid.as_ref());
    let mut lease = lease.map_err(|error| Missed(Why::Failed(error)))?;
    let began = call.began;
    let until = policy
        .attempt
        .map_or(call.until, |limit| call.until.min(began + limit));
    let kept = (!only_fresh).then(|| lease.take_direct()).flatten();
    let was_kept = kept.is_some();
    let mut direct = match kept {
        Some(direct) => direct,
        None => connect(&call, &mut lease, until).await?,
    };
    let is_head = *request.method == Method::HEAD;
    let member = lease.member();
    let headed = |head: &AnswerHead<'_, '_>| {
        let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
        // Without another attempt the answer stands, whatever it says.
        let failure = Failure::Answer(status);
        let again = call
            .may_ask_again(status)
            .then(|| call.after_failure(failure, member));
        Headed {
            read: again.flatten().map_or_else(|| Ok(read(head)), Err),
            reader: head.framing(is_head).map(BodyReader::new),
            status,
            is_kept: head.is_kept && !head.is_ambiguous(),
        }
    };
    let limit = shared.config.head_bytes_max;
    let headed = match direct.ask(request.bytes, until, limit, headed).await {
        Ok(headed) => headed,
        Err(Silence::Lost(_)) if was_kept && call.is_idempotent => {
            return Err(Missed(Why::Again(call.after_stale())));
        }
        Err(silence) => {
            let error = match silence {
                Silence::Late => CallError::Timeout {
                    what: "answer",
                    limit: until.duration_since(began),
                },
                Silence::Lost(error) => CallError::Closed(error.into()),
                Silence::Broken(why) => CallError::Closed(why.into()),
            };
            call.note_failure(&mut lease);
            return Err(call.missed(Failure::NoAnswer, error, &lease));
        }
    };
    call.note_answer(&mut lease, headed.status, began.elapsed());
    Call::begin(headed, direct, lease)
}

/// Makes a connection, within the limits of both.
async fn connect(call: &Call<'_>, lease: &mut Lease, until: Instant) -> Result<Direct, Missed> {
    let began = Instant::now();
    // Seldom and large: what waits for a kept connection should not carry it.
    let connecting = Box::pin(lease.connect_direct(call.standing));
    let connected = timeout_at(until, connecting).await;
    let connected = connected.unwrap_or_else(|_elapsed| {
        Err(CallError::Timeout {
            what: "answer",
            limit: until.duration_since(began),
        })
    });
    connected.map_err(|error| {
        call.note_failure(lease);
        call.missed(Failure::Unsent, error, lease)
    })
}

impl Call<'_> {
    /// Whether an answer of this status is no answer while there are other attempts.
    fn may_ask_again(&self, status: StatusCode) -> bool {
        self.policy.retries > 0
            && crate::retry::may_repeat(Failure::Answer(status), self.is_idempotent)
    }

    fn missed(&self, failure: Failure, error: CallError, lease: &Lease) -> Missed {
        let progress = self.after_failure(failure, lease.member());
        Missed(progress.map_or(Why::Failed(error), Why::Again))
    }

    fn begin<T>(
        headed: Headed<T>,
        direct: Direct,
        lease: Lease,
    ) -> Result<(T, DirectBody), Missed> {
        if headed.status == StatusCode::SWITCHING_PROTOCOLS {
            let error = CallError::Closed("the service switched protocols unasked".into());
            return Err(Missed(Why::Failed(error)));
        }
        let Some(reader) = headed.reader else {
            let error = CallError::Closed("the answer's length cannot be told".into());
            return Err(Missed(Why::Failed(error)));
        };
        let mut body = DirectBody {
            direct: Some(direct),
            lease,
            reader,
            step: Step {
                used: 0,
                data: 0..0,
            },
            is_kept: headed.is_kept,
            paused_since: None,
        };
        body.finish_if_done();
        match headed.read {
            Ok(read) => {
                body.make_room();
                Ok((read, body))
            }
            Err(progress) => {
                // A short answer that came whole leaves its connection to others.
                drop(body.take_whole());
                Err(Missed(Why::Again(progress)))
            }
        }
    }
}

impl DirectBody {
    /// The bytes that are still to come, when that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.reader.left()
    }

    /// Whether all of it was taken.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.direct.is_none()
    }

    /// Whether there is something to read without waiting.
    #[must_use]
    pub fn is_at_hand(&self) -> bool {
        let direct = self.direct.as_ref();
        direct.is_none_or(|direct| !direct.buffer.filled().is_empty())
    }

    /// Waits until there is a piece, or the end: then it answers false. Nothing may come for `idle`.
    ///
    /// # Errors
    /// When the body broke off, is not as HTTP says, or paused too long. The connection is closed.
    pub async fn ready(&mut self, idle: Duration) -> Result<bool, CallError> {
        poll_fn(|cx| self.poll_ready(cx, idle)).await
    }

    /// The piece that there is.
    #[must_use]
    pub fn piece(&self) -> &[u8] {
        let filled = self.direct.as_ref().map(|direct| direct.buffer.filled());
        filled
            .and_then(|filled| filled.get(self.step.data.clone()))
            .unwrap_or_default()
    }

    /// The piece was used. The connection of an answer that was taken to its end is free for the next
    /// call.
    pub fn take(&mut self) {
        self.consume();
        self.finish_if_done();
    }

    /// All of a body that is here already.
    pub(super) fn take_whole(&mut self) -> Option<Bytes> {
        let Some(direct) = &self.direct else {
            return Some(Bytes::new());
        };
        let left = usize::try_from(self.reader.left()?).ok()?;
        if direct.buffer.filled().len() < left {
            return None;
        }
        self.step = self.reader.read(direct.buffer.filled()).ok()?;
        let bytes = Bytes::copy_from_slice(self.piece());
        self.take();
        Some(bytes)
    }

    /// The same body for those who take any.
    #[must_use]
    pub fn into_body(self, idle: Duration) -> Body {
        if self.is_done() {
            return crate::body::empty();
        }
        Body::new(Pieces { body: self, idle })
    }

    /// A long body is read in large pieces.
    fn make_room(&mut self) {
        let left = self.left().and_then(|left| usize::try_from(left).ok());
        if let Some(direct) = &mut self.direct {
            direct
                .buffer
                .reserve(left.unwrap_or(PIECE_BYTES_MAX).min(PIECE_BYTES_MAX));
        }
    }

    fn consume(&mut self) {
        if let Some(direct) = &mut self.direct {
            direct.buffer.consume(self.step.used);
        }
        self.step = Step {
            used: 0,
            data: 0..0,
        };
    }

    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        idle: Duration,
    ) -> Poll<Result<bool, CallError>> {
        if !self.step.data.is_empty() {
            return Poll::Ready(Ok(true));
        }
        let polled = self.poll_piece(cx, idle);
        if matches!(polled, Poll::Ready(Err(_))) {
            self.direct = None;
        }
        polled
    }

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        idle: Duration,
    ) -> Poll<Result<bool, CallError>> {
        loop {
            let Some(direct) = &mut self.direct else {
                return Poll::Ready(Ok(false));
            };
            let read = self.reader.read(direct.buffer.filled());
            self.step = read.map_err(|error| CallError::Closed(error.into()))?;
            if !self.step.data.is_empty() {
                return Poll::Ready(Ok(true));
            }
            direct.buffer.consume(self.step.used);
            if self.reader.is_done() {
                self.finish_if_done();
                return Poll::Ready(Ok(false));
            }
            match direct.poll_fill(cx, PIECE_BYTES_MAX) {
                Poll::Ready(Ok(0)) => self
                    .reader
                    .end()
                    .map_err(|error| CallError::Closed(error.into()))?,
                Poll::Ready(Ok(_count)) => self.paused_since = None,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(CallError::Closed(error.into())));
                }
                Poll::Pending => {
                    let since = *self.paused_since.get_or_insert_with(Instant::now);
                    ready!(direct.poll_timer(cx, since + idle));
                    return Poll::Ready(Err(CallError::Timeout {
                        what: "more of the answer",
                        limit: idle,
                    }));
                }
            }
        }
    }

    /// Gives the connection back when the body has ended and nothing came behind it.
    fn finish_if_done(&mut self) {
        if !self.reader.is_done() {
            return;
        }
        if let Some(direct) = self.direct.take()
            && self.is_kept
            && direct.buffer.filled().is_empty()
        {
            self.lease.keep_direct(direct);
        }
    }
}

struct Pieces {
    body: DirectBody,
    idle: Duration,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let idle = self.idle;
        Poll::Ready(match ready!(self.body.poll_ready(cx, idle)) {
            Ok(false) => None,
            Ok(true) => {
                let piece = Bytes::copy_from_slice(self.body.piece());
                self.body.take();
                Some(Ok(Frame::data(piece)))
            }
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .left()
            .map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
