//! A connection whose calls pass as bytes, one after another. Like the others it is driven by whoever
//! uses it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Member, Place, connection};
use crate::CallError;
use crate::client::Shared;
use crate::timer::Timer;
use crate::wire::{self, AnswerHead, Buffer, Found};

/// What is read of a body at once.
pub(crate) const PIECE_BYTES_MAX: usize = 64 << 10;

/// A connection whose calls pass as bytes.
pub(crate) struct Direct {
    stream: TcpStream,
    /// What came and was not used.
    pub(crate) buffer: Buffer,
    /// For the limits of the calls, one after another.
    timer: Timer,
    /// Where it is kept: with the thread that made it, whose poller watches it.
    pub(super) shard: usize,
    /// Since when it waits for a call, as the time since the client began.
    pub(super) idle_since: Duration,
}

/// Why a connection gave no head of an answer.
pub(crate) enum Silence {
    /// It was not there in time.
    Late,
    /// The connection ended or failed before a byte of the answer.
    Lost(io::Error),
    /// It ended within the head, or what came is no answer.
    Broken(&'static str),
}

impl Direct {
    /// Connects.
    pub(super) async fn open(place: &Place, shared: &Shared) -> Result<Self, CallError> {
        Ok(Self {
            stream: connection::connect_plain(place, shared).await?,
            buffer: Buffer::default(),
            timer: Timer::default(),
            shard: Member::shard(),
            idle_since: Duration::ZERO,
        })
    }

    /// Whether a kept connection can be used: its end has not come, nor anything that nobody asked
    /// for.
    pub(super) fn is_alive(&mut self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        self.buffer.filled().is_empty() && self.poll_fill(cx, PIECE_BYTES_MAX).is_pending()
    }

    /// Sends a request, and waits for the head of its answer. Interim answers are passed over.
    pub(crate) async fn ask<T>(
        &mut self,
        request: &[u8],
        until: Instant,
        head_bytes_max: usize,
        mut read: impl FnMut(&AnswerHead<'_, '_>) -> T,
    ) -> Result<T, Silence> {
        let (mut sent, mut heard, mut seen) = (0, false, 0);
        poll_fn(|cx| {
            // What is not sent yet is tried again with whatever wakes next: a service may answer before
            // it has read all.
            while let Some(rest) = request.get(sent..).filter(|rest| !rest.is_empty()) {
                match self.poll_send(cx, rest) {
                    Poll::Ready(Ok(count)) => sent += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Silence::Lost(error))),
                    Poll::Pending => break,
                }
            }
            loop {
                match self.poll_fill(cx, head_bytes_max) {
                    Poll::Pending => break,
                    Poll::Ready(Err(error)) if heard => {
                        drop(error);
                        return Poll::Ready(Err(Silence::Broken("the answer's head broke off")));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Silence::Lost(error))),
                    Poll::Ready(Ok(0)) if !self.buffer.has_room(head_bytes_max) => {
                        return Poll::Ready(Err(Silence::Broken("the answer's head is too long")));
                    }
                    Poll::Ready(Ok(0)) if heard => {
                        return Poll::Ready(Err(Silence::Broken("the answer's head broke off")));
                    }
                    Poll::Ready(Ok(0)) => {
                        let error = io::ErrorKind::ConnectionReset.into();
                        return Poll::Ready(Err(Silence::Lost(error)));
                    }
                    Poll::Ready(Ok(_count)) => heard = true,
                }
                let came = self.buffer.filled();
                if seen > 0 && !wire::may_be_whole(came, seen) {
                    seen = came.len();
                    continue;
                }
                if let Some(head) = self.head(&mut read).transpose() {
                    return Poll::Ready(head);
                }
                seen = self.buffer.filled().len();
            }
            self.timer.poll(cx, until).map(|()| Err(Silence::Late))
        })
        .await
    }

    /// The head at the front of what came, if it is whole.
    fn head<T>(
        &mut self,
        read: &mut impl FnMut(&AnswerHead<'_, '_>) -> T,
    ) -> Result<Option<T>, Silence> {
        loop {
            let found = wire::answer(self.buffer.filled(), |head| {
                let is_interim = (100..200).contains(&head.status) && head.status != 101;
                (head.length, (!is_interim).then(|| read(head)))
            });
            match found {
                Found::Partial => return Ok(None),
                Found::Strange => return Err(Silence::Broken("the answer is not HTTP")),
                Found::Whole((length, head)) => {
                    self.buffer.consume(length);
                    if head.is_some() {
                        return Ok(head);
                    }
                }
            }
        }
    }

    /// Reads more of what comes.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        self.buffer.poll_fill(&mut self.stream, cx, max)
    }

    /// Ready when `due` has passed.
    pub(crate) fn poll_timer(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        self.timer.poll(cx, due)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(count))
    }
}
