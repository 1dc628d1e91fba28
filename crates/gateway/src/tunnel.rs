//! Connections that leave HTTP: a WebSocket's bytes passed both ways, watched for silence, ended
//! kindly at a stop.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use taraf_base::random_bytes;
use taraf_service::client::{Raw, Switched};
use taraf_service::{Body, body};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy_bidirectional};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::pipeline::Call;
use crate::server::Shared;

mod frames;

use frames::{Frames, GOING_AWAY, GOING_AWAY_MASKED};

/// The one protocol that is passed. Others, `h2c` above all, would carry calls past every check.
const WEBSOCKET: &str = "websocket";
const SEC_WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const SEC_WEBSOCKET_ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
/// How long both sides may take to say goodbye at a stop.
pub(crate) const GOODBYE: Duration = Duration::from_secs(1);

/// A caller's wish to leave HTTP, and its connection once that is granted.
pub(crate) struct Wish {
    connection: OnUpgrade,
    is_extended: bool,
}

/// Marks a request that came as an extended CONNECT.
#[derive(Clone, Copy)]
struct Extended;

/// Makes a request of HTTP/2 that wants a WebSocket (RFC 8441 §4, an extended CONNECT) the request
/// that it is in HTTP/1.1 (§5), so that routes and checks see one kind only.
pub(crate) fn translate(request: &mut Request<Body>) {
    let is_websocket = |protocol: &Protocol| protocol.as_str() == WEBSOCKET;
    let is_extended = request.version() == Version::HTTP_2
        && request.method() == Method::CONNECT
        && request.extensions().get().is_some_and(is_websocket);
    if !is_extended {
        return;
    }
    *request.method_mut() = Method::GET;
    request.extensions_mut().insert(Extended);
    let key = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        random_bytes::<16>(),
    );
    let headers = request.headers_mut();
    if let Ok(key) = HeaderValue::try_from(key) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
}

/// What the request wants instead of HTTP, if it is something that is passed.
pub(crate) fn wish(request: &mut Request<Body>) -> Option<Wish> {
    let headers = request.headers();
    let upgrade = headers.get(UPGRADE)?;
    let is_asked = upgrade
        .as_bytes()
        .eq_ignore_ascii_case(WEBSOCKET.as_bytes())
        && *request.method() == Method::GET
        && has_token(headers, "upgrade");
    if !is_asked {
        return None;
    }
    let is_extended = request.extensions().get::<Extended>().is_some();
    let connection = request.extensions_mut().remove::<OnUpgrade>()?;
    Some(Wish {
        connection,
        is_extended,
    })
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}

impl Wish {
    /// What the service is asked for.
    pub(crate) const PROTOCOL: &'static str = WEBSOCKET;

    /// The caller's answer to a service's answer. One that grants the wish begins the tunnel.
    pub(crate) fn granted(
        self,
        mut answer: Response<Body>,
        gateway: &Arc<Shared>,
        call: &Call,
    ) -> Response<Body> {
        let switched = answer.extensions_mut().remove::<Switched>();
        let Some(raw) = switched.and_then(|switched| switched.take()) else {
            return answer;
        };
        let headers = answer.headers_mut();
        if self.is_extended {
            // RFC 8441 §5.1.
            headers.remove(SEC_WEBSOCKET_ACCEPT);
            *answer.status_mut() = StatusCode::OK;
        } else {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        }
        let stream = call.place.leave_http();
        let tasks = &call.peer.tasks;
        let passing = pass(self.connection, raw, Arc::clone(gateway), tasks.token());
        let passing = async move {
            passing.await;
            drop(stream);
        };
        tasks.spawn("gateway tunnel", passing);
        answer.map(|_none| body::empty())
    }
}

/// Passes bytes until both sides have ended, one fails, nothing comes for too long, or the stop.
async fn pass(connection: OnUpgrade, raw: Raw, gateway: Arc<Shared>, token: CancellationToken) {
    let limits = &gateway.config.limits;
    // It comes as soon as the answer was written; a caller that is gone never lets it come.
    let caller = match timeout(limits.write_pause, connection).await {
        Ok(Ok(caller)) => TokioIo::new(caller),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a caller left before its tunnel began");
            return;
        }
        Err(_elapsed) => return,
    };
    let _open = Open::new(&gateway.metrics);
    let moved = Arc::new(AtomicU64::new(0));
    let mut caller = Side::new(caller, &moved);
    let mut service = Side::new(raw.stream, &moved);
    let stop = async {
        token.cancelled().await;
        tokio::time::sleep(limits.drain).await;
    };
    let is_stopped = tokio::select! {
        ended = copy_bidirectional(&mut caller, &mut service) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a tunnel ended early");
            }
            false
        }
        () = silence(&moved, limits.stream_idle) => {
            tracing::debug!("a tunnel was silent for too long");
            true
        }
        () = stop => true,
    };
    let metrics = &gateway.metrics;
    metrics.tunnel_bytes.add(moved.load(Ordering::Relaxed));
    if is_stopped {
        let farewell =
            async { tokio::join!(caller.leave(&GOING_AWAY), service.leave(&GOING_AWAY_MASKED)) };
        // Whoever does not listen is left.
        let _told = timeout(GOODBYE, farewell).await;
    }
}

/// Resolves when nothing was moved for so long.
async fn silence(moved: &AtomicU64, limit: Duration) {
    let mut before = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(limit).await;
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

/// One side of a tunnel; what is written to it is followed frame by frame.
struct Side<S> {
    stream: S,
    frames: Frames,
    moved: Arc<AtomicU64>,
}

impl<S: AsyncWrite + Unpin> Side<S> {
    fn new(stream: S, moved: &Arc<AtomicU64>) -> Self {
        Self {
            stream,
            frames: Frames::default(),
            moved: Arc::clone(moved),
        }
    }

    /// Says goodbye, where that does not tear a frame, and closes.
    async fn leave(&mut self, close: &[u8]) -> io::Result<()> {
        if self.frames.is_between() {
            self.stream.write_all(close).await?;
        }
        self.stream.shutdown().await
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Side<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Side<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.frames.pass(&bytes[..written]);
        let count = u64::try_from(written).unwrap_or(u64::MAX);
        self.moved.fetch_add(count, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Counts a tunnel as long as it lives, however it ends.
struct Open(Metrics);

impl Open {
    fn new(metrics: &Metrics) -> Self {
        metrics.tunnels.add(1);
        Self(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.tunnels.add(-1);
    }
}
