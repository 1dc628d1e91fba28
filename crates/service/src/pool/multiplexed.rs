//! An HTTP/2 connection: many calls share it, and a task of its own drives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, HOST, HeaderValue, TE};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use taraf_base::Tasks;
use tokio::time::{Instant, timeout_at};

use super::connection::{Broken, Unanswered};
use crate::client::{Config, origin_form};
use crate::executor::Spawner;
use crate::stream::Stream;
use crate::{Body, CallError};

/// How often the other side of a connection in use must show that it lives, and how soon.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that calls share.
pub(super) struct Multiplexed {
    sender: http2::SendRequest<Body>,
    is_secure: bool,
    open: AtomicU32,
    /// When the last call left, in milliseconds since the client began.
    left_ms: AtomicU64,
}

impl Multiplexed {
    /// Speaks HTTP/2 over the stream from now on; `tasks` drive it until nobody holds it any more.
    pub(super) async fn begin(
        stream: Stream,
        is_secure: bool,
        config: &Config,
        tasks: &Tasks,
    ) -> Result<Self, CallError> {
        let head_bytes_max = u32::try_from(config.head_bytes_max).unwrap_or(u32::MAX);
        let handshake = http2::Builder::new(Spawner::new(tasks.clone(), "service stream"))
            .timer(TokioTimer::new())
            .max_header_list_size(head_bytes_max)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream));
        let (sender, driver) = handshake
            .await
            .map_err(|error| CallError::Closed(error.into()))?;
        tasks.spawn("service connection", async move {
            // Calls hear of it by themselves.
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to a service ended early");
            }
        });
        Ok(Self {
            sender,
            is_secure,
            open: AtomicU32::new(0),
            left_ms: AtomicU64::new(0),
        })
    }

    /// A seat on the connection, unless it has ended or is full.
    pub(super) fn sit(self: &Arc<Self>, streams_max: u32) -> Option<Seat> {
        if self.sender.is_closed() {
            return None;
        }
        let taken = self.open.fetch_add(1, Ordering::Relaxed);
        let seat = Seat {
            sender: self.sender.clone(),
            connection: Arc::clone(self),
        };
        (taken < streams_max).then_some(seat)
    }

    /// Whether it is of no more use.
    pub(super) fn is_over(&self, idle_timeout: Duration, now: Duration) -> bool {
        let left = Duration::from_millis(self.left_ms.load(Ordering::Relaxed));
        let is_idle = self.open.load(Ordering::Relaxed) == 0;
        self.sender.is_closed() || (is_idle && now.saturating_sub(left) >= idle_timeout)
    }
}

/// One call's part in a connection.
pub(super) struct Seat {
    connection: Arc<Multiplexed>,
    sender: http2::SendRequest<Body>,
}

impl Seat {
    /// Sends a request and waits for the head of the answer.
    pub(super) async fn ask(
        &mut self,
        mut request: Request<Body>,
        until: Instant,
    ) -> Result<Response<Incoming>, Unanswered> {
        absolute(&mut request, self.connection.is_secure);
        let answer = self.sender.try_send_request(request);
        let answered = timeout_at(until, answer)
            .await
            .map_err(|_elapsed| None::<Broken>)?;
        answered.map_err(|error| {
            let Broken { error, unsent } = error.into();
            Some(Broken {
                error,
                unsent: unsent.map(relative),
            })
        })
    }

    /// Notes when the connection was used.
    pub(super) fn touch(&self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.connection.left_ms.store(now, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connection.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request as HTTP/2 has it: the host in the target, and no header that concerns a connection but
/// `te: trailers` (RFC 9113 §8.2.2, §8.3.1), without which gRPC is refused.
fn absolute(request: &mut Request<Body>, is_secure: bool) {
    let host = request.headers_mut().remove(HOST);
    let authority = host.and_then(|host| Authority::from_maybe_shared(host).ok());
    let scheme = if is_secure {
        Scheme::HTTPS
    } else {
        Scheme::HTTP
    };
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if let Some(authority) = authority {
        parts.authority = Some(authority);
        parts.scheme = Some(scheme);
    }
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
    only_trailers(request.headers_mut());
}

fn only_trailers(headers: &mut HeaderMap) {
    // It names `te`, which hyper would take off with it.
    headers.remove(CONNECTION);
    if headers.get(TE).is_some_and(|te| te != "trailers") {
        headers.remove(TE);
    }
}

/// The same request as HTTP/1.1 has it, for another try.
fn relative(mut request: Request<Body>) -> Request<Body> {
    let host = request
        .uri()
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() = origin_form(request.uri());
    *request.version_mut() = Version::HTTP_11;
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    #[test]
    fn a_request_that_was_not_sent_is_as_it_was() {
        let request = Request::get("/a?b=1").header("host", "up.service");
        let mut request = request
            .header("te", "trailers")
            .body(body::empty())
            .unwrap();
        absolute(&mut request, true);
        assert_eq!(request.uri(), "https://up.service/a?b=1");
        assert_eq!(request.version(), Version::HTTP_2);
        assert!(!request.headers().contains_key(HOST));
        assert_eq!(request.headers()[TE], "trailers");
        let request = relative(request);
        assert_eq!(request.uri(), "/a?b=1");
        assert_eq!(request.headers()[HOST], "up.service");
        assert_eq!(request.version(), Version::HTTP_11);
    }
}
