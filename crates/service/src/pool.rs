//! Connections kept per endpoint, and what each endpoint's calls have shown.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{CallError, ServiceName};

/// What an endpoint does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointState {
    /// Taking calls.
    Closed,
    /// Refusing calls after failures.
    Open,
    /// One call tries.
    HalfOpen,
    /// Taken out because it fails more than its equals.
    Ejected,
}

/// One endpoint, for operators.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct EndpointView {
    /// Where it listens: `IP:PORT`, or `SCHEME://HOST:PORT` outside the directory.
    pub address: String,
    /// Its share of the calls.
    pub weight: u32,
    /// Calls under way, bodies included.
    pub in_flight: u32,
    /// Connections kept for the next call.
    pub idle: u32,
    /// What it does with calls.
    pub state: EndpointState,
    /// Calls that ended since it was first seen.
    pub calls: u64,
    /// How many of them failed.
    pub failures: u64,
    /// Moving average of the time to the answer's head.
    pub latency_us: u64,
}

/// One pool, for operators.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PoolView {
    /// The service, or the origin outside the directory.
    pub name: String,
    /// Its endpoints, in the order of the directory.
    pub endpoints: Vec<EndpointView>,
}

/// The body of an answer.
pub struct Reply {}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        todo!()
    }
    fn is_end_stream(&self) -> bool {
        todo!()
    }
    fn size_hint(&self) -> SizeHint {
        todo!()
    }
}
