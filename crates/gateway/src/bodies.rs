//! Bodies on their way through: the caller's within its limits, the answer's counted to its end.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use taraf_service::{Body, BoxError, Problem, problem};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Why the caller's body was cut; looked at when the call failed because of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<AtomicU8>);

const CUT_NOT: u8 = 0;
const CUT_TOO_LARGE: u8 = 1;
const CUT_TOO_SLOW: u8 = 2;
const CUT_BROKEN: u8 = 3;

impl Cut {
    /// The problem that the caller made, if it was one.
    pub(crate) fn problem(&self) -> Option<Problem> {
        match self.0.load(Ordering::Acquire) {
            CUT_NOT => None,
            CUT_TOO_LARGE => Some(problem::PAYLOAD_TOO_LARGE.new()),
            CUT_TOO_SLOW => Some(problem::REQUEST_TIMEOUT.with_detail("the body paused too long")),
            _ => Some(problem::BAD_REQUEST.with_detail("the body broke off")),
        }
    }

    fn set(&self, why: u8) -> BoxError {
        self.0.store(why, Ordering::Release);
        match why {
            CUT_TOO_LARGE => "the caller's body is too long".into(),
            CUT_TOO_SLOW => "the caller's body paused too long".into(),
            _ => "the caller's body broke off".into(),
        }
    }
}

/// The caller's body: at most so many bytes, with no long pause.
pub(crate) struct Inbound {
    inner: Body,
    left: u64,
    pause: Duration,
    timer: Pin<Box<Sleep>>,
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
            timer: Box::pin(sleep(pause)),
            cut: cut.clone(),
        };
        (Body::new(body), cut)
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
            ready!(this.timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(this.cut.set(CUT_TOO_SLOW))));
        };
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
        this.timer.as_mut().reset(Instant::now() + this.pause);
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
    timer: Pin<Box<Sleep>>,
    ended: Option<Ended>,
    is_whole: bool,
}

/// Told how a body ended: its bytes, and whether it was whole.
type Ended = Box<dyn FnOnce(u64, bool) + Send>;

impl Outbound {
    pub(crate) fn wrap(
        inner: Body,
        until: Instant,
        ended: impl FnOnce(u64, bool) + Send + 'static,
    ) -> Self {
        Self {
            is_whole: inner.is_end_stream(),
            inner,
            bytes: 0,
            timer: Box::pin(sleep_until(until)),
            ended: Some(Box::new(ended)),
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
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            ready!(this.timer.as_mut().poll(cx));
            let error = "the answer took longer than a call may";
            return Poll::Ready(Some(Err(error.into())));
        };
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
            ended(self.bytes, self.is_whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use taraf_service::body;

    use super::*;

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

    #[tokio::test]
    async fn a_dropped_answer_is_told_as_broken_off() {
        let (tell, told) = std::sync::mpsc::channel();
        let until = Instant::now() + Duration::from_secs(1);
        let end = move |bytes, is_whole| tell.send((bytes, is_whole)).unwrap();
        let whole = Outbound::wrap(body::full("salut"), until, end.clone());
        body::collect(whole, 10).await.unwrap();
        assert_eq!(told.recv().unwrap(), (5, true));
        drop(Outbound::wrap(body::full("salut"), until, end));
        assert_eq!(told.recv().unwrap(), (0, false));
    }
}
