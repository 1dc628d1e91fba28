//! Bodies on their way through: the caller's within its limits, the answer's counted to its end.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use taraf_service::{Body, BoxError, Problem, problem};
use tokio::time::{Instant, Sleep, sleep_until};

/// The caller's part in a call that failed: why its body was cut, or that more of it was waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    why: AtomicU8,
    is_awaited: AtomicBool,
}

const CUT_NOT: u8 = 0;
const CUT_TOO_LARGE: u8 = 1;
const CUT_TOO_SLOW: u8 = 2;
const CUT_BROKEN: u8 = 3;

impl Cut {
    /// The problem that the caller made, if it was one.
    pub(crate) fn problem(&self) -> Option<Problem> {
        match self.0.why.load(Ordering::Acquire) {
            CUT_NOT => None,
            CUT_TOO_LARGE => Some(problem::PAYLOAD_TOO_LARGE.new()),
            CUT_TOO_SLOW => Some(problem::REQUEST_TIMEOUT.with_detail("the body paused too long")),
            _ => Some(problem::BAD_REQUEST.with_detail("the body broke off")),
        }
    }

    /// Whether the call stood still because the caller's bytes did not come.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.is_awaited.load(Ordering::Acquire)
    }

    fn set(&self, why: u8) -> BoxError {
        self.0.why.store(why, Ordering::Release);
        match why {
            CUT_TOO_LARGE => "the caller's body is too long".into(),
            CUT_TOO_SLOW => "the caller's body paused too long".into(),
            _ => "the caller's body broke off".into(),
        }
    }
}

/// The caller's body: at most so many bytes, with no long pause. Only the caller's pauses count: a
/// service that reads slowly is not the caller's fault.
pub(crate) struct Inbound {
    inner: Body,
    left: u64,
    pause: Duration,
    is_pausing: bool,
    /// Made at the first pause: most bodies come at once.
    timer: Option<Pin<Box<Sleep>>>,
    cut: Cut,
}

impl Inbound {
    /// A body within limits, and the sign that tells why it was cut. A body without bytes stays one,
    /// so that its request can be sent again.
    pub(crate) fn wrap(inner: Body, max: u64, pause: Duration) -> (Body, Cut) {
        let cut = Cut::default();
        if inner.is_end_stream() {
            return (Body::default(), cut);
        }
        let body = Self {
            inner,
            left: max,
            pause,
            is_pausing: false,
            timer: None,
            cut: cut.clone(),
        };
        (Body::new(body), cut)
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_pausing {
            self.is_pausing = true;
            self.cut.0.is_awaited.store(true, Ordering::Release);
            let due = Instant::now() + self.pause;
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(due),
                None => self.timer = Some(Box::pin(sleep_until(due))),
            }
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    fn end_pause(&mut self) {
        if self.is_pausing {
            self.is_pausing = false;
            self.cut.0.is_awaited.store(false, Ordering::Release);
        }
    }
}

impl HttpBody for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            ready!(this.poll_pause(cx));
            return Poll::Ready(Some(Err(this.cut.set(CUT_TOO_SLOW))));
        };
        this.end_pause();
        let frame = match frame {
            None => return Poll::Ready(None),
            Some(Err(_gone)) => return Poll::Ready(Some(Err(this.cut.set(CUT_BROKEN)))),
            Some(Ok(frame)) => frame,
        };
        let size = frame.data_ref().map_or(0, Bytes::len);
        match this
            .left
            .checked_sub(u64::try_from(size).unwrap_or(u64::MAX))
        {
            Some(left) => this.left = left,
            None => return Poll::Ready(Some(Err(this.cut.set(CUT_TOO_LARGE)))),
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The answer's body: counted, ended at a time at the latest, and told about when it is dropped.
pub(crate) struct Outbound {
    inner: Body,
    bytes: u64,
    until: Option<Instant>,
    /// Made at the first pause: most bodies are at hand.
    timer: Option<Pin<Box<Sleep>>>,
    ended: Option<Box<dyn Ended>>,
    is_whole: bool,
}

/// Told how a body ended: its bytes, and whether it was whole.
pub(crate) trait Ended: Send {
    fn ended(self: Box<Self>, bytes: u64, is_whole: bool);
}

impl Outbound {
    pub(crate) fn wrap(inner: Body, until: Option<Instant>, ended: Box<dyn Ended>) -> Self {
        Self {
            is_whole: inner.is_end_stream(),
            inner,
            bytes: 0,
            until,
            timer: None,
            ended: Some(ended),
        }
    }
}

impl HttpBody for Outbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let too_long = || "the answer took longer than a call may".into();
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            let Some(until) = this.until else {
                return Poll::Pending;
            };
            let timer = this
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(until)));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(too_long())));
        };
        // A service that always has more would never be waited for.
        let is_last = this.inner.is_end_stream() || frame.is_none();
        if !is_last && this.until.is_some_and(|until| Instant::now() >= until) {
            return Poll::Ready(Some(Err(too_long())));
        }
        match &frame {
            None => this.is_whole = true,
            Some(Ok(frame)) => {
                let size = frame.data_ref().map_or(0, Bytes::len);
                this.bytes += u64::try_from(size).unwrap_or(0);
                this.is_whole = this.inner.is_end_stream();
            }
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended.ended(self.bytes, self.is_whole);
        }
    }
}

/// What was read of a body already, and the rest of it behind.
pub(crate) struct Chained {
    first: Option<Bytes>,
    rest: Body,
}

impl Chained {
    pub(crate) fn new(first: Bytes, rest: Body) -> Self {
        let first = Some(first).filter(|first| !first.is_empty());
        Self { first, rest }
    }
}

impl HttpBody for Chained {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use taraf_service::body;

    use super::*;

    impl<F: FnOnce(u64, bool) + Send> Ended for F {
        fn ended(self: Box<Self>, bytes: u64, is_whole: bool) {
            self(bytes, is_whole);
        }
    }

    #[tokio::test]
    async fn a_body_beyond_its_limit_is_cut_and_says_so() {
        let second = Duration::from_secs(1);
        let (short, cut) = Inbound::wrap(body::full("salut"), 5, second);
        assert_eq!(body::collect(short, 10).await.unwrap(), "salut");
        assert!(cut.problem().is_none());
        let (long, cut) = Inbound::wrap(body::full("salut!"), 5, second);
        body::collect(long, 10).await.unwrap_err();
        assert_eq!(cut.problem().unwrap().status, 413);
    }

    /// Gives pieces of a byte, and waits between them until it is told to go on.
    struct Halting(tokio::sync::mpsc::Receiver<Bytes>);

    impl HttpBody for Halting {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            let piece = ready!(self.0.poll_recv(cx));
            Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_callers_own_pauses_count() {
        use http_body_util::BodyExt as _;

        let (send, receive) = tokio::sync::mpsc::channel(1);
        let second = Duration::from_secs(1);
        let (mut body, cut) = Inbound::wrap(Body::new(Halting(receive)), 10, second);
        // The service reads nothing for long; the caller cannot be blamed for that.
        tokio::time::advance(second * 5).await;
        let soon = async {
            tokio::time::sleep(second / 2).await;
            send.send(Bytes::from_static(b"a")).await.unwrap();
        };
        let (frame, ()) = tokio::join!(body.frame(), soon);
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "a");
        assert!(!cut.is_awaited());
        assert!(body.frame().await.unwrap().is_err());
        assert!(cut.is_awaited());
        assert_eq!(cut.problem().unwrap().status, 408);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_always_has_more_ends_at_its_time() {
        struct Endless;

        impl HttpBody for Endless {
            type Data = Bytes;
            type Error = BoxError;

            fn poll_frame(
                self: Pin<&mut Self>,
                _cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
            }
        }

        use http_body_util::BodyExt as _;

        let until = Instant::now() + Duration::from_secs(1);
        let mut body = Outbound::wrap(Body::new(Endless), Some(until), Box::new(|_, _| {}));
        assert!(body.frame().await.unwrap().is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_dropped_answer_is_told_as_broken_off() {
        let (tell, told) = std::sync::mpsc::channel();
        let until = Instant::now() + Duration::from_secs(1);
        let end = move |bytes, is_whole| tell.send((bytes, is_whole)).unwrap();
        let whole = Outbound::wrap(body::full("salut"), Some(until), Box::new(end.clone()));
        body::collect(whole, 10).await.unwrap();
        assert_eq!(told.recv().unwrap(), (5, true));
        drop(Outbound::wrap(
            body::full("salut"),
            Some(until),
            Box::new(end),
        ));
        assert_eq!(told.recv().unwrap(), (0, false));
    }
}
