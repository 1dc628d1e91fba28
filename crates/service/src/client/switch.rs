//! Requests that leave HTTP: asked for with `Upgrade`, granted with 101, bytes from then on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;

use crate::pool::Lease;
use crate::stream::Stream;
use crate::{Body, CallError, body};

/// The connection behind an answer of 101, to be taken once. It is an extension of the answer.
#[derive(Clone)]
pub struct Switched(Arc<Mutex<Option<Raw>>>);

/// A service's connection that speaks another protocol now. The service counts a call as under way
/// as long as this lives.
pub struct Raw {
    /// Its bytes.
    pub stream: Stream,
    _lease: Lease,
}

impl Switched {
    /// The connection, at the first time of asking.
    #[must_use]
    pub fn take(&self) -> Option<Raw> {
        let mut raw = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raw.take()
    }
}

impl fmt::Debug for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switched").finish_non_exhaustive()
    }
}

/// Asks for another protocol, after the headers of the caller's own connection were taken off.
pub(super) fn ask(headers: &mut HeaderMap, protocol: &'static str) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(protocol));
}

/// Whether the request asks for another protocol.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

/// Whether this is the answer that grants one.
pub(super) fn is_granted(answer: &Response<Incoming>) -> bool {
    answer.status() == StatusCode::SWITCHING_PROTOCOLS
}

/// The answer with the connection in it.
pub(super) async fn granted(
    answer: Response<Incoming>,
    mut lease: Lease,
) -> Result<Response<Body>, CallError> {
    let stream = lease.switch().await;
    let stream = stream
        .ok_or_else(|| CallError::Closed("the connection cannot leave its protocol".into()))?;
    let raw = Raw {
        stream,
        _lease: lease,
    };
    let mut answer = answer.map(|_none| body::empty());
    let switched = Switched(Arc::new(Mutex::new(Some(raw))));
    answer.extensions_mut().insert(switched);
    Ok(answer)
}
