//! The one body type that calls send and receive: nothing, bytes at hand, or a stream.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::pool::Reply;

/// What a failing body says.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The body of a request or a response.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Reply(Reply),
    Boxed(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Full(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Incoming(_) | Self::Reply(_) | Self::Boxed(_) => f.write_str("stream"),
        }
    }
}

/// Why a body could not be had whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More came than the reader takes.
    #[error("the body is longer than {max} bytes")]
    TooLarge {
        /// What the reader takes.
        max: usize,
    },
    /// It ended before its end.
    #[error("the body broke off")]
    Broken(#[source] BoxError),
}

/// A body without bytes.
#[must_use]
pub const fn empty() -> Body {
    Body(Kind::Empty)
}

/// A body of these bytes.
#[must_use]
pub fn full(bytes: impl Into<Bytes>) -> Body {
    let bytes = bytes.into();
    if bytes.is_empty() {
        empty()
    } else {
        Body(Kind::Full(bytes))
    }
}

/// Reads a body to its end, at most `max` bytes.
///
/// # Errors
/// When it is longer, or breaks off.
pub async fn collect<B>(body: B, max: usize) -> Result<Bytes, Error>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge { max }),
        Err(error) => Err(Error::Broken(error)),
    }
}

impl Body {
    /// A body that some other type streams; costs one allocation.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Boxed(Box::pin(body.map_err(Into::into))))
    }

    /// The same bytes again, when they are at hand: only then can a request be sent twice.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Kind::Empty => Some(empty()),
            Kind::Full(bytes) => Some(Self(Kind::Full(bytes.clone()))),
            Kind::Incoming(_) | Kind::Reply(_) | Kind::Boxed(_) => None,
        }
    }

    /// Whether all of it is here already.
    pub(crate) const fn is_at_hand(&self) -> bool {
        matches!(self.0, Kind::Empty | Kind::Full(_))
    }

    /// All of it, when it is here already.
    pub(crate) fn at_hand(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Empty => Some(&[]),
            Kind::Full(bytes) => Some(bytes),
            Kind::Incoming(_) | Kind::Reply(_) | Kind::Boxed(_) => None,
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_end_stream()
    }

    pub(crate) const fn reply(reply: Reply) -> Self {
        Self(Kind::Reply(reply))
    }
}

impl Default for Body {
    fn default() -> Self {
        empty()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(frame)))
            }
            Kind::Incoming(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|error| Box::new(error) as BoxError),
            Kind::Reply(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|error| Box::new(error) as BoxError),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Reply(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Kind::Incoming(body) => body.size_hint(),
            Kind::Reply(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl From<Incoming> for Body {
    fn from(body: Incoming) -> Self {
        Self(Kind::Incoming(body))
    }
}

impl From<axum::body::Body> for Body {
    fn from(body: axum::body::Body) -> Self {
        Self::new(body)
    }
}

impl From<Body> for axum::body::Body {
    fn from(body: Body) -> Self {
        match body.0 {
            Kind::Empty => Self::empty(),
            Kind::Full(bytes) => Self::from(bytes),
            kind @ (Kind::Incoming(_) | Kind::Reply(_) | Kind::Boxed(_)) => Self::new(Body(kind)),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        full(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        full(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        full(text)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        full(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_collected_up_to_its_limit() {
        let bytes = collect(full("salut"), 5).await.unwrap();
        assert_eq!(bytes, "salut");
        let error = collect(full("salut!"), 5).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { max: 5 }));
        assert!(collect(empty(), 0).await.unwrap().is_empty());
    }

    #[test]
    fn only_bytes_at_hand_can_be_sent_again() {
        assert!(full("x").try_clone().is_some());
        assert!(empty().try_clone().is_some());
        assert!(Body::new(full("x")).try_clone().is_none());
        assert_eq!(full("xyz").size_hint().exact(), Some(3));
    }
}
