//! The caller's end of a conversation: bytes within limits, and whether anybody is still there.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use taraf_service::stream::Stream;
use taraf_service::timer::Timer;
use taraf_service::wire::Buffer;
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::config::Limits;

/// The smallest input that is read ahead, whatever the limit of heads is.
const INPUT_BYTES_MIN: usize = 32 << 10;

/// The caller's end of a conversation.
pub(super) struct Line {
    stream: TcpStream,
    /// What the caller sent and was not used.
    pub(super) input: Buffer,
    input_max: usize,
    timer: Timer,
    write_pause: Duration,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What a wait for bytes came to.
pub(super) enum More {
    Some,
    /// The caller is gone, or the gateway stops and nothing was begun.
    Ended,
    /// There is no room for more.
    Full,
    Late,
}

/// What work came to while the caller was watched.
pub(super) enum Waited<T> {
    Done(T),
    /// The caller went away; the work was given up.
    Gone,
    /// The time is up.
    Late,
}

impl Line {
    pub(super) fn new(
        stream: TcpStream,
        ahead: &[u8],
        limits: &Limits,
        stop: CancellationToken,
    ) -> Self {
        Self {
            stream,
            input: Buffer::holding(ahead),
            input_max: limits.header_bytes.max(INPUT_BYTES_MIN),
            timer: Timer::default(),
            write_pause: limits.write_pause,
            stop: Box::pin(stop.cancelled_owned()),
        }
    }

    /// The connection, with what was read of it in front.
    pub(super) fn into_stream(self) -> Stream {
        let ahead = Bytes::copy_from_slice(self.input.filled());
        Stream::from(self.stream).rewound(ahead)
    }

    /// Waits until more bytes are there. An idle line ends at a stop.
    pub(super) async fn more(&mut self, due: Instant, is_idle: bool) -> io::Result<More> {
        poll_fn(|cx| {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) if !self.input.has_room(self.input_max) => {
                    return Poll::Ready(Ok(More::Full));
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(More::Ended)),
                Poll::Ready(Ok(_count)) => return Poll::Ready(Ok(More::Some)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
            if is_idle && self.stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(More::Ended));
            }
            self.timer.poll(cx, due).map(|()| Ok(More::Late))
        })
        .await
    }

    /// Does some work as long as the caller is there, and until a time if there is one. What the caller
    /// sends meanwhile is kept.
    pub(super) async fn while_there<F: Future>(
        &mut self,
        work: F,
        until: Option<Instant>,
    ) -> Waited<F::Output> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Waited::Done(done));
            }
            while self.input.has_room(self.input_max) {
                match self.poll_fill(cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Waited::Gone),
                    Poll::Ready(Ok(_count)) => {}
                    Poll::Pending => break,
                }
            }
            match until {
                Some(until) => self.timer.poll(cx, until).map(|()| Waited::Late),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Writes all of it, with no long pause.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut written, mut due) = (0, None);
        poll_fn(|cx| {
            while written < bytes.len() {
                match Pin::new(&mut self.stream).poll_write(cx, &bytes[written..]) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    Poll::Ready(Ok(count)) => {
                        written += count;
                        due = None;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        let pause = self.write_pause;
                        let due = *due.get_or_insert_with(|| Instant::now() + pause);
                        ready!(self.timer.poll(cx, due));
                        let why = "the caller does not read";
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.stream, cx, self.input_max)
    }
}
