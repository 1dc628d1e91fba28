//! Calls whose request is all there: written as bytes at once, when the endpoints take them so. A table of
//! headers is made of the answer's head alone.

use std::sync::Arc;

use bytes::BufMut as _;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, response};

use super::attempt::Progress;
use super::direct::{self, Missed};
use super::{CallPolicy, DirectRequest, Shared, is_stream};
use crate::pool::Pool;
use crate::wire::{AnswerHead, HEADERS_MAX};
use crate::{Body, CallError, body};

/// What a request may say of its connection or its body that is not looked into here.
const SPECIAL: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Room that the heads of most requests need.
const HEAD_BYTES_USUAL: usize = 512;

/// The request as bytes, when it may be sent as such.
pub(super) fn written(
    request: &Request<Body>,
    pool: &Pool,
    shared: &Shared,
    policy: &CallPolicy,
) -> Option<Vec<u8>> {
    let body = request.body().at_hand()?;
    let is_special = || {
        let mut names = SPECIAL.iter();
        names.any(|name| request.headers().contains_key(name))
    };
    if !pool.is_direct
        || shared.config.headers_max > HEADERS_MAX
        || policy.switch.is_some()
        || *request.method() == Method::CONNECT
        || is_special()
    {
        return None;
    }
    let mut bytes = Vec::with_capacity(HEAD_BYTES_USUAL + body.len());
    let path = request.uri().path_and_query();
    let path = path.map_or("/", PathAndQuery::as_str);
    for part in [request.method().as_str(), " ", path, " HTTP/1.1\r\n"] {
        bytes.put_slice(part.as_bytes());
    }
    for (name, value) in request.headers() {
        bytes.put_slice(name.as_str().as_bytes());
        bytes.put_slice(b": ");
        bytes.put_slice(value.as_bytes());
        bytes.put_slice(b"\r\n");
    }
    if means_content(request.method()) || !body.is_empty() {
        bytes.put_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.put_slice(b"\r\n");
    bytes.put_slice(body);
    Some(bytes)
}

/// Whether a request of this method says how long its body is even when there is none (RFC 9110 §8.6).
pub(super) fn means_content(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

/// Sends it until there is an answer, or a failure that must stand.
pub(super) async fn perform(
    shared: &Arc<Shared>,
    pool: &Pool,
    request: DirectRequest<'_>,
    policy: &CallPolicy,
) -> Result<Response<Body>, CallError> {
    let mut progress = None;
    loop {
        match ask(shared, pool, request, policy, progress).await {
            Ok(response) => return Ok(response),
            Err(missed) => progress = Some(missed.again()?),
        }
    }
}

async fn ask(
    shared: &Arc<Shared>,
    pool: &Pool,
    request: DirectRequest<'_>,
    policy: &CallPolicy,
    progress: Option<Progress>,
) -> Result<Response<Body>, Missed> {
    let read = |head: &AnswerHead<'_, '_>| parts(head);
    let (parts, mut body) = direct::attempt(shared, pool, request, policy, progress, read).await?;
    let unreadable = || CallError::Closed("a header of the answer cannot be read".into());
    let parts = parts.ok_or_else(|| Missed::failed(unreadable()))?;
    let idle = if is_stream(&parts.headers) {
        policy.stream_idle
    } else {
        policy.body_idle
    };
    // Most answers came whole with their heads: those need nobody who waits for more.
    let body = match body.take_whole() {
        Some(bytes) => body::full(bytes),
        None => body.into_body(idle),
    };
    Ok(Response::from_parts(parts, body))
}

fn parts(head: &AnswerHead<'_, '_>) -> Option<response::Parts> {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = http::StatusCode::from_u16(head.status).ok()?;
    parts.headers.reserve(head.headers.len());
    for header in head.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        parts
            .headers
            .append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(parts)
}
