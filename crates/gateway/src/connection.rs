//! One connection of a caller: TLS and protocol agreed on, requests answered, ended kindly.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{COOKIE, HOST, HeaderMap, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use taraf_base::Tasks;
use taraf_service::Body;
use taraf_service::executor::Spawner;
use taraf_service::serve::{InCall, Phase, Waits, Watched, WriteLimit};
use taraf_service::stream::Stream;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::direct::{self, Left};
use crate::forward;
use crate::metrics::Metrics;
use crate::pipeline;
use crate::server::Shared;
use crate::tls::{self, PeerCertificate, Tls};
use crate::tunnel;

/// hyper's own limit of headers. One that is set, the same number too, makes it fill its tables anew for
/// each head.
const HEADERS_DEFAULT: usize = 100;
/// hyper's smallest buffer.
const BUFFER_BYTES_MIN: usize = 8 << 10;
/// What an HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a caller may send ahead of the service's reading, for one stream and for a connection.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// What waits for a caller that reads slower than the service answers.
const STREAM_SEND_BYTES_MAX: usize = 64 << 10;

/// Who is at the other end of a connection.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The address without its port, as services are told it.
    pub(crate) text: HeaderValue,
    /// What services are told of the connection, for heads that are written as bytes.
    pub(crate) lines: Box<[u8]>,
    pub(crate) is_secure: bool,
    pub(crate) certificate: Option<Arc<PeerCertificate>>,
    /// For what goes on when a call has ended: the tasks of the core that the connection is on.
    pub(crate) tasks: Tasks,
}

impl Peer {
    /// Puts what is known of the caller by its connection with the request, and gives a request of
    /// HTTP/2 the `Host` that its `:authority` stands for (RFC 9113 §8.3.1).
    pub(crate) fn introduce(&self, request: &mut Request<Body>) {
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(Arc::clone(certificate));
        }
        if request.version() == http::Version::HTTP_2 {
            if !request.headers().contains_key(HOST)
                && let Some(authority) = request.uri().authority()
                && let Ok(host) = HeaderValue::from_str(authority.as_str())
            {
                request.headers_mut().insert(HOST, host);
            }
            join_cookies(request.headers_mut());
            tunnel::translate(request);
        }
    }
}

/// HTTP/2 may cut a cookie header into several, which HTTP/1.1 must not see (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<_> = headers.get_all(COOKIE).iter().collect();
    let crumbs: Vec<_> = crumbs.iter().map(|crumb| crumb.as_bytes()).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice())) {
        headers.insert(COOKIE, whole);
    }
}

/// Serves one connection until it ends, fails, or the gateway stops.
pub(crate) async fn serve(
    gateway: Arc<Shared>,
    stream: TcpStream,
    address: SocketAddr,
    tasks: Tasks,
) {
    let open = Open::new(&gateway.metrics);
    let limit = gateway.config.limits.header_read;
    let ended = match timeout(limit, agree(&gateway, stream, address, tasks)).await {
        Err(_late) => Err("the connection did not begin in time".into()),
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok((stream, peer, Version::Http1))) => speak_http1(&gateway, stream, peer).await,
        Ok(Ok((stream, peer, Version::Http2))) => speak_http2(&gateway, stream, peer).await,
    };
    if let Err(error) = ended {
        let error: Box<dyn std::error::Error + Send + Sync> = error;
        tracing::debug!(%error, "a connection ended early");
    }
    drop(open);
}

enum Version {
    Http1,
    Http2,
}

/// What is settled before the first request: TLS, and which HTTP is spoken.
async fn agree(
    gateway: &Shared,
    stream: TcpStream,
    address: SocketAddr,
    tasks: Tasks,
) -> io::Result<(Stream, Peer, Version)> {
    let text = forward::text(&address.ip().to_canonical().to_string());
    let mut peer = Peer {
        address,
        // Those with TLS are not written so.
        lines: forward::lines_of(&text, false),
        text,
        is_secure: false,
        certificate: None,
        tasks,
    };
    let Some(tls) = &gateway.tls else {
        let stream = Stream::from(stream);
        let (stream, version) = if gateway.config.http2.plain {
            told_by_preface(stream).await?
        } else {
            (stream, Version::Http1)
        };
        return Ok((stream, peer, version));
    };
    let stream = handshake(tls, stream).await?;
    let (_, session) = stream.get_ref();
    peer.is_secure = true;
    peer.certificate = session
        .peer_certificates()
        .and_then(|chain| PeerCertificate::read(chain.first()?))
        .map(Arc::new);
    let version = match session.alpn_protocol() {
        Some(tls::ALPN_HTTP2) => Version::Http2,
        _ => Version::Http1,
    };
    let stream = tokio_rustls::TlsStream::Server(stream);
    Ok((stream.into(), peer, version))
}

async fn handshake(
    tls: &Tls,
    stream: TcpStream,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    TlsAcceptor::from(tls.current()).accept(stream).await
}

/// A caller that knows what we speak begins with the preface of HTTP/2 (RFC 9113 §3.3).
async fn told_by_preface(mut stream: Stream) -> io::Result<(Stream, Version)> {
    let mut ahead = [0; PREFACE.len()];
    let mut filled = 0;
    while filled < PREFACE.len() && PREFACE.starts_with(&ahead[..filled]) {
        match stream.read(&mut ahead[filled..]).await? {
            0 => break,
            read => filled += read,
        }
    }
    let version = if ahead[..filled] == *PREFACE {
        Version::Http2
    } else {
        Version::Http1
    };
    Ok((
        stream.rewound(Bytes::copy_from_slice(&ahead[..filled])),
        version,
    ))
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn speak_http1(gateway: &Arc<Shared>, stream: Stream, peer: Peer) -> Ended {
    let peer = Arc::new(peer);
    match direct::converse(Arc::clone(gateway), stream, Arc::clone(&peer)).await? {
        Left::Ended => Ok(()),
        Left::Foreign(stream) => speak_all_http1(gateway, stream, peer).await,
    }
}

/// HTTP/1.1 with all that belongs to it.
async fn speak_all_http1(gateway: &Arc<Shared>, stream: Stream, peer: Arc<Peer>) -> Ended {
    let limits = &gateway.config.limits;
    let waits = Waits {
        head: limits.header_read,
        idle: limits.header_read,
        write: limits.write_pause,
    };
    let phase = Arc::new(Phase::new());
    let stream = Watched::new(stream, Arc::clone(&phase), waits);
    let answer = service_fn(|request: Request<Incoming>| {
        let request = request.map(Body::from);
        let place = Place::Turn(Phase::begin(&phase));
        let answer = pipeline::answer(Arc::clone(gateway), Arc::clone(&peer), place, request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = http1::Builder::new();
    if limits.headers != HEADERS_DEFAULT {
        builder.max_headers(limits.headers);
    }
    let connection = builder
        // `Watched` sets a timer now and then, where hyper's own is set for each head.
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes.max(BUFFER_BYTES_MIN))
        .half_close(false)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        // The stop first: an answer that is ready at the same moment must say that no other follows.
        biased;
        () = gateway.token.cancelled() => {
            // An idle connection closes now, a busy one after its answer.
            connection.as_mut().graceful_shutdown();
            connection.await?;
        }
        ended = connection.as_mut() => ended?,
    }
    Ok(())
}

async fn speak_http2(gateway: &Arc<Shared>, stream: Stream, peer: Peer) -> Ended {
    let (limits, settings) = (&gateway.config.limits, &gateway.config.http2);
    let tasks = peer.tasks.clone();
    let stream = WriteLimit::new(stream, limits.write_pause);
    let (peer, usage) = (Arc::new(peer), Arc::new(Usage::new(settings.resets)));
    let answer = {
        let (gateway, usage) = (Arc::clone(gateway), Arc::clone(&usage));
        service_fn(move |request: Request<Incoming>| {
            let (gateway, peer) = (Arc::clone(&gateway), Arc::clone(&peer));
            let place = Place::Stream(Usage::begin(&usage));
            let request = request.map(Body::from);
            let answer = pipeline::answer(gateway, peer, place, request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let resets = usize::try_from(settings.resets).unwrap_or(usize::MAX);
    let connection = http2::Builder::new(Spawner::new(tasks, "gateway stream"))
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams)
        .max_pending_accept_reset_streams(resets)
        .max_local_error_reset_streams(resets)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(STREAM_SEND_BYTES_MAX)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let mut is_ending = false;
    loop {
        // Each branch may be dropped: the connection is polled again, the rest is looked at anew.
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = gateway.token.cancelled(), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = usage.flooded.notified() => {
                return Err("the caller begins calls only to reset them".into());
            }
            () = usage.idle(limits.header_read) => {
                if is_ending {
                    return Err("the caller does not close".into());
                }
                is_ending = true;
                usage.touch();
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// How an HTTP/2 connection is used: its open streams, and those that were reset before an answer.
///
/// Resetting is free for a caller and costs us a call (CVE-2023-44487): who resets more calls than it
/// lets end, by more than a number, is cut off.
struct Usage {
    began: Instant,
    open: AtomicU32,
    /// When the last stream ended, in milliseconds since the connection began.
    ended_ms: AtomicU64,
    resets: AtomicU32,
    resets_max: u32,
    flooded: Notify,
}

impl Usage {
    fn new(resets_max: u32) -> Self {
        Self {
            began: Instant::now(),
            open: AtomicU32::new(0),
            ended_ms: AtomicU64::new(0),
            resets: AtomicU32::new(0),
            resets_max,
            flooded: Notify::new(),
        }
    }

    fn begin(usage: &Arc<Self>) -> OpenStream {
        usage.open.fetch_add(1, Ordering::Relaxed);
        OpenStream {
            usage: Arc::clone(usage),
            is_answered: false,
        }
    }

    fn touch(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ended_ms.store(now, Ordering::Relaxed);
    }

    /// Resolves when no stream was open for so long.
    async fn idle(&self, limit: Duration) {
        loop {
            let is_used = self.open.load(Ordering::Relaxed) > 0;
            let ended = Duration::from_millis(self.ended_ms.load(Ordering::Relaxed));
            let (now, due) = (Instant::now(), self.began + ended + limit);
            if !is_used && due <= now {
                return;
            }
            // While streams are open nothing is due, and their ends wake nobody.
            tokio::time::sleep_until(if is_used { now + limit } else { due }).await;
        }
    }

    fn ended(&self, is_answered: bool) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.touch();
        // Two that end at once may count as one, which a limit of this kind does not mind.
        let resets = self.resets.load(Ordering::Relaxed);
        if is_answered {
            self.resets
                .store(resets.saturating_sub(1), Ordering::Relaxed);
            return;
        }
        self.resets
            .store(resets.saturating_add(1), Ordering::Relaxed);
        if resets >= self.resets_max {
            self.flooded.notify_one();
        }
    }
}

/// What a call takes up of its connection for as long as it lasts.
pub(crate) enum Place {
    /// All of it, in HTTP/1.
    Turn(InCall),
    /// The same, where nothing but HTTP is spoken.
    Direct,
    /// One stream among others.
    Stream(OpenStream),
}

impl Place {
    /// The call was answered, and not reset before.
    pub(crate) fn is_answered(&mut self) {
        if let Self::Stream(stream) = self {
            stream.is_answered = true;
        }
    }

    /// The call goes on as something that is not HTTP, for as long as what is answered lives.
    pub(crate) fn leave_http(&self) -> Option<OpenStream> {
        match self {
            Self::Turn(call) => {
                call.leave_http();
                None
            }
            Self::Direct => None,
            Self::Stream(stream) => {
                let mut stream = Usage::begin(&stream.usage);
                stream.is_answered = true;
                Some(stream)
            }
        }
    }
}

/// A stream that is open as long as this lives.
pub(crate) struct OpenStream {
    usage: Arc<Usage>,
    is_answered: bool,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.usage.ended(self.is_answered);
    }
}

/// Counts a connection as long as it lives, however it ends.
struct Open(Metrics);

impl Open {
    fn new(metrics: &Metrics) -> Self {
        metrics.connections.add(1);
        Self(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.add(-1);
    }
}
