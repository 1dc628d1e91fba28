//! A connection's bytes under watch: slow heads, idle connections and clients that do not read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::WriteLimit;
use crate::timer::Timer;

/// hyper's buffers are not smaller than this.
pub(super) const BUFFER_BYTES_MIN: usize = 8 * 1024;

/// Whether a connection is within a call, known to the call and to the watch.
pub struct Phase {
    began: Instant,
    is_in_call: AtomicBool,
    /// Set when the connection no longer speaks HTTP, so that no head is waited for.
    has_left: AtomicBool,
    calls: AtomicU64,
    /// When the last call ended, in microseconds since the connection began.
    ended_us: AtomicU64,
}

impl Phase {
    /// A connection before its first call.
    #[must_use]
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            is_in_call: AtomicBool::new(false),
            has_left: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            ended_us: AtomicU64::new(0),
        }
    }

    /// A head has arrived; the call lasts until the guard is dropped.
    #[must_use]
    pub fn begin(phase: &Arc<Self>) -> InCall {
        phase.is_in_call.store(true, Ordering::Relaxed);
        phase.calls.fetch_add(1, Ordering::Relaxed);
        InCall(Arc::clone(phase))
    }

    fn ended(&self) -> Instant {
        self.began + Duration::from_micros(self.ended_us.load(Ordering::Relaxed))
    }
}

impl Default for Phase {
    fn default() -> Self {
        Self::new()
    }
}

/// A call lasts as long as this.
pub struct InCall(Arc<Phase>);

impl InCall {
    /// The connection leaves HTTP with this call: no further head is waited for.
    pub fn leave_http(&self) {
        self.0.has_left.store(true, Ordering::Relaxed);
    }
}

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// Without a request.
    pub idle: Duration,
    /// Within an answer, while the client does not read.
    pub write: Duration,
}

impl Drop for InCall {
    fn drop(&mut self) {
        let ended = u64::try_from(self.0.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.ended_us.store(ended, Ordering::Relaxed);
        self.0.is_in_call.store(false, Ordering::Relaxed);
    }
}

/// A connection's bytes under watch. It fails with `TimedOut` when a head takes too long from its
/// first byte, when no request comes, and when nothing can be written.
pub struct Watched<S> {
    stream: WriteLimit<S>,
    phase: Arc<Phase>,
    waits: Waits,
    /// The calls when the present wait for a head began.
    calls: u64,
    waiting_since: Instant,
    head_since: Option<Instant>,
    timer: Timer,
}

impl<S> Watched<S> {
    /// Watches the stream; the calls on it begin and end with the phase.
    pub fn new(stream: S, phase: Arc<Phase>, waits: Waits) -> Self {
        Self {
            stream: WriteLimit::new(stream, waits.write),
            phase,
            waits,
            calls: 0,
            waiting_since: Instant::now(),
            head_since: None,
            timer: Timer::default(),
        }
    }

    /// After a call the wait for the next head begins anew.
    fn notice_calls(&mut self) {
        let calls = self.phase.calls.load(Ordering::Relaxed);
        if calls != self.calls {
            self.calls = calls;
            self.waiting_since = self.phase.ended();
            self.head_since = None;
        }
    }

    fn watch_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.phase.has_left.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        if self.phase.is_in_call.load(Ordering::Relaxed) {
            // The call limits its body itself. Its end wakes nobody, so the timer rings often
            // enough to notice it in time for the next wait.
            let _early = self.timer.poll(cx, Instant::now() + self.waits.idle);
            return Poll::Pending;
        }
        self.notice_calls();
        let due = match self.head_since {
            Some(since) => since + self.waits.head,
            None => self.waiting_since + self.waits.idle,
        };
        self.timer.poll(cx, due).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no whole head of a request in time",
            ))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if Pin::new(&mut self.stream)
            .poll_read(cx, buffer)?
            .is_pending()
        {
            return self.watch_head(cx);
        }
        if buffer.filled().len() > before && !self.phase.is_in_call.load(Ordering::Relaxed) {
            self.notice_calls();
            self.head_since.get_or_insert_with(Instant::now);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn watched(
        buffer_bytes: usize,
    ) -> (
        Watched<tokio::io::DuplexStream>,
        Arc<Phase>,
        tokio::io::DuplexStream,
    ) {
        let (ours, theirs) = duplex(buffer_bytes);
        let phase = Arc::new(Phase::new());
        let waits = Waits {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
        };
        (Watched::new(ours, Arc::clone(&phase), waits), phase, theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_ends_after_its_time() {
        let (mut watched, _phase, _theirs) = watched(64);
        let began = Instant::now();
        let error = watched.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_byte_by_byte_ends_after_its_time() {
        let (mut watched, _phase, mut theirs) = watched(64);
        let began = Instant::now();
        let slowly = async {
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_secs(3)).await;
                let _closed = theirs.write_all(b"x").await;
            }
        };
        let read = async { while watched.read_u8().await.is_ok() {} };
        tokio::select! {
            () = slowly => panic!("the whole head was taken"),
            () = read => {}
        }
        // The first byte came after 3 s.
        assert_eq!(began.elapsed().as_secs(), 13);
    }

    #[tokio::test(start_paused = true)]
    async fn within_a_call_nothing_is_due_and_after_it_the_wait_begins_anew() {
        let (mut watched, phase, mut theirs) = watched(64);
        theirs.write_all(b"x").await.unwrap();
        watched.read_u8().await.unwrap();
        let call = Phase::begin(&phase);
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour, watched.read_u8()).await.is_err());
        drop(call);
        let began = Instant::now();
        assert!(watched.read_u8().await.is_err());
        assert_eq!(began.elapsed().as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_left_http_waits_for_no_head() {
        let (mut watched, phase, _theirs) = watched(64);
        let call = Phase::begin(&phase);
        call.leave_http();
        drop(call);
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour, watched.read_u8()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let (mut watched, _phase, _theirs) = watched(4);
        let began = Instant::now();
        let error = watched.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 30);
    }
}
