//! One connection: made, asked, kept. It is driven by whoever uses it, without a task of its own.
//!
//! A call polls the connection itself, and so does the body of its answer: no second task has to be
//! woken, and giving up a call closes the connection at once. A kept connection is polled when it is
//! taken out, which shows whether the other side has closed it meanwhile.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::{TlsConnector, TlsStream};

use super::multiplexed::Multiplexed;
use super::{Member, Place};
use crate::client::{Config, Roots, Shared};
use crate::stream::Stream;
use crate::timer::Timer;
use crate::{Body, CallError, Transport};

/// hyper's own limit of headers. One that is set, the same number too, makes it fill its tables anew for
/// each head.
const HEADERS_DEFAULT: usize = 100;
/// Application-layer protocol negotiation (RFC 7301, RFC 9113 §3.2).
const ALPN_HTTP1: &[u8] = b"http/1.1";
const ALPN_HTTP2: &[u8] = b"h2";

/// A connection that calls go through, one after another.
pub(crate) struct Connection {
    sender: http1::SendRequest<Body>,
    driver: http1::Connection<TokioIo<Stream>, Body>,
    /// For the limits of the calls, one after another.
    timer: Timer,
    /// The driver must not be polled after its end.
    has_ended: bool,
    /// Where it is kept: with the thread that made it, whose poller watches it.
    pub(super) shard: usize,
    /// Since when it waits for a call, as the time since the client began.
    pub(super) idle_since: Duration,
}

/// Why a connection gave no answer; it is nothing when the answer was not there in time.
pub(crate) type Unanswered = Option<Broken>;

/// A connection failed.
pub(crate) struct Broken {
    pub(crate) error: hyper::Error,
    /// The request, when nothing of it was sent.
    pub(crate) unsent: Option<Request<Body>>,
}

impl From<TrySendError<Request<Body>>> for Broken {
    fn from(mut error: TrySendError<Request<Body>>) -> Self {
        Self {
            unsent: error.take_message(),
            error: error.into_error(),
        }
    }
}

/// What was connected.
pub(super) enum Opened {
    /// For one call after another.
    Own(Box<Connection>),
    /// For many at once.
    Shared(Multiplexed),
}

/// Connects and is ready for the first request.
pub(super) async fn open(place: &Place, shared: &Shared) -> Result<Opened, CallError> {
    let config = &shared.config;
    let connecting = async {
        let (stream, version) = connect(place, shared).await?;
        match version {
            Version::Http1 => Connection::begin(stream, config).await,
            Version::Http2 { is_secure } => {
                let begun = Multiplexed::begin(stream, is_secure, config, &shared.tasks);
                Ok(Opened::Shared(begun.await?))
            }
        }
    };
    match tokio::time::timeout(config.connect_timeout, connecting).await {
        Ok(connected) => connected,
        Err(_elapsed) => Err(CallError::Timeout {
            what: "connection",
            limit: config.connect_timeout,
        }),
    }
}

impl Connection {
    async fn begin(stream: Stream, config: &Config) -> Result<Opened, CallError> {
        let mut builder = http1::Builder::new();
        if config.headers_max != HEADERS_DEFAULT {
            builder.max_headers(config.headers_max);
        }
        let handshake = builder
            .max_buf_size(config.head_bytes_max)
            .handshake(TokioIo::new(stream));
        let (sender, driver) = handshake
            .await
            .map_err(|error| CallError::Closed(error.into()))?;
        Ok(Opened::Own(Box::new(Self {
            sender,
            driver,
            timer: Timer::default(),
            has_ended: false,
            shard: Member::shard(),
            idle_since: Duration::ZERO,
        })))
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn ask(
        &mut self,
        request: Request<Body>,
        until: Instant,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let (driver, has_ended) = (&mut self.driver, &mut self.has_ended);
        let timer = &mut self.timer;
        let result = poll_fn(|cx| {
            if !*has_ended && Pin::new(&mut *driver).poll(cx).is_ready() {
                // The driver has told the answer's future why before it ended.
                *has_ended = true;
            }
            match answer.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => timer.poll(cx, until).map(|()| None),
            }
        });
        match result.await {
            None => Err(None),
            Some(answer) => answer.map_err(|error| Some(error.into())),
        }
    }

    /// The bytes behind an answer that leaves HTTP; what was read with it comes first.
    pub(super) async fn switch(mut self) -> Stream {
        if !self.has_ended {
            // Its end is that of HTTP on the connection; an error will be met by whoever reads on.
            let _ended = poll_fn(|cx| self.driver.poll_without_shutdown(cx)).await;
        }
        let parts = self.driver.into_parts();
        parts.io.into_inner().rewound(parts.read_buf)
    }

    /// Does what can be done now without waiting.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.has_ended {
            self.has_ended = Pin::new(&mut self.driver).poll(cx).is_ready();
        }
    }

    /// Whether nothing will come any more.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the next request can be sent: the last answer was read to its end, and the other
    /// side still listens as far as can be known.
    pub(super) fn is_ready(&self) -> bool {
        !self.has_ended && self.sender.is_ready()
    }

    /// Whether a kept connection can be used, after looking at what the other side did meanwhile.
    pub(super) fn is_alive(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.is_ready()
    }
}

/// Which HTTP is spoken.
enum Version {
    Http1,
    Http2 { is_secure: bool },
}

/// A connection of HTTP/1.1 without TLS.
pub(super) async fn connect_plain(place: &Place, shared: &Shared) -> Result<TcpStream, CallError> {
    let limit = shared.config.connect_timeout;
    let connected = tokio::time::timeout(limit, connect(place, shared)).await;
    let connected = connected.map_err(|_elapsed| CallError::Timeout {
        what: "connection",
        limit,
    })?;
    match connected?.0.into_plain() {
        Ok((stream, _nothing_ahead)) => Ok(stream),
        Err(_tls) => Err(CallError::Invalid(format!("`{place}` is not plain"))),
    }
}

async fn connect(place: &Place, shared: &Shared) -> Result<(Stream, Version), CallError> {
    let failed = |source| CallError::Connect {
        to: place.to_string(),
        source,
    };
    let (stream, name, config) = match place {
        Place::Endpoint(address, transport) => {
            let stream = TcpStream::connect(address).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            match transport {
                Transport::Http1 => return Ok((stream.into(), Version::Http1)),
                Transport::H2c => {
                    let version = Version::Http2 { is_secure: false };
                    return Ok((stream.into(), version));
                }
                Transport::Tls(name) => {
                    let name = name.as_ref().map(ToString::to_string);
                    let name = name.unwrap_or_else(|| address.ip().to_string());
                    (stream, name, shared.service_tls())
                }
            }
        }
        Place::Origin { host, port, tls } => {
            let stream = connect_by_name(host, *port).await?;
            stream.set_nodelay(true).map_err(failed)?;
            if !tls {
                return Ok((stream.into(), Version::Http1));
            }
            (stream, host.to_owned(), shared.tls())
        }
    };
    let name = ServerName::try_from(name)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let stream = TlsConnector::from(config).connect(name, stream).await;
    let stream = stream.map_err(failed)?;
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(ALPN_HTTP2) => Version::Http2 { is_secure: true },
        _ => Version::Http1,
    };
    Ok((TlsStream::Client(stream).into(), version))
}

/// Tries the addresses of a name.
async fn connect_by_name(host: &str, port: u16) -> Result<TcpStream, CallError> {
    let resolve = |source| CallError::Resolve {
        host: host.to_owned(),
        source,
    };
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(resolve)?;
    let connected = super::dial::first(addresses, TcpStream::connect).await;
    connected.map_err(|source| CallError::Connect {
        to: format!("{host}:{port}"),
        source,
    })
}

/// TLS as the web does it: the roots that browsers trust and those of our own, HTTP/1.1 only.
pub(crate) fn web_tls(own: &Roots) -> Arc<rustls::ClientConfig> {
    let mut roots =
        rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    own.add_to(&mut roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
    Arc::new(config)
}

/// The same for services, which may agree to HTTP/2.
pub(crate) fn service_tls(web: &rustls::ClientConfig) -> Arc<rustls::ClientConfig> {
    let mut config = web.clone();
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
    Arc::new(config)
}
