//! A body that breaks off in the middle of what it announced.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use taraf_service::BoxError;

/// Announces all bytes, sends half of them, then fails.
pub(super) struct CutBody {
    half: Option<Bytes>,
    announced: u64,
}

impl CutBody {
    pub(super) fn new(whole: &Bytes) -> Self {
        let announced = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        let half = whole.slice(..whole.len() / 2);
        Self {
            half: Some(half),
            announced,
        }
    }
}

impl Body for CutBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(self.half.take().map_or_else(
            || Err("the fault that was asked for".into()),
            |half| Ok(Frame::data(half)),
        )))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
